//! The rule engine against a naive one that keeps every reading ([`naive`]), over random zones ([`worlds`]).
//!
//! [`features`] checks that the histories contain every feature. [`sums`] tests sums of more readings than are kept separately, and
//! [`rate_limit`] the rate limit that several copies of the program share.

mod channels;
mod features;
mod naive;
mod rate_limit;
mod sums;
pub(crate) mod worlds;

use std::collections::{BTreeMap, BTreeSet};

use naive::{ModelAlert, ModelLife, NaiveEngine, Sent, SentMessage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm};
use smartclean_push::domain::alert::life::{AlertLife, LifeEnd};
use smartclean_push::domain::alert::{Alert, AlertId, Message, Trigger};
use smartclean_push::domain::digest::Digest;
use smartclean_push::domain::engine::{Evaluation, evaluate, next_due, respond, sweep};
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::response::{Hold, ReceivedResponse, Response};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::{Channel, DedupWindow, EntryId, Facts, OutboxEntry, ZoneState};
use worlds::{Answered, Event, EventKind, Measured, Responded, World, minute, some_world, timestamp};

/// The engine with its state. Each message counts as sent at once.
struct Engine<'w> {
    world: &'w World,
    rules: RuleSet,
    state: ZoneState,
    ids: Vec<EntryId>,
    /// What the sweeps archived.
    facts: Facts,
}

impl<'w> Engine<'w> {
    fn new(world: &'w World) -> Self {
        Self { world, rules: world.rule_set(), state: ZoneState::default(), ids: Vec::new(), facts: Facts::default() }
    }

    fn apply(&mut self, event: &Event) -> Vec<Sent> {
        let evaluation = self.evaluate(event);
        let sent = self.commit(evaluation);
        if matches!(event.kind, EventKind::Sweep) {
            self.facts.append(self.state.lives.take_facts());
        }
        sent
    }

    /// The lives of alerts, ended and open ones, and the responses.
    fn lives(&self) -> (Vec<ModelLife>, Vec<(i64, Responded)>) {
        let mut all = self.facts.clone();
        all.append(self.state.lives.facts().clone());
        let ended = all.alerts.iter().filter(|life| life.end.is_some());
        let lives = ended.chain(self.state.lives.open()).map(life).collect();
        let responses = all.responses.iter().map(|ReceivedResponse { received, response }| {
            let Response { source, started, done, taken, snoozed, .. } = *response;
            let [started, done] = [started, done].map(|time| time.map(minute));
            let [taken, snoozed] = [taken, snoozed].map(|hold| hold.map(held));
            (minute(*received), Responded { source, started, done, taken, snoozed })
        });
        (lives, responses.collect())
    }

    fn evaluate(&mut self, event: &Event) -> Evaluation {
        let now = timestamp(event.now);
        let state = std::mem::take(&mut self.state);
        match &event.kind {
            EventKind::Sweep => sweep(&self.rules, state, now, true),
            EventKind::Responded(responded) => respond(&self.rules, state, &[&responded.response()], now, now),
            EventKind::Answered(Answered { which, responded }) => {
                let mut open: Vec<&AlertLife> = state.lives.open().iter().collect();
                open.sort_by_key(|life| (&life.rule, &life.device));
                // No zone has this one.
                let unknown = AlertId::of_silence("r0", "d0", timestamp(-1));
                let alert = open.get(which % open.len().max(1)).map_or(unknown, |life| life.alert);
                let answer = Response { alert: Some(alert), by: Some("A".to_owned()), ..responded.response() };
                respond(&self.rules, state, &[&answer], now, now)
            }
            EventKind::Push(readings) => {
                let texts: Vec<String> = readings.iter().map(|reading| reading.text(self.world)).collect();
                let readings: Vec<Reading<'_>> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
                evaluate(&self.rules, state, &readings.iter().collect::<Vec<_>>(), now, now)
            }
        }
    }

