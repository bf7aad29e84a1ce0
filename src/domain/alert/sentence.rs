//! The sentence: where, what, how much, which limit, why, when. "Indoor Air Quality: ammonia 270 ppb (limit 200) at
//! 13:59", or the rule's own words in its place.

use super::facts::{Facts, Part, Told};
use super::template::filled;
use super::text::{Letters, cut_to_fit, cut_to_graphemes, date, device_title, phrase, utf16_units, value_and_limit};
use super::{Alert, Breach};
use crate::domain::device::Unit;

/// What of the facts a sentence says, and in which letters. What is left out is counted: "+2 more".
#[derive(Clone, Copy, Debug)]
pub(super) struct Wording<'a> {
    /// What to call the place.
    pub(super) place: &'a str,
    /// The letters of units and ellipses.
    pub(super) letters: Letters,
    /// Most parts: one for the rules without words of their own, and one for each rule with them.
    pub(super) parts: usize,
    /// Most crossed limits.
    pub(super) phrases: usize,
    /// Most reasons.
    pub(super) reasons: usize,
    /// Most graphemes in the name of a metric.
    pub(super) label: usize,
}

/// Most crossed limits and most reasons in a sentence that has all the room it wants. The ten measurements of the
/// largest sensor fit; the email has the rest.
const MOST_LISTED: usize = 12;
/// Longest sentence, in UTF-16 code units.
const LONGEST_SENTENCE: usize = 800;

impl<'a> Wording<'a> {
    /// All that there is to say, in all letters.
    pub(super) fn whole(place: &'a str) -> Self {
        let most = MOST_LISTED;
        Self { place, letters: Letters::Unicode, parts: most, phrases: most, reasons: most, label: usize::MAX }
    }
}

impl Facts {
    /// The sentence where there is room for it.
    pub(super) fn whole_sentence(&self) -> String {
        let sentence = self.sentence(&Wording::whole(&self.place));
        cut_to_fit(&sentence, Letters::Unicode.ellipsis(), LONGEST_SENTENCE, utf16_units)
    }

    /// The sentence in this wording.
    pub(super) fn sentence(&self, wording: &Wording<'_>) -> String {
        let mut sentence = String::new();
        for part in self.parts.iter().take(wording.parts) {
            if !sentence.is_empty() {
                sentence.push_str(if sentence.ends_with(['.', '!', '?', '。', '！', '？']) { " " } else { "; " });
            }
            sentence.push_str(&match part {
                Part::Usual(told) => self.usual(told, wording),
                Part::Own { alert, template, told } => {
                    filled(template, |name| value_of(name, self, &self.alerts[*alert], told, wording))
                }
            });
        }
        let untold: usize = self.parts.iter().skip(wording.parts).map(|part| part.told().alerts).sum();
        if untold > 0 {
            sentence.push_str(&format!(" (+{untold} more)"));
        }
        sentence
    }

    fn usual(&self, told: &Told, wording: &Wording<'_>) -> String {
        let what = if told.breaches.is_empty() {
            listed(&told.titles, wording.phrases, String::clone)
        } else {
            phrases(told, wording)
        };
        let reasons = reasons(told, wording);
        let why = if reasons.is_empty() { String::new() } else { format!(": {reasons}") };
        format!("{}: {what}{why} at {}", wording.place, self.clock)
    }
}

impl Part {
    /// What it tells.
    pub(super) fn told(&self) -> &Told {
        match self {
            Self::Usual(told) | Self::Own { told, .. } => told,
        }
    }
}

/// What a template's placeholder stands for; `None` where there is none of that name.
fn value_of(name: &str, facts: &Facts, alert: &Alert, told: &Told, wording: &Wording<'_>) -> Option<String> {
    let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "unknown".to_owned());
    let of_breach = |part: fn(&Breach, &Wording<'_>) -> String| {
        told.breaches.first().map(|breach| part(breach, wording)).unwrap_or_default()
    };
    Some(match name {
        "place" => wording.place.to_owned(),
        "what" => of_breach(label),
        "value" => of_breach(|breach, _| numbers(breach).0),
        "unit" => of_breach(|breach, wording| wording.letters.symbol(breach.unit).to_owned()),
        "limit" => of_breach(|breach, _| numbers(breach).1),
        "breaches" => phrases(told, wording),
        "time" => facts.clock.clone(),
        "date" => date(&alert.place, alert.at),
        "zone" => id(&alert.place.zone),
        "project" => id(&alert.place.project),
        "property" => id(&alert.place.property),
        "device" => id(&alert.place.device),
        "type" => device_title(&alert.place).to_owned(),
        "severity" => alert.severity.to_string(),
        "title" => alert.title.clone(),
        "reasons" => reasons(told, wording),
        _ => return None,
    })
}

fn label(breach: &Breach, wording: &Wording<'_>) -> String {
    cut_to_graphemes(&breach.label, wording.letters.ellipsis(), wording.label)
}

fn phrases(told: &Told, wording: &Wording<'_>) -> String {
    listed(&told.breaches, wording.phrases, |breach| phrase(breach, &label(breach, wording), wording.letters))
}

/// The reasons; where none is to be told, not even their number.
fn reasons(told: &Told, wording: &Wording<'_>) -> String {
    if wording.reasons == 0 { String::new() } else { listed(&told.reasons, wording.reasons, String::clone) }
}

/// The value and the limit of `breach` without unit, where a template asks for them one by one.
fn numbers(breach: &Breach) -> (String, String) {
    let word = |value: f64| if value == 0.0 { "no" } else { "yes" }.to_owned();
    if breach.unit == Unit::Flag { (word(breach.value), word(breach.limit)) } else { value_and_limit(breach) }
}

/// The first `most` of `items` in words, and how many more there are.
fn listed<T>(items: &[T], most: usize, words: impl Fn(&T) -> String) -> String {
    let mut list: Vec<String> = items.iter().take(most).map(words).collect();
    let more = items.len() - list.len();
    if more > 0 {
        list.push(format!("+{more} more"));
    }
    list.join(", ")
}
