//! The documented device types, with the metrics of each, their names on the wire and their units.
//!
//! The table follows the vendor's documentation (sensor data pages, newest version 2024-02). Here a metric has one name, one unit
//! and one meaning, however a device spells it.

use std::ops::RangeInclusive;

use Unit::{
    Celsius, DecibelMilliwatt, Degree, Flag, Hectopascal, MicrogramsPerCubicMetre, MilligramsPerCubicMetre, Millimetre,
    Millivolt, One, Percent, Ppb, Ppm,
};
use serde::{Deserialize, Serialize};

/// The prefix of SmartClean's device types. `SMARTCLEAN#UM` and `UM` are the same type.
const PROVIDER: &str = "SMARTCLEAN#";

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// None: a count, a score, an index.
    One,
    /// Yes or no: 1 or 0. The label of the metric is the meaning of yes.
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
    /// The symbol; empty for numbers without a unit and for flags.
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

    /// The symbol in the GSM-7 alphabet. Other characters make an SMS more expensive.
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

/// How a metric is encoded on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WireEncoding {
    /// The value.
    Plain,
    /// The value in tenths: 304 is 30.4.
    Tenths,
    /// 0 for yes and 1 for no.
    Inverted,
}

/// One metric of a device type.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// The name in rules.
    pub key: &'static str,
    /// The name for people, in lower case: "ammonia", "free space".
    pub label: &'static str,
    /// The unit of its value.
    pub unit: Unit,
    /// The range of the sensor. Other values are sensor errors: they are stored and not compared with limits.
    pub plausible: RangeInclusive<f64>,
    /// Whether it is of the device itself, such as its battery, and not of the room: no cleaning changes it.
    pub is_of_device: bool,
    /// The names on the wire, the first that is present counts; empty for the key.
    wire: &'static [&'static str],
    encoding: WireEncoding,
}

impl Metric {
    /// The value of a number on the wire.
    #[must_use]
    pub fn value(&self, sent: f64) -> f64 {
        match self.encoding {
            WireEncoding::Plain => sent,
            // Not a multiplication: 304 × 0.1 is 30.400000000000002.
            WireEncoding::Tenths => sent / 10.0,
            WireEncoding::Inverted => 1.0 - sent,
        }
    }

    /// The names on the wire, the first that is present counts.
    #[must_use]
    pub fn sent_as(&self) -> &[&'static str] {
        if self.wire.is_empty() { std::slice::from_ref(&self.key) } else { self.wire }
    }
}

/// A documented device type.
#[derive(Debug, PartialEq)]
pub struct DeviceType {
    /// The vendor's short name, without provider: `UM`.
    pub name: &'static str,
    /// The name for people, in lower case.
    pub title: &'static str,
    /// The metrics.
    pub metrics: &'static [Metric],
}

impl DeviceType {
    /// The documented type with this short name (`UM`).
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        DEVICE_TYPES.iter().find(|device_type| device_type.name == name)
    }

    /// The metric with this key.
    #[must_use]
    pub fn metric(&self, key: &str) -> Option<&'static Metric> {
        self.metrics.iter().find(|metric| metric.key == key)
    }
}

/// The short name of a device type: without the provider for SmartClean's types. Types of other providers keep it, so that
/// `ACME#BIN` is not taken for SmartClean's `BIN`.
///
/// # Examples
/// ```
/// use domain::device::short_name;
/// assert_eq!(short_name("SMARTCLEAN#UM"), "UM");
/// assert_eq!(short_name("ODRDTR"), "ODRDTR");
/// assert_eq!(short_name("ACME#BIN"), "ACME#BIN");
/// ```
#[must_use]
pub fn short_name(device_type: &str) -> &str {
    let trimmed = device_type.trim();
    trimmed.strip_prefix(PROVIDER).unwrap_or(trimmed)
}

const fn device(name: &'static str, title: &'static str, metrics: &'static [Metric]) -> DeviceType {
    DeviceType { name, title, metrics }
}

