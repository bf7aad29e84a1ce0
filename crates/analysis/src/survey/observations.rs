//! What a survey says: what was seen, what is documented, and what to do where the two differ.

use std::collections::BTreeMap;
use std::fmt::Display;

use domain::device::DeviceType;
use domain::rules::RuleSet;
use serde::Serialize;

use super::tally::time;
use super::{Survey, TypeSurvey};

/// Readings that arrive so late are worth a question even where they still alert, in seconds.
const LATE: u32 = 300;
/// More readings than these in every second push are no single event.
const MANY_READINGS: u32 = 10;
/// Repeats above this part of all readings, in per cent, are no single retry.
const MANY_REPEATS: f64 = 10.0;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Observation {
    /// What was looked at.
    pub subject: String,
    /// What was seen.
    pub seen: String,
    /// What the vendor documents or this program assumes.
    pub expected: &'static str,
    /// What to change; `None` where what was seen is as expected.
    pub advice: Option<String>,
}

impl Survey {
    /// Everything that was looked at, beside what is expected. `rules` say which readings alert.
    #[must_use]
    pub fn observations(&self, rules: &RuleSet) -> Vec<Observation> {
        let mut seen = vec![self.amount(), self.batches(), self.delay(rules), self.clocks(), self.time_format()];
        seen.extend([self.order(), self.repeated()]);
        seen.extend(self.absent());
        seen.push(named("members that nobody documents", &self.undocumented, "none", || {
            "They are kept, and rules cannot use them. Ask SmartClean what they mean.".to_owned()
        }));
        seen.extend(self.types.iter().flat_map(|(name, of_type)| of_type.observations(name)));
        seen.extend([self.matrix(), self.refused_items()]);
        seen.extend(self.logins());
        seen
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
        let advice = match (self.readings, self.rejected.is_empty()) {
            (0, true) => {
                Some("Nothing was received. Ask SmartClean whether the push is switched on, and for which URL.")
            }
            (0, false) => Some("Nothing that was received is a reading: see the rejected items below."),
            _ => None,
        };
        let advice = advice.map(str::to_owned);
        Observation { subject: "readings".to_owned(), seen, expected: "every device of the contract", advice }
    }

    fn batches(&self) -> Observation {
        let [half, most_pushes, most] = self.readings_per_push.percentiles([50, 90, 100]);
        let pushes = self.readings_per_push.len();
        let average = (self.readings_per_push.sum() / (pushes as u64).max(1)).max(1);
        Observation {
            subject: "readings per push".to_owned(),
            seen: format!("median {half}, 90 % at most {most_pushes}, most {most}; {pushes} pushes"),
            expected: "one or a few, because readings are sent as they arrive",
            advice: (half > MANY_READINGS).then(|| {
                format!(
                    "Readings wait at a gateway, and alerts with them. Ask SmartClean to push each as it comes; until then, \
                     smartclean-push cost --batch {average} says what a month costs."
                )
            }),
        }
    }

    fn delay(&self, rules: &RuleSet) -> Observation {
        let [half, most, nearly_all, longest] = self.delays.percentiles([50, 90, 99, 100]);
        let silent = self.share(self.delays.above(rules.max_age));
        let advice = if silent.of > 0 {
            let remedy = if i64::from(nearly_all) > rules.max_age.as_secs() {
                format!("; with `max_age = \"{}m\"` in the rules 99 % alert", nearly_all.div_ceil(60))
            } else {
                String::new()
            };
            Some(format!(
                "Older than `max_age`, {:#}, when they came, and so silent: {silent}. Ask SmartClean which gateways send late{remedy}.",
                rules.max_age
            ))
        } else {
            (most > LATE)
                .then(|| "Alerts come as late as the readings. Ask SmartClean which gateways send late.".to_owned())
        };
        Observation {
            subject: "delay from reading to receipt".to_owned(),
            seen: format!("median {}, 90 % at most {}, longest {}", time(half), time(most), time(longest)),
            expected: "seconds",
            advice,
        }
    }

    fn clocks(&self) -> Observation {
        self.counted("clocks ahead by more than 5 minutes", self.ahead, "none", || {
            "Such a reading counts as of its receipt. Ask SmartClean to set the clocks of these gateways.".to_owned()
        })
    }

    fn time_format(&self) -> Observation {
        Observation {
            subject: "unixT in seconds".to_owned(),
            seen: self.share(self.time_in_seconds).to_string(),
            expected: "documented in milliseconds, shown in seconds; both are read",
            advice: None,
        }
    }

    fn order(&self) -> Observation {
        Observation {
            subject: "older than one of the device that came before".to_owned(),
            seen: self.share(self.out_of_order).to_string(),
            expected: "some; a threshold ignores them",
            advice: None,
        }
    }

    fn repeated(&self) -> Observation {
        let share = self.share(self.repeats);
        Observation {
            subject: "readings that were sent again".to_owned(),
            seen: share.to_string(),
            expected: "few; they change nothing",
            advice: (share.percent() > MANY_REPEATS).then(|| {
                "They change nothing and cost money. Ask SmartClean why it repeats: does it get 200 in time?".to_owned()
            }),
        }
    }

