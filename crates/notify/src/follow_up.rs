//! The sentences of reminders and of resolved notices.

use jiff::Timestamp;

use super::facts::{AlertGroup, Facts};
use super::sentence::SentenceOptions;
use super::text::cut_to_graphemes;
use super::time::elapsed;
use domain::alert::Trigger;

impl Facts {
    /// The time at which the condition began: of the first reading that is known to breach the limit.
    pub(super) fn began(&self) -> Timestamp {
        self.first().trigger.since().unwrap_or(self.first().at)
    }

    /// The duration of the condition, as text; `None` if it did not end after it began, which late readings can cause.
    pub(super) fn duration(&self) -> Option<String> {
        (self.at() > self.began()).then(|| elapsed(self.began(), self.at()))
    }

    /// The sentence of a reminder: "Washroom 3: still Bad smell at 14:29, since 13:40; was ammonia 270 ppb (limit 200) at
    /// 13:59". A rule's template is kept whole, because it may contain instructions.
    pub(super) fn reminder_sentence(&self, at: Timestamp, options: &SentenceOptions<'_>) -> String {
        let since = format!("at {}, since {}", self.moment(at), self.moment(self.began()));
        let (location, group) = (options.location, &self.groups[0]);
        let still = if group.template.is_some() && options.has_trigger {
            format!("Still {since}: {}", self.firing_sentence(options))
        } else if self.is_no_data() {
            format!("{location}: still no data {since}")
        } else {
            format!("{location}: still {} {since}{}", self.title(options), self.first_values(group, options))
        };
        match self.no_reading_since {
            Some(last) => format!("{still}; no reading since {}; this is the last reminder", self.moment(last)),
            None => still,
        }
    }

    /// The sentence of a resolved notice: "Washroom 3: Bad smell is over at 14:20 (raised 13:59, lasted 21 min)".
    pub(super) fn resolved_sentence(&self, at: Timestamp, options: &SentenceOptions<'_>) -> String {
        let (location, time) = (options.location, self.moment(at));
        let duration = |verb: &str| self.duration().map(|duration| format!(", {verb}{duration}")).unwrap_or_default();
        let (ended, details) = if self.is_no_data() {
            ("sends again".to_owned(), format!("no data since {}{}", self.moment(self.began()), duration("")))
        } else {
            let raised = self.moment(self.first().at);
            (format!("{} is over", self.title(options)), format!("raised {raised}{}", duration("lasted ")))
        };
        let details = if options.has_trigger { format!(" ({details})") } else { String::new() };
        format!("{location}: {ended} at {time}{details}")
    }

    fn is_no_data(&self) -> bool {
        matches!(self.first().trigger, Trigger::NoData { .. }) && self.first().breaches.is_empty()
    }

    fn title(&self, options: &SentenceOptions<'_>) -> String {
        cut_to_graphemes(&self.titles[0], options.charset.ellipsis(), options.max_label)
    }

    /// The values when the alert was raised.
    fn first_values(&self, group: &AlertGroup, options: &SentenceOptions<'_>) -> String {
        let alert = self.first();
        if !options.has_trigger || alert.breaches.is_empty() {
            return String::new();
        }
        let then = if alert.at == self.began() { "then".to_owned() } else { format!("at {}", self.moment(alert.at)) };
        format!("; was {} {then}", self.summary(group, options))
    }
}
