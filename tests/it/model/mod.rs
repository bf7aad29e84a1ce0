//! The rule engine against a naive one that keeps every reading ([`naive`]), over random zones ([`worlds`]).
//!
//! Histories that never do something would say nothing about it: [`features`] sees to that. Sums of more readings than are
//! kept one by one are in [`sums`], and the rate limit that several copies of the program share in [`rate_limit`].

mod features;
mod naive;
mod rate_limit;
mod sums;
mod worlds;

use std::collections::BTreeSet;

use naive::{Naive, Raised, Said};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm};
use smartclean_push::domain::alert::{Alert, Message};
use smartclean_push::domain::digest::Digest;
use smartclean_push::domain::engine::{Evaluation, clean, evaluate, next_due, sweep};
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::{DedupWindow, EntryId, ZoneState};
use worlds::{Happening, Measured, What, World, minute, moment, some_world};

/// The engine and what it remembers; messages are taken out as soon as they are made, as if each was sent.
struct Engine<'w> {
    world: &'w World,
    rules: RuleSet,
    state: ZoneState,
    ids: Vec<EntryId>,
}

impl<'w> Engine<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, rules: world.rule_set(), state: ZoneState::default(), ids: Vec::new() }
    }

    fn happens(&mut self, happening: &Happening) -> Vec<Said> {
        let now = moment(happening.now);
        let state = std::mem::take(&mut self.state);
        let evaluation = match &happening.what {
            What::Sweep => sweep(&self.rules, state, now, true),
            What::Cleaned(at) => clean(&self.rules, state, moment(*at), now),
            What::Push(readings) => {
                let texts: Vec<String> = readings.iter().map(|reading| reading.text(self.world)).collect();
                let readings: Vec<Reading<'_>> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
                evaluate(&self.rules, state, &readings.iter().collect::<Vec<_>>(), now, now)
            }
        };
        self.commit(evaluation)
    }

    fn commit(&mut self, evaluation: Evaluation) -> Vec<Said> {
        self.state = evaluation.state;
        self.ids.extend(evaluation.messages.iter().map(|entry| entry.id));
        evaluation.messages.iter().map(|entry| said(&entry.message)).collect()
    }

    /// All messages of a history, each step's by itself.
    fn run(&mut self, history: &[Happening]) -> Vec<Vec<Said>> {
        history.iter().map(|happening| self.happens(happening)).collect()
    }
}

/// The number in the name of a rule or a device: `r0`, `d1`.
fn number(name: &str) -> usize {
    name[1..].parse().unwrap()
}

fn raised(alert: &Alert) -> Raised {
    Raised {
        rule: number(&alert.rule),
        device: number(alert.location.device.as_deref().unwrap()),
        at: minute(alert.at),
        severity: alert.severity,
        reasons: alert.reasons.clone(),
    }
}

fn said(message: &Message) -> Said {
    match message {
        Message::Firing { alerts, .. } => Said::Firing(alerts.iter().map(raised).collect()),
        Message::Reminder { alert, at, unheard_since } => {
            Said::Reminder { alert: raised(alert), at: minute(*at), is_last: unheard_since.is_some() }
        }
        Message::Resolved { alert, at } => {
            let Raised { rule, device, .. } = raised(alert);
            Said::Resolved { rule, device, at: minute(*at) }
        }
        Message::Suppressed { alerts, more: 0, .. } => {
            Said::Released(alerts.iter().map(|one| (raised(&one.alert), one.resolved_at.map(minute))).collect())
        }
        other => panic!("nobody asked for {other:?}"),
    }
}

/// Everything is kept as JSON between two steps.
fn json(state: &ZoneState) -> String {
    serde_json::to_string(state).unwrap()
}

fn config(cases: u32) -> Config {
    let failure_persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    // A cryptographic generator would take a quarter of the time.
    let rng_algorithm = RngAlgorithm::XorShift;
    Config { cases, max_shrink_time: 20_000, failure_persistence, rng_algorithm, ..Config::default() }
}

/// The same history where nothing comes late, nor early by so little that it is believed.
fn in_order(mut world: World) -> World {
    for happening in &mut world.history {
        match &mut happening.what {
            What::Push(readings) => {
                for reading in readings.iter_mut().filter(|reading| reading.at - happening.now <= 5) {
                    reading.at = happening.now;
                }
            }
            What::Cleaned(at) => *at = happening.now,
            What::Sweep => {}
        }
    }
    world
}

/// Runs a history in which readings of before come again, each time picked by two indices: after which step, and which of
/// those that `may_repeat` then knows. Says how many there were.
fn run_with_repeats(
    engine: &mut Engine<'_>,
    repeats: &[(Index, Index)],
    may_repeat: impl Fn(&ZoneState, &Measured) -> bool,
) -> (Vec<Vec<Said>>, usize) {
    let (mut before, mut all_said, mut count): (Vec<Measured>, Vec<Vec<Said>>, usize) = Default::default();
    let history = &engine.world.history;
    for (number, happening) in history.iter().enumerate() {
        let mut said = engine.happens(happening);
        if let What::Push(readings) = &happening.what {
            before.extend(readings.iter().cloned());
        }
        for (_, which) in repeats.iter().filter(|(when, _)| when.index(history.len()) == number) {
            let known: Vec<&Measured> = before.iter().filter(|reading| may_repeat(&engine.state, reading)).collect();
            if !known.is_empty() {
                let again = What::Push(vec![which.get(&known).to_owned().clone()]);
                said.extend(engine.happens(&Happening { now: happening.now, what: again }));
                count += 1;
            }
        }
        all_said.push(said);
    }
    (all_said, count)
}

