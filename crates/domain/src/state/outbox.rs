//! The outbox: messages are committed with the zone state. Each has a delivery per channel, which is removed once it is sent.

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::{Message, is_zero};
use crate::digest::Digest;
use crate::words;

/// Lease of a delivery by a channel that a push uses. It exceeds the run time of the function (29 s), so another copy does not
/// send the message meanwhile.
pub const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// Longest time from one attempt to the next.
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_mins(30);

/// The id of a message: a hash of its cause, so that the same cause has the same id, however often it is evaluated.
pub type EntryId = Digest;

words! {
    /// A way to send messages.
    pub enum Channel {
        /// The SNS topic of a stack.
        Sns = "sns",
        /// The file `alerts.ndjson`.
        Log = "log",
        /// Email by SMTP.
        Email = "email",
        /// A signed webhook.
        Webhook = "webhook",
    }
}

impl Channel {
    /// The time until the next attempt, and the lease of this one. Doubles with each attempt of a channel that no push waits for.
    fn backoff(self, attempts: usize) -> SignedDuration {
        match self {
            Self::Sns | Self::Log => LEASE,
            Self::Email | Self::Webhook => {
                let doublings = u32::try_from(attempts.saturating_sub(1)).map_or(u32::MAX, |attempts| attempts.min(8));
                LONGEST_BACKOFF.min(LEASE * 2_i32.pow(doublings))
            }
        }
    }
}

/// A message to send. It holds facts; the text is rendered when it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// The id.
    pub id: EntryId,
    /// When it was created.
    pub created: Timestamp,
    /// The facts.
    pub message: Message,
    /// The ids of the audiences that it goes to; empty for everybody.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub to: Vec<String>,
    /// The deliveries that are not sent yet.
    pub deliveries: BTreeMap<Channel, PendingDelivery>,
}

/// A delivery that is not sent yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDelivery {
    /// From when a sender can take it: at once, or when the lease of the present one ends, for example because it failed or died.
    pub due: Timestamp,
    /// The number of attempts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: usize,
    /// The recipients that need no further attempt: they have the message, or refused it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<String>,
}

impl OutboxEntry {
    /// A message to the audiences `to`, created at `created`. The outbox adds its deliveries.
    #[must_use]
    pub fn new(message: Message, to: Vec<String>, created: Timestamp) -> Self {
        let mut id = message.id();
        for audience in &to {
            // Others can get the same message at another time.
            id = Digest::of_fields(&[id.as_bytes(), audience.as_bytes()]);
        }
        Self { id, created, message, to, deliveries: BTreeMap::new() }
    }
}

