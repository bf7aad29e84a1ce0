//! Makes text from outside safe to show on a terminal, in a log, in a subject or on a page.

use std::ops::RangeInclusive;

use unicode_segmentation::UnicodeSegmentation as _;

/// Whether `character` is invisible and changes how other text is shown: controls, ends of lines and paragraphs, marks of the
/// reading direction, the byte order mark. Not the joiners U+200C and U+200D, which scripts and emoji need.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
        )
}

/// Replaces each [hidden](is_hidden) character of `text` with a space. The result is one line.
///
/// # Examples
/// ```
/// use domain::display::line;
/// assert_eq!(line("a\u{1b}[31mb\r\nc\u{202e}d"), "a [31mb  c d");
/// ```
#[must_use]
pub fn line(text: &str) -> String {
    text.chars().map(|character| if is_hidden(character) { ' ' } else { character }).collect()
}

/// Replaces each [hidden](is_hidden) character of `text` except line feeds with a space.
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars().map(|character| if character != '\n' && is_hidden(character) { ' ' } else { character }).collect()
}

/// The number of digits of a telephone number. More digits without another character in between are an id.
const PHONE_DIGITS: RangeInclusive<usize> = 7..=13;
/// The digits of a group in a split number.
const GROUP_DIGITS: usize = 4;
/// The fewest letters, digits and hyphens of an id, whose numbers are not split.
const SHORTEST_ID: usize = 20;

/// Breaks the links that a mail program or a telephone makes: addresses of pages and mailboxes get a space, telephone numbers get
/// underscores. The text of a device must not contain links.
///
/// # Examples
/// ```
/// use domain::display::unlinked;
/// assert_eq!(unlinked("http://evil.example/x"), "http: //evil. example/x");
/// assert_eq!(unlinked("Call +65 6123 4567"), "Call +6561_2345_67");
/// assert_eq!(unlinked("Toilet 3, level 2.5"), "Toilet 3, level 2.5");
/// ```
#[must_use]
pub fn unlinked(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let before = safe.chars().next_back();
        if let Some(length) = id_length(rest).filter(|_| !before.is_some_and(|before| before.is_ascii_alphanumeric())) {
            safe += &rest[..length];
            rest = &rest[length..];
        } else if is_digit(character) {
            let number = &rest[..number_length(rest)];
            push_number(&mut safe, number);
            rest = &rest[number.len()..];
        } else {
            safe.push(character);
            rest = &rest[character.len_utf8()..];
            let is_in_a_name = character == '.'
                && before.is_some_and(|before| !before.is_whitespace())
                && rest.starts_with(char::is_alphabetic);
            if is_in_a_name || (character == ':' && rest.starts_with("//")) {
                safe.push(' ');
            }
        }
    }
    safe
}

/// The length of the id at the beginning of `text`, if there is one.
fn id_length(text: &str) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let length = text.bytes().take_while(|byte| is_part(byte)).count();
    (length >= SHORTEST_ID).then_some(length)
}

/// Whether a telephone could dial `c`. Numbers such as `〇` and `Ⅲ` are letters.
fn is_digit(c: char) -> bool {
    c.is_numeric() && !c.is_alphabetic()
}

/// The length of the number at the beginning of `text`, including separators between digits.
fn number_length(text: &str) -> usize {
    let end = text.find(|c: char| c.is_alphabetic() || c == '_').unwrap_or(text.len());
    let last = text[..end].char_indices().rfind(|(_, c)| is_digit(*c));
    last.map_or(end, |(last, digit)| last + digit.len_utf8())
}

fn push_number(safe: &mut String, number: &str) {
    let digits: Vec<char> = number.chars().filter(|c| is_digit(*c)).collect();
    let is_one_word = digits.len() == number.chars().count();
    if digits.len() < *PHONE_DIGITS.start() || (is_one_word && digits.len() > *PHONE_DIGITS.end()) {
        *safe += number;
        return;
    }
    for (index, group) in digits.chunks(GROUP_DIGITS).enumerate() {
        if index > 0 {
            safe.push('_');
        }
        safe.extend(group);
    }
}

/// Longest name in messages and in the zone state, in characters. The vendor's ids have 32, its names fewer.
const LONGEST_NAME: usize = 120;

/// Makes a name from a reading safe to show: no [hidden](is_hidden) characters, single spaces, and at most 120 characters, cut
/// between graphemes. `None` if nothing is left.
///
/// # Examples
/// ```
/// use domain::display::presentable;
/// assert_eq!(presentable(" Toilet\r\n\t3 ").as_deref(), Some("Toilet 3"));
/// assert_eq!(presentable("\u{202e}"), None);
/// ```
#[must_use]
pub fn presentable(name: &str) -> Option<String> {
    let start = first_graphemes(name, 4 * LONGEST_NAME);
    let words = start.split(|character: char| character.is_whitespace() || is_hidden(character));
    let spaced = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    // A character has at least one byte.
    if spaced.len() <= LONGEST_NAME {
        return (!spaced.is_empty()).then_some(spaced);
    }
    let fitting = first_that_fit(&spaced, LONGEST_NAME, |text| text.chars().count());
    // The first grapheme alone is longer than the limit.
    if fitting.is_empty() {
        return Some(spaced.chars().take(LONGEST_NAME).collect());
    }
    Some(fitting.trim_end().to_owned())
}

