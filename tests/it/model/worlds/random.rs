//! Random zones with realistic traffic: nearly every push has one reading, some are late or early, cleanings are pushes of
//! their own and late, and a sweep runs each minute.

use std::ops::RangeInclusive;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use smartclean_push::domain::breach::Comparison;
use smartclean_push::domain::response::ResponseSource;
use smartclean_push::domain::rules::{Join, Kind};
use smartclean_push::domain::severity::Severity;

use super::{
    Answered, AudienceSpec, BlockSpec, Device, Event, EventKind, Measured, MuteSpec, Part, REGIONS, Responded,
    RuleSpec, START_OF_DAY, Selected, TYPES, TestSpec, World,
};

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

/// One level, or two of which the higher or the lower is worse.
fn some_test(comparisons: &'static [Comparison], kind: Kind) -> impl Strategy<Value = TestSpec> {
    let step = if kind == Kind::Threshold { 0..3u8 } else { 0..1 };
    // A sum needs several readings, so that a cleaning can remove some.
    let times = if kind == Kind::Accumulate { 6 } else { 1 };
    let levels = (1..5u8, step).prop_map(move |(limit, step)| (limit * times, step));
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

/// Begin and length of hours that begin or end during the history.
fn some_hours() -> impl Strategy<Value = (i64, i64)> {
    let begin = (2..20i64, 5..1430i64);
    let night = (0..12i64, 1..10i64).prop_map(|(begin, length)| (begin + length, 24 * 60 - length));
    prop_oneof![1 => begin, 2 => night]
}

fn some_alerts(rules: usize, devices: usize) -> impl Strategy<Value = Selected> {
    let (rule, device) = (prop::option::weighted(0.4, 0..rules), prop::option::weighted(0.4, 0..devices));
    (rule, device).prop_map(|(rule, device)| Selected { rule, device })
}

/// Up to three audiences, in the local time of the first device, and perhaps a mute.
fn some_recipients(rules: usize, devices: Vec<Device>) -> impl Strategy<Value = (Vec<AudienceSpec>, Vec<MuteSpec>)> {
    let (count, minutes_east) = (devices.len(), devices[0].minutes_east);
    let hours = (some_hours(), prop::bool::weighted(0.2));
    let on_duty = vec(hours, 0..=2);
    let severity = prop_oneof![4 => Just(Severity::Low), 1 => some_severity()];
    let audience = (some_alerts(rules, count), severity, on_duty, any::<Index>(), any::<bool>());
    let audiences = vec(audience, 1..=3).prop_map(move |drawn| {
        let most = drawn.len();
        let spec = |(number, (alerts, severity, on_duty, other, has_other)): (usize, (_, _, Vec<_>, Index, bool))| {
            let of_day = |minute: i64| (minutes_east + minute).rem_euclid(24 * 60);
            let on_duty = on_duty
                .into_iter()
                .map(|((begin, length), on_mondays)| ((of_day(begin), of_day(begin + length)), on_mondays));
            // Only a later one, so that there is no circle.
            let otherwise = (has_other && number + 1 < most).then(|| number + 1 + other.index(most - number - 1));
            AudienceSpec { alerts, severity, on_duty: on_duty.collect(), otherwise }
        };
        drawn.into_iter().enumerate().map(spec).collect::<Vec<_>>()
    });
    let mute = (some_alerts(rules, count), prop_oneof![3 => 2..30i64, 1 => 30..1500i64]);
    let mute = mute.prop_map(move |(alerts, minute)| MuteSpec { alerts, until: minutes_east + minute });
    let audiences = prop_oneof![1 => Just(Vec::new()), 1 => audiences];
    let mutes = (prop::bool::weighted(0.25), vec(mute, 1..=2));
    (audiences, mutes.prop_map(|(is_muted, mutes)| if is_muted { mutes } else { Vec::new() }))
}

type Trigger = (Option<u8>, i64, i64, (bool, Option<i64>), usize, Option<i64>, bool, i64, Option<i64>);

fn some_rule(number: usize, devices: Vec<Device>) -> impl Strategy<Value = RuleSpec> {
    let kinds = prop_oneof![
        7 => Just(Kind::Threshold), 2 => Just(Kind::Count), 2 => Just(Kind::Reasons), 4 => Just(Kind::Accumulate),
        1 => Just(Kind::Silence)
    ];
    let tests = kinds.prop_flat_map(|kind| {
        let (comparisons, most) = match kind {
            Kind::Accumulate => (UPWARDS, 1),
            _ => (ANY_WAY, 2),
        };
        let joins = prop::sample::select(&[Join::Any, Join::All][..]);
        (Just(kind), joins, vec(some_test(comparisons, kind), 1..=most))
    });
    let trigger = (
        prop::option::weighted(0.3, 0..3u8),
        prop_oneof![3 => Just(0i64), 1 => Just(2), 1 => Just(4)],
        1..5i64,
        (any::<bool>(), prop::option::weighted(0.5, 1..6i64)),
        1..4usize,
        prop_oneof![1 => Just(2i64), 1 => Just(4), 1 => Just(8)].prop_map(Some),
        any::<bool>(),
        prop::sample::select(&[4i64, 8][..]),
        prop::option::weighted(0.3, 0..40i64),
    );
    let active = (prop::bool::weighted(0.3), some_hours());
    // Half of the rules have reminders, resolved notices and active hours.
    let flags = (any::<bool>(), any::<bool>());
    let part = prop_oneof![6 => Just(None), 1 => Just(Some(Part::Off)), 1 => Just(Some(Part::Other(1.0)))];
    let device = prop::sample::select(devices);
    (tests, device, some_severity(), trigger, active, some_block(), part, flags).prop_map(
        move |(
            (kind, join, tests),
            device,
            severity,
            trigger,
            (has_hours, hours),
            block,
            part,
            (forever, is_eager),
        )| {
            let (clear, lasting, max_gap, (resolved, reminder), count, within, carry, after, restart_at): Trigger =
                trigger;
            // Times of day near the beginning of the history, in the local time of one of its devices.
            let of_day = |minute: i64| (device.minutes_east + minute).rem_euclid(24 * 60);
            let clear = clear.filter(|_| kind == Kind::Threshold && tests.len() == 1).map(|clear| {
                let mildest = tests[0].levels[0].1;
                let falls = matches!(tests[0].comparison, Comparison::Below | Comparison::AtMost);
                if falls { mildest + f64::from(clear) } else { mildest - f64::from(clear) }
            });
            RuleSpec {
                id: format!("r{number}"),
                kind,
                ty: device.ty,
                join,
                tests,
                severity,
                clear,
                lasting: if is_eager { 0 } else { lasting },
                max_gap,
                resolved: resolved || is_eager,
                reminder: reminder.or(is_eager.then_some(3)).filter(|_| kind == Kind::Threshold),
                count,
                within: within.filter(|_| !(forever && kind == Kind::Reasons)),
                carry,
                after,
                restart_at: restart_at.map(of_day),
                active: (has_hours || is_eager).then(|| (of_day(hours.0), of_day(hours.0 + hours.1))),
                block,
                escalate: Vec::new(),
                part,
            }
        },
    )
}

#[derive(Clone, Debug)]
enum Draw {
    /// With the values of the device's last reading.
    Same {
        device: Index,
        lag: i64,
    },
    New {
        device: Index,
        lag: i64,
        values: [Option<u8>; 2],
        reasons: u8,
    },
    Again(Index),
}

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<Draw>),
    Sweep,
    /// With the lags of begin and end.
    Responded(ResponseSource, Option<i64>, Option<i64>),
    RespondedAgain(Index),
    /// Somebody takes or snoozes an alert for some minutes, or was done some minutes before.
    Answered(usize, AnswerDraw),
    AnsweredAgain(Index),
}

