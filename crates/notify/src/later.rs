//! The sentences of what was raised before: that it still lasts, that it is over.

use jiff::Timestamp;

use super::facts::{Facts, Part, Told};
use super::sentence::Wording;
use super::text::cut_to_graphemes;
use super::when::elapsed;
use domain::alert::Trigger;

impl Facts {
    /// When what was raised began: the first reading of it that is known.
    pub(super) fn began(&self) -> Timestamp {
        self.first().trigger.since().unwrap_or(self.first().at)
    }

    /// How long what was raised has lasted, or did last, in words; `None` where it is said to be over before it began,
    /// as of readings that came late.
    pub(super) fn lasted(&self) -> Option<String> {
        (self.at() > self.began()).then(|| elapsed(self.began(), self.at()))
    }

    /// That it still lasts, and how it was when it was raised: "Washroom 3: still Bad smell at 14:29, since 13:40; was
    /// ammonia 270 ppb (limit 200) at 13:59". A rule's own words follow as they are, because they may say what to do.
    pub(super) fn still(&self, at: Timestamp, wording: &Wording<'_>) -> String {
        let since = format!("at {}, since {}", self.moment(at), self.moment(self.began()));
        let location = wording.location;
        let still = match &self.parts[0] {
            Part::Own { .. } if wording.trigger => format!("Still {since}: {}", self.raised(wording)),
            _ if self.is_silence() => format!("{location}: still no data {since}"),
            part => format!("{location}: still {} {since}{}", self.title(wording), self.was(part.told(), wording)),
        };
        match self.unheard_since {
            Some(unheard) => format!("{still}; no reading since {}; this is the last reminder", self.moment(unheard)),
            None => still,
        }
    }

    /// That it is over: "Washroom 3: Bad smell is over at 14:20 (raised 13:59, lasted 21 min)".
    pub(super) fn over(&self, at: Timestamp, wording: &Wording<'_>) -> String {
        let (location, time, began) = (wording.location, self.moment(at), self.moment(self.began()));
        let lasted = |word: &str| self.lasted().map(|lasted| format!(", {word}{lasted}")).unwrap_or_default();
        match (self.is_silence(), wording.trigger) {
            (true, true) => format!("{location}: sends again at {time} (no data since {began}{})", lasted("")),
            (true, false) => format!("{location}: sends again at {time}"),
            (false, true) => {
                let raised = self.moment(self.first().at);
                format!("{location}: {} is over at {time} (raised {raised}{})", self.title(wording), lasted("lasted "))
            }
            (false, false) => format!("{location}: {} is over at {time}", self.title(wording)),
        }
    }

    /// Whether it is about a device from which nothing comes.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self.first().trigger, Trigger::NoData { .. }) && self.first().breaches.is_empty()
    }

    fn title(&self, wording: &Wording<'_>) -> String {
        cut_to_graphemes(&self.titles[0], wording.letters.ellipsis(), wording.label)
    }

    fn was(&self, told: &Told, wording: &Wording<'_>) -> String {
        let alert = self.first();
        if !wording.trigger || alert.breaches.is_empty() {
            return String::new();
        }
        let then = if alert.at == self.began() { "then".to_owned() } else { format!("at {}", self.moment(alert.at)) };
        format!("; was {} {then}", self.what(told, wording))
    }
}
