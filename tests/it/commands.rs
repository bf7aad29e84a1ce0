//! `check`, `test` and `completions`, run as a shell runs them.

use serde_json::Value;

use crate::support::run;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

const BROKEN: &str = "[[rule]]\nid = \"ammonia-lite\"\nat_lest = 100\n\n[[rule]]\nid = \"soap-low\"\nbelow = \"5\"\n";

#[test]
fn the_version_is_that_of_the_release() {
    let ran = run(std::path::Path::new("."), &["--version"]);
    assert_eq!((ran.out, ran.exit), (format!("smartclean-push {}\n", smartclean_push::VERSION), Some(0)));
}

#[test]
fn check_prints_every_fault_with_its_position() {
    let folder = folder(&[("rules.toml", BROKEN)]);
    let ran = run(folder.path(), &["check", "rules.toml"]);
    let locations: Vec<_> = ran.out.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!((locations, ran.exit), (vec!["rules.toml:3:1", "rules.toml:7:9"], Some(1)));
    assert_eq!(ran.err, "error: rules.toml has 2 faults\n");
}

/// `goldens::rules` records the expected faults and compares the parser with them.
#[test]
fn check_prints_the_recorded_faults_of_every_broken_file() {
    let broken = crate::support::repository().join("tests/data/broken-rules");
    let paths = std::fs::read_dir(broken).unwrap().map(|entry| entry.unwrap().path());
    let mut files = 0;
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
        let folder = folder(&[("rules.toml", &std::fs::read_to_string(&path).unwrap())]);
        let ran = run(folder.path(), &["check", "rules.toml"]);
        let faults = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        assert_eq!((ran.out, ran.exit), (faults, Some(1)), "{}", path.display());
        files += 1;
    }
    assert!(files >= 35, "only {files} files were found");
}

#[test]
fn check_prints_faults_as_json() {
    let folder = folder(&[("rules.toml", BROKEN), ("good.toml", "max_age = \"2h\"\n")]);
    let ran = run(folder.path(), &["check", "--format", "json", "rules.toml"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["faults"][0]["line"], &report["faults"][0]["column"]), (&3.into(), &1.into()));
    assert_eq!(report["faults"][0]["suggestion"], "did you mean `at_least`?");
    let ran = run(folder.path(), &["check", "--format", "json", "good.toml"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["faults"], ran.exit), (&Value::Array(Vec::new()), Some(0)));
}

#[test]
fn check_accepts_an_empty_file_and_refuses_a_missing_one() {
    let folder = folder(&[("rules.toml", "max_age = \"2h\"\n")]);
    let ran = run(folder.path(), &["check", "rules.toml"]);
    assert!(ran.out.starts_with("rules.toml: no fault; with the built-in ones "), "{}", ran.out);
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""));
    let ran = run(folder.path(), &["check", "rule.toml"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("rule.toml cannot be read"), "{}", ran.err);
}

#[test]
fn check_prints_warnings_and_exits_with_0() {
    let turned = "[[rule]]\nid = \"soap-low\"\nabove = 10\n";
    let folder = folder(&[("rules.toml", turned)]);
    let ran = run(folder.path(), &["check", "rules.toml"]);
    let warning = "warning: rules.toml:3:9: `above` has the opposite direction of `below` in the rule `soap-low`; \
                   write `below`, or give your own rule another id\n";
    assert!(ran.out.starts_with(warning), "{}", ran.out);
    assert!(ran.out[warning.len()..].starts_with("rules.toml: no fault; with the built-in ones "), "{}", ran.out);
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""));
    let ran = run(folder.path(), &["check", "--format", "json", "rules.toml"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["warnings"][0]["line"], &report["faults"]), (&3.into(), &Value::Array(Vec::new())));
}

