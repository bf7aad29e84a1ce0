//! A reading: the text of one item of a push, and the values that rules and alert texts need.
//!
//! The text is never changed. It is parsed leniently (see [`super::json`]): a field of the wrong type is absent, and the last value
//! of a repeated name counts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::device::{self, DeviceType, Metric, Unit};
use super::digest::Digest;
use super::json::{Raw, each_member};
use super::response::Response;
use super::time::{self, LocalZone};
use crate::words;

/// The id of a reading: the SHA-256 of its text.
pub type ReadingId = Digest;

/// Most members of `v`. A member of five bytes needs 40 bytes of memory. The vendor's largest reading, of a feedback tablet, has
/// fewer than 60.
pub const MOST_MEMBERS: usize = 4_096;

/// Longest id, in bytes. The vendor's have 32. Longer ids would make the zone state as long as a client likes.
const LONGEST_ID: usize = 512;

/// Most reasons of a reading. Each is compared with all others and has its own count in the state. A tablet offers a dozen.
const MOST_REASONS: usize = 32;

/// Why a text is not a reading. A retry does not help.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The text is not well-formed JSON, or not an object.
    #[error("not a JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// `v` has more members than [`MOST_MEMBERS`].
    #[error("more than {MOST_MEMBERS} members in `v`")]
    TooManyMembers,
}

/// One reading. Borrows from the text of its item.
#[derive(Debug)]
pub struct Reading<'a> {
    /// Computed when it is needed: most readings change no state and need none.
    id: OnceLock<ReadingId>,
    /// The JSON text as received.
    pub text: &'a str,
    /// The device, zone, project and property.
    pub source: Source<'a>,
    /// The event time, if the reading has a [plausible](time::is_plausible) one.
    pub time: Option<Timestamp>,
    /// What people did in a zone, if the item is a Matrix event and not a reading.
    pub response: Option<Response>,
    /// The documented device type.
    documented: Option<&'static DeviceType>,
    /// The member `time`. Parsed for its offset from UTC if an alert needs the local time.
    written_time: Option<Raw<'a>>,
    /// The members of `v`.
    values: Vec<(Cow<'a, str>, Raw<'a>)>,
}

/// The source of a reading. A name is absent if it is left out or empty, an id also if it has more than 512 bytes.
#[derive(Debug, Default, Clone)]
pub struct Source<'a> {
    /// `DevType` without SmartClean's provider prefix; empty if absent.
    pub device_type: Cow<'a, str>,
    /// `DEVID`, the id of the slot, else `ID`, else `DASSOC`, the id of the physical device.
    pub device: Option<Cow<'a, str>>,
    /// `Display`, the name of the device.
    pub display: Option<Cow<'a, str>>,
    /// `InsID`, the zone.
    pub zone: Option<Cow<'a, str>>,
    /// `PID`, the project (building).
    pub project: Option<Cow<'a, str>>,
    /// `PropId`, the property.
    pub property: Option<Cow<'a, str>>,
    /// `Region`, an IANA time zone.
    pub region: Option<Cow<'a, str>>,
}

words! {
    /// The kind of thing that has an id. Ordered from the widest to the narrowest.
    pub enum MentionKind {
        /// A device type.
        Type = "type",
        /// A property (`PropId`).
        Property = "property",
        /// A site (`PID`).
        Site = "site",
        /// A zone (`InsID`).
        Zone = "zone",
        /// A device (`DEVID`).
        Device = "device",
    }
}

impl Source<'_> {
    /// The id of this kind.
    #[must_use]
    pub fn id(&self, kind: MentionKind) -> Option<&str> {
        match kind {
            MentionKind::Type => Some(&self.device_type),
            MentionKind::Property => self.property.as_deref(),
            MentionKind::Site => self.project.as_deref(),
            MentionKind::Zone => self.zone.as_deref(),
            MentionKind::Device => self.device.as_deref(),
        }
    }
}

/// The value of a metric, with label and unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity<'a> {
    /// The label of the metric; its key for an undocumented device type.
    pub label: &'a str,
    /// The value, in `unit`.
    pub value: f64,
    /// The unit of the value.
    pub unit: Unit,
}

