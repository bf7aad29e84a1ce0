//! The pushes of the gateways of buildings: at each interval a push of the new events, a large one after an outage; with faults.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;
use std::mem::take;
use std::sync::Arc;

use domain::archive::{Metadata, Object};
use domain::batch::{Batch, BatchId, Items, RejectedPart, Rejection};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::faults::{Faults, bad_body, bad_element};
use super::fleet::{Fleet, Plan};
use super::rng::{minutes, seeded};

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
/// The probability of each fault for a push.
const FAULT: f64 = 0.06;

/// An element of the array of a push, as JSON: a reading as a string, a Matrix event as an object.
type Element = Arc<str>;

/// The gateway of a building, with elements to send.
#[derive(Clone, Debug, Default)]
struct Gateway {
    elements: Vec<Element>,
    /// Elements that it has sent, and sends again with the next ones.
    again: Vec<Element>,
    offline_until_ms: i64,
}

/// All pushes of a site, in the order of their arrival.
#[derive(Debug)]
pub struct Pushes {
    events: Peekable<Fleet>,
    every_ms: i64,
    to_ms: i64,
    faults: Faults,
    rng: ChaCha8Rng,
    /// Two of each building: one for Matrix events, one for readings. The vendor enables them separately.
    gateways: Vec<Gateway>,
    waiting: BinaryHeap<Reverse<SimulatedPush>>,
    count: u64,
}

impl Pushes {
    /// The pushes of a plan with these faults. Each building pushes once every `every` (clamped to a second to a day), if there are
    /// events.
    #[must_use]
    pub fn new(plan: &Plan, every: SignedDuration, faults: Faults) -> Self {
        let fleet = Fleet::new(plan);
        Self {
            gateways: vec![Gateway::default(); 2 * fleet.buildings()],
            events: fleet.peekable(),
            every_ms: every.as_millis().clamp(1_000, 86_400_000) as i64,
            to_ms: plan.to.as_millisecond(),
            faults,
            rng: seeded(plan.seed, &["pushes"]),
            waiting: BinaryHeap::new(),
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
            let element = if event.is_reading { Value::from(event.text).to_string() } else { event.text };
            self.gateways[2 * event.building + usize::from(event.is_reading)].elements.push(element.into());
        }
        let is_last = self.events.peek().is_none();
        let outage = self.every_ms as f64 / (DAYS_BETWEEN_OUTAGES * 86_400_000.0);
        for index in 0..self.gateways.len() {
            if end_ms >= self.gateways[index].offline_until_ms || is_last {
                self.send(index, end_ms);
            }
            if self.rng.random_bool(outage) {
                self.gateways[index].offline_until_ms = end_ms + minutes(&mut self.rng, 15.0, 100.0);
            }
        }
    }

    /// Enqueues a push of all elements of a gateway, with faults.
    fn send(&mut self, index: usize, at_ms: i64) {
        let gateway = &mut self.gateways[index];
        if gateway.elements.is_empty() {
            return;
        }
        let mut elements = take(&mut gateway.elements);
        elements.append(&mut gateway.again);
        let faults = self.faults.0.map(|is_on| self.rng.random_bool(FAULT) && is_on);
        let [is_duplicated, is_late, is_reordered, is_bad, is_rebatched] = faults;
        if is_rebatched {
            gateway.again = elements.iter().filter(|_| self.rng.random_bool(0.4)).cloned().collect();
        }
        if is_late {
            let late = elements.extract_if(.., |_| self.rng.random_bool(0.4)).collect::<Vec<_>>();
            self.enqueue(at_ms, (3.0, 240.0), &late);
        }
        if is_bad {
            elements.push(bad_element(&mut self.rng).into());
            let body = bad_body(&mut self.rng);
            self.enqueue_body(at_ms, body);
        }
        if is_reordered {
            elements.shuffle(&mut self.rng);
        }
        self.enqueue(at_ms, if is_reordered { (1.0, 6.0) } else { (0.0, 0.0) }, &elements);
        if is_duplicated {
            self.enqueue(at_ms, (0.1, 20.0), &elements);
        }
    }

    /// Enqueues a push of these elements, if there are any, `least` to `most` minutes after `at_ms`.
    fn enqueue(&mut self, at_ms: i64, (least, most): (f64, f64), elements: &[Element]) {
        if !elements.is_empty() {
            let delay = minutes(&mut self.rng, least, most);
            self.enqueue_body(at_ms + delay, format!("[{}]", elements.join(",")).into_bytes());
        }
    }

    /// Enqueues a push within a second of `at_ms`, or of the end of the plan if that is earlier. Each arrives in a millisecond of its
    /// own, because archives order pushes by their receipt.
    fn enqueue_body(&mut self, at_ms: i64, body: Vec<u8>) {
        self.count += 1;
        let at_ms = at_ms.min(self.to_ms - 1_000) + (self.count % 1_000) as i64;
        let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
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
