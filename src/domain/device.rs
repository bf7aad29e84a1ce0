//! The device types that SmartClean documents: which metrics each reports, under which names, and in which unit.
//!
//! The table is the vendor's own documentation (sensor data pages, newest version 2024-02) with its traps undone:
//! a metric has one name, one unit and one meaning here, however the type spells it on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The provider whose types are known here. `SMARTCLEAN#UM` and the bare `UM` are the same type.
const PROVIDER: &str = "SMARTCLEAN#";

/// What a number is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A plain number: a count, a score, an index.
    One,
    /// Yes or no: 1 or 0. Its metric's label says what "yes" is.
    Flag,
    /// Per cent.
    Percent,
    /// Parts per million.
    Ppm,
    /// Parts per billion.
    Ppb,
    /// Milligrams per cubic metre.
    MilligramsPerCubicMetre,
    /// Micrograms per cubic metre.
    MicrogramsPerCubicMetre,
    /// Degrees Celsius.
    Celsius,
    /// Hectopascals.
    Hectopascal,
    /// Millivolts.
    Millivolt,
    /// Millimetres.
    Millimetre,
    /// Degrees of angle.
    Degree,
    /// Decibels relative to one milliwatt.
    DecibelMilliwatt,
}

impl Unit {
    /// The usual symbol, empty for plain numbers and flags.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::One | Self::Flag => "",
            Self::Percent => "%",
            Self::Ppm => "ppm",
            Self::Ppb => "ppb",
            Self::MilligramsPerCubicMetre => "mg/m³",
            Self::MicrogramsPerCubicMetre => "µg/m³",
            Self::Celsius => "°C",
            Self::Hectopascal => "hPa",
            Self::Millivolt => "mV",
            Self::Millimetre => "mm",
            Self::Degree => "°",
            Self::DecibelMilliwatt => "dBm",
        }
    }

    /// The symbol in letters that the GSM-7 alphabet has, so that a unit alone never makes a text message dearer.
    #[must_use]
    pub fn gsm_symbol(self) -> &'static str {
        match self {
            Self::MilligramsPerCubicMetre => "mg/m3",
            Self::MicrogramsPerCubicMetre => "ug/m3",
            Self::Celsius => "C",
            Self::Degree => "deg",
            other => other.symbol(),
        }
    }
}

/// How a number on the wire becomes the metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As it is sent.
    Plain,
    /// Sent in tenths: 304 is 30.4.
    Tenths,
    /// Sent as 0 for yes and 1 for no.
    Inverted,
}

/// One metric of a device type.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name that rules use.
    pub key: &'static str,
    /// What a person calls it, with small letters: "ammonia", "free space".
    pub label: &'static str,
    /// What its value is counted in.
    pub unit: Unit,
    /// Names on the wire, the first present one counts.
    pub(super) wire: &'static [&'static str],
    form: Form,
}

impl Metric {
    /// The metric's value from the number on the wire.
    #[must_use]
    pub fn value(&self, sent: f64) -> f64 {
        match self.form {
            Form::Plain => sent,
            // A division, because 304 × 0.1 is 30.400000000000002.
            Form::Tenths => sent / 10.0,
            Form::Inverted => 1.0 - sent,
        }
    }
}

/// A documented device type.
#[derive(PartialEq, Eq)]
pub struct DeviceType {
    /// The vendor's short name, without provider: `UM`.
    pub name: &'static str,
    /// What a person calls such a device, with small letters.
    pub title: &'static str,
    /// Its metrics.
    pub metrics: &'static [Metric],
}

impl fmt::Debug for DeviceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl DeviceType {
    /// The documented type of that name (`UM`, without provider).
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        DEVICE_TYPES.iter().find(|device_type| device_type.name == name)
    }

    /// The metric of that key.
    #[must_use]
    pub fn metric(&self, key: &str) -> Option<&'static Metric> {
        self.metrics.iter().find(|metric| metric.key == key)
    }
}

