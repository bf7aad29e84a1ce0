//! Injection: hostile values in every field that is passed on, at every output.
//!
//! | output | promise |
//! |---|---|
//! | subjects, SMS, default texts | one line of visible characters, within the length limit |
//! | email | no line added by a value |
//! | JSON for programs, `alerts.ndjson`, the function's log | the same members as for a plain name, one record per line |
//! | terminal, the server's log | no control characters except our line feeds, and no line added by a value |
//! | the report | the same markup as for plain names |
//! | object names, files | digits of time and content only |
//! | state keys | a different one for each zone |
//! | metrics, error responses | nothing of the value |
//! | stored readings, Parquet | the exact text: other programs display it |

mod keys;
mod logs;
mod report;
mod terminal;
mod texts;

use serde_json::{Value, json};

/// The payloads, each with its attempt.
pub(crate) fn payloads() -> Vec<(&'static str, String)> {
    let mut payloads: Vec<(&'static str, String)> = [
        ("a header of its own", "x\r\nX-Evil: 1\r\n\r\nevil"),
        ("a line of the log", "x\n2026-01-01T00:00:00.000000Z  INFO push client=\"evil\""),
        ("a line of the terminal", "x\rALERT [CRITICAL] evil"),
        ("colours", "\u{1b}[31;5mevil\u{1b}[0m"),
        ("a title of the window", "\u{1b}]0;evil\u{7}"),
        ("a link", "\u{1b}]8;;http://evil/\u{1b}\\evil\u{1b}]8;;\u{1b}\\"),
        ("controls of one byte", "\u{9b}31mevil\u{9d}0;evil\u{9c}\u{85}\u{7f}"),
        ("letters back to front", "a\u{202e}live\u{202c}\u{2066}b\u{2069}"),
        ("fingerprints of direction", "\u{200f}\u{200e}\u{61c}evil"),
        ("separators", "a\u{2028}evil\u{2029}b\u{85}c\u{b}d\u{c}e"),
        ("the end of a text", "a\u{0}evil"),
        ("markup", "<script>evil()</script><img src=x onerror=evil()>"),
        ("an attribute", "\" onmouseover=\"evil()\" x='\" style='"),
        ("an end of a comment, of a style, of data", "--></style></svg>]]><svg onload=evil()>&lt;"),
        ("a member", "\",\"severity\":\"critical\",\"evil\":\"\\"),
        ("a formula", "=cmd|'/c evil'!A1"),
        ("formulas of other signs", "@SUM(1)\t+1-1"),
        ("a path", "../../../../etc/passwd"),
        ("a path of another system", "..\\..\\evil\u{0}.txt"),
        ("a statement", "'; DROP TABLE documents; --"),
        ("a placeholder", "{value}{{}}{location}${evil}%s%n%08x"),
        ("a metric", "x\"} 1\nsmartclean_push_pushes_total 666\n# EOF"),
        ("nothing to see", "\u{200b}\u{feff}\u{2060}"),
        ("a mark for many", "e\u{301}\u{301}\u{301}vil\u{20dd}"),
    ]
    .map(|(what, payload)| (what, payload.to_owned()))
    .into();
    payloads.push(("as much as there is room for", "evil ".repeat(100_000)));
    payloads.push(("one letter of a thousand fingerprints", format!("e{}", "\u{301}".repeat(10_000))));
    payloads
}

/// The fields of a reading that are passed on.
pub(crate) const FIELDS: [&str; 9] =
    ["Display", "DEVID", "InsID", "PID", "PropId", "DevType", "Region", "reason", "DASSOC"];

/// A bad feedback with these fields, which raises an alert.
pub(crate) fn feedback(at: jiff::Timestamp, fields: &[(&str, &str)]) -> String {
    let value = |name: &str, otherwise: &str| -> String {
        fields.iter().find(|(field, _)| *field == name).map_or(otherwise, |(_, value)| value).to_owned()
    };
    let mut reading = json!({
        "DevType": "SMARTCLEAN#FD", "DEVID": value("DEVID", "device"), "Display": value("Display", "Washroom 3"),
        "InsID": value("InsID", "zone"), "PID": value("PID", "project"), "PropId": value("PropId", "property"),
        "DASSOC": value("DASSOC", "physical"), "Region": value("Region", "Asia/Singapore"),
        "unixT": at.as_millisecond(),
        "v": {"rating": 5, "reasons": {"ID_1": {"ID": "1", "Name": value("reason", "Wet floor"), "selector": 1}}},
    });
    if fields.iter().any(|(field, _)| *field == "DevType") {
        // An unknown type is shown by its name. It needs the rule `own_type`.
        reading["DevType"] = Value::from(value("DevType", ""));
    }
    reading.to_string()
}

/// A rule for feedback of any type, so that an unknown type raises an alert.
pub(crate) const ANY_TYPE: &str = "
[[rule]]
id = \"any\"
title = \"Bad rating\"
metric = \"rating\"
at_least = 4
severity = \"high\"
";

/// Whether a character is invisible and changes its surroundings: controls, line breaks, direction marks.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Asserts that a text of one line has no hidden characters.
pub(crate) fn assert_plain(text: &str, what: &str) {
    let hidden: Vec<char> = text.chars().filter(|c| is_hidden(*c)).collect();
    assert!(hidden.is_empty(), "{what}: {hidden:?} in {:?}", &text.chars().take(400).collect::<String>());
}
