//! Lenient views of JSON text: what the vendor sends as a number, a float or a string reads as one value.
//!
//! Nothing here copies a value before it is asked for, and nothing fails on a value's *type*: a field that is not what
//! was hoped for is simply absent. Only text that is not JSON at all is an error.

mod scan;

use std::borrow::Cow;

use serde::de::{Error as _, IgnoredAny};

pub use self::scan::Scanner;

/// Most members that an object may have, those of nested objects included. A member of five bytes takes 40 bytes of memory.
/// The vendor's largest reading, of a feedback tablet, has fewer than 60.
pub const MOST_MEMBERS: usize = 4_096;

/// Why a text is not one JSON object that is read. A retry cannot help.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// It is not well-formed JSON, or not an object.
    #[error("not a JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// It has more members than [`MOST_MEMBERS`].
    #[error("more than {MOST_MEMBERS} members, those of nested objects included")]
    TooManyMembers,
}

/// The text of one JSON value, known to be well-formed and read only when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The value as text: a string's content, or a number as it is written. `None` for anything else and for text that
    /// is empty or only white space, since the vendor sends `""` where it means nothing.
    ///
    /// An unpaired surrogate (`"\ud800"`) becomes U+FFFD: JSON allows it, Unicode text does not.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let text = match self.0.as_bytes().first()? {
            b'"' => string_content(self.0)?,
            b'-' | b'0'..=b'9' => Cow::Borrowed(self.0),
            _ => return None,
        };
        (!text.trim_start().is_empty()).then_some(text)
    }

    /// The value as a finite number, written as a number (`3000`, `2.0`) or as a string (`"3000"`, `"-68"`).
    #[must_use]
    pub fn number(self) -> Option<f64> {
        // Most numbers of a reading are short and whole.
        if let Ok(whole) = self.0.parse::<u32>() {
            return Some(f64::from(whole));
        }
        let text = self.text()?;
        let text = text.trim();
        // `f64::from_str` also reads "inf" and "nan"; a sensor cannot mean those.
        text.parse::<f64>().ok().filter(|number| number.is_finite())
    }

    /// The members of an object, in order, a repeated name with each of its values. `None` for anything else.
    #[must_use]
    pub fn members(self) -> Option<Vec<(Cow<'a, str>, Raw<'a>)>> {
        let mut members = Vec::new();
        let mut scanner = Scanner::new(self.0);
        scanner.object(|scanner, name| {
            members.push((name, scanner.value()?));
            Some(())
        })?;
        Some(members)
    }

    /// Whether the value is an object.
    #[must_use]
    pub fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// The value's own JSON text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// Decodes a JSON string, quotes included. `None` where `quoted` is not one.
fn string_content(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut text = vec![0; quoted.len()];
    let length = Scanner::new(quoted).unescape_any(&mut text)?;
    text.truncate(length);
    String::from_utf8(text).ok().map(Cow::Owned)
}

/// Calls `visit` with each member of the JSON object in `text`, in order. A repeated name is visited each time, so that
/// "the last one wins" is the caller's natural reading.
///
/// # Errors
/// [`ObjectError`]; members before the fault have been visited by then.
pub fn each_member<'a>(text: &'a str, mut visit: impl FnMut(Cow<'a, str>, Raw<'a>)) -> Result<(), ObjectError> {
    let mut scanner = Scanner::new(text).with_most_members(MOST_MEMBERS);
    let walked = scanner.object(|scanner, name| {
        visit(name, scanner.value()?);
        Some(())
    });
    if walked.and_then(|()| scanner.end()).is_some() {
        return Ok(());
    }
    if scanner.is_overfull() {
        return Err(ObjectError::TooManyMembers);
    }
    // Says what is wrong, and where. Not with the value itself, which may be as long as the text.
    serde_json::from_str::<IgnoredAny>(text)?;
    Err(serde_json::Error::custom("expected an object").into())
}

