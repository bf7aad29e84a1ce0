//! The subject of an email: `[MEDIUM] Bad smell: Indoor Air Quality`.

use deunicode::deunicode_with_tofu;

use super::facts::{Facts, Stage};
use super::text::{Letters, cut_to_fit, utf16_units};
use domain::severity::Severity;

/// Longest subject, in UTF-16 code units and so also in characters: SNS wants less than 100 characters
/// (API reference, Publish, parameter Subject).
pub(super) const LONGEST_SUBJECT: usize = 99;
/// What a long title leaves to the location, in UTF-16 code units.
const LOCATION_KEEPS: usize = 24;

impl Facts {
    /// The subject, in Unicode.
    pub(super) fn subject(&self) -> String {
        self.subject_of(&self.titles, &self.location, Letters::Unicode)
    }

    /// The subject in printable ASCII. Names in other scripts are spelled in Latin letters, as far as a table of
    /// characters can.
    pub(super) fn ascii_subject(&self) -> String {
        let titles: Vec<String> = self.titles.iter().map(|title| ascii(title)).collect();
        self.subject_of(&titles, &ascii(&self.location), Letters::Plain)
    }

    /// What the subject and the default text begin with: `"[HIGH] "`, and `"[OK] "` of what is over.
    pub(super) fn mark(&self) -> String {
        if matches!(self.stage, Stage::Over(_)) { "[OK] ".to_owned() } else { mark(self.severity) }
    }

    /// All titles where they fit with the location, else the first and how many more. Then the location is shortened, and only
    /// a title that fills the subject by itself is, too.
    fn subject_of(&self, titles: &[String], location: &str, letters: Letters) -> String {
        let still = if matches!(self.stage, Stage::Still(_)) { "Still: " } else { "" };
        let severity = format!("{}{still}", self.mark());
        let whole = format!("{severity}{}: {location}", titles.join(", "));
        if utf16_units(&whole) <= LONGEST_SUBJECT {
            return whole;
        }
        let more = if titles.len() > 1 { format!(" +{} more", titles.len() - 1) } else { String::new() };
        let taken = utf16_units(&severity) + utf16_units(&more) + ": ".len();
        let shorten = |text: &str, room| cut_to_fit(text, letters.ellipsis(), room, utf16_units);
        let title = shorten(&titles[0], LONGEST_SUBJECT - taken - utf16_units(location).min(LOCATION_KEEPS));
        let location = shorten(location, LONGEST_SUBJECT - taken - utf16_units(&title));
        format!("{severity}{title}{more}: {location}")
    }
}

/// `"[HIGH] "`.
pub(super) fn mark(severity: Severity) -> String {
    format!("[{}] ", severity.as_str().to_uppercase())
}

/// `text` in printable ASCII, "?" for what the table does not have; never empty.
pub(super) fn ascii(text: &str) -> String {
    let spelled: String = deunicode_with_tofu(text, "?")
        .chars()
        .map(|character| if character.is_ascii_graphic() { character } else { ' ' })
        .collect();
    let words = spelled.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { "?".to_owned() } else { words }
}
