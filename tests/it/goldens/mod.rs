//! Goldens: recorded outputs under `tests/`. A change of an output fails these tests and is reviewed as a diff.
//!
//! `make goldens` compares them, `make goldens RECORD=yes` records them. A changed golden is a commit of its own.

mod alerts;
mod events;
mod help;
mod metrics;
mod rules;
mod texts;

/// Maximum number of differing lines in a failure message.
const LINES: usize = 3;
/// Maximum number of characters of a line in a failure message.
const WIDTH: usize = 160;
/// Number of these characters before the first difference.
const BEFORE: usize = 40;

/// Compares each text with its golden. The name is a path below `tests/`. With `GOLDENS=record` in the environment,
/// writes the goldens instead.
fn compare(texts: impl IntoIterator<Item = (String, String)>) {
    let record = std::env::var_os("GOLDENS").is_some_and(|wanted| wanted == "record");
    let mut differences = String::new();
    for (name, text) in texts {
        let path = crate::support::repository().join("tests").join(&name);
        if record {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            continue;
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|fault| format!("({fault})"));
        if let Some(difference) = difference(&golden, &text) {
            differences += &format!("tests/{name} differs from this build's output, first in {difference}\n");
        }
    }
    assert!(
        differences.is_empty(),
        "{differences}If the change is intended: run `make goldens RECORD=yes`, review `git diff tests`, and commit the \
         goldens in their own commit."
    );
}

/// Returns the first differing lines, each starting shortly before its first difference.
fn difference(golden: &str, text: &str) -> Option<String> {
    if golden == text {
        return None;
    }
    let (golden, text): (Vec<&str>, Vec<&str>) = (golden.split('\n').collect(), text.split('\n').collect());
    let first = golden.iter().zip(&text).take_while(|(old, new)| old == new).count();
    let mut shown = format!("line {}:", first + 1);
    for number in first..golden.len().max(text.len()).min(first + LINES) {
        let (old, new) = (golden.get(number).copied(), text.get(number).copied());
        if old != new {
            let same = old.unwrap_or_default().chars().zip(new.unwrap_or_default().chars());
            let from = same.take_while(|(old, new)| old == new).count().saturating_sub(BEFORE);
            shown += &format!("\n  golden: {}\n  output: {}", excerpt(old, from), excerpt(new, from));
        }
    }
    Some(shown)
}

fn excerpt(line: Option<&str>, from: usize) -> String {
    let Some(line) = line else { return "(no such line)".to_owned() };
    let cut = |is_cut| if is_cut { "…" } else { "" };
    let part: String = line.chars().skip(from).take(WIDTH).collect();
    format!("{}{part}{}", cut(from > 0), cut(line.chars().count() > from + WIDTH))
}

#[test]
fn a_difference_is_reported_with_the_first_differing_lines_and_characters() {
    assert_eq!(difference("same\n", "same\n"), None);
    let long = "é".repeat(500);
    let shown = difference(&format!("same\n{long}old{long}\nsame\n"), &format!("same\n{long}new{long}\nsame\nmore"));
    let (before, after) = ("é".repeat(BEFORE), "é".repeat(WIDTH - BEFORE - 3));
    let lines = [
        "line 2:".to_owned(),
        format!("  golden: …{before}old{after}…"),
        format!("  output: …{before}new{after}…"),
        "  golden: ".to_owned(),
        "  output: more".to_owned(),
    ];
    assert_eq!(shown, Some(lines.join("\n")));
    assert_eq!(difference("a\n", "a"), Some("line 2:\n  golden: \n  output: (no such line)".to_owned()));
}
