//! The GSM 7-bit default alphabet (3GPP TS 23.038, sections 6.2.1 and 6.2.1.1), and the length of an SMS part (3GPP TS
//! 23.040, section 9.2.3.16).

use smartclean_push::notify::gsm7::{PART_SEPTETS, PART_UTF16_UNITS, is_one_part, septets, septets_of};

use crate::properties::limits;

/// The basic table, by code. 0x1B is the escape to the extension table.
const BASIC: [(u8, &str); 16] = [
    (0x00, "@£$¥èéùì"),
    (0x08, "òÇ\nØø\rÅå"),
    (0x10, "Δ_ΦΓΛΩΠΨ"),
    (0x18, "ΣΘΞ\u{1b}ÆæßÉ"),
    (0x20, " !\"#¤%&'"),
    (0x28, "()*+,-./"),
    (0x30, "01234567"),
    (0x38, "89:;<=>?"),
    (0x40, "¡ABCDEFG"),
    (0x48, "HIJKLMNO"),
    (0x50, "PQRSTUVW"),
    (0x58, "XYZÄÖÑÜ§"),
    (0x60, "¿abcdefg"),
    (0x68, "hijklmno"),
    (0x70, "pqrstuvw"),
    (0x78, "xyzäöñüà"),
];
/// The extension table. Each code follows an escape.
const EXTENSION: [(u8, char); 10] = [
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

#[test]
fn every_unicode_character_has_the_number_of_septets_of_the_tables() {
    let basic: Vec<char> = BASIC.iter().flat_map(|(_, row)| row.chars()).collect();
    assert_eq!(basic.len(), 128);
    for (index, (code, row)) in BASIC.iter().enumerate() {
        assert_eq!((usize::from(*code), row.chars().count()), (8 * index, 8));
    }
    let mut counted = [0; 3];
    // All characters up to U+FFFF, and every hundredth of the others, none of which is in a table.
    for character in ('\0'..='\u{ffff}').chain(('\u{10000}'..=char::MAX).step_by(100)) {
        let expected = match character {
            '\u{1b}' => None,
            _ if basic.contains(&character) => Some(1),
            _ if EXTENSION.iter().any(|(_, extended)| *extended == character) => Some(2),
            _ => None,
        };
        assert_eq!(septets_of(character), expected, "{character:?}");
        assert_eq!(limits::septets(character), expected, "{character:?}: the table of the fuzz targets");
        counted[expected.unwrap_or(0)] += 1;
    }
    assert_eq!(counted[1..], [127, 10]);
}

#[test]
fn an_sms_part_has_160_septets_or_70_utf16_units_for_every_last_character() {
    assert_eq!((PART_SEPTETS, PART_UTF16_UNITS), (140 * 8 / 7, 140 / 2));
    let basic = BASIC.iter().flat_map(|(_, row)| row.chars()).filter(|character| *character != '\u{1b}');
    for character in basic {
        assert!(is_one_part(&format!("{}{character}", "a".repeat(159))), "{character:?}");
        assert!(!is_one_part(&format!("{}{character}", "a".repeat(160))), "{character:?}");
    }
    for (_, character) in EXTENSION {
        assert!(is_one_part(&format!("{}{character}", "a".repeat(158))), "{character:?}");
        assert!(
            !is_one_part(&format!("{}{character}", "a".repeat(159))),
            "{character:?}: escape and code stay together"
        );
        assert_eq!(septets(&format!("a{character}")), Some(3));
    }
    for character in ['µ', '°', 'ç', '厕', '\u{301}', '\t', '\u{1b}', '\u{ffff}', '\u{2028}'] {
        assert!(is_one_part(&format!("{}{character}", "a".repeat(69))), "{character:?}");
        assert!(!is_one_part(&format!("{}{character}", "a".repeat(70))), "{character:?}");
    }
    for character in ['🚻', '𐍈', '\u{10000}', char::MAX] {
        assert!(is_one_part(&format!("{}{character}", "a".repeat(68))), "{character:?}");
        assert!(!is_one_part(&format!("{}{character}", "a".repeat(69))), "{character:?}");
    }
}
