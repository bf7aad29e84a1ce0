//! The plan of a site: which zones a level of a building has, and which devices are in them.

use super::device::{
    AIR, AIR_LITE, AIR_TEN_IN_ONE, BIN, CLIMATE, COUNTER, CUBICLE_MINEW, CUBICLE_SCM, DESK, FEEDBACK, Model,
    PAPER_TOWEL, SOAP, SPILL, TILT, TOILET_ROLL, USAGE,
};
use super::zone::People;

/// A zone: its name after the level's, who comes, and its devices.
pub(super) type ZonePlan = (&'static str, People, &'static [DevicePlan]);

/// A device: its type, and its name after the zone's.
pub(super) type DevicePlan = (&'static Model, &'static str);

/// The zones of a level. The first sixteen devices of a site are of sixteen types, so that a small one shows all of them.
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

/// The name of the building of that number, from 0.
pub(super) fn building_name(number: usize) -> String {
    let (name, round) = (BUILDINGS[number % BUILDINGS.len()], number / BUILDINGS.len());
    if round == 0 { name.to_owned() } else { format!("{name} {}", 1 + round) }
}