    fn commit(&mut self, evaluation: Evaluation) -> Vec<Sent> {
        self.state = evaluation.state;
        self.ids.extend(evaluation.messages.iter().map(|entry| entry.id));
        evaluation.messages.iter().map(sent_entry).collect()
    }

    /// The messages of each event of a history.
    fn run(&mut self, history: &[Event]) -> Vec<Vec<Sent>> {
        history.iter().map(|event| self.apply(event)).collect()
    }

    /// The messages that wait after a history in which none could be sent.
    fn run_unsent(&mut self, history: &[Event]) -> BTreeMap<EntryId, Sent> {
        for event in history {
            let Evaluation { state, messages, .. } = self.evaluate(event);
            self.state = state;
            self.state.outbox.add(messages, &[Channel::Sns]);
        }
        let outbox = std::mem::take(&mut self.state.outbox);
        outbox.entries().iter().map(|entry| (entry.id, sent_entry(entry))).collect()
    }
}

fn sent_entry(entry: &OutboxEntry) -> Sent {
    (entry.to.iter().map(|id| number(id)).collect(), sent(&entry.message))
}

/// The number in the name of a rule, a device or an audience: `r0`, `d1`, `a2`.
fn number(name: &str) -> usize {
    name[1..].parse().unwrap()
}

fn raised(alert: &Alert) -> ModelAlert {
    ModelAlert {
        rule: number(&alert.rule),
        device: number(alert.location.device.as_deref().unwrap()),
        at: minute(alert.at),
        severity: alert.severity,
        reasons: alert.reasons.clone(),
        since: since(alert.trigger),
    }
}

fn since(trigger: Trigger) -> Option<i64> {
    match trigger {
        Trigger::Repeated { since, .. } => Some(minute(since)),
        _ => None,
    }
}

fn held(Hold { at, until }: Hold) -> (i64, i64) {
    (minute(at), minute(until))
}

fn life(life: &AlertLife) -> ModelLife {
    ModelLife {
        rule: number(&life.rule),
        device: number(&life.device),
        at: minute(life.at),
        raised: minute(life.raised),
        severity: life.severity,
        reasons: life.reasons.clone(),
        since: since(life.trigger),
        acknowledged: life.acknowledged.map(minute),
        taken: life.taken.as_ref().map(|claim| held(claim.hold)),
        snoozed: life.snoozed.as_ref().map(|claim| held(claim.hold)),
        escalated: life
            .escalated
            .iter()
            .map(|step| (minute(step.at), step.to.iter().map(|id| number(id)).collect()))
            .collect(),
        to: life.to.iter().map(|id| number(id)).collect(),
        started: life.started.map(minute),
        done: life.done.iter().map(|(source, at)| (*source, minute(*at))).collect(),
        done_again: life.done_again.map(minute),
        contradicted: life.contradiction.as_ref().map(|found| minute(found.at)),
        end: life.end.map(|LifeEnd { at, reason }| (minute(at), reason)),
    }
}

fn sent(message: &Message) -> SentMessage {
    match message {
        Message::Firing { alerts, .. } => SentMessage::Firing(alerts.iter().map(raised).collect()),
        Message::Reminder { alert, at, unheard_since } => {
            SentMessage::Reminder { alert: raised(alert), at: minute(*at), is_last: unheard_since.is_some() }
        }
        Message::Escalated { alert, at, step, raised: known_since, taken } => SentMessage::Escalated {
            alert: raised(alert),
            at: minute(*at),
            step: *step,
            raised: minute(*known_since),
            taken: taken.as_ref().map(|claim| held(claim.hold)),
        },
        Message::Resolved { alert, at } => {
            let ModelAlert { rule, device, .. } = raised(alert);
            SentMessage::Resolved { rule, device, at: minute(*at) }
        }
        Message::Suppressed { alerts, more: 0, .. } => {
            SentMessage::Released(alerts.iter().map(|one| (raised(&one.alert), one.resolved_at.map(minute))).collect())
        }
        other => panic!("nobody asked for {other:?}"),
    }
}

/// The state document between two events.
fn json(state: &ZoneState) -> String {
    serde_json::to_string(state).unwrap()
}

