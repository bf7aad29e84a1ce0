//! What the gateways of buildings make of events: now and then a push of what came since the last, after an outage a large one;
//! and what faults make of that.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::iter::Peekable;
use std::mem::take;
use std::slice;
use std::sync::Arc;

use domain::archive::{Metadata, Object};
use domain::batch::{BatchId, Items, RejectedPart, Rejection};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::dice::Dice;
use super::faults::{Faults, bad_body, bad_element};
use super::fleet::{Event, Fleet, Plan};

/// One push.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Push {
    /// When it reaches the receiver.
    pub at: Timestamp,
    /// Its number. Of two pushes at the same moment the lower goes first.
    pub number: u64,
    /// Its body.
    pub body: Arc<[u8]>,
}

impl Push {
    /// What a receiver stores of it if it is received at its moment: readings and rejections, each if there are any.
    #[must_use]
    pub fn objects(&self) -> Vec<Object> {
        let id = BatchId::of(&self.body);
        let metadata = || Metadata {
            received: self.at,
            request_id: format!("simulate-{}", self.number),
            source: "simulate".to_owned(),
            lines: 0,
        };
        let items = match Items::split(&self.body) {
            Ok(items) => items,
            Err(error) => {
                let raw = self.body.as_ref().into();
                let whole = Rejection { part: RejectedPart::Body, reason: error.to_string(), raw };
                return vec![Object::of_rejections(id, slice::from_ref(&whole), metadata())];
            }
        };
        let batch = items.read();
        let readings = (!batch.readings.is_empty()).then(|| Object::of_readings(id, &batch.readings, metadata()));
        let rejections =
            (!batch.rejections.is_empty()).then(|| Object::of_rejections(id, &batch.rejections, metadata()));
        readings.into_iter().chain(rejections).collect()
    }
}

/// A gateway loses its connection once in this many days, on average.
const DAYS_BETWEEN_OUTAGES: f64 = 12.0;
/// How long it then is offline, in minutes.
const OUTAGE_MINUTES: (f64, f64) = (15.0, 100.0);
/// A push reaches the receiver within this many minutes.
const TRANSIT_MINUTES: (f64, f64) = (0.0, 2.0 / 60.0);
/// Readings that may come again in another cut: the last so many.
const RECENT: usize = 400;
/// Most readings that come again at once.
const COME_AGAIN: usize = 60;
/// How likely a push meets each fault.
const DUPLICATED: f64 = 0.06;
const DELAYED: f64 = 0.06;
const SHUFFLED: f64 = 0.2;
const OVERTAKEN: f64 = 0.05;
const BROKEN_ITEM: f64 = 0.06;
const BROKEN_BODY: f64 = 0.02;
const CUT_AGAIN: f64 = 0.04;

/// An element of a push's array, as JSON: a reading as a string, a Matrix event as the object that it is.
type Element = Arc<str>;

/// What a building's gateway has not sent yet.
#[derive(Clone, Debug, Default)]
struct Building {
    readings: Vec<Element>,
    events: Vec<Element>,
    /// Until when it has no connection.
    offline_until_ms: i64,
}

/// All pushes of a site in the order in which they arrive. What waits is bounded by the faults' delays: hours.
#[derive(Debug)]
pub struct Pushes {
    events: Peekable<Fleet>,
    every_ms: i64,
    to: Timestamp,
    faults: Faults,
    dice: Dice,
    buildings: Vec<Building>,
    waiting: BinaryHeap<Reverse<Push>>,
    recent: VecDeque<Element>,
    made: u64,
}

impl Pushes {
    /// The pushes of a plan, one every `every` of each building if there is something to send, with these faults. At least a
    /// second, at most a day.
    #[must_use]
    pub fn new(plan: &Plan, every: SignedDuration, faults: Faults) -> Self {
        let fleet = Fleet::new(plan);
        Self {
            buildings: vec![Building::default(); fleet.buildings()],
            events: fleet.peekable(),
            every_ms: every.as_millis().clamp(1_000, 86_400_000) as i64,
            to: plan.to,
            faults,
            dice: Dice::new(plan.seed, &["pushes"]),
            waiting: BinaryHeap::new(),
            recent: VecDeque::new(),
            made: 0,
        }
    }

    /// The end of the interval of the next event, if there is one.
    fn next_end_ms(&mut self) -> Option<i64> {
        let at_ms = self.events.peek()?.at.as_millisecond();
        Some((at_ms.div_euclid(self.every_ms) + 1) * self.every_ms)
    }

