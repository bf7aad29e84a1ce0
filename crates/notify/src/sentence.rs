//! The sentence of a message: location, measured values, limits, time and reasons. "Indoor Air Quality: ammonia 270 ppb
//! (limit 200) at 13:59, since 13:40", or the rule's template.

use jiff::Timestamp;

use super::facts::{AlertGroup, AlertPhase, Facts};
use super::text::{Charset, cut_to_fit, cut_to_graphemes, phrase, utf16_units, value_and_limit};
use super::time::{date, elapsed};
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
    /// Whether it says what people should do.
    pub(super) has_action: bool,
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
            has_action: true,
        }
    }
}

impl Facts<'_> {
    /// The sentence for texts that have no tight size limit.
    pub(super) fn full_sentence(&self) -> String {
        let sentence = self.sentence(&SentenceOptions::full(&self.location));
        cut_to_fit(&sentence, Charset::Unicode.ellipsis(), LONGEST_SENTENCE, utf16_units)
    }

    pub(super) fn sentence(&self, options: &SentenceOptions<'_>) -> String {
        let sentence = match self.phase {
            AlertPhase::Firing => self.firing_sentence(options),
            AlertPhase::Reminder(at) => self.reminder_sentence(at, options),
            AlertPhase::Escalated(at) => self.escalated_sentence(at, options),
            AlertPhase::Resolved(at) => return self.resolved_sentence(at, options),
        };
        if !options.has_action || self.actions.is_empty() {
            return sentence;
        }
        let ended = if is_ended(&sentence) { "yes" } else { "no" };
        self.texts.with_action(sentence, joined(self.actions.iter().cloned()), ended)
    }

    fn firing_sentence(&self, options: &SentenceOptions<'_>) -> String {
        let mut sentence = joined(self.groups.iter().take(options.max_groups).map(|group| match &group.template {
            Some(template) => filled(template, |name| self.placeholder(name, group, options)),
            None => self.default_wording(group, options),
        }));
        let omitted: usize = self.groups.iter().skip(options.max_groups).map(|group| group.alerts).sum();
        if omitted > 0 {
            sentence.push_str(&format!(" ({})", self.texts.more(omitted)));
        }
        sentence
    }

    /// The time at which the condition began: of the first reading that is known to breach the limit.
    pub(super) fn began(&self) -> Timestamp {
        self.first().trigger.since().unwrap_or(self.first().at)
    }

    /// The duration of the condition, as text; `None` if it did not end after it began, which late readings can cause.
    fn duration(&self) -> Option<String> {
        (self.at() > self.began()).then(|| elapsed(self.texts, self.began(), self.at()))
    }

    /// The sentence of a reminder: "Washroom 3: still Bad smell at 14:29, since 13:40; was ammonia 270 ppb (limit 200) at
    /// 13:59". A rule's template is kept whole, because it may contain instructions.
    fn reminder_sentence(&self, at: Timestamp, options: &SentenceOptions<'_>) -> String {
        let (texts, location, group, alert) = (self.texts, options.location, &self.groups[0], self.first());
        let (title, time, since) = (shorten(&self.titles[0], options), self.moment(at), self.moment(self.began()));
        let reminder = if group.template.is_some() && options.has_trigger {
            texts.reminder_template(time, since, self.firing_sentence(options))
        } else if options.has_trigger && !alert.breaches.is_empty() {
            let values = self.summary(group, options);
            texts.reminder_values(location, title, time, since, values, self.moment(alert.at))
        } else {
            texts.reminder(location, title, time, since)
        };
        match self.no_reading_since {
            Some(last) => texts.last_reminder(reminder, self.moment(last)),
            None => reminder,
        }
    }

    /// What people did before an escalation, in one word: "taken" or "none".
    pub(super) fn answer(&self) -> &'static str {
        if self.escalation.as_ref().is_some_and(|escalation| escalation.taken.is_some()) { "taken" } else { "none" }
    }

    /// The sentence of an escalation: "No answer for 15 min: Washroom 3: ammonia 270 ppb (limit 200) at 13:59". A rule's
    /// template is kept whole.
    fn escalated_sentence(&self, at: Timestamp, options: &SentenceOptions<'_>) -> String {
        let (texts, sentence) = (self.texts, self.firing_sentence(options));
        let Some(escalation) = &self.escalation else { return sentence };
        match &escalation.taken {
            Some((since, by)) if options.has_trigger => {
                texts.escalated_taken(shorten(by, options), self.moment(*since), sentence)
            }
            _ => texts.escalated(self.answer(), elapsed(texts, escalation.raised, at), sentence),
        }
    }

    /// The sentence of a resolved notice: "Washroom 3: Bad smell is over at 14:20 (raised 13:59, lasted 21 min)".
    fn resolved_sentence(&self, at: Timestamp, options: &SentenceOptions<'_>) -> String {
        let (texts, location, alert, time) = (self.texts, options.location, self.first(), self.moment(at));
        let duration = self.duration().filter(|_| options.has_trigger);
        if matches!(alert.trigger, Trigger::NoData { .. }) && alert.breaches.is_empty() {
            return match duration {
                Some(duration) => texts.data_again_since(location, time, self.moment(self.began()), duration),
                None => texts.data_again(location, time),
            };
        }
        let title = shorten(&self.titles[0], options);
        match duration {
            Some(duration) => texts.resolved_lasted(location, title, time, self.moment(alert.at), duration),
            None => texts.resolved(location, title, time),
        }
    }

    fn default_wording(&self, group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
        let (texts, location) = (self.texts, options.location);
        let (what, time) = (self.summary(group, options), self.clock_at(self.alerts[group.first].at));
        let sentence = match group.trigger {
            Trigger::NoData { since } if group.breaches.is_empty() => {
                let duration = elapsed(texts, since, self.first().at);
                texts.alert_no_data(location, what, duration, self.moment(since))
            }
            Trigger::Sustained { since } if options.has_trigger => {
                texts.alert_since(location, what, time, self.moment(since))
            }
            Trigger::Accumulated { since } if options.has_trigger => {
                texts.alert_counted(location, what, time, self.moment(since))
            }
            Trigger::Repeated { count, since, .. } if options.has_trigger => {
                texts.alert_repeated(location, what, time, texts.times(count, self.moment(since)))
            }
            _ => texts.alert(location, what, time),
        };
        let reasons = self.reasons(group, options);
        if reasons.is_empty() { sentence } else { texts.with_reasons(sentence, reasons) }
    }

    /// The values and limits: "rating 5 (limit 4)", or the titles without any.
    fn summary(&self, group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
        if group.breaches.is_empty() {
            self.listed(&group.titles, options.max_breaches, String::clone)
        } else {
            self.breaches(group, options)
        }
    }

    /// The breaches: "ammonia 270 ppb (limit 200) since 13:40, humidity 90 % (limit 80)". A breach has its own trigger only if the
    /// alerts of the group have different ones.
    fn breaches(&self, group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
        let texts = self.texts;
        self.listed(&group.breaches, options.max_breaches, |(breach, trigger)| {
            let phrase = phrase(breach, |label| shorten(label, options), options.charset, texts);
            match *trigger {
                Trigger::Sustained { since } | Trigger::NoData { since } if options.has_trigger => {
                    texts.breach_since(phrase, self.moment(since))
                }
                Trigger::Accumulated { since } if options.has_trigger => {
                    texts.breach_counted(phrase, self.moment(since))
                }
                Trigger::Repeated { count, since, .. } if options.has_trigger => {
                    texts.breach_repeated(phrase, texts.times(count, self.moment(since)))
                }
                _ => phrase,
            }
        })
    }

    /// The reasons; empty if `max_reasons` is 0, instead of "+3 more".
    fn reasons(&self, group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
        if options.max_reasons == 0 {
            String::new()
        } else {
            self.listed(&group.reasons, options.max_reasons, String::clone)
        }
    }

    /// The first `max` of `items` as text, and the number of the others.
    fn listed<T>(&self, items: &[T], max: usize, text: impl Fn(&T) -> String) -> String {
        let mut list: Vec<String> = items.iter().take(max).map(text).collect();
        let omitted = items.len() - list.len();
        if omitted > 0 {
            list.push(self.texts.more(omitted));
        }
        list.join(", ")
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
            "what" => first_breach(&|breach| shorten(&self.texts.label(&breach.label), options)),
            "value" => first_breach(&|breach| numbers(breach).0),
            "unit" => first_breach(&|breach| options.charset.symbol(breach.unit).to_owned()),
            "limit" => first_breach(&|breach| numbers(breach).1),
            "breaches" => self.breaches(group, options),
            "time" => self.clock_at(alert.at),
            "date" => date(self.texts, &alert.location, alert.at),
            "zone" => id(&alert.location.zone),
            "project" => id(&alert.location.project),
            "property" => id(&alert.location.property),
            "device" => id(&alert.location.device),
            "type" => self.texts.device(alert.location.device_title()),
            "severity" => self.texts.severity(alert.severity.as_str()),
            "title" => alert.title.clone(),
            "action" => alert.action.clone().unwrap_or_default(),
            "reasons" => self.reasons(group, options),
            "since" => alert.trigger.since().map(|since| self.moment(since)).unwrap_or_default(),
            "duration" => alert.trigger.since().map(|since| elapsed(self.texts, since, alert.at)).unwrap_or_default(),
            _ => return None,
        })
    }
}

/// Whether `text` has its own full stop.
fn is_ended(text: &str) -> bool {
    text.ends_with(['.', '!', '?', '…', '。', '！', '？'])
}

/// `texts` as one, with a semicolon after each that has no full stop.
fn joined(texts: impl Iterator<Item = String>) -> String {
    let join = |text: String, next: String| text.clone() + if is_ended(&text) { " " } else { "; " } + &next;
    texts.reduce(join).unwrap_or_default()
}

/// A metric name or a title, shortened.
fn shorten(name: &str, options: &SentenceOptions<'_>) -> String {
    cut_to_graphemes(name, options.charset.ellipsis(), options.max_label)
}

/// The value and the limit without unit, for the placeholders `{value}` and `{limit}`: "yes" or "no" for a flag.
fn numbers(breach: &Breach) -> (String, String) {
    let word = |value: f64| if value == 0.0 { "no" } else { "yes" }.to_owned();
    if breach.unit == Unit::Flag { (word(breach.value), word(breach.limit)) } else { value_and_limit(breach) }
}
