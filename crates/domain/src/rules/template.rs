//! A rule's own words: text with placeholders in braces, `{location}: {value} {unit} at {time}`. `{{` and `}}` are braces.

/// The names that a template may use.
///
/// `location` the name of the location; `what` the metric that crossed its limit, `value` `unit` `limit` of it (of the first,
/// where there are several; `breaches` has them all in words); `time` `date` on the clock of the location; `since` when it
/// began and `duration` how long that is (a limit that was broken for a while, a sum, silence); `title` `severity` of
/// the rule; `reasons` that were named; `type` of the device in words; and the ids `device` `zone` `project`
/// `property`. What an alert does not have is left empty, ids are "unknown".
pub const PLACEHOLDERS: &[&str] = &[
    "location", "what", "value", "unit", "limit", "breaches", "time", "date", "zone", "project", "property", "device",
    "type", "severity", "title", "reasons", "since", "duration",
];

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// To be taken as it is.
    Text(&'a str),
    /// A name in braces.
    Placeholder(&'a str),
    /// A brace without a partner.
    Stray(&'a str),
}

/// What is wrong with `template`: each name that is not one of [`PLACEHOLDERS`], and each brace that has no partner (`{` or
/// `}`). Empty where all is well.
///
/// ```
/// use domain::rules::template::unknown_placeholders;
/// assert_eq!(unknown_placeholders("{location}: {valu} }"), ["valu", "}"]);
/// assert!(unknown_placeholders("{{{location}}}").is_empty());
/// ```
#[must_use]
pub fn unknown_placeholders(template: &str) -> Vec<&str> {
    let diagnostic = |piece| match piece {
        Piece::Placeholder(name) if !PLACEHOLDERS.contains(&name) => Some(name),
        Piece::Stray(brace) => Some(brace),
        Piece::Text(_) | Piece::Placeholder(_) => None,
    };
    pieces(template).filter_map(diagnostic).collect()
}

/// `template` with each placeholder replaced by what `value_of` has for it. What is filled in is never read again, so
/// that a device named `{value}` is called that. What is faulty stays as it is written. One line: white space of any
/// kind and length becomes one space, also where nothing was filled in between two.
#[must_use]
pub fn filled(template: &str, value_of: impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(plain) | Piece::Stray(plain) => text.push_str(plain),
            Piece::Placeholder(name) => match value_of(name) {
                Some(value) => text.push_str(&value),
                None => text.extend(["{", name, "}"]),
            },
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn pieces(mut template: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let (piece, rest) = match template.find(['{', '}']) {
            Some(0) => brace(template),
            found => {
                let (text, rest) = template.split_at(found.unwrap_or(template.len()));
                (Piece::Text(text), rest)
            }
        };
        let piece = (!template.is_empty()).then_some(piece);
        template = rest;
        piece
    })
}

/// The piece that begins with the brace at the beginning of `template`, and what is left behind it.
fn brace(template: &str) -> (Piece<'_>, &str) {
    let (brace, rest) = template.split_at(1);
    if let Some(rest) = rest.strip_prefix(brace) {
        return (Piece::Text(brace), rest);
    }
    match rest.split_once('}').filter(|(name, _)| brace == "{" && !name.contains('{')) {
        Some((name, rest)) => (Piece::Placeholder(name), rest),
        None => (Piece::Stray(brace), rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(name: &str) -> Option<String> {
        match name {
            "location" => Some("{value} {{".to_owned()),
            "value" => Some("270".to_owned()),
            "unit" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn placeholders_are_filled_and_the_rest_stays() {
        assert_eq!(filled("It is {value}!", value_of), "It is 270!");
        assert_eq!(filled("nothing to fill", value_of), "nothing to fill");
        assert_eq!(filled("", value_of), "");
    }

    #[test]
    fn what_is_filled_in_is_never_a_placeholder_itself() {
        assert_eq!(filled("{location}: {value}", value_of), "{value} {{: 270");
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(filled("{{value}} {{{value}}}", value_of), "{value} {270}");
        assert!(unknown_placeholders("{{valu}} }} {{").is_empty());
    }

    #[test]
    fn a_text_of_several_lines_or_with_something_absent_is_one_line_with_single_spaces() {
        assert_eq!(filled("A\n  {value} {unit} over\r\n", value_of), "A 270 over");
    }

    #[test]
    fn every_documented_placeholder_is_known_and_others_are_reported() {
        for name in PLACEHOLDERS {
            assert!(unknown_placeholders(&format!("é {{{name}}}")).is_empty(), "{name}");
        }
        for (template, diagnostics) in [
            ("é {plaze}", &["plaze"][..]),
            ("{}{ location }{Location}", &["", " location ", "Location"]),
            ("{location", &["{"]),
            ("{pla{location}", &["{"]),
            ("location}", &["}"]),
            ("{location}}", &["}"]),
            ("}{", &["}", "{"]),
        ] {
            assert_eq!(unknown_placeholders(template), diagnostics, "{template}");
        }
    }

    #[test]
    fn a_faulty_template_is_said_as_it_is_written() {
        for faulty in ["{plaze} } {", "{", "}", "{}"] {
            assert_eq!(filled(faulty, value_of), faulty);
        }
    }
}
