//! Sending what the outboxes hold: within the cap one by one, above it as a digest, never not at all.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;

use super::documents::{load, written};
use super::ports::{AlertPublisher, Commit, StateStore, Unavailable};
use super::zones::{Outgoing, pause, settle};
use crate::domain::alert::Message;
use crate::domain::alert::cap::{Allowance, Caps};
use crate::domain::alert::digest::digest;
use crate::domain::alert::render::{Rendered, render};
use crate::domain::engine::Evaluation;
use crate::domain::rules::RuleSet;
use crate::domain::state::{EntryId, ZoneState};

/// The document that says how much of the caps is used; one a topic, and there is one topic.
const ALLOWANCE: &str = "allowance";
/// Most bytes of text in one digest, well below SNS's 256 KB a message with all its other texts.
const LARGEST_DIGEST: usize = 24 * 1024;
/// Longest that asking for the allowance takes.
pub const ALLOWED_WITHIN: Duration = Duration::from_secs(1);
/// Longest that noting what was sent takes.
pub const FORGOTTEN_WITHIN: Duration = Duration::from_secs(2);
/// How often the allowance is read anew because somebody else used of it meanwhile. After that it counts as used up.
const RETRIES: u32 = 5;

/// What came of sending.
#[derive(Debug, Default)]
pub(super) struct Dispatched {
    /// Messages sent.
    pub(super) messages: usize,
    /// Messages not sent; what they say stays in the outboxes.
    pub(super) failed: usize,
    /// Why the first of those was not.
    pub(super) first_failure: Option<Unavailable>,
    /// When the oldest of what those say was put into its outbox.
    pub(super) oldest_unsent: Option<Timestamp>,
    /// Digests among the messages sent.
    pub(super) digests: usize,
}

/// A message and the outbox entries that it speaks for.
struct Planned {
    rendered: Rendered,
    entries: Vec<usize>,
    is_digest: bool,
}

/// Sends messages and takes those that were sent out of their outboxes. What is not sent stays there for the sweep.
pub(super) async fn dispatch<T: StateStore, P: AlertPublisher>(
    store: &T,
    publisher: &P,
    rules: &RuleSet,
    mut outgoing: Vec<Outgoing>,
    now: Timestamp,
) -> Dispatched {
    if outgoing.is_empty() {
        return Dispatched::default();
    }
    // The worst first, then the oldest: they are the ones that go out one by one.
    outgoing.sort_by_key(|outgoing| outgoing.entry.message.urgency());
    let count = outgoing.len();
    let (alone, sms) = timeout(ALLOWED_WITHIN, allowed(store, &rules.caps, count, now))
        .await
        .unwrap_or_else(|_| cap_of_one(&rules.caps, count, now));
    // Never part of a digest, which is about devices; they are first, and few.
    let notices = outgoing.iter().filter(|outgoing| matches!(outgoing.entry.message, Message::Notice(_))).count();
    let planned = plan(&outgoing, alone.max(notices), sms);
    let rendered: Vec<Rendered> = planned.iter().map(|planned| planned.rendered.clone()).collect();
    let outcomes = publisher.publish(&rendered).await;
    let mut dispatched = Dispatched::default();
    let mut unsent: HashSet<usize> = HashSet::new();
    for (planned, outcome) in planned.iter().zip(outcomes) {
        match outcome {
            Ok(()) => {
                dispatched.messages += 1;
                dispatched.digests += usize::from(planned.is_digest);
            }
            Err(failure) => {
                dispatched.failed += 1;
                dispatched.first_failure.get_or_insert(failure);
                unsent.extend(&planned.entries);
            }
        }
    }
    dispatched.oldest_unsent = unsent.iter().map(|index| outgoing[*index].entry.made).min();
    if timeout(FORGOTTEN_WITHIN, forget(store, rules, &outgoing, &unsent)).await.is_err() {
        tracing::warn!("what was sent could not be noted in time, and will be sent again");
    }
    dispatched
}

