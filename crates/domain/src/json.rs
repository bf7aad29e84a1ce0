//! Lenient views of JSON text: the vendor sends the same value as a number, a float or a string.
//!
//! Values are not copied before they are used. A value of another type than expected is absent; only text that is not JSON is an
//! error.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// The text of one well-formed JSON value.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct Raw<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Raw<'a> {
    /// The content of a string, or a number as it is written. `None` for other values and for blank text: the vendor sends `""`
    /// for no value.
    ///
    /// An unpaired surrogate (`"\ud800"`) becomes U+FFFD: JSON allows it, Unicode text does not.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let text = match self.as_str().as_bytes().first()? {
            b'"' => self.content(),
            b'-' | b'0'..=b'9' => Cow::Borrowed(self.as_str()),
            _ => return None,
        };
        text.contains(|character: char| !character.is_whitespace()).then_some(text)
    }

    /// The finite number, from a number (`3000`, `2.0`) or a string (`"3000"`, `"-68"`).
    #[must_use]
    pub fn number(self) -> Option<f64> {
        // Most numbers of a reading are whole. The conversion rounds as `f64::from_str` does.
        if let Ok(whole) = self.as_str().parse::<u64>() {
            return Some(whole as f64);
        }
        let text = self.text()?;
        let text = text.trim();
        // `f64::from_str` also parses "inf" and "nan".
        text.parse::<f64>().ok().filter(|number| number.is_finite())
    }

    /// The first `most` members of an object, in order, with each value of a repeated name. Empty for other values.
    #[must_use]
    pub fn members(self, most: usize) -> Vec<(Cow<'a, str>, Raw<'a>)> {
        let mut members = Vec::new();
        let visited = each_member(self.as_str(), |name, value| {
            if members.len() < most {
                members.push((name, value));
            }
        });
        visited.map_or_else(|_| Vec::new(), |()| members)
    }

    /// The last member with this name. `None` if there is none, or if the value is not an object.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Raw<'a>> {
        let mut last = None;
        each_member(self.as_str(), |key, value| {
            if key == name {
                last = Some(value);
            }
        })
        .ok()?;
        last
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0.get()
    }

    /// The content of a string. `None` for other values and for a string with an unpaired surrogate.
    #[must_use]
    pub fn string(self) -> Option<String> {
        let mut text = Vec::new();
        self.unescape_into(&mut text)?;
        String::from_utf8(text).ok()
    }

    /// Appends the content of a string to `text`, in UTF-8. `None` for other values and for a string with an unpaired surrogate;
    /// then `text` is unchanged.
    ///
    /// Nearly all escapes of a push, which is JSON in JSON in JSON, are quotes and backslashes. `serde_json` needs more than twice
    /// the instructions for them. It unescapes the strings with another escape.
    #[must_use]
    pub(super) fn unescape_into(self, text: &mut Vec<u8>) -> Option<()> {
        let mut rest = self.quoted()?.as_bytes();
        let start = text.len();
        text.resize(start + rest.len(), 0);
        let mut room = &mut text[start..];
        loop {
            // Copies eight bytes at once. Those behind a backslash are overwritten.
            if let (Some(eight), Some(copy)) = (rest.first_chunk(), room.first_chunk_mut()) {
                *copy = *eight;
                let plain = bytes_before_backslash(*eight);
                (rest, room) = (&rest[plain..], &mut room[plain..]);
                if plain == 8 {
                    continue;
                }
            }
            let (byte, after) = match rest {
                [b'\\', byte @ (b'"' | b'\\' | b'/'), after @ ..] => (byte, after),
                [b'\\', ..] => {
                    text.truncate(start);
                    text.extend(serde_json::from_str::<String>(self.as_str()).ok()?.into_bytes());
                    return Some(());
                }
                [byte, after @ ..] => (byte, after),
                [] => break,
            };
            let (copy, free) = room.split_first_mut()?;
            *copy = *byte;
            (rest, room) = (after, free);
        }
        let free = room.len();
        text.truncate(text.len() - free);
        Some(())
    }

    /// The content of a string, with U+FFFD for an unpaired surrogate. Empty for other values.
    fn content(self) -> Cow<'a, str> {
        match self.quoted() {
            Some(plain) if plain.bytes().all(|byte| byte != b'\\') => Cow::Borrowed(plain),
            _ => Cow::Owned(Deserializer::from_str(self.as_str()).deserialize_bytes(LossyText).unwrap_or_default()),
        }
    }

    /// The text between the quotes of a string; `None` for other values.
    fn quoted(self) -> Option<&'a str> {
        let text = self.as_str();
        if text.starts_with('"') { text.get(1..text.len() - 1) } else { None }
    }
}