pub(crate) fn config(cases: u32) -> Config {
    let failure_persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    // A cryptographic generator would take a quarter of the time.
    let rng_algorithm = RngAlgorithm::XorShift;
    Config { cases, max_shrink_time: 20_000, failure_persistence, rng_algorithm, ..Config::default() }
}

/// The same history without late readings, and without early ones that keep their time.
pub(crate) fn in_order(mut world: World) -> World {
    for event in &mut world.history {
        match &mut event.kind {
            EventKind::Push(readings) => {
                for reading in readings.iter_mut().filter(|reading| reading.at - event.now <= 5) {
                    reading.at = event.now;
                }
            }
            EventKind::Responded(Responded { started, done, .. }) => {
                [started, done].into_iter().flatten().for_each(|at| *at = event.now);
            }
            EventKind::Answered(Answered { responded, .. }) => {
                responded.done.iter_mut().for_each(|at| *at = event.now);
                [&mut responded.taken, &mut responded.snoozed]
                    .into_iter()
                    .flatten()
                    .for_each(|(at, _)| *at = event.now);
            }
            EventKind::Sweep => {}
        }
    }
    world
}

/// Runs a history with repeated readings. Two indices select each of them: the event after which it is repeated, and the reading
/// among those that `may_repeat` allows. Returns the messages and the number of repeated readings.
fn run_with_repeats(
    engine: &mut Engine<'_>,
    repeats: &[(Index, Index)],
    may_repeat: impl Fn(&ZoneState, &Measured) -> bool,
) -> (Vec<Vec<Sent>>, usize) {
    let (mut before, mut all_sent, mut count): (Vec<Measured>, Vec<Vec<Sent>>, usize) = Default::default();
    let history = &engine.world.history;
    for (number, event) in history.iter().enumerate() {
        let mut sent = engine.apply(event);
        if let EventKind::Push(readings) = &event.kind {
            before.extend(readings.iter().cloned());
        }
        for (_, which) in repeats.iter().filter(|(when, _)| when.index(history.len()) == number) {
            let known: Vec<&Measured> = before.iter().filter(|reading| may_repeat(&engine.state, reading)).collect();
            if !known.is_empty() {
                let again = EventKind::Push(vec![which.get(&known).to_owned().clone()]);
                sent.extend(engine.apply(&Event { now: event.now, kind: again }));
                count += 1;
            }
        }
        all_sent.push(sent);
    }
    (all_sent, count)
}

fn the_engine_agrees(world: &World) -> Result<(), TestCaseError> {
    let (mut engine, mut naive) = (Engine::new(world), NaiveEngine::new(world));
    let mut before: Vec<(i64, Sent)> = Vec::new();
    for event in &world.history {
        let due = next_due(&engine.rules, &engine.state);
        let mut expected = naive.apply(event);
        let mut sent = engine.apply(event);
        if matches!(event.kind, EventKind::Sweep) {
            let now = timestamp(event.now);
            prop_assert!(sent.is_empty() || due.is_some_and(|due| due <= now), "nothing is due at {:?}", event);
            let next = next_due(&engine.rules, &engine.state);
            prop_assert!(next.is_none_or(|next| next > now), "still due at {next:?}, after {:?}", event);
        }
        if matches!(event.kind, EventKind::Responded(_) | EventKind::Answered(_) | EventKind::Sweep) {
            // The order of resolved notices and reminders of one event is not defined.
            expected.sort();
            sent.sort();
        }
        prop_assert_eq!(&sent, &expected, "at {:?}, after {:?}", event, before);
        before.extend(sent.into_iter().map(|sent| (event.now, sent)));
        let (mut lives, responses) = engine.lives();
        let mut expected = naive.lives.clone();
        lives.sort();
        expected.sort();
        prop_assert_eq!(&lives, &expected, "lives at {:?}, after {:?}", event, before);
        prop_assert_eq!(&responses, &naive.responses);
    }
    Ok(())
}