fn the_engine_agrees(world: &World) -> Result<(), TestCaseError> {
    let (mut engine, mut naive) = (Engine::new(world), Naive::new(world));
    let mut before: Vec<(i64, Said)> = Vec::new();
    for happening in &world.history {
        let due = next_due(&engine.rules, &engine.state);
        let mut expected = naive.happens(happening);
        let mut said = engine.happens(happening);
        if matches!(happening.what, What::Sweep) {
            let now = moment(happening.now);
            prop_assert!(said.is_empty() || due.is_some_and(|due| due <= now), "nothing is due at {:?}", happening);
            let next = next_due(&engine.rules, &engine.state);
            prop_assert!(next.is_none_or(|next| next > now), "still due at {next:?}, after {:?}", happening);
        }
        if matches!(happening.what, What::Cleaned(_) | What::Sweep) {
            // Nothing says in which order alerts end that end at once, or are said again.
            expected.sort();
            said.sort();
        }
        prop_assert_eq!(&said, &expected, "at {:?}, after {:?}", happening, before);
        before.extend(said.into_iter().map(|said| (happening.now, said)));
    }
    Ok(())
}

// Two halves of ten thousand, so that they run beside each other.
proptest! {
    #![proptest_config(config(5_000))]

    #[test]
    fn the_engine_says_of_one_rule_what_the_naive_one_says(world in some_world(1..=1)) {
        the_engine_agrees(&world)?;
    }

    #[test]
    fn the_engine_says_of_several_rules_what_the_naive_one_says(world in some_world(2..=4)) {
        the_engine_agrees(&world)?;
    }
}

proptest! {
    #![proptest_config(config(10_000))]

    /// Any reading of before, where nothing came late.
    #[test]
    fn repeated_readings_change_nothing(world in some_world(1..=3), repeats in vec(any::<(Index, Index)>(), 1..6)) {
        let world = in_order(world);
        let (mut engine, mut repeated) = (Engine::new(&world), Engine::new(&world));
        let said = engine.run(&world.history);
        let (again, _) = run_with_repeats(&mut repeated, &repeats, |_, _| true);
        prop_assert_eq!(again, said);
        prop_assert_eq!(json(&repeated.state), json(&engine.state));
        prop_assert_eq!(repeated.ids, engine.ids);
    }

    /// The second half of a history arrives all at once: as one push, or as several that follow each other in time.
    #[test]
    fn it_does_not_matter_how_readings_are_cut_into_pushes(world in some_world(1..=3), cuts in vec(any::<Index>(), 1..6)) {
        let now = world.history.last().unwrap().now;
        let (first, second) = world.history.split_at(world.history.len() / 2);
        let counts_at = |reading: &Measured| if reading.at > now + 5 { now } else { reading.at };
        let mut readings: Vec<Measured> = second.iter().flat_map(Happening::readings).cloned().collect();
        readings.sort_by_key(counts_at);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(readings.len() + 1)).collect();
        cuts.extend([0, readings.len()]);
        cuts.sort_unstable();
        let push = |readings: &[Measured]| Happening { now, what: What::Push(readings.to_vec()) };

        let (mut whole, mut cut) = (Engine::new(&world), Engine::new(&world));
        let said = [whole.run(first), whole.run(&[push(&readings)])].concat().concat();
        let pushes: Vec<Happening> = cuts.windows(2).map(|cut| push(&readings[cut[0]..cut[1]])).collect();
        let said_cut = [cut.run(first), cut.run(&pushes)].concat().concat();
        prop_assert_eq!(said_cut, said);
        prop_assert_eq!(json(&cut.state), json(&whole.state));
        prop_assert_eq!(cut.ids, whole.ids);
    }
}

proptest! {
    #![proptest_config(config(2_500))]

    /// Where readings came late: any that has changed something.
    #[test]
    fn repeated_readings_that_changed_something_change_nothing(
        world in some_world(1..=3),
        repeats in vec(any::<(Index, Index)>(), 1..6),
    ) {
        let (mut engine, mut repeated) = (Engine::new(&world), Engine::new(&world));
        let said = engine.run(&world.history);
        let has_changed = |state: &ZoneState, reading: &Measured| {
            let id = Digest::of(reading.text(&world).as_bytes());
            state.dedup_window.contains(DedupWindow::fingerprint(&id))
        };
        let (again, _) = run_with_repeats(&mut repeated, &repeats, has_changed);
        prop_assert_eq!(again, said);
        prop_assert_eq!(json(&repeated.state), json(&engine.state));
        prop_assert_eq!(repeated.ids, engine.ids);
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn what_is_remembered_survives_being_written_down(world in some_world(1..=3)) {
        let (mut engine, mut stored) = (Engine::new(&world), Engine::new(&world));
        for happening in &world.history {
            prop_assert_eq!(stored.happens(happening), engine.happens(happening));
            prop_assert_eq!(&stored.ids, &engine.ids, "the same causes have the same ids");
            let text = json(&stored.state);
            stored.state = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&stored.state, &engine.state);
            prop_assert_eq!(json(&stored.state), text);
        }
    }

    #[test]
    fn the_same_readings_make_the_same_ids_and_different_messages_different_ones(world in some_world(1..=3)) {
        let (mut engine, mut again) = (Engine::new(&world), Engine::new(&world));
        let said = engine.run(&world.history);
        prop_assert_eq!(again.run(&world.history), said);
        prop_assert_eq!(&again.ids, &engine.ids);
        let distinct: BTreeSet<EntryId> = engine.ids.iter().copied().collect();
        prop_assert_eq!(distinct.len(), engine.ids.len());
    }
}
