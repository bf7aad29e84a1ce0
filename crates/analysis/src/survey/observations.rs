//! The observations of a survey: what was seen, what is expected, and what to do if the two differ.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Display;

use domain::device::DeviceType;
use domain::rules::RuleSet;
use serde::Serialize;

use super::samples::time;
use super::{Survey, TypeSurvey};
use crate::words::plural;

/// Seconds of delay from which on alerts are late too.
const LATE: u32 = 300;
/// If more than half of the pushes have more readings than this, readings wait at gateways.
const MANY_READINGS: u32 = 10;
/// Per cent of readings that are repeated from which on single retries are not the reason.
const MANY_REPEATS: f64 = 10.0;

/// An observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// What was observed.
    pub subject: String,
    /// What was seen.
    pub seen: String,
    /// What the vendor documents, or this program assumes.
    pub expected: &'static str,
    /// What to do; `None` if what was seen is as expected.
    pub advice: Option<String>,
}

impl Observation {
    fn new(subject: impl Into<String>, seen: impl Into<String>, expected: &'static str) -> Self {
        Self { subject: subject.into(), seen: seen.into(), expected, advice: None }
    }

    fn with_advice_if(self, is_unexpected: bool, advice: impl Into<String>) -> Self {
        if is_unexpected { Self { advice: Some(advice.into()), ..self } } else { self }
    }

    /// The most frequent of these names, each with its number. There should be none.
    fn of_names(subject: impl Into<String>, names: &BTreeMap<impl Display + Ord, u64>, advice: &str) -> Self {
        const LISTED: usize = 8;
        let mut names: Vec<_> = names.iter().collect();
        names.sort_by_key(|(name, number)| (Reverse(**number), *name));
        let mut listed: Vec<_> = names.iter().take(LISTED).map(|(name, number)| format!("{name} {number}")).collect();
        if names.len() > LISTED {
            listed.push(format!("{} more", names.len() - LISTED));
        }
        let seen = if names.is_empty() { "none".to_owned() } else { listed.join(", ") };
        Self::new(subject, seen, "none").with_advice_if(!names.is_empty(), advice)
    }
}

impl Survey {
    /// All observations. `rules` decide which readings alert.
    #[must_use]
    pub fn observations(&self, rules: &RuleSet) -> Vec<Observation> {
        let mut all = vec![self.amount(), self.batches(), self.delay(rules)];
        let share = |subject, count, expected| Observation::new(subject, self.share(count).to_string(), expected);
        all.extend([
            share(
                "unixT in seconds",
                self.time_in_seconds,
                "documented in milliseconds, shown in seconds; both are read",
            ),
            share("older than one of the device that came before", self.out_of_order, "some; a threshold ignores them"),
        ]);
        all.push(share("readings that were sent again", self.repeats, "few; they change nothing").with_advice_if(
            self.share(self.repeats).percent() > MANY_REPEATS,
            "They change nothing and cost money. Ask SmartClean why it repeats: does it get 200 in time?",
        ));
        for (subject, count, advice) in [
            (
                "clocks ahead by more than 5 minutes",
                self.ahead,
                "Such a reading counts as of its receipt. Ask SmartClean to set the clocks of these gateways.",
            ),
            (
                "without a device id",
                self.without_device,
                "Alerts of a zone's devices cannot be told apart. Ask SmartClean for DEVID.",
            ),
            (
                "without a zone",
                self.without_zone,
                "Alerts cannot say where. Ask SmartClean to put these devices into zones (InsID).",
            ),
            ("without a project", self.without_project, "Rules cannot name the building. Ask SmartClean for PID."),
            (
                "without a known time zone",
                self.without_region,
                "Texts and `active` hours are in UTC for them. Ask SmartClean for Region.",
            ),
            ("without a usable time", self.without_time, "They count as of their receipt. Ask SmartClean for unixT."),
        ] {
            all.push(share(subject, count, "none").with_advice_if(count > 0, advice));
        }
        all.push(Observation::of_names("members that nobody documents", &self.undocumented, UNDOCUMENTED));
        all.extend(self.types.iter().flat_map(|(name, of_type)| of_type.observations(name)));
        all.extend([
            self.matrix(),
            Observation::new(
                "cleanings that people reported",
                self.reported.to_string(),
                "only with a button or QR code for POST /zones/…/cleaned",
            ),
        ]);
        all.push(Observation::of_names(
            "rejected items",
            &self.rejected,
            "They are kept under rejected/, and not judged: smartclean-push replay rejected shows them to today's reader.",
        ));
        all.extend(self.auth_failures.as_ref().map(|failures| {
            let advice =
                "Compare the credentials with those that SmartClean was given; anyone else who tries is refused.";
            Observation::of_names("refused logins in the log", failures, advice)
        }));
        all
    }

    fn amount(&self) -> Observation {
        let devices: usize = self.types.values().map(|of_type| of_type.devices.len()).sum();
        let seen = match (self.first, self.last) {
            (Some(first), Some(last)) => format!(
                "{} readings of {devices} devices in {} zones, received {first:.0} to {last:.0}",
                self.readings,
                self.zones.len()
            ),
            _ => "no readings".to_owned(),
        };
        let advice = match self.rejected.is_empty() {
            true => "Nothing was received. Ask SmartClean whether the push is switched on, and for which URL.",
            false => "Nothing that was received is a reading: see the rejected items below.",
        };
        Observation::new("readings", seen, "every device of the contract").with_advice_if(self.readings == 0, advice)
    }

