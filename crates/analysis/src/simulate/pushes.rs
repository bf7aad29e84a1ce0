//! The pushes of the gateways of buildings: at each interval a push of the new events, a large one after an outage; with faults.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::iter::Peekable;
use std::mem::take;
use std::sync::Arc;

use domain::archive::{Metadata, Object};
use domain::batch::{Batch, BatchId, Items, RejectedPart, Rejection};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::faults::{Faults, bad_body, bad_element};
use super::fleet::{Fleet, Plan, SimulatedEvent};
use super::rng::SeededRng;

/// A push of a simulated building.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimulatedPush {
    /// When the receiver gets it.
    pub at: Timestamp,
    /// Its number. It orders pushes of the same moment.
    pub number: u64,
    /// Its body.
    pub body: Arc<[u8]>,
}

impl SimulatedPush {
    /// The objects that a receiver stores: readings and rejections, if there are any.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        let id = BatchId::of(&self.body);
        let metadata = || Metadata {
            received: self.at,
            request_id: format!("simulate-{}", self.number),
            source: "simulate".to_owned(),
            lines: 0,
        };
        let items = Items::split(&self.body);
        let Batch { readings, rejections } = match &items {
            Ok(items) => items.read(),
            Err(error) => {
                let (reason, raw) = (error.to_string(), self.body.as_ref().into());
                Batch { readings: Vec::new(), rejections: vec![Rejection { part: RejectedPart::Body, reason, raw }] }
            }
        };
        let readings = (!readings.is_empty()).then(|| Object::of_readings(id, &readings, metadata()));
        let rejections = (!rejections.is_empty()).then(|| Object::of_rejections(id, &rejections, metadata()));
        readings.into_iter().chain(rejections).collect()
    }
}

/// Mean days between two outages of a gateway.
const DAYS_BETWEEN_OUTAGES: f64 = 12.0;
/// Minutes that an outage takes.
const OUTAGE_MINUTES: (f64, f64) = (15.0, 100.0);
/// Minutes from the end of an interval until its push arrives.
const TRANSIT_MINUTES: (f64, f64) = (0.0, 2.0 / 60.0);
/// Most readings that can be sent again: the newest ones.
const MAX_RECENT: usize = 400;
/// Most readings that are sent again at once.
const MAX_REBATCHED: usize = 60;
/// The probability of each fault for a push.
const DUPLICATED: f64 = 0.06;
const DELAYED: f64 = 0.06;
const SHUFFLED: f64 = 0.2;
const OVERTAKEN: f64 = 0.05;
const BROKEN_ITEM: f64 = 0.06;
const BROKEN_BODY: f64 = 0.02;
const REBATCHED: f64 = 0.04;

/// An element of the array of a push, as JSON: a reading as a string, a Matrix event as an object.
type Element = Arc<str>;

/// The gateway of a building, with elements to send.
#[derive(Clone, Debug, Default)]
struct Gateway {
    readings: Vec<Element>,
    events: Vec<Element>,
    offline_until_ms: i64,
}

/// All pushes of a site, in the order of their arrival.
#[derive(Debug)]
pub struct Pushes {
    events: Peekable<Fleet>,
    every_ms: i64,
    to: Timestamp,
    faults: Faults,
    rng: SeededRng,
    gateways: Vec<Gateway>,
    waiting: BinaryHeap<Reverse<SimulatedPush>>,
    recent: VecDeque<Element>,
    count: u64,
}

impl Pushes {
    /// The pushes of a plan with these faults. Each building pushes once every `every` (clamped to a second to a day), if there are
    /// events.
    #[must_use]
    pub fn new(plan: &Plan, every: SignedDuration, faults: Faults) -> Self {
        let fleet = Fleet::new(plan);
        Self {
            gateways: vec![Gateway::default(); fleet.buildings()],
            events: fleet.peekable(),
            every_ms: every.as_millis().clamp(1_000, 86_400_000) as i64,
            to: plan.to,
            faults,
            rng: SeededRng::new(plan.seed, &["pushes"]),
            waiting: BinaryHeap::new(),
            recent: VecDeque::new(),
            count: 0,
        }
    }

    /// The end of the interval of the next event.
    fn next_end_ms(&mut self) -> Option<i64> {
        let at_ms = self.events.peek()?.at.as_millisecond();
        Some((at_ms.div_euclid(self.every_ms) + 1) * self.every_ms)
    }

