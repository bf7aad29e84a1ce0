//! What a history has: its devices, the ids that rules can name, and how long devices pause between two readings.

use std::collections::{BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{Archive, ArchiveError, Period, hours};
use domain::location::Location;
use domain::reading::{Reading, Source};
use domain::rules::{Diagnostic, Kind, Mention, MentionKind, Rule, RuleSet, nearest};
use domain::state::ZoneKey;

/// Objects that are read at a time.
const OBJECTS_AT_ONCE: usize = 512;
/// A pause longer than this part of a device's pauses is an exception, and not how the device reports.
const USUAL: f64 = 0.9;

/// The ids of a history, as far as rules can name them.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    properties: BTreeSet<String>,
    projects: BTreeSet<String>,
    zones: BTreeSet<String>,
    devices: BTreeSet<String>,
}

impl Ids {
    /// Notes where a reading is from.
    pub fn note(&mut self, source: &Source<'_>) {
        let lists = [
            (&mut self.properties, &source.property),
            (&mut self.projects, &source.project),
            (&mut self.zones, &source.zone),
            (&mut self.devices, &source.device),
        ];
        for (list, id) in lists {
            if let Some(id) = id.as_deref().filter(|id| !list.contains(*id)) {
                list.insert(id.to_owned());
            }
        }
    }

    /// A warning for each of these zones that no reading has, with the nearest one that there is.
    pub fn unknown_zones(&self, zones: &[String]) -> impl Iterator<Item = String> {
        zones.iter().filter(|zone| !self.zones.contains(*zone)).map(|zone| {
            let meant = nearest(zone, self.zones.iter().map(String::as_str));
            let meant = meant.map(|meant| format!("; {meant}")).unwrap_or_default();
            format!("the history has no reading of the zone `{zone}`{meant}")
        })
    }

    /// A warning for each id that rules name and no reading has, with the nearest one that there is.
    #[must_use]
    pub fn unknown(&self, rules: &RuleSet) -> Vec<Diagnostic> {
        let unknown = |mention: &Mention| {
            let known = match mention.kind {
                MentionKind::Property => &self.properties,
                MentionKind::Project => &self.projects,
                MentionKind::Zone => &self.zones,
                MentionKind::Device => &self.devices,
                MentionKind::Rule | MentionKind::Type => return None,
            };
            let message = format!("the history has no reading of the {} `{}`", mention.kind.as_str(), mention.name);
            let meant = nearest(&mention.name, known.iter().map(String::as_str));
            (!known.contains(&mention.name)).then(|| Diagnostic::new(&mention.position, message, meant))
        };
        rules.mentions.iter().filter_map(unknown).collect()
    }
}

/// The devices of a history.
#[derive(Debug, Default)]
pub struct Inventory {
    ids: Ids,
    devices: Vec<Device>,
    /// By zone, id and type.
    by_key: HashMap<(ZoneKey<'static>, String, String), usize>,
    /// Objects that are left out, because they are damaged.
    pub damaged: Vec<ArchiveError>,
}

#[derive(Debug)]
struct Device {
    location: Location,
    last: Timestamp,
    /// Seconds between two readings.
    pauses: Vec<u32>,
}

impl Inventory {
    /// Reads the hours of a history that `period` touches, damaged objects aside.
    ///
    /// # Errors
    /// [`ArchiveError`] where the archive cannot be read.
    pub fn read(archive: &dyn Archive, period: &Period) -> Result<Self, ArchiveError> {
        let mut inventory = Self::default();
        for hour in hours(archive, "raw/", period)? {
            let mut readings = Vec::new();
            for keys in archive.keys(&hour.folder)?.chunks(OBJECTS_AT_ONCE) {
                for object in archive.read(keys)? {
                    let text = match object.text() {
                        Ok(text) => text,
                        Err(damaged) => {
                            inventory.damaged.push(damaged);
                            continue;
                        }
                    };
                    let read = text.lines().filter_map(|line| Reading::read(line).ok());
                    readings.extend(read.filter_map(|reading| inventory.device(&reading, object.received)));
                }
            }
            readings.sort_unstable();
            readings.into_iter().for_each(|(at, device)| inventory.devices[device].take(at));
        }
        Ok(inventory)
    }

    /// What rules name and the history does not have, and where devices pause for longer than a rule allows for.
    #[must_use]
    pub fn warnings(&self, rules: &RuleSet) -> Vec<Diagnostic> {
        let mut warnings = self.ids.unknown(rules);
        warnings.extend(rules.rules.iter().filter_map(|rule| self.pauses_too_long(rule, rules)));
        warnings.sort();
        warnings
    }

    /// The moment of a reading and its device; `None` for a cleaning, and without a time.
    fn device(&mut self, reading: &Reading<'_>, received: Option<Timestamp>) -> Option<(Timestamp, usize)> {
        let at = reading.time.or(received).filter(|_| reading.cleaning.is_none())?;
        self.ids.note(&reading.source);
        let device = reading.source.device.as_deref().unwrap_or_default();
        let device_type = reading.source.device_type.to_string();
        let key = (ZoneKey::of(&reading.source).into_owned(), device.to_owned(), device_type);
        let next = self.devices.len();
        let index = *self.by_key.entry(key).or_insert(next);
        if index == next {
            self.devices.push(Device { location: Location::of(reading), last: at, pauses: Vec::new() });
        }
        Some((at, index))
    }

