//! Sending what the outboxes hold: one by one while there are tokens, else in digests. What has no token waits.

use std::collections::{HashMap, HashSet};
use std::iter::repeat_n;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use tokio::time::timeout;

use super::limit::{take_sms, take_tokens};
use super::ports::{AlertPublisher, StateStore, Unavailable};
use super::zones::{CONCURRENT, Change, Committed, Outgoing};
use crate::domain::alert::Message;
use crate::domain::alert::digest::{digest, grouped};
use crate::domain::alert::render::{Rendered, render};
use crate::domain::engine::Evaluation;
use crate::domain::rate_limit::Sender;
use crate::domain::rules::RuleSet;
use crate::domain::state::{EntryId, ZoneState};

/// Most bytes of text in one digest: about five hundred lines, more than anybody reads. SNS takes 256 KB with all other
/// texts of a message.
const LARGEST_DIGEST: usize = 64 * 1024;
/// Longest that a push takes to take what it has sent out of the outboxes.
pub const FORGOTTEN_WITHIN: Duration = Duration::from_secs(2);
/// Longest that the sweep takes for that: its digests are of thousands of zones, and nobody waits for its answer. Well below
/// the lease of a message.
const FORGOTTEN_BY_SWEEP_WITHIN: Duration = Duration::from_secs(12);
const QUOTA_REACHED: &str = "the limit on text messages a day is reached";

/// The result of sending.
#[derive(Debug, Default)]
pub(super) struct Dispatched {
    /// Messages sent.
    pub(super) messages: usize,
    /// Digests among them.
    pub(super) digests: usize,
    /// Messages that could not be sent; their alerts stay in the outboxes.
    pub(super) failed: usize,
    /// Why the first of those was not.
    pub(super) first_failure: Option<Unavailable>,
    /// Messages that wait for tokens.
    pub(super) waiting: usize,
    /// When the oldest of what was not sent was put into its outbox.
    pub(super) oldest_unsent: Option<Timestamp>,
}

impl Dispatched {
    fn keep(&mut self, outgoing: &Outgoing) {
        let made = outgoing.entry.made;
        self.oldest_unsent = Some(self.oldest_unsent.map_or(made, |oldest| oldest.min(made)));
    }
}

/// Sends messages that are leased to the caller, one by one.
pub(super) async fn send_each(
    store: &dyn StateStore,
    publisher: &dyn AlertPublisher,
    rules: &RuleSet,
    mut leased: Vec<Outgoing>,
    now: Timestamp,
) -> Dispatched {
    leased.sort_by_key(|outgoing| outgoing.entry.message.urgency());
    let groups = leased.into_iter().map(|outgoing| vec![outgoing]).collect();
    send(store, publisher, rules, groups, FORGOTTEN_WITHIN, now).await
}

/// Sends what waits in the outboxes, the most urgent first, as far as the rate limit allows. One by one while there are
/// tokens for that, else in digests of two or more, each for one token.
pub(super) async fn send_waiting(
    store: &dyn StateStore,
    publisher: &dyn AlertPublisher,
    rules: &RuleSet,
    mut waiting: Vec<Outgoing>,
    now: Timestamp,
) -> Dispatched {
    waiting.sort_by_key(|outgoing| outgoing.entry.message.urgency());
    let messages: Vec<&Message> = waiting.iter().map(|outgoing| &outgoing.entry.message).collect();
    let fewest = fewest_messages(&messages);
    let severities = messages.iter().map(|message| message.severity());
    let tokens = take_tokens(store, rules, severities, Sender::Sweep { digests: fewest.len() }, now).await;
    let mut rest = waiting.into_iter();
    let sizes = one_by_one(&fewest, tokens);
    let groups: Vec<Vec<Outgoing>> = sizes.into_iter().map(|size| rest.by_ref().take(size).collect()).collect();
    let groups = lease(store, rules, groups, now).await;
    let mut dispatched = send(store, publisher, rules, groups, FORGOTTEN_BY_SWEEP_WITHIN, now).await;
    for outgoing in rest {
        dispatched.waiting += 1;
        dispatched.keep(&outgoing);
    }
    dispatched
}

/// The fewest messages that name all of `messages`, which are in order of urgency: how many each of them names. A notice is
/// never part of a digest, which is about devices. Notices are first, and few.
fn fewest_messages(messages: &[&Message]) -> Vec<usize> {
    let notices = messages.iter().filter(|message| matches!(message, Message::Notice(_))).count();
    let digests = grouped(&messages[notices..], LARGEST_DIGEST);
    repeat_n(1, notices).chain(digests.into_iter().map(<[_]>::len)).collect()
}