/// The number of bytes before the first backslash.
fn bytes_before_backslash(eight: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // A backslash becomes 0. The lowest bit of `zeros` is the highest bit of the first byte that is 0.
    let bytes = u64::from_le_bytes(eight) ^ (ONES * u64::from(b'\\'));
    let zeros = bytes.wrapping_sub(ONES) & !bytes & (ONES << 7);
    zeros.trailing_zeros() as usize / 8
}

/// Calls `visit` with each member of the JSON object in `text`, in order. A repeated name is visited each time.
///
/// # Errors
/// If `text` is not exactly one well-formed JSON object. The members before the error are visited first. A retry does not help.
///
/// # Examples
/// ```
/// let mut count = None;
/// domain::json::each_member(r#"{"count":"30"}"#, |_, value| count = value.number())?;
/// assert_eq!(count, Some(30.0));
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn each_member<'a>(text: &'a str, visit: impl FnMut(Cow<'a, str>, Raw<'a>)) -> serde_json::Result<()> {
    let mut deserializer = Deserializer::from_str(text);
    let members = MembersVisitor { is_plain: is_plain(text), visit };
    let visited = deserializer.deserialize_map(members).and_then(|()| deserializer.end());
    // The error of a wrong type contains the value, which can be as long as the text.
    visited.map_err(|error| if error.is_data() { serde_json::Error::custom("expected an object") } else { error })
}

/// Calls `visit` with each element of the JSON array in `text`, in order. A list of the elements could need eight times the memory
/// of the text.
///
/// # Errors
/// If `text` is not exactly one well-formed JSON array. The elements before the error are visited first. A retry does not help.
pub fn each_element<'a>(text: &'a str, visit: impl FnMut(Raw<'a>)) -> serde_json::Result<()> {
    let mut deserializer = Deserializer::from_str(text);
    deserializer.deserialize_seq(ElementsVisitor(visit)).and_then(|()| deserializer.end())
}

/// Whether `text` is well-formed JSON, however deeply nested.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether `text` has no backslash and no control character.
fn is_plain(text: &str) -> bool {
    // Without an early return, the compiler vectorizes the loop.
    text.bytes().fold(true, |is_plain, byte| is_plain & (byte != b'\\') & (byte >= b' '))
}

struct MembersVisitor<F> {
    is_plain: bool,
    visit: F,
}

impl<'de, F: FnMut(Cow<'de, str>, Raw<'de>)> Visitor<'de> for MembersVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.is_plain {
            while let Some((name, value)) = map.next_entry::<&str, Raw<'de>>()? {
                (self.visit)(Cow::Borrowed(name), value);
            }
        } else {
            // A name can have an unpaired surrogate, and a `str` cannot.
            while let Some((name, value)) = map.next_entry::<Raw<'de>, Raw<'de>>()? {
                (self.visit)(name.content(), value);
            }
        }
        Ok(())
    }
}

struct ElementsVisitor<F>(F);

impl<'de, F: FnMut(Raw<'de>)> Visitor<'de> for ElementsVisitor<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// Decodes the bytes of a JSON string, which are UTF-8 except for unpaired surrogates.
struct LossyText;

