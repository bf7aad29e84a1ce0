//! Readings in the vendor's own format: its member names in its order, its numbers as numbers, as floats or as strings.
//!
//! A format is one of the vendor's examples with its values taken out. What stays the same for a device is filled in once,
//! so that a reading costs a few copies of text.

use std::fmt::Write as _;

use super::building::{DeviceSite, ZoneSite};
use super::clock::Moment;

/// Types without a subtype: supplies, bins, spills, directional counters. Their `unixT` is in seconds.
const PLAIN: &str = r#"{"t":"<t>","v":<v>,"unixT":<s>,"DEVID":"<device>","Region":"<region>","time":"<time>","DevType":"<type>","PID":"<project>","InsID":"<zone>","Display":"<name>","dow":"<dow>","month":"<month>","hour":"<hour>","dom":"<dom>","minute":"<minute>"}"#;
/// Newer types: occupancy, climate, trees, 10-in-1.
const NEWER: &str = r#"{"t":"<t>","DevType":"<type>","DevSubType":"1","time":"<time>","unixT":<ms>,"Region":"<region>","DEVID":"<device>","v":<v>,"DASSOC":"<physical>","PID":"<project>","PropId":"<property>","InsID":"<zone>","Display":"<name>","utc":<s>,"expire_at":<expire>,"dow":"<dow>","month":"<month>","hour":"<hour>","dom":"<dom>","minute":"<minute>","Type":"","unix":<s>}"#;
/// Usage monitors, feedback tablets, air quality lite: aggregated, and in the order of the alphabet.
const AGGREGATED: &str = r#"{"AGG":"<t>","DASSOC":"<physical>","DEVID":"<device>","DevSubType":"1","DevType":"<type>","Display":"<name>","ID":"<device>","InsID":"<zone>","PID":"<project>","PropId":"<property>","Region":"<region>","Type":null,"dom":"<dom>","dow":"<dow>","expire_at":<expire>,"hour":"<hour>","minute":"<minute>","month":"<month>","t":"<t>","time":"<time>","unix":<s>,"unixT":<ms>,"utc":<s>,"v":<v>}"#;
/// Wired air quality: a bare type, no property, and the vendor's own judgement under `stats`.
const WIRED: &str = r#"{"t":"<t>","DevType":"<type>","DevSubType":"2.9.3","time":"<time>","unixT":<ms>,"Region":"<region>","DEVID":"<device>","v":<v>,"DASSOC":"<physical>","PID":"<project>","InsID":"<zone>","Display":"<name>","stats":{"sg.smartclean.thresholding":{"AMM":{"HEALTH_OP_LOWER":"GE","HEALTH_OP_UPPER":"LT","HEALTH_THRESH_UPPER":0.2,"HEALTH_THRESH_LOWER":0,"HEALTH_STATUS":"INVALID","HEALTH_VALUE":0},"aggregatedModelOutput":false,"aggregatedModelThreshold":3,"aggregatedModelOp":"GE"}},"utc":<s>,"expire_at":<expire>,"dow":"<dow>","month":"<month>","hour":"<hour>","dom":"<dom>","minute":"<minute>"}"#;

/// The vendor's readings expire after 180 days, in seconds.
const EXPIRES_AFTER: i64 = 180 * 86_400;

/// Which of the formats a type has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// [`PLAIN`].
    Plain,
    /// [`NEWER`].
    Newer,
    /// [`AGGREGATED`].
    Aggregated,
    /// [`WIRED`].
    Wired,
}

/// What differs from one reading of a device to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Local,
    Iso,
    Seconds,
    Milliseconds,
    Expiry,
    Weekday,
    Month,
    Day,
    Hour,
    Minute,
    Values,
}

/// How a device writes its readings.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    /// Text that stays the same, each followed by what does not.
    parts: Vec<(String, Slot)>,
    end: String,
}

/// Where a device belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The building's id.
    pub(super) project: &'a str,
    /// The owner's id.
    pub(super) property: &'a str,
    /// The zone.
    pub(super) zone: &'a ZoneSite,
    /// The time zone's name.
    pub(super) region: &'a str,
}

