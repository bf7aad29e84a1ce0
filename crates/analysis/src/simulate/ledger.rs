//! What was sent and what was answered: two lines a push, the first written before it is sent, so that a push that was
//! never answered is known as well.

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use domain::archive::ObjectKey;
use domain::batch::{BatchId, Items};
use domain::digest::Digest;

/// The first half of a reading's id: 16 bytes, shown as 32 hex digits. No two of a ledger's readings share it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortId(u128);

impl ShortId {
    /// The short form of a reading's id.
    #[must_use]
    pub fn of(id: &Digest) -> Self {
        Self(id.as_bytes().iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte)))
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ShortId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32);
        number.map(Self).ok_or("an id is 32 hex digits")
    }
}

impl Serialize for ShortId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ShortId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a push holds, as its receiver must see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When the run began, in milliseconds since 1970: tells one run's pushes from another's.
    pub run: i64,
    /// The number of the push in its run, from 1.
    pub push: u64,
    /// When it was sent.
    pub at: Timestamp,
    /// Its batch id.
    pub batch: String,
    /// The name of the object that keeps its readings; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub object: Option<String>,
    /// The ids of its readings, in order.
    pub ids: Vec<ShortId>,
    /// How many of its items are no reading.
    pub bad: usize,
    /// Whether its body is a batch at all.
    pub is_batch: bool,
}

impl Entry {
    /// The entry of a body that is to be sent at `at`.
    #[must_use]
    pub fn of(run: i64, push: u64, at: Timestamp, body: &[u8]) -> Self {
        let id = BatchId::of(body);
        let mut entry =
            Self { run, push, at, batch: id.to_string(), object: None, ids: Vec::new(), bad: 0, is_batch: false };
        if let Ok(items) = Items::split(body) {
            let batch = items.read();
            entry.is_batch = true;
            entry.bad = batch.rejections.len();
            entry.ids = batch.readings.iter().map(|reading| ShortId::of(&reading.id())).collect();
            let key = || ObjectKey::of_readings(id, &batch.readings).to_string();
            entry.object = (!entry.ids.is_empty()).then(key);
        }
        entry
    }
}

/// The counts of a receiver's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Items in the batch.
    pub received: usize,
    /// Well-formed ones.
    pub accepted: usize,
    /// The others.
    pub rejected: usize,
    /// Accepted ones that were known.
    pub duplicates: usize,
    /// Limits that were crossed.
    pub alerts: usize,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// As of the [entry](Entry::run).
    pub run: i64,
    /// As of the [entry](Entry::push).
    pub push: u64,
    /// The status of the answer; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// Its counts, where it has them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub answer: Option<Answer>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Entry(Entry),
    Reply(Reply),
}

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    /// The file cannot be read. A retry may help.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// A line is not one that `simulate` writes.
    #[error("line {0} is not one of a ledger")]
    Foreign(usize),
}

/// What is known of the pushes of one body, however often it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) batch: String,
    pub(super) object: Option<String>,
    pub(super) readings: usize,
    pub(super) bad: usize,
    /// Whether any of them was answered in a way that says that it is kept: 2xx, or 400.
    pub(super) is_acknowledged: bool,
}

/// A whole ledger, settled: of every body whether it was acknowledged, of every reading as well.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Pushes that were answered with 2xx.
    pub answered: u64,
    /// Bodies that were refused with 400, and have to be kept all the same.
    pub refused: u64,
    /// Pushes without an answer, or with one that promises nothing.
    pub unanswered: u64,
    /// Readings in pushes that were answered with 2xx, copies counted.
    pub deliveries: u64,
    /// What is wrong with the answers themselves.
    pub(super) faults: Vec<String>,
    pub(super) bodies: Vec<Known>,
    /// Each reading, and the first body that has it; acknowledged ones before others.
    pub(super) readings: HashMap<ShortId, usize>,
    by_batch: HashMap<String, usize>,
}

impl Ledger {
    /// Reads the lines of a ledger.
    ///
    /// # Errors
    /// [`LedgerFault`] where the file cannot be read, or is no ledger.
    pub fn read(lines: impl BufRead) -> Result<Self, LedgerFault> {
        let mut ledger = Self::default();
        let mut open: HashMap<(i64, u64), Entry> = HashMap::new();
        for (index, line) in lines.lines().enumerate() {
            let line = line?;
            match serde_json::from_str(&line).map_err(|_| LedgerFault::Foreign(index + 1))? {
                Line::Entry(entry) => drop(open.insert((entry.run, entry.push), entry)),
                Line::Reply(reply) => {
                    let entry = open.remove(&(reply.run, reply.push)).ok_or(LedgerFault::Foreign(index + 1))?;
                    ledger.settle(&entry, &reply);
                }
            }
        }
        for entry in open.values() {
            ledger.unanswered += 1;
            ledger.note(entry, false);
        }
        Ok(ledger)
    }

    /// The body of that batch id, if the ledger has it.
    pub(super) fn body(&self, batch: &str) -> Option<usize> {
        self.by_batch.get(batch).copied()
    }

