//! What each type of device measures of its zone, when it reports, and how: in the vendor's own format, with its member names in
//! its order, its numbers as numbers, as floats or as strings.

use jiff::ZonedDateTime;

use super::dice::{Dice, digest};
use super::zone::{People, Zone, busyness};

/// A type of device.
#[derive(Debug)]
pub(super) struct Model {
    /// `DevType` on the wire.
    pub(super) type_name: &'static str,
    /// The vendor's example of a reading with its values taken out: a format of `strftime`, and the names of what it does not
    /// know between `<` and `>`.
    envelope: &'static str,
    /// Minutes from one look to the next.
    minutes: f64,
    /// Looks at the zone. Returns the JSON text of `v` if there is something to report.
    look: fn(&mut Device, &Zone, &ZonedDateTime) -> Option<String>,
}

/// Types without a subtype. Their `unixT` is in seconds.
const PLAIN: &str = r#"{"t":"%Y%m%d%H%M%S","v":<v>,"unixT":%s,"DEVID":"<device>","Region":"<region>","time":"%Y-%m-%dT%H:%M:%S%z","DevType":"<type>","PID":"<project>","InsID":"<zone>","Display":"<name>","dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M"}"#;
/// Newer types.
const NEWER: &str = r#"{"t":"%Y%m%d%H%M%S","DevType":"<type>","DevSubType":"1","time":"%Y-%m-%dT%H:%M:%S%z","unixT":%s%3f,"Region":"<region>","DEVID":"<device>","v":<v>,"DASSOC":"<physical>","PID":"<project>","PropId":"<property>","InsID":"<zone>","Display":"<name>","utc":%s,"expire_at":<expiry>,"dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M","Type":"","unix":%s}"#;
/// Types whose readings are aggregated, with members in the order of the alphabet.
const AGGREGATED: &str = r#"{"AGG":"%Y%m%d%H%M%S","DASSOC":"<physical>","DEVID":"<device>","DevSubType":"1","DevType":"<type>","Display":"<name>","ID":"<device>","InsID":"<zone>","PID":"<project>","PropId":"<property>","Region":"<region>","Type":null,"dom":"%d","dow":"%w","expire_at":<expiry>,"hour":"%H","minute":"%M","month":"%m","t":"%Y%m%d%H%M%S","time":"%Y-%m-%dT%H:%M:%S%z","unix":%s,"unixT":%s%3f,"utc":%s,"v":<v>}"#;
/// Wired air quality: no property, and the vendor's own judgement under `stats`.
const WIRED: &str = r#"{"t":"%Y%m%d%H%M%S","DevType":"<type>","DevSubType":"2.9.3","time":"%Y-%m-%dT%H:%M:%S%z","unixT":%s%3f,"Region":"<region>","DEVID":"<device>","v":<v>,"DASSOC":"<physical>","PID":"<project>","InsID":"<zone>","Display":"<name>","stats":{"sg.smartclean.thresholding":{"AMM":{"HEALTH_OP_LOWER":"GE","HEALTH_OP_UPPER":"LT","HEALTH_THRESH_UPPER":0.2,"HEALTH_THRESH_LOWER":0,"HEALTH_STATUS":"INVALID","HEALTH_VALUE":0},"aggregatedModelOutput":false,"aggregatedModelThreshold":3,"aggregatedModelOp":"GE"}},"utc":%s,"expire_at":<expiry>,"dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M"}"#;
/// The vendor's readings expire after 180 days, in seconds.
const EXPIRES_AFTER: i64 = 180 * 86_400;

impl Model {
    const fn new(
        type_name: &'static str,
        envelope: &'static str,
        minutes: f64,
        look: fn(&mut Device, &Zone, &ZonedDateTime) -> Option<String>,
    ) -> Self {
        Self { type_name, envelope, minutes, look }
    }
}

