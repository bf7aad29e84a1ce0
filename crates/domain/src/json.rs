//! Lenient views of JSON text: the vendor sends the same value as a number, a float or a string.
//!
//! Values are not copied before they are used. A value of another type than expected is absent; only text that is not JSON is an
//! error.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr_iter;
use serde::de::{Deserializer as _, Error as _, IgnoredAny, Visitor};
use serde_json::Deserializer;

/// The text of one well-formed JSON value.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a>(&'a str);

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
        self.0
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

/// A position in JSON text. Most of a push is strings in strings: the cursor finds their ends and unescapes them in half of the time
/// that `serde_json` takes, and leaves everything else to `serde_json`.
#[derive(Debug)]
pub struct Cursor<'t>(&'t str);

impl<'t> Cursor<'t> {
    /// Moves past white space and `token`; `None` if another character is next.
    pub fn token(&mut self, token: char) -> Option<()> {
        self.skip_space();
        self.0 = self.0.strip_prefix(token)?;
        Some(())
    }

    /// Moves past a value, and returns it; `None` if none is next.
    pub fn value(&mut self) -> Option<Raw<'t>> {
        self.skip_space();
        let plain = plain_string(self.0);
        let end = plain.or_else(|| {
            let mut values = Deserializer::from_str(self.0).into_iter::<IgnoredAny>();
            values.next()?.ok()?;
            Some(values.byte_offset())
        });
        self.advance(end?).map(Raw)
    }

    /// Moves past a value, and returns its text; `None` if none is next. Of a string, only the end is found: it can be malformed.
    pub fn unchecked_value(&mut self) -> Option<&'t str> {
        self.skip_space();
        if !self.0.starts_with('"') {
            return self.value().map(Raw::as_str);
        }
        let text = self.0.as_bytes();
        let is_escaped =
            |quote: &usize| text[..*quote].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let end = memchr_iter(b'"', text).skip(1).find(|quote| !is_escaped(quote))?;
        self.advance(end + 1)
    }

    /// Moves past a string, and returns the length of its content, which is then at the start of `room`. `None` without a move if
    /// something else is next, or a malformed string, or one with an unpaired surrogate. `room` must not be shorter than the string.
    pub fn unescape(&mut self, room: &mut [u8]) -> Option<usize> {
        self.skip_space();
        let length = room.len();
        let (mut rest, mut free) = (self.0.strip_prefix('"')?.as_bytes(), &mut *room);
        loop {
            // Copies eight bytes at once. Those that are not plain are overwritten.
            if let (Some(eight), Some(copy)) = (rest.first_chunk(), free.first_chunk_mut()) {
                *copy = *eight;
                let plain = plain_bytes(*eight);
                (rest, free) = (&rest[plain..], &mut free[plain..]);
                if plain == 8 {
                    continue;
                }
            }
            let (content, after) = match rest {
                // A quote of JSON in JSON in JSON.
                [b'\\', b'\\', b'\\', b'"', after @ ..] => (&rest[2..4], after),
                [b'\\', b'"' | b'\\' | b'/', after @ ..] => (&rest[1..2], after),
                [b'"', after @ ..] => {
                    self.advance(self.0.len() - after.len())?;
                    return Some(length - free.len());
                }
                // Another escape.
                [b'\\', ..] => break,
                [0..0x20, ..] | [] => return None,
                [_, after @ ..] => (&rest[..1], after),
            };
            let (copy, left) = free.split_at_mut_checked(content.len())?;
            copy.copy_from_slice(content);
            (rest, free) = (after, left);
        }
        let mut strings = Deserializer::from_str(self.0).into_iter::<String>();
        let content = strings.next()?.ok()?;
        room.get_mut(..content.len())?.copy_from_slice(content.as_bytes());
        self.advance(strings.byte_offset())?;
        Some(content.len())
    }

    /// Moves past `length` bytes, and returns them.
    fn advance(&mut self, length: usize) -> Option<&'t str> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\n', '\t', '\r']);
    }
}

/// The length of the string at the start of `text`; `None` if there is none, or one with an escape.
fn plain_string(text: &str) -> Option<usize> {
    let mut rest = text.strip_prefix('"')?.as_bytes();
    while let Some(eight) = rest.first_chunk() {
        let plain = plain_bytes(*eight);
        rest = &rest[plain..];
        if plain < 8 {
            break;
        }
    }
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    (rest[end] == b'"').then_some(text.len() - rest.len() + end + 1)
}

/// The number of bytes before the first quote, backslash or control character.
fn plain_bytes(eight: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let bytes = u64::from_le_bytes(eight);
    // The highest bit of each byte below `limit`, up to the first such byte.
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit) & !bytes & (ONES << 7);
    let is = |byte: u8| below(bytes ^ (ONES * u64::from(byte)), 1);
    (below(bytes, 0x20) | is(b'"') | is(b'\\')).trailing_zeros() as usize / 8
}

/// The content of the JSON string `text`, in UTF-8. `None` for other text, and for a string with an unpaired surrogate.
#[must_use]
pub fn string(text: &str) -> Option<Vec<u8>> {
    let mut content = vec![0; text.len()];
    let length = Cursor(text).unescape(&mut content)?;
    content.truncate(length);
    Some(content)
}