#[derive(Clone, Copy, Debug)]
enum AnswerDraw {
    Taken(i64),
    Snoozed(i64),
    Done(i64),
}

fn some_value() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![9 => (0..7u8).prop_map(Some), 1 => Just(None)]
}

fn some_reading() -> impl Strategy<Value = Draw> {
    // Now, late, too old, early, too early.
    let lags = prop_oneof![8 => Just(0i64), 4 => 1..6i64, 1 => 6..18i64, 1 => -5..0i64, 1 => -9..-5i64];
    prop_oneof![
        3 => (any::<Index>(), lags.clone()).prop_map(|(device, lag)| Draw::Same { device, lag }),
        5 => (any::<Index>(), lags, [some_value(), some_value()], 0..4u8)
            .prop_map(|(device, lag, values, reasons)| Draw::New { device, lag, values, reasons }),
        1 => any::<Index>().prop_map(Draw::Again),
    ]
}

/// Two readings of one device and time.
fn some_readings_at_once() -> impl Strategy<Value = Vec<Draw>> {
    let values = || [some_value(), some_value()];
    (any::<Index>(), values(), values()).prop_map(|(device, one, other)| {
        [one, other].map(|values| Draw::New { device, lag: 0, values, reasons: 0 }).to_vec()
    })
}

