//! The zones of each level of a building, and their devices.

use super::device::{
    AIR, AIR_LITE, AIR_TEN_IN_ONE, BIN, CLIMATE, COUNTER, CUBICLE_MINEW, CUBICLE_SCM, DESK, DeviceModel, FEEDBACK,
    PAPER_TOWEL, SOAP, SPILL, TILT, TOILET_ROLL, USAGE,
};
use super::zone::People;

/// A zone: its name, its people, its devices.
pub(super) type ZonePlan = (&'static str, People, &'static [DevicePlan]);

/// A device: its model and its name.
pub(super) type DevicePlan = (&'static DeviceModel, &'static str);

/// The zones of a level. The first sixteen devices of a site are of all sixteen types.
pub(super) static LEVEL: [ZonePlan; 5] = [
    (
        "Male Washroom",
        People::Visitors(12.0),
        &[
            (&AIR_LITE, "Ammonia"),
            (&USAGE, "Usage"),
            (&SOAP, "Soap"),
            (&TOILET_ROLL, "Toilet Roll"),
            (&PAPER_TOWEL, "Paper Towel"),
            (&BIN, "Bin"),
            (&FEEDBACK, "Feedback"),
            (&SPILL, "Floor"),
            (&CUBICLE_MINEW, "Cubicle 1"),
        ],
    ),
    ("Sky Garden", People::None, &[(&TILT, "Rain Tree")]),
    ("Meeting Room", People::Meetings, &[(&AIR_TEN_IN_ONE, "Air"), (&DESK, "Table"), (&CLIMATE, "Climate")]),
    (
        "Female Washroom",
        People::Visitors(12.0),
        &[
            (&AIR, "Air"),
            (&COUNTER, "Door"),
            (&CUBICLE_SCM, "Cubicle 1"),
            (&TOILET_ROLL, "Toilet Roll 1"),
            (&SOAP, "Soap"),
            (&PAPER_TOWEL, "Paper Towel"),
            (&BIN, "Bin"),
            (&AIR_LITE, "Ammonia"),
            (&FEEDBACK, "Feedback"),
        ],
    ),
    ("Lift Lobby", People::Visitors(17.0), &[(&COUNTER, "Entrance"), (&CLIMATE, "Climate"), (&BIN, "Bin")]),
];

/// Levels of a building.
pub(super) const LEVELS: usize = 5;

const BUILDINGS: [&str; 6] =
    ["Harbour House", "Orchard Court", "Jalan Besar Centre", "Marina Exchange", "Tampines Hub", "Bukit Plaza"];

/// The name of a building by its number, from 0.
pub(super) fn building_name(number: usize) -> String {
    let (name, round) = (BUILDINGS[number % BUILDINGS.len()], number / BUILDINGS.len());
    if round == 0 { name.to_owned() } else { format!("{name} {}", 1 + round) }
}