// Two halves of ten thousand cases, which run in parallel.
proptest! {
    #![proptest_config(config(5_000))]

    #[test]
    fn the_engine_agrees_with_the_naive_engine_on_one_rule(world in some_world(1..=1)) {
        the_engine_agrees(&world)?;
    }

    #[test]
    fn the_engine_agrees_with_the_naive_engine_on_several_rules(world in some_world(2..=4)) {
        the_engine_agrees(&world)?;
    }
}

proptest! {
    #![proptest_config(config(10_000))]

    /// Any earlier reading, without late readings.
    #[test]
    fn repeated_readings_change_nothing(world in some_world(1..=3), repeats in vec(any::<(Index, Index)>(), 1..6)) {
        let world = in_order(world);
        let (mut engine, mut repeated) = (Engine::new(&world), Engine::new(&world));
        let sent = engine.run(&world.history);
        let (again, _) = run_with_repeats(&mut repeated, &repeats, |_, _| true);
        prop_assert_eq!(again, sent);
        prop_assert_eq!(json(&repeated.state), json(&engine.state));
        prop_assert_eq!(repeated.ids, engine.ids);
    }

    /// The second half of a history arrives at once: in one push, or in several pushes in the order of time. A worse reading
    /// revokes the resolved notice of its time unless it was sent, so no message is sent meanwhile.
    #[test]
    fn the_result_does_not_depend_on_how_readings_are_cut_into_pushes(world in some_world(1..=3), cuts in vec(any::<Index>(), 1..6)) {
        let now = world.history.last().unwrap().now;
        let (first, second) = world.history.split_at(world.history.len() / 2);
        let counts_at = |reading: &Measured| if reading.at > now + 5 { now } else { reading.at };
        let mut readings: Vec<Measured> = second.iter().flat_map(Event::readings).cloned().collect();
        readings.sort_by_key(counts_at);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(readings.len() + 1)).collect();
        cuts.extend([0, readings.len()]);
        cuts.sort_unstable();
        let push = |readings: &[Measured]| Event { now, kind: EventKind::Push(readings.to_vec()) };

        let (mut whole, mut cut) = (Engine::new(&world), Engine::new(&world));
        let sent = (whole.run(first), whole.run_unsent(&[push(&readings)]));
        let pushes: Vec<Event> = cuts.windows(2).map(|cut| push(&readings[cut[0]..cut[1]])).collect();
        prop_assert_eq!((cut.run(first), cut.run_unsent(&pushes)), sent);
        prop_assert_eq!(json(&cut.state), json(&whole.state));
    }
}

proptest! {
    #![proptest_config(config(2_500))]

    /// Earlier readings that changed the state, also late ones.
    #[test]
    fn repeated_readings_that_changed_something_change_nothing(
        world in some_world(1..=3),
        repeats in vec(any::<(Index, Index)>(), 1..6),
    ) {
        let (mut engine, mut repeated) = (Engine::new(&world), Engine::new(&world));
        let sent = engine.run(&world.history);
        let has_changed = |state: &ZoneState, reading: &Measured| {
            let id = Digest::of(reading.text(&world).as_bytes());
            state.dedup_window.contains(DedupWindow::fingerprint(&id))
        };
        let (again, _) = run_with_repeats(&mut repeated, &repeats, has_changed);
        prop_assert_eq!(again, sent);
        prop_assert_eq!(json(&repeated.state), json(&engine.state));
        prop_assert_eq!(repeated.ids, engine.ids);
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn the_state_survives_a_round_trip_through_json(world in some_world(1..=3)) {
        let (mut engine, mut stored) = (Engine::new(&world), Engine::new(&world));
        for event in &world.history {
            prop_assert_eq!(stored.apply(event), engine.apply(event));
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
        let sent = engine.run(&world.history);
        prop_assert_eq!(again.run(&world.history), sent);
        prop_assert_eq!(&again.ids, &engine.ids);
        let distinct: BTreeSet<EntryId> = engine.ids.iter().copied().collect();
        prop_assert_eq!(distinct.len(), engine.ids.len());
    }
}
