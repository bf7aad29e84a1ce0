//! The dispatcher: sends messages from the outboxes, one by one while tokens last, else in digests. The others wait.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::iter::repeat_n;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::evaluator::{Committed, Evaluator, Lease, OutboxMessage, ZoneChange};
use super::links::{LinkedAlert, LinkedAlerts, create_links};
use super::ports::{AlertPublisher, LINK_DAYS, OutgoingMessage, PublishOutcome, Refusal, UnavailableError};
use super::public_url::KnownUrl;
use super::state_documents::subscribed_audiences;
use crate::domain::alert::Message;
use crate::domain::alert::notice::Notice;
use crate::domain::engine::Evaluation;
use crate::domain::rate_limit::Requester;
use crate::domain::rules::Links;
use crate::domain::state::{Channel, EntryId, ZoneState};
use crate::notify::render::{Renderer, SmsRefusal};

/// Maximum text of a digest in bytes: about five hundred lines. SNS accepts 256 KB for all texts of a message together.
const LARGEST_DIGEST: usize = 64 * 1024;
/// Time limit for a push to remove sent messages from the outboxes.
pub const OUTBOX_CLEANUP_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit for a sweep to remove sent messages. A digest covers thousands of zones, and no client waits. Below the lease
/// of a message.
const SWEEP_OUTBOX_CLEANUP_TIMEOUT: Duration = Duration::from_secs(12);
/// How long a link is valid.
const LINK_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * LINK_DAYS);
/// Most alerts of a link: as many as a page shows.
const MOST_LINKED: usize = 20;
/// How long a channel fails before a notice says so.
const ANNOUNCED_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// The longest wait that a receiver can ask for.
const LONGEST_RETRY_AFTER: SignedDuration = SignedDuration::from_hours(6);

/// Counts of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Sent messages.
    pub messages: usize,
    /// Digests among them.
    pub digests: usize,
    /// Messages that failed. They stay in the outboxes, unless all recipients refused them.
    pub failed: usize,
    /// Messages that wait for the next sweep because of the rate limit.
    pub waiting: usize,
    /// Age of the oldest unsent message in seconds; 0 without one.
    pub oldest_unsent_s: i64,
}

impl Delivery {
    /// Counts the age of an unsent message.
    fn count_unsent(&mut self, message: &OutboxMessage, now: Timestamp) {
        self.oldest_unsent_s = self.oldest_unsent_s.max(now.duration_since(message.entry.created).as_secs());
    }
}

/// Sends messages over one channel.
pub(super) struct Dispatcher<'d> {
    pub(super) evaluator: Evaluator<'d>,
    pub(super) publisher: &'d dyn AlertPublisher,
    pub(super) reports: &'d ChannelReports,
    /// The URL for links; `None` if messages have none.
    pub(super) public_url: Option<&'d KnownUrl>,
}

/// What the channels did since the start of the process.
pub(super) type ChannelReports = Mutex<BTreeMap<Channel, ChannelReport>>;

/// What a channel did since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelReport {
    /// Attempts that sent a message.
    pub sent: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// The result of the last attempt.
    pub last: String,
}