/// The messages to send.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Outbox {
    entries: Vec<OutboxEntry>,
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

    /// Adds the messages that are not there yet, each with a delivery per channel that is due at once. Returns their ids, the
    /// most urgent first.
    pub fn add(&mut self, mut messages: Vec<OutboxEntry>, channels: &[Channel]) -> Vec<EntryId> {
        // Thousands can wait.
        let mut ids: HashSet<EntryId, RandomState> = self.entries.iter().map(|entry| entry.id).collect();
        messages.retain(|entry| ids.insert(entry.id));
        messages.sort_by_key(|entry| entry.message.urgency());
        for entry in &mut messages {
            let delivery = PendingDelivery { due: entry.created, attempts: 0, done: Vec::new() };
            entry.deliveries = channels.iter().map(|channel| (*channel, delivery.clone())).collect();
        }
        let added = messages.iter().map(|entry| entry.id).collect();
        self.entries.append(&mut messages);
        added
    }

    /// Leases the deliveries by `channel` of these messages that are due at `now` to the caller: no other sender takes them until
    /// the backoff of this attempt ends. Returns the messages.
    pub fn lease(&mut self, channel: Channel, ids: &HashSet<EntryId>, now: Timestamp) -> Vec<OutboxEntry> {
        let mut leased = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| ids.contains(&entry.id)) {
            if let Some(delivery) = entry.deliveries.get_mut(&channel).filter(|delivery| delivery.due <= now) {
                delivery.attempts += 1;
                delivery.due = now.checked_add(channel.backoff(delivery.attempts)).unwrap_or(now);
                leased.push(entry.clone());
            }
        }
        leased
    }

    /// Records a failed attempt: the delivery is due at `until` if that is later, and these recipients need no further attempt.
    pub fn postpone(&mut self, channel: Channel, id: EntryId, until: Timestamp, done: &[String]) {
        let entry = self.entries.iter_mut().find(|entry| entry.id == id);
        if let Some(delivery) = entry.and_then(|entry| entry.deliveries.get_mut(&channel)) {
            delivery.due = delivery.due.max(until);
            let new: Vec<String> = done.iter().filter(|to| !delivery.done.contains(to)).cloned().collect();
            delivery.done.extend(new);
        }
    }

    /// Removes the deliveries by `channel` of these messages, because they are sent.
    pub fn remove(&mut self, channel: Channel, ids: &HashSet<EntryId>) {
        self.retain(|id, of| of != channel || !ids.contains(&id));
    }

    /// Removes and returns the first message that `is_it` selects, unless a channel has tried to send it.
    pub fn revoke(&mut self, is_it: impl Fn(&OutboxEntry) -> bool) -> Option<OutboxEntry> {
        let is_untried = |entry: &OutboxEntry| entry.deliveries.values().all(|delivery| delivery.attempts == 0);
        let index = self.entries.iter().position(|entry| is_untried(entry) && is_it(entry))?;
        Some(self.entries.remove(index))
    }

    /// Removes the deliveries by other channels than these. Returns the number of them.
    pub fn retain_channels(&mut self, channels: &[Channel]) -> usize {
        let mut removed = 0;
        self.retain(|_, channel| {
            let is_kept = channels.contains(&channel);
            removed += usize::from(!is_kept);
            is_kept
        });
        removed
    }

    /// Keeps these deliveries, and the messages that have one.
    fn retain(&mut self, mut is_kept: impl FnMut(EntryId, Channel) -> bool) {
        self.entries.retain_mut(|entry| {
            entry.deliveries.retain(|channel, _| is_kept(entry.id, *channel));
            !entry.deliveries.is_empty()
        });
    }

    /// When the first delivery is due.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.entries.iter().flat_map(|entry| entry.deliveries.values()).map(|delivery| delivery.due).min()
    }

    /// The messages whose delivery by `channel` is due at `now`.
    pub fn waiting(&self, channel: Channel, now: Timestamp) -> impl Iterator<Item = &OutboxEntry> {
        let is_due =
            move |entry: &&OutboxEntry| entry.deliveries.get(&channel).is_some_and(|delivery| delivery.due <= now);
        self.entries.iter().filter(is_due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::notice::Notice;

    const BOTH: [Channel; 2] = [Channel::Log, Channel::Email];

    fn second(number: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + number).unwrap()
    }

    fn message(number: i64) -> Message {
        Message::Notice(Notice::NothingArrives { since: second(number) })
    }

    /// Three messages for two channels, created at these seconds.
    fn created_at(seconds: [i64; 3]) -> (Outbox, [EntryId; 3]) {
        let mut outbox = Outbox::default();
        let entries = [0, 1, 2].map(|number| {
            let created = second(seconds[usize::try_from(number).unwrap()]);
            OutboxEntry::new(message(number), Vec::new(), created)
        });
        let ids = [0, 1, 2].map(|number: usize| entries[number].id);
        assert_eq!(outbox.add(entries.to_vec(), &BOTH), ids);
        (outbox, ids)
    }

    fn ids<'e>(entries: impl IntoIterator<Item = &'e OutboxEntry>) -> Vec<EntryId> {
        entries.into_iter().map(|entry| entry.id).collect()
    }

    fn waiting(outbox: &Outbox, channel: Channel, now: i64) -> Vec<EntryId> {
        ids(outbox.waiting(channel, second(now)))
    }

    #[test]
    fn a_message_that_is_there_is_not_added_again() {
        let (mut outbox, known) = created_at([60, 61, 62]);
        // Not even a delivery that was sent.
        outbox.remove(Channel::Log, &HashSet::from(known));
        assert_eq!(outbox.add(vec![OutboxEntry::new(message(1), Vec::new(), second(99))], &BOTH), []);
        assert_eq!(waiting(&outbox, Channel::Log, 99), []);
        let twice = OutboxEntry::new(message(3), Vec::new(), second(99));
        assert_eq!(outbox.add(vec![twice.clone(), twice.clone()], &BOTH), [twice.id]);
        assert_eq!(ids(outbox.entries()), [known.as_slice(), &[twice.id]].concat());
        assert_eq!(outbox.entries()[1].created, second(61));
    }

    #[test]
    fn the_outbox_is_due_when_its_first_delivery_is() {
        assert_eq!(Outbox::default().due(), None);
        let (mut outbox, known) = created_at([70, 60, 80]);
        assert_eq!(outbox.due(), Some(second(60)));
        outbox.remove(Channel::Log, &HashSet::from(known));
        assert_eq!(outbox.due(), Some(second(60)), "the other channel's");
        outbox.remove(Channel::Email, &HashSet::from([known[1]]));
        assert_eq!(outbox.due(), Some(second(70)));
    }

    #[test]
    fn a_due_delivery_is_leased_to_one_sender_at_a_time() {
        let (mut outbox, known) = created_at([60, 61, 60]);
        let all = HashSet::from(known);
        assert_eq!(outbox.lease(Channel::Log, &all, second(59)), []);
        assert_eq!(ids(&outbox.lease(Channel::Log, &all, second(60))), [known[0], known[2]]);
        assert_eq!(outbox.lease(Channel::Log, &all, second(60)), []);
        assert_eq!((outbox.due(), waiting(&outbox, Channel::Log, 61)), (Some(second(60)), vec![known[1]]));
        assert_eq!(outbox.lease(Channel::Log, &all, second(119)).len(), 1);
        assert_eq!(outbox.lease(Channel::Log, &all, second(120)).len(), 2, "the leases are over");
        assert_eq!(waiting(&outbox, Channel::Email, 60), [known[0], known[2]], "a lease is for one channel");
        assert_eq!(outbox.lease(Channel::Webhook, &all, second(999)), [], "a channel that they do not have");
    }

    #[test]
    fn a_push_channel_is_tried_every_minute_and_another_after_twice_as_long_each_time_up_to_half_an_hour() {
        let minutes = |channel| {
            let mut outbox = Outbox::default();
            let id =
                HashSet::from_iter(outbox.add(vec![OutboxEntry::new(message(0), Vec::new(), second(0))], &[channel]));
            let lease = |_| {
                let now = outbox.due().unwrap();
                assert_eq!(outbox.lease(channel, &id, now).len(), 1);
                outbox.due().unwrap().duration_since(now).as_mins()
            };
            (0..70).map(lease).collect::<Vec<_>>()
        };
        for channel in [Channel::Sns, Channel::Log] {
            assert_eq!(minutes(channel), [1; 70]);
        }
        for channel in [Channel::Email, Channel::Webhook] {
            assert_eq!(minutes(channel)[..7], [1, 2, 4, 8, 16, 30, 30]);
            assert_eq!(minutes(channel).last(), Some(&30));
        }
    }

    #[test]
    fn a_failed_delivery_is_postponed_and_keeps_who_is_done() {
        let (mut outbox, known) = created_at([60, 60, 60]);
        outbox.lease(Channel::Email, &HashSet::from(known), second(60));
        let [one, other] = ["a@example.com", "b@example.com"].map(str::to_owned);
        outbox.postpone(Channel::Email, known[0], second(600), std::slice::from_ref(&one));
        outbox.postpone(Channel::Email, known[0], second(600), &[one.clone(), other.clone()]);
        outbox.postpone(Channel::Email, known[1], second(61), &[]);
        outbox.postpone(Channel::Webhook, known[2], second(600), &["no such delivery".to_owned()]);
        let deliveries: Vec<_> =
            outbox.entries().iter().map(|entry| entry.deliveries[&Channel::Email].clone()).collect();
        assert_eq!((deliveries[0].due, &deliveries[0].done), (second(600), &vec![one, other]), "each once");
        assert_eq!((deliveries[1].due, deliveries[2].due), (second(120), second(120)), "the lease ends later");
        assert_eq!(waiting(&outbox, Channel::Email, 120), known[1..]);
    }

    #[test]
    fn sent_deliveries_are_removed_and_no_others() {
        let (mut outbox, known) = created_at([60, 61, 62]);
        outbox.remove(Channel::Email, &HashSet::from([known[0], known[2]]));
        assert_eq!(waiting(&outbox, Channel::Email, 99), [known[1]]);
        assert_eq!(waiting(&outbox, Channel::Log, 99), known);
        outbox.remove(Channel::Log, &HashSet::from(known));
        assert_eq!(ids(outbox.entries()), [known[1]], "a message without deliveries is removed");
        outbox.remove(Channel::Email, &HashSet::from(known));
        assert!(outbox.is_empty());
        assert_eq!(
            outbox.add(vec![OutboxEntry::new(message(0), Vec::new(), second(60))], &BOTH).len(),
            1,
            "it can be added again"
        );
    }

    #[test]
    fn deliveries_by_a_channel_that_is_no_longer_configured_are_removed() {
        let (mut outbox, known) = created_at([60, 61, 62]);
        outbox.remove(Channel::Log, &HashSet::from([known[0]]));
        assert_eq!(outbox.retain_channels(&BOTH), 0);
        assert_eq!(outbox.retain_channels(&[Channel::Log, Channel::Webhook]), 3);
        assert_eq!(ids(outbox.entries()), known[1..]);
        assert_eq!(
            (waiting(&outbox, Channel::Log, 99), waiting(&outbox, Channel::Email, 99)),
            (known[1..].to_vec(), vec![])
        );
    }

    #[test]
    fn a_delivery_adds_few_bytes_to_the_document() {
        let mut outbox = Outbox::default();
        let id =
            HashSet::from_iter(outbox.add(vec![OutboxEntry::new(message(0), Vec::new(), second(0))], &[Channel::Sns]));
        outbox.lease(Channel::Sns, &id, second(0));
        let text = serde_json::to_string(&outbox.entries()[0].deliveries).unwrap();
        assert_eq!(text, r#"{"sns":{"due":"2027-01-15T08:01:00Z","attempts":1}}"#);
        assert_eq!(serde_json::from_str::<Outbox>(&serde_json::to_string(&outbox).unwrap()).unwrap(), outbox);
    }
}
