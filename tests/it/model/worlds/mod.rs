//! Random zones: devices, rules and events. Few values, short times and a coarse grid, so that ties and exact limits are
//! frequent.

mod random;

use std::fmt;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp, civil};
use smartclean_push::domain::breach::Comparison;
use smartclean_push::domain::response::{Hold, Response, ResponseSource};
use smartclean_push::domain::rules::names::{Named, Names};
use smartclean_push::domain::rules::{
    AlertSelection, Audience, Block, Condition, Days, EscalationStep, Join, Kind, Level, Links, MentionKind, Mute,
    Position, Rule, RuleSet, Scope, Setting, Settings, Test, WeeklyHours,
};
use smartclean_push::domain::severity::Severity;
use smartclean_push::domain::time::LocalZone;

pub(crate) use self::random::some_world;

/// 2026-11-23T05:50Z, minute 0 of every history.
pub(crate) const START: i64 = 1_795_413_000;
/// [`START`] as minutes of the day, UTC.
const START_OF_DAY: i64 = 5 * 60 + 50;

/// Device types with two metrics each.
pub(crate) const TYPES: [(&str, [&str; 2]); 5] = [
    ("ODRDTR_BATT_V1", ["amm", "aqi"]),
    ("PPLCTR", ["count", "out_count"]),
    ("FD", ["rating", "s"]),
    ("SS", ["p", "d"]),
    ("ACME#X", ["x", "y"]),
];
const REGIONS: [(Option<&str>, i64); 5] = [
    (Some("UTC"), 0),
    (None, 0),
    (Some("Asia/Singapore"), 480),
    (Some("Asia/Kolkata"), 330),
    (Some("America/New_York"), -300),
];
const REASONS: [&str; 2] = ["Smell", "Wet"];

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) devices: Vec<Device>,
    pub(crate) rules: Vec<RuleSpec>,
    pub(crate) audiences: Vec<AudienceSpec>,
    pub(crate) mutes: Vec<MuteSpec>,
    pub(crate) max_age: i64,
    pub(crate) history: Vec<Event>,
}

#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) ty: usize,
    pub(crate) region: Option<&'static str>,
    /// Local time at minute 0 of a history, so that local midnight is minute `-minutes_east`.
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
    /// A multiple of 15.
    pub(crate) after: i64,
    /// Minute of the day.
    pub(crate) restart_at: Option<i64>,
    /// Minutes of the day.
    pub(crate) active: Option<(i64, i64)>,
    pub(crate) block: BlockSpec,
    /// The steps of the escalation: minutes, and the number of the audience.
    pub(crate) escalate: Vec<(i64, usize)>,
    /// An override for device 0: disabled, or another limit.
    pub(crate) part: Option<Part>,
}

const MONDAYS: Days = Days([true, false, false, false, false, false, false]);

