//! Runs the rule cases in `tests/rules/*.toml` and the examples of `docs/rules.md`. `analysis::cases` describes their
//! syntax.

use analysis::cases::CaseFile;
use smartclean_push::domain::rules::RuleSet;

/// Runs a case file. Returns its failed lines and its number of cases.
fn run(name: &str, text: &str) -> (Vec<String>, usize) {
    let file = CaseFile::parse(name, text).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let mut wrong = Vec::new();
    for case in &file.cases {
        let rules =
            RuleSet::parse(name, case.rules.as_deref().unwrap_or_default()).unwrap_or_else(|f| panic!("{f:#?}"));
        wrong.extend(
            case.run(rules).iter().map(|(line, actual)| format!("{name}, {}: {line:#?} gave {actual}", case.name)),
        );
    }
    (wrong, file.cases.len())
}

#[test]
fn every_case_fires_exactly_the_expected_alerts() {
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for entry in std::fs::read_dir(crate::support::repository().join("tests/rules")).unwrap() {
        let path = entry.unwrap().path();
        let (more, count) = run(&path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
        wrong.extend(more);
        cases += count;
    }
    assert!(cases > 50, "only {cases} cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the examples of the page as a case file. Each TOML block has the rules of the text blocks after it.
fn examples_of_the_page() -> (String, usize) {
    let page = std::fs::read_to_string(crate::support::repository().join("docs/rules.md")).unwrap();
    let (mut file, mut rules, mut count) = (String::new(), "", 0);
    for part in page.split("\n## ").skip(1) {
        let name = part.lines().next().unwrap();
        for block in part.split("```").skip(1).step_by(2) {
            let run = block.strip_prefix("text\n");
            rules = block.strip_prefix("toml\n").unwrap_or(rules);
            let run = run.unwrap_or_default();
            file.push_str(&format!("[[case]]\nname = '{name}'\nrules = '''\n{rules}'''\nrun = '''\n{run}'''\n"));
            count += 1;
        }
    }
    (file, count)
}

#[test]
fn every_example_on_the_rules_page_gives_the_shown_result() {
    let (file, count) = examples_of_the_page();
    assert!(count > 15, "only {count} examples were found");
    let (wrong, _) = run("docs/rules.md", &file);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