const fn metric(key: &'static str, label: &'static str, unit: Unit, plausible: RangeInclusive<f64>) -> Metric {
    Metric { key, label, unit, plausible, is_of_device: false, wire: &[], encoding: WireEncoding::Plain }
}

const fn of_device(metric: Metric) -> Metric {
    Metric { is_of_device: true, ..metric }
}

const fn spelled(wire: &'static [&'static str], metric: Metric) -> Metric {
    Metric { wire, ..metric }
}

const fn tenths(metric: Metric) -> Metric {
    Metric { encoding: WireEncoding::Tenths, ..metric }
}

// Ranges of sensors, in the metric's unit: those of several metrics here, others in the table. They find values that mean "no value",
// such as -1, 255 and 65,535. They are wide, so that they hide nothing that happens in a room. The source of each is the vendor's
// pages, a data sheet, or a physical bound. The vendor does not name its sensors, so a data sheet is of a similar one. "Own choice"
// has no source.

/// Yes or no. Vendor: 0 or 1.
const FLAG: RangeInclusive<f64> = 0.0..=1.0;
/// Per cent of a whole. Physical bound.
const PERCENT: RangeInclusive<f64> = 0.0..=100.0;
/// Entries or exits since the last report. Own choice: more than a day at one door, less than the 65,535 of a 16-bit counter.
const PEOPLE: RangeInclusive<f64> = 0.0..=50_000.0;
/// Millivolts of a battery. Own choice: nearly empty for any radio, and above four fresh 1.5 V cells.
const BATTERY: RangeInclusive<f64> = 1_000.0..=7_000.0;
/// Ammonia and alcohol in ppm. Data sheet of the SGX MiCS-6814 (1143 rev. 8): ammonia 1 to 500 ppm, ethanol 10 to 500 ppm.
const GAS: RangeInclusive<f64> = 0.0..=500.0;
/// A forecast of a gas, as far as [`GAS`]. Own choice: it may fall below nothing.
const GAS_FORECAST: RangeInclusive<f64> = -500.0..=500.0;
/// A z-score. Own choice: that of one of n values is at most (n − 1)/√n, and 1,000 needs two years of values a minute apart.
const Z_SCORE: RangeInclusive<f64> = -1_000.0..=1_000.0;
/// Temperature in °C. Data sheet of the Sensirion SHT4x (version 1): -40 to 125 °C.
const TEMPERATURE: RangeInclusive<f64> = -40.0..=125.0;
/// Degrees of angle, either sign. Physical bound: half a circle each way.
const ANGLE: RangeInclusive<f64> = -180.0..=180.0;
/// Dust in µg/m³. Own choice: five times the 1,000 µg/m³ of the Sensirion SPS30's data sheet, because smoke is worse.
const PARTICLES: RangeInclusive<f64> = 0.0..=5_000.0;

/// Occupancy, which OCCDESK sends as 1 = occupied and the cubicle sensors as 0 = occupied.
const OCCUPIED: Metric = spelled(&["occ"], metric("occupied", "occupied", Flag, FLAG));
const OCCUPIED_AS_ZERO: Metric = Metric { encoding: WireEncoding::Inverted, ..OCCUPIED };
const BATTERY_PERCENT: Metric = of_device(metric("batt", "battery", Percent, PERCENT));
/// Signal strength. Above: physical bound, 0 dBm is the power of a transmitter. Below: data sheet of the Semtech SX1276 (rev. 7),
/// sensitivity down to -148 dBm.
const SIGNAL: Metric = of_device(metric("rssi", "signal strength", DecibelMilliwatt, -150.0..=0.0));
/// The distance in a dispenser or a bin. Own choice: above the 4 m of ultrasonic sensors (HC-SR04).
const DISTANCE: Metric = metric("d", "distance", Millimetre, 0.0..=4_500.0);