impl Visitor<'_> for LossyText {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            // The first of the three bytes of a surrogate.
            if chunk.invalid() == [0xed] {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Raw<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_read_alike_however_they_are_written() {
        for written in ["3000", "3000.0", "3e3", "\"3000\"", "\" 3000 \"", "\"\\u0033000\""] {
            assert_eq!(raw(written).number(), Some(3000.0), "{written}");
        }
    }

    #[test]
    fn whole_numbers_are_rounded_as_others_are() {
        for whole in ["0", "1788220800000", "9007199254740993", "9007199254740995", "18446744073709551615"] {
            let number = raw(whole).number();
            assert_eq!(number, raw(&format!("{whole}.0")).number(), "{whole}");
            assert_eq!(number, whole.parse().ok(), "{whole}");
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_absent() {
        for written in ["null", "true", "\"\"", "\"high\"", "\"NaN\"", "\"inf\"", "1e999", "[1]", "{\"n\":1}"] {
            assert_eq!(raw(written).number(), None, "{written}");
        }
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
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
    fn a_string_is_unescaped_as_serde_json_does_it() {
        let escapes =
            [r#"\""#, r"\\", r"\/", r"\\\\", r"\n", r"\b", r"\u00e9", r"\ud83d\ude00", "", "x", "厕所", "\u{7f}"];
        for before in 0..10 {
            for (first, second) in escapes.iter().flat_map(|first| escapes.map(|second| (first, second))) {
                let text = format!("\"{}{first}{second}abcdefgh{second}{first}\"", "x".repeat(before));
                assert_eq!(raw(&text).string().unwrap(), serde_json::from_str::<String>(&text).unwrap(), "{text}");
            }
        }
        for other in [r#""\ud800""#, r#""\"\udc00""#, "7", "null", "{}", "[\"x\"]"] {
            assert_eq!(raw(other).string(), None, "{other}");
        }
    }

    #[test]
    fn content_is_appended_and_a_value_without_any_changes_nothing() {
        let mut text = b"before ".to_vec();
        for value in [r#""\"plain\"""#, r#"" and \"other\"\n""#] {
            raw(value).unescape_into(&mut text).unwrap();
        }
        for value in [r#""\"a\" \ud800""#, "7", "{}"] {
            assert_eq!(raw(value).unescape_into(&mut text), None, "{value}");
        }
        assert_eq!(text, b"before \"plain\" and \"other\"\n");
    }

    #[test]
    fn an_error_is_the_one_that_serde_json_finds_in_the_same_text() {
        for wrong in [
            "{\"a\tb\":1}",
            "{\"a\":1,\"\u{1f}\":1}",
            "{\"a\":\"\n\"}",
            "{\"a\\u12\":1}",
            "{\"a\\u0041\nb\":1}",
            "{\"a",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":1}x",
        ] {
            let error = serde_json::from_str::<IgnoredAny>(wrong).unwrap_err().to_string();
            assert_eq!(each_member(wrong, |_, _| ()).unwrap_err().to_string(), error, "{wrong:?}");
        }
    }

    #[test]
    fn a_control_character_in_a_name_is_an_error() {
        for wrong in ["{\"a\tb\":1}", "{\"a\\u0041\nb\":1}", "{\"\u{0}\":1}"] {
            assert!(each_member(wrong, |_, _| ()).is_err(), "{wrong:?}");
        }
        let mut name = String::new();
        each_member(r#"{"a\tb\ud800":1}"#, |read, _| name = read.into_owned()).unwrap();
        assert_eq!(name, "a\tb\u{fffd}");
    }

    #[test]
    fn members_are_in_order_with_repeated_names() {
        let members = raw(r#"{"a":1,"b":{"c":2},"a":3}"#).members(3);
        let names: Vec<_> = members.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect();
        assert_eq!(names, ["a=1", "b={\"c\":2}", "a=3"]);
        assert_eq!(raw(r#"{"a":1,"b":2}"#).members(1).len(), 1);
        assert!(raw("[1]").members(1).is_empty());
    }

    #[test]
    fn of_members_with_the_same_name_the_last_is_returned() {
        let object = raw(r#"{"a":1,"\u0061":2,"b":3}"#);
        assert_eq!(object.member("a").unwrap().as_str(), "2");
        assert!(object.member("c").is_none());
        assert!(raw("[1]").member("a").is_none());
    }

    #[test]
    fn nesting_of_any_depth_is_visited_without_recursion() {
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let mut visited = 0;
        each_member(&deep, |_, _| visited += 1).unwrap();
        assert_eq!(visited, 1);
        assert!(is_well_formed(&deep));
        let mut visited = 0;
        each_element(&format!("[{deep},{deep}]"), |_| visited += 1).unwrap();
        assert_eq!(visited, 2);
    }

    #[test]
    fn an_error_does_not_contain_the_text() {
        for (text, message) in [
            (format!("\"{}\"", "x".repeat(9_999)), "expected an object"),
            (format!("[\"{}\"]", "x".repeat(9_999)), "expected an object"),
            ("9".repeat(9_999), "number out of range at line 1 column 9999"),
        ] {
            assert_eq!(each_member(&text, |_, _| ()).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn text_after_the_object_is_an_error() {
        assert!(each_member("{} x", |_, _| ()).is_err());
        assert!(each_member(" {} \n", |_, _| ()).is_ok());
    }
}