    /// Sends the events until `end_ms`, and those of ended outages. All outages end with the last event.
    fn send_until(&mut self, end_ms: i64) {
        while let Some(event) = self.events.next_if(|event| event.at.as_millisecond() < end_ms) {
            let SimulatedEvent { building, is_reading, text, .. } = event;
            let gateway = &mut self.gateways[building];
            match is_reading {
                true => gateway.readings.push(Value::from(text).to_string().into()),
                false => gateway.events.push(text.into()),
            }
        }
        let is_last = self.events.peek().is_none();
        let outage = self.every_ms as f64 / (DAYS_BETWEEN_OUTAGES * 86_400_000.0);
        for index in 0..self.gateways.len() {
            let gateway = &mut self.gateways[index];
            if end_ms < gateway.offline_until_ms && !is_last {
                continue;
            }
            if self.rng.chance(outage) && !is_last {
                gateway.offline_until_ms = end_ms + self.rng.minutes(OUTAGE_MINUTES.0, OUTAGE_MINUTES.1);
                continue;
            }
            // Matrix events are pushed separately: the vendor enables them separately.
            for elements in [take(&mut gateway.readings), take(&mut gateway.events)] {
                if !elements.is_empty() {
                    let transit = self.rng.minutes(TRANSIT_MINUTES.0, TRANSIT_MINUTES.1);
                    self.send(end_ms + transit, elements);
                }
            }
        }
    }

    /// Enqueues a push of these elements, with faults.
    fn send(&mut self, at_ms: i64, mut elements: Vec<Element>) {
        let faults = self.faults;
        if faults.rebatch {
            self.rebatch(at_ms, &elements);
        }
        if faults.late && self.rng.chance(DELAYED) {
            let (late, rest) = elements.into_iter().partition::<Vec<_>, _>(|_| self.rng.chance(0.4));
            elements = rest;
            self.enqueue(at_ms, (3.0, 240.0), &late);
        }
        if faults.reordered && self.rng.chance(SHUFFLED) {
            for last in (1..elements.len()).rev() {
                elements.swap(last, self.rng.below(last + 1));
            }
        }
        if faults.bad && self.rng.chance(BROKEN_ITEM) {
            let index = self.rng.below(elements.len() + 1);
            elements.insert(index, bad_element(&mut self.rng).into());
        }
        if faults.bad && self.rng.chance(BROKEN_BODY) {
            let body = bad_body(&mut self.rng);
            self.enqueue_body(at_ms, body);
        }
        let is_overtaken = faults.reordered && self.rng.chance(OVERTAKEN);
        self.enqueue(at_ms, if is_overtaken { (1.0, 6.0) } else { (0.0, 0.0) }, &elements);
        if faults.duplicates && self.rng.chance(DUPLICATED) {
            self.enqueue(at_ms, (0.1, 20.0), &elements);
        }
    }

    /// Sometimes enqueues a push of recent elements.
    fn rebatch(&mut self, at_ms: i64, elements: &[Element]) {
        self.recent.extend(elements.iter().cloned());
        let surplus = self.recent.len().saturating_sub(MAX_RECENT);
        self.recent.drain(..surplus);
        if self.rng.chance(REBATCHED) {
            let first = self.rng.below(self.recent.len());
            let count = 1 + self.rng.below(MAX_REBATCHED);
            let rebatched: Vec<_> = self.recent.iter().skip(first).take(count).cloned().collect();
            self.enqueue(at_ms, (0.5, 30.0), &rebatched);
        }
    }

    /// Enqueues a push of these elements, if there are any, `least` to `most` minutes after `at_ms`.
    fn enqueue(&mut self, at_ms: i64, (least, most): (f64, f64), elements: &[Element]) {
        if !elements.is_empty() {
            let delay = self.rng.minutes(least, most);
            self.enqueue_body(at_ms + delay, format!("[{}]", elements.join(",")).into_bytes());
        }
    }

    /// Enqueues a push at `at_ms`, or at the end of the plan if that is earlier.
    fn enqueue_body(&mut self, at_ms: i64, body: Vec<u8>) {
        self.count += 1;
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(self.to).min(self.to);
        self.waiting.push(Reverse(SimulatedPush { at, number: self.count, body: body.into() }));
    }
}

impl Iterator for Pushes {
    type Item = SimulatedPush;

    fn next(&mut self) -> Option<SimulatedPush> {
        // The events of an interval arrive after its end.
        while let Some(end_ms) = self.next_end_ms()
            && self.waiting.peek().is_none_or(|push| push.0.at.as_millisecond() >= end_ms)
        {
            self.send_until(end_ms);
        }
        self.waiting.pop().map(|push| push.0)
    }
}