/// The name of a type as rules and stores know it: SmartClean's own without the provider, others with it, so that
/// `ACME#BIN`, of which nothing is known, is never judged by what SmartClean's `BIN` means.
///
/// ```
/// use smartclean_push::domain::device::short_name;
/// assert_eq!(short_name("SMARTCLEAN#UM"), "UM");
/// assert_eq!(short_name("ODRDTR"), "ODRDTR");
/// assert_eq!(short_name("ACME#BIN"), "ACME#BIN");
/// ```
#[must_use]
pub fn short_name(device_type: &str) -> &str {
    let trimmed = device_type.trim();
    trimmed.strip_prefix(PROVIDER).unwrap_or(trimmed)
}

const fn metric(key: &'static str, label: &'static str, unit: Unit) -> Metric {
    Metric { key, label, unit, wire: &[], form: Form::Plain }
}

const fn spelled(wire: &'static [&'static str], metric: Metric) -> Metric {
    Metric { wire, ..metric }
}

const fn tenths(metric: Metric) -> Metric {
    Metric { form: Form::Tenths, ..metric }
}

/// Occupancy, which OCCDESK sends as 1 = occupied and the cubicle sensors as 0 = occupied.
const OCCUPIED: Metric = spelled(&["occ"], metric("occupied", "occupied", Unit::Flag));
const OCCUPIED_AS_ZERO: Metric = Metric { form: Form::Inverted, ..OCCUPIED };
const BATTERY_PERCENT: Metric = metric("batt", "battery", Unit::Percent);
const SIGNAL: Metric = metric("rssi", "signal strength", Unit::DecibelMilliwatt);
const DISTANCE: Metric = metric("d", "distance", Unit::Millimetre);

