//! The outbox: messages are committed with the zone state, and removed once they are sent.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::alert::Message;
use crate::digest::Digest;

/// The id of a message: a hash of its cause, so that the same cause has the same id, however often it is evaluated.
pub type EntryId = Digest;

/// A message to send. It holds facts; the text is rendered when it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// The id.
    pub id: EntryId,
    /// When it was created.
    pub created: Timestamp,
    /// From when another sender can take it: at once, or when the lease of the present one ends, for example because it died.
    pub due: Timestamp,
    /// The facts.
    pub message: Message,
}

impl OutboxEntry {
    /// A message created at `created` and due at once.
    #[must_use]
    pub fn new(message: Message, created: Timestamp) -> Self {
        Self { id: message.id(), created, due: created, message }
    }
}

/// The messages to send. Serialized as a list.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Vec<OutboxEntry>")]
pub struct Outbox {
    entries: Vec<OutboxEntry>,
    /// The ids of the entries, because thousands can wait.
    ids: HashSet<EntryId, RandomState>,
}

impl From<Vec<OutboxEntry>> for Outbox {
    fn from(entries: Vec<OutboxEntry>) -> Self {
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
    /// Whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The messages.
    #[must_use]
    pub fn entries(&self) -> &[OutboxEntry] {
        &self.entries
    }

    /// Adds the messages that are not there yet. Leases the `most` most urgent of them to the caller: no other sender takes
    /// them before `until`. Returns the leased ones.
    pub fn put(&mut self, mut messages: Vec<OutboxEntry>, most: usize, until: Timestamp) -> Vec<OutboxEntry> {
        messages.retain(|entry| self.ids.insert(entry.id));
        messages.sort_by_key(|entry| entry.message.urgency());
        messages.iter_mut().take(most).for_each(|entry| entry.due = until);
        let leased = messages.iter().take(most).cloned().collect();
        self.entries.append(&mut messages);
        leased
    }

    /// Removes and returns the messages with these ids that are due at `now`: to lease them again, or because they are sent,
    /// with the greatest time.
    pub fn take(&mut self, ids: &HashSet<EntryId>, now: Timestamp) -> Vec<OutboxEntry> {
        let is_taken = |entry: &mut OutboxEntry| entry.due <= now && ids.contains(&entry.id);
        let taken: Vec<_> = self.entries.extract_if(.., is_taken).collect();
        for entry in &taken {
            self.ids.remove(&entry.id);
        }
        taken
    }

    /// When the first message is due.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.entries.iter().map(|entry| entry.due).min()
    }

    /// The messages that are due at `now`.
    pub fn waiting(&self, now: Timestamp) -> impl Iterator<Item = &OutboxEntry> {
        self.entries.iter().filter(move |entry| entry.due <= now)
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

    /// Three messages, created at these seconds.
    fn created_at(seconds: [i64; 3]) -> (Outbox, [EntryId; 3]) {
        let mut outbox = Outbox::default();
        let entries = [0, 1, 2].map(|number| {
            let created = second(seconds[usize::try_from(number).unwrap()]);
            OutboxEntry::new(message(number), created)
        });
        let ids = [0, 1, 2].map(|number: usize| entries[number].id);
        outbox.put(entries.to_vec(), 0, Timestamp::MAX);
        (outbox, ids)
    }

    fn ids<'e>(entries: impl IntoIterator<Item = &'e OutboxEntry>) -> Vec<EntryId> {
        entries.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn a_message_that_is_there_is_not_added_again() {
        let (mut outbox, known) = created_at([60, 61, 62]);
        assert_eq!(outbox.put(vec![OutboxEntry::new(message(1), second(99))], 1, second(120)), []);
        let twice = OutboxEntry::new(message(3), second(99));
        assert_eq!(outbox.put(vec![twice.clone(), twice.clone()], 0, second(120)), []);
        assert_eq!(ids(outbox.entries()), [known.as_slice(), &[twice.id]].concat());
        assert_eq!((outbox.entries()[1].created, outbox.entries()[1].due), (second(61), second(61)));
    }

    #[test]
    fn the_outbox_is_due_when_its_first_message_is() {
        assert_eq!(Outbox::default().due(), None);
        assert_eq!(created_at([70, 60, 80]).0.due(), Some(second(60)));
    }

    #[test]
    fn a_due_message_is_leased_to_one_sender_at_a_time() {
        let (mut outbox, known) = created_at([60, 61, 60]);
        let all = HashSet::from(known);
        let lease = |outbox: &mut Outbox, now, until| {
            let due = outbox.take(&all, now);
            outbox.put(due, 9, until)
        };
        assert_eq!(lease(&mut outbox, second(59), second(99)), []);
        let leased = lease(&mut outbox, second(60), second(90));
        assert_eq!(ids(&leased), [known[0], known[2]]);
        assert!(leased.iter().all(|entry| (entry.created, entry.due) == (second(60), second(90))));
        assert_eq!(lease(&mut outbox, second(60), second(90)), []);
        assert_eq!((outbox.due(), ids(outbox.waiting(second(61)))), (Some(second(61)), vec![known[1]]));
        assert_eq!(lease(&mut outbox, second(90), second(120)).len(), 3, "the leases are over");
    }

    #[test]
    fn no_more_messages_are_leased_than_requested() {
        let (mut outbox, known) = created_at([60, 60, 60]);
        let taken = outbox.take(&HashSet::from([known[1], known[2]]), second(60));
        assert_eq!(ids(&outbox.put(taken, 1, second(90))), [known[1]]);
        assert_eq!(ids(outbox.waiting(second(60))), [known[0], known[2]]);
    }

    #[test]
    fn sent_messages_are_removed_and_no_others() {
        let (mut outbox, known) = created_at([60, 61, 62]);
        outbox.take(&HashSet::from([known[0], known[2]]), Timestamp::MAX);
        assert_eq!(ids(outbox.entries()), [known[1]]);
        assert!(!outbox.is_empty());
        outbox.take(&HashSet::from(known), Timestamp::MAX);
        assert!(outbox.is_empty());
        assert_eq!(
            outbox.put(vec![OutboxEntry::new(message(0), second(60))], 1, second(90)).len(),
            1,
            "it can be added again"
        );
    }
}
