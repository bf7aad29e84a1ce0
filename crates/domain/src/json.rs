//! Lenient views of JSON text: what the vendor sends as a number, a float or a string reads as one value.
//!
//! Nothing here copies a value before it is asked for, and nothing fails on a value's *type*: a field that is not what
//! was hoped for is simply absent. Only text that is not JSON at all is an error.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// The text of one JSON value, known to be well-formed and read only when asked.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct Raw<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Raw<'a> {
    /// The value as text: a string's content, or a number as it is written. `None` for anything else and for text that
    /// is empty or only white space, since the vendor sends `""` where it means nothing.
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

    /// The value as a finite number, written as a number (`3000`, `2.0`) or as a string (`"3000"`, `"-68"`).
    #[must_use]
    pub fn number(self) -> Option<f64> {
        // Most numbers of a reading are whole. The conversion rounds as `f64::from_str` does.
        if let Ok(whole) = self.as_str().parse::<u64>() {
            return Some(whole as f64);
        }
        let text = self.text()?;
        let text = text.trim();
        // `f64::from_str` also reads "inf" and "nan"; a sensor cannot mean those.
        text.parse::<f64>().ok().filter(|number| number.is_finite())
    }

    /// The first members of an object, at most `most`, in order, a repeated name with each of its values. Empty for anything
    /// else.
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

    /// The last member of this name. `None` if there is none, or if the value is not an object.
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

    /// The value's own JSON text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0.get()
    }

    /// The content of a string. `None` for anything else, and for a string with an unpaired surrogate.
    #[must_use]
    pub fn string(self) -> Option<String> {
        let mut text = Vec::new();
        self.unescape_into(&mut text)?;
        String::from_utf8(text).ok()
    }

    /// Appends the content of a string to `text`, in UTF-8. `None` if the value is not a string, or has an unpaired surrogate; then
    /// `text` stays as it is.
    ///
    /// A push is JSON in JSON in JSON, and nearly all of its escapes are quotes and backslashes. `serde_json` takes more than twice
    /// the instructions for these; it unescapes the strings that have another escape.
    #[must_use]
    pub(super) fn unescape_into(self, text: &mut Vec<u8>) -> Option<()> {
        let mut rest = self.quoted()?.as_bytes();
        let start = text.len();
        text.resize(start + rest.len(), 0);
        let mut room = &mut text[start..];
        loop {
            // Copied before it is known how much of it is plain: the rest is overwritten.
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

    /// The same of any string, and an unpaired surrogate becomes U+FFFD. Empty for anything else.
    fn content(self) -> Cow<'a, str> {
        match self.quoted() {
            Some(plain) if plain.bytes().all(|byte| byte != b'\\') => Cow::Borrowed(plain),
            // A well-formed string is always bytes.
            _ => Cow::Owned(Deserializer::from_str(self.as_str()).deserialize_bytes(Text).unwrap_or_default()),
        }
    }

    /// What a string has between its quotes; `None` for anything else.
    fn quoted(self) -> Option<&'a str> {
        let text = self.as_str();
        if text.starts_with('"') { text.get(1..text.len() - 1) } else { None }
    }
}

/// How many of these bytes are before the first backslash.
fn bytes_before_backslash(eight: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // A backslash becomes 0. The lowest bit that is set in `found` is the highest one of the first byte that is 0.
    let bytes = u64::from_le_bytes(eight) ^ (ONES * u64::from(b'\\'));
    let found = bytes.wrapping_sub(ONES) & !bytes & (ONES << 7);
    found.trailing_zeros() as usize / 8
}

/// Calls `visit` with each member of the JSON object in `text`, in order. A repeated name is visited each time, so that
/// "the last one wins" is the caller's natural reading.
///
/// # Errors
/// If `text` is not exactly one well-formed JSON object; members before the fault have been visited by then.
pub fn each_member<'a>(text: &'a str, visit: impl FnMut(Cow<'a, str>, Raw<'a>)) -> serde_json::Result<()> {
    let mut deserializer = Deserializer::from_str(text);
    let members = Members { is_plain: is_plain(text), visit };
    let visited = deserializer.deserialize_map(members).and_then(|()| deserializer.end());
    // An error of the type repeats the value, which may be as long as the text.
    visited.map_err(|error| if error.is_data() { serde_json::Error::custom("expected an object") } else { error })
}

/// Calls `visit` with each element of the JSON array in `text`, in order. A list of the elements could take eight times the
/// memory of the text.
///
/// # Errors
/// If `text` is not exactly one well-formed JSON array; elements before the fault have been visited by then.
pub fn each_element<'a>(text: &'a str, visit: impl FnMut(Raw<'a>)) -> serde_json::Result<()> {
    let mut deserializer = Deserializer::from_str(text);
    deserializer.deserialize_seq(Elements(visit)).and_then(|()| deserializer.end())
}

/// Whether `text` is well-formed JSON of any kind, however deeply nested.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether `text` has no backslash and no control character.
fn is_plain(text: &str) -> bool {
    // Without an early end, several bytes are compared at once.
    text.bytes().fold(true, |is_plain, byte| is_plain & (byte != b'\\') & (byte >= b' '))
}

struct Members<F> {
    is_plain: bool,
    visit: F,
}

impl<'de, F: FnMut(Cow<'de, str>, Raw<'de>)> Visitor<'de> for Members<F> {
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
            // A name may have an unpaired surrogate, and a `str` may not.
            while let Some((name, value)) = map.next_entry::<Raw<'de>, Raw<'de>>()? {
                (self.visit)(name.content(), value);
            }
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(Raw<'de>)> Visitor<'de> for Elements<F> {
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

/// Text from the bytes of a JSON string, which are UTF-8 but for unpaired surrogates.
struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            // A surrogate is three bytes that are invalid each, and this is the first of them.
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
        let members = raw(r#"{"a":1,"b":{"c":2},"a":3}"#).members(3);
        let names: Vec<_> = members.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect();
        assert_eq!(names, ["a=1", "b={\"c\":2}", "a=3"]);
        assert_eq!(raw(r#"{"a":1,"b":2}"#).members(1).len(), 1);
        assert!(raw("[1]").members(1).is_empty());
    }

    #[test]
    fn of_members_of_one_name_the_last_is_found() {
        let object = raw(r#"{"a":1,"\u0061":2,"b":3}"#);
        assert_eq!(object.member("a").unwrap().as_str(), "2");
        assert!(object.member("c").is_none());
        assert!(raw("[1]").member("a").is_none());
    }

    #[test]
    fn nesting_of_any_depth_is_walked_without_recursion() {
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let mut seen = 0;
        each_member(&deep, |_, _| seen += 1).unwrap();
        assert_eq!(seen, 1);
        assert!(is_well_formed(&deep));
        let mut seen = 0;
        each_element(&format!("[{deep},{deep}]"), |_| seen += 1).unwrap();
        assert_eq!(seen, 2);
    }

    #[test]
    fn what_is_wrong_is_said_without_repeating_the_text() {
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
