//! The sentences of reminders and of resolved notices.

use jiff::Timestamp;

use super::facts::Facts;
use super::sentence::{SentenceOptions, shorten};
use super::time::elapsed;
use domain::alert::Trigger;

impl Facts<'_> {
    /// The time at which the condition began: of the first reading that is known to breach the limit.
    pub(super) fn began(&self) -> Timestamp {
        self.first().trigger.since().unwrap_or(self.first().at)
    }

    /// The duration of the condition, as text; `None` if it did not end after it began, which late readings can cause.
    pub(super) fn duration(&self) -> Option<String> {
        (self.at() > self.began()).then(|| elapsed(self.texts, self.began(), self.at()))
    }

    /// The sentence of a reminder: "Washroom 3: still Bad smell at 14:29, since 13:40; was ammonia 270 ppb (limit 200) at
    /// 13:59". A rule's template is kept whole, because it may contain instructions.
    pub(super) fn reminder_sentence(&self, at: Timestamp, options: &SentenceOptions<'_>) -> String {
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

    /// The sentence of a resolved notice: "Washroom 3: Bad smell is over at 14:20 (raised 13:59, lasted 21 min)".
    pub(super) fn resolved_sentence(&self, at: Timestamp, options: &SentenceOptions<'_>) -> String {
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
}