/// Every documented type, in the vendor's order.
pub static DEVICE_TYPES: [DeviceType; 16] = [
    device(
        "UM",
        "people counter",
        &[metric("count", "entries", One, PEOPLE), of_device(metric("b", "battery", Millivolt, BATTERY))],
    ),
    device(
        "PPLCTR",
        "directional people counter",
        &[metric("count", "entries", One, PEOPLE), metric("out_count", "exits", One, PEOPLE)],
    ),
    device(
        "FD",
        "feedback tablet",
        &[
            // Vendor: 1 best to 5 worst; stars the other way round, and none where nobody chose any (own choice).
            metric("rating", "rating", One, 1.0..=5.0),
            metric("s", "stars", One, 0.0..=5.0),
            metric("n", "negative feedback", Flag, FLAG),
        ],
    ),
    device("TR", "toilet roll sensor", &[metric("p", "toilet paper left", Percent, PERCENT), DISTANCE]),
    device("PT", "paper towel sensor", &[metric("p", "paper towels left", Percent, PERCENT), DISTANCE]),
    device("SS", "soap sensor", &[metric("p", "soap left", Percent, PERCENT), DISTANCE]),
    device("BIN", "bin sensor", &[metric("p", "free space", Percent, PERCENT), DISTANCE]),
    device(
        "WD",
        "spill detector",
        &[metric("value", "spill", Flag, FLAG), metric("AreaP", "wet area", Percent, PERCENT)],
    ),
    device(
        "ODRDTR",
        "air quality sensor",
        &[
            metric("amm", "ammonia", Ppm, GAS),
            metric("amm_zscore", "unusual ammonia, z-score", One, Z_SCORE),
            metric("amm_expected", "expected ammonia", Ppm, GAS_FORECAST),
            metric("alc", "alcohol vapour", Ppm, GAS),
            metric("alc_zscore", "unusual alcohol vapour, z-score", One, Z_SCORE),
            metric("alc_expected", "expected alcohol vapour", Ppm, GAS_FORECAST),
            // Data sheet of the SGX MiCS-6814 (1143 rev. 8): 0.05 to 10 ppm.
            metric("no2", "nitrogen dioxide", Ppm, 0.0..=10.0),
            metric("no2_zscore", "unusual nitrogen dioxide, z-score", One, Z_SCORE),
            // As far as nitrogen dioxide. Own choice: a forecast may fall below nothing.
            metric("no2_expected", "expected nitrogen dioxide", Ppm, -10.0..=10.0),
            SIGNAL,
        ],
    ),
    device(
        "ODRDTR_BATT_V1",
        "air quality sensor lite",
        &[
            // Own choice: 50 ppm, at which nobody stays in a room.
            metric("amm", "ammonia", Ppb, 0.0..=50_000.0),
            // Vendor: 1 to 500; Bosch's software for the BME680, which makes it, begins at 0.
            metric("aqi", "air quality index", One, 0.0..=500.0),
            tenths(metric("rh", "humidity", Percent, PERCENT)),
            // Own choice: the range in which a Bosch BME680 works; not checked with its data sheet.
            tenths(metric("temp", "temperature", Celsius, -40.0..=85.0)),
        ],
    ),
    device(
        "ODRDTR_10_IN_1",
        "air quality sensor 10-in-1",
        &[
            // Data sheet of the Sensirion SCD30 (version 1.0): 0 to 40,000 ppm.
            metric("co2", "carbon dioxide", Ppm, 0.0..=40_000.0),
            // Own choice: 10 ppm, a hundred times what is allowed in a room.
            metric("hcho", "formaldehyde", MilligramsPerCubicMetre, 0.0..=12.0),
            // Sensirion SGP30: up to 60,000 ppb, of isobutylene 138 mg/m³.
            metric("tvoc", "volatile organic compounds", MilligramsPerCubicMetre, 0.0..=138.0),
            spelled(&["pm_2.5", "pm_25"], metric("pm_2.5", "fine dust PM2.5", MicrogramsPerCubicMetre, PARTICLES)),
            metric("pm_10", "dust PM10", MicrogramsPerCubicMetre, PARTICLES),
            // ST LPS22HB: 260 to 1,260 hPa.
            metric("pressure", "air pressure", Hectopascal, 260.0..=1_260.0),
            metric("temperature", "temperature", Celsius, TEMPERATURE),
            metric("humidity", "humidity", Percent, PERCENT),
            // Levels from 0. Own choice: the vendor documents levels up to 3, and the device may have two more.
            metric("light_level", "light level", One, 0.0..=5.0),
            metric("pir_trigger", "motion", Flag, FLAG),
        ],
    ),
    device("OCCMINEW", "cubicle occupancy sensor", &[OCCUPIED_AS_ZERO, BATTERY_PERCENT, SIGNAL]),
    device("OCCSCM", "cubicle occupancy sensor", &[OCCUPIED_AS_ZERO, BATTERY_PERCENT, SIGNAL]),
    device("OCCDESK", "desk occupancy sensor", &[OCCUPIED, BATTERY_PERCENT, SIGNAL]),
    device(
        "TILT",
        "tree tilt sensor",
        &[
            metric("Xt", "tilt on X", Degree, ANGLE),
            metric("Yt", "tilt on Y", Degree, ANGLE),
            metric("Zt", "tilt on Z", Degree, ANGLE),
            of_device(metric("v", "battery", Percent, PERCENT)),
        ],
    ),
    device(
        "TH",
        "temperature and humidity sensor",
        &[metric("t", "temperature", Celsius, TEMPERATURE), metric("h", "humidity", Percent, PERCENT)],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_has_different_units_in_different_types() {
        let unit = |device_type, key| DeviceType::named(device_type).unwrap().metric(key).unwrap().unit;
        assert_eq!(unit("ODRDTR", "amm"), Unit::Ppm);
        assert_eq!(unit("ODRDTR_BATT_V1", "amm"), Unit::Ppb);
        assert_eq!(unit("TILT", "v"), Unit::Percent);
        assert_eq!(unit("UM", "b"), Unit::Millivolt);
    }

    #[test]
    fn a_key_is_of_the_device_in_all_types_or_in_none() {
        let all = || DEVICE_TYPES.iter().flat_map(|of| of.metrics);
        let of_device: std::collections::BTreeSet<_> =
            all().filter(|metric| metric.is_of_device).map(|metric| metric.key).collect();
        assert_eq!(Vec::from_iter(&of_device), [&"b", &"batt", &"rssi", &"v"]);
        assert!(all().all(|metric| metric.is_of_device == of_device.contains(metric.key)));
    }

    #[test]
    fn a_type_of_another_provider_is_not_documented() {
        assert!(DeviceType::named(short_name("ACME#BIN")).is_none());
        assert!(DeviceType::named(short_name("SMARTCLEAN#BIN")).is_some());
        assert!(DeviceType::named(short_name(" BIN ")).is_some());
        assert!(DeviceType::named(short_name("bin")).is_none());
    }

    #[test]
    fn no_range_contains_a_value_that_means_no_value() {
        for (device_type, metric) in
            DEVICE_TYPES.iter().flat_map(|of| of.metrics.iter().map(move |metric| (of, metric)))
        {
            let (least, most) = (*metric.plausible.start(), *metric.plausible.end());
            assert!(least < most, "{} {}", device_type.name, metric.key);
            assert!(!metric.plausible.contains(&65_535.0), "{} {}", device_type.name, metric.key);
            let below_zero = matches!(metric.unit, Unit::Celsius | Unit::Degree | Unit::DecibelMilliwatt)
                || metric.key.ends_with("_zscore")
                || metric.key.ends_with("_expected");
            assert_eq!(metric.plausible.contains(&-1.0), below_zero, "{} {}", device_type.name, metric.key);
        }
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