/// The first `tokens` of the fewest messages. With tokens to spare, messages go out one by one, the most urgent first.
fn one_by_one(fewest: &[usize], tokens: usize) -> Vec<usize> {
    let mut spare = tokens.saturating_sub(fewest.len());
    let mut sizes = Vec::new();
    for size in fewest.iter().take(tokens) {
        let alone = if size - 1 <= spare { *size } else { spare };
        sizes.extend(repeat_n(1, alone));
        sizes.extend((*size > alone).then_some(size - alone));
        spare -= alone.min(size - 1);
    }
    sizes
}

/// Leases these messages to the caller. Those that somebody else has leased or sent meanwhile are left out.
async fn lease(
    store: &dyn StateStore,
    rules: &RuleSet,
    mut groups: Vec<Vec<Outgoing>>,
    now: Timestamp,
) -> Vec<Vec<Outgoing>> {
    let change = |state: ZoneState, ids: &HashSet<EntryId>| {
        let made = state.outbox.waiting(now).map(|entry| entry.id).filter(|id| ids.contains(id)).collect();
        Evaluation { state, made, ..Evaluation::default() }
    };
    let committed = change_zones(store, rules, by_zone(groups.iter().flatten()), &change, now).await;
    let leased = committed
        .iter()
        .flat_map(|Committed { zone, leased, .. }| leased.iter().map(move |entry| (zone.as_str(), entry.id)));
    let leased: HashSet<(&str, EntryId)> = leased.collect();
    for group in &mut groups {
        group.retain(|outgoing| leased.contains(&(outgoing.zone.as_str(), outgoing.entry.id)));
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// Sends each group as one message, and takes what was sent out of the outboxes. What is not sent stays there for the sweep.
async fn send(
    store: &dyn StateStore,
    publisher: &dyn AlertPublisher,
    rules: &RuleSet,
    groups: Vec<Vec<Outgoing>>,
    forgotten_within: Duration,
    now: Timestamp,
) -> Dispatched {
    if groups.is_empty() {
        return Dispatched::default();
    }
    let rendered = words(store, rules, &groups, now).await;
    let outcomes = publisher.publish(&rendered).await;
    let mut dispatched = Dispatched::default();
    let mut sent = Vec::new();
    for (group, outcome) in groups.iter().zip(outcomes) {
        match outcome {
            Ok(()) => {
                dispatched.messages += 1;
                dispatched.digests += usize::from(group.len() > 1);
                sent.extend(group);
            }
            Err(failure) => {
                dispatched.failed += 1;
                dispatched.first_failure.get_or_insert(failure);
                group.iter().for_each(|outgoing| dispatched.keep(outgoing));
            }
        }
    }
    if timeout(forgotten_within, forget(store, rules, &sent, now)).await.is_err() {
        tracing::warn!("what was sent could not be noted in time, and will be sent again");
    }
    dispatched
}

/// The words of each group's message. It goes out by SMS if it is severe enough and the day's quota allows it.
async fn words(store: &dyn StateStore, rules: &RuleSet, groups: &[Vec<Outgoing>], now: Timestamp) -> Vec<Rendered> {
    let of_group = |group: &Vec<Outgoing>| {
        let messages: Vec<&Message> = group.iter().map(|outgoing| &outgoing.entry.message).collect();
        let rendered = if let [message] = messages[..] { render(message) } else { digest(&messages) };
        let worst = messages.iter().map(|message| message.severity()).max();
        if worst < Some(rules.sms_from) { rendered.by_email_only() } else { rendered }
    };
    let mut rendered: Vec<Rendered> = groups.iter().map(of_group).collect();
    let wanted = rendered.iter().filter(|rendered| rendered.goes_by_sms()).count();
    let granted = take_sms(store, rules, wanted, now).await;
    for rendered in rendered.iter_mut().filter(|rendered| rendered.goes_by_sms()).skip(granted) {
        *rendered = rendered.clone().without_sms(QUOTA_REACHED);
    }
    rendered
}

/// Takes what was sent out of the outboxes. If that fails, the sweep sends it once more, with the same id.
async fn forget(store: &dyn StateStore, rules: &RuleSet, sent: &[&Outgoing], now: Timestamp) {
    let change = |mut state: ZoneState, ids: &HashSet<EntryId>| {
        state.outbox.remove(ids);
        Evaluation { state, ..Evaluation::default() }
    };
    let zones = by_zone(sent.iter().copied());
    let count = zones.len();
    let committed = change_zones(store, rules, zones, &change, now).await;
    if committed.len() < count {
        tracing::warn!(zones = count - committed.len(), "what was sent could not be noted, and will be sent again");
    }
}

/// The ids of these messages, by zone.
fn by_zone<'o>(outgoing: impl Iterator<Item = &'o Outgoing>) -> HashMap<String, HashSet<EntryId>> {
    let mut zones: HashMap<String, HashSet<EntryId>> = HashMap::new();
    for Outgoing { zone, entry } in outgoing {
        zones.entry(zone.clone()).or_default().insert(entry.id);
    }
    zones
}

/// Changes outboxes, and leases what the change makes. What became of the zones that could be written.
async fn change_zones(
    store: &dyn StateStore,
    rules: &RuleSet,
    zones: HashMap<String, HashSet<EntryId>>,
    change: &(dyn Fn(ZoneState, &HashSet<EntryId>) -> Evaluation + Sync),
    now: Timestamp,
) -> Vec<Committed> {
    let (keys, ids): (Vec<String>, Vec<HashSet<EntryId>>) = zones.into_iter().unzip();
    let documents = match store.load(&keys).await {
        Ok(documents) => documents,
        Err(error) => {
            tracing::warn!(error = %error.chain(), "outboxes not loaded");
            return Vec::new();
        }
    };
    let work: Vec<_> = keys
        .into_iter()
        .zip(ids)
        .zip(documents)
        .map(|((key, ids), document)| {
            let committed = async move {
                let change = Change::new(key, &document, move |state| change(state, &ids))?;
                change.commit(store, rules, usize::MAX, now).await
            };
            committed.boxed()
        })
        .collect();
    let outcomes: Vec<Result<Committed, Unavailable>> = stream::iter(work).buffer_unordered(CONCURRENT).collect().await;
    let committed = outcomes.into_iter().filter_map(|outcome| {
        outcome.inspect_err(|error| tracing::warn!(error = %error.chain(), "outbox not changed")).ok()
    });
    committed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::alert::notice::Notice;
    use crate::domain::engine::evaluate;
    use crate::domain::reading::Reading;

    /// Messages of so many devices, in order of urgency.
    fn storm(devices: usize) -> Vec<Message> {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let message = |device| {
            let text =
                format!(r#"{{"DevType":"SMARTCLEAN#SS","DEVID":"device {device}","unixT":1800000000,"v":{{"p":3}}}}"#);
            let readings = [&Reading::read(&text).unwrap()];
            let evaluation = evaluate(&RuleSet::pack(), ZoneState::default(), &readings, now, now);
            evaluation.state.outbox.entries()[0].message.clone()
        };
        (0..devices).map(message).collect()
    }

    fn fewest(messages: &[Message]) -> Vec<usize> {
        fewest_messages(&messages.iter().collect::<Vec<_>>())
    }

    fn planned(messages: &[Message], tokens: usize) -> Vec<usize> {
        one_by_one(&fewest(messages), tokens)
    }

    #[test]
    fn one_by_one_while_there_are_tokens_else_one_digest_of_all_the_rest() {
        for (devices, tokens, sizes) in [
            (0, 5, &[][..]),
            (3, 0, &[]),
            (1, 1, &[1]),
            (3, 3, &[1, 1, 1]),
            (3, 9, &[1, 1, 1]),
            (4, 3, &[1, 1, 2]),
            (40, 3, &[1, 1, 38]),
            (2, 1, &[2]),
        ] {
            assert_eq!(planned(&storm(devices), tokens), sizes, "{devices} messages, {tokens} tokens");
        }
    }

    #[test]
    fn a_digest_costs_a_token_and_what_has_none_is_left() {
        let fewest = fewest(&storm(2000));
        let all = one_by_one(&fewest, 2000);
        assert_eq!(all.len(), 2000);
        let in_digests = one_by_one(&fewest, 1);
        assert_eq!(in_digests.len(), 1);
        assert!((100..1000).contains(&in_digests[0]), "{in_digests:?}");
        for tokens in 1..50 {
            let sizes = one_by_one(&fewest, tokens);
            assert!(sizes.len() <= tokens, "{tokens}: {sizes:?}");
            let named: usize = sizes.iter().sum();
            assert!(
                named == 2000 || sizes.len() == tokens && sizes.iter().all(|size| *size > 1),
                "{tokens}: {sizes:?}"
            );
        }
    }

    #[test]
    fn a_lease_lasts_a_minute_which_is_longer_than_its_holder_sends() {
        let lease = Duration::try_from(crate::ingest::zones::SENT_WITHIN).unwrap();
        assert_eq!(lease, Duration::from_secs(60));
        assert!(lease > FORGOTTEN_WITHIN + FORGOTTEN_BY_SWEEP_WITHIN);
    }

    #[test]
    fn a_notice_is_never_in_a_digest() {
        let notice = Message::Notice(Notice::NothingArrives { since: Timestamp::UNIX_EPOCH });
        let messages: Vec<Message> = std::iter::once(notice).chain(storm(5)).collect();
        assert_eq!(planned(&messages, 2), [1, 5]);
        assert_eq!(planned(&messages, 1), [1]);
    }
}
