//! Random zones: devices, rules, and what happens there. Few values, short times and a coarse grid, so that ties and exact
//! edges are the normal case.

use std::fmt;
use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp, civil};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use smartclean_push::domain::alert::Comparison;
use smartclean_push::domain::rules::{
    ActiveHours, Block, Condition, Join, Kind, Level, Rule, RuleSet, Scope, Settings, Test,
};
use smartclean_push::domain::severity::Severity;

/// 2026-11-23T05:50Z, minute 0 of every history.
pub(crate) const START: i64 = 1_795_413_000;
/// The same as minutes of a day, UTC.
const START_OF_DAY: i64 = 5 * 60 + 50;

/// Device types with two metrics each.
pub(crate) const TYPES: [(&str, [&str; 2]); 5] = [
    ("ODRDTR_BATT_V1", ["amm", "aqi"]),
    ("PPLCTR", ["count", "out_count"]),
    ("FD", ["rating", "s"]),
    ("SS", ["p", "d"]),
    ("ACME#X", ["x", "y"]),
];
const REGIONS: [(Option<&str>, i64); 4] =
    [(Some("UTC"), 0), (None, 0), (Some("Asia/Singapore"), 480), (Some("Asia/Kolkata"), 330)];
const REASONS: [&str; 2] = ["Smell", "Wet"];

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) devices: Vec<Device>,
    pub(crate) rules: Vec<RuleSpec>,
    pub(crate) max_age: i64,
    pub(crate) history: Vec<Happening>,
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) ty: usize,
    pub(crate) region: Option<&'static str>,
    /// Of minute 0 of a history, so that local midnight is minute `-minutes_east`.
    pub(crate) minutes_east: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct RuleSpec {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) ty: usize,
    pub(crate) join: Join,
    pub(crate) tests: Vec<TestSpec>,
    pub(crate) severity: Severity,
    pub(crate) clear: Option<f64>,
    pub(crate) lasting: i64,
    pub(crate) max_gap: i64,
    pub(crate) resolved: bool,
    pub(crate) reminder: Option<i64>,
    pub(crate) count: usize,
    pub(crate) within: Option<i64>,
    pub(crate) carry: bool,
    /// Whole quarters.
    pub(crate) after: i64,
    /// Minute of the day.
    pub(crate) restart_at: Option<i64>,
    /// Minutes of the day.
    pub(crate) active: Option<(i64, i64)>,
    pub(crate) block: BlockSpec,
    /// For device 0 alone: off, or by so much another limit.
    pub(crate) part: Option<Part>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Off,
    Other(f64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockSpec {
    pub(crate) device: i64,
    pub(crate) zone: i64,
    pub(crate) rule: Option<i64>,
}

#[derive(Clone, Debug)]
pub(crate) struct TestSpec {
    pub(crate) metric: usize,
    pub(crate) comparison: Comparison,
    pub(crate) levels: Vec<(Option<Severity>, f64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Happening {
    pub(crate) now: i64,
    pub(crate) what: What,
}

impl Happening {
    pub(crate) fn readings(&self) -> &[Measured] {
        match &self.what {
            What::Push(readings) => readings,
            What::Sweep | What::Cleaned(_) => &[],
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Push(Vec<Measured>),
    Sweep,
    Cleaned(i64),
}

/// A reading; two that are equal are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) device: usize,
    pub(crate) at: i64,
    pub(crate) values: [Option<u8>; 2],
    reasons: u8,
}

impl Measured {
    /// The value of a metric of the type, where such a sensor can measure it: a rating is from 1 to 5, stars are at most 5.
    pub(crate) fn plausible(&self, ty: usize, metric: usize) -> Option<u8> {
        let most = if TYPES[ty].0 == "FD" { 5 } else { u8::MAX };
        let least = u8::from(TYPES[ty].1[metric] == "rating");
        self.values[metric].filter(|value| (least..=most).contains(value))
    }

    pub(crate) fn reason_names(&self) -> Vec<&'static str> {
        REASONS
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| self.reasons & (1 << bit) != 0)
            .map(|(_, name)| name)
            .collect()
    }

    pub(crate) fn text(&self, world: &World) -> String {
        let device = &world.devices[self.device];
        let (ty, metrics) = TYPES[device.ty];
        // By hand, because most of the time of a run would go into building JSON.
        let mut values: Vec<String> = metrics
            .into_iter()
            .zip(self.values)
            .filter_map(|(metric, value)| Some(format!(r#""{metric}":{}"#, value?)))
            .collect();
        if self.reasons != 0 {
            let reasons = self.reason_names().into_iter().map(|name| format!(r#""{name}":{{"Name":"{name}"}}"#));
            values.push(format!(r#""reasons":{{{}}}"#, reasons.collect::<Vec<_>>().join(",")));
        }
        let region = device.region.map(|region| format!(r#","Region":"{region}""#)).unwrap_or_default();
        format!(
            r#"{{"DevType":"{ty}","DEVID":"d{}","InsID":"z","unixT":{}{region},"v":{{{}}}}}"#,
            self.device,
            START + 60 * self.at,
            values.join(",")
        )
    }
}

pub(crate) fn moment(minute: i64) -> Timestamp {
    Timestamp::from_second(START + 60 * minute).unwrap()
}

pub(crate) fn minute(at: Timestamp) -> i64 {
    let seconds = at.as_second() - START;
    assert_eq!(seconds.rem_euclid(60), 0, "everything is on the grid");
    seconds.div_euclid(60)
}

fn minutes(number: i64) -> SignedDuration {
    SignedDuration::from_mins(number)
}

fn time_of_day(minute: i64) -> civil::Time {
    civil::Time::new(i8::try_from(minute / 60).unwrap(), i8::try_from(minute % 60).unwrap(), 0, 0).unwrap()
}

impl RuleSpec {
    pub(crate) fn applies_to(&self, ty: usize, device: usize) -> bool {
        self.ty == ty && !(device == 0 && matches!(self.part, Some(Part::Off)))
    }

    /// The levels of a test where `device` is.
    pub(crate) fn limits(&self, device: usize, test: usize) -> Vec<(Option<Severity>, f64)> {
        let more = match self.part {
            Some(Part::Other(more)) if device == 0 && self.tests.len() == 1 => more,
            _ => 0.0,
        };
        self.tests[test].levels.iter().map(|(severity, limit)| (*severity, limit + more)).collect()
    }

    fn condition(&self, device: usize) -> Condition {
        let tests = self.tests.iter().enumerate().map(|(index, test)| Test {
            metric: TYPES[self.ty].1[test.metric].to_owned(),
            comparison: test.comparison,
            levels: self.limits(device, index).into_iter().map(|(severity, limit)| Level { limit, severity }).collect(),
        });
        Condition { join: self.join, tests: tests.collect() }
    }

    fn rule(&self) -> Rule {
        let settings = Settings {
            severity: Some(self.severity),
            condition: (self.kind != Kind::Silence).then(|| self.condition(usize::MAX)),
            active: self.active.map(|(from, to)| ActiveHours { from: time_of_day(from), to: time_of_day(to) }),
            block: Some(Block {
                device: minutes(self.block.device),
                zone: minutes(self.block.zone),
                rule: self.block.rule.map(minutes),
            }),
            clear: self.clear,
            lasting: Some(minutes(self.lasting)),
            max_gap: Some(minutes(self.max_gap)),
            resolved: Some(self.resolved),
            reminder: self.reminder.map(minutes),
            count: Some(self.count),
            within: self.within.map(minutes),
            carry: Some(self.carry),
            after: (self.kind == Kind::Silence).then(|| minutes(self.after)),
            restart_at: self.restart_at.map(time_of_day),
            ..Settings::default()
        };
        let only_first = Scope { devices: vec!["d0".to_owned()], ..Scope::default() };
        let part = self.part.map(|part| match part {
            Part::Off => Settings { enabled: Some(false), ..Settings::default() },
            Part::Other(_) => Settings { condition: Some(self.condition(0)), ..Settings::default() },
        });
        Rule {
            id: self.id.clone(),
            title: self.id.clone(),
            template: None,
            kind: self.kind,
            scope: Scope { types: vec![TYPES[self.ty].0.to_owned()], ..Scope::default() },
            settings,
            overrides: part.map(|part| (only_first, part)).into_iter().collect(),
        }
    }
}

/// Fit for reading: one line a device, a rule, a step.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "max_age {}", self.max_age)?;
        for (number, device) in self.devices.iter().enumerate() {
            writeln!(f, "d{number}: {} {:?}", TYPES[device.ty].0, device.region)?;
        }
        for rule in &self.rules {
            writeln!(f, "{rule:?}")?;
        }
        for happening in &self.history {
            writeln!(f, "{:>3} {:?}", happening.now, happening.what)?;
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn rule_set(&self) -> RuleSet {
        RuleSet {
            max_age: minutes(self.max_age),
            rules: self.rules.iter().map(RuleSpec::rule).collect(),
            ..RuleSet::pack()
        }
    }
}

fn some_block() -> impl Strategy<Value = BlockSpec> {
    let all = |minutes| BlockSpec { device: minutes, zone: minutes, rule: None };
    prop_oneof![
        3 => Just(all(0)),
        2 => Just(all(2)),
        2 => Just(all(5)),
        1 => Just(all(20)),
        1 => Just(BlockSpec { device: 6, zone: 2, rule: None }),
        1 => Just(BlockSpec { device: 0, zone: 4, rule: None }),
        1 => Just(BlockSpec { device: 2, zone: 9, rule: Some(5) }),
    ]
}

fn some_severity() -> impl Strategy<Value = Severity> {
    prop_oneof![1 => Just(Severity::Low), 3 => Just(Severity::Medium), 2 => Just(Severity::High)]
}

/// One level, or two; the higher one is worse, or the lower.
fn some_test(comparisons: &'static [Comparison], banded: bool) -> impl Strategy<Value = TestSpec> {
    let levels = (1..5u8, 0..3u8).prop_map(move |(limit, step)| (limit, if banded { step } else { 0 }));
    (0..2usize, prop::sample::select(comparisons), levels).prop_map(|(metric, comparison, (limit, step))| {
        let falls = matches!(comparison, Comparison::Below | Comparison::AtMost);
        let (limit, step) = (f64::from(limit), f64::from(step));
        let levels = if step == 0.0 {
            vec![(None, limit)]
        } else {
            vec![
                (Some(Severity::Medium), limit),
                (Some(Severity::High), if falls { limit - step } else { limit + step }),
            ]
        };
        TestSpec { metric, comparison, levels }
    })
}

const ANY_WAY: &[Comparison] = &[Comparison::Above, Comparison::AtLeast, Comparison::Below, Comparison::AtMost];
const UPWARDS: &[Comparison] = &[Comparison::Above, Comparison::AtLeast];

type Course = (Option<u8>, i64, i64, (bool, Option<i64>), usize, Option<i64>, bool, i64, Option<i64>);

fn some_rule(number: usize, types: Vec<usize>) -> impl Strategy<Value = RuleSpec> {
    let kinds = prop_oneof![
        5 => Just(Kind::Threshold), 2 => Just(Kind::Count), 2 => Just(Kind::Reasons), 2 => Just(Kind::Accumulate),
        1 => Just(Kind::Silence)
    ];
    let tests = kinds.prop_flat_map(|kind| {
        let (comparisons, most) = match kind {
            Kind::Accumulate => (UPWARDS, 1),
            _ => (ANY_WAY, 2),
        };
        let joins = prop::sample::select(&[Join::Any, Join::All][..]);
        (Just(kind), joins, vec(some_test(comparisons, kind == Kind::Threshold), 1..=most))
    });
    let course = (
        prop::option::weighted(0.3, 0..3u8),
        prop_oneof![3 => Just(0i64), 1 => Just(2), 1 => Just(4)],
        1..5i64,
        (any::<bool>(), prop::option::weighted(0.3, 1..6i64)),
        1..4usize,
        prop_oneof![1 => Just(2i64), 1 => Just(4), 1 => Just(8)].prop_map(Some),
        any::<bool>(),
        prop::sample::select(&[4i64, 8][..]),
        prop::option::weighted(0.3, 0..40i64),
    );
    // The naive engine knows no hours.
    let active = Just(None::<(i64, i64)>);
    let part = prop_oneof![6 => Just(None), 1 => Just(Some(Part::Off)), 1 => Just(Some(Part::Other(1.0)))];
    let local = prop::sample::select(&[0i64, 480, 330][..]);
    (tests, prop::sample::select(types), some_severity(), course, active, some_block(), part, (local, any::<bool>()))
        .prop_map(move |((kind, join, tests), ty, severity, course, active, block, part, (local, forever))| {
            let (clear, lasting, max_gap, (resolved, reminder), count, within, carry, after, restart_at): Course =
                course;
            // Times of a day near the beginning of the history, on one of the clocks.
            let of_day = |minute: i64| (START_OF_DAY + local + minute).rem_euclid(24 * 60);
            let clear = clear.filter(|_| kind == Kind::Threshold && tests.len() == 1).map(|clear| {
                let mildest = tests[0].levels[0].1;
                let falls = matches!(tests[0].comparison, Comparison::Below | Comparison::AtMost);
                if falls { mildest + f64::from(clear) } else { mildest - f64::from(clear) }
            });
            RuleSpec {
                id: format!("r{number}"),
                kind,
                ty,
                join,
                tests,
                severity,
                clear,
                lasting,
                max_gap,
                resolved,
                reminder: reminder.filter(|_| kind == Kind::Threshold),
                count,
                within: within.filter(|_| !(forever && kind == Kind::Reasons)),
                carry,
                after,
                restart_at: restart_at.map(of_day),
                active: active.map(|(from, length)| (of_day(from), of_day(from + length))),
                block,
                part,
            }
        })
}

#[derive(Clone, Debug)]
enum Draw {
    New { device: Index, lag: i64, values: [Option<u8>; 2], reasons: u8 },
    Again(Index),
}

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<Draw>),
    Sweep,
    Cleaned(i64),
}

fn some_value() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![9 => (0..7u8).prop_map(Some), 1 => Just(None)]
}

fn some_reading() -> impl Strategy<Value = Draw> {
    // Now, late, too old, early, too early.
    let lags = prop_oneof![8 => Just(0i64), 4 => 1..6i64, 1 => 6..18i64, 1 => -5..0i64, 1 => -9..-5i64];
    prop_oneof![
        6 => (any::<Index>(), lags, [some_value(), some_value()], 0..4u8)
            .prop_map(|(device, lag, values, reasons)| Draw::New { device, lag, values, reasons }),
        1 => any::<Index>().prop_map(Draw::Again),
    ]
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => vec(some_reading(), 1..4).prop_map(Step::Push),
        2 => Just(Step::Sweep),
        1 => prop_oneof![3 => Just(0i64), 1 => 1..5i64].prop_map(Step::Cleaned),
    ]
}

/// A zone with so many rules, and its history.
pub(crate) fn some_world(rules: RangeInclusive<usize>) -> impl Strategy<Value = World> {
    let device = (0..TYPES.len(), prop::sample::select(&REGIONS[..])).prop_map(|(ty, (region, minutes_east))| Device {
        ty,
        region,
        minutes_east: minutes_east + START_OF_DAY,
    });
    vec(device, 1..=3)
        .prop_flat_map(move |devices| {
            let types: Vec<usize> = devices.iter().map(|device| device.ty).collect();
            let rules = rules
                .clone()
                .prop_flat_map(move |count| (0..count).map(|n| some_rule(n, types.clone())).collect::<Vec<_>>());
            let gaps = prop_oneof![2 => Just(0i64), 4 => Just(1), 2 => 2..4i64, 1 => 4..8i64];
            (Just(devices), rules, prop_oneof![Just(15i64), Just(60)], vec((gaps, some_step()), 1..14))
        })
        .prop_map(|(devices, rules, max_age, steps)| {
            let history = history(steps, &devices);
            World { devices, rules, max_age, history }
        })
}

fn history(steps: Vec<(i64, Step)>, devices: &[Device]) -> Vec<Happening> {
    let (mut now, mut all): (i64, Vec<Measured>) = (0, Vec::new());
    let happening = |(gap, step): (i64, Step)| {
        now += gap;
        let what = match step {
            Step::Sweep => What::Sweep,
            Step::Cleaned(lag) => What::Cleaned(now - lag),
            Step::Push(draws) => {
                let mut readings = Vec::new();
                for draw in draws {
                    let reading = match draw {
                        Draw::Again(_) if all.is_empty() => continue,
                        Draw::Again(index) => index.get(&all).clone(),
                        Draw::New { device, lag, values, reasons } => {
                            let device = device.index(devices.len());
                            Measured { device, at: now - lag, values, reasons }
                        }
                    };
                    all.push(reading.clone());
                    readings.push(reading);
                }
                What::Push(readings)
            }
        };
        Happening { now, what }
    };
    steps.into_iter().map(happening).collect()
}