    fn pauses_too_long(&self, rule: &Rule, rules: &RuleSet) -> Option<Diagnostic> {
        let mut watched = 0;
        let mut pausing: Vec<(SignedDuration, &Location)> = Vec::new();
        let mut allowed = SignedDuration::ZERO;
        for device in &self.devices {
            let Some(effective) = rule.effective(&device.location.source()) else { continue };
            let longest = match rule.kind {
                Kind::Threshold if effective.lasting > SignedDuration::ZERO => effective.longest_gap(),
                Kind::Silence => effective.after?,
                _ => return None,
            };
            watched += 1;
            if let Some(usual) = device.usual_pause().filter(|usual| *usual > longest) {
                allowed = longest;
                pausing.push((usual, &device.location));
            }
        }
        let (longest, location) = pausing.iter().max_by_key(|(usual, _)| *usual)?;
        let id =
            &rules.mentions.iter().find(|known| known.kind == MentionKind::Rule && known.name == rule.id)?.position;
        let (key, effect) = match rule.kind {
            Kind::Silence => ("after", "they are reported although they work"),
            _ => ("max_gap", "`for` can hardly pass"),
        };
        let message = format!(
            "{} of {watched} devices of the rule `{}` often pause for longer than `{key}`, {allowed:#}: {effect}",
            pausing.len(),
            rule.id
        );
        let suggestion = format!("set `{key}` to at least {longest:#}, the usual pause of {}", location.name());
        Some(Diagnostic::new(id, message, Some(suggestion)))
    }
}

impl Device {
    fn take(&mut self, at: Timestamp) {
        let pause = at.duration_since(self.last).as_secs();
        if let Ok(pause) = u32::try_from(pause)
            && pause > 0
        {
            self.pauses.push(pause);
            self.last = at;
        }
    }

    /// The longest pause that is no exception; `None` where there are too few to tell.
    fn usual_pause(&self) -> Option<SignedDuration> {
        let mut pauses = self.pauses.clone();
        pauses.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let index = (pauses.len() as f64 * USUAL) as usize;
        pauses.get(index).filter(|_| pauses.len() > 2).map(|pause| SignedDuration::from_secs(i64::from(*pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::StoredObject;
    use super::*;
    use domain::archive::ObjectKey;
    use domain::batch::BatchId;

    /// One hour of history: every reading is in one object of it.
    struct History(String);

    impl Archive for History {
        fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
            Ok(match folder {
                "raw/" => vec!["raw/dt=2026-11-23/".to_owned()],
                _ => vec![format!("{folder}hh=10/")],
            })
        }

        fn keys(&self, _: &str) -> Result<Vec<ObjectKey>, ArchiveError> {
            Ok(vec![ObjectKey::of_readings(BatchId::of(self.0.as_bytes()), &[])])
        }

        fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
            let bytes = zstd::encode_all(self.0.as_bytes(), 0).unwrap();
            Ok(vec![StoredObject { key: keys[0].clone(), received: None, bytes }])
        }
    }

    /// What is said of rules about a lite sensor in the zone `lobby` that sends at these minutes.
    fn said(rules: &str, minutes: &[i64]) -> Vec<String> {
        let start: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let line = |minute: &i64| {
            let at = start.as_second() + minute * 60;
            format!(
                "{{\"DevType\":\"ODRDTR_BATT_V1\",\"DEVID\":\"lite\",\"InsID\":\"lobby\",\"PID\":\"tower\",\"unixT\":{at},\"n\":{minute}}}\n"
            )
        };
        let inventory = Inventory::read(&History(minutes.iter().map(line).collect()), &Period::default()).unwrap();
        let warnings = inventory.warnings(&RuleSet::parse("r", rules).unwrap());
        warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_id_that_no_reading_has_is_named_with_the_nearest() {
        let soap = |more: &str| said(&format!("[[rule]]\nid = \"soap-low\"\n{more}\n"), &[0]);
        assert_eq!(
            soap("zones = [\"lobby\", \"lobbi\"]\n[[rule.override]]\ndevices = [\"qqq\"]\nprojects = \"towers\""),
            [
                "r:3:19: the history has no reading of the zone `lobbi`; did you mean `lobby`?",
                "r:5:12: the history has no reading of the device `qqq`",
                "r:6:12: the history has no reading of the project `towers`; did you mean `tower`?",
            ]
        );
        assert_eq!(soap("zones = \"lobby\"\nprojects = \"tower\"\ndevices = \"lite\""), [""; 0]);
    }

    #[test]
    fn pauses_that_are_longer_than_a_rule_allows_are_named_and_an_exception_is_not() {
        let hourly: Vec<i64> = (0..20).map(|hour| hour * 60).collect();
        let rule = |more: &str| format!("[[rule]]\nid = \"ammonia-lite\"\n{more}\n");
        assert_eq!(
            said(&rule("for = \"10m\""), &hourly),
            [
                "r:2:6: 1 of 1 devices of the rule `ammonia-lite` often pause for longer than `max_gap`, 30m: `for` can hardly \
              pass; set `max_gap` to at least 1h, the usual pause of device lite"
            ]
        );
        for good in ["for = \"1h\"", "for = \"10m\"\nmax_gap = \"1h\"", ""] {
            assert_eq!(said(&rule(good), &hourly), [""; 0], "{good}");
        }
        let often: Vec<i64> = (0..20).map(|turn| turn * 5).chain([200]).collect();
        assert_eq!(said(&rule("for = \"10m\""), &often), [""; 0], "one long pause");
    }

    #[test]
    fn a_silence_that_is_how_a_device_reports_is_named() {
        let hourly: Vec<i64> = (0..20).map(|hour| hour * 60).collect();
        let rule = |after: &str| format!("[[rule]]\nid = \"silent\"\nafter = \"{after}\"\n");
        let said = |after| said(&rule(after), &hourly);
        assert_eq!(said("59m").len(), 1);
        assert!(
            said("59m")[0].contains("than `after`, 59m: they are reported although they work"),
            "{:?}",
            said("59m")
        );
        assert_eq!(said("1h"), [""; 0]);
    }
}
