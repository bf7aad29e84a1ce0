//! The subject of an email: `[MEDIUM] Bad smell: Indoor Air Quality`.

use deunicode::deunicode_with_tofu;

use super::facts::{AlertPhase, Facts};
use super::text::{Charset, cut_to_fit, utf16_units};
use domain::severity::Severity;

/// Longest subject, in UTF-16 code units: SNS requires fewer than 100 characters (API reference, Publish, parameter Subject).
pub(super) const LONGEST_SUBJECT: usize = 99;
/// Least width of the location beside a long title, in UTF-16 code units.
const KEPT_LOCATION: usize = 24;

impl Facts {
    /// The subject, in Unicode.
    pub(super) fn subject(&self) -> String {
        self.subject_of(&self.titles, &self.location, Charset::Unicode)
    }

    /// The subject in printable ASCII. Names in other scripts are transliterated.
    pub(super) fn ascii_subject(&self) -> String {
        let titles: Vec<String> = self.titles.iter().map(|title| ascii(title)).collect();
        self.subject_of(&titles, &ascii(&self.location), Charset::Gsm7)
    }

    /// The prefix of the subject and of the default text: `"[HIGH] "`, or `"[OK] "` for a resolved notice.
    pub(super) fn mark(&self) -> String {
        if matches!(self.phase, AlertPhase::Resolved(_)) { "[OK] ".to_owned() } else { mark(self.severity) }
    }

    /// The subject with all titles, or with the first title and the number of others. If it is still too long, the location is
    /// shortened first, then the title.
    fn subject_of(&self, titles: &[String], location: &str, charset: Charset) -> String {
        let still = if matches!(self.phase, AlertPhase::Reminder(_)) { "Still: " } else { "" };
        let severity = format!("{}{still}", self.mark());
        let whole = format!("{severity}{}: {location}", titles.join(", "));
        if utf16_units(&whole) <= LONGEST_SUBJECT {
            return whole;
        }
        let more = if titles.len() > 1 { format!(" +{} more", titles.len() - 1) } else { String::new() };
        let fixed = utf16_units(&severity) + utf16_units(&more) + ": ".len();
        let shorten = |text: &str, width| cut_to_fit(text, charset.ellipsis(), width, utf16_units);
        let title = shorten(&titles[0], LONGEST_SUBJECT - fixed - utf16_units(location).min(KEPT_LOCATION));
        let location = shorten(location, LONGEST_SUBJECT - fixed - utf16_units(&title));
        format!("{severity}{title}{more}: {location}")
    }
}

/// `"[HIGH] "`.
pub(super) fn mark(severity: Severity) -> String {
    format!("[{}] ", severity.as_str().to_uppercase())
}

/// `text` transliterated to printable ASCII, with "?" for unknown characters; never empty.
pub(super) fn ascii(text: &str) -> String {
    let spelled: String = deunicode_with_tofu(text, "?")
        .chars()
        .map(|character| if character.is_ascii_graphic() { character } else { ' ' })
        .collect();
    let words = spelled.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { "?".to_owned() } else { words }
}
