//! The sweeper: actions that come due without a push, such as unsent messages, ends of blocks, reminders, no-data alerts, and the
//! archive of alerts and responses.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::timeout;

use super::Ingest;
use super::dispatcher::{ChannelReport, Delivery};
use super::evaluator::{Committed, DueZones, Lease, OutboxMessage, ZoneChange};
use super::ports::{AlertPublisher, UnavailableError, within};
use super::state_documents::{
    ARRIVALS, LastArrival, RETRIES, SUBSCRIBED_AUDIENCES, SubscribedAudiences, change, load, read,
};
use crate::domain::alert::notice::Notice;
use crate::domain::archive::pack_facts;
use crate::domain::engine::{self, Evaluation};
use crate::domain::rules::RuleSet;
use crate::domain::state::{Channel, Facts, ZoneState};

/// Number of zones per load.
const ZONES_PER_LOAD: usize = 100;
/// Number of zones whose alerts and responses become one object of each.
const ZONES_ARCHIVED_TOGETHER: usize = 1_000;
/// Maximum number of zones per sweep. The next sweep continues.
const MAX_ZONES: usize = 5_000;
/// Maximum number of messages per sweep. The next sweep continues.
const MAX_WAITING: usize = 5_000;
/// Time limit for archiving alerts and responses.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of recording the time of the last push, so that it does not cost a write per push.
const ARRIVAL_RECORDED_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Time limit for recording it, which a push waits for.
pub const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Interval of counting subscriptions.
const SUBSCRIPTIONS_COUNTED_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// Interval of listing the audiences with a subscription. A new subscription counts after it.
const AUDIENCES_LISTED_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// Longer than no-data rules wait in practice, so that every watched device is due within it.
const EVER: SignedDuration = SignedDuration::from_hours(24 * 366);

/// Counts of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepStats {
    /// Number of due zones.
    pub zones: usize,
    /// Number of no-data alerts.
    pub alerts: usize,
    /// Counts of messages.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Whether the newest rules are refused.
    pub rules_refused: bool,
}

/// Age in seconds from which an unsent message means that delivery fails.
const MAX_OUTBOX_AGE_S: i64 = 600;

impl SweepStats {
    /// Whether delivery works: no message has waited for ten minutes.
    #[must_use]
    pub fn delivers(&self) -> bool {
        self.delivery.oldest_unsent_s < MAX_OUTBOX_AGE_S
    }
}

/// When this process last ran an action, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LastRun(AtomicI64);

impl LastRun {
    /// Whether the action is due again. If so, records it as run.
    fn is_due(&self, now: Timestamp, every: SignedDuration) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let is_due = i128::from(now.as_millisecond() - last) >= every.as_millis();
        if is_due {
            self.0.store(now.as_millisecond(), Ordering::Relaxed);
        }
        is_due
    }
}

impl Ingest {
    /// Runs everything that is due at `now`. Safe at any time, also beside pushes and other sweeps.
    ///
    /// # Errors
    /// [`UnavailableError`] if a pending push, a notice or a zone failed; the others are swept. Without the rules, the last
    /// arrival or the list of due zones, no zone is swept. The next sweep retries.
    pub async fn sweep(&self, now: Timestamp) -> Result<SweepStats, UnavailableError> {
        let finished = self.evaluate_pending(Timestamp::MIN, now).await;
        let swept = self.sweep_due(now).await?;
        self.count_subscriptions(now).await;
        if let Err(error) = self.list_audiences(now).await {
            tracing::warn!(error = %error.chain(), "subscribed audiences not listed");
        }
        finished.map(|_| swept)
    }

    /// Like [`Self::sweep`], without the subscriptions of the topic, and without pending pushes, whose evaluation can take
    /// long: see [`Self::evaluate_pending`].
    ///
    /// # Errors
    /// As [`Self::sweep`].
    pub async fn sweep_due(&self, now: Timestamp) -> Result<SweepStats, UnavailableError> {
        let rules = self.ports.rules.current(now).await?;
        let last = self.last_arrival().await?;
        let is_quiet = last.is_none_or(|last| now.duration_since(last) > rules.quiet_after);
        let announced = self.announce(&rules, last.filter(|_| is_quiet), now).await;
        let stats = self.sweep_zones(&rules, now, !is_quiet).await?;
        announced.map(|()| SweepStats { rules_refused: self.ports.rules.refused().is_some(), ..stats })
    }

