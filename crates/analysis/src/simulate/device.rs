//! The devices of a zone: what each type measures, when it reports, and its JSON in the vendor's own format.

use jiff::ZonedDateTime;

use super::rng::{SeededRng, digest};
use super::zone::{People, SimulatedZone, busyness};

/// A type of device.
#[derive(Debug)]
pub(super) struct DeviceModel {
    /// `DevType` on the wire.
    pub(super) type_name: &'static str,
    /// The vendor's example of a reading as a template: a format of `strftime`, with other values as `<name>`.
    envelope: &'static str,
    /// Minutes between two measurements.
    minutes: f64,
    /// Measures the zone. Returns the JSON text of `v`, if there is something to report.
    measure: Measure,
}

type Measure = fn(&mut SimulatedDevice, &SimulatedZone, &ZonedDateTime) -> Option<String>;

/// Types without a subtype. Their `unixT` is in seconds.
const PLAIN: &str = r#"{"t":"%Y%m%d%H%M%S","v":<v>,"unixT":%s,"DEVID":"<device>","Region":"<region>","time":"%Y-%m-%dT%H:%M:%S%z","DevType":"<type>","PID":"<project>","InsID":"<zone>","Display":"<name>","dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M"}"#;
/// Newer types.
const NEWER: &str = r#"{"t":"%Y%m%d%H%M%S","DevType":"<type>","DevSubType":"1","time":"%Y-%m-%dT%H:%M:%S%z","unixT":%s%3f,"Region":"<region>","DEVID":"<device>","v":<v>,"DASSOC":"<physical>","PID":"<project>","PropId":"<property>","InsID":"<zone>","Display":"<name>","utc":%s,"expire_at":<expiry>,"dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M","Type":"","unix":%s}"#;
/// Types with aggregated readings. Members are in alphabetical order.
const AGGREGATED: &str = r#"{"AGG":"%Y%m%d%H%M%S","DASSOC":"<physical>","DEVID":"<device>","DevSubType":"1","DevType":"<type>","Display":"<name>","ID":"<device>","InsID":"<zone>","PID":"<project>","PropId":"<property>","Region":"<region>","Type":null,"dom":"%d","dow":"%w","expire_at":<expiry>,"hour":"%H","minute":"%M","month":"%m","t":"%Y%m%d%H%M%S","time":"%Y-%m-%dT%H:%M:%S%z","unix":%s,"unixT":%s%3f,"utc":%s,"v":<v>}"#;
/// Wired air quality sensors: no property, and the vendor's own thresholds under `stats`.
const WIRED: &str = r#"{"t":"%Y%m%d%H%M%S","DevType":"<type>","DevSubType":"2.9.3","time":"%Y-%m-%dT%H:%M:%S%z","unixT":%s%3f,"Region":"<region>","DEVID":"<device>","v":<v>,"DASSOC":"<physical>","PID":"<project>","InsID":"<zone>","Display":"<name>","stats":{"sg.smartclean.thresholding":{"AMM":{"HEALTH_OP_LOWER":"GE","HEALTH_OP_UPPER":"LT","HEALTH_THRESH_UPPER":0.2,"HEALTH_THRESH_LOWER":0,"HEALTH_STATUS":"INVALID","HEALTH_VALUE":0},"aggregatedModelOutput":false,"aggregatedModelThreshold":3,"aggregatedModelOp":"GE"}},"utc":%s,"expire_at":<expiry>,"dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M"}"#;
/// The vendor's readings expire after 180 days, in seconds.
const EXPIRES_AFTER: i64 = 180 * 86_400;

const fn model(type_name: &'static str, envelope: &'static str, minutes: f64, measure: Measure) -> DeviceModel {
    DeviceModel { type_name, envelope, minutes, measure }
}

pub(super) static USAGE: DeviceModel = model("SMARTCLEAN#UM", AGGREGATED, 5.0, SimulatedDevice::entries);
pub(super) static COUNTER: DeviceModel = model("SMARTCLEAN#PPLCTR", PLAIN, 5.0, SimulatedDevice::entries_and_exits);
pub(super) static FEEDBACK: DeviceModel = model("SMARTCLEAN#FD", AGGREGATED, 2.0, SimulatedDevice::feedback);
pub(super) static TOILET_ROLL: DeviceModel =
    model("SMARTCLEAN#TR", PLAIN, 15.0, |it, zone, _| it.dispenser_level(0.5, zone));