pub(super) static USAGE: Model = Model::new("SMARTCLEAN#UM", AGGREGATED, 5.0, Device::count_entries);
pub(super) static COUNTER: Model = Model::new("SMARTCLEAN#PPLCTR", PLAIN, 5.0, Device::count_both_ways);
pub(super) static FEEDBACK: Model = Model::new("SMARTCLEAN#FD", AGGREGATED, 2.0, Device::ask_for_feedback);
pub(super) static TOILET_ROLL: Model = Model::new("SMARTCLEAN#TR", PLAIN, 15.0, |it, zone, _| it.dispense(0.5, zone));
pub(super) static PAPER_TOWEL: Model = Model::new("SMARTCLEAN#PT", PLAIN, 15.0, |it, zone, _| it.dispense(0.6, zone));
pub(super) static SOAP: Model = Model::new("SMARTCLEAN#SS", PLAIN, 15.0, |it, zone, _| it.dispense(0.35, zone));
pub(super) static BIN: Model = Model::new("SMARTCLEAN#BIN", PLAIN, 15.0, Device::fill_up);
pub(super) static SPILL: Model = Model::new("SMARTCLEAN#WD", PLAIN, 2.0, Device::watch_floor);
// The vendor's own example of it names no provider.
pub(super) static AIR: Model = Model::new("ODRDTR", WIRED, 5.0, Device::smell);
pub(super) static AIR_LITE: Model =
    Model::new("SMARTCLEAN#ODRDTR_BATT_V1", AGGREGATED, 5.0, |it, zone, now| it.measure(&AIR_LITE_MEMBERS, zone, now));
pub(super) static AIR_TEN_IN_ONE: Model =
    Model::new("SMARTCLEAN#ODRDTR_10_IN_1", NEWER, 5.0, |it, zone, now| it.measure(&TEN_IN_ONE_MEMBERS, zone, now));
pub(super) static CLIMATE: Model =
    Model::new("SMARTCLEAN#TH", NEWER, 10.0, |it, zone, now| it.measure(&CLIMATE_MEMBERS, zone, now));
