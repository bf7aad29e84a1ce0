//! The types of devices: their JSON in the vendor's own format, and what their values depend on.

use self::Driver::{Busyness, Came, Charge, Left, Level, Noise, Occupied, People, Smell, Wet};
use self::Format::{Digits, OneOf, Quoted};

/// A type of device, or a cleaner.
#[derive(Debug)]
pub(super) struct DeviceModel {
    /// `DevType` on the wire.
    pub(super) type_name: &'static str,
    /// The vendor's example of a reading as a template: a format of `strftime`, with other values as `<name>`.
    pub(super) envelope: &'static str,
    /// Minutes between two measurements.
    pub(super) minutes: f64,
    /// The members of `v`.
    pub(super) members: &'static [Member],
    /// The part of visitors who make it report; `None` if it reports each measurement.
    pub(super) reporters: Option<f64>,
    pub(super) wear: Wear,
}

/// A member of `v`: its name, its format, its value in an empty and clean zone, and what each driver adds.
pub(super) type Member = (&'static str, Format, f64, &'static [(Driver, f64)]);

/// The format of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    /// A number with so many digits after the point.
    Digits(usize),
    /// A whole number as a string.
    Quoted,
    /// The JSON text at this index, or the nearest one.
    OneOf(&'static [&'static str]),
}

/// A quantity of a device or its zone that values depend on.
#[derive(Clone, Copy, Debug)]
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Wear {
    /// The part of visitors who do.
    pub(super) part: f64,
    /// What one of them adds to the level on average, in per cent.
    pub(super) each: f64,
    /// The level above which a cleaner resets it to 0.
    pub(super) reset_above: f64,
}

/// Types without a subtype. Their `unixT` is in seconds.
const PLAIN: &str = r#"{"t":"%Y%m%d%H%M%S","v":<v>,"unixT":%s,"DEVID":"<device>","Region":"<region>","time":"%Y-%m-%dT%H:%M:%S%z","DevType":"<type>","PID":"<project>","InsID":"<zone>","Display":"<name>","dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M"}"#;
/// Newer types.
const NEWER: &str = r#"{"t":"%Y%m%d%H%M%S","DevType":"<type>","DevSubType":"1","time":"%Y-%m-%dT%H:%M:%S%z","unixT":%s%3f,"Region":"<region>","DEVID":"<device>","v":<v>,"DASSOC":"<physical>","PID":"<project>","PropId":"<property>","InsID":"<zone>","Display":"<name>","utc":%s,"expire_at":<expiry>,"dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M","Type":"","unix":%s}"#;
/// Types with aggregated readings. Members are in alphabetical order.
const AGGREGATED: &str = r#"{"AGG":"%Y%m%d%H%M%S","DASSOC":"<physical>","DEVID":"<device>","DevSubType":"1","DevType":"<type>","Display":"<name>","ID":"<device>","InsID":"<zone>","PID":"<project>","PropId":"<property>","Region":"<region>","Type":null,"dom":"%d","dow":"%w","expire_at":<expiry>,"hour":"%H","minute":"%M","month":"%m","t":"%Y%m%d%H%M%S","time":"%Y-%m-%dT%H:%M:%S%z","unix":%s,"unixT":%s%3f,"utc":%s,"v":<v>}"#;
/// Wired air quality sensors: no property, and the vendor's own thresholds under `stats`.
const WIRED: &str = r#"{"t":"%Y%m%d%H%M%S","DevType":"<type>","DevSubType":"2.9.3","time":"%Y-%m-%dT%H:%M:%S%z","unixT":%s%3f,"Region":"<region>","DEVID":"<device>","v":<v>,"DASSOC":"<physical>","PID":"<project>","InsID":"<zone>","Display":"<name>","stats":{"sg.smartclean.thresholding":{"AMM":{"HEALTH_OP_LOWER":"GE","HEALTH_OP_UPPER":"LT","HEALTH_THRESH_UPPER":0.2,"HEALTH_THRESH_LOWER":0,"HEALTH_STATUS":"INVALID","HEALTH_VALUE":0},"aggregatedModelOutput":false,"aggregatedModelThreshold":3,"aggregatedModelOp":"GE"}},"utc":%s,"expire_at":<expiry>,"dow":"%w","month":"%m","hour":"%H","dom":"%d","minute":"%M"}"#;
/// The Matrix event of a finished cleaning.
const MATRIX: &str = r#"{"RoutingKey":"matrix.<project>.task.closed.medium","Event":"TASK_CLOSED","UnixTimeInt":%s,"Meta":{"Zone":"<zone>","ZoneName":"<zone_name>","Name":"Scheduled cleaning","Status":"CLOSED","Start":<began>,"AStart":<began>,"AEnd":%s,"SourceDeviceIdentifier":""}}"#;