impl Envelope {
    /// The envelope of `device`. Names are made here and need no escaping.
    pub(super) fn of(device: &DeviceSite, place: Place<'_>) -> Self {
        let template = match device.kind.format() {
            Format::Plain => PLAIN,
            Format::Newer => NEWER,
            Format::Aggregated => AGGREGATED,
            Format::Wired => WIRED,
        };
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut rest = template;
        while let Some((before, (name, after))) =
            rest.split_once('<').and_then(|(before, rest)| Some((before, rest.split_once('>')?)))
        {
            text.push_str(before);
            match slot(name) {
                Some(slot) => parts.push((std::mem::take(&mut text), slot)),
                None => text.push_str(fixed(name, device, place)),
            }
            rest = after;
        }
        text.push_str(rest);
        Self { parts, end: text }
    }

    /// The JSON text of a reading of `values`, the JSON text of `v`, at `now`.
    pub(super) fn write(&self, now: &Moment, values: &str) -> String {
        let mut out = String::with_capacity(760);
        for (text, slot) in &self.parts {
            out.push_str(text);
            // Writing to memory cannot fail.
            let _ = write_slot(&mut out, *slot, now, values);
        }
        out.push_str(&self.end);
        out
    }
}

fn slot(name: &str) -> Option<Slot> {
    Some(match name {
        "t" => Slot::Local,
        "time" => Slot::Iso,
        "s" => Slot::Seconds,
        "ms" => Slot::Milliseconds,
        "expire" => Slot::Expiry,
        "dow" => Slot::Weekday,
        "month" => Slot::Month,
        "dom" => Slot::Day,
        "hour" => Slot::Hour,
        "minute" => Slot::Minute,
        "v" => Slot::Values,
        _ => return None,
    })
}

fn fixed<'a>(name: &str, device: &'a DeviceSite, place: Place<'a>) -> &'a str {
    match name {
        "device" => &device.id,
        "physical" => &device.physical,
        "name" => &device.name,
        "type" => device.kind.type_name(),
        "project" => place.project,
        "property" => place.property,
        "zone" => &place.zone.id,
        _ => place.region,
    }
}

fn write_slot(out: &mut String, slot: Slot, now: &Moment, values: &str) -> std::fmt::Result {
    let wall = &now.wall;
    match slot {
        Slot::Local => {
            let (year, month, day) = (wall.year(), wall.month(), wall.day());
            write!(out, "{year:04}{month:02}{day:02}{:02}{:02}{:02}", wall.hour(), wall.minute(), wall.second())
        }
        Slot::Iso => {
            write!(out, "{:04}-{:02}-{:02}T", wall.year(), wall.month(), wall.day())?;
            write!(out, "{:02}:{:02}:{:02}", wall.hour(), wall.minute(), wall.second())?;
            let (sign, minutes) = (now.offset.seconds() < 0, now.offset.seconds().abs() / 60);
            write!(out, "{}{:02}{:02}", if sign { '-' } else { '+' }, minutes / 60, minutes % 60)
        }
        Slot::Seconds => write!(out, "{}", now.ms.div_euclid(1000)),
        Slot::Milliseconds => write!(out, "{}", now.ms),
        Slot::Expiry => write!(out, "{}", now.ms.div_euclid(1000) + EXPIRES_AFTER),
        Slot::Weekday => write!(out, "{}", now.weekday()),
        Slot::Month => write!(out, "{:02}", wall.month()),
        Slot::Day => write!(out, "{:02}", wall.day()),
        Slot::Hour => write!(out, "{:02}", wall.hour()),
        Slot::Minute => write!(out, "{:02}", wall.minute()),
        Slot::Values => out.write_str(values),
    }
}

/// The Matrix event that tells of a cleaning from `began` to `ended`, both in seconds since 1970.
pub(super) fn cleaning(zone: &ZoneSite, project: &str, began: i64, ended: i64) -> String {
    format!(
        r#"{{"RoutingKey":"matrix.{project}.task.closed.medium","Event":"TASK_CLOSED","UnixTimeInt":{ended},"Meta":{{"Zone":"{id}","ZoneName":"{name}","Name":"Scheduled cleaning","Status":"CLOSED","Start":{start},"AStart":{began},"AEnd":{ended},"SourceDeviceIdentifier":""}}}}"#,
        id = zone.id,
        name = zone.name,
        start = began - began.rem_euclid(1800),
    )
}
