//! A simulated building: its zones, their devices and the types of these, as `building.toml` has them.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Levels of a building.
pub(super) const LEVELS: usize = 5;

/// The building of `building.toml`.
#[expect(clippy::panic, reason = "the file is part of the program, and tests read it")]
pub(super) static BUILDING: LazyLock<Building> = LazyLock::new(|| {
    toml::from_str(include_str!("building.toml")).unwrap_or_else(|error| panic!("building.toml: {error}"))
});

/// The content of `building.toml`.
#[derive(Debug, Deserialize)]
pub(super) struct Building {
    /// The zones of each level.
    #[serde(rename = "zone")]
    pub(super) zones: Vec<ZoneModel>,
    /// The vendor's examples of readings as templates: a format of `strftime`, with other values as `<name>`.
    pub(super) envelopes: HashMap<String, String>,
    /// The cleaner of a zone.
    pub(super) cleaner: DeviceModel,
    /// All types of devices.
    #[serde(rename = "model")]
    pub(super) models: Vec<DeviceModel>,
}

/// A zone of each level.
#[derive(Debug, Deserialize)]
pub(super) struct ZoneModel {
    pub(super) name: String,
    /// Visitors in the busiest hour.
    pub(super) visitors_an_hour: f64,
    /// Minutes that they stay.
    pub(super) stay_minutes: f64,
    /// The type and the name of each device.
    pub(super) devices: Vec<(String, String)>,
}

/// A type of device, or a cleaner.
#[derive(Debug, Deserialize)]
pub(super) struct DeviceModel {
    /// `DevType` on the wire.
    #[serde(rename = "type")]
    pub(super) type_name: String,
    /// The name of its envelope.
    pub(super) envelope: String,
    /// Minutes between two measurements.
    pub(super) minutes: f64,
    /// The members of `v`.
    #[serde(default)]
    pub(super) members: Vec<Member>,
    /// The part of visitors who make it report; `None` if it reports each measurement.
    pub(super) reporters: Option<f64>,
    #[serde(default)]
    pub(super) wear: Wear,
}

/// A member of `v`: its name, its format, its value in an empty and clean zone, and what each driver adds.
pub(super) type Member = (String, Format, f64, Vec<(Driver, f64)>);

/// The format of a value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// A number with so many digits after the point.
    Digits(usize),
    /// A whole number as a string.
    Quoted,
    /// The JSON text at this index, or the nearest one.
    OneOf(Vec<String>),
}

/// A quantity of a device or its zone that values depend on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Driver {
    /// The smell of the zone. At 1, somebody complains.
    Smell,
    /// The part of the visitors of the busiest hour, 0 to 1.
    Busyness,
    /// People in the zone.
    People,
    /// 1 if there is anybody in the zone.
    Occupied,
    /// People who came since the last measurement.
    Came,
    /// People who left since the last measurement.
    Left,
    /// Used per cent of a dispenser or a bin, wet per cent of a floor.
    Level,
    /// 1 if the level is not 0.
    Wet,
    /// The charge of the battery, 0 to 1.
    Charge,
    /// The difference between devices and between readings, 0 on average.
    Noise,
}

/// What visitors use up, fill or spill.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Wear {
    /// The part of visitors who do.
    pub(super) part: f64,
    /// What one of them adds to the level on average, in per cent.
    pub(super) each: f64,
    /// The level above which a cleaner resets it to 0.
    pub(super) reset_above: f64,
}