/// A finished cleaning, mostly; or somebody began. Some are late, few from the future.
fn some_response() -> impl Strategy<Value = Step> {
    let lags = || prop_oneof![4 => Just(0i64), 8 => 1..4i64, 4 => 4..12i64, 1 => -8..0i64];
    let source = prop_oneof![Just(ResponseSource::Reported), Just(ResponseSource::Recorded)];
    let times = prop_oneof![
        5 => lags().prop_map(|done| (None, Some(done))),
        2 => lags().prop_map(|started| (Some(started), None)),
        2 => (lags(), lags()).prop_map(|(started, done)| (Some(started.max(done)), Some(done))),
    ];
    let new = (source, times).prop_map(|(source, (started, done))| Step::Responded(source, started, done));
    prop_oneof![5 => new, 1 => any::<Index>().prop_map(Step::RespondedAgain)]
}

fn some_answer() -> impl Strategy<Value = Step> {
    let answer = prop_oneof![
        3 => (1..8i64).prop_map(AnswerDraw::Taken),
        4 => (1..12i64).prop_map(AnswerDraw::Snoozed),
        3 => prop_oneof![3 => Just(0i64), 1 => 1..4i64].prop_map(AnswerDraw::Done),
    ];
    let new = (0..6usize, answer).prop_map(|(which, answer)| Step::Answered(which, answer));
    prop_oneof![8 => new, 1 => any::<Index>().prop_map(Step::AnsweredAgain)]
}

/// Up to two steps of each rule, to any of these audiences.
fn some_escalations(rules: usize, audiences: usize) -> impl Strategy<Value = Vec<Vec<(i64, usize)>>> {
    let step = (1..5i64, any::<Index>());
    let steps = prop_oneof![1 => Just(Vec::new()), 1 => vec(step, 1..=2)].prop_map(move |steps| {
        let mut after = 0;
        let steps = steps.into_iter().filter(|_| audiences > 0);
        let step = |(more, to): (i64, Index)| {
            after += more;
            (after, to.index(audiences))
        };
        steps.map(step).collect()
    });
    vec(steps, rules)
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => some_answer(),
        10 => some_reading().prop_map(|reading| Step::Push(vec![reading])),
        2 => vec(some_reading(), 2..4).prop_map(Step::Push),
        1 => some_readings_at_once().prop_map(Step::Push),
        2 => Just(Step::Sweep),
        3 => some_response(),
    ]
}