    /// Sends what happens until `end_ms`, and what is left from before, from the buildings that have a connection. After the last
    /// event all have one.
    fn send_until(&mut self, end_ms: i64) {
        while let Some(event) = self.events.next_if(|event| event.at.as_millisecond() < end_ms) {
            let Event { building, is_reading, text, .. } = event;
            let building = &mut self.buildings[building];
            match is_reading {
                true => building.readings.push(Value::from(text).to_string().into()),
                false => building.events.push(text.into()),
            }
        }
        let is_last = self.events.peek().is_none();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day")]
        let outage = self.every_ms as f64 / (DAYS_BETWEEN_OUTAGES * 86_400_000.0);
        for index in 0..self.buildings.len() {
            let building = &mut self.buildings[index];
            if end_ms < building.offline_until_ms && !is_last {
                continue;
            }
            if self.dice.chance(outage) && !is_last {
                building.offline_until_ms = end_ms + self.dice.minutes(OUTAGE_MINUTES.0, OUTAGE_MINUTES.1);
                continue;
            }
            // Matrix events are a push of their own, as the vendor switches them on separately.
            for elements in [take(&mut building.readings), take(&mut building.events)] {
                if !elements.is_empty() {
                    let transit = self.dice.minutes(TRANSIT_MINUTES.0, TRANSIT_MINUTES.1);
                    self.send(end_ms + transit, elements);
                }
            }
        }
    }

    /// Makes a push of these elements, and whatever else the faults make of it.
    fn send(&mut self, at_ms: i64, mut elements: Vec<Element>) {
        let faults = self.faults;
        if faults.rebatch {
            self.cut_again(at_ms, &elements);
        }
        if faults.late && self.dice.chance(DELAYED) {
            let (late, rest) = elements.into_iter().partition::<Vec<_>, _>(|_| self.dice.chance(0.4));
            elements = rest;
            self.enqueue(at_ms, (3.0, 240.0), &late);
        }
        if faults.reordered && self.dice.chance(SHUFFLED) {
            for last in (1..elements.len()).rev() {
                elements.swap(last, self.dice.below(last + 1));
            }
        }
        if faults.bad && self.dice.chance(BROKEN_ITEM) {
            let location = self.dice.below(elements.len() + 1);
            elements.insert(location, bad_element(&mut self.dice).into());
        }
        if faults.bad && self.dice.chance(BROKEN_BODY) {
            let body = bad_body(&mut self.dice);
            self.enqueue_body(at_ms, body);
        }
        let is_overtaken = faults.reordered && self.dice.chance(OVERTAKEN);
        self.enqueue(at_ms, if is_overtaken { (1.0, 6.0) } else { (0.0, 0.0) }, &elements);
        if faults.duplicates && self.dice.chance(DUPLICATED) {
            self.enqueue(at_ms, (0.1, 20.0), &elements);
        }
    }

    /// Now and then sends some of the last readings again.
    fn cut_again(&mut self, at_ms: i64, elements: &[Element]) {
        self.recent.extend(elements.iter().cloned());
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
        if self.dice.chance(CUT_AGAIN) {
            let first = self.dice.below(self.recent.len());
            let count = 1 + self.dice.below(COME_AGAIN);
            let again: Vec<_> = self.recent.iter().skip(first).take(count).cloned().collect();
            self.enqueue(at_ms, (0.5, 30.0), &again);
        }
    }

    /// Makes a body of these elements, if there are any, which arrives so many minutes after `at_ms`.
    fn enqueue(&mut self, at_ms: i64, (least, most): (f64, f64), elements: &[Element]) {
        if !elements.is_empty() {
            let delay = self.dice.minutes(least, most);
            self.enqueue_body(at_ms + delay, format!("[{}]", elements.join(",")).into_bytes());
        }
    }

    /// Adds a push that arrives at `at_ms`, and no later than the last moment that is simulated.
    fn enqueue_body(&mut self, at_ms: i64, body: Vec<u8>) {
        self.made += 1;
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(self.to).min(self.to);
        self.waiting.push(Reverse(Push { at, number: self.made, body: body.into() }));
    }
}

impl Iterator for Pushes {
    type Item = Push;

    fn next(&mut self) -> Option<Push> {
        // What happens in an interval arrives after its end.
        while let Some(end_ms) = self.next_end_ms()
            && self.waiting.peek().is_none_or(|push| push.0.at.as_millisecond() >= end_ms)
        {
            self.send_until(end_ms);
        }
        self.waiting.pop().map(|push| push.0)
    }
}
