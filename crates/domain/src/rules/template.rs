//! Message templates with placeholders: `{location}: {value} {unit} at {time}`. `{{` and `}}` are braces.

/// The names of placeholders.
///
/// `location`: name of the location. `what`, `value`, `unit`, `limit`: of the first breach. `breaches`: all breaches in words.
/// `time`, `date`: local time. `since`, `duration`: of a sustained breach, a sum or a silence. `title`, `action`, `severity`: of the rule.
/// `reasons`: of feedback. `type`: of the device, in words. `device`, `zone`, `project`, `property`: ids. A value that an alert
/// does not have is empty; an id is "unknown".
pub const PLACEHOLDERS: &[&str] = &[
    "location", "what", "value", "unit", "limit", "breaches", "time", "date", "zone", "project", "property", "device",
    "type", "severity", "title", "action", "reasons", "since", "duration",
];

/// A part of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// A name in braces.
    Placeholder(&'a str),
    /// A brace without its partner.
    Stray(&'a str),
}

/// The faults of `template`: each name that is not in [`PLACEHOLDERS`], and each brace (`{` or `}`) without its partner.
///
/// # Examples
/// ```
/// use domain::rules::template::unknown_placeholders;
/// assert_eq!(unknown_placeholders("{location}: {valu} }"), ["valu", "}"]);
/// assert!(unknown_placeholders("{{{location}}}").is_empty());
/// ```
#[must_use]
pub fn unknown_placeholders(template: &str) -> Vec<&str> {
    let fault = |piece| match piece {
        Piece::Placeholder(name) if !PLACEHOLDERS.contains(&name) => Some(name),
        Piece::Stray(brace) => Some(brace),
        Piece::Text(_) | Piece::Placeholder(_) => None,
    };
    pieces(template).filter_map(fault).collect()
}

/// Replaces each placeholder of `template` with its value. A value is not a template: a device named `{value}` keeps that name.
/// Faults stay as they are written. Each run of white space becomes one space.
///
/// # Examples
/// ```
/// use domain::rules::template::filled;
/// let value_of = |name: &str| (name == "value").then(|| "270".to_owned());
/// assert_eq!(filled("ammonia {value} {unit}", value_of), "ammonia 270 {unit}");
/// ```
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

/// The piece at the beginning of `template`, which is a brace, and the rest.
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
    fn a_value_is_not_a_template() {
        assert_eq!(filled("{location}: {value}", value_of), "{value} {{: 270");
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(filled("{{value}} {{{value}}}", value_of), "{value} {270}");
        assert!(unknown_placeholders("{{valu}} }} {{").is_empty());
    }

    #[test]
    fn the_text_is_one_line_with_single_spaces() {
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
    fn faults_of_a_template_stay_as_they_are_written() {
        for faulty in ["{plaze} } {", "{", "}", "{}"] {
            assert_eq!(filled(faulty, value_of), faulty);
        }
    }
}