impl<'a> Reading<'a> {
    /// Parses the text of one item.
    ///
    /// # Errors
    /// [`ReadingError`] if `text` is not exactly one well-formed JSON object, or `v` has more than [`MOST_MEMBERS`] members. A retry
    /// does not help.
    ///
    /// # Examples
    /// ```
    /// use domain::reading::Reading;
    ///
    /// let reading = Reading::read(r#"{"DevType":"SMARTCLEAN#UM","unixT":1654062261000,"v":{"count":"30"}}"#)?;
    /// assert_eq!(reading.metric("count").map(|quantity| quantity.value), Some(30.0));
    /// assert_eq!(reading.time, Some("2022-06-01T05:44:21Z".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(text: &'a str) -> Result<Self, ReadingError> {
        let mut fields = EnvelopeFields::default();
        each_member(text, |name, value| fields.set(&name, value))?;
        let reading = fields.into_reading(text);
        if reading.values.len() > MOST_MEMBERS { Err(ReadingError::TooManyMembers) } else { Ok(reading) }
    }

    /// The id. The same text has the same id in every batch.
    #[must_use]
    pub fn id(&self) -> ReadingId {
        *self.id.get_or_init(|| Digest::of(self.text.as_bytes()))
    }

    /// The documented device type; `None` for other types.
    #[must_use]
    pub fn device_type(&self) -> Option<&'static DeviceType> {
        self.documented
    }

    /// The value of a metric by its key in rules. For an undocumented device type, the member of `v` with that name. `None` if the
    /// value is absent, not a number, or outside the range of the sensor.
    #[must_use]
    pub fn metric<'k>(&self, key: &'k str) -> Option<Quantity<'k>> {
        let Some(device_type) = self.device_type() else {
            return self.number(key).map(|value| Quantity { label: key, value, unit: Unit::One });
        };
        let metric = device_type.metric(key)?;
        let value = self.sent(metric).filter(|value| metric.plausible.contains(value))?;
        Some(Quantity { label: metric.label, value, unit: metric.unit })
    }

    /// The number of metrics with a value outside the range of the sensor.
    #[must_use]
    pub fn implausible(&self) -> usize {
        let documented = self.device_type().map_or(&[][..], |device_type| device_type.metrics);
        let is_implausible =
            |metric: &&Metric| self.sent(metric).is_some_and(|value| !metric.plausible.contains(&value));
        documented.iter().filter(is_implausible).count()
    }

    /// Every number of the reading, plausible or not: first the metrics of a documented type by key, in their documented order; then
    /// the other numbers in `v` by name, as they were sent. The vendor can add metrics before they are documented.
    #[must_use]
    pub fn metrics(&self) -> Vec<(Cow<'a, str>, f64)> {
        let documented = self.device_type().map_or(&[][..], |device_type| device_type.metrics);
        let is_metric =
            |name: &str| documented.iter().any(|metric| metric.key == name || metric.sent_as().contains(&name));
        // The last value of a repeated name counts.
        let others: BTreeMap<_, _> = self.values.iter().map(|(name, value)| (name, *value)).collect();
        let others = others.into_iter().filter(|(name, _)| !is_metric(name));
        let known = documented.iter().filter_map(|metric| Some((metric.key.into(), self.sent(metric)?)));
        known.chain(others.filter_map(|(name, value)| Some((name.clone(), value.number()?)))).collect()
    }

    /// The names of the reasons that were selected on a feedback tablet, each once, at most 32. Older tablets send reasons with only
    /// a name; those count as selected.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (_, reason) in self.value("reasons").map(|reasons| reasons.members(MOST_MEMBERS)).unwrap_or_default() {
            let selected = reason.member("selector").and_then(Raw::number).is_none_or(|selector| selector != 0.0);
            if let Some(name) = reason.member("Name").and_then(Raw::text).filter(|_| selected) {
                let name = name.trim().to_owned();
                if !names.contains(&name) {
                    names.push(name);
                }
                if names.len() >= MOST_REASONS {
                    break;
                }
            }
        }
        names
    }

    /// The number of members of `v`.
    pub(super) fn value_count(&self) -> usize {
        self.values.len()
    }

    /// The time zone of the device.
    #[must_use]
    pub fn local_zone(&self) -> LocalZone {
        let region = self.source.region.as_deref().map(str::trim).filter(|region| region.len() <= time::LONGEST_REGION);
        LocalZone {
            region: region.map(str::to_owned),
            offset_seconds: self.written_time.and_then(iso).map(|(_, offset)| offset.seconds()),
        }
    }

    fn value(&self, name: &str) -> Option<Raw<'a>> {
        self.values.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The value of a documented metric, plausible or not; `None` if it is absent or not a number.
    #[must_use]
    pub fn sent(&self, metric: &Metric) -> Option<f64> {
        metric.sent_as().iter().find_map(|name| self.number(name)).map(|sent| metric.value(sent))
    }

    fn number(&self, name: &str) -> Option<f64> {
        self.value(name).and_then(Raw::number)
    }
}

