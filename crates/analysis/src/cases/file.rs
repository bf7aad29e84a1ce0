//! Parses a case file.

use toml::Spanned;

use super::line::CaseLine;

/// A file of cases.
#[derive(Clone, Debug)]
pub struct CaseFile {
    /// The rules file for cases without own rules. Its path is relative to the case file.
    pub rules_file: Option<String>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// Its own rules, laid over the built-in ones.
    pub rules: Option<String>,
    pub(super) lines: Vec<CaseLine>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFileDraft {
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
    /// Parses the text of a file. `file` is its name in errors.
    ///
    /// # Errors
    /// `cases.toml:12: what is wrong`, for each line that cannot be parsed.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<String>> {
        let line_at = |offset: usize| text[..text.floor_char_boundary(offset)].matches('\n').count() + 1;
        let draft: CaseFileDraft = toml::from_str(text).map_err(|error| {
            let line = line_at(error.span().map_or(0, |span| span.start));
            vec![format!("{file}:{line}: {}", error.message().trim().replace('\n', ", "))]
        })?;
        let (mut cases, mut errors) = (Vec::new(), Vec::new());
        for CaseDraft { name, rules, run } in draft.case {
            // A line break after the opening quotes is not part of the text.
            let opening = &text[run.span()];
            let skipped = usize::from(opening.trim_start_matches(['"', '\'']).starts_with(['\n', '\r']));
            let first = line_at(run.span().start) + skipped;
            let mut lines = Vec::new();
            for (index, line) in run.get_ref().lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let number = first + index;
                match CaseLine::parse(number, line) {
                    Ok(line) => lines.push(line),
                    Err(message) => errors.push(format!("{file}:{number}: {message}")),
                }
            }
            cases.push(Case { line: line_at(name.span().start), name: name.into_inner(), rules, lines });
        }
        if errors.is_empty() { Ok(Self { rules_file: draft.rules_file, cases }) } else { Err(errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        CaseFile::parse("cases.toml", text).unwrap_err()
    }

    #[test]
    fn every_error_has_its_line() {
        let text = "[[case]]\nname = \"one\"\nrun = \"\"\"\n10:00 SS p=4\nten SS p=4\n\n10:00\n\"\"\"\n[[case]]\nname = \"two\"\nrun = '25:00 SS p=4'\n";
        let errors = errors(text);
        let lines: Vec<_> = errors.iter().map(|error| error.split(": ").next().unwrap()).collect();
        assert_eq!(lines, ["cases.toml:5", "cases.toml:7", "cases.toml:11"]);
    }

    #[test]
    fn a_text_that_is_no_case_file_is_one_error() {
        assert!(errors("[[case]\n")[0].starts_with("cases.toml:1: "));
        assert!(errors("[[case]]\nname = \"x\"\nrum = \"\"\n")[0].starts_with("cases.toml:3: unknown field `rum`"));
        assert!(errors("[[case]]\nname = \"x\"\n")[0].contains("missing field `run`"));
    }

    #[test]
    fn cases_and_lines_have_their_line_numbers() {
        let file = CaseFile::parse("c", "rules_file = \"r\"\n[[case]]\nrun = \"10:00 sweep\"\nname = \"x\"\n").unwrap();
        assert_eq!((file.rules_file.as_deref(), file.cases[0].line), (Some("r"), 4));
        assert_eq!(file.cases[0].lines[0].number, 3);
    }
}