    fn batches(&self) -> Observation {
        let [half, most_pushes, most] = self.readings_per_push.percentiles([50, 90, 100]);
        let pushes = self.readings_per_push.len();
        let seen = format!("median {half}, 90 % at most {most_pushes}, most {most}; {pushes} pushes");
        let expected = "one or a few, because readings are sent as they arrive";
        let average = self.readings_per_push.sum() / (pushes as u64).max(1);
        let advice = format!(
            "Readings wait at a gateway, and alerts with them. Ask SmartClean to push each as it comes; until then, \
             smartclean-push cost --batch {average} says what a month costs."
        );
        Observation::new("readings per push", seen, expected).with_advice_if(half > MANY_READINGS, advice)
    }

    fn delay(&self, rules: &RuleSet) -> Observation {
        let [half, most, nearly_all, longest] = self.delays.percentiles([50, 90, 99, 100]);
        let seen = format!("median {}, 90 % at most {}, longest {}", time(half), time(most), time(longest));
        let silent = self.share(self.delays.count_above(rules.max_age));
        let max_age = rules.max_age;
        let remedy = match i64::from(nearly_all) > max_age.as_secs() {
            true => format!("; with `max_age = \"{}m\"` in the rules 99 % alert", nearly_all.div_ceil(60)),
            false => String::new(),
        };
        let advice = match silent.count {
            0 => "Alerts come as late as the readings. Ask SmartClean which gateways send late.".to_owned(),
            _ => format!(
                "Older than `max_age`, {max_age:#}, when they came, and so silent: {silent}. Ask SmartClean which gateways send late{remedy}."
            ),
        };
        Observation::new("delay from reading to receipt", seen, "seconds")
            .with_advice_if(silent.count > 0 || most > LATE, advice)
    }

    fn matrix(&self) -> Observation {
        let events: u64 = self.events.values().sum();
        let mut seen = format!("{events} events, {} with a begin, {} finished cleanings", self.begun, self.cleanings);
        if events > 0 {
            let by_name: Vec<_> = self.events.iter().map(|(name, times)| format!("{name} {times}")).collect();
            seen = format!("{seen}: {}", by_name.join(", "));
        }
        let expected = "switched on separately; the only sign of a cleaning that SmartClean pushes";
        let advice = match events {
            0 => {
                "Counts of visitors restart at a cleaning only if POST /zones/…/cleaned says so. Ask SmartClean to switch on Matrix events."
            }
            _ if self.cleanings == 0 => "No event has AEnd above 0. Ask SmartClean whether finished tasks are pushed.",
            _ => {
                "No event has AStart above 0: who responds in time is not known. Ask SmartClean whether begun tasks are pushed."
            }
        };
        Observation::new("Matrix events", seen, expected).with_advice_if(self.cleanings == 0 || self.begun == 0, advice)
    }
}

/// The advice about members that the vendor does not document.
const UNDOCUMENTED: &str = "They are kept, and rules cannot use them. Ask SmartClean what they mean.";

impl TypeSurvey {
    fn observations(&self, name: &str) -> Vec<Observation> {
        let [half, most] = self.pauses.percentiles([50, 90]);
        let every = match self.pauses.len() {
            0 => String::new(),
            _ => format!(", every {} (90 % within {})", time(half), time(most)),
        };
        let readings = plural(self.readings as usize, "reading");
        let seen = format!("{readings}, {}{every}", plural(self.devices.len(), "device"));
        let subject = format!("type {}", if name.is_empty() { "(none)" } else { name });
        let is_documented = DeviceType::named(name).is_some();
        let advice = match name {
            "" => "They are kept, and not judged. Ask SmartClean what sends them.".to_owned(),
            _ => format!(
                "Its readings are kept, and no built-in rule judges them. Ask SmartClean what it measures, and write a rule \
                 with types = \"{name}\"."
            ),
        };
        let expected = if is_documented { "documented" } else { "not documented" };
        let mut all = vec![Observation::new(&subject, seen, expected).with_advice_if(!is_documented, advice)];
        if !self.undocumented.is_empty() {
            let subject = format!("{subject}, undocumented values");
            all.push(Observation::of_names(subject, &self.undocumented, UNDOCUMENTED));
        }
        if !self.not_numbers.is_empty() {
            let subject = format!("{subject}, values that are no number");
            let advice = "They are kept, and not judged. Ask SmartClean what such a value means.";
            all.push(Observation::of_names(subject, &self.not_numbers, advice));
        }
        if self.implausible > 0 {
            let subject = format!("{subject}, values that no sensor can measure");
            let seen = plural(self.implausible as usize, "reading");
            all.push(Observation::new(subject, seen, "none").with_advice_if(
                true,
                "They are kept, and not judged: -1, 255 and 65535 often mean \"no value\". Have these sensors checked.",
            ));
        }
        all
    }
}