fn iso(field: Raw<'_>) -> Option<(Timestamp, Offset)> {
    time::from_iso(&field.text()?)
}

/// The members of the envelope, the last one of each name.
#[derive(Default)]
struct EnvelopeFields<'a> {
    device_type: Option<Raw<'a>>,
    slot: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    physical: Option<Raw<'a>>,
    display: Option<Raw<'a>>,
    zone: Option<Raw<'a>>,
    project: Option<Raw<'a>>,
    property: Option<Raw<'a>>,
    region: Option<Raw<'a>>,
    unix: Option<Raw<'a>>,
    time: Option<Raw<'a>>,
    local: Option<Raw<'a>>,
    values: Option<Raw<'a>>,
    routing_key: Option<Raw<'a>>,
    meta: Option<Raw<'a>>,
    event_time: Option<Raw<'a>>,
}

impl<'a> EnvelopeFields<'a> {
    fn set(&mut self, name: &str, value: Raw<'a>) {
        let field = match name {
            "DevType" => &mut self.device_type,
            "DEVID" => &mut self.slot,
            "ID" => &mut self.id,
            "DASSOC" => &mut self.physical,
            "Display" => &mut self.display,
            "InsID" => &mut self.zone,
            "PID" => &mut self.project,
            "PropId" => &mut self.property,
            "Region" => &mut self.region,
            "unixT" => &mut self.unix,
            "time" => &mut self.time,
            "t" => &mut self.local,
            "v" => &mut self.values,
            "RoutingKey" => &mut self.routing_key,
            "Meta" => &mut self.meta,
            "UnixTimeInt" => &mut self.event_time,
            _ => return,
        };
        *field = Some(value);
    }