    fn absent(&self) -> [Observation; 5] {
        let ask = |what: &'static str| move || what.to_owned();
        [
            self.counted(
                "without a device id",
                self.without_device,
                "none",
                ask("Alerts of a zone's devices cannot be told apart. Ask SmartClean for DEVID."),
            ),
            self.counted(
                "without a zone",
                self.without_zone,
                "none",
                ask("Alerts cannot say where. Ask SmartClean to put these devices into zones (InsID)."),
            ),
            self.counted(
                "without a project",
                self.without_project,
                "none",
                ask("Rules cannot name the building. Ask SmartClean for PID."),
            ),
            self.counted(
                "without a known time zone",
                self.without_region,
                "none",
                ask("Texts and `active` hours are in UTC for them. Ask SmartClean for Region."),
            ),
            self.counted(
                "without a usable time",
                self.without_time,
                "none",
                ask("They count as of their receipt. Ask SmartClean for unixT."),
            ),
        ]
    }

    fn matrix(&self) -> Observation {
        let events: u64 = self.events.values().sum();
        let by_name: Vec<_> = self.events.iter().map(|(name, times)| format!("{name} {times}")).collect();
        let mut seen = format!("{events} events, {} finished cleanings", self.cleanings);
        if events > 0 {
            seen = format!("{seen}: {}", by_name.join(", "));
        }
        let advice = match (events, self.cleanings) {
            (0, _) => Some(
                "Counts of visitors restart at a cleaning only if POST /zones/…/cleaned says so. Ask SmartClean to switch on Matrix events.",
            ),
            (_, 0) => Some("No event has AEnd above 0. Ask SmartClean whether finished tasks are pushed."),
            _ => None,
        };
        Observation {
            subject: "Matrix events".to_owned(),
            seen,
            expected: "switched on separately; the only sign of a cleaning that SmartClean pushes",
            advice: advice.map(str::to_owned),
        }
    }

    fn refused_items(&self) -> Observation {
        named("rejected items", &self.rejected, "none", || {
            "They are kept under rejected/, and not judged: smartclean-push replay rejected shows them to today's reader."
                .to_owned()
        })
    }

    fn logins(&self) -> Option<Observation> {
        let failures = self.auth_failures.as_ref()?;
        Some(named("refused logins in the log", failures, "none", || {
            "Compare the credentials with those that SmartClean was given; anyone else who tries is refused.".to_owned()
        }))
    }

    fn counted(&self, subject: &str, of: u64, expected: &'static str, advice: impl Fn() -> String) -> Observation {
        let advice = (of > 0).then(advice);
        Observation { subject: subject.to_owned(), seen: self.share(of).to_string(), expected, advice }
    }
}

impl TypeSurvey {
    fn observations(&self, name: &str) -> Vec<Observation> {
        let [half, most] = self.pauses.percentiles([50, 90]);
        let every = match self.pauses.len() {
            0 => String::new(),
            _ => format!(", every {} (90 % within {})", time(half), time(most)),
        };
        let known = DeviceType::named(name);
        let called = if name.is_empty() { "(none)" } else { name };
        let mut observations = vec![Observation {
            subject: format!("type {called}"),
            seen: format!(
                "{}, {}{every}",
                counted(self.readings, "reading"),
                counted(self.devices.len() as u64, "device"),
            ),
            expected: if known.is_some() { "documented" } else { "not documented" },
            advice: known.is_none().then(|| match name {
                "" => "They are kept, and not judged. Ask SmartClean what sends them.".to_owned(),
                _ => format!(
                    "Its readings are kept, and no built-in rule judges them. Ask SmartClean what it measures, and write a rule \
                     with types = \"{name}\"."
                ),
            }),
        }];
        let of_type = |what: &str| format!("type {called}, {what}");
        if !self.undocumented.is_empty() {
            observations.push(named(&of_type("undocumented values"), &self.undocumented, "none", || {
                "They are kept, and rules cannot use them. Ask SmartClean what they mean.".to_owned()
            }));
        }
        if !self.not_numbers.is_empty() {
            observations.push(named(&of_type("values that are no number"), &self.not_numbers, "none", || {
                "They are kept, and not judged. Ask SmartClean what such a value means.".to_owned()
            }));
        }
        if self.implausible > 0 {
            observations.push(Observation {
                subject: of_type("values that no sensor can measure"),
                seen: counted(self.implausible, "reading"),
                expected: "none",
                advice: Some("They are kept, and not judged: -1, 255 and 65535 often mean \"no value\". Have these sensors checked.".to_owned()),
            });
        }
        observations
    }
}

/// `1 device`, `2 devices`.
fn counted(times: u64, what: &str) -> String {
    if times == 1 { format!("1 {what}") } else { format!("{times} {what}s") }
}

/// Names with how often each occurred, the most frequent first.
fn named<N: Display + Ord>(
    subject: &str,
    times: &BTreeMap<N, u64>,
    expected: &'static str,
    advice: impl Fn() -> String,
) -> Observation {
    /// Names that are listed; the others are counted.
    const LISTED: usize = 8;
    let mut names: Vec<_> = times.iter().collect();
    names.sort_by_key(|(name, times)| (std::cmp::Reverse(**times), *name));
    let mut listed: Vec<_> = names.iter().take(LISTED).map(|(name, times)| format!("{name} {times}")).collect();
    if names.len() > LISTED {
        listed.push(format!("{} more", names.len() - LISTED));
    }
    let seen = if listed.is_empty() { "none".to_owned() } else { listed.join(", ") };
    Observation { subject: subject.to_owned(), seen, expected, advice: (!times.is_empty()).then(advice) }
}
