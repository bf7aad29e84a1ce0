//! What of a text from outside can be shown: on a terminal, in a log, in a subject, on a page.

use std::ops::RangeInclusive;

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
/// use domain::shown::line;
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

/// Fewest and most digits of a telephone number: seven of a local one, fifteen of an international one (ITU-T E.164).
const TELEPHONE: RangeInclusive<usize> = 7..=15;
/// Digits that stand together where a number is taken apart.
const DIGITS: usize = 4;

/// `text` without anything that a mail program or a telephone makes a link of: addresses of pages and mailboxes get a blank,
/// and telephone numbers low lines. What a sensor sends must not lead anybody anywhere. Longer numbers are ids, and stay.
///
/// ```
/// use domain::shown::unlinked;
/// assert_eq!(unlinked("http://evil.example/x"), "http: //evil. example/x");
/// assert_eq!(unlinked("Call +65 6123 4567"), "Call +6561_2345_67");
/// assert_eq!(unlinked("Toilet 3, level 2.5"), "Toilet 3, level 2.5");
/// ```
#[must_use]
pub fn unlinked(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&character) = characters.get(at) {
        if character.is_ascii_digit() {
            let number = &characters[at..at + number_length(&characters[at..])];
            let neighbours = [at.checked_sub(1), Some(at + number.len())].into_iter().flatten();
            let mut neighbours = neighbours.filter_map(|index| characters.get(index));
            let is_part_of_a_word = neighbours.any(|neighbour| neighbour.is_alphabetic());
            let digits: Vec<char> = number.iter().copied().filter(char::is_ascii_digit).collect();
            if TELEPHONE.contains(&digits.len()) && !is_part_of_a_word {
                let groups: Vec<String> = digits.chunks(DIGITS).map(|group| group.iter().collect()).collect();
                shown += &groups.join("_");
            } else {
                shown.extend(number);
            }
            at += number.len();
            continue;
        }
        shown.push(character);
        at += 1;
        let before = at.checked_sub(2).is_some_and(|before| characters[before].is_alphanumeric());
        let is_in_a_name = character == '.' && before && characters.get(at).is_some_and(|next| next.is_alphabetic());
        if is_in_a_name || characters[at - 1..].starts_with(&[':', '/', '/']) {
            shown.push(' ');
        }
    }
    shown
}

/// How many characters a number takes that begins with a digit, with what people write between digits.
fn number_length(characters: &[char]) -> usize {
    let is_part =
        |character: &&char| character.is_ascii_digit() || matches!(character, ' ' | '-' | '.' | '(' | ')' | '/');
    let length = characters.iter().take_while(is_part).count();
    characters[..length].iter().rposition(char::is_ascii_digit).map_or(0, |last| last + 1)
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
            ("tel:+6561234567", "tel:+6561_2345_67"),
            ("(03) 9123-4567 now", "(0391_2345_67 now"),
            ("1234567", "1234_567"),
            ("12345678 or", "1234_5678 or"),
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
            "1234567f",
            "b1234567f",
            "3f1234567",
            &id,
        ] {
            let letters = |text: &str| text.replace('_', "");
            assert_eq!(letters(&unlinked(text)), text);
        }
        assert_eq!([unlinked(&id), unlinked("1234567f"), unlinked("123456")], [id.as_str(), "1234567f", "123456"]);
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
}
