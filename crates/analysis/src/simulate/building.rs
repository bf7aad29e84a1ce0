//! The zones of each level of a building, and their devices.

/// The zones: name, visitors in the busiest hour, minutes that they stay.
pub(super) const ZONES: [(&str, f64, f64); 5] = [
    ("Male Washroom", 10.8, 5.0),
    ("Sky Garden", 2.0, 20.0),
    ("Meeting Room", 5.5, 40.0),
    ("Female Washroom", 10.8, 5.0),
    ("Lift Lobby", 14.6, 3.0),
];

/// The devices: index of the zone, type, name. The first sixteen are of all sixteen types.
pub(super) const DEVICES: [(usize, &str, &str); 25] = [
    (0, "ODRDTR_BATT_V1", "Ammonia"),
    (0, "UM", "Usage"),
    (0, "SS", "Soap"),
    (0, "TR", "Toilet Roll"),
    (0, "PT", "Paper Towel"),
    (0, "BIN", "Bin"),
    (0, "FD", "Feedback"),
    (0, "WD", "Floor"),
    (0, "OCCMINEW", "Cubicle 1"),
    (1, "TILT", "Rain Tree"),
    (2, "ODRDTR_10_IN_1", "Air"),
    (2, "OCCDESK", "Table"),
    (2, "TH", "Climate"),
    (3, "ODRDTR", "Air"),
    (3, "PPLCTR", "Door"),
    (3, "OCCSCM", "Cubicle 1"),
    (3, "TR", "Toilet Roll 1"),
    (3, "SS", "Soap"),
    (3, "PT", "Paper Towel"),
    (3, "BIN", "Bin"),
    (3, "ODRDTR_BATT_V1", "Ammonia"),
    (3, "FD", "Feedback"),
    (4, "PPLCTR", "Entrance"),
    (4, "TH", "Climate"),
    (4, "BIN", "Bin"),
];

/// Levels of a building.
pub(super) const LEVELS: usize = 5;