    fn settle(&mut self, entry: &Entry, reply: &Reply) {
        let is_acknowledged = match reply.status {
            Some(200..=299) => {
                self.answered += 1;
                self.deliveries += entry.ids.len() as u64;
                self.compare(entry, reply);
                true
            }
            Some(400) if !entry.is_batch => {
                self.refused += 1;
                true
            }
            Some(400) => {
                self.faults
                    .push(format!("push {} (batch {}) is a batch, and was answered 400", entry.push, entry.batch));
                false
            }
            _ => {
                self.unanswered += 1;
                false
            }
        };
        self.note(entry, is_acknowledged);
    }

    /// Whether the answer counts what was sent.
    fn compare(&mut self, entry: &Entry, reply: &Reply) {
        let sent = (entry.ids.len() + entry.bad, entry.ids.len(), entry.bad);
        let counted = reply.answer.map(|answer| (answer.received, answer.accepted, answer.rejected));
        if counted != Some(sent) || !entry.is_batch {
            let (received, accepted, rejected) = sent;
            self.faults.push(format!(
                "push {} (batch {}) was {received} items, {accepted} good and {rejected} bad; its answer counts {}",
                entry.push,
                entry.batch,
                counted.map_or("nothing".to_owned(), |(r, a, b)| format!("{r}, {a} and {b}")),
            ));
        }
    }

    fn note(&mut self, entry: &Entry, is_acknowledged: bool) {
        let index = *self.by_batch.entry(entry.batch.clone()).or_insert_with(|| {
            self.bodies.push(Known {
                batch: entry.batch.clone(),
                object: entry.object.clone(),
                readings: entry.ids.len(),
                bad: if entry.is_batch { entry.bad } else { 1 },
                is_acknowledged: false,
            });
            self.bodies.len() - 1
        });
        self.bodies[index].is_acknowledged |= is_acknowledged;
        for id in &entry.ids {
            let first = self.readings.entry(*id).or_insert(index);
            if is_acknowledged && !self.bodies[*first].is_acknowledged {
                *first = index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"["{\"unixT\":1654063185}", 7, "{\"unixT\":1654063186}"]"#;

    fn entry(push: u64, body: &[u8]) -> String {
        serde_json::to_string(&Entry::of(1, push, Timestamp::UNIX_EPOCH, body)).unwrap()
    }

    fn read(lines: &[String]) -> Ledger {
        Ledger::read(lines.join("\n").as_bytes()).unwrap()
    }

    fn reply(push: u64, status: u16, counts: (usize, usize, usize)) -> String {
        let (received, accepted, rejected) = counts;
        let answer = Answer { received, accepted, rejected, ..Answer::default() };
        let reply = Reply { run: 1, push, status: Some(status), answer: Some(answer), error: None };
        serde_json::to_string(&reply).unwrap()
    }

    #[test]
    fn an_answered_push_is_acknowledged_and_an_unanswered_one_is_not() {
        let ledger = read(&[entry(1, BODY), entry(2, b"[]"), reply(1, 200, (3, 2, 1))]);
        assert_eq!((ledger.answered, ledger.unanswered, ledger.deliveries), (1, 1, 2));
        let acknowledged: Vec<_> = ledger.bodies.iter().map(|body| (body.readings, body.is_acknowledged)).collect();
        assert_eq!(acknowledged, [(2, true), (0, false)]);
        assert!(ledger.faults.is_empty());
    }

    #[test]
    fn an_answer_that_miscounts_is_a_fault() {
        assert_eq!(read(&[entry(1, BODY), reply(1, 200, (3, 2, 1))]).faults.len(), 0);
        assert_eq!(read(&[entry(1, BODY), reply(1, 200, (3, 3, 0))]).faults.len(), 1);
    }

    #[test]
    fn a_refused_body_is_acknowledged_only_where_it_is_no_batch() {
        assert_eq!(read(&[entry(1, b"{}"), reply(1, 400, (0, 0, 0))]).refused, 1);
        assert_eq!(read(&[entry(1, BODY), reply(1, 400, (0, 0, 0))]).faults.len(), 1);
    }

    #[test]
    fn a_body_that_was_answered_once_is_acknowledged_whatever_came_of_its_copy() {
        for replies in
            [[reply(1, 200, (3, 2, 1)), reply(2, 503, (0, 0, 0))], [reply(1, 503, (0, 0, 0)), reply(2, 200, (3, 2, 1))]]
        {
            let ledger = read(&[&[entry(1, BODY), entry(2, BODY)], &replies[..]].concat());
            assert_eq!((ledger.bodies.len(), ledger.bodies[0].is_acknowledged), (1, true));
        }
    }

    #[test]
    fn half_a_line_is_named() {
        let whole = entry(1, BODY);
        let half = format!("{whole}\n{}", &whole[..40]);
        assert!(matches!(Ledger::read(half.as_bytes()), Err(LedgerFault::Foreign(2))));
    }
}
