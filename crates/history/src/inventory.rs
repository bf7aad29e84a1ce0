//! The devices of a history, the ids that rules can name, and how long devices pause between two readings.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::{Archive, ArchiveError, Period, hours, read_hour};
use domain::location::Location;
use domain::reading::{Reading, Source};
use domain::response::Response;
use domain::rules::names::Names;
use domain::rules::{Diagnostic, Kind, Mention, MentionKind, Rule, RuleSet, nearest};
use domain::state::ZoneKey;

/// The part of a device's pauses that are usual. Longer ones are exceptions.
const USUAL: f64 = 0.9;

/// The ids of a history that rules can name.
///
/// ```
/// use domain::reading::Reading;
/// use domain::rules::RuleSet;
/// use history::KnownIds;
/// let mut ids = KnownIds::default();
/// ids.add(&Reading::read(r#"{"DevType":"SS","InsID":"lobby"}"#).unwrap().source);
/// let rules = RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nzones = \"lobbi\"").unwrap();
/// assert!(ids.unknown(&rules)[0].to_string().ends_with("did you mean `lobby`?"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct KnownIds(BTreeMap<MentionKind, BTreeSet<String>>);

impl KnownIds {
    /// Adds the ids of a reading.
    pub fn add(&mut self, source: &Source<'_>) {
        for kind in MentionKind::ALL {
            let ids = self.0.entry(kind).or_default();
            if let Some(id) = source.id(kind).filter(|id| !ids.contains(*id)) {
                ids.insert(id.to_owned());
            }
        }
    }

    /// A warning for each of `zones` that no reading has, with the most similar known one.
    pub fn unknown_zones(&self, zones: &[String]) -> impl Iterator<Item = String> {
        zones.iter().filter_map(|zone| {
            let (message, similar) = self.check(MentionKind::Zone, zone)?;
            Some(message + &similar.map(|similar| format!("; {similar}")).unwrap_or_default())
        })
    }

    /// A warning for each id in `rules` that no reading has, with the most similar known one.
    #[must_use]
    pub fn unknown(&self, rules: &RuleSet) -> Vec<Diagnostic> {
        let mentions = rules.mentions.iter().filter(|mention| mention.kind != MentionKind::Type);
        let warning = |Mention { kind, id, position }: &Mention| {
            let (message, similar) = self.check(*kind, id)?;
            Some(Diagnostic::new(position, message, similar))
        };
        mentions.filter_map(warning).collect()
    }

    /// A warning if no reading has this id, and the most similar known one.
    fn check(&self, kind: MentionKind, id: &str) -> Option<(String, Option<String>)> {
        let known = self.0.get(&kind);
        let message = || format!("the history has no reading of the {} `{id}`", kind.as_str());
        let similar = || nearest(id, known.into_iter().flatten().map(String::as_str));
        (!known.is_some_and(|known| known.contains(id))).then(|| (message(), similar()))
    }
}

/// The devices of a history.
#[derive(Debug, Default)]
pub struct Inventory {
    ids: KnownIds,
    devices: Vec<DeviceHistory>,
    /// Indices of devices by zone, id and type.
    by_key: HashMap<(ZoneKey<'static>, String, String), usize>,
    /// The names of zones in their cleanings, by zone.
    zone_names: HashMap<String, String>,
    /// Damaged objects, which are left out.
    pub damaged: Vec<ArchiveError>,
}

#[derive(Debug)]
struct DeviceHistory {
    location: Location,
    last: Timestamp,
    /// Seconds between two readings.
    pauses: Vec<u32>,
}

impl Inventory {
    /// Reads the hours of a history that overlap `period`. Leaves out damaged objects.
    ///
    /// # Errors
    /// [`ArchiveError`] if the archive cannot be read.
    pub fn read(archive: &dyn Archive, period: &Period) -> Result<Self, ArchiveError> {
        let mut inventory = Self::default();
        let mut readings = Vec::new();
        for hour in hours(archive, "raw/", period)? {
            read_hour(archive, &hour, |object| match object.text() {
                // Undated, as those in `raw-undated/`, which are not read here.
                Ok(_) if !object.key.as_str().starts_with("raw/") => {}
                Ok(text) => {
                    let all = text.lines().filter_map(|line| Reading::read(line).ok());
                    readings.extend(all.filter_map(|reading| inventory.add(&reading, object.received)));
                }
                Err(error) => inventory.damaged.push(error),
            })?;
            readings.sort_unstable();
            // Buffered objects of the next hour can have readings of this one.
            let earlier = readings.partition_point(|(at, _)| *at < hour.start);
            readings.drain(..earlier).for_each(|(at, device)| inventory.devices[device].add(at));
        }
        readings.into_iter().for_each(|(at, device)| inventory.devices[device].add(at));
        Ok(inventory)
    }