pub(super) static PAPER_TOWEL: DeviceModel =
    model("SMARTCLEAN#PT", PLAIN, 15.0, |it, zone, _| it.dispenser_level(0.6, zone));
pub(super) static SOAP: DeviceModel = model("SMARTCLEAN#SS", PLAIN, 15.0, |it, zone, _| it.dispenser_level(0.35, zone));
pub(super) static BIN: DeviceModel = model("SMARTCLEAN#BIN", PLAIN, 15.0, SimulatedDevice::bin_level);
pub(super) static SPILL: DeviceModel = model("SMARTCLEAN#WD", PLAIN, 2.0, SimulatedDevice::spill);
// The vendor's example of this type has no provider.
pub(super) static AIR: DeviceModel = model("ODRDTR", WIRED, 5.0, SimulatedDevice::gases);
pub(super) static AIR_LITE: DeviceModel =
    model("SMARTCLEAN#ODRDTR_BATT_V1", AGGREGATED, 5.0, |it, zone, now| it.air(&AIR_LITE_MEMBERS, zone, now));
pub(super) static AIR_TEN_IN_ONE: DeviceModel =
    model("SMARTCLEAN#ODRDTR_10_IN_1", NEWER, 5.0, |it, zone, now| it.air(&TEN_IN_ONE_MEMBERS, zone, now));
pub(super) static CLIMATE: DeviceModel =
    model("SMARTCLEAN#TH", NEWER, 10.0, |it, zone, now| it.air(&CLIMATE_MEMBERS, zone, now));