/// A zone with this number of rules, and its history.
pub(crate) fn some_world(rules: RangeInclusive<usize>) -> impl Strategy<Value = World> {
    let device = (0..TYPES.len(), prop::sample::select(&REGIONS[..])).prop_map(|(ty, (region, minutes_east))| Device {
        ty,
        region,
        minutes_east: minutes_east + START_OF_DAY,
    });
    (vec(device, 1..=3), prop::bool::weighted(0.6))
        .prop_flat_map(move |(mut devices, are_alike)| {
            if are_alike {
                let ty = devices[0].ty;
                devices.iter_mut().for_each(|device| device.ty = ty);
            }
            let of_rules = devices.clone();
            let rules = rules.clone().prop_flat_map(move |count| {
                let rules = (0..count).map(|n| some_rule(n, of_rules.clone())).collect::<Vec<_>>();
                (rules, some_recipients(count, of_rules.clone()))
            });
            let rules = rules.prop_flat_map(|(rules, (audiences, mutes))| {
                some_escalations(rules.len(), audiences.len()).prop_map(move |escalations| {
                    let rules = rules.iter().cloned().zip(escalations);
                    let rules = rules.map(|(rule, escalate)| RuleSpec { escalate, ..rule });
                    (rules.collect::<Vec<_>>(), (audiences.clone(), mutes.clone()))
                })
            });
            let gaps = prop_oneof![4 => Just(0i64), 8 => Just(1), 4 => 2..4i64, 2 => 4..8i64, 1 => 60..2400i64];
            let steps = vec((gaps, some_step()), 1..28);
            let is_swept = prop::bool::weighted(0.7);
            (Just(devices), rules, prop_oneof![Just(15i64), Just(60)], steps, is_swept)
        })
        .prop_map(|(devices, (rules, (audiences, mutes)), max_age, steps, is_swept)| {
            let history = history(steps, &devices, is_swept);
            World { devices, rules, audiences, mutes, max_age, history }
        })
}

fn history(steps: Vec<(i64, Step)>, devices: &[Device], is_swept: bool) -> Vec<Event> {
    let (mut now, mut all): (i64, Vec<Measured>) = (0, Vec::new());
    let (mut history, mut responses, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for (gap, step) in steps {
        if is_swept {
            // Each minute, and sometimes in a pause.
            let minutes = (1..gap).filter(|minute| *minute <= 8 || minute % 127 == 0);
            history.extend(minutes.map(|minute| Event { now: now + minute, kind: EventKind::Sweep }));
        }
        now += gap;
        let kind = match step {
            Step::Sweep => EventKind::Sweep,
            Step::RespondedAgain(_) if responses.is_empty() => EventKind::Sweep,
            Step::RespondedAgain(index) => EventKind::Responded(*index.get(&responses)),
            Step::Responded(source, started, done) => {
                let (started, done) = (started.map(|lag| now - lag), done.map(|lag| now - lag));
                responses.push(Responded { source, started, done, taken: None, snoozed: None });
                EventKind::Responded(responses[responses.len() - 1])
            }
            Step::AnsweredAgain(_) if answers.is_empty() => EventKind::Sweep,
            Step::AnsweredAgain(index) => EventKind::Answered(*index.get(&answers)),
            Step::Answered(which, answer) => {
                let (source, started) = (ResponseSource::Reported, None);
                let (taken, snoozed, done) = match answer {
                    AnswerDraw::Taken(length) => (Some((now, now + length)), None, None),
                    AnswerDraw::Snoozed(length) => (None, Some((now, now + length)), None),
                    AnswerDraw::Done(lag) => (None, None, Some(now - lag)),
                };
                answers.push(Answered { which, responded: Responded { source, started, done, taken, snoozed } });
                EventKind::Answered(answers[answers.len() - 1])
            }
            Step::Push(draws) => {
                let mut readings = Vec::new();
                for draw in draws {
                    let reading = match draw {
                        Draw::Again(_) if all.is_empty() => continue,
                        Draw::Again(index) => index.get(&all).clone(),
                        Draw::Same { device, lag } => {
                            let device = device.index(devices.len());
                            let Some(last) = all.iter().rfind(|reading| reading.device == device) else { continue };
                            Measured { at: now - lag, ..last.clone() }
                        }
                        Draw::New { device, lag, values, reasons } => {
                            let device = device.index(devices.len());
                            Measured { device, at: now - lag, values, reasons }
                        }
                    };
                    all.push(reading.clone());
                    readings.push(reading);
                }
                EventKind::Push(readings)
            }
        };
        if is_swept && gap > 0 {
            history.push(Event { now, kind: EventKind::Sweep });
        }
        history.push(Event { now, kind });
    }
    history
}
