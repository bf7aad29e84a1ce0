//! Limits of every message, whatever its content.

use smartclean_push::notify::attributes::Attribute;
use smartclean_push::notify::rendered::{LARGEST_SNS_MESSAGE, Rendered};
use unicode_segmentation::UnicodeSegmentation as _;

/// Panics if SNS, a mail program, a phone or a terminal would reject `message`, or interpret it as a command.
pub fn check(message: &Rendered) {
    let Rendered { subject, ascii_subject, default, email, sms, json, attributes, .. } = message;
    for text in [subject, ascii_subject] {
        assert!(text.encode_utf16().count() < 100 && text.trim() == text && !text.is_empty(), "{text:?}");
    }
    assert!(ascii_subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{ascii_subject:?}");
    for text in [subject, default, sms] {
        assert!(!text.chars().any(is_command), "{text:?}");
    }
    assert!(!email.chars().any(|character| is_command(character) && character != '\n'), "{email:?}");
    assert!(parts(sms) == 1 && !sms.is_empty(), "{} units: {sms:?}", sms.encode_utf16().count());
    assert!(message.sns_message().len() <= LARGEST_SNS_MESSAGE);
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json).expect("one JSON object");
    assert!(!message.record().to_string().contains(['\n', '\r']), "a record is one line");
    for (name, value) in attributes {
        let values = match value {
            Attribute::One(value) => std::slice::from_ref(value),
            Attribute::Many(values) => values.as_slice(),
        };
        assert!(!values.is_empty() && values.iter().all(|value| !value.is_empty()), "{name}: SNS refuses empty values");
        assert!(values.iter().all(|value| !value.chars().any(is_command)), "{name}: {values:?}");
    }
}

/// Control characters, line and paragraph separators, and marks that change the text direction.
pub fn is_command(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The number of parts of an SMS, by the published tables.
pub fn parts(sms: &str) -> usize {
    let septets: Option<usize> = sms.chars().map(septets).sum();
    match septets {
        Some(septets) if septets <= 160 => 1,
        Some(septets) => septets.div_ceil(153),
        None if sms.encode_utf16().count() <= 70 => 1,
        None => sms.encode_utf16().count().div_ceil(67),
    }
}

/// The septets of a character in the GSM 7-bit default alphabet, 3GPP TS 23.038 §6.2.1 and §6.2.1.1, with the rows of the two
/// tables by code.
pub fn septets(character: char) -> Option<usize> {
    const BASIC: [&str; 8] = [
        "@£$¥èéùìòÇ\nØø\rÅå",
        "Δ_ΦΓΛΩΠΨΣΘΞÆæßÉ",
        " !\"#¤%&'()*+,-./",
        "0123456789:;<=>?",
        "¡ABCDEFGHIJKLMNO",
        "PQRSTUVWXYZÄÖÑÜ§",
        "¿abcdefghijklmno",
        "pqrstuvwxyzäöñüà",
    ];
    const EXTENSION: &str = "\u{c}^{}\\[~]|€";
    if BASIC.iter().any(|row| row.contains(character)) {
        return Some(1);
    }
    EXTENSION.contains(character).then_some(2)
}

/// Whether `part` is a prefix of `whole` that ends between two graphemes.
pub fn begins(part: &str, whole: &str) -> bool {
    let Some(rest) = whole.strip_prefix(part) else { return false };
    let cut = whole.len() - rest.len();
    // White space at the cut may be missing as well.
    let after_space = whole.len() - rest.trim_start().len();
    [cut, after_space].iter().any(|cut| *cut == whole.len() || whole.grapheme_indices(true).any(|(at, _)| at == *cut))
}
