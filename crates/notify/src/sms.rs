//! The SMS of an alert: the sentence, shortened to one part. A list and a notice shorten their own (`list.rs`, `notice.rs`).

use super::facts::Facts;
use super::gsm7::{PART_SEPTETS, PART_UTF16_UNITS, is_one_part, septets, septets_of, with_plain_marks};
use super::sentence::SentenceOptions;
use super::text::{Charset, cut_to_fit, cut_to_graphemes, graphemes, utf16_units};

/// Graphemes of the location that are kept before more of the sentence is omitted. If nothing fits, the next smaller number
/// is tried.
const KEPT_LOCATION: [usize; 3] = [12, 4, 0];
/// Graphemes of the metric name that are kept as long as any of the location is.
const KEPT_LABEL: usize = 12;

impl Facts<'_> {
    /// The text of an SMS of one part. A longer sentence loses, in this order: what people should do, the end of the location, further breaches,
    /// reasons, the end of the metric name, the trigger, the rest of the location. Value, unit, limit and time of the first
    /// breach are cut only if a rule's template is longer than one part.
    pub(super) fn sms(&self) -> String {
        let whole = self.encoded(&SentenceOptions::full(&self.location));
        if is_one_part(&whole) {
            return whole;
        }
        let attempts = self.attempts();
        let name = graphemes(&self.location);
        let fitting =
            |kept: usize| attempts.iter().find_map(|attempt| self.with_longest_location(attempt, kept.min(name)));
        let shortest = SentenceOptions { max_reasons: 0, max_label: 0, has_trigger: false, ..self.first_breach() };
        let without_label = || self.with_longest_location(&shortest, 0);
        KEPT_LOCATION.into_iter().find_map(fitting).or_else(without_label).unwrap_or_else(|| {
            // The template is too long in any case: a readable location costs nothing more.
            let location = cut_to_graphemes(&self.location, Charset::Unicode.ellipsis(), KEPT_LOCATION[0]);
            cut_to_one_part(&self.encoded(&SentenceOptions { location: &location, ..self.first_breach() }))
        })
    }

    /// The first breach alone.
    fn first_breach(&self) -> SentenceOptions<'_> {
        let full = SentenceOptions { has_action: false, ..SentenceOptions::full(&self.location) };
        SentenceOptions { max_groups: 1, max_breaches: 1, ..full }
    }

    /// The sentences to try, the longest first.
    fn attempts(&self) -> Vec<SentenceOptions<'_>> {
        let full = SentenceOptions { has_action: false, ..SentenceOptions::full(&self.location) };
        let group = &self.groups[0];
        let groups = self.groups.len().min(full.max_groups);
        let breaches = group.breaches.len().min(full.max_breaches);
        let reasons = group.reasons.len().min(full.max_reasons);
        let first = self.first_breach();
        let least = SentenceOptions { max_reasons: 0, ..first };
        let without_trigger = SentenceOptions { has_trigger: false, ..least };
        let short_label = |options| SentenceOptions { max_label: KEPT_LABEL, ..options };
        let fewer_groups = (1..=groups).rev().map(|max_groups| SentenceOptions { max_groups, ..full });
        let fewer_breaches = (1..breaches).rev().map(|max_breaches| SentenceOptions { max_breaches, ..first });
        let fewer_reasons = (0..reasons).rev().map(|max_reasons| SentenceOptions { max_reasons, ..first });
        let last = [short_label(least), without_trigger, short_label(without_trigger)];
        fewer_groups.chain(fewer_breaches).chain(fewer_reasons).chain(last).collect()
    }

    /// The sentence in one part with as much of the location as possible; `None` if `least` graphemes of it do not fit.
    fn with_longest_location(&self, options: &SentenceOptions<'_>, least: usize) -> Option<String> {
        let text = |kept: usize| {
            let location = cut_to_graphemes(&self.location, Charset::Unicode.ellipsis(), kept);
            self.encoded(&SentenceOptions { location: &location, ..*options })
        };
        let whole = self.encoded(options);
        if is_one_part(&whole) {
            return Some(whole);
        }
        // A shorter location never takes more space.
        let kept: Vec<usize> = (least..graphemes(&self.location)).collect();
        let fitting = kept.partition_point(|kept| is_one_part(&text(*kept)));
        fitting.checked_sub(1).map(|last| text(kept[last]))
    }

    /// The sentence in the GSM 7-bit alphabet if no letter changes, else in Unicode.
    fn encoded(&self, options: &SentenceOptions<'_>) -> String {
        let plain = with_plain_marks(&self.sentence(&SentenceOptions { charset: Charset::Gsm7, ..*options }));
        if septets(&plain).is_some() { plain } else { self.sentence(options) }
    }
}

/// The beginning of `text` that fits into one part.
pub(super) fn cut_to_one_part(text: &str) -> String {
    if septets(text).is_some() {
        let width = |text: &str| text.chars().filter_map(septets_of).sum();
        cut_to_fit(text, Charset::Gsm7.ellipsis(), PART_SEPTETS, width)
    } else {
        cut_to_fit(text, Charset::Unicode.ellipsis(), PART_UTF16_UNITS, utf16_units)
    }
}
