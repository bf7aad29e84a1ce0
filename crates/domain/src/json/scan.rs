//! A quick walk over JSON text, as RFC 8259 has it: what is walked over is well-formed, and nothing is copied but what is
//! asked for.
//!
//! A push is JSON within JSON within JSON, and most of what it costs is finding the ends of strings. This does that eight
//! bytes at a time: a body is split in about half of the time that `serde_json` takes to merely walk it (`make bench-parts`). It
//! takes what `serde_json` takes. It does not say what is wrong with a text: if it gives up, `serde_json` reads the text
//! again and says so.

use std::borrow::Cow;

use super::Raw;

/// A place in a JSON text. Each step goes over something well-formed, or is `None` and leaves the place of no further use.
#[derive(Debug)]
pub struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// What the value under way is in, the outermost first: whether that is an object.
    nesting: Vec<bool>,
    /// Members that were walked over, at any depth.
    members: usize,
    most_members: usize,
}

impl<'t> Scanner<'t> {
    /// At the beginning of `text`.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Self { text, at: 0, nesting: Vec::new(), members: 0, most_members: usize::MAX }
    }

    /// The same, but it gives up at a member beyond `most` of them, those of nested objects included.
    #[must_use]
    pub fn with_most_members(self, most: usize) -> Self {
        Self { most_members: most, ..self }
    }

    /// Whether it gave up because there are too many members.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.members > self.most_members
    }

    /// Over an object. `member` is told each name, and goes over the value itself.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, Cow<'t, str>) -> Option<()>) -> Option<()> {
        self.byte(b'{')?;
        if self.is_next(b'}') {
            return Some(());
        }
        loop {
            let name = self.name()?;
            member(self, name)?;
            if !self.is_next(b',') {
                return self.byte(b'}');
            }
        }
    }

    /// Over an array. `element` goes over each element.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.byte(b'[')?;
        if self.is_next(b']') {
            return Some(());
        }
        loop {
            element(self)?;
            if !self.is_next(b',') {
                return self.byte(b']');
            }
        }
    }

    /// Over a value of any kind, however deeply nested.
    pub fn value(&mut self) -> Option<Raw<'t>> {
        self.space();
        let from = self.at;
        let outside = self.nesting.len();
        loop {
            // A value begins here.
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'{' => {
                    self.at += 1;
                    if !self.is_next(b'}') {
                        self.name()?;
                        self.nesting.push(true);
                        self.space();
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if !self.is_next(b']') {
                        self.nesting.push(false);
                        self.space();
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => return None,
            }
            // It has ended, and so may what it is in.
            while self.nesting.len() > outside {
                let is_object = *self.nesting.last()?;
                if self.is_next(b',') {
                    if is_object {
                        self.name()?;
                    }
                    self.space();
                    break;
                }
                self.byte(if is_object { b'}' } else { b']' })?;
                self.nesting.pop();
            }
            if self.nesting.len() == outside {
                return self.text.get(from..self.at).map(Raw);
            }
        }
    }

    /// Over a string of Unicode text, which is unescaped into `into` from its first byte on: how many bytes that are. `into`
    /// has to be as long as the string's text.
    pub fn unescape(&mut self, into: &mut [u8]) -> Option<usize> {
        self.unescape_as::<false>(into)
    }

    /// The same of any string: half of a surrogate pair that stands alone, which JSON allows, becomes U+FFFD.
    pub(super) fn unescape_any(&mut self, into: &mut [u8]) -> Option<usize> {
        self.unescape_as::<true>(into)
    }

    fn unescape_as<const ANY: bool>(&mut self, into: &mut [u8]) -> Option<usize> {
        self.byte(b'"')?;
        let bytes = self.text.as_bytes();
        let (mut at, mut end) = (self.at, 0);
        loop {
            // Copied before it is known how much of it is plain: what is too much is overwritten.
            if let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>())
                && let Some(room) = into.get_mut(end..).and_then(|rest| rest.first_chunk_mut::<8>())
            {
                *room = *eight;
                let plain = plain_bytes(*eight);
                (at, end) = (at + plain, end + plain);
                if plain == 8 {
                    continue;
                }
            }
            // Each quote of JSON within JSON within JSON is one of these.
            if bytes.get(at..).is_some_and(|rest| rest.starts_with(br#"\\\""#)) {
                into.get_mut(end..end + 2)?.copy_from_slice(br#"\""#);
                (at, end) = (at + 4, end + 2);
                continue;
            }
            let byte = match (*bytes.get(at)?, bytes.get(at + 1)) {
                (b'"', _) => {
                    self.at = at + 1;
                    return Some(end);
                }
                // Each quote of JSON within JSON is one of these.
                (b'\\', Some(escaped @ (b'"' | b'\\' | b'/'))) => {
                    at += 2;
                    *escaped
                }
                (b'\\', _) => {
                    self.at = at + 1;
                    let character = self.escaped::<ANY>()?;
                    at = self.at;
                    // Never more bytes than its escape has, so that there is room.
                    let room = into.get_mut(end..end + character.len_utf8())?;
                    end += character.encode_utf8(room).len();
                    continue;
                }
                // Control characters have to be escaped.
                (0..=0x1f, _) => return None,
                (plain, _) => {
                    at += 1;
                    plain
                }
            };
            *into.get_mut(end)? = byte;
            end += 1;
        }
    }

    /// Nothing but white space is left.
    pub fn end(&mut self) -> Option<()> {
        self.space();
        (self.at == self.text.len()).then_some(())
    }

    /// The next byte that is no white space, without going over it.
    pub fn upcoming(&mut self) -> Option<u8> {
        self.space();
        self.peek()
    }

    /// Its offset in the text, in bytes, to [return to](Self::return_to).
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Goes back to an [offset](Self::offset), also if it has given up since.
    pub fn return_to(&mut self, offset: usize) {
        self.at = offset;
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Over white space and this byte.
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.is_next(byte).then_some(())
    }

    /// Over white space, and over this byte where it comes next.
    fn is_next(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Over a member's name and the colon after it.
    fn name(&mut self) -> Option<Cow<'t, str>> {
        self.space();
        let from = self.at;
        let is_plain = self.string()?;
        let quoted = self.text.get(from..self.at)?;
        self.byte(b':')?;
        self.members += 1;
        if self.is_overfull() {
            return None;
        }
        if is_plain { Some(Cow::Borrowed(&quoted[1..quoted.len() - 1])) } else { super::string_content(quoted) }
    }

    /// Over a string: whether nothing in it is escaped. Escapes may be any; that halves of surrogate pairs stand alone is
    /// well-formed JSON.
    fn string(&mut self) -> Option<bool> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let bytes = self.text.as_bytes();
        let mut is_plain = true;
        loop {
            if let Some(eight) = bytes.get(self.at..)?.first_chunk() {
                let plain = plain_bytes(*eight);
                self.at += plain;
                if plain == 8 {
                    continue;
                }
            }
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(is_plain),
                b'\\' => {
                    is_plain = false;
                    self.escaped::<true>()?;
                }
                0..=0x1f => return None,
                _ => {}
            }
        }
    }

    /// Over what follows a backslash: what that stands for.
    fn escaped<const ANY: bool>(&mut self) -> Option<char> {
        let kind = self.peek()?;
        self.at += 1;
        Some(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' if ANY => self.any_character()?,
            b'u' => self.character()?,
            _ => return None,
        })
    }

    /// Over the digits of `\u`, and where that is half of a surrogate pair over the other half.
    fn character(&mut self) -> Option<char> {
        let first = self.code_unit()?;
        if let Some(character) = char::from_u32(u32::from(first)) {
            return Some(character);
        }
        self.word("\\u")?;
        char::decode_utf16([first, self.code_unit()?]).next()?.ok()
    }

    /// The same, but of half of a surrogate pair that stands alone it is U+FFFD.
    fn any_character(&mut self) -> Option<char> {
        let from = self.at;
        self.character().or_else(|| {
            self.at = from;
            self.code_unit().map(|_| char::REPLACEMENT_CHARACTER)
        })
    }

    fn code_unit(&mut self) -> Option<u16> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.peek() == Some(b'-'));
        // A zero stands alone before the point.
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    /// Over digits, at least one.
    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes()).then_some(())?;
        self.at += word.len();
        Some(())
    }
}

