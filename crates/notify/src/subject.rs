//! The subject of an email: `[MEDIUM] Bad smell: Indoor Air Quality`.

use deunicode::deunicode_with_tofu;

use super::facts::{AlertPhase, Facts};
use super::text::{Charset, cut_to_fit, utf16_units};
use super::texts::Texts;

/// Longest subject, in UTF-16 code units: SNS requires fewer than 100 characters (API reference, Publish, parameter Subject).
pub(super) const LONGEST_SUBJECT: usize = 99;
/// Least width of the location beside a long title, in UTF-16 code units.
const KEPT_LOCATION: usize = 24;

impl Facts<'_> {
    /// The subject, in Unicode.
    pub(super) fn subject(&self) -> String {
        self.subject_of(&self.titles, &self.location, Charset::Unicode, self.texts)
    }

    /// The subject in printable ASCII: in English, with transliterated names.
    pub(super) fn ascii_subject(&self) -> String {
        let titles: Vec<String> = self.english_titles.iter().map(|title| ascii(title)).collect();
        self.subject_of(&titles, &ascii(&self.location), Charset::Gsm7, &Texts::english())
    }

    /// The word before the subject and the default text: of the severity, or "ok" for a resolved notice.
    pub(super) fn mark(&self) -> &'static str {
        if matches!(self.phase, AlertPhase::Resolved(_)) { "ok" } else { self.severity.as_str() }
    }

    /// The subject with all titles, or with the first title and the number of others. If it is still too long, the location is
    /// shortened first, then the title.
    fn subject_of(&self, titles: &[String], location: &str, charset: Charset, texts: &Texts<'_>) -> String {
        let subject = |title: &str, location: &str| {
            let subject = match self.phase {
                AlertPhase::Reminder(_) => texts.subject_reminder(title, location),
                AlertPhase::Escalated(_) => texts.subject_escalated(self.answer(), title, location),
                AlertPhase::Firing | AlertPhase::Resolved(_) => texts.subject(title, location),
            };
            marked(texts, self.mark(), &subject)
        };
        let whole = subject(&titles.join(", "), location);
        if utf16_units(&whole) <= LONGEST_SUBJECT {
            return whole;
        }
        let more = if titles.len() > 1 { format!(" {}", texts.more(titles.len() - 1)) } else { String::new() };
        let left = LONGEST_SUBJECT.saturating_sub(utf16_units(&subject(&more, "")));
        let shorten = |text: &str, width| cut_to_fit(text, charset.ellipsis(), width, utf16_units);
        let title = shorten(&titles[0], left.saturating_sub(utf16_units(location).min(KEPT_LOCATION)));
        let location = shorten(location, left.saturating_sub(utf16_units(&title)));
        shorten(&subject(&format!("{title}{more}"), &location), LONGEST_SUBJECT)
    }
}

/// `text` after the word of a severity, of "ok" or of a notice: `[HIGH] Bad smell`.
pub(super) fn marked(texts: &Texts<'_>, mark: &str, text: &str) -> String {
    format!("[{}] {text}", texts.severity(mark).to_uppercase())
}

/// `text` transliterated to printable ASCII, with "?" for unknown characters; never empty. A middle dot is "-", as in an SMS.
pub(super) fn ascii(text: &str) -> String {
    let spelled: String = deunicode_with_tofu(&text.replace('·', "-"), "?")
        .chars()
        .map(|character| if character.is_ascii_graphic() { character } else { ' ' })
        .collect();
    let words = spelled.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() { "?".to_owned() } else { words }
}