/// Calls `visit` at each element of the JSON array `text`, or each member of the JSON object, by its brackets; `visit` has to move
/// past it. `None` if `visit` returns it, or if `text` is not exactly one such value.
pub fn each_item<'t>(
    text: &'t str,
    [open, close]: [char; 2],
    mut visit: impl FnMut(&mut Cursor<'t>) -> Option<()>,
) -> Option<()> {
    let mut cursor = Cursor(text);
    cursor.token(open)?;
    if cursor.token(close).is_none() {
        visit(&mut cursor)?;
        while cursor.token(',').is_some() {
            visit(&mut cursor)?;
        }
        cursor.token(close)?;
    }
    cursor.skip_space();
    cursor.0.is_empty().then_some(())
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
pub fn each_member<'a>(text: &'a str, mut visit: impl FnMut(Cow<'a, str>, Raw<'a>)) -> serde_json::Result<()> {
    let walked = each_item(text, ['{', '}'], |cursor| {
        let name = cursor.value().filter(|name| name.quoted().is_some())?;
        cursor.token(':')?;
        visit(name.content(), cursor.value()?);
        Some(())
    });
    if walked.is_none() {
        serde_json::from_str::<IgnoredAny>(text)?;
        return Err(serde_json::Error::custom("expected an object"));
    }
    Ok(())
}

/// Whether `text` is well-formed JSON, however deeply nested.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
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
    use serde_json::value::RawValue;

    use super::*;

    fn raw(text: &str) -> Raw<'_> {
        Cursor(text).value().unwrap()
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
                assert_eq!(
                    string(&text).unwrap(),
                    serde_json::from_str::<String>(&text).unwrap().into_bytes(),
                    "{text}"
                );
            }
        }
        let unpaired = [r#""\ud800""#, r#""\"\udc00""#];
        for other in
            unpaired.into_iter().chain(["7", "null", "{}", "[\"x\"]", "\"", "\"\\\"", "\"\n\"", r#""\x""#, "\"\\"])
        {
            assert_eq!(string(other), None, "{other}");
        }
    }

    #[test]
    fn a_value_ends_where_serde_json_ends_it() {
        let parts =
            ["", "\"", r#"\""#, r#"\\"#, r#"\\\""#, r"\x", r"\ud800", "\n", "\u{1f}", "\u{7f}", "厕所", "7", "{}"];
        let pairs = parts.iter().flat_map(|first| parts.iter().map(move |second| (first, second)));
        for (before, (first, second)) in pairs.flat_map(|pair| (0..10).map(move |before| (before, pair))) {
            let text = format!(" \"{}{first}abcdefgh{second}\" , \"\"", "x".repeat(before));
            let mut values = Deserializer::from_str(&text).into_iter::<&RawValue>();
            let expected = values.next().and_then(Result::ok).map(RawValue::get);
            let mut cursor = Cursor(&text);
            assert_eq!(cursor.value().map(Raw::as_str), expected, "{text:?}");
            if expected.is_some() {
                assert_eq!(Cursor(&text).unchecked_value(), expected, "{text:?}");
                assert_eq!(cursor.0, &text[values.byte_offset()..], "{text:?}");
            }
        }
        for malformed in [r#""\x""#, "\"\n\"", r#""\u12""#] {
            assert_eq!(Cursor(malformed).value().map(Raw::as_str), None, "{malformed:?}");
            assert_eq!(Cursor(malformed).unchecked_value(), Some(malformed));
        }
    }

    #[test]
    fn a_cursor_moves_past_each_item() {
        let text = r#" [ "a\\\"]", 7 ,{"b":[1]},"\ud800", "c" ] "#;
        let (mut values, mut content) = (Vec::new(), [0; 80]);
        let walked = each_item(text, ['[', ']'], |cursor| {
            values.push(match cursor.unescape(&mut content) {
                Some(length) => String::from_utf8(content[..length].to_vec()).unwrap(),
                None => cursor.value()?.as_str().to_owned(),
            });
            Some(())
        });
        assert_eq!(walked, Some(()));
        assert_eq!(values, [r#"a\"]"#, "7", r#"{"b":[1]}"#, r#""\ud800""#, "c"]);
        let walk = |text| each_item(text, ['[', ']'], |cursor| cursor.value().map(drop));
        for array in ["[]", " [ ] ", "[[],{}]", "[1,2]"] {
            assert_eq!(walk(array), Some(()), "{array}");
        }
        for other in ["", "[", "[1", "[1,", "[1,]", "[1 2]", "[,]", "[1}", "[01]", "[\"a]", "[]]", "{}", "7"] {
            assert_eq!(walk(other), None, "{other}");
        }
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
        let array = format!("[{deep},{deep}]");
        assert_eq!(each_item(&array, ['[', ']'], |cursor| cursor.value().map(drop)), Some(()));
    }

    #[test]
    fn an_error_does_not_contain_the_text() {
        for (text, message) in [
            (format!("\"{}\"", "x".repeat(9_999)), "expected an object"),
            (format!("[\"{}\"]", "x".repeat(9_999)), "expected an object"),
            ("9".repeat(9_999), "expected an object"),
            (format!("{{\"a\":\"{}\"", "x".repeat(9_999)), "EOF while parsing an object at line 1 column 10006"),
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
