//! Messages that are to be sent. They commit with the state that made them, and stay until they are known as sent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::Message;
use crate::domain::digest::Digest;

/// A message's identity: the same cause makes the same message, however often it is evaluated.
pub type EntryId = Digest;

/// A message that is to be sent: facts, from which the words are made when it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its identity.
    pub id: EntryId,
    /// When it was put here.
    pub made: Timestamp,
    /// From when on the sweep may send it: whoever made it tries first.
    pub due: Timestamp,
    /// What it says.
    pub message: Message,
}

/// Messages that are to be sent, in the order they were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outbox(Vec<Entry>);

impl Outbox {
    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The messages.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Adds a message made at `made`, unless it is there.
    pub fn push(&mut self, message: Message, made: Timestamp, due: Timestamp) -> EntryId {
        let id = message.id();
        if !self.0.iter().any(|entry| entry.id == id) {
            self.0.push(Entry { id, made, due, message });
        }
        id
    }

    /// When the first message is due.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.0.iter().map(|entry| entry.due).min()
    }

    /// Leases the messages that are due at `now` to the caller until `until`: nobody else takes them before that.
    pub fn lease(&mut self, now: Timestamp, until: Timestamp) -> Vec<Entry> {
        let due = self.0.iter_mut().filter(|entry| entry.due <= now);
        due.map(|entry| {
            entry.due = until;
            entry.clone()
        })
        .collect()
    }

    /// Forgets messages that were sent.
    pub fn remove(&mut self, sent: &[EntryId]) {
        self.0.retain(|entry| !sent.contains(&entry.id));
    }
}