#[test]
fn check_compares_rules_with_a_history() {
    let rules = "[[rule]]\nid = \"silent\"\nafter = \"30m\"\nzones = [\"nowhere\"]\n";
    let folder = folder(&[("rules.toml", rules)]);
    let simulated = ["simulate", "--out", "data", "--devices", "20", "--days", "1", "--from", "2026-09-01"];
    let ran = run(folder.path(), &simulated);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    let ran = run(folder.path(), &["check", "--from", "data", "rules.toml"]);
    assert!(
        ran.out.starts_with("warning: rules.toml:4:10: the history has no reading of the zone `nowhere`"),
        "{}",
        ran.out
    );
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""));
    assert_eq!(run(folder.path(), &["check", "rules.toml"]).out.matches("warning").count(), 0);
    assert_eq!(run(folder.path(), &["check", "--from", "no-folder", "rules.toml"]).exit, Some(2));
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_the_byte_and_its_position() {
    let folder = folder(&[("cases.toml", "rules_file = 'rules.toml'\n[[case]]\nname = 'x'\nrun = '10:00 SS p=9'\n")]);
    std::fs::write(folder.path().join("rules.toml"), b"# caf\xe9\n").unwrap();
    std::fs::write(folder.path().join("latin1.toml"), b"\n# caf\xe9\n").unwrap();
    let ran = run(folder.path(), &["check", "rules.toml"]);
    let fault = "rules.toml:1:6: the file is not UTF-8: the byte 0xe9; save the file as UTF-8\n";
    assert_eq!((ran.out.as_str(), ran.exit), (fault, Some(1)));
    for (arguments, expected) in [
        (&["test", "cases.toml"][..], "rules.toml:1:6: the file is not UTF-8"),
        (&["test", "latin1.toml"], "latin1.toml: the file is not UTF-8: the byte 0xe9 in line 2, column 6"),
        (&["serve", "--data", "data", "--credentials", "latin1.toml"], "latin1.toml: the file is not UTF-8"),
        (&["serve", "--data", "data", "--rules", "rules.toml"], "rules.toml:1:6: the file is not UTF-8"),
    ] {
        let ran = run(folder.path(), arguments);
        assert!(ran.exit == Some(1) && ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
}

const PASSES: &str =
    "[[case]]\nname = \"soap\"\nrun = \"\"\"\n10:00 SS p=5\n10:01 SS p=4 => firing medium soap-low 4\n\"\"\"\n";
const FAILS: &str = "[[case]]\nname = \"soap <again>\"\nrun = '10:00 SS p=4'\n";

#[test]
fn test_prints_expected_and_actual_results() {
    let folder = folder(&[("a.toml", PASSES), ("b.toml", FAILS), ("notes.txt", "no case")]);
    let ran = run(folder.path(), &["test", "."]);
    assert_eq!((ran.exit, ran.err.as_str()), (Some(1), "error: 1 of 2 cases failed\n"));
    let expected = "./a.toml: 1 case, 0 failed\n./b.toml: 1 case, 1 failed\n\nFAILED ./b.toml:2: soap <again>\n  line 3: 10:00 SS p=4\n    expected  nothing\n    got       firing medium soap-low 4\n";
    assert_eq!(ran.out, expected);
    assert_eq!(run(folder.path(), &["test", "a.toml"]).exit, Some(0));
    assert_eq!(run(folder.path(), &["test", "a.toml", "--junit", "report.xml"]).exit, Some(2));
}

#[test]
fn test_takes_rules_from_the_case_the_file_or_the_command_line() {
    let rules = |limit: u32| format!("[[rule]]\nid = \"soap-low\"\nbelow = {limit}\n");
    let case = |own: &str| format!("rules_file = \"ten.toml\"\n[[case]]\nname = \"x\"\n{own}run = '10:00 SS p=9'\n");
    let folder = folder(&[
        ("ten.toml", &rules(10)),
        ("five.toml", &rules(5)),
        ("file.toml", &case("")),
        ("own.toml", &case("rules = ''\n")),
    ]);
    let exit = |arguments: &[&str]| run(folder.path(), arguments).exit;
    assert_eq!(exit(&["test", "file.toml"]), Some(1), "9 is below the limit of 10, so an unexpected alert is raised");
    assert_eq!(exit(&["test", "own.toml"]), Some(0));
    assert_eq!(exit(&["test", "file.toml", "--rules", "five.toml"]), Some(0));
}

#[test]
fn test_refuses_a_broken_case_file_with_the_line() {
    let folder = folder(&[("a.toml", "[[case]]\nname = \"x\"\nrun = 'ten SS p=4'\n"), ("empty.toml", "")]);
    let ran = run(folder.path(), &["test", "a.toml"]);
    assert_eq!(ran.exit, Some(1));
    assert!(ran.err.contains("a.toml:3: a line begins with a time"), "{}", ran.err);
    assert_eq!(run(folder.path(), &["test", "empty.toml"]).exit, Some(2));
    assert_eq!(run(folder.path(), &["test"]).exit, Some(2));
}

#[test]
fn completions_are_printed() {
    let folder = folder(&[]);
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef smartclean-push"), ("fish", "complete -c")] {
        let ran = run(folder.path(), &["completions", shell]);
        assert!(ran.out.contains(word) && ran.out.contains("test-alert"), "{shell}");
    }
    assert_eq!(run(folder.path(), &["completions", "cmd"]).exit, Some(2));
}