/// The first graphemes of `text` whose `width` is at most `room`.
#[must_use]
pub fn first_that_fit(text: &str, room: usize, width: impl Fn(&str) -> usize) -> &str {
    let mut used = 0;
    let too_much = text.grapheme_indices(true).find(|(_, grapheme)| {
        used += width(grapheme);
        used > room
    });
    &text[..too_much.map_or(text.len(), |(index, _)| index)]
}

/// The first `graphemes` of `text`.
#[must_use]
pub fn first_graphemes(text: &str, graphemes: usize) -> &str {
    // A grapheme has at least one byte.
    if text.len() <= graphemes { text } else { first_that_fit(text, graphemes, |_| 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_telephone_numbers_are_broken_and_names_and_ids_are_not() {
        for (text, safe) in [
            ("https://a.example", "https: //a. example"),
            ("www.a.example", "www. a. example"),
            ("me@mail.example", "me@mail. example"),
            ("cafe\u{301}.com", "cafe\u{301}. com"),
            ("evil\u{ad}.example", "evil\u{ad}. example"),
            ("tel:+6561234567", "tel:+6561_2345_67"),
            ("(03) 9123-4567 now", "(0391_2345_67 now"),
            ("1234567", "1234_567"),
            ("12345678 or", "1234_5678 or"),
            ("请拨61234567号", "请拨6123_4567号"),
            ("Call61234567", "Call6123_4567"),
            ("61234567 / 61234568", "6123_4567_6123_4568"),
            ("6123\u{a0}4567", "6123_4567"),
            ("6123–4567", "6123_4567"),
        ] {
            assert_eq!(unlinked(text), safe);
            assert_eq!(unlinked(safe), safe, "a second time changes nothing");
        }
        let id = "9".repeat(32);
        for text in [
            "Level 2 Male Washroom",
            "PM2.5 at 10.30",
            "123456",
            "厕所 3号",
            "a/b: c",
            "550e8400-e29b-41d4-a71f-446655440000",
            "4466554400003f1234567a12",
            "356938035643809",
            &id,
        ] {
            assert_eq!(unlinked(text), text);
        }
    }

    #[test]
    fn every_number_ends_and_a_number_that_is_a_letter_stays() {
        for name in ["二〇三室", "Block Ⅲ", "Ⅲ1234567", "〇"] {
            assert_eq!(unlinked(name).replace('_', ""), name);
        }
        for number in ('\0'..=char::MAX).filter(|c| c.is_numeric() || c.is_alphabetic()) {
            let text = unlinked(&format!("{number}1{number}.{number}_{number}"));
            assert_eq!(unlinked(&text), text, "{number:?}");
        }
    }

    #[test]
    fn hidden_characters_become_spaces_and_others_stay() {
        for hidden in ["\0", "\t", "\r", "\u{1b}", "\u{7f}", "\u{9b}", "\u{61c}", "\u{2029}", "\u{202e}", "\u{2069}"] {
            assert_eq!(line(&format!("a{hidden}b")), "a b", "{hidden:?}");
        }
        for written in ["é", "e\u{301}", "حمام", "三楼", "👩\u{200d}🔧", "a\u{a0}b", "क\u{200c}ष", "<&\">"]
        {
            assert_eq!(line(written), written);
        }
    }

    #[test]
    fn only_line_feeds_end_lines() {
        assert_eq!(lines("a\nb\r\u{2028}c\n"), "a\nb  c\n");
        assert_eq!(line("a\nb"), "a b");
    }

    #[test]
    fn names_lose_control_characters_and_direction_marks() {
        assert_eq!(presentable(" Toilet\r\n\t3 ").unwrap(), "Toilet 3");
        assert_eq!(presentable("\u{1b}[31mred\u{202e}der").unwrap(), "[31mred der");
        assert_eq!(presentable("厕所 \u{1f6bb} é").unwrap(), "厕所 \u{1f6bb} é");
        for nothing in ["", "  ", "\u{0}\n", "\u{202e}"] {
            assert_eq!(presentable(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_graphemes() {
        for joined in ["👩\u{200d}👩\u{200d}👧", "🇸🇬", "e\u{301}\u{302}", "👍🏽"] {
            let whole = format!("{}{joined}", "x".repeat(LONGEST_NAME - joined.chars().count()));
            assert_eq!(presentable(&whole).as_deref(), Some(&*whole));
            assert_eq!(
                presentable(&format!("x{whole}")).unwrap(),
                "x".repeat(1 + LONGEST_NAME - joined.chars().count())
            );
        }
        // The limit of 480 also counts graphemes: 480 characters would end inside one.
        let late = format!("a{}{}", " ".repeat(477), "👩\u{200d}👩\u{200d}👧".repeat(9));
        assert_eq!(presentable(&late).unwrap(), "a 👩\u{200d}👩\u{200d}👧👩\u{200d}👩\u{200d}👧");
        let endless = format!("a{}", "\u{301}".repeat(10_000));
        assert_eq!(presentable(&endless).unwrap().chars().count(), LONGEST_NAME);
    }

    #[test]
    fn a_name_of_megabytes_is_cut_at_a_character() {
        let long = presentable(&"é".repeat(5_000_000)).unwrap();
        assert_eq!(long.chars().count(), LONGEST_NAME);
    }
}