impl Dispatcher<'_> {
    /// Sends messages that are leased to the caller, one by one.
    pub(super) async fn send_each(&self, mut leased: Vec<OutboxMessage>) -> Delivery {
        leased.sort_by_key(|message| message.entry.message.urgency());
        let groups = leased.into_iter().map(|message| vec![message]).collect();
        self.send(groups, OUTBOX_CLEANUP_TIMEOUT).await
    }

    /// Sends waiting messages within the rate limit, the most urgent first: one by one while tokens last, else in digests of
    /// two or more, each for the tokens of one message.
    pub(super) async fn send_waiting(&self, mut waiting: Vec<OutboxMessage>) -> Delivery {
        waiting.sort_by_key(|message| message.entry.message.urgency());
        let rules = self.evaluator.rules;
        let renderers: Vec<_> = rules.languages().into_iter().map(|language| Renderer::new(rules, language)).collect();
        // A digest is for people who all miss each of its messages.
        let recipients =
            |message: &OutboxMessage| (message.entry.to.clone(), self.evaluator.done(&message.entry).to_vec());
        let mut first: HashMap<_, usize> = HashMap::new();
        for (index, message) in waiting.iter().enumerate() {
            first.entry(recipients(message)).or_insert(index);
        }
        waiting.sort_by_cached_key(|message| first[&recipients(message)]);
        let of_recipients = waiting.chunk_by(|one, other| recipients(one) == recipients(other));
        let fewest = of_recipients.flat_map(|group| {
            let cost = self.evaluator.cost(&group[0].entry);
            fewest_messages(&renderers, group).into_iter().map(move |size| (size, cost))
        });
        let fewest: Vec<(usize, usize)> = fewest.collect();
        let requester = Requester::Sweep { digests: cost(&fewest) };
        let tokens = self.evaluator.tokens(waiting.iter().map(|message| &message.entry), requester).await;
        let mut rest = waiting.into_iter();
        let sizes = one_by_one(&fewest, tokens);
        let groups: Vec<Vec<OutboxMessage>> =
            sizes.into_iter().map(|size| rest.by_ref().take(size).collect()).collect();
        let groups = self.lease(groups).await;
        let mut delivery = self.send(groups, SWEEP_OUTBOX_CLEANUP_TIMEOUT).await;
        for message in rest {
            delivery.waiting += 1;
            delivery.count_unsent(&message, self.evaluator.now);
        }
        delivery
    }

    /// Leases these messages to the caller. Leaves out those that another process has leased or sent in the meantime.
    async fn lease(&self, mut groups: Vec<Vec<OutboxMessage>>) -> Vec<Vec<OutboxMessage>> {
        let ids = ids_by_zone(groups.iter().flatten());
        let unchanged = |_: &str, state: ZoneState| Evaluation { state, ..Evaluation::default() };
        let committed = self.change_outboxes(&ids, &unchanged, Lease::Waiting(&ids)).await;
        let leased = committed
            .iter()
            .flat_map(|Committed { zone, leased, .. }| leased.iter().map(move |entry| (zone.as_str(), entry.id)));
        let leased: HashSet<(&str, EntryId)> = leased.collect();
        for group in &mut groups {
            group.retain(|message| leased.contains(&(message.zone.as_str(), message.entry.id)));
        }
        groups.retain(|group| !group.is_empty());
        groups
    }

    /// Sends each group as one message and removes it from the outboxes. Unsent messages stay there for the sweep.
    async fn send(&self, groups: Vec<Vec<OutboxMessage>>, removal_timeout: Duration) -> Delivery {
        let mut delivery = Delivery::default();
        if groups.is_empty() {
            return delivery;
        }
        let (of_groups, messages): (Vec<usize>, Vec<OutgoingMessage>) = self.render(&groups).await.into_iter().unzip();
        let mut outcomes = self.publisher.publish(self.evaluator.rules, &messages).await;
        outcomes
            .resize_with(messages.len(), || PublishOutcome::failed("the message was not sent", "it has no outcome"));
        let mut are_sent = vec![true; groups.len()];
        for ((group, message), outcome) in of_groups.iter().zip(messages).zip(&mut outcomes) {
            if outcome.is_refused_by_all() || outcome.failure.is_some() {
                delivery.failed += 1;
            } else {
                delivery.messages += 1;
                delivery.digests += usize::from(groups[*group].len() > 1);
            }
            match outcome.failure {
                None => outcome.done = message.to,
                Some(_) => are_sent[*group] = false,
            }
        }
        let sent = groups.iter().zip(&are_sent).filter(|(_, is_sent)| **is_sent);
        let sent: Vec<&OutboxMessage> = sent.flat_map(|(group, _)| group).collect();
        let unfinished = of_groups.iter().zip(&outcomes).filter(|(group, _)| !are_sent[**group]);
        let unfinished: Vec<(&OutboxMessage, &PublishOutcome)> = unfinished
            .flat_map(|(group, outcome)| groups[*group].iter().map(move |message| (message, outcome)))
            .collect();
        unfinished.iter().for_each(|(message, _)| delivery.count_unsent(message, self.evaluator.now));
        let channel = self.evaluator.channel;
        if let Some(error) = outcomes.iter().find_map(|outcome| outcome.failure.as_ref()) {
            let error = error.chain();
            tracing::error!(%channel, unsent = delivery.failed, error, "messages not sent, the next sweep retries");
        }
        self.report(&delivery, &outcomes);
        if timeout(removal_timeout, self.record_attempts(&sent, &unfinished)).await.is_err() {
            tracing::warn!(%channel, "outboxes not updated in time, sent messages will be sent again");
        }
        self.announce_failures(&outcomes, &unfinished).await;
        delivery
    }

    /// Adds the outcomes to the report of the channel.
    fn report(&self, delivery: &Delivery, outcomes: &[PublishOutcome]) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let report = reports.entry(self.evaluator.channel).or_default();
        report.sent += delivery.messages;
        report.failed += delivery.failed;
        let Some(last) = outcomes.last() else { return };
        let refused = last.refusals.iter().map(|Refusal { recipient, reply }| format!("{recipient}: {reply}"));
        let failed = last.failure.iter().map(UnavailableError::chain);
        report.last = last.reply.clone().into_iter().chain(refused).chain(failed).collect::<Vec<_>>().join("; ");
    }

    /// Enqueues a notice about each recipient that refused a message, and about a channel that has failed for a day.
    async fn announce_failures(&self, outcomes: &[PublishOutcome], unfinished: &[(&OutboxMessage, &PublishOutcome)]) {
        let Evaluator { channel, now, .. } = self.evaluator;
        let day = now.to_zoned_datetime(TimeZone::UTC).date();
        let refusals = outcomes.iter().flat_map(|outcome| &outcome.refusals);
        let mut notices: Vec<Notice> = refusals
            .map(|Refusal { recipient, reply }| {
                tracing::warn!(%channel, recipient, reply, "message refused by a recipient, not sent again");
                Notice::RecipientRefuses { recipient: recipient.clone(), reply: reply.clone(), day }
            })
            .collect();
        let failed = unfinished.iter().filter(|(_, outcome)| outcome.failure.is_some());
        let oldest = failed.min_by_key(|(message, _)| message.entry.created);
        if let Some((OutboxMessage { entry, .. }, PublishOutcome { failure: Some(error), .. })) = oldest
            && now.duration_since(entry.created) >= ANNOUNCED_AFTER
        {
            notices.push(Notice::ChannelFails { channel, since: entry.created, reason: error.chain(), day });
        }
        for notice in notices {
            if let Err(error) = self.evaluator.announce(&notice).await {
                tracing::warn!(%channel, error = %error.chain(), "notice not enqueued, the next failure retries");
            }
        }
    }

    /// Renders the message of each group in each language of its recipients who miss it. Returns each with the index of its group.
    /// It goes out by SMS if it is severe enough and within the daily quota. It goes to everybody if one of its audiences has no
    /// confirmed subscription, so that no alert is lost.
    async fn render(&self, groups: &[Vec<OutboxMessage>]) -> Vec<(usize, OutgoingMessage)> {
        let Evaluator { rules, channel, store, .. } = self.evaluator;
        let subscribed = match channel {
            Channel::Sns if groups.iter().any(|group| !group[0].entry.to.is_empty()) => {
                Some(subscribed_audiences(store).await)
            }
            _ => None,
        };
        let is_subscribed = |id: &String| subscribed.as_ref().is_none_or(|subscribed| subscribed.contains(id));
        let (mut outgoing, mut renderers) = (Vec::new(), BTreeMap::new());
        for (index, group) in groups.iter().enumerate() {
            let (messages, done) = (messages(group), self.evaluator.done(&group[0].entry));
            let worst = messages.iter().map(|message| message.severity()).max();
            let to = Some(&*group[0].entry.to).filter(|to| to.iter().all(is_subscribed)).unwrap_or_default();
            for (language, to) in self.evaluator.recipients(to, done) {
                let renderer = renderers.entry(language).or_insert_with(|| Renderer::new(rules, language));
                let rendered =
                    if let [message] = messages[..] { renderer.render(message) } else { renderer.digest(&messages) };
                let rendered = if channel == Channel::Email { rendered } else { rendered.with_to(&to) };
                let rendered = if worst < Some(rules.sms_from) { rendered.by_email_only() } else { rendered };
                outgoing.push((index, language, OutgoingMessage { rendered, to, done: done.to_vec() }));
            }
        }
        // Only a topic sends SMS, and the log has what a topic would send.
        let by_sms = |message: &OutgoingMessage| {
            matches!(channel, Channel::Sns | Channel::Log) && message.rendered.goes_by_sms()
        };
        let wanted = outgoing.iter().filter(|(.., message)| by_sms(message)).count();
        let links: Vec<_> = outgoing.iter().map(|(group, _, message)| self.link(&groups[*group], message)).collect();
        // Side by side, because a push waits for both.
        let (granted, links) = tokio::join!(self.evaluator.sms(wanted), create_links(store, self.public_url, links));
        let cause = if granted.is_some() { SmsRefusal::QuotaReached } else { SmsRefusal::QuotaUnknown };
        let refused = outgoing.iter_mut().filter(|(.., message)| by_sms(message)).skip(granted.unwrap_or_default());
        for (_, language, OutgoingMessage { rendered, .. }) in refused {
            *rendered = renderers[language].without_sms(rendered.clone(), cause);
        }
        for ((_, language, OutgoingMessage { rendered, .. }), link) in outgoing.iter_mut().zip(links) {
            if let Some((url, places)) = link {
                *rendered = renderers[language].with_link(rendered.clone(), &url, places);
            }
        }
        outgoing.into_iter().map(|(group, _, message)| (group, message)).collect()
    }

    /// The link of a message and the texts that show it; `None` if its recipients want none, or none of its alerts is open.
    fn link(&self, group: &[OutboxMessage], message: &OutgoingMessage) -> Option<(LinkedAlerts, Links)> {
        let Evaluator { rules, now, channel, .. } = self.evaluator;
        // An email has addresses, not audiences.
        let to = if channel == Channel::Email { &group[0].entry.to } else { &message.to };
        let (places, expires) = (rules.links(to), now.checked_add(LINK_LIFETIME).ok()?);
        let alerts = group.iter().flat_map(|OutboxMessage { zone, entry }| {
            entry.message.open_alerts().into_iter().map(|alert| LinkedAlert { zone: zone.clone(), alert: alert.id })
        });
        let alerts: Vec<_> = alerts.take(MOST_LINKED).collect();
        let is_shown = places.email || places.sms && message.rendered.goes_by_sms();
        (is_shown && !alerts.is_empty()).then_some((LinkedAlerts { expires, alerts }, places))
    }

    /// Removes sent messages from the outboxes, and records when to try again and for whom. If that fails, the sweep sends them
    /// again with the same ids.
    async fn record_attempts(&self, sent: &[&OutboxMessage], unfinished: &[(&OutboxMessage, &PublishOutcome)]) {
        let channel = self.evaluator.channel;
        let is_changed = |outcome: &PublishOutcome| outcome.retry_after.is_some() || !outcome.done.is_empty();
        let unfinished: Vec<_> = unfinished.iter().filter(|(_, outcome)| is_changed(outcome)).collect();
        let ids = ids_by_zone(sent.iter().copied().chain(unfinished.iter().map(|(message, _)| *message)));
        let sent = ids_by_zone(sent.iter().copied());
        let record = |zone: &str, mut state: ZoneState| {
            if let Some(sent) = sent.get(zone) {
                state.outbox.remove(channel, sent);
            }
            for (OutboxMessage { entry, .. }, outcome) in unfinished.iter().filter(|(message, _)| message.zone == zone)
            {
                let wait = outcome.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
                let until = self.evaluator.now.checked_add(wait).unwrap_or(self.evaluator.now);
                state.outbox.postpone(channel, entry.id, until, &outcome.done);
            }
            Evaluation { state, ..Evaluation::default() }
        };
        self.change_outboxes(&ids, &record, Lease::New(0)).await;
    }

    /// Changes the outboxes of these zones.
    async fn change_outboxes(
        &self,
        ids: &HashMap<&str, HashSet<EntryId>>,
        change: ZoneChange<'_>,
        lease: Lease<'_>,
    ) -> Vec<Committed> {
        let zones: Vec<String> = ids.keys().map(|zone| (*zone).to_owned()).collect();
        let (committed, failure) = self.evaluator.change_each(&zones, change, lease, None).await;
        if let Some(error) = failure {
            let zones = zones.len() - committed.len();
            tracing::warn!(zones, error = %error.chain(), "outboxes not changed, the next sweep retries");
        }
        committed
    }
}