    fn into_reading(self, text: &'a str) -> Reading<'a> {
        let word = |field: Option<Raw<'a>>| field.and_then(Raw::text);
        let id = |field: Option<Raw<'a>>| word(field).filter(|name| name.len() <= LONGEST_ID);
        let region = word(self.region);
        let time = self
            .unix
            .or(self.event_time)
            .and_then(Raw::number)
            .and_then(time::from_unix)
            .or_else(|| Some(self.time.and_then(iso)?.0))
            .or_else(|| time::from_local(&word(self.local)?, region.as_deref()?));
        let device_type = word(self.device_type).map_or(Cow::Borrowed(""), |name| match name {
            Cow::Borrowed(name) => Cow::Borrowed(device::short_name(name)),
            Cow::Owned(name) => Cow::Owned(device::short_name(&name).to_owned()),
        });
        Reading {
            id: OnceLock::new(),
            text,
            documented: DeviceType::named(&device_type),
            source: Source {
                device_type,
                device: id(self.slot).or_else(|| id(self.id)).or_else(|| id(self.physical)),
                display: word(self.display),
                zone: id(self.zone),
                project: id(self.project),
                property: id(self.property),
                region,
            },
            time,
            response: self.routing_key.zip(self.meta).and_then(|(key, meta)| Response::read(key, meta)),
            written_time: self.time,
            // One more than the limit, so that `read` notices it.
            values: self.values.map(|values| values.members(MOST_MEMBERS + 1)).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, key: &str) -> Option<f64> {
        Reading::read(text).unwrap().metric(key).map(|quantity| quantity.value)
    }

    fn seconds(text: &str) -> Option<i64> {
        Reading::read(text).unwrap().time.map(Timestamp::as_second)
    }

    #[test]
    fn occupancy_has_one_meaning_whatever_its_polarity_on_the_wire() {
        assert_eq!(value(r#"{"DevType":"SMARTCLEAN#OCCMINEW","v":{"occ":0}}"#, "occupied"), Some(1.0));
        assert_eq!(value(r#"{"DevType":"SMARTCLEAN#OCCSCM","v":{"occ":1}}"#, "occupied"), Some(0.0));
        assert_eq!(value(r#"{"DevType":"SMARTCLEAN#OCCDESK","v":{"occ":1}}"#, "occupied"), Some(1.0));
        assert_eq!(value(r#"{"DevType":"SMARTCLEAN#OCCDESK","v":{"occ":1}}"#, "occ"), None);
    }

    #[test]
    fn fine_dust_is_parsed_in_both_spellings() {
        for spelled in ["pm_25", "pm_2.5"] {
            let text = format!(r#"{{"DevType":"ODRDTR_10_IN_1","v":{{"{spelled}":18}}}}"#);
            assert_eq!(value(&text, "pm_2.5"), Some(18.0), "{spelled}");
        }
    }

    #[test]
    fn time_comes_from_unix_then_iso_then_local_digits() {
        let unix = r#""unixT":1639120892"#;
        let iso = r#""time":"2022-06-01T13:44:21+0800""#;
        let local = r#""t":"20230725160113","Region":"Asia/Singapore""#;
        assert_eq!(seconds(&format!("{{{unix},{iso},{local}}}")), Some(1_639_120_892));
        assert_eq!(seconds(&format!("{{{iso},{local}}}")), Some(1_654_062_261));
        assert_eq!(seconds(&format!("{{{local}}}")), Some(1_690_272_073));
        assert_eq!(seconds(r#"{"t":"20230725160113"}"#), None);
        assert_eq!(seconds("{}"), None);
    }

    #[test]
    fn an_implausible_time_is_replaced_by_the_next_source() {
        assert_eq!(seconds(r#"{"unixT":0,"time":"2022-06-01T13:44:21+0800"}"#), Some(1_654_062_261));
        assert_eq!(
            seconds(r#"{"unixT":null,"time":"soon","t":"20230725160113","Region":"Asia/Singapore"}"#),
            Some(1_690_272_073)
        );
    }

    #[test]
    fn the_last_value_of_a_repeated_name_counts() {
        let text = r#"{"DevType":"UM","Display":"A","Display":"B","v":{"count":1},"v":{"count":2,"count":3}}"#;
        assert_eq!(value(text, "count"), Some(3.0));
        assert_eq!(Reading::read(text).unwrap().source.display.unwrap(), "B");
    }

    #[test]
    fn a_reading_without_values_or_ids_is_a_reading() {
        let reading = Reading::read(r#"{"t":"20220602120301","DevType":"SMARTCLEAN#ODRDTR_BATT_V1"}"#).unwrap();
        assert_eq!(reading.source.device_type, "ODRDTR_BATT_V1");
        assert_eq!((reading.source.device, reading.source.zone, reading.time), (None, None, None));
        assert!(Reading::read("{}").unwrap().metric("amm").is_none());
        assert!(Reading::read(r#"{"DevType":"TH","v":"none"}"#).unwrap().metric("t").is_none());
    }

    #[test]
    fn the_device_is_the_slot_else_the_physical_device() {
        let device = |text| Reading::read(text).unwrap().source.device.map(Cow::into_owned);
        assert_eq!(device(r#"{"DASSOC":"p","ID":"i","DEVID":"s"}"#).as_deref(), Some("s"));
        assert_eq!(device(r#"{"DASSOC":"p","ID":"i","DEVID":""}"#).as_deref(), Some("i"));
        assert_eq!(device(r#"{"DASSOC":"p","DEVID":null}"#).as_deref(), Some("p"));
    }

    #[test]
    fn an_id_of_any_length_is_none() {
        let device = |length| {
            let text = format!(r#"{{"DEVID":"{}","ID":"i","InsID":"{0}"}}"#, "d".repeat(length));
            let source = Reading::read(&text).unwrap().source;
            (source.device.map(|device| device.len()), source.zone.map(|zone| zone.len()))
        };
        assert_eq!(device(LONGEST_ID), (Some(LONGEST_ID), Some(LONGEST_ID)));
        assert_eq!(device(LONGEST_ID + 1), (Some(1), None));
    }

    #[test]
    fn an_unknown_type_reads_by_the_names_it_sends() {
        let text = r#"{"DevType":"ACME#BIN","v":{"p":3,"x":"4"}}"#;
        let reading = Reading::read(text).unwrap();
        assert!(reading.device_type().is_none());
        assert_eq!(reading.metric("x"), Some(Quantity { label: "x", value: 4.0, unit: Unit::One }));
    }

    #[test]
    fn reasons_are_those_selected_and_old_ones_without_a_selector() {
        let text = r#"{"DevType":"FD","v":{"rating":5,"reasons":{
            "ID_1":{"ID":"1","Name":"Wet floor","selector":1},"ID_2":{"Name":"Smell","selector":0},
            "ID_3":{"Name":"No soap"},"ID_4":{"Name":"No soap"},"ID_5":"?"}}}"#;
        assert_eq!(Reading::read(text).unwrap().reasons(), ["Wet floor", "No soap"]);
        assert!(Reading::read(r#"{"DevType":"FD","v":{"rating":5}}"#).unwrap().reasons().is_empty());
    }

    #[test]
    fn reasons_without_end_are_read_in_part() {
        let reasons: Vec<_> = (0..1_000).map(|number| format!(r#""{number}":{{"Name":"n{number}"}}"#)).collect();
        let text = format!(r#"{{"v":{{"reasons":{{{}}}}}}}"#, reasons.join(","));
        let read = Reading::read(&text).unwrap().reasons();
        assert_eq!((read.len(), read[0].as_str()), (MOST_REASONS, "n0"));
    }

    #[test]
    fn one_member_of_v_more_than_the_most_is_an_error() {
        let members = |count: usize| vec![r#""":1"#; count].join(",");
        let read =
            |text: &str| Reading::read(text).map(|reading| reading.value_count()).map_err(|error| error.to_string());
        assert_eq!(read(&format!(r#"{{"v":{{{}}}}}"#, members(MOST_MEMBERS))), Ok(MOST_MEMBERS));
        let error = read(&format!(r#"{{"v":{{{}}}}}"#, members(MOST_MEMBERS + 1))).unwrap_err();
        assert_eq!(error, "more than 4096 members in `v`");
        // Members of other objects, and elements, take no memory of their own.
        assert_eq!(read(&format!("{{{}}}", members(MOST_MEMBERS + 1))), Ok(0));
        assert_eq!(read(&format!(r#"{{"v":{{"a":{{{}}}}}}}"#, members(MOST_MEMBERS + 1))), Ok(1));
        assert_eq!(read(&format!(r#"{{"v":[{}0]}}"#, "0,".repeat(MOST_MEMBERS))), Ok(0));
    }

    #[test]
    fn text_that_is_not_one_object_is_refused() {
        for text in ["", "null", "[]", "\"x\"", "{", "{}{}", "{\"a\":}", "{a:1}", "\u{feff}{}"] {
            assert!(Reading::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_number_is_returned_once_documented_metrics_first_and_by_key() {
        let text = r#"{"DevType":"SMARTCLEAN#OCCMINEW","v":{"zeta":2,"occ":0,"alpha":"1.5","word":"x","batt":80}}"#;
        let metrics = Reading::read(text).unwrap().metrics();
        let metrics: Vec<_> = metrics.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
        assert_eq!(metrics[..2], [("occupied", 1.0), ("batt", 80.0)]);
        assert_eq!(metrics[2..], [("alpha", 1.5), ("zeta", 2.0)]);
        let undocumented = Reading::read(r#"{"DevType":"NEW","v":{"b":1,"a":2}}"#).unwrap().metrics();
        assert_eq!(undocumented, [("a".into(), 2.0), ("b".into(), 1.0)]);
        assert_eq!(Reading::read("{}").unwrap().metrics(), []);
    }

    #[test]
    fn text_that_is_no_object_has_an_error_that_says_so() {
        for text in ["7", "[]", "\"{}\""] {
            let error = Reading::read(text).unwrap_err().to_string();
            assert!(error.contains("expected an object"), "{text}: {error}");
        }
    }

    #[test]
    fn the_source_is_parsed_from_the_envelope() {
        let text = r#"{"DevType":"SMARTCLEAN#SS","DEVID":"d","InsID":"z","PID":"p","PropId":"q"}"#;
        let source = Reading::read(text).unwrap().source;
        let of = |name: &Option<Cow<'_, str>>| name.as_deref().map(str::to_owned);
        let names = [&source.device, &source.zone, &source.project, &source.property].map(of);
        assert_eq!(names, ["d", "z", "p", "q"].map(|name| Some(name.to_owned())));
    }
}
