//! Messages that are to be sent. They commit with the state that made them, and stay until they are known as sent.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::alert::Message;
use crate::digest::Digest;

/// A message's identity: the same cause makes the same message, however often it is evaluated.
pub type EntryId = Digest;

/// A message that is to be sent: facts, from which the words are made when it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its identity.
    pub id: EntryId,
    /// When it was put here.
    pub made: Timestamp,
    /// From when on the sweep may send it: now, or once the lease of who is sending it is over.
    pub due: Timestamp,
    /// What it says.
    pub message: Message,
}

/// Messages that are to be sent, in the order they were made. Written as the list of them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Vec<Entry>")]
pub struct Outbox {
    entries: Vec<Entry>,
    /// Their ids: thousands of messages can wait.
    ids: HashSet<EntryId, RandomState>,
}

impl From<Vec<Entry>> for Outbox {
    fn from(entries: Vec<Entry>) -> Self {
        let ids = entries.iter().map(|entry| entry.id).collect();
        Self { entries, ids }
    }
}

impl Serialize for Outbox {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}

impl Outbox {
    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The messages.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds a message made at `made`, unless it is there. It is due at once.
    pub fn push(&mut self, message: Message, made: Timestamp) -> EntryId {
        let id = message.id();
        if self.ids.insert(id) {
            self.entries.push(Entry { id, made, due: made, message });
        }
        id
    }

    /// When the first message is due.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.entries.iter().map(|entry| entry.due).min()
    }

    /// The messages that are due at `now`: nobody is sending them.
    pub fn waiting(&self, now: Timestamp) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.due <= now)
    }

    /// Leases those of these messages that are due at `now`, the `most` most urgent of them, to the caller until `until`:
    /// nobody else sends them before that.
    pub fn lease(&mut self, ids: &HashSet<EntryId>, most: usize, now: Timestamp, until: Timestamp) -> Vec<Entry> {
        let mut leased: Vec<&mut Entry> =
            self.entries.iter_mut().filter(|entry| entry.due <= now && ids.contains(&entry.id)).collect();
        leased.sort_by_key(|entry| entry.message.urgency());
        let leased = leased.into_iter().take(most);
        leased
            .map(|entry| {
                entry.due = until;
                entry.clone()
            })
            .collect()
    }

    /// Forgets messages that were sent.
    pub fn remove<'i>(&mut self, sent: impl IntoIterator<Item = &'i EntryId>) {
        for id in sent {
            self.ids.remove(id);
        }
        self.entries.retain(|entry| self.ids.contains(&entry.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notice::Notice;

    fn second(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + number).unwrap()
    }

    fn message(number: i64) -> Message {
        Message::Notice(Notice::NothingArrives { since: second(number) })
    }

    /// Three messages, made at these seconds.
    fn made_at(seconds: [i64; 3]) -> (Outbox, [EntryId; 3]) {
        let mut outbox = Outbox::default();
        let ids = [0, 1, 2].map(|number| {
            let made = second(seconds[usize::try_from(number).unwrap()]);
            outbox.push(message(number), made)
        });
        (outbox, ids)
    }

    fn ids<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<EntryId> {
        entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn a_message_is_there_once_and_keeps_its_place_and_time() {
        let (mut outbox, known) = made_at([60, 61, 62]);
        assert_eq!(outbox.push(message(1), second(99)), known[1]);
        assert_eq!(ids(outbox.entries()), known);
        assert_eq!((outbox.entries()[1].made, outbox.entries()[1].due), (second(61), second(61)));
    }

    #[test]
    fn it_is_due_when_its_first_message_is() {
        assert_eq!(Outbox::default().due(), None);
        assert_eq!(made_at([70, 60, 80]).0.due(), Some(second(60)));
    }

    #[test]
    fn what_is_due_is_leased_to_one_at_a_time() {
        let (mut outbox, known) = made_at([60, 61, 60]);
        let all = HashSet::from(known);
        assert_eq!(outbox.lease(&all, 9, second(59), second(99)), []);
        let leased = outbox.lease(&all, 9, second(60), second(90));
        assert_eq!(ids(&leased), [known[0], known[2]]);
        assert!(leased.iter().all(|entry| entry.due == second(90)));
        assert_eq!(outbox.lease(&all, 9, second(60), second(90)), []);
        assert_eq!((outbox.due(), ids(outbox.waiting(second(61)))), (Some(second(61)), vec![known[1]]));
        assert_eq!(outbox.lease(&all, 9, second(90), second(120)).len(), 3, "whoever had them is over");
    }

    #[test]
    fn no_more_is_leased_than_was_asked_for() {
        let (mut outbox, known) = made_at([60, 60, 60]);
        assert_eq!(ids(&outbox.lease(&HashSet::from([known[1], known[2]]), 1, second(60), second(90))), [known[1]]);
        assert_eq!(outbox.lease(&HashSet::from(known), 0, second(60), second(90)), []);
        assert_eq!(ids(outbox.waiting(second(60))), [known[0], known[2]]);
    }

    #[test]
    fn what_was_sent_is_forgotten_and_nothing_else() {
        let (mut outbox, known) = made_at([60, 61, 62]);
        outbox.remove(&[known[0], known[2]]);
        assert_eq!(ids(outbox.entries()), [known[1]]);
        assert!(!outbox.is_empty());
        outbox.remove(&known);
        assert!(outbox.is_empty());
    }
}