impl DeviceModel {
    const fn new(type_name: &'static str, envelope: &'static str, minutes: f64) -> Self {
        let wear = Wear { part: 0.0, each: 0.0, reset_above: 0.0 };
        Self { type_name, envelope, minutes, members: &[], reporters: None, wear }
    }

    const fn with(self, members: &'static [Member]) -> Self {
        Self { members, ..self }
    }

    /// A model that reports only if visitors come: this part of them makes it report.
    const fn reported_by(self, part: f64) -> Self {
        Self { reporters: Some(part), ..self }
    }

    const fn worn(self, part: f64, each: f64, reset_above: f64) -> Self {
        Self { wear: Wear { part, each, reset_above }, ..self }
    }

    /// A dispenser, from which a visitor takes `each` per cent on average.
    const fn dispenser(type_name: &'static str, each: f64) -> Self {
        // The sensor measures the distance to what is left.
        let model = Self::new(type_name, PLAIN, 15.0).worn(1.0, each, 86.0);
        model.with(&[("p", Digits(0), 100.0, &[(Level, -1.0)]), ("d", Digits(0), 0.0, &[(Level, 2.93)])])
    }
}

/// The cleaner of a zone, who comes every two hours.
pub(super) static CLEANER: DeviceModel = DeviceModel::new("", MATRIX, 120.0);

