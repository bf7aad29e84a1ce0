//! The sentence of a message: location, measured values, limits, time and reasons. "Indoor Air Quality: ammonia 270 ppb
//! (limit 200) at 13:59, since 13:40", or the rule's template.

use jiff::{SignedDuration, Timestamp};

use super::facts::{AlertGroup, AlertPhase, Facts};
use super::text::{Charset, counted, cut_to_fit, cut_to_graphemes, date, phrase, utf16_units, value_and_limit};
use super::time::{elapsed, moment, span};
use domain::alert::Trigger;
use domain::breach::Breach;
use domain::device::Unit;
use domain::display::unlinked;
use domain::rules::template::filled;

/// How much a sentence contains, and in which characters. Omitted items are counted: "+2 more".
#[derive(Clone, Copy, Debug)]
pub(super) struct SentenceOptions<'a> {
    /// The display name of the location.
    pub(super) location: &'a str,
    pub(super) charset: Charset,
    /// Most [`AlertGroup`]s. The limits below apply to each of them.
    pub(super) max_groups: usize,
    pub(super) max_breaches: usize,
    pub(super) max_reasons: usize,
    /// Longest metric name and title, in graphemes.
    pub(super) max_label: usize,
    /// Whether the sentence includes the trigger, and in follow-ups the measured values.
    pub(super) has_trigger: bool,
}

/// Most groups in a full sentence, and most breaches and reasons of each. The ten metrics of the largest sensor fit; the email
/// has the rest.
const MOST_LISTED: usize = 12;
/// Longest sentence, in UTF-16 code units.
pub(super) const LONGEST_SENTENCE: usize = 800;

impl<'a> SentenceOptions<'a> {
    /// Up to [`MOST_LISTED`] groups, breaches and reasons, in Unicode.
    pub(super) fn full(location: &'a str) -> Self {
        Self {
            location,
            charset: Charset::Unicode,
            max_groups: MOST_LISTED,
            max_breaches: MOST_LISTED,
            max_reasons: MOST_LISTED,
            max_label: usize::MAX,
            has_trigger: true,
        }
    }
}

impl Facts {
    /// The sentence for texts that have no tight size limit.
    pub(super) fn full_sentence(&self) -> String {
        let sentence = self.sentence(&SentenceOptions::full(&self.location));
        cut_to_fit(&sentence, Charset::Unicode.ellipsis(), LONGEST_SENTENCE, utf16_units)
    }

    pub(super) fn sentence(&self, options: &SentenceOptions<'_>) -> String {
        match self.phase {
            AlertPhase::Firing => self.firing_sentence(options),
            AlertPhase::Reminder(at) => self.reminder_sentence(at, options),
            AlertPhase::Resolved(at) => self.resolved_sentence(at, options),
        }
    }

    pub(super) fn firing_sentence(&self, options: &SentenceOptions<'_>) -> String {
        let mut sentence = String::new();
        for group in self.groups.iter().take(options.max_groups) {
            if !sentence.is_empty() {
                sentence.push_str(if sentence.ends_with(['.', '!', '?', '。', '！', '？']) { " " } else { "; " });
            }
            sentence.push_str(&match &group.template {
                Some(template) => filled(template, |name| self.placeholder(name, group, options)),
                None => self.default_wording(group, options),
            });
        }
        let omitted: usize = self.groups.iter().skip(options.max_groups).map(|group| group.alerts).sum();
        if omitted > 0 {
            sentence.push_str(&format!(" (+{omitted} more)"));
        }
        sentence
    }

    fn default_wording(&self, group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
        let since = match group.trigger {
            Trigger::Sustained { since } if options.has_trigger => format!(", since {}", self.moment(since)),
            Trigger::Accumulated { since } if options.has_trigger => format!(", counted since {}", self.moment(since)),
            _ => String::new(),
        };
        let time = self.clock_at(self.alerts[group.first].at);
        format!("{}: {} at {time}{since}", options.location, self.summary(group, options))
    }

    /// Values, limits, count and reasons: "rating 5 (limit 4), 3 times within 1 h: No soap".
    pub(super) fn summary(&self, group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
        let mut summary = match group.trigger {
            Trigger::NoData { since } if group.breaches.is_empty() => {
                format!("no data since {} ({})", self.moment(since), elapsed(since, self.first().at))
            }
            _ if group.breaches.is_empty() => listed(&group.titles, options.max_breaches, String::clone),
            _ => self.breaches(group, options),
        };
        if let Trigger::Repeated { count, within } = group.trigger
            && options.has_trigger
        {
            summary.push_str(&format!(", {}", times(count, within)));
        }
        let reasons = reasons(group, options);
        if reasons.is_empty() { summary } else { format!("{summary}: {reasons}") }
    }