/// How many of `count` messages may go out one by one, and how many messages may go out by SMS as well. One shared
/// count for everybody who sends; where it cannot be read, the cap of one sender counts.
async fn allowed<T: StateStore>(store: &T, caps: &Caps, count: usize, now: Timestamp) -> (usize, usize) {
    for attempt in 0..=RETRIES {
        let Ok((mut allowance, document)) = load::<Allowance>(store, ALLOWANCE).await else { break };
        let alone = alone(count, allowance.left(caps, now));
        let messages = alone + usize::from(alone < count);
        let sms = allowance.take(messages, caps, now);
        let Ok(body) = written(&allowance) else { break };
        match store.commit(ALLOWANCE, document.version, &body, None).await {
            Ok(Commit::Done) => return (alone, sms),
            Ok(Commit::Lost) => pause(attempt).await,
            Err(_) => break,
        }
    }
    cap_of_one(caps, count, now)
}

/// What one sender may send that knows of no other.
fn cap_of_one(caps: &Caps, count: usize, now: Timestamp) -> (usize, usize) {
    let alone = alone(count, Allowance::default().left(caps, now));
    (alone, alone + 1)
}

/// How many of `count` messages go out one by one where `left` are left: all, or room is kept for the digest.
fn alone(count: usize, left: usize) -> usize {
    if count <= left { count } else { left.saturating_sub(1) }
}

/// The first `alone` messages as they are and the others as a digest; the first `sms` of all by SMS as well.
fn plan(outgoing: &[Outgoing], alone: usize, sms: usize) -> Vec<Planned> {
    let mut planned: Vec<Planned> = outgoing[..alone]
        .iter()
        .enumerate()
        .map(|(index, outgoing)| Planned {
            rendered: render(&outgoing.entry.message),
            entries: vec![index],
            is_digest: false,
        })
        .collect();
    let rest: Vec<&Message> = outgoing[alone..].iter().map(|outgoing| &outgoing.entry.message).collect();
    if !rest.is_empty() {
        // Each part speaks for all: what one part did not get across is said again as a whole.
        let entries: Vec<usize> = (alone..outgoing.len()).collect();
        let parts = digest(&rest, LARGEST_DIGEST).into_iter();
        planned.extend(parts.map(|rendered| Planned { rendered, entries: entries.clone(), is_digest: true }));
    }
    for planned in planned.iter_mut().skip(sms) {
        planned.rendered = planned.rendered.clone().without_sms("The limit on text messages a day is reached.");
    }
    planned
}

/// Takes what was sent out of the outboxes. Where that fails it is sent once more by the sweep, with the same id.
async fn forget<T: StateStore>(store: &T, rules: &RuleSet, outgoing: &[Outgoing], unsent: &HashSet<usize>) {
    let mut zones: BTreeMap<&str, Vec<EntryId>> = BTreeMap::new();
    for (_, sent) in outgoing.iter().enumerate().filter(|(index, _)| !unsent.contains(index)) {
        zones.entry(&sent.zone).or_default().push(sent.entry.id);
    }
    let keys: Vec<String> = zones.keys().map(|zone| (*zone).to_owned()).collect();
    let documents = match store.load(&keys).await {
        Ok(documents) => documents,
        Err(error) => return tracing::warn!(%error, "what was sent could not be noted, and will be sent again"),
    };
    let work = zones.into_iter().zip(documents).map(|((zone, sent), document)| {
        let forgotten = async move {
            let change = |state: &ZoneState| {
                let mut state = state.clone();
                state.outbox.remove(&sent);
                Evaluation { state, ..Evaluation::default() }
            };
            settle(store, rules, zone, document, None, &change).await
        };
        forgotten.boxed()
    });
    for outcome in join_all(work).await {
        if let Err(error) = outcome {
            tracing::warn!(%error, "what was sent could not be noted, and will be sent again");
        }
    }
}