    /// Sweeps due zones, then sends the messages that wait in their outboxes. A failed zone does not stop the others.
    pub(super) async fn sweep_zones(
        &self,
        rules: &RuleSet,
        now: Timestamp,
        silences: bool,
    ) -> Result<SweepStats, UnavailableError> {
        let channels = self.channels(rules);
        let sweep = |zone: &str, state: ZoneState| {
            let mut evaluation = engine::sweep(rules, state, now, silences);
            // A replay has a channel of its own. The server that uses the state sends the other messages.
            let is_replay = self.ports.replay_rate_limit.is_some();
            if is_replay {
                // The live receiver has archived them.
                evaluation.state.lives.take_facts();
            }
            let removed = if is_replay { 0 } else { evaluation.state.outbox.retain_channels(&channels) };
            if removed > 0 {
                tracing::warn!(zone, removed, "deliveries removed, their channel is no longer in the rules file");
            }
            evaluation
        };
        let mut facts = HashMap::new();
        let swept = self.deliver_due(&*self.ports.publisher, rules, now, &sweep, &mut facts).await;
        self.new_messages.send_replace(());
        let due_zones = DueZones { has_more: swept.as_ref().map_or(true, |swept| swept.zones == MAX_ZONES) };
        let archived = self.archive(rules, now, &facts, due_zones);
        if let Err(error) = within(ARCHIVE_TIMEOUT, "alerts were not archived in time", archived).await {
            tracing::error!(zones = facts.len(), error = %error.chain(), "alerts not archived, the next sweep retries");
        }
        swept
    }