/// How many of these bytes stand for themselves in a string, from the first on: none of them is a quote, a backslash or a
/// control character.
///
/// All eight at once, by the arithmetic of one word: <https://graphics.stanford.edu/~seander/bithacks.html#ValueInWord>.
fn plain_bytes(eight: [u8; 8]) -> usize {
    const EACH: u64 = u64::MAX / 0xff;
    const HIGH: u64 = EACH << 7;
    let word = u64::from_le_bytes(eight);
    // The high bit of each byte that is less than `limit`, where bytes before it are not.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word & HIGH;
    let quote = below(word ^ (EACH * u64::from(b'"')), 1);
    let backslash = below(word ^ (EACH * u64::from(b'\\')), 1);
    let special = below(word, 0x20) | quote | backslash;
    special.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_walked(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.value().is_some() && scanner.end().is_some()
    }

    fn is_json(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    fn unescaped(text: &str) -> Option<String> {
        let mut scanner = Scanner::new(text);
        let mut room = vec![0; text.len()];
        let length = scanner.unescape(&mut room)?;
        scanner.end()?;
        room.truncate(length);
        String::from_utf8(room).ok()
    }

    #[test]
    fn what_json_is_is_walked_over_and_nothing_else() {
        for text in [
            "0",
            "-0",
            "10",
            "1.5",
            "-1.25e+10",
            "1E5",
            "1e-5",
            "true",
            "false",
            "null",
            "\"\"",
            "[]",
            "{}",
            " [ ] ",
            "[1]",
            "[1,[2,{\"a\":[]}],\"b\"]",
            "{\"a\":1,\"b\":{\"c\":[true,null]}}",
            "\"\\u00e9\\ud800\\n\\/\"",
            "\t\r\n1",
            "{\"\\u0061\":1}",
            "\"12345678\"",
            "\"1234567\\\"89\"",
            "\"é\u{7f}\u{fffd}\"",
        ] {
            assert!(is_json(text) && is_walked(text), "{text}");
        }
        for text in [
            "",
            " ",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x1",
            "tru",
            "True",
            "nul",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"12345678\u{1f}\"",
            "[",
            "]",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{",
            "{\"a\"",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{\"a\" 1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":1]",
            "1 2",
            "[] []",
            "\u{feff}1",
            "\u{a0}1",
            "'a'",
        ] {
            assert!(!is_json(text) && !is_walked(text), "{text}");
        }
    }

    #[test]
    fn any_depth_is_walked_over() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = |closed: usize| format!("{}1{}", open.repeat(300_000), close.repeat(closed));
            assert!(is_walked(&deep(300_000)));
            assert!(!is_walked(&deep(299_999)) && !is_walked(&deep(300_001)));
        }
    }

    #[test]
    fn a_string_is_unescaped_wherever_its_escapes_stand() {
        for before in 0..20 {
            for (escape, character) in [
                ("\\\"", "\""),
                ("\\\\", "\\"),
                ("\\/", "/"),
                ("\\b", "\u{8}"),
                ("\\f", "\u{c}"),
                ("\\n", "\n"),
                ("\\r", "\r"),
                ("\\t", "\t"),
                ("\\u00E9", "é"),
                ("\\ud83d\\ude00", "😀"),
                ("\\u0000", "\0"),
                ("é", "é"),
                ("", ""),
            ] {
                let plain = "x".repeat(before);
                let text = format!("\"{plain}{escape}{plain}\"");
                assert_eq!(unescaped(&text), Some(format!("{plain}{character}{plain}")), "{text}");
            }
        }
        for text in [
            "\"\\ud800\"",
            "\"\\ud800x\"",
            "\"\\ud800\\n\"",
            "\"\\udc00\"",
            "\"\\ud800\\ud800\"",
            "\"\\x\"",
            "\"\t\"",
            "\"",
            "7",
        ] {
            assert_eq!(unescaped(text), None, "{text}");
        }
    }

    #[test]
    fn members_are_counted_at_any_depth_and_one_too_many_is_not_walked_over() {
        // Members of one name are several, and elements are none.
        let text = r#"{"a":{"b":[{"c":1},2,3,4],"b":{}},"d":"e"}"#;
        for (most, is_walked) in [(5, true), (4, false), (0, false)] {
            let mut scanner = Scanner::new(text).with_most_members(most);
            assert_eq!((scanner.value().is_some(), scanner.is_overfull()), (is_walked, !is_walked), "{most}");
        }
        let mut broken = Scanner::new(r#"{"a":1,"b"}"#).with_most_members(1);
        assert!(broken.value().is_none() && !broken.is_overfull());
    }

    #[test]
    fn what_comes_next_is_told_without_going_over_it() {
        let mut scanner = Scanner::new("  [1]");
        assert_eq!((scanner.upcoming(), scanner.upcoming()), (Some(b'['), Some(b'[')));
        assert_eq!((scanner.value(), scanner.upcoming()), (Some(Raw("[1]")), None));
    }

    #[test]
    fn each_of_eight_bytes_is_found() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for place in 0..8 {
                let mut bytes = *b" !#]~\x7f\x80\xff";
                assert_eq!(plain_bytes(bytes), 8);
                bytes[place] = special;
                assert_eq!(plain_bytes(bytes), place, "{special} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_text_is_walked_over_exactly_where_serde_json_reads_it(text in r#"[\[\]{},:"\\ntrue0-9.eE+u \n\u{e9}\u{1}-]{0,24}"#) {
            prop_assert_eq!(is_walked(&text), is_json(&text));
        }

        #[test]
        fn a_string_is_unescaped_as_serde_json_does(inner in r#"([a-z\u{e9}\u{1f600}]{0,9}|\\[\\"/bfnrtu]|\\u[0-9a-fD8-9]{4}|\\ud83d\\ude0[0-9]|.){0,8}"#) {
            let text = format!("\"{inner}\"");
            prop_assert_eq!(unescaped(&text), serde_json::from_str::<String>(&text).ok());
        }
    }
}