/// Whether `text` is well-formed JSON of any kind, however deeply nested.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw<'_> {
        Scanner::new(text).value().unwrap()
    }

    #[test]
    fn numbers_read_alike_however_they_are_written() {
        for written in ["3000", "3000.0", "3e3", "\"3000\"", "\" 3000 \"", "\"\\u0033000\""] {
            assert_eq!(raw(written).number(), Some(3000.0), "{written}");
        }
    }

    #[test]
    fn what_is_no_number_is_absent() {
        for written in ["null", "true", "\"\"", "\"high\"", "\"NaN\"", "\"inf\"", "1e999", "[1]", "{\"n\":1}"] {
            assert_eq!(raw(written).number(), None, "{written}");
        }
    }

    #[test]
    fn text_is_borrowed_where_nothing_is_escaped() {
        assert!(matches!(raw("\"Toilet 厕所\"").text(), Some(Cow::Borrowed("Toilet 厕所"))));
        assert_eq!(raw("\"a\\\"b\"").text().unwrap(), "a\"b");
        assert_eq!(raw("42").text().unwrap(), "42");
        for absent in ["\"\"", "\"  \"", "null", "{}", "[]", "false"] {
            assert_eq!(raw(absent).text(), None, "{absent}");
        }
    }

    #[test]
    fn an_unpaired_surrogate_becomes_the_replacement_character() {
        assert_eq!(raw(r#""a\ud800b""#).text().unwrap(), "a\u{fffd}b");
        assert_eq!(raw(r#""\udc00\ud800\ufffd""#).text().unwrap(), "\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(raw(r#""\ud83d\ude00""#).text().unwrap(), "😀");
    }

    #[test]
    fn a_control_character_in_a_name_is_no_json() {
        for wrong in ["{\"a\tb\":1}", "{\"a\\u0041\nb\":1}", "{\"\u{0}\":1}"] {
            assert!(each_member(wrong, |_, _| ()).is_err(), "{wrong:?}");
        }
        let mut name = String::new();
        each_member(r#"{"a\tb\ud800":1}"#, |read, _| name = read.into_owned()).unwrap();
        assert_eq!(name, "a\tb\u{fffd}");
    }

    #[test]
    fn members_come_in_order_with_repeats() {
        let members = raw(r#"{"a":1,"b":{"c":2},"a":3}"#).members().unwrap();
        let names: Vec<_> = members.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect();
        assert_eq!(names, ["a=1", "b={\"c\":2}", "a=3"]);
        assert!(raw("[1]").members().is_none());
    }

    #[test]
    fn nesting_of_any_depth_is_walked_without_recursion() {
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let mut seen = 0;
        each_member(&deep, |_, _| seen += 1).unwrap();
        assert_eq!(seen, 1);
        assert!(is_well_formed(&deep));
    }

    #[test]
    fn an_object_may_have_so_many_members_and_one_more_is_too_many_wherever_it_is() {
        let members = |count: usize| vec![r#""":1"#; count].join(",");
        let read = |text: &str| each_member(text, |_, _| ()).map_err(|fault| fault.to_string());
        assert_eq!(read(&format!("{{{}}}", members(MOST_MEMBERS))), Ok(()));
        assert_eq!(read(&format!(r#"{{"v":[{{{}}}]}}"#, members(MOST_MEMBERS - 1))), Ok(()));
        for text in [
            format!("{{{}}}", members(MOST_MEMBERS + 1)),
            format!(r#"{{"v":[{{{}}}]}}"#, members(MOST_MEMBERS)),
            // Nothing beyond is looked at.
            format!("{{{},oops", members(MOST_MEMBERS + 1)),
        ] {
            assert_eq!(read(&text).unwrap_err(), "more than 4096 members, those of nested objects included");
        }
        // Elements are no members: they take no memory of their own.
        assert_eq!(read(&format!(r#"{{"v":[{}0]}}"#, "0,".repeat(MOST_MEMBERS))), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_the_text() {
        for text in [format!("\"{}\"", "x".repeat(9_999)), format!("[\"{}\"]", "x".repeat(9_999)), "9".repeat(9_999)] {
            let said = each_member(&text, |_, _| ()).unwrap_err().to_string();
            assert_eq!(said, "not a JSON object: expected an object");
        }
    }

    #[test]
    fn text_after_the_object_is_an_error() {
        assert!(each_member("{} x", |_, _| ()).is_err());
        assert!(each_member(" {} \n", |_, _| ()).is_ok());
    }
}
