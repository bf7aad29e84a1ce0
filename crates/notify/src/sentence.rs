//! The sentence: where, what, how much, which limit, why, when, since when. "Indoor Air Quality: ammonia 270 ppb
//! (limit 200) at 13:59, since 13:40", or the rule's own words in its place.

use jiff::Timestamp;

use super::facts::{Facts, Part, Stage, Told};
use super::text::{Letters, cut_to_fit, cut_to_graphemes, date, phrase, utf16_units, value_and_limit};
use super::when::{elapsed, moment, span};
use domain::alert::{Alert, Trigger};
use domain::breach::Breach;
use domain::device::Unit;
use domain::display::unlinked;
use domain::rules::template::filled;

/// What of the facts a sentence says, and in which letters. What is left out is counted: "+2 more".
#[derive(Clone, Copy, Debug)]
pub(super) struct Wording<'a> {
    /// What to call the location.
    pub(super) location: &'a str,
    /// The letters of units and ellipses.
    pub(super) letters: Letters,
    /// Most parts: one for the rules without words of their own, and one for each rule with them.
    pub(super) parts: usize,
    /// Most crossed limits.
    pub(super) phrases: usize,
    /// Most reasons.
    pub(super) reasons: usize,
    /// Most graphemes in the name of a metric, and of a matter.
    pub(super) label: usize,
    /// Whether it says how it came about, and of what was raised before, how it was.
    pub(super) trigger: bool,
}

/// Most crossed limits and most reasons in a sentence that has all the room it wants. The ten measurements of the
/// largest sensor fit; the email has the rest.
const MOST_LISTED: usize = 12;
/// Longest sentence, in UTF-16 code units.
const LONGEST_SENTENCE: usize = 800;

impl<'a> Wording<'a> {
    /// All that there is to say, in all letters.
    pub(super) fn whole(location: &'a str) -> Self {
        let most = MOST_LISTED;
        Self {
            location,
            letters: Letters::Unicode,
            parts: most,
            phrases: most,
            reasons: most,
            label: usize::MAX,
            trigger: true,
        }
    }
}

impl Facts {
    /// The sentence where there is room for it.
    pub(super) fn whole_sentence(&self) -> String {
        let sentence = self.sentence(&Wording::whole(&self.location));
        cut_to_fit(&sentence, Letters::Unicode.ellipsis(), LONGEST_SENTENCE, utf16_units)
    }

    /// The sentence in this wording.
    pub(super) fn sentence(&self, wording: &Wording<'_>) -> String {
        match self.stage {
            Stage::Raised => self.raised(wording),
            Stage::Still(at) => self.still(at, wording),
            Stage::Over(at) => self.over(at, wording),
        }
    }

    pub(super) fn raised(&self, wording: &Wording<'_>) -> String {
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
        let what = self.what(told, wording);
        let since = match told.trigger {
            Trigger::Sustained { since } if wording.trigger => format!(", since {}", self.moment(since)),
            Trigger::Accumulated { since } if wording.trigger => format!(", counted since {}", self.moment(since)),
            _ => String::new(),
        };
        format!("{}: {what} at {}{since}", wording.location, self.clock_at(told.at))
    }

    /// What was measured, how often and why: "rating 5 (limit 4), 3 times within 1 h: No soap".
    pub(super) fn what(&self, told: &Told, wording: &Wording<'_>) -> String {
        let what = match told.trigger {
            Trigger::NoData { since } if told.breaches.is_empty() => {
                format!("no data since {} ({})", self.moment(since), elapsed(since, self.first().at))
            }
            _ if told.breaches.is_empty() => listed(&told.titles, wording.phrases, String::clone),
            _ => phrases(self, told, wording),
        };
        let times = match told.trigger {
            Trigger::Repeated { count, within } if wording.trigger => format!(", {}", times(count, within)),
            _ => String::new(),
        };
        let reasons = reasons(told, wording);
        let why = if reasons.is_empty() { String::new() } else { format!(": {reasons}") };
        format!("{what}{times}{why}")
    }

    /// `at` as it is told where the alert was raised.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        moment(&self.first().location, at, self.at())
    }
}

/// "3 times within 1 h".
pub(super) fn times(count: usize, within: Option<jiff::SignedDuration>) -> String {
    let within = within.map(|within| format!(" within {}", span(within))).unwrap_or_default();
    format!("{count} {}{within}", if count == 1 { "time" } else { "times" })
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
    let id = |id: &Option<String>| id.as_deref().map_or_else(|| "unknown".to_owned(), unlinked);
    let of_breach = |part: fn(&Breach, &Wording<'_>) -> String| {
        told.breaches.first().map(|breach| part(breach, wording)).unwrap_or_default()
    };
    Some(match name {
        "location" => wording.location.to_owned(),
        "what" => of_breach(label),
        "value" => of_breach(|breach, _| numbers(breach).0),
        "unit" => of_breach(|breach, wording| wording.letters.symbol(breach.unit).to_owned()),
        "limit" => of_breach(|breach, _| numbers(breach).1),
        "breaches" => phrases(facts, told, wording),
        "time" => facts.clock_at(alert.at),
        "date" => date(&alert.location, alert.at),
        "zone" => id(&alert.location.zone),
        "project" => id(&alert.location.project),
        "property" => id(&alert.location.property),
        "device" => id(&alert.location.device),
        "type" => alert.location.device_title().to_owned(),
        "severity" => alert.severity.to_string(),
        "title" => alert.title.clone(),
        "reasons" => reasons(told, wording),
        "since" => alert.trigger.since().map(|since| facts.moment(since)).unwrap_or_default(),
        "duration" => alert.trigger.since().map(|since| elapsed(since, alert.at)).unwrap_or_default(),
        _ => return None,
    })
}

fn label(breach: &Breach, wording: &Wording<'_>) -> String {
    cut_to_graphemes(&breach.label, wording.letters.ellipsis(), wording.label)
}

fn phrases(facts: &Facts, told: &Told, wording: &Wording<'_>) -> String {
    let indices: Vec<usize> = (0..told.breaches.len()).collect();
    listed(&indices, wording.phrases, |&index| {
        let breach = &told.breaches[index];
        let phrase = phrase(breach, &label(breach, wording), wording.letters);
        match told.triggers.get(index).filter(|_| wording.trigger) {
            None | Some(Trigger::Immediate) => phrase,
            Some(Trigger::Sustained { since } | Trigger::NoData { since }) => {
                format!("{phrase} since {}", facts.moment(*since))
            }
            Some(Trigger::Accumulated { since }) => format!("{phrase} counted since {}", facts.moment(*since)),
            Some(Trigger::Repeated { count, within }) => format!("{phrase} {}", times(*count, *within)),
        }
    })
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
