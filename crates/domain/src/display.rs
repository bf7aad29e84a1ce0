//! What of a text from outside can be shown: on a terminal, in a log, in a subject, on a page.

use std::ops::RangeInclusive;

use unicode_segmentation::UnicodeSegmentation as _;

/// Whether `character` shows nothing by itself and changes how what stands around it is shown: controls, the ends of lines
/// and paragraphs, marks that turn the direction of reading, the byte order mark.
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
                | '\u{fffe}'
                | '\u{ffff}'
        )
}

/// `text` as one line, with a blank for everything [hidden](is_hidden).
///
/// ```
/// use domain::display::line;
/// assert_eq!(line("a\u{1b}[31mb\r\nc\u{202e}d"), "a [31mb  c d");
/// ```
#[must_use]
pub fn line(text: &str) -> String {
    text.chars().map(|character| if is_hidden(character) { ' ' } else { character }).collect()
}

/// `text` as lines that end as they did, each as [`line()`] has it.
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars().map(|character| if character != '\n' && is_hidden(character) { ' ' } else { character }).collect()
}

/// Fewest digits of a telephone number, and the most that have no other character in between: longer ones are ids.
const TELEPHONE: RangeInclusive<usize> = 7..=13;
/// Digits that stand together where a number is taken apart.
const DIGITS: usize = 4;
/// Letters, digits and hyphens from which on a word is an id, of which the numbers stay.
const ID: usize = 20;

/// `text` without what a mail program or a telephone makes a link of: addresses of pages and mailboxes get a blank, and
/// telephone numbers underscores. What a sensor sends must not lead anybody anywhere.
///
/// ```
/// use domain::display::unlinked;
/// assert_eq!(unlinked("http://evil.example/x"), "http: //evil. example/x");
/// assert_eq!(unlinked("Call +65 6123 4567"), "Call +6561_2345_67");
/// assert_eq!(unlinked("Toilet 3, level 2.5"), "Toilet 3, level 2.5");
/// ```
#[must_use]
pub fn unlinked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let before = shown.chars().next_back();
        if let Some(length) = id_length(rest).filter(|_| !before.is_some_and(|before| before.is_ascii_alphanumeric())) {
            shown += &rest[..length];
            rest = &rest[length..];
        } else if character.is_numeric() {
            let number = &rest[..number_length(rest)];
            push_number(&mut shown, number);
            rest = &rest[number.len()..];
        } else {
            shown.push(character);
            rest = &rest[character.len_utf8()..];
            let is_in_a_name = character == '.'
                && before.is_some_and(|before| !before.is_whitespace())
                && rest.starts_with(char::is_alphabetic);
            if is_in_a_name || (character == ':' && rest.starts_with("//")) {
                shown.push(' ');
            }
        }
    }
    shown
}

/// The length of the id that `text` begins with, if it is one.
fn id_length(text: &str) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let length = text.bytes().take_while(|byte| is_part(byte)).count();
    (length >= ID).then_some(length)
}

/// The length of the number that `text` begins with, with what people write between digits.
fn number_length(text: &str) -> usize {
    let end = text.find(|c: char| c.is_alphabetic() || c == '_').unwrap_or(text.len());
    let last = text[..end].char_indices().rfind(|(_, c)| c.is_numeric());
    last.map_or(end, |(last, digit)| last + digit.len_utf8())
}

fn push_number(shown: &mut String, number: &str) {
    let digits: Vec<char> = number.chars().filter(|c| c.is_numeric()).collect();
    let is_one_word = digits.len() == number.chars().count();
    if digits.len() < *TELEPHONE.start() || (is_one_word && digits.len() > *TELEPHONE.end()) {
        *shown += number;
        return;
    }
    for (index, group) in digits.chunks(DIGITS).enumerate() {
        if index > 0 {
            shown.push('_');
        }
        shown.extend(group);
    }
}

/// Longest name that is carried into messages, in characters. The vendor's ids have 32 and its names fewer; whatever is
/// longer must not fill a message, or the state that remembers it.
const LONGEST_NAME: usize = 120;

/// A name from a reading, made fit to be shown anywhere: no control characters, no line breaks, no invisible marks that
/// turn the reading direction of what follows, single spaces, at most `LONGEST_NAME` (120) characters and no part of what
/// a person sees as one. `None` where nothing is left of it.
#[must_use]
pub fn presentable(name: &str) -> Option<String> {
    let looked_at = first_graphemes(name, 4 * LONGEST_NAME);
    let words = looked_at.split(|character: char| character.is_whitespace() || is_hidden(character));
    let spaced = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    // No character has less than a byte.
    if spaced.len() <= LONGEST_NAME {
        return (!spaced.is_empty()).then_some(spaced);
    }
    let fitting = first_that_fit(&spaced, LONGEST_NAME, |text| text.chars().count());
    // Where the very first grapheme is longer than any name may be, the name ends inside of that.
    if fitting.is_empty() {
        return Some(spaced.chars().take(LONGEST_NAME).collect());
    }
    Some(fitting.trim_end().to_owned())
}

/// The first graphemes of `text` that fit into `room` by `width`.
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
    // No grapheme has less than a byte.
    let end = if text.len() <= graphemes { None } else { text.grapheme_indices(true).nth(graphemes) };
    &text[..end.map_or(text.len(), |(end, _)| end)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_telephone_numbers_are_taken_apart_and_names_and_ids_stay() {
        for (text, shown) in [
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
            assert_eq!(unlinked(text), shown);
            assert_eq!(unlinked(shown), shown, "once is enough");
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
    fn what_is_hidden_becomes_a_blank_and_what_is_written_stays() {
        for hidden in ["\0", "\t", "\r", "\u{1b}", "\u{7f}", "\u{9b}", "\u{61c}", "\u{2029}", "\u{202e}", "\u{2069}"] {
            assert_eq!(line(&format!("a{hidden}b")), "a b", "{hidden:?}");
        }
        for written in ["é", "e\u{301}", "حمام", "三楼", "👩\u{200d}🔧", "a\u{a0}b", "क\u{200c}ष", "<&\">"]
        {
            assert_eq!(line(written), written);
        }
    }

    #[test]
    fn lines_keep_their_ends_and_nothing_else() {
        assert_eq!(lines("a\nb\r\u{2028}c\n"), "a\nb  c\n");
        assert_eq!(line("a\nb"), "a b");
    }

    #[test]
    fn names_lose_what_could_command_a_terminal_or_turn_the_text() {
        assert_eq!(presentable(" Toilet\r\n\t3 ").unwrap(), "Toilet 3");
        assert_eq!(presentable("\u{1b}[31mred\u{202e}der").unwrap(), "[31mred der");
        assert_eq!(presentable("厕所 \u{1f6bb} é").unwrap(), "厕所 \u{1f6bb} é");
        for nothing in ["", "  ", "\u{0}\n", "\u{202e}"] {
            assert_eq!(presentable(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_what_a_person_sees_as_characters() {
        for joined in ["👩\u{200d}👩\u{200d}👧", "🇸🇬", "e\u{301}\u{302}", "👍🏽"] {
            let whole = format!("{}{joined}", "x".repeat(LONGEST_NAME - joined.chars().count()));
            assert_eq!(presentable(&whole).as_deref(), Some(&*whole));
            assert_eq!(
                presentable(&format!("x{whole}")).unwrap(),
                "x".repeat(1 + LONGEST_NAME - joined.chars().count())
            );
        }
        // And what is not looked at any more because of all the space before it is not missed in part.
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
