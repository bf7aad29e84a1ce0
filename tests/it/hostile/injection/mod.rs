//! Values that try to be more than values, in every field that is told on, at every place where they come out.
//!
//! | location | what holds there |
//! |---|---|
//! | subjects, SMS, default texts | one line of what can be seen, within the protocol's length |
//! | email | no line that a value made |
//! | JSON for programs, `alerts.ndjson`, the function's log | the same members as for a plain name, a record a line |
//! | terminal, the server's log | no control but the line feeds of our own, and no line that a value made |
//! | the report | the same markup as for plain names |
//! | object names, files | made of digits of time and content alone |
//! | state keys | another one for each zone, however it is called |
//! | metrics, answers with an error | no word of it |
//! | stored readings, Parquet | to the letter: what is kept is data, and is shown by other programs as they see fit |

mod keys;
mod logs;
mod report;
mod terminal;
mod texts;

use serde_json::{Value, json};

/// What each payload attempts, and the payload.
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

/// The fields of a reading that are told on.
pub(crate) const FIELDS: [&str; 9] =
    ["Display", "DEVID", "InsID", "PID", "PropId", "DevType", "Region", "reason", "DASSOC"];

/// A bad feedback in which each of these fields has its value; it raises an alert.
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
        // No documented type: its own name is told. `own_type` is the rule that it needs.
        reading["DevType"] = Value::from(value("DevType", ""));
    }
    reading.to_string()
}

/// A rule for feedback of any type, so that also one that is not documented raises an alert.
pub(crate) const ANY_TYPE: &str = "
[[rule]]
id = \"any\"
title = \"Bad rating\"
metric = \"rating\"
at_least = 4
severity = \"high\"
";

/// Whether a character shows nothing by itself and changes what stands around it: controls, line breaks, fingerprints that turn
/// the direction.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// That a text of one line holds nothing hidden.
pub(crate) fn assert_plain(text: &str, what: &str) {
    let hidden: Vec<char> = text.chars().filter(|c| is_hidden(*c)).collect();
    assert!(hidden.is_empty(), "{what}: {hidden:?} in {:?}", &text.chars().take(400).collect::<String>());
}