// Cubicle sensors send 0 if the cubicle is occupied, table sensors send 1.
pub(super) static CUBICLE_MINEW: DeviceModel = model("SMARTCLEAN#OCCMINEW", NEWER, 2.0, |it, zone, now| {
    let free = 1 - it.occupancy(zone, now)?;
    let (battery, signal) = (100.0 * it.charge(now), it.rng.normal(-78.0, 3.0));
    Some(format!(
        r#"{{"C":"1","Disass":"0","Src":"x750:hz3a30e","batt":{battery:.0},"rssi":{signal:.0},"occ":{free}}}"#
    ))
});
pub(super) static CUBICLE_SCM: DeviceModel = model("SMARTCLEAN#OCCSCM", NEWER, 2.0, |it, zone, now| {
    Some(format!(r#"{{"b":"0","occ":{}}}"#, 1 - it.occupancy(zone, now)?))
});
pub(super) static DESK: DeviceModel =
    model("SMARTCLEAN#OCCDESK", NEWER, 2.0, |it, zone, now| Some(format!(r#"{{"occ":{}}}"#, it.occupancy(zone, now)?)));
pub(super) static TILT: DeviceModel = model("SMARTCLEAN#TILT", NEWER, 60.0, SimulatedDevice::tilt);

/// A member of `v` that depends on the state of the zone.
#[derive(Debug)]
struct Member {
    name: &'static str,
    /// Its value in an empty, clean zone.
    rest: f64,
    /// What is added by a smell of 1, by the busiest hour, by each person in the zone, and by the breath of each.
    smell: f64,
    busy: f64,
    person: f64,
    breath: f64,
    /// The deviation between devices, and between readings of a device.
    spread: f64,
    noise: f64,
    most: f64,
    /// Digits after the point.
    digits: usize,
}

const MEMBER: Member = Member {
    name: "",
    rest: 0.0,
    smell: 0.0,
    busy: 0.0,
    person: 0.0,
    breath: 0.0,
    spread: 0.0,
    noise: 0.0,
    most: f64::INFINITY,
    digits: 0,
};

/// Ammonia in ppb, the air quality index, humidity and temperature in tenths.
static AIR_LITE_MEMBERS: [Member; 4] = [
    Member { name: "amm", rest: 28.0, smell: 185.0, spread: 3.0, noise: 4.0, ..MEMBER },
    Member { name: "aqi", rest: 42.0, smell: 120.0, busy: 25.0, spread: 4.0, noise: 4.0, most: 500.0, ..MEMBER },
    Member { name: "rh", rest: 660.0, busy: 60.0, spread: 15.0, noise: 8.0, most: 1_000.0, ..MEMBER },
    Member { name: "temp", rest: 268.0, busy: 18.0, spread: 5.0, noise: 3.0, ..MEMBER },
];

/// The light is off in an empty zone. The air is cooled in busy hours.
static TEN_IN_ONE_MEMBERS: [Member; 10] = [
    Member { name: "temperature", rest: 25.9, busy: -2.5, breath: 0.25, spread: 0.3, noise: 0.1, digits: 1, ..MEMBER },
    Member { name: "humidity", rest: 62.0, breath: 0.6, spread: 1.5, noise: 0.8, most: 100.0, digits: 1, ..MEMBER },
    Member { name: "light_level", busy: 9.0, person: 3.0, most: 3.0, ..MEMBER },
    Member { name: "co2", rest: 430.0, breath: 150.0, spread: 10.0, noise: 6.0, ..MEMBER },
    Member { name: "pir_trigger", person: 1.0, most: 1.0, ..MEMBER },
    Member { name: "tvoc", rest: 0.22, breath: 0.03, spread: 0.02, noise: 0.02, digits: 2, ..MEMBER },
    Member { name: "pressure", rest: 1_008.0, spread: 0.5, noise: 0.6, ..MEMBER },
    Member { name: "hcho", rest: 0.03, spread: 0.003, noise: 0.004, digits: 2, ..MEMBER },
    Member { name: "pm_25", rest: 13.0, busy: 3.0, spread: 2.0, noise: 0.6, ..MEMBER },
    Member { name: "pm_10", rest: 17.5, busy: 4.0, spread: 2.0, noise: 0.9, ..MEMBER },
];

static CLIMATE_MEMBERS: [Member; 2] = [
    Member { name: "t", rest: 26.6, busy: -3.4, spread: 0.6, noise: 0.12, digits: 1, ..MEMBER },
    Member { name: "h", rest: 70.0, busy: -12.0, spread: 2.0, noise: 0.7, most: 100.0, digits: 1, ..MEMBER },
];

/// Gases in ppm: name, expected value, deviation, and the z-score at a smell of 1.
const GASES: [(&str, f64, f64, f64); 3] =
    [("amm", 2.4, 0.22, 2.2), ("alc", 0.17, 0.012, 0.3), ("no2", 0.72, 0.02, 0.0)];
/// Labels of the ratings from 1, the best.
const LABELS: [&str; 5] = ["Excellent", "Good", "Average", "Poor", "Very Poor"];
/// Reasons of a bad rating. Their ids begin with 1.
const REASONS: [&str; 5] = ["Foul Smell", "Wet Floor", "No Toilet Paper", "Litter Bin Full", "Dirty Toilet Bowl"];
/// One visitor in so many gives feedback, takes a certain cubicle, spills something.
const VISITORS_A_FEEDBACK: f64 = 16.0;
const VISITORS_A_CUBICLE: f64 = 4.0;
const VISITORS_A_SPILL: f64 = 220.0;
/// Depth of a dispenser and of a bin in millimetres. The vendor's example has 46 % and 159 mm.
const DEPTH: f64 = 345.0;
/// Most minutes between two reports of a cubicle or table, of a dry floor, and of a wet floor.
const PLACE_HEARTBEAT: i64 = 60;
const FLOOR_HEARTBEAT: i64 = 30;
const WET_HEARTBEAT: i64 = 5;
/// Mean days until a tree begins to lean.
const DAYS_A_LEAN: f64 = 120.0;
/// The smell that a wired sensor expects.
const USUAL_SMELL: f64 = 0.25;
/// Mean days between two silences of a device.
const DAYS_BETWEEN_SILENCES: f64 = 25.0;
/// The part of its charge at which a battery is replaced.
const REPLACED_AT: f64 = 0.08;

/// The state of a device at a moment.
#[derive(Clone, Debug)]
pub(super) struct SimulatedDevice {
    model: &'static DeviceModel,
    /// The index of its zone.
    pub(super) zone: usize,
    /// Its reading, without the time, `<v>` and `<expiry>`.
    reading: String,
    rng: SeededRng,
    /// Its deviation from others of its type: 0 on average, mostly within 1.
    bias: f64,
    /// Days that a battery lasts.
    battery_days: f64,
    /// Whether it lost its connection or its power since the last measurement.
    was_away: bool,
    /// Visitors and cleanings of its zone at the last measurement.
    visitors: u64,
    cleanings: u32,
    /// People who have not left yet.
    inside: u64,
    /// Used per cent of a dispenser or a bin, wet per cent of a floor, degrees that a tree leans.
    level: f64,
    /// When a place becomes free or a floor dry, 0 if it is; when a tree begins to lean.
    until_ms: i64,
    reported_ms: i64,
}

impl SimulatedDevice {
    /// The device `name` of a zone. The ids are those of its owner and its building; `region` is the time zone. Names come from
    /// this module and need no escaping.
    pub(super) fn new(
        seed: u64,
        model: &'static DeviceModel,
        name: &str,
        (index, zone): (usize, &SimulatedZone),
        [property, project, region]: [&str; 3],
    ) -> Self {
        let names = [zone.id.as_str(), name];
        let id = format!("{:.32}", digest(seed, &names));
        let fixed: [(&str, &str); 8] = [
            ("<type>", model.type_name),
            ("<device>", &id),
            ("<physical>", &format!("24E1{}", id[..12].to_uppercase())),
            ("<name>", &format!("{} {name}", zone.name)),
            ("<zone>", &zone.id),
            ("<project>", project),
            ("<property>", property),
            ("<region>", region),
        ];
        let reading = fixed.iter().fold(model.envelope.to_owned(), |text, (slot, value)| text.replace(slot, value));
        let mut rng = SeededRng::new(seed, &names);
        Self {
            model,
            zone: index,
            reading,
            bias: rng.normal(0.0, 1.0),
            battery_days: rng.between(300.0, 700.0),
            was_away: false,
            visitors: 0,
            cleanings: 0,
            inside: 0,
            level: rng.between(0.0, 60.0),
            until_ms: 0,
            reported_ms: 0,
            rng,
        }
    }

    /// Milliseconds until the first measurement: anywhere in its interval, so that devices do not report all at once.
    pub(super) fn first_report(&mut self) -> i64 {
        self.rng.minutes(0.0, self.model.minutes)
    }

    /// Milliseconds until the next measurement: its interval, or hours if it loses its connection or its power.
    pub(super) fn next_report(&mut self) -> i64 {
        let minutes = self.model.minutes;
        self.was_away = self.rng.chance(minutes / (DAYS_BETWEEN_SILENCES * 1440.0));
        let (least, most) = match self.was_away {
            false => (minutes * 0.98, minutes * 1.02),
            true if self.rng.chance(0.1) => (25.0 * 60.0, 40.0 * 60.0),
            true => (60.0, 8.0 * 60.0),
        };
        self.rng.minutes(least, most)
    }

    /// Measures its zone. Returns the JSON text of a reading, if there is something to report.
    pub(super) fn report(&mut self, zone: &SimulatedZone, now: &ZonedDateTime) -> Option<String> {
        if self.was_away {
            // It did not count these visitors.
            self.visitors = zone.visitors;
        }
        let values = (self.model.measure)(self, zone, now)?;
        let expiry = now.timestamp().as_second() + EXPIRES_AFTER;
        let reading = self.reading.replace("<v>", &values).replace("<expiry>", &expiry.to_string());
        Some(now.strftime(&reading).to_string())
    }

    /// Visitors since the last measurement.
    fn new_visitors(&mut self, zone: &SimulatedZone) -> u64 {
        zone.visitors - std::mem::replace(&mut self.visitors, zone.visitors)
    }

    /// Whether the zone was cleaned since the last measurement.
    fn was_cleaned(&mut self, zone: &SimulatedZone) -> bool {
        zone.cleanings != std::mem::replace(&mut self.cleanings, zone.cleanings)
    }

    /// Whether to report a change, or that there was none for `heartbeat` minutes.
    fn is_report_due(&mut self, has_changed: bool, heartbeat: i64, now_ms: i64) -> bool {
        let is_due = has_changed || now_ms - self.reported_ms >= heartbeat * 60_000;
        if is_due {
            self.reported_ms = now_ms;
        }
        is_due
    }

    /// The charge of the battery, 0 to 1. It runs down over months, and is replaced when it is weak.
    fn charge(&self, now: &ZonedDateTime) -> f64 {
        let days = now.timestamp().as_duration().as_secs_f64() / 86_400.0;
        1.0 - (1.0 - REPLACED_AT) * (days / self.battery_days).fract()
    }

    fn entries(&mut self, zone: &SimulatedZone, now: &ZonedDateTime) -> Option<String> {
        let came = self.new_visitors(zone);
        // Lithium cells: 3.4 V full, 2.4 V weak.
        let millivolts = 2_280.0 + 1_120.0 * self.charge(now);
        (came > 0).then(|| format!(r#"{{"b":"{millivolts:.0}","count":{came},"u":"{}"}}"#, 2_000 + self.visitors))
    }

    fn entries_and_exits(&mut self, zone: &SimulatedZone, _: &ZonedDateTime) -> Option<String> {
        let came = self.new_visitors(zone);
        let left = (0..self.inside).filter(|_| self.rng.chance(0.7)).count() as u64;
        self.inside = self.inside - left + came;
        (came + left > 0).then(|| format!(r#"{{"count":{came}.0,"out_count":{left}.0}}"#))
    }

    fn feedback(&mut self, zone: &SimulatedZone, _: &ZonedDateTime) -> Option<String> {
        let came = self.new_visitors(zone);
        if !self.rng.any(came, 1.0 / VISITORS_A_FEEDBACK) {
            return None;
        }
        let rating = rating(zone.smell, &mut self.rng);
        let (negative, label, stars) = (u8::from(rating >= 4), LABELS[rating - 1], 6 - rating);
        let reasons = if rating >= 4 {
            // Mostly the smell, which is the cause.
            let reason = if self.rng.chance(0.6) { 0 } else { self.rng.below(REASONS.len()) };
            let (id, name) = (reason + 1, REASONS[reason]);
            format!(r#""ID_{id}":{{"ID":"{id}","Name":"{name}","selector":1}}"#)
        } else {
            String::new()
        };
        let question = &zone.id;
        Some(format!(
            r#"{{"c":"{question}","n":{negative},"nm":"{label}","rating":{rating},"reasons":{{{reasons}}},"s":{stars},"type":"DEFECT"}}"#
        ))
    }

    /// A dispenser, from which each visitor takes `a_visitor` per cent on average. A cleaner mostly fills it if it is low.
    fn dispenser_level(&mut self, a_visitor: f64, zone: &SimulatedZone) -> Option<String> {
        self.use_up(a_visitor, zone);
        if self.was_cleaned(zone) && self.level > 75.0 && self.rng.chance(0.8) {
            self.level = 0.0;
        }
        // The sensor measures the distance to the rest.
        Some(supply(self.level, 0.85 * self.level))
    }

    /// A bin, which visitors fill. A cleaner empties it if it is half full, and every evening.
    fn bin_level(&mut self, zone: &SimulatedZone, now: &ZonedDateTime) -> Option<String> {
        self.use_up(0.7, zone);
        if self.was_cleaned(zone) && (self.level > 50.0 || now.hour() >= 20) {
            self.level = 0.0;
        }
        // The sensor measures the free space.
        Some(supply(self.level, 100.0 - self.level))
    }

    fn use_up(&mut self, a_visitor: f64, zone: &SimulatedZone) {
        let used: f64 = (0..self.new_visitors(zone)).map(|_| a_visitor * self.rng.between(0.3, 1.7)).sum();
        self.level = (self.level + used).min(100.0);
    }

    fn spill(&mut self, zone: &SimulatedZone, now: &ZonedDateTime) -> Option<String> {
        let now_ms = now.timestamp().as_millisecond();
        let (came, was_cleaned, was_wet) = (self.new_visitors(zone), self.was_cleaned(zone), self.until_ms > 0);
        if was_wet && (was_cleaned || now_ms >= self.until_ms) {
            self.until_ms = 0;
        } else if was_wet {
            self.level *= 0.97;
        } else if self.rng.any(came, 1.0 / VISITORS_A_SPILL) {
            self.level = self.rng.between(1.0, 18.0);
            self.until_ms = now_ms + self.rng.minutes(10.0, 90.0);
        }
        let is_wet = self.until_ms > 0;
        let heartbeat = if is_wet { WET_HEARTBEAT } else { FLOOR_HEARTBEAT };
        let area = if is_wet { self.level } else { 0.0 };
        self.is_report_due(is_wet != was_wet, heartbeat, now_ms)
            .then(|| format!(r#"{{"value":{},"AreaP":{area:.1}}}"#, u8::from(is_wet)))
    }

    /// Whether a cubicle or a table is occupied, 1 or 0, if that is to be reported.
    fn occupancy(&mut self, zone: &SimulatedZone, now: &ZonedDateTime) -> Option<u8> {
        let now_ms = now.timestamp().as_millisecond();
        let (came, was_taken) = (self.new_visitors(zone), self.until_ms > 0);
        let is_taken = match zone.people {
            People::Meetings => zone.inside > 0,
            _ if was_taken => now_ms < self.until_ms,
            _ => self.rng.any(came, 1.0 / VISITORS_A_CUBICLE),
        };
        if is_taken != was_taken {
            self.until_ms = if is_taken { now_ms + self.rng.minutes(2.0, 11.0) } else { 0 };
        }
        self.is_report_due(is_taken != was_taken, PLACE_HEARTBEAT, now_ms).then_some(u8::from(is_taken))
    }

    /// Gases in ppm, each with its expected value and its z-score.
    fn gases(&mut self, zone: &SimulatedZone, _: &ZonedDateTime) -> Option<String> {
        let mut values = format!(r#"{{"rssi":"{:.0}""#, self.rng.normal(-68.0, 3.0));
        for (name, usual, deviation, follows_smell) in GASES {
            let expected = usual * (1.0 + 0.08 * self.bias.clamp(-2.0, 2.0));
            let zscore = follows_smell * (zone.smell - USUAL_SMELL) + self.rng.normal(0.0, 0.4);
            let value = (expected + zscore * deviation).max(0.0);
            values += &format!(r#","{name}_expected":{expected:.6},"{name}_zscore":{zscore:.6},"{name}":{value:.6}"#);
        }
        Some(values + "}")
    }

    fn air(&mut self, members: &[Member], zone: &SimulatedZone, now: &ZonedDateTime) -> Option<String> {
        let (busy, people) = (busyness(now), f64::from(zone.inside));
        let bias = self.bias.clamp(-2.0, 2.0);
        let values = members.iter().map(|member| {
            let follows =
                member.smell * zone.smell + member.busy * busy + member.person * people + member.breath * zone.breath;
            let differs = member.spread * bias + self.rng.normal(0.0, member.noise);
            let value = (member.rest + follows + differs).clamp(0.0, member.most);
            format!(r#""{}":{value:.*}"#, member.name, member.digits)
        });
        Some(format!("{{{}}}", values.collect::<Vec<_>>().join(",")))
    }

    /// Angles in degrees.
    fn tilt(&mut self, _: &SimulatedZone, now: &ZonedDateTime) -> Option<String> {
        let now_ms = now.timestamp().as_millisecond();
        if self.until_ms == 0 {
            self.until_ms = now_ms + self.rng.minutes(0.0, 2.0 * DAYS_A_LEAN * 1440.0);
            self.level = 0.0;
        }
        if now_ms >= self.until_ms && self.level < 14.0 {
            self.level += self.rng.between(0.5, 3.0);
        }
        // There is more wind by day.
        let wind = if (9..19).contains(&now.hour()) { 0.35 } else { 0.15 };
        let [x, y, z] = [-87.5 + self.level, -2.0 - 0.4 * self.level, 1.4]
            .map(|angle| angle + self.bias + self.rng.normal(0.0, wind));
        let battery = 100.0 * self.charge(now);
        Some(format!(r#"{{"Tb":"none","Xt":{x:.2},"Yt":{y:.2},"Zt":{z:.2},"v":{battery:.0}}}"#))
    }
}

/// The values of a dispenser or a bin: `used` per cent, and a distance of `measured` per cent of its depth.
fn supply(used: f64, measured: f64) -> String {
    format!(r#"{{"p":{:.0},"d":{:.0}}}"#, 100.0 - used, measured * DEPTH / 100.0)
}

/// The rating by the smell, from 1, the best, to 5.
fn rating(smell: f64, rng: &mut SeededRng) -> usize {
    rng.normal(1.4 + 2.5 * smell, 0.7).clamp(1.0, 5.0).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_worse_when_it_smells() {
        let bad = |smell| {
            let mut rng = SeededRng::new(1, &[]);
            (0..1000).filter(|_| rating(smell, &mut rng) >= 4).count()
        };
        assert!(bad(0.1) < 20, "{}", bad(0.1));
        assert!(bad(1.2) > 500, "{}", bad(1.2));
    }

    #[test]
    fn a_battery_runs_down_until_it_is_replaced() {
        let now: ZonedDateTime = "2026-10-05T00:00[Asia/Singapore]".parse().unwrap();
        let zone = SimulatedZone::new(1, (0, "House"), "Garden".to_owned(), People::None, 0);
        let device = SimulatedDevice::new(1, &TILT, "Tree", (0, &zone), ["", "", "Asia/Singapore"]);
        let charges: Vec<_> =
            (1..1000).map(|day| device.charge(&(&now + jiff::SignedDuration::from_hours(24 * day)))).collect();
        let rises = charges.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert!((1..=4).contains(&rises), "{rises}");
        assert!(charges.iter().all(|charge| (REPLACED_AT..=1.0).contains(charge)));
    }
}
