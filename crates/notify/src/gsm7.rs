//! The alphabet of SMS: GSM 7-bit, 3GPP TS 23.038 (formerly GSM 03.38), section 6.2.1.
//!
//! A message in this alphabet has 160 characters. One character outside the alphabet switches the message to UCS-2, which has 70
//! (AWS documents the same limits). Longer messages are sent, and billed, in several parts.

/// The size of one part in the GSM 7-bit alphabet, in septets: 140 octets (3GPP TS 23.040).
pub const PART_SEPTETS: usize = 160;
/// The size of one part in UCS-2, in UTF-16 code units: 140 octets (3GPP TS 23.040).
pub const PART_UTF16_UNITS: usize = 70;

/// The basic character set in the order of its codes, 0x00 to 0x7F without the escape at 0x1B. One septet each.
/// It has `Ç` but not `ç`, `à` but not `á`, and none of `µ ² ³ ° ’` and the backtick.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table: an escape and a code, two septets each.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// The width of `character` in septets; `None` if the alphabet does not contain it.
#[must_use]
pub fn septets_of(character: char) -> Option<usize> {
    // The shortcut saves a search of the table for most characters.
    if character.is_ascii_alphanumeric() || BASIC.contains(character) {
        Some(1)
    } else if EXTENSION.contains(character) {
        Some(2)
    } else {
        None
    }
}

/// The width of `text` in septets; `None` if the alphabet does not contain all of its characters.
///
/// # Examples
/// ```
/// use notify::gsm7::septets;
///
/// assert_eq!(septets("bin 3 %"), Some(7));
/// assert_eq!(septets("[3 €]"), Some(8));
/// assert_eq!(septets("3 µg"), None);
/// ```
#[must_use]
pub fn septets(text: &str) -> Option<usize> {
    text.chars().map(septets_of).sum()
}

/// Whether `text` fits into one part: [`PART_SEPTETS`], or [`PART_UTF16_UNITS`] if it leaves the alphabet.
///
/// # Examples
/// ```
/// use notify::gsm7::is_one_part;
///
/// assert!(is_one_part(&"a".repeat(160)));
/// assert!(!is_one_part(&"µ".repeat(71)));
/// ```
#[must_use]
pub fn is_one_part(text: &str) -> bool {
    match septets(text) {
        Some(length) => length <= PART_SEPTETS,
        None => text.encode_utf16().count() <= PART_UTF16_UNITS,
    }
}

/// `text` with plain punctuation if it is then in the alphabet, else `text` unchanged.
pub(crate) fn as_gsm7(text: String) -> String {
    let plain = with_plain_marks(&text);
    if septets(&plain).is_some() { plain } else { text }
}

/// Replaces typographic punctuation by plain: curly quotes, dashes, the middle dot, the ellipsis, special spaces. Letters do not change. Word
/// processors add such marks, and one of them would switch a message to UCS-2.
#[must_use]
pub fn with_plain_marks(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\u{2018}'..='\u{201b}' | '\u{2032}' | '`' | '´' => plain.push('\''),
            '\u{201c}'..='\u{201f}' | '\u{2033}' | '«' | '»' => plain.push('"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '·' => plain.push('-'),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => plain.push(' '),
            '…' => plain.push_str("..."),
            // Zero width: soft hyphen, zero-width space, word joiner.
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
        // 0x1B is the escape: later characters have a code one higher than their index.
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
    fn some_western_characters_are_outside_the_alphabet() {
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
        for unchanged in ["Café ç", "三楼女厕", "مرحاض", "m²", "🚻"] {
            assert_eq!(with_plain_marks(unchanged), unchanged);
        }
    }
}