/// The ids of messages by the zone whose outbox holds them.
fn ids_by_zone<'m>(messages: impl Iterator<Item = &'m OutboxMessage>) -> HashMap<&'m str, HashSet<EntryId>> {
    let mut ids: HashMap<&str, HashSet<EntryId>> = HashMap::new();
    for OutboxMessage { zone, entry } in messages {
        ids.entry(zone).or_default().insert(entry.id);
    }
    ids
}

fn messages(group: &[OutboxMessage]) -> Vec<&Message> {
    group.iter().map(|message| &message.entry.message).collect()
}

/// The sizes of the fewest groups that cover `group`, which is in order of urgency, and that fit in each language. A notice is
/// always alone, because a digest is about devices. Notices come first and are few.
fn fewest_messages(renderers: &[Renderer<'_>], group: &[OutboxMessage]) -> Vec<usize> {
    let messages = messages(group);
    let notices = messages.iter().filter(|message| matches!(message, Message::Notice(_))).count();
    let digests = renderers.iter().fold(vec![&messages[notices..]], |digests, renderer| {
        digests.into_iter().flat_map(|messages| renderer.grouped(messages, LARGEST_DIGEST)).collect()
    });
    repeat_n(1, notices).chain(digests.into_iter().map(<[_]>::len)).collect()
}

/// The tokens of groups, each with its size and the tokens of one message.
fn cost(groups: &[(usize, usize)]) -> usize {
    groups.iter().map(|(_, cost)| cost).sum()
}

/// Splits groups while `tokens` last, so that the most urgent messages go out one by one. Each group has its size and the tokens of
/// one message.
fn one_by_one(fewest: &[(usize, usize)], mut tokens: usize) -> Vec<usize> {
    let mut spare = tokens.saturating_sub(cost(fewest));
    let mut sizes = Vec::new();
    for (size, cost) in fewest {
        let Some(left) = tokens.checked_sub(*cost) else { break };
        tokens = left;
        let alone = if size - 1 <= spare / cost { *size } else { spare / cost };
        sizes.extend(repeat_n(1, alone));
        sizes.extend((*size > alone).then_some(size - alone));
        spare -= alone.min(size - 1) * cost;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::engine::evaluate;
    use crate::domain::reading::Reading;
    use crate::domain::rules::RuleSet;
    use crate::domain::state::OutboxEntry;

    fn outbox_message(message: Message) -> OutboxMessage {
        let entry = OutboxEntry::new(message, Vec::new(), Timestamp::UNIX_EPOCH);
        OutboxMessage { zone: "zone".to_owned(), entry }
    }

    /// Messages of so many devices, in order of urgency.
    fn storm(devices: usize) -> Vec<OutboxMessage> {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let message = |device| {
            let text =
                format!(r#"{{"DevType":"SMARTCLEAN#SS","DEVID":"device {device}","unixT":1800000000,"v":{{"p":3}}}}"#);
            let readings = [&Reading::read(&text).unwrap()];
            let evaluation = evaluate(&RuleSet::pack(), ZoneState::default(), &readings, now, now);
            outbox_message(evaluation.messages[0].message.clone())
        };
        (0..devices).map(message).collect()
    }

    /// The fewest groups, each message for one token.
    fn fewest(messages: &[OutboxMessage]) -> Vec<(usize, usize)> {
        fewest_messages(&[Renderer::default()], messages).into_iter().map(|size| (size, 1)).collect()
    }

    fn planned(messages: &[OutboxMessage], tokens: usize) -> Vec<usize> {
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
    fn a_message_in_two_languages_costs_two_tokens() {
        let fewest = [(5, 2), (3, 1)];
        for (tokens, sizes) in [
            (1, &[][..]),
            (2, &[5]),
            (3, &[5, 3]),
            (4, &[5, 1, 2]),
            (5, &[1, 4, 3]),
            (6, &[1, 4, 1, 2]),
            (12, &[1, 1, 1, 1, 1, 1, 2]),
            (13, &[1; 8]),
        ] {
            assert_eq!(one_by_one(&fewest, tokens), sizes, "{tokens} tokens");
        }
    }

    #[test]
    fn a_lease_lasts_a_minute_which_is_longer_than_its_holder_sends() {
        let lease = Duration::try_from(crate::domain::state::LEASE).unwrap();
        assert_eq!(lease, Duration::from_secs(60));
        assert!(lease > crate::ingest::links::LINK_TIMEOUT + OUTBOX_CLEANUP_TIMEOUT + SWEEP_OUTBOX_CLEANUP_TIMEOUT);
    }

    #[test]
    fn a_notice_is_never_in_a_digest() {
        let notice = Message::Notice(Notice::NothingArrives { since: Timestamp::UNIX_EPOCH });
        let messages: Vec<OutboxMessage> = std::iter::once(outbox_message(notice)).chain(storm(5)).collect();
        assert_eq!(planned(&messages, 2), [1, 5]);
        assert_eq!(planned(&messages, 1), [1]);
    }
}
