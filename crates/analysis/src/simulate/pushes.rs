//! Bodies, as they go over the wire.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::iter::Peekable;
use std::slice;
use std::sync::Arc;

use domain::archive::{Metadata, Object};
use domain::batch::{BatchId, Items, RejectedPart, Rejection};
use jiff::{SignedDuration, Timestamp};

use super::dice::Dice;
use super::faults::{Faults, bad_body, bad_item};
use super::fleet::Plan;
use super::gateway::{Batch, Gateway, Item};

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

/// Readings that may come again in another cut: the last so many.
const REMEMBERED: usize = 400;
/// Most readings that come again at once.
const COME_AGAIN: usize = 60;
/// How likely a push meets each fault.
const DUPLICATED: f64 = 0.06;
const HELD_BACK: f64 = 0.06;
const SHUFFLED: f64 = 0.2;
const OVERTAKEN: f64 = 0.05;
const BROKEN_ITEM: f64 = 0.06;
const BROKEN_BODY: f64 = 0.02;
const CUT_AGAIN: f64 = 0.04;
/// The faults' own dice, apart from those of the site.
const STREAM: u64 = 1 << 42;

/// All pushes of a site in the order in which they arrive. What waits is bounded by the faults' delays: hours.
#[derive(Debug)]
pub struct Pushes {
    batches: Peekable<Gateway>,
    faults: Faults,
    to: Timestamp,
    dice: Dice,
    waiting: BinaryHeap<Reverse<Push>>,
    recent: VecDeque<Item>,
    made: u64,
}

impl Pushes {
    /// The pushes of a plan, one every `every` of each building, with these faults.
    #[must_use]
    pub fn new(plan: &Plan, every: SignedDuration, faults: Faults) -> Self {
        Self {
            batches: Gateway::new(plan, every).peekable(),
            faults,
            to: plan.to,
            dice: Dice::new(plan.seed, STREAM),
            waiting: BinaryHeap::new(),
            recent: VecDeque::new(),
            made: 0,
        }
    }

    /// Makes what a batch becomes: the push itself, and whatever else the faults make of it.
    fn take(&mut self, batch: Batch) {
        let Batch { at, mut items } = batch;
        let faults = self.faults;
        if faults.rebatch {
            self.cut_again(at, &items);
        }
        if faults.late && self.dice.chance(HELD_BACK) {
            let (late, rest) = items.into_iter().partition::<Vec<_>, _>(|_| self.dice.chance(0.4));
            items = rest;
            self.send_after(at, (3.0, 240.0), &late);
        }
        if faults.reordered && self.dice.chance(SHUFFLED) {
            for last in (1..items.len()).rev() {
                items.swap(last, self.dice.below(last + 1));
            }
        }
        if faults.bad && self.dice.chance(BROKEN_ITEM) {
            let place = self.dice.below(items.len() + 1);
            items.insert(place, bad_item(&mut self.dice));
        }
        if faults.bad && self.dice.chance(BROKEN_BODY) {
            let body = bad_body(&mut self.dice);
            self.enqueue(at, body);
        }
        let minutes = if faults.reordered && self.dice.chance(OVERTAKEN) { (1.0, 6.0) } else { (0.0, 0.0) };
        self.send_after(at, minutes, &items);
        if faults.duplicates && self.dice.chance(DUPLICATED) {
            self.send_after(at, (0.1, 20.0), &items);
        }
    }

    fn cut_again(&mut self, at: Timestamp, items: &[Item]) {
        self.recent.extend(items.iter().cloned());
        let forgotten = self.recent.len().saturating_sub(REMEMBERED);
        self.recent.drain(..forgotten);
        if self.dice.chance(CUT_AGAIN) {
            let count = 1 + self.dice.below(self.recent.len().min(COME_AGAIN));
            let first = self.dice.below(self.recent.len().saturating_sub(count) + 1);
            let again: Vec<_> = self.recent.range(first..(first + count).min(self.recent.len())).cloned().collect();
            self.send_after(at, (0.5, 30.0), &again);
        }
    }

    /// Sends items so many minutes after `at`, and no later than the last moment that is simulated.
    fn send_after(&mut self, at: Timestamp, (least, most): (f64, f64), items: &[Item]) {
        if items.is_empty() {
            return;
        }
        let delay = if most > 0.0 { self.dice.minutes(least, most) } else { 0 };
        let at = at.checked_add(SignedDuration::from_millis(delay)).unwrap_or(self.to);
        self.enqueue(at, body(items).into());
    }

    fn enqueue(&mut self, at: Timestamp, body: Arc<[u8]>) {
        self.made += 1;
        self.waiting.push(Reverse(Push { at: at.min(self.to), number: self.made, body }));
    }
}

impl Iterator for Pushes {
    type Item = Push;

    fn next(&mut self) -> Option<Push> {
        loop {
            let next = self.waiting.peek().map(|push| push.0.at);
            // What is delayed by nothing goes before what is still to be made.
            match self.batches.next_if(|batch| next.is_none_or(|next| batch.at < next)) {
                Some(batch) => self.take(batch),
                None => return self.waiting.pop().map(|push| push.0),
            }
        }
    }
}

/// The body of a push: an array of strings, each the JSON text of a reading; and of bare objects.
fn body(items: &[Item]) -> Vec<u8> {
    let length: usize = items.iter().map(|item| item.text().len() + 100).sum();
    let mut body = Vec::with_capacity(length);
    body.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        match item {
            // Writing to memory cannot fail, and any text is a JSON string.
            Item::Reading(text) => drop(serde_json::to_writer(&mut body, text.as_ref())),
            Item::Bare(text) => body.extend_from_slice(text.as_bytes()),
        }
    }
    body.push(b']');
    body
}

impl Item {
    fn text(&self) -> &str {
        match self {
            Self::Reading(text) | Self::Bare(text) => text,
        }
    }
}
