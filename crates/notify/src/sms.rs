//! The text of an SMS: the sentence, said so that it is one part.

use super::facts::Facts;
use super::gsm7::{PART_SEPTETS, PART_UTF16_UNITS, is_one_part, septets, septets_of, with_plain_marks};
use super::sentence::Wording;
use super::text::{Letters, cut_to_fit, cut_to_graphemes, graphemes, utf16_units};

/// What is kept of the location before anything else is left out, in graphemes; where not even the least wording leaves
/// that much, less.
const LOCATION_KEEPS: [usize; 3] = [12, 4, 0];
/// What is kept of a metric's name as long as anything is kept of the location, in graphemes.
const LABEL_KEEPS: usize = 12;

impl Facts {
    /// The text of an SMS: one part. Where the sentence is longer, the location is shortened first; then further crossed
    /// limits go, then reasons, then most of the metric's name, since when it is, and the rest of the location. The value,
    /// unit, limit and time of the worst are cut only where a rule's own words are longer than a part.
    pub(super) fn sms(&self) -> String {
        let attempts = self.attempts();
        let name = graphemes(&self.location);
        let fitting =
            |keep: usize| attempts.iter().find_map(|attempt| self.with_longest_location(attempt, keep.min(name)));
        let without_label =
            || self.with_longest_location(&Wording { reasons: 0, label: 0, trigger: false, ..self.first_limit() }, 0);
        LOCATION_KEEPS.into_iter().find_map(fitting).or_else(without_label).unwrap_or_else(|| {
            // Something has to be cut, so that nothing is won by a location that nobody can read.
            let location = cut_to_graphemes(&self.location, Letters::Unicode.ellipsis(), LOCATION_KEEPS[0]);
            cut_to_one_part(&self.written(&Wording { location: &location, ..self.first_limit() }))
        })
    }

    /// The worst crossed limit alone.
    fn first_limit(&self) -> Wording<'_> {
        Wording { parts: 1, phrases: 1, ..Wording::whole(&self.location) }
    }

    /// What to say, the fullest first.
    fn attempts(&self) -> Vec<Wording<'_>> {
        let whole = Wording::whole(&self.location);
        let told = self.parts[0].told();
        let parts = self.parts.len().min(whole.parts);
        let phrases = told.breaches.len().min(whole.phrases);
        let reasons = told.reasons.len().min(whole.reasons);
        let mut attempts: Vec<Wording<'_>> = (1..=parts).rev().map(|parts| Wording { parts, ..whole }).collect();
        attempts.extend((1..phrases).rev().map(|phrases| Wording { parts: 1, phrases, ..whole }));
        let first = self.first_limit();
        attempts.extend((0..reasons).rev().map(|reasons| Wording { reasons, ..first }));
        let least = Wording { reasons: 0, ..first };
        let short = |wording| Wording { label: LABEL_KEEPS, ..wording };
        attempts.push(short(least));
        attempts.extend([Wording { trigger: false, ..least }, short(Wording { trigger: false, ..least })]);
        attempts
    }

    /// The text of this wording with as much of the location as one part takes, but not less than `least` graphemes of it.
    fn with_longest_location(&self, wording: &Wording<'_>, least: usize) -> Option<String> {
        let whole = self.written(wording);
        if is_one_part(&whole) {
            return Some(whole);
        }
        let shortened = |kept: usize| {
            let location = cut_to_graphemes(&self.location, Letters::Unicode.ellipsis(), kept);
            Some(self.written(&Wording { location: &location, ..*wording })).filter(|text| is_one_part(text))
        };
        let mut longest = shortened(least)?;
        // A shorter location never needs more room, so that half of what is left can be ruled out each time.
        let (mut fits, mut too_long) = (least, graphemes(&self.location));
        while too_long - fits > 1 {
            let middle = fits.midpoint(too_long);
            match shortened(middle) {
                Some(text) => (longest, fits) = (text, middle),
                None => too_long = middle,
            }
        }
        Some(longest)
    }

    /// The sentence in the GSM 7-bit alphabet where that is possible without changing a letter, else in Unicode.
    fn written(&self, wording: &Wording<'_>) -> String {
        let plain = with_plain_marks(&self.sentence(&Wording { letters: Letters::Plain, ..*wording }));
        if septets(&plain).is_some() {
            plain
        } else {
            self.sentence(&Wording { letters: Letters::Unicode, ..*wording })
        }
    }
}

/// The beginning of `text` that is one part.
pub(super) fn cut_to_one_part(text: &str) -> String {
    if septets(text).is_some() {
        let width = |text: &str| text.chars().filter_map(septets_of).sum();
        cut_to_fit(text, Letters::Plain.ellipsis(), PART_SEPTETS, width)
    } else {
        cut_to_fit(text, Letters::Unicode.ellipsis(), PART_UTF16_UNITS, utf16_units)
    }
}
