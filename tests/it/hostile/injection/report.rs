//! Injection into the HTML reports.

use std::collections::BTreeSet;

use super::is_hidden;
use super::terminal::{ATTACKED, Attacked, PLAIN};
use crate::support::command;

/// Returns the report that a command writes about the stored readings.
fn page(attacked: &Attacked, arguments: &[&str]) -> String {
    let folder = attacked.copied();
    let output = command(&[arguments, &["--from", "data", "--html", "report.html"]].concat())
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read_to_string(folder.path().join("report.html")).unwrap()
}

/// Returns the distinct names of the tags and attributes of a page.
fn markup(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = page;
    while let Some((_, tag)) = rest.split_once('<') {
        let (mut name, mut quoted, mut end) = (String::new(), None, tag.len());
        for (at, c) in tag.char_indices() {
            match (quoted, c) {
                (None, '>') => {
                    end = at;
                    break;
                }
                (None, '"' | '\'') => quoted = Some(c),
                (Some(open), c) if c == open => quoted = None,
                (Some(_), _) => {}
                (None, c) => name.push(c),
            }
        }
        found.extend(name.split_whitespace().map(|part| part.trim_end_matches('=').to_owned()));
        rest = &tag[end..];
    }
    found
}

#[test]
fn no_name_changes_the_markup_of_the_report() {
    for arguments in [&["backtest", "--against", "built-in"][..], &["sla", "--rules", "built-in"]] {
        let plain = markup(&page(&PLAIN, arguments));
        assert!(plain.contains("table") && plain.contains("class") && !plain.contains("script"), "{plain:?}");
        let page = page(&ATTACKED, arguments);
        let found = markup(&page);
        assert_eq!(found.difference(&plain).collect::<Vec<_>>(), Vec::<&String>::new());
        assert_eq!(page.chars().find(|c| is_hidden(*c) && *c != '\n'), None);
        for part in ["<script", "<img src=x", "<svg onload", "\" onmouseover=\"evil", "]]>"] {
            assert!(!page.contains(part), "{part}");
        }
        assert!(page.contains("&lt;script&gt;evil()"), "names are shown, escaped");
    }
}

#[test]
fn the_measurement_detects_unescaped_markup() {
    let plain = markup("<p class=\"a > b\">x</p>");
    assert_eq!(plain.iter().map(String::as_str).collect::<Vec<_>>(), ["/p", "class", "p"]);
    assert!(markup("<p class=\"\" onmouseover=\"evil()\" x=''>y</p>").contains("onmouseover"));
    assert!(markup("<p>x<script>evil()</script></p>").contains("script"));
}