    /// Each device with the learned names, and the time of its last reading.
    pub fn devices(&self) -> impl Iterator<Item = (Location, Timestamp)> {
        self.devices.iter().map(|DeviceHistory { location, last, .. }| {
            let zone_name = location.zone.as_ref().and_then(|zone| self.zone_names.get(zone)).cloned();
            (Location { zone_name, ..location.clone() }, *last)
        })
    }

    /// Warnings about ids in `rules` that no reading has, and about devices that pause for longer than a rule allows.
    #[must_use]
    pub fn warnings(&self, rules: &RuleSet) -> Vec<Diagnostic> {
        let mut warnings = self.ids.unknown(rules);
        warnings.extend(rules.rules.iter().filter_map(|rule| self.long_pauses(rule)));
        warnings.sort();
        warnings
    }

    /// Adds the source of a reading. Returns the reading's time and device; `None` for a response, and without a time.
    fn add(&mut self, reading: &Reading<'_>, received: Option<Timestamp>) -> Option<(Timestamp, usize)> {
        if let Some(Response { zone, zone_name, .. }) = &reading.response {
            self.zone_names.extend(zone_name.clone().map(|name| (zone.clone(), name)));
            return None;
        }
        let at = reading.time.or(received)?;
        self.ids.add(&reading.source);
        let device = reading.source.device.as_deref().unwrap_or_default();
        let device_type = reading.source.device_type.to_string();
        let key = (ZoneKey::of(&reading.source).into_owned(), device.to_owned(), device_type);
        let next = self.devices.len();
        let index = *self.by_key.entry(key).or_insert(next);
        if index == next {
            self.devices.push(DeviceHistory {
                location: Location::of(reading, &Names::default()),
                last: at,
                pauses: Vec::new(),
            });
        }
        Some((at, index))
    }

    fn long_pauses(&self, rule: &Rule) -> Option<Diagnostic> {
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
        Some(Diagnostic::new(&rule.position, message, Some(suggestion)))
    }
}

impl DeviceHistory {
    fn add(&mut self, at: Timestamp) {
        let pause = at.duration_since(self.last).as_secs();
        if let Some(pause) = u32::try_from(pause).ok().filter(|pause| *pause > 0) {
            self.pauses.push(pause);
            self.last = at;
        }
    }