/// The alerts of one rule or of all, of one device or of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected {
    pub(crate) rule: Option<usize>,
    pub(crate) device: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct AudienceSpec {
    pub(crate) alerts: Selected,
    pub(crate) severity: Severity,
    /// Minutes of the day, each on all days or on Mondays only; none for always.
    pub(crate) on_duty: Vec<((i64, i64), bool)>,
    pub(crate) otherwise: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct MuteSpec {
    pub(crate) alerts: Selected,
    /// In minutes after the local midnight before a history.
    pub(crate) until: i64,
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
pub(crate) struct Event {
    pub(crate) now: i64,
    pub(crate) kind: EventKind,
}

impl Event {
    pub(crate) fn readings(&self) -> &[Measured] {
        match &self.kind {
            EventKind::Push(readings) => readings,
            EventKind::Sweep | EventKind::Responded(_) | EventKind::Answered(_) => &[],
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum EventKind {
    Push(Vec<Measured>),
    Sweep,
    Responded(Responded),
    Answered(Answered),
}

/// What people did, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Responded {
    pub(crate) source: ResponseSource,
    pub(crate) started: Option<i64>,
    pub(crate) done: Option<i64>,
    /// An answer to one alert: its begin and its end.
    pub(crate) taken: Option<(i64, i64)>,
    pub(crate) snoozed: Option<(i64, i64)>,
}

/// What people say about one of the open alerts, in the order of rules and devices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) which: usize,
    pub(crate) responded: Responded,
}

impl Responded {
    pub(crate) fn response(self) -> Response {
        let Self { source, started, done, taken, snoozed } = self;
        let (started, done) = (started.map(timestamp), done.map(timestamp));
        let [taken, snoozed] =
            [taken, snoozed].map(|hold| hold.map(|(at, until)| Hold { at: timestamp(at), until: timestamp(until) }));
        Response { started, done, taken, snoozed, ..Response::new("z", source) }
    }
}

/// A reading. Equal ones are duplicates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Measured {
    pub(crate) device: usize,
    pub(crate) at: i64,
    pub(crate) values: [Option<u8>; 2],
    reasons: u8,
}

impl Measured {
    /// The value of a metric of the type, if it is plausible: a rating is from 1 to 5, stars are at most 5.
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
        // Not by serde_json, which would take most of the time of a run.
        let mut values: Vec<String> = metrics
            .into_iter()
            .zip(self.values)
            .filter_map(|(metric, value)| Some(format!(r#""{metric}":{}"#, value?)))
            .collect();
        if self.reasons != 0 {
            let reasons = self.reason_names().into_iter().map(|name| format!(r#""{name}":{{"Name":"{name}"}}"#));
            values.push(format!(r#""reasons":{{{}}}"#, reasons.collect::<Vec<_>>().join(",")));
        }
        // Every other device has its time zone from its site, and a wrong one in its readings.
        let region = match device.region {
            Some(_) if self.device % 2 == 1 => format!(r#","Region":"America/New_York","PID":"s{}""#, self.device),
            region => region.map(|region| format!(r#","Region":"{region}""#)).unwrap_or_default(),
        };
        format!(
            r#"{{"DevType":"{ty}","DEVID":"d{}","InsID":"z","unixT":{}{region},"v":{{{}}}}}"#,
            self.device,
            START + 60 * self.at,
            values.join(",")
        )
    }
}

pub(crate) fn timestamp(minute: i64) -> Timestamp {
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

/// These minutes of every day.
fn daily((from, to): (i64, i64)) -> WeeklyHours {
    WeeklyHours { days: Days::ALL, from: time_of_day(from), to: time_of_day(to) }
}

impl Selected {
    fn selection(self) -> AlertSelection {
        let device = self.device.map(|number| (MentionKind::Device, vec![format!("d{number}")]));
        let rules = self.rule.map(|number| format!("r{number}")).into_iter().collect();
        AlertSelection { rules, scope: Scope(device.into_iter().collect()) }
    }
}

impl AudienceSpec {
    fn audience(&self, number: usize) -> Audience {
        let hours = |((from, to), on_mondays): &((i64, i64), bool)| WeeklyHours {
            days: if *on_mondays { MONDAYS } else { Days::ALL },
            ..daily((*from, *to))
        };
        Audience {
            id: format!("a{number}"),
            alerts: self.alerts.selection(),
            severity: self.severity,
            on_duty: self.on_duty.iter().map(hours).collect(),
            otherwise: self.otherwise.map(|number| format!("a{number}")),
            language: "en".to_owned(),
            language_position: somewhere(),
            emails: Vec::new(),
            links: Links::default(),
            position: somewhere(),
        }
    }
}

fn somewhere() -> Position {
    Position { file: "model".into(), line: 1, column: 1 }
}

impl MuteSpec {
    fn mute(&self) -> Mute {
        let midnight = civil::date(2026, 11, 23).to_datetime(civil::Time::midnight());
        let until = midnight.saturating_add(minutes(self.until));
        Mute { alerts: self.alerts.selection(), until, reason: "model".to_owned(), position: somewhere() }
    }
}

impl RuleSpec {
    pub(crate) fn applies_to(&self, ty: usize, device: usize) -> bool {
        self.ty == ty && !(device == 0 && matches!(self.part, Some(Part::Off)))
    }

    /// The levels of a test for `device`.
    pub(crate) fn limits(&self, device: usize, test: usize) -> Vec<(Option<Severity>, f64)> {
        let more = match self.part {
            Some(Part::Other(more)) if device == 0 && self.tests.len() == 1 => more,
            _ => 0.0,
        };
        self.tests[test].levels.iter().map(|(severity, limit)| (*severity, limit + more)).collect()
    }

    /// The clear level for `device`. An override with another limit has none.
    pub(crate) fn clear(&self, device: usize) -> Option<f64> {
        self.clear.filter(|_| device != 0 || !matches!(self.part, Some(Part::Other(_))))
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
        let step = |(after, to): &(i64, usize)| EscalationStep {
            after: minutes(*after),
            to: format!("a{to}"),
            position: somewhere(),
        };
        let settings = Settings {
            severity: self.severity,
            condition: (self.kind != Kind::Silence).then(|| self.condition(usize::MAX)),
            active: self.active.map(daily),
            block: Block {
                device: minutes(self.block.device),
                zone: minutes(self.block.zone),
                rule: self.block.rule.map(minutes),
            },
            clear: self.clear,
            lasting: minutes(self.lasting),
            max_gap: Some(minutes(self.max_gap)),
            resolved: self.resolved,
            reminder: self.reminder.map(minutes),
            count: self.count,
            within: self.within.map(minutes),
            carry: self.carry,
            after: (self.kind == Kind::Silence).then(|| minutes(self.after)),
            restart_at: self.restart_at.map(time_of_day),
            escalate: self.escalate.iter().map(step).collect(),
            ..Settings::default()
        };
        let only_first = Scope([(MentionKind::Device, vec!["d0".to_owned()])].into());
        let part = self.part.map(|part| match part {
            Part::Off => vec![Setting::Enabled(false)],
            Part::Other(_) => vec![Setting::Condition(Some(self.condition(0))), Setting::Clear(None)],
        });
        Rule {
            id: self.id.clone(),
            position: somewhere(),
            title: self.id.clone(),
            template: None,
            action: None,
            kind: self.kind,
            scope: Scope([(MentionKind::Type, vec![TYPES[self.ty].0.to_owned()])].into()),
            settings,
            overrides: part.map(|part| (only_first, part)).into_iter().collect(),
        }
    }
}

/// One line for each device, rule and event.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "max_age {}", self.max_age)?;
        for (number, device) in self.devices.iter().enumerate() {
            writeln!(f, "d{number}: {} {:?}", TYPES[device.ty].0, device.region)?;
        }
        for rule in &self.rules {
            writeln!(f, "{rule:?}")?;
        }
        for audience in &self.audiences {
            writeln!(f, "{audience:?}")?;
        }
        for mute in &self.mutes {
            writeln!(f, "{mute:?}")?;
        }
        for event in &self.history {
            writeln!(f, "{:>3} {:?}", event.now, event.kind)?;
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn rule_set(&self) -> RuleSet {
        // Parsed once: the built-in rules of each history would take most of the time.
        static DEFAULTS: LazyLock<RuleSet> =
            LazyLock::new(|| RuleSet { rules: Vec::new(), mentions: Vec::new(), ..RuleSet::pack() });
        let mut names = Names::default();
        for (number, device) in self.devices.iter().enumerate() {
            let local_zone = Some(LocalZone { region: device.region.map(str::to_owned), offset_seconds: None });
            names.sites.insert(format!("s{number}"), Named { local_zone, ..Named::default() });
        }
        RuleSet {
            names,
            max_age: minutes(self.max_age),
            rules: self.rules.iter().map(RuleSpec::rule).collect(),
            audiences: self.audiences.iter().enumerate().map(|(number, spec)| spec.audience(number)).collect(),
            mutes: self.mutes.iter().map(MuteSpec::mute).collect(),
            ..DEFAULTS.clone()
        }
    }
}