    /// The breaches: "ammonia 270 ppb (limit 200) since 13:40, humidity 90 % (limit 80)". A breach has its own trigger only if the
    /// alerts of the group have different ones.
    fn breaches(&self, group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
        listed(&group.breaches, options.max_breaches, |(breach, trigger)| {
            let phrase = phrase(breach, &label(breach, options), options.charset);
            match trigger {
                Trigger::Sustained { since } | Trigger::NoData { since } if options.has_trigger => {
                    format!("{phrase} since {}", self.moment(*since))
                }
                Trigger::Accumulated { since } if options.has_trigger => {
                    format!("{phrase} counted since {}", self.moment(*since))
                }
                Trigger::Repeated { count, within } if options.has_trigger => {
                    format!("{phrase} {}", times(*count, *within))
                }
                _ => phrase,
            }
        })
    }

    /// The value of a template's placeholder; `None` if there is no placeholder of that name.
    fn placeholder(&self, name: &str, group: &AlertGroup, options: &SentenceOptions<'_>) -> Option<String> {
        let alert = &self.alerts[group.first];
        let id = |id: &Option<String>| id.as_deref().map_or_else(|| "unknown".to_owned(), unlinked);
        let first_breach = |part: &dyn Fn(&Breach) -> String| {
            group.breaches.first().map(|(breach, _)| part(breach)).unwrap_or_default()
        };
        Some(match name {
            "location" => options.location.to_owned(),
            "what" => first_breach(&|breach| label(breach, options)),
            "value" => first_breach(&|breach| numbers(breach).0),
            "unit" => first_breach(&|breach| options.charset.symbol(breach.unit).to_owned()),
            "limit" => first_breach(&|breach| numbers(breach).1),
            "breaches" => self.breaches(group, options),
            "time" => self.clock_at(alert.at),
            "date" => date(&alert.location, alert.at),
            "zone" => id(&alert.location.zone),
            "project" => id(&alert.location.project),
            "property" => id(&alert.location.property),
            "device" => id(&alert.location.device),
            "type" => alert.location.device_title().to_owned(),
            "severity" => alert.severity.to_string(),
            "title" => alert.title.clone(),
            "reasons" => reasons(group, options),
            "since" => alert.trigger.since().map(|since| self.moment(since)).unwrap_or_default(),
            "duration" => alert.trigger.since().map(|since| elapsed(since, alert.at)).unwrap_or_default(),
            _ => return None,
        })
    }

    /// The local time of `at`, with a date if it is on another day than the message.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        moment(&self.first().location, at, self.at())
    }
}

/// "3 times within 1 h".
pub(super) fn times(count: usize, within: Option<SignedDuration>) -> String {
    let within = within.map(|within| format!(" within {}", span(within))).unwrap_or_default();
    format!("{}{within}", counted(count, "time"))
}

fn label(breach: &Breach, options: &SentenceOptions<'_>) -> String {
    cut_to_graphemes(&breach.label, options.charset.ellipsis(), options.max_label)
}

/// The reasons; empty if `max_reasons` is 0, instead of "+3 more".
fn reasons(group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
    if options.max_reasons == 0 { String::new() } else { listed(&group.reasons, options.max_reasons, String::clone) }
}

/// The value and the limit without unit, for the placeholders `{value}` and `{limit}`: "yes" or "no" for a flag.
fn numbers(breach: &Breach) -> (String, String) {
    let word = |value: f64| if value == 0.0 { "no" } else { "yes" }.to_owned();
    if breach.unit == Unit::Flag { (word(breach.value), word(breach.limit)) } else { value_and_limit(breach) }
}

/// The first `max` of `items` as text, and the number of the others.
fn listed<T>(items: &[T], max: usize, text: impl Fn(&T) -> String) -> String {
    let mut list: Vec<String> = items.iter().take(max).map(text).collect();
    let omitted = items.len() - list.len();
    if omitted > 0 {
        list.push(format!("+{omitted} more"));
    }
    list.join(", ")
}