    /// The longest usual pause; `None` if there are too few pauses.
    fn usual_pause(&self) -> Option<SignedDuration> {
        let mut pauses = self.pauses.clone();
        pauses.sort_unstable();
        let index = (pauses.len() as f64 * USUAL) as usize;
        pauses.get(index).filter(|_| pauses.len() > 2).map(|pause| SignedDuration::from_secs(i64::from(*pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::StoredObject;
    use super::super::fixtures::{Files, push_of};
    use super::*;
    use domain::archive::{EXTENSION, ObjectKey};
    use domain::batch::BatchId;

    /// A history of one hour with one object.
    struct History(String);

    impl Archive for History {
        fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
            Ok(match folder {
                "raw/" => vec!["raw/dt=2026-11-23/".to_owned()],
                _ => vec![format!("{folder}hh=10/")],
            })
        }

        fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
            Ok(vec![format!("{folder}{}{EXTENSION}", BatchId::of(self.0.as_bytes()))])
        }

        fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
            let bytes = zstd::encode_all(self.0.as_bytes(), 0).unwrap();
            Ok(vec![StoredObject { key: keys[0].clone(), received: None, bytes }])
        }
    }

    /// The warnings about rules, for a lite sensor in the zone `lobby` that sends at these minutes.
    fn warnings(rules: &str, minutes: &[i64]) -> Vec<String> {
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
    fn an_id_that_no_reading_has_is_named_with_the_most_similar_one() {
        let soap = |more: &str| warnings(&format!("[[rule]]\nid = \"soap-low\"\n{more}\n"), &[0]);
        assert_eq!(
            soap("zones = [\"lobby\", \"lobbi\"]\n[[rule.override]]\ndevices = [\"qqq\"]\nsites = \"towers\""),
            [
                "r:3:19: the history has no reading of the zone `lobbi`; did you mean `lobby`?",
                "r:5:12: the history has no reading of the device `qqq`",
                "r:6:9: the history has no reading of the site `towers`; did you mean `tower`?",
            ]
        );
        assert_eq!(soap("zones = \"lobby\"\nsites = \"tower\"\ndevices = \"lite\""), [""; 0]);
    }

    #[test]
    fn usual_pauses_that_are_longer_than_a_rule_allows_are_named_and_exceptions_are_not() {
        let hourly: Vec<i64> = (0..20).map(|hour| hour * 60).collect();
        let rule = |more: &str| format!("[[rule]]\nid = \"ammonia-lite\"\n{more}\n");
        assert_eq!(
            warnings(&rule("for = \"10m\""), &hourly),
            [
                "r:2:6: 1 of 1 devices of the rule `ammonia-lite` often pause for longer than `max_gap`, 30m: `for` can hardly \
              pass; set `max_gap` to at least 1h, the usual pause of device lite"
            ]
        );
        for good in ["for = \"1h\"", "for = \"10m\"\nmax_gap = \"1h\"", ""] {
            assert_eq!(warnings(&rule(good), &hourly), [""; 0], "{good}");
        }
        let often: Vec<i64> = (0..20).map(|index| index * 5).chain([200]).collect();
        assert_eq!(warnings(&rule("for = \"10m\""), &often), [""; 0], "one long pause");
    }

    #[test]
    fn a_no_data_rule_that_is_shorter_than_the_usual_pause_is_named() {
        let hourly: Vec<i64> = (0..20).map(|hour| hour * 60).collect();
        let rule = |after: &str| format!("[[rule]]\nid = \"silent\"\nafter = \"{after}\"\n");
        let warnings = |after| warnings(&rule(after), &hourly);
        assert_eq!(warnings("59m").len(), 1);
        assert!(
            warnings("59m")[0].contains("than `after`, 59m: they are reported although they work"),
            "{:?}",
            warnings("59m")
        );
        assert_eq!(warnings("1h"), [""; 0]);
    }

    #[test]
    fn readings_are_ordered_by_time_although_the_next_hour_has_some_of_them_buffered() {
        let push = |minute: u32| {
            let clock = format!("10:{minute:02}");
            let at = format!("2026-11-23T{clock}:00Z").parse::<Timestamp>().unwrap().as_second();
            let text = format!("{{\"DevType\":\"ODRDTR_BATT_V1\",\"DEVID\":\"lite\",\"unixT\":{at}}}");
            push_of(&text, &format!("raw/dt=2026-11-23/hh=10/{minute}"), &clock)
        };
        let single = [0, 20, 40, 58].map(push);
        let files = single.iter().fold(Files::default(), Files::with);
        let warnings = |files: &Files| {
            let rules = RuleSet::parse("r", "[[rule]]\nid = \"silent\"\nafter = \"15m\"\n").unwrap();
            Inventory::read(files, &Period::default()).unwrap().warnings(&rules).len()
        };
        assert_eq!(warnings(&files), 1, "it pauses for 20 minutes");
        let [a, b, c] = [10, 30, 50].map(push);
        let files =
            files.with_buffered("raw/dt=2026-11-23/hh=11/s", &[&a, &b, &c, &push_of("{}", "raw-undated/d", "11:00")]);
        assert_eq!(warnings(&files), 0, "it pauses for 10 minutes");
        assert_eq!(
            Inventory::read(&files, &Period::default()).unwrap().devices().count(),
            1,
            "the undated one has no device"
        );
    }
}
