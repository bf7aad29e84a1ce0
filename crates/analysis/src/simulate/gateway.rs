//! What a building's gateway makes of readings: now and then a push of what came since the last, after an outage a large
//! one.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::dice::Dice;
use super::fleet::{Event, Fleet, Plan};

/// One element of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The JSON text of a reading, sent as a string.
    Reading(Arc<str>),
    /// JSON that is sent as it stands: a Matrix event.
    Bare(Arc<str>),
}

/// What a gateway sends at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// When it is sent.
    pub at: Timestamp,
    /// What it holds, in order of time.
    pub items: Vec<Item>,
}

/// What a building's gateway has that was not sent yet.
#[derive(Clone, Debug, Default)]
struct Building {
    readings: Vec<Item>,
    events: Vec<Item>,
    /// While it has no connection: until when.
    offline_until_ms: i64,
}

/// A gateway loses its connection once in this many days, on average.
const DAYS_BETWEEN_OUTAGES: f64 = 12.0;
/// How long it then is offline, in minutes.
const OUTAGE_MINUTES: (f64, f64) = (15.0, 100.0);
/// A push reaches the receiver after at most this many milliseconds.
const TRANSIT_MS: i64 = 2_000;
/// The gateways' own dice, apart from those of devices and zones.
const STREAM: u64 = 1 << 41;

/// The batches of a site in order of time, by building: one for each interval in which there was something to send.
#[derive(Debug)]
pub struct Gateway {
    events: Peekable<Fleet>,
    every_ms: i64,
    to: Timestamp,
    dice: Dice,
    buildings: Vec<Building>,
    ready: VecDeque<Batch>,
}

impl Gateway {
    /// The batches of a plan, one every `every`; at least a second.
    #[must_use]
    pub fn new(plan: &Plan, every: SignedDuration) -> Self {
        let fleet = Fleet::new(plan);
        let buildings = vec![Building::default(); fleet.buildings()];
        let every_ms = every.as_millis().clamp(1_000, 86_400_000) as i64;
        let dice = Dice::new(plan.seed, STREAM);
        Self { events: fleet.peekable(), every_ms, to: plan.to, dice, buildings, ready: VecDeque::new() }
    }

    /// Takes what happens in the next interval in which anything does. `false` where nothing happens any more.
    fn fill(&mut self) -> bool {
        let Some(first) = self.events.peek() else { return false };
        let end_ms = (first.at.as_millisecond().div_euclid(self.every_ms) + 1) * self.every_ms;
        while let Some(event) = self.events.next_if(|event| event.at.as_millisecond() < end_ms) {
            let Event { building, is_reading, text, .. } = event;
            if let Some(building) = self.buildings.get_mut(building) {
                match is_reading {
                    true => building.readings.push(Item::Reading(text)),
                    false => building.events.push(Item::Bare(text)),
                }
            }
        }
        self.send(end_ms);
        true
    }

    /// Sends what the gateways have at `end_ms`, where they have a connection.
    fn send(&mut self, end_ms: i64) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day")]
        let outage = self.every_ms as f64 / (DAYS_BETWEEN_OUTAGES * 86_400_000.0);
        let mut batches = Vec::new();
        for building in &mut self.buildings {
            if end_ms < building.offline_until_ms {
                continue;
            }
            if self.dice.chance(outage) {
                building.offline_until_ms = end_ms + self.dice.minutes(OUTAGE_MINUTES.0, OUTAGE_MINUTES.1);
                continue;
            }
            // Matrix events are a push of their own, as the vendor switches them on separately.
            for items in [&mut building.readings, &mut building.events] {
                if !items.is_empty() {
                    let transit = i64::try_from(self.dice.below(TRANSIT_MS.unsigned_abs() as usize)).unwrap_or(0);
                    let at = Timestamp::from_millisecond(end_ms + transit).unwrap_or(self.to).min(self.to);
                    batches.push(Batch { at, items: std::mem::take(items) });
                }
            }
        }
        batches.sort_by_key(|batch| batch.at);
        self.ready.extend(batches);
    }

    /// What is left when the last interval has passed is sent then, outage or not.
    fn send_the_rest(&mut self) {
        for building in &mut self.buildings {
            for items in [&mut building.readings, &mut building.events] {
                if !items.is_empty() {
                    self.ready.push_back(Batch { at: self.to, items: std::mem::take(items) });
                }
            }
        }
    }
}

impl Iterator for Gateway {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        while self.ready.is_empty() && self.fill() {}
        if self.ready.is_empty() {
            self.send_the_rest();
        }
        self.ready.pop_front()
    }
}