    /// Archives the alerts and responses of these zones, then removes them there. If that fails, the next sweep archives them
    /// again, and readers keep one of each. A zone that cannot be written does not stop the others.
    async fn archive(
        &self,
        rules: &RuleSet,
        now: Timestamp,
        facts: &HashMap<String, Facts>,
        due_zones: DueZones,
    ) -> Result<(), UnavailableError> {
        let zones: Vec<String> = facts.keys().cloned().collect();
        let remove = |zone: &str, mut state: ZoneState| {
            facts.get(zone).into_iter().for_each(|archived| state.lives.remove_facts(archived));
            Evaluation { state, ..Evaluation::default() }
        };
        let mut first_failure = None;
        // Some zones at a time: those of a storm take long, and what is removed is not archived again.
        for zones in zones.chunks(ZONES_ARCHIVED_TOGETHER) {
            let mut all = Facts::default();
            zones.iter().filter_map(|zone| facts.get(zone)).for_each(|facts| all.append(facts.clone()));
            let objects = pack_facts(&all, now).map_err(|error| UnavailableError::new("alerts are no JSON", error))?;
            for object in objects {
                self.ports.store.put(object).await?;
            }
            for zones in zones.chunks(ZONES_PER_LOAD) {
                let evaluator = self.evaluator(rules, now);
                let (_, failure) = evaluator.change_each(zones, &remove, Lease::New(0), Some(due_zones)).await;
                first_failure = first_failure.or(failure);
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    /// Sends the messages that wait for a background channel, within its rate limit.
    ///
    /// # Errors
    /// As [`Self::sweep`].
    pub async fn deliver(&self, channel: Channel, now: Timestamp) -> Result<SweepStats, UnavailableError> {
        let rules = self.ports.rules.current(now).await?;
        let mut publishers = self.ports.background.iter().filter(|publisher| publisher.channel() == channel);
        match publishers.find(|publisher| publisher.is_on(&rules)) {
            Some(publisher) => {
                let unchanged = |_: &str, state: ZoneState| Evaluation { state, ..Evaluation::default() };
                self.deliver_due(&**publisher, &rules, now, &unchanged, &mut HashMap::new()).await
            }
            None => Ok(SweepStats::default()),
        }
    }

    /// Changes due zones, then sends the messages that wait for the channel of `publisher`. Collects what is to be archived, by
    /// zone.
    async fn deliver_due(
        &self,
        publisher: &dyn AlertPublisher,
        rules: &RuleSet,
        now: Timestamp,
        change: ZoneChange<'_>,
        facts: &mut HashMap<String, Facts>,
    ) -> Result<SweepStats, UnavailableError> {
        let dispatcher = self.dispatcher(publisher, rules, now);
        let keys = self.ports.state.due(now, MAX_ZONES).await?;
        let due_zones = DueZones { has_more: keys.len() == MAX_ZONES };
        let mut stats = SweepStats { zones: keys.len(), ..SweepStats::default() };
        let (mut waiting, mut first_failure) = (Vec::new(), None);
        for keys in keys.chunks(ZONES_PER_LOAD) {
            // Leases no message: `send_waiting` takes tokens for all zones together.
            let (committed, failure) =
                dispatcher.evaluator.change_each(keys, change, Lease::New(0), Some(due_zones)).await;
            first_failure = first_failure.or(failure);
            for Committed { zone, state, stats: of_zone, .. } in committed {
                stats.alerts += of_zone.alerts;
                let entries = state.outbox.waiting(publisher.channel(), now).take(MAX_WAITING - waiting.len()).cloned();
                waiting.extend(entries.map(|entry| OutboxMessage { zone: zone.clone(), entry }));
                if !state.lives.facts().is_empty() {
                    facts.insert(zone, state.lives.facts().clone());
                }
            }
        }
        stats.delivery = dispatcher.send_waiting(waiting).await;
        first_failure.map_or(Ok(stats), Err)
    }

    /// What each channel that is on did since the start of the process.
    ///
    /// # Errors
    /// [`UnavailableError`] without the rules. A retry can help.
    pub async fn channel_reports(&self, now: Timestamp) -> Result<BTreeMap<Channel, ChannelReport>, UnavailableError> {
        let channels = self.channels(&*self.ports.rules.current(now).await?);
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(channels.into_iter().map(|channel| (channel, reports.get(&channel).cloned().unwrap_or_default())).collect())
    }

    /// The other channels.
    pub fn background_channels(&self) -> impl Iterator<Item = Channel> {
        self.ports.background.iter().map(|publisher| publisher.channel())
    }

    /// Waits for new messages.
    pub fn new_messages(&self) -> tokio::sync::watch::Receiver<()> {
        self.new_messages.subscribe()
    }

    /// Enqueues notices about the program itself: refused rules, and no push since `quiet_since`. The sweep sends them.
    async fn announce(
        &self,
        rules: &RuleSet,
        quiet_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), UnavailableError> {
        let mut notices: Vec<Notice> = self.ports.rules.refused().map(Notice::RulesRefused).into_iter().collect();
        // Devices that report only events can be quiet for a night.
        if let Some(since) = quiet_since
            && self.expects_readings(rules, now).await?
        {
            notices.push(Notice::NothingArrives { since });
        }
        for notice in notices {
            self.evaluator(rules, now).announce(&notice).await?;
        }
        Ok(())
    }

    /// Whether a no-data rule watches a device in a zone that becomes due. Such a device always makes its zone due.
    async fn expects_readings(&self, rules: &RuleSet, now: Timestamp) -> Result<bool, UnavailableError> {
        let keys = self.ports.state.due(now.checked_add(EVER).unwrap_or(now), MAX_ZONES).await?;
        for keys in keys.chunks(ZONES_PER_LOAD) {
            let documents = self.ports.state.load(keys).await?;
            let states = keys.iter().zip(&documents).map(|(key, document)| read(key, document));
            let states = states.collect::<Result<Vec<ZoneState>, _>>()?;
            if states.iter().any(|state| engine::expects_readings(rules, state)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Counts subscriptions hourly. Unconfirmed subscribers receive nothing.
    async fn count_subscriptions(&self, now: Timestamp) {
        if !self.subscriptions_counted.is_due(now, SUBSCRIPTIONS_COUNTED_EVERY) {
            return;
        }
        match self.ports.publisher.subscriptions().await {
            Ok(Some(subscriptions)) => subscriptions.log(),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error.chain(), "subscriptions not counted"),
        }
    }

    /// Lists the audiences that have a confirmed subscription. A notice names the others.
    async fn list_audiences(&self, now: Timestamp) -> Result<(), UnavailableError> {
        let rules = self.ports.rules.current(now).await?;
        if rules.audiences.is_empty() || !self.audiences_listed.is_due(now, AUDIENCES_LISTED_EVERY) {
            return Ok(());
        }
        let Some(ids) = self.ports.publisher.subscribed_audiences().await? else { return Ok(()) };
        let record = |subscribed: &mut SubscribedAudiences| subscribed.ids.clone_from(&ids);
        change(&*self.ports.state, SUBSCRIBED_AUDIENCES, RETRIES, record).await?;
        let others = rules.audiences.iter().map(|audience| &audience.id).filter(|id| !ids.contains(*id));
        let audiences: Vec<String> = others.cloned().collect();
        if audiences.is_empty() {
            return Ok(());
        }
        let day = now.to_zoned_datetime(TimeZone::UTC).date();
        self.evaluator(&rules, now).announce(&Notice::NotSubscribed { audiences, day }).await
    }

    /// Records the time of a push, at most once per interval.
    pub(super) async fn record_arrival(&self, received: Timestamp) {
        if !self.arrival_recorded.is_due(received, ARRIVAL_RECORDED_EVERY) {
            return;
        }
        // A push from the queue can be older than the recorded one.
        let record = |arrival: &mut LastArrival| arrival.last = arrival.last.max(Some(received));
        // A lost compare-and-swap means that another copy has recorded it. After another failure, a later push does.
        let _ = timeout(ARRIVAL_TIMEOUT, change(&*self.ports.state, ARRIVALS, 0, record)).await;
    }

    /// When the last push arrived; `None` before the first one.
    pub(super) async fn last_arrival(&self) -> Result<Option<Timestamp>, UnavailableError> {
        Ok(load::<LastArrival>(&*self.ports.state, ARRIVALS).await?.0.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_unless_one_has_waited_for_ten_minutes() {
        let oldest = |oldest_unsent_s| SweepStats {
            delivery: Delivery { oldest_unsent_s, ..Delivery::default() },
            ..SweepStats::default()
        };
        assert!(oldest(0).delivers() && oldest(599).delivers());
        assert!(!oldest(600).delivers());
    }
}