/// Every documented type. Order: as the vendor lists them.
pub static DEVICE_TYPES: [DeviceType; 16] = [
    DeviceType {
        name: "UM",
        title: "people counter",
        metrics: &[metric("count", "entries", Unit::One), metric("b", "battery", Unit::Millivolt)],
    },
    DeviceType {
        name: "PPLCTR",
        title: "directional people counter",
        metrics: &[metric("count", "entries", Unit::One), metric("out_count", "exits", Unit::One)],
    },
    DeviceType {
        name: "FD",
        title: "feedback tablet",
        metrics: &[
            metric("rating", "rating", Unit::One),
            metric("s", "stars", Unit::One),
            metric("n", "negative feedback", Unit::Flag),
        ],
    },
    DeviceType {
        name: "TR",
        title: "toilet roll sensor",
        metrics: &[metric("p", "toilet paper left", Unit::Percent), DISTANCE],
    },
    DeviceType {
        name: "PT",
        title: "paper towel sensor",
        metrics: &[metric("p", "paper towels left", Unit::Percent), DISTANCE],
    },
    DeviceType { name: "SS", title: "soap sensor", metrics: &[metric("p", "soap left", Unit::Percent), DISTANCE] },
    DeviceType { name: "BIN", title: "bin sensor", metrics: &[metric("p", "free space", Unit::Percent), DISTANCE] },
    DeviceType {
        name: "WD",
        title: "spill detector",
        metrics: &[metric("value", "spill", Unit::Flag), metric("AreaP", "wet area", Unit::Percent)],
    },
    DeviceType {
        name: "ODRDTR",
        title: "air quality sensor",
        metrics: &[
            metric("amm", "ammonia", Unit::Ppm),
            metric("amm_zscore", "unusual ammonia, z-score", Unit::One),
            metric("amm_expected", "expected ammonia", Unit::Ppm),
            metric("alc", "alcohol vapour", Unit::Ppm),
            metric("alc_zscore", "unusual alcohol vapour, z-score", Unit::One),
            metric("alc_expected", "expected alcohol vapour", Unit::Ppm),
            metric("no2", "nitrogen dioxide", Unit::Ppm),
            metric("no2_zscore", "unusual nitrogen dioxide, z-score", Unit::One),
            metric("no2_expected", "expected nitrogen dioxide", Unit::Ppm),
            SIGNAL,
        ],
    },
    DeviceType {
        name: "ODRDTR_BATT_V1",
        title: "air quality sensor lite",
        metrics: &[
            metric("amm", "ammonia", Unit::Ppb),
            metric("aqi", "air quality index", Unit::One),
            tenths(metric("rh", "humidity", Unit::Percent)),
            tenths(metric("temp", "temperature", Unit::Celsius)),
        ],
    },
    DeviceType {
        name: "ODRDTR_10_IN_1",
        title: "air quality sensor 10-in-1",
        metrics: &[
            metric("co2", "carbon dioxide", Unit::Ppm),
            metric("hcho", "formaldehyde", Unit::MilligramsPerCubicMetre),
            metric("tvoc", "volatile organic compounds", Unit::MilligramsPerCubicMetre),
            spelled(&["pm_2.5", "pm_25"], metric("pm_2.5", "fine dust PM2.5", Unit::MicrogramsPerCubicMetre)),
            metric("pm_10", "dust PM10", Unit::MicrogramsPerCubicMetre),
            metric("pressure", "air pressure", Unit::Hectopascal),
            metric("temperature", "temperature", Unit::Celsius),
            metric("humidity", "humidity", Unit::Percent),
            metric("light_level", "light level", Unit::One),
            metric("pir_trigger", "motion", Unit::Flag),
        ],
    },
    DeviceType {
        name: "OCCMINEW",
        title: "cubicle occupancy sensor",
        metrics: &[OCCUPIED_AS_ZERO, BATTERY_PERCENT, SIGNAL],
    },
    DeviceType {
        name: "OCCSCM",
        title: "cubicle occupancy sensor",
        metrics: &[OCCUPIED_AS_ZERO, BATTERY_PERCENT, SIGNAL],
    },
    DeviceType { name: "OCCDESK", title: "desk occupancy sensor", metrics: &[OCCUPIED, BATTERY_PERCENT, SIGNAL] },
    DeviceType {
        name: "TILT",
        title: "tree tilt sensor",
        metrics: &[
            metric("Xt", "tilt on X", Unit::Degree),
            metric("Yt", "tilt on Y", Unit::Degree),
            metric("Zt", "tilt on Z", Unit::Degree),
            metric("v", "battery", Unit::Percent),
        ],
    },
    DeviceType {
        name: "TH",
        title: "temperature and humidity sensor",
        metrics: &[metric("t", "temperature", Unit::Celsius), metric("h", "humidity", Unit::Percent)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_means_different_things_in_different_types() {
        let unit = |device_type, key| DeviceType::named(device_type).unwrap().metric(key).unwrap().unit;
        assert_eq!(unit("ODRDTR", "amm"), Unit::Ppm);
        assert_eq!(unit("ODRDTR_BATT_V1", "amm"), Unit::Ppb);
        assert_eq!(unit("TILT", "v"), Unit::Percent);
        assert_eq!(unit("UM", "b"), Unit::Millivolt);
    }

    #[test]
    fn another_providers_type_is_not_ours() {
        assert!(DeviceType::named(short_name("ACME#BIN")).is_none());
        assert!(DeviceType::named(short_name("SMARTCLEAN#BIN")).is_some());
        assert!(DeviceType::named(short_name(" BIN ")).is_some());
        assert!(DeviceType::named(short_name("bin")).is_none());
    }

    #[test]
    fn names_and_keys_are_unique() {
        for (index, device_type) in DEVICE_TYPES.iter().enumerate() {
            assert!(DEVICE_TYPES[..index].iter().all(|other| other.name != device_type.name), "{}", device_type.name);
            for (index, metric) in device_type.metrics.iter().enumerate() {
                assert!(device_type.metrics[..index].iter().all(|other| other.key != metric.key), "{}", metric.key);
            }
        }
    }
}
