//! The alphabet that decides how much fits into one text message: GSM 7-bit, 3GPP TS 23.038 (formerly GSM 03.38),
//! section 6.2.1.
//!
//! A message in this alphabet alone has 160 places; a single character outside turns all of it into UCS-2, which has 70
//! (AWS says the same of its SMS: 160 GSM or 70 UCS-2 characters). What does not fit is sent, and paid, as a second part.

/// What one part takes of the GSM 7-bit alphabet, in septets: 140 octets of 8 bits (3GPP TS 23.040).
pub const PART_SEPTETS: usize = 160;
/// What one part takes of UCS-2, in UTF-16 code units: 140 octets of 16 bits (3GPP TS 23.040).
pub const PART_UTF16_UNITS: usize = 70;

/// The basic character set in the order of its codes, 0x00 to 0x7F without the escape at 0x1B. One septet each.
/// Exactly this: it has `Ç` and not `ç`, `à` and not `á`, and none of `µ ² ³ ° ’` and the backtick.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table: an escape and a code, two septets each.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// What `character` takes of a message, in septets; `None` where the alphabet does not have it.
#[must_use]
pub fn septets_of(character: char) -> Option<usize> {
    // Nearly every character asked for is one of these; the table would be walked for each of them.
    if character.is_ascii_alphanumeric() || BASIC.contains(character) {
        Some(1)
    } else if EXTENSION.contains(character) {
        Some(2)
    } else {
        None
    }
}

/// The length of `text` in septets; `None` where a character of it is outside the alphabet.
///
/// ```
/// use notify::gsm7::septets;
/// assert_eq!(septets("bin 3 %"), Some(7));
/// assert_eq!(septets("[3 €]"), Some(8));
/// assert_eq!(septets("3 µg"), None);
/// ```
#[must_use]
pub fn septets(text: &str) -> Option<usize> {
    text.chars().map(septets_of).sum()
}

/// Whether `text` is one part of a text message: at most [`PART_SEPTETS`], or at most [`PART_UTF16_UNITS`] where a
/// character of it is outside the alphabet.
#[must_use]
pub fn is_one_part(text: &str) -> bool {
    match septets(text) {
        Some(length) => length <= PART_SEPTETS,
        None => text.encode_utf16().count() <= PART_UTF16_UNITS,
    }
}

/// `text` with what only typography tells apart written in the alphabet: curly quotes, dashes, the ellipsis, odd
/// spaces. No letter of any script changes. Such marks come from word processors, and each alone would more than halve
/// what a message can hold.
#[must_use]
pub fn with_plain_marks(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{2018}'..='\u{201b}' | '\u{2032}' | '`' | '´' => plain.push('\''),
            '\u{201c}'..='\u{201f}' | '\u{2033}' | '«' | '»' => plain.push('"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => plain.push('-'),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => plain.push(' '),
            '…' => plain.push_str("..."),
            // Marks without width: soft hyphen, zero-width space, word joiner.
            '\u{ad}' | '\u{200b}' | '\u{2060}' => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basic_set_is_all_127_characters_and_the_extension_ten() {
        for (table, size) in [(BASIC, 127), (EXTENSION, 10)] {
            let mut characters: Vec<char> = table.chars().collect();
            assert_eq!(characters.len(), size);
            characters.sort_unstable();
            characters.dedup();
            assert_eq!(characters.len(), size, "a character is there twice");
        }
        assert!(EXTENSION.chars().all(|character| !BASIC.contains(character)));
    }

    #[test]
    fn characters_stand_at_the_codes_of_the_standard() {
        // 0x1B is the escape, so what follows it is one place further on in the standard.
        let code = |character| {
            let index = BASIC.chars().position(|basic| basic == character).unwrap();
            index + usize::from(index >= 0x1b)
        };
        for (character, expected) in [
            ('@', 0x00),
            ('Ç', 0x09),
            ('\n', 0x0a),
            ('Δ', 0x10),
            ('Ξ', 0x1a),
            ('Æ', 0x1c),
            (' ', 0x20),
            ('¤', 0x24),
            ('0', 0x30),
            ('¡', 0x40),
            ('A', 0x41),
            ('§', 0x5f),
            ('¿', 0x60),
            ('z', 0x7a),
            ('à', 0x7f),
        ] {
            assert_eq!(code(character), expected, "{character:?}");
        }
    }

    #[test]
    fn the_extension_takes_two_septets() {
        for character in ['\u{c}', '^', '{', '}', '\\', '[', '~', ']', '|', '€'] {
            assert_eq!(septets_of(character), Some(2), "{character:?}");
        }
        assert_eq!(septets("[LOW]"), Some(7));
    }

    #[test]
    fn what_looks_western_is_not_always_in_the_alphabet() {
        for character in ['µ', '²', '³', '°', '`', 'ç', 'á', 'ê', '’', '–', '…', '\u{a0}', '\t', '\u{1b}', '三', '🚻']
        {
            assert_eq!(septets_of(character), None, "{character:?}");
        }
        for character in ['Ç', 'à', 'é', 'ß', '\'', '-', ' ', '\n', '¤', 'Ω'] {
            assert_eq!(septets_of(character), Some(1), "{character:?}");
        }
    }

    #[test]
    fn one_part_is_160_septets_and_not_161() {
        assert!(is_one_part(&"a".repeat(160)));
        assert!(!is_one_part(&"a".repeat(161)));
        assert!(is_one_part(&"€".repeat(80)));
        assert!(!is_one_part(&format!("a{}", "€".repeat(80))));
    }

    #[test]
    fn one_part_is_70_units_and_not_71_with_one_character_outside() {
        assert!(is_one_part(&format!("{}µ", "a".repeat(69))));
        assert!(!is_one_part(&format!("{}µ", "a".repeat(70))));
        // Two units each in UTF-16.
        assert!(is_one_part(&"🚻".repeat(35)));
        assert!(!is_one_part(&"🚻".repeat(36)));
    }

    #[test]
    fn typographic_marks_become_plain_and_letters_stay() {
        assert_eq!(
            with_plain_marks("Ladies\u{2019} \u{201c}B\u{201d}\u{a0}\u{2013} L\u{ad}2\u{2026}"),
            "Ladies' \"B\" - L2..."
        );
        for kept in ["Café ç", "三楼女厕", "مرحاض", "m²", "🚻"] {
            assert_eq!(with_plain_marks(kept), kept);
        }
    }
}