// The cubicle sensors send 0 if somebody is in, the table's sends 1.
pub(super) static CUBICLE_MINEW: Model = Model::new("SMARTCLEAN#OCCMINEW", NEWER, 2.0, |it, zone, now| {
    let free = 1 - it.watch_place(zone, now)?;
    let (battery, signal) = (100.0 * it.charge(now), it.dice.normal(-78.0, 3.0));
    Some(format!(
        r#"{{"C":"1","Disass":"0","Src":"x750:hz3a30e","batt":{battery:.0},"rssi":{signal:.0},"occ":{free}}}"#
    ))
});
pub(super) static CUBICLE_SCM: Model = Model::new("SMARTCLEAN#OCCSCM", NEWER, 2.0, |it, zone, now| {
    Some(format!(r#"{{"b":"0","occ":{}}}"#, 1 - it.watch_place(zone, now)?))
});
pub(super) static DESK: Model = Model::new("SMARTCLEAN#OCCDESK", NEWER, 2.0, |it, zone, now| {
    Some(format!(r#"{{"occ":{}}}"#, it.watch_place(zone, now)?))
});
pub(super) static TILT: Model = Model::new("SMARTCLEAN#TILT", NEWER, 60.0, Device::stand);

/// A member of `v` that follows what goes on in the zone.
#[derive(Debug)]
struct Member {
    name: &'static str,
    /// Its value if nobody is there, nothing smells, and all is quiet.
    rest: f64,
    /// What is added by the smell at which somebody complains, by the busiest hour, by each person who is there, and by the
    /// breath of each.
    smell: f64,
    busy: f64,
    person: f64,
    breath: f64,
    /// How far devices differ from each other, and readings of a device.
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

/// Ammonia in ppb, the index, humidity and temperature in tenths.
static AIR_LITE_MEMBERS: [Member; 4] = [
    Member { name: "amm", rest: 28.0, smell: 185.0, spread: 3.0, noise: 4.0, ..MEMBER },
    Member { name: "aqi", rest: 42.0, smell: 120.0, busy: 25.0, spread: 4.0, noise: 4.0, most: 500.0, ..MEMBER },
    Member { name: "rh", rest: 660.0, busy: 60.0, spread: 15.0, noise: 8.0, most: 1_000.0, ..MEMBER },
    Member { name: "temp", rest: 268.0, busy: 18.0, spread: 5.0, noise: 3.0, ..MEMBER },
];

/// Its light is off while nobody is there and little goes on; its air is cooled while people work.
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

/// Gases in ppm: the name, what is expected, its deviation, and how unusual the smell at which somebody complains is.
const GASES: [(&str, f64, f64, f64); 3] =
    [("amm", 2.4, 0.22, 2.2), ("alc", 0.17, 0.012, 0.3), ("no2", 0.72, 0.02, 0.0)];
/// The labels of the ratings from 1, the best.
const LABELS: [&str; 5] = ["Excellent", "Good", "Average", "Poor", "Very Poor"];
/// What a visitor can be unhappy about, its id on the tablet from 1.
const REASONS: [&str; 5] = ["Foul Smell", "Wet Floor", "No Toilet Paper", "Litter Bin Full", "Dirty Toilet Bowl"];
/// One visitor in so many touches the tablet, takes a certain cubicle, spills something.
const VISITORS_A_FEEDBACK: f64 = 16.0;
const VISITORS_A_CUBICLE: f64 = 4.0;
const VISITORS_A_SPILL: f64 = 220.0;
/// Depth of a dispenser and of a bin in millimetres, as the vendor's example has it: 46 % and 159 mm.
const DEPTH: f64 = 345.0;
/// How often a place, a floor and a wet floor are reported at least, in minutes.
const PLACE_HEARTBEAT: i64 = 60;
const FLOOR_HEARTBEAT: i64 = 30;
const WET_HEARTBEAT: i64 = 5;
/// A tree begins to lean once in so many days, on average.
const DAYS_A_LEAN: f64 = 120.0;
/// The smell that a wired sensor has come to expect.
const USUAL_SMELL: f64 = 0.25;
/// A device falls silent once in this many days, on average.
const DAYS_BETWEEN_SILENCES: f64 = 25.0;
/// Somebody replaces a battery when about this part of its charge is left.
const REPLACED_AT: f64 = 0.08;

/// A device as it is at a moment.
#[derive(Clone, Debug)]
pub(super) struct Device {
    model: &'static Model,
    /// Which zone it is in, from 0.
    pub(super) zone: usize,
    /// Its reading, of which the time, `<v>` and `<expiry>` are open.
    reading: String,
    dice: Dice,
    /// How it differs from others of its type: 0 on average, mostly within 1.
    bias: f64,
    /// Days that a battery lasts.
    battery_days: f64,
    /// Whether it lost its connection or its power since the last look.
    was_away: bool,
    /// Visitors and cleanings of its zone that it has seen.
    visitors: u64,
    cleanings: u32,
    /// People who have not gone out again.
    inside: u64,
    /// Per cent of a dispenser or a bin that are used, of a floor that are wet; degrees that a tree leans.
    level: f64,
    /// When a place is left or a floor is dry, 0 if it is free or dry; when a tree begins to lean.
    until_ms: i64,
    reported_ms: i64,
}

impl Device {
    /// The device `name` of a zone, which is called after it. The ids are those of its owner and its building, `region` is the
    /// name of the time zone. Names are made here and need no escaping.
    pub(super) fn new(
        seed: u64,
        model: &'static Model,
        name: &str,
        (index, zone): (usize, &Zone),
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
        let mut dice = Dice::new(seed, &names);
        Self {
            model,
            zone: index,
            reading,
            bias: dice.normal(0.0, 1.0),
            battery_days: dice.between(300.0, 700.0),
            was_away: false,
            visitors: 0,
            cleanings: 0,
            inside: 0,
            level: dice.between(0.0, 60.0),
            until_ms: 0,
            reported_ms: 0,
            dice,
        }
    }

    /// Milliseconds until the first look: anywhere in its interval, so that devices do not speak in chorus.
    pub(super) fn first_look(&mut self) -> i64 {
        self.dice.minutes(0.0, self.model.minutes)
    }

    /// Milliseconds until the next look: its interval, seldom hours, when it lost its connection or its power.
    pub(super) fn next_look(&mut self) -> i64 {
        let minutes = self.model.minutes;
        self.was_away = self.dice.chance(minutes / (DAYS_BETWEEN_SILENCES * 1440.0));
        let (least, most) = match self.was_away {
            false => (minutes * 0.98, minutes * 1.02),
            true if self.dice.chance(0.1) => (25.0 * 60.0, 40.0 * 60.0),
            true => (60.0, 8.0 * 60.0),
        };
        self.dice.minutes(least, most)
    }

    /// Looks at its zone. Returns the JSON text of a reading if there is something to report.
    pub(super) fn look(&mut self, zone: &Zone, now: &ZonedDateTime) -> Option<String> {
        if self.was_away {
            // It has seen nobody meanwhile.
            self.visitors = zone.visitors;
        }
        let values = (self.model.look)(self, zone, now)?;
        let expiry = now.timestamp().as_second() + EXPIRES_AFTER;
        let reading = self.reading.replace("<v>", &values).replace("<expiry>", &expiry.to_string());
        Some(now.strftime(&reading).to_string())
    }

    /// Visitors who came since the last look.
    fn came(&mut self, zone: &Zone) -> u64 {
        zone.visitors - std::mem::replace(&mut self.visitors, zone.visitors)
    }

    /// Whether the zone was cleaned since the last look.
    fn was_cleaned(&mut self, zone: &Zone) -> bool {
        zone.cleanings != std::mem::replace(&mut self.cleanings, zone.cleanings)
    }

    /// Whether a change is to be reported, or that there was none for so many minutes.
    fn is_report_due(&mut self, has_changed: bool, heartbeat: i64, now_ms: i64) -> bool {
        let is_due = has_changed || now_ms - self.reported_ms >= heartbeat * 60_000;
        if is_due {
            self.reported_ms = now_ms;
        }
        is_due
    }

    /// The part of the battery's charge that is left, 0 to 1. It runs down over months and is replaced a while after it is weak.
    fn charge(&self, now: &ZonedDateTime) -> f64 {
        let days = now.timestamp().as_duration().as_secs_f64() / 86_400.0;
        1.0 - (1.0 - REPLACED_AT) * (days / self.battery_days).fract()
    }

    fn count_entries(&mut self, zone: &Zone, now: &ZonedDateTime) -> Option<String> {
        let came = self.came(zone);
        // Lithium cells: 3.4 V full, 2.4 V weak.
        let millivolts = 2_280.0 + 1_120.0 * self.charge(now);
        (came > 0).then(|| format!(r#"{{"b":"{millivolts:.0}","count":{came},"u":"{}"}}"#, 2_000 + self.visitors))
    }

    fn count_both_ways(&mut self, zone: &Zone, _: &ZonedDateTime) -> Option<String> {
        let came = self.came(zone);
        let left = (0..self.inside).filter(|_| self.dice.chance(0.7)).count() as u64;
        self.inside = self.inside - left + came;
        (came + left > 0).then(|| format!(r#"{{"count":{came}.0,"out_count":{left}.0}}"#))
    }

    fn ask_for_feedback(&mut self, zone: &Zone, _: &ZonedDateTime) -> Option<String> {
        let came = self.came(zone);
        if !self.dice.any(came, 1.0 / VISITORS_A_FEEDBACK) {
            return None;
        }
        let rating = rating(zone.smell, &mut self.dice);
        let (negative, label, stars) = (u8::from(rating >= 4), LABELS[rating - 1], 6 - rating);
        let reasons = if rating >= 4 {
            // Mostly the real one: the smell.
            let reason = if self.dice.chance(0.6) { 0 } else { self.dice.below(REASONS.len()) };
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

    /// Runs down with use, each visitor taking so many per cent on average. A cleaner mostly fills it if it is low.
    fn dispense(&mut self, a_visitor: f64, zone: &Zone) -> Option<String> {
        self.use_up(a_visitor, zone);
        if self.was_cleaned(zone) && self.level > 75.0 && self.dice.chance(0.8) {
            self.level = 0.0;
        }
        // The sensor looks from above, at what is left.
        Some(supply(self.level, 0.85 * self.level))
    }

    /// Fills up with use. A cleaner empties it if it is half full, and every evening.
    fn fill_up(&mut self, zone: &Zone, now: &ZonedDateTime) -> Option<String> {
        self.use_up(0.7, zone);
        if self.was_cleaned(zone) && (self.level > 50.0 || now.hour() >= 20) {
            self.level = 0.0;
        }
        // The sensor looks down into the space that is free.
        Some(supply(self.level, 100.0 - self.level))
    }

    fn use_up(&mut self, a_visitor: f64, zone: &Zone) {
        let used: f64 = (0..self.came(zone)).map(|_| a_visitor * self.dice.between(0.3, 1.7)).sum();
        self.level = (self.level + used).min(100.0);
    }

    fn watch_floor(&mut self, zone: &Zone, now: &ZonedDateTime) -> Option<String> {
        let now_ms = now.timestamp().as_millisecond();
        let (came, was_cleaned, was_wet) = (self.came(zone), self.was_cleaned(zone), self.until_ms > 0);
        if was_wet && (was_cleaned || now_ms >= self.until_ms) {
            self.until_ms = 0;
        } else if was_wet {
            self.level *= 0.97;
        } else if self.dice.any(came, 1.0 / VISITORS_A_SPILL) {
            self.level = self.dice.between(1.0, 18.0);
            self.until_ms = now_ms + self.dice.minutes(10.0, 90.0);
        }
        let is_wet = self.until_ms > 0;
        let heartbeat = if is_wet { WET_HEARTBEAT } else { FLOOR_HEARTBEAT };
        let area = if is_wet { self.level } else { 0.0 };
        self.is_report_due(is_wet != was_wet, heartbeat, now_ms)
            .then(|| format!(r#"{{"value":{},"AreaP":{area:.1}}}"#, u8::from(is_wet)))
    }

    /// Whether a cubicle or a table is taken: 1 or 0, if that is to be reported.
    fn watch_place(&mut self, zone: &Zone, now: &ZonedDateTime) -> Option<u8> {
        let now_ms = now.timestamp().as_millisecond();
        let (came, was_taken) = (self.came(zone), self.until_ms > 0);
        let is_taken = match zone.people {
            People::Meetings => zone.inside > 0,
            _ if was_taken => now_ms < self.until_ms,
            _ => self.dice.any(came, 1.0 / VISITORS_A_CUBICLE),
        };
        if is_taken != was_taken {
            self.until_ms = if is_taken { now_ms + self.dice.minutes(2.0, 11.0) } else { 0 };
        }
        self.is_report_due(is_taken != was_taken, PLACE_HEARTBEAT, now_ms).then_some(u8::from(is_taken))
    }

    /// Gases in ppm, each with its expected value and how unusual it is.
    fn smell(&mut self, zone: &Zone, _: &ZonedDateTime) -> Option<String> {
        let mut values = format!(r#"{{"rssi":"{:.0}""#, self.dice.normal(-68.0, 3.0));
        for (name, usual, deviation, follows_smell) in GASES {
            let expected = usual * (1.0 + 0.08 * self.bias.clamp(-2.0, 2.0));
            let unusual = follows_smell * (zone.smell - USUAL_SMELL) + self.dice.normal(0.0, 0.4);
            let found = (expected + unusual * deviation).max(0.0);
            values += &format!(r#","{name}_expected":{expected:.6},"{name}_zscore":{unusual:.6},"{name}":{found:.6}"#);
        }
        Some(values + "}")
    }

    fn measure(&mut self, members: &[Member], zone: &Zone, now: &ZonedDateTime) -> Option<String> {
        let (busy, people) = (busyness(now), f64::from(zone.inside));
        let bias = self.bias.clamp(-2.0, 2.0);
        let values = members.iter().map(|member| {
            let follows =
                member.smell * zone.smell + member.busy * busy + member.person * people + member.breath * zone.breath;
            let differs = member.spread * bias + self.dice.normal(0.0, member.noise);
            let value = (member.rest + follows + differs).clamp(0.0, member.most);
            format!(r#""{}":{value:.*}"#, member.name, member.digits)
        });
        Some(format!("{{{}}}", values.collect::<Vec<_>>().join(",")))
    }

    /// Angles in degrees. Most trees never lean while we look.
    fn stand(&mut self, _: &Zone, now: &ZonedDateTime) -> Option<String> {
        let now_ms = now.timestamp().as_millisecond();
        if self.until_ms == 0 {
            self.until_ms = now_ms + self.dice.minutes(0.0, 2.0 * DAYS_A_LEAN * 1440.0);
            self.level = 0.0;
        }
        if now_ms >= self.until_ms && self.level < 14.0 {
            self.level += self.dice.between(0.5, 3.0);
        }
        // Wind, more by day.
        let wind = if (9..19).contains(&now.hour()) { 0.35 } else { 0.15 };
        let [x, y, z] = [-87.5 + self.level, -2.0 - 0.4 * self.level, 1.4]
            .map(|angle| angle + self.bias + self.dice.normal(0.0, wind));
        let battery = 100.0 * self.charge(now);
        Some(format!(r#"{{"Tb":"none","Xt":{x:.2},"Yt":{y:.2},"Zt":{z:.2},"v":{battery:.0}}}"#))
    }
}

/// What the sensor of a dispenser or a bin reports, of which so many per cent are used, and that looks so many per cent of its
/// depth far.
fn supply(used: f64, seen: f64) -> String {
    format!(r#"{{"p":{:.0},"d":{:.0}}}"#, 100.0 - used, seen * DEPTH / 100.0)
}

/// 1, the best, to 5, by how bad it smells.
fn rating(smell: f64, dice: &mut Dice) -> usize {
    let felt = dice.normal(1.4 + 2.5 * smell, 0.7).clamp(1.0, 5.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 5")]
    let rating = felt.round() as usize;
    rating
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_is_worse_when_it_smells() {
        let bad = |smell| {
            let mut dice = Dice::new(1, &[]);
            (0..1000).filter(|_| rating(smell, &mut dice) >= 4).count()
        };
        assert!(bad(0.1) < 20, "{}", bad(0.1));
        assert!(bad(1.2) > 500, "{}", bad(1.2));
    }

    #[test]
    fn a_battery_only_falls_until_it_is_replaced() {
        let now: ZonedDateTime = "2026-10-05T00:00[Asia/Singapore]".parse().unwrap();
        let zone = Zone::new(1, (0, "House"), "Garden".to_owned(), People::None, 0);
        let device = Device::new(1, &TILT, "Tree", (0, &zone), ["", "", "Asia/Singapore"]);
        let charges: Vec<_> =
            (1..1000).map(|day| device.charge(&(&now + jiff::SignedDuration::from_hours(24 * day)))).collect();
        let rises = charges.windows(2).filter(|pair| pair[1] > pair[0]).count();
        assert!((1..=4).contains(&rises), "{rises}");
        assert!(charges.iter().all(|charge| (REPLACED_AT..=1.0).contains(charge)));
    }
}
