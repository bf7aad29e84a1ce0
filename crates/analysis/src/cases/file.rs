//! A case file as it is written.

use toml::Spanned;

use super::CaseError;
use super::step::Step;

/// A file of cases.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// A rules file for every case that has no rules of its own, relative to this one.
    pub rules_file: Option<String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// Its own rules, laid over the built-in ones.
    pub rules: Option<String>,
    pub(super) steps: Vec<Step>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDraft {
    rules_file: Option<String>,
    #[serde(default)]
    case: Vec<CaseDraft>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseDraft {
    name: Spanned<String>,
    rules: Option<String>,
    run: Spanned<String>,
}

impl CaseFile {
    /// Reads a file's text; `file` is what faults call it.
    ///
    /// # Errors
    /// Everything in it that is no case, each with its line. Only another text can help.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<CaseError>> {
        let line_at = |offset: usize| text[..text.floor_char_boundary(offset)].matches('\n').count() + 1;
        let fault = |line, message| CaseError { file: file.to_owned(), line, message };
        let draft: FileDraft = toml::from_str(text).map_err(|error| {
            let line = line_at(error.span().map_or(0, |span| span.start));
            vec![fault(line, error.message().trim().replace('\n', ", "))]
        })?;
        let mut faults = Vec::new();
        let mut cases = Vec::new();
        for CaseDraft { name, rules, run } in draft.case {
            // Behind the opening quotes a line break is not part of the text.
            let opening = &text[run.span()];
            let skipped = usize::from(opening.trim_start_matches(['"', '\'']).starts_with(['\n', '\r']));
            let first = line_at(run.span().start) + skipped;
            let mut steps = Vec::new();
            for (index, line) in run.get_ref().lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                match Step::parse(first + index, line) {
                    Ok(step) => steps.push(step),
                    Err(message) => faults.push(fault(first + index, message)),
                }
            }
            cases.push(Case { line: line_at(name.span().start), name: name.into_inner(), rules, steps });
        }
        if faults.is_empty() { Ok(Self { rules_file: draft.rules_file, cases }) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        CaseFile::parse("cases.toml", text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_has_its_line() {
        let text = "[[case]]\nname = \"one\"\nrun = \"\"\"\n10:00 SS p=4\nten SS p=4\n\n10:00\n\"\"\"\n[[case]]\nname = \"two\"\nrun = '25:00 SS p=4'\n";
        let faults = faults(text);
        let lines: Vec<_> = faults.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["cases.toml:5", "cases.toml:7", "cases.toml:11"]);
    }

    #[test]
    fn what_is_no_case_file_is_one_fault() {
        assert!(faults("[[case]\n")[0].starts_with("cases.toml:1: "));
        assert!(faults("[[case]]\nname = \"x\"\nrum = \"\"\n")[0].starts_with("cases.toml:3: unknown field `rum`"));
        assert!(faults("[[case]]\nname = \"x\"\n")[0].contains("missing field `run`"));
    }

    #[test]
    fn a_case_knows_where_it_stands() {
        let file = CaseFile::parse("c", "rules_file = \"r\"\n[[case]]\nrun = \"10:00 sweep\"\nname = \"x\"\n").unwrap();
        assert_eq!((file.rules_file.as_deref(), file.cases[0].line), (Some("r"), 4));
        assert_eq!(file.cases[0].steps[0].line, 3);
    }
}