/// All types of devices.
pub(super) static MODELS: [DeviceModel; 16] = [
    DeviceModel::new("SMARTCLEAN#UM", AGGREGATED, 5.0).reported_by(1.0).with(&[
        // Lithium cells: 3.4 V full, 2.4 V weak.
        ("b", Quoted, 2_280.0, &[(Charge, 1_120.0)]),
        ("count", Digits(0), 0.0, &[(Came, 1.0)]),
        ("u", Quoted, 6_167.0, &[]),
    ]),
    DeviceModel::new("SMARTCLEAN#PPLCTR", PLAIN, 5.0)
        .reported_by(1.0)
        .with(&[("count", Digits(1), 0.0, &[(Came, 1.0)]), ("out_count", Digits(1), 0.0, &[(Left, 1.0)])]),
    DeviceModel::new("SMARTCLEAN#FD", AGGREGATED, 2.0).reported_by(1.0 / 16.0).with(&[
        ("c", OneOf(&[r#""4eccb645302e4d9c85cbace69b92d058""#]), 0.0, &[]),
        ("n", OneOf(&FEEDBACKS), 0.55, &[(Smell, 2.4), (Noise, 0.5)]),
        ("type", OneOf(&[r#""DEFECT""#]), 0.0, &[]),
    ]),
    DeviceModel::dispenser("SMARTCLEAN#TR", 0.5),
    DeviceModel::dispenser("SMARTCLEAN#PT", 0.6),
    DeviceModel::dispenser("SMARTCLEAN#SS", 0.35),
    // The sensor measures the free space.
    DeviceModel::new("SMARTCLEAN#BIN", PLAIN, 15.0)
        .worn(1.0, 0.7, 70.0)
        .with(&[("p", Digits(0), 100.0, &[(Level, -1.0)]), ("d", Digits(0), 345.0, &[(Level, -3.45)])]),
    DeviceModel::new("SMARTCLEAN#WD", PLAIN, 10.0)
        .worn(1.0 / 220.0, 9.0, 0.0)
        .with(&[("value", Digits(0), 0.0, &[(Wet, 1.0)]), ("AreaP", Digits(1), 0.0, &[(Level, 1.0)])]),
    // The vendor's example of this type has no provider. Gases are in ppm.
    DeviceModel::new("ODRDTR", WIRED, 5.0).with(&[
        ("rssi", Quoted, -68.0, &[(Noise, 3.0)]),
        ("amm_expected", Digits(6), 2.4, &[(Noise, 0.05)]),
        ("amm_zscore", Digits(6), -0.55, &[(Smell, 2.2), (Noise, 0.25)]),
        ("amm", Digits(6), 2.28, &[(Smell, 0.48), (Noise, 0.05)]),
        ("alc_expected", Digits(6), 0.17, &[(Noise, 0.002)]),
        ("alc_zscore", Digits(6), 0.0, &[(Smell, 0.3), (Noise, 0.25)]),
        ("alc", Digits(6), 0.17, &[(Smell, 0.004), (Noise, 0.002)]),
        ("no2_expected", Digits(6), 0.72, &[(Noise, 0.005)]),
        ("no2_zscore", Digits(6), 0.0, &[(Noise, 0.25)]),
        ("no2", Digits(6), 0.72, &[(Noise, 0.005)]),
    ]),
    // Ammonia in ppb, humidity and temperature in tenths.
    DeviceModel::new("SMARTCLEAN#ODRDTR_BATT_V1", AGGREGATED, 5.0).with(&[
        ("amm", Digits(0), 28.0, &[(Smell, 185.0), (Noise, 3.0)]),
        ("aqi", Digits(0), 42.0, &[(Smell, 120.0), (Busyness, 25.0), (Noise, 4.0)]),
        ("rh", Digits(0), 660.0, &[(Busyness, 60.0), (Noise, 10.0)]),
        ("temp", Digits(0), 268.0, &[(Busyness, 18.0), (Noise, 3.0)]),
    ]),
    // The light is off in an empty zone. The air is cooled in busy hours.
    DeviceModel::new("SMARTCLEAN#ODRDTR_10_IN_1", NEWER, 5.0).with(&[
        ("temperature", Digits(1), 25.9, &[(Busyness, -2.5), (People, 0.25), (Noise, 0.2)]),
        ("humidity", Digits(1), 62.0, &[(People, 0.6), (Noise, 1.0)]),
        ("light_level", Digits(0), 0.0, &[(Occupied, 3.0)]),
        ("co2", Digits(0), 430.0, &[(People, 150.0), (Noise, 8.0)]),
        ("pir_trigger", Digits(0), 0.0, &[(Occupied, 1.0)]),
        ("tvoc", Digits(2), 0.22, &[(People, 0.03), (Noise, 0.02)]),
        ("pressure", Digits(0), 1_008.0, &[(Noise, 0.5)]),
        ("hcho", Digits(2), 0.03, &[(Noise, 0.003)]),
        ("pm_25", Digits(0), 13.0, &[(Busyness, 3.0), (Noise, 1.0)]),
        ("pm_10", Digits(0), 17.5, &[(Busyness, 4.0), (Noise, 1.0)]),
    ]),
    DeviceModel::new("SMARTCLEAN#TH", NEWER, 10.0).with(&[
        ("t", Digits(1), 26.6, &[(Busyness, -3.4), (Noise, 0.3)]),
        ("h", Digits(1), 70.0, &[(Busyness, -12.0), (Noise, 1.0)]),
    ]),
    // Cubicle sensors send 0 if the cubicle is occupied, table sensors send 1.
    DeviceModel::new("SMARTCLEAN#OCCMINEW", NEWER, 10.0).with(&[
        ("C", Quoted, 1.0, &[]),
        ("Disass", Quoted, 0.0, &[]),
        ("Src", OneOf(&[r#""x750:hz3a30e""#]), 0.0, &[]),
        ("batt", Digits(0), 0.0, &[(Charge, 100.0)]),
        ("rssi", Digits(0), -78.0, &[(Noise, 3.0)]),
        ("occ", Digits(0), 1.0, &[(Occupied, -1.0)]),
    ]),
    DeviceModel::new("SMARTCLEAN#OCCSCM", NEWER, 10.0)
        .with(&[("b", Quoted, 0.0, &[]), ("occ", Digits(0), 1.0, &[(Occupied, -1.0)])]),
    DeviceModel::new("SMARTCLEAN#OCCDESK", NEWER, 10.0).with(&[("occ", Digits(0), 0.0, &[(Occupied, 1.0)])]),
    // Angles in degrees. There is more wind by day.
    DeviceModel::new("SMARTCLEAN#TILT", NEWER, 60.0).with(&[
        ("Tb", OneOf(&[r#""none""#]), 0.0, &[]),
        ("Xt", Digits(2), -87.5, &[(Busyness, 0.3), (Noise, 0.3)]),
        ("Yt", Digits(2), -2.0, &[(Noise, 0.3)]),
        ("Zt", Digits(2), 1.4, &[(Noise, 0.3)]),
        ("v", Digits(0), 0.0, &[(Charge, 100.0)]),
    ]),
];

/// The member `n` of a feedback and those behind it, from the best feedback to the worst.
const FEEDBACKS: [&str; 7] = [
    r#"0,"nm":"Excellent","rating":1,"reasons":{},"s":5"#,
    r#"0,"nm":"Good","rating":2,"reasons":{},"s":4"#,
    r#"0,"nm":"Average","rating":3,"reasons":{},"s":3"#,
    r#"1,"nm":"Poor","rating":4,"reasons":{"ID_1":{"ID":"1","Name":"Foul Smell","selector":1}},"s":2"#,
    r#"1,"nm":"Poor","rating":4,"reasons":{"ID_2":{"ID":"2","Name":"Wet Floor","selector":1}},"s":2"#,
    r#"1,"nm":"Very Poor","rating":5,"reasons":{"ID_1":{"ID":"1","Name":"Foul Smell","selector":1}},"s":1"#,
    r#"1,"nm":"Very Poor","rating":5,"reasons":{"ID_3":{"ID":"3","Name":"No Toilet Paper","selector":1}},"s":1"#,
];
