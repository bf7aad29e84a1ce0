//! The sweeper: does what comes due without a push: messages that were not sent, ends of blocks, reminders, silences.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Ingest;
use super::dispatcher::Delivery;
use super::documents::{Arrivals, load, read, written};
use super::evaluator::{Committed, FoundDue, Outgoing};
use super::ports::UnavailableError;
use crate::domain::alert::notice::Notice;
use crate::domain::engine;
use crate::domain::rules::RuleSet;
use crate::domain::state::ZoneState;

/// Zones that are loaded together.
const AT_ONCE: usize = 100;
/// Zones of a sweep. If more are due, the next sweep goes on with the others.
const MOST_ZONES: usize = 5_000;
/// Messages that a sweep looks at. If more wait, the next sweep goes on with the others.
const MOST_WAITING: usize = 5_000;
/// The document that says when something last arrived, from anywhere.
const ARRIVALS: &str = "arrivals";
/// How coarsely that is kept, so that it does not cost a write a push.
const NOTED_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// How often subscriptions are counted.
const COUNTED_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// The document with the notices about the program itself: what was said, and what is still to be sent.
const OPERATIONS: &str = "operations";
/// Longer than any silence that is worth a rule: whatever is due within it.
const EVER: SignedDuration = SignedDuration::from_hours(24 * 366);

/// Counts of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepStats {
    /// Zones about which something was due.
    pub zones: usize,
    /// Alerts that were raised: silences.
    pub alerts: usize,
    /// What became of messages.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Whether the newest rules are refused.
    pub rules_refused: bool,
}

/// How long a message waits at most while all is well.
const LONGEST_WAIT_S: i64 = 600;

impl SweepStats {
    /// Whether messages leave: none has waited for ten minutes.
    #[must_use]
    pub fn delivers(&self) -> bool {
        self.delivery.oldest_unsent_s < LONGEST_WAIT_S
    }
}

/// When something was last done, in this process: milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LastDone(AtomicI64);

impl LastDone {
    /// Whether it is to be done again; then it counts as done.
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
    /// Does everything that is due at `now`. Safe to run at any time, also beside pushes and other sweeps.
    ///
    /// # Errors
    /// [`UnavailableError`] where the state cannot be read, or a zone's could not be written; the others are done all the same.
    /// What was not done is due at the next sweep.
    pub async fn sweep(&self, now: Timestamp) -> Result<SweepStats, UnavailableError> {
        let finished = self.finish_begun(Timestamp::MIN, now).await;
        let swept = self.sweep_due(now).await?;
        self.count_subscriptions(now).await;
        finished.map(|_| swept)
    }

    /// The same, but for what was stored and not evaluated: [`Self::finish_begun`] does that, and may take long.
    ///
    /// # Errors
    /// As there.
    pub async fn sweep_due(&self, now: Timestamp) -> Result<SweepStats, UnavailableError> {
        let rules = self.rules.current(now).await?;
        let last = self.last_arrival().await?;
        let is_quiet = last.is_none_or(|last| now.duration_since(last) > rules.quiet_after);
        let announced = self.announce(&rules, last.filter(|_| is_quiet), now).await;
        let stats = self.sweep_zones(&rules, now, !is_quiet).await?;
        announced.map(|()| SweepStats { rules_refused: self.rules.refused().is_some(), ..stats })
    }

    /// Does what is due in zones, then sends what waits in any of their outboxes. The others are done where one of them
    /// fails.
    pub(super) async fn sweep_zones(
        &self,
        rules: &RuleSet,
        now: Timestamp,
        silences: bool,
    ) -> Result<SweepStats, UnavailableError> {
        let dispatcher = self.dispatcher(rules, now);
        let keys = self.state.due(now, MOST_ZONES).await?;
        let found = FoundDue { is_one_of_many: keys.len() == MOST_ZONES };
        let sweep = |_: &str, state: ZoneState| engine::sweep(rules, state, now, silences);
        let mut stats = SweepStats { zones: keys.len(), ..SweepStats::default() };
        let (mut waiting, mut first_failure) = (Vec::new(), None);
        for keys in keys.chunks(AT_ONCE) {
            // Messages stay in the outboxes.
            let (committed, failure) = dispatcher.evaluator.change_each(keys, &sweep, 0, Some(found)).await;
            first_failure = first_failure.or(failure);
            for Committed { zone, state, stats: of_zone, .. } in committed {
                stats.alerts += of_zone.alerts;
                let entries = state.outbox.waiting(now).take(MOST_WAITING - waiting.len()).cloned();
                waiting.extend(entries.map(|entry| Outgoing { zone: zone.clone(), entry }));
            }
        }
        stats.delivery = dispatcher.send_waiting(waiting).await;
        first_failure.map_or(Ok(stats), Err)
    }

    /// Makes notices of what the operator has to know about the program itself: rules that are refused, and that nothing
    /// has come since `quiet_since`. They are sent with what else waits.
    async fn announce(
        &self,
        rules: &RuleSet,
        quiet_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), UnavailableError> {
        let mut notices: Vec<Notice> = self.rules.refused().map(Notice::RulesRefused).into_iter().collect();
        // Devices that report on events only may well have none for a night.
        if let Some(since) = quiet_since
            && self.is_anything_awaited(rules, now).await?
        {
            notices.push(Notice::NothingArrives { since });
        }
        for notice in notices {
            self.make_notice(rules, &notice, now).await?;
        }
        Ok(())
    }

    /// Makes a notice, once for each cause. A sweep sends it.
    pub(super) async fn make_notice(
        &self,
        rules: &RuleSet,
        notice: &Notice,
        now: Timestamp,
    ) -> Result<(), UnavailableError> {
        let announce = |_: &str, state: ZoneState| engine::announce(state, notice, now);
        let key = [OPERATIONS.to_owned()];
        let (_, failure) = self.evaluator(rules, now).change_each(&key, &announce, 0, None).await;
        failure.map_or(Ok(()), Err)
    }

    /// Whether any device is known that sends by itself. Of zones about which anything will be due, as it is of these.
    async fn is_anything_awaited(&self, rules: &RuleSet, now: Timestamp) -> Result<bool, UnavailableError> {
        let keys = self.state.due(now.checked_add(EVER).unwrap_or(now), AT_ONCE).await?;
        let documents = self.state.load(&keys).await?;
        let states = keys.iter().zip(&documents).map(|(key, document)| read(key, document));
        let states = states.collect::<Result<Vec<ZoneState>, _>>()?;
        Ok(states.iter().any(|state| engine::awaits(rules, state)))
    }

    /// Counts who has subscribed, hourly: whoever has not confirmed hears of nothing.
    async fn count_subscriptions(&self, now: Timestamp) {
        if !self.counted.is_due(now, COUNTED_EVERY) {
            return;
        }
        match self.publisher.subscriptions().await {
            Ok(Some(subscriptions)) => subscriptions.log(),
            Ok(None) => {}
            Err(error) => tracing::warn!(error = %error.chain(), "subscriptions not counted"),
        }
    }

    /// Notes that something arrived, coarsely.
    pub(super) async fn note_arrival(&self, now: Timestamp) {
        if !self.noted.is_due(now, NOTED_EVERY) {
            return;
        }
        let Ok((known, document)) = load::<Arrivals>(&*self.state, ARRIVALS).await else { return };
        // What waited in a queue arrived before what is known already.
        let newest = known.last.map_or(now, |last| last.max(now));
        if let Ok(body) = written(&Arrivals::at(newest)) {
            // Somebody else noting it at the same time is as good.
            let _ = self.state.commit(ARRIVALS, document.version, &body, None).await;
        }
    }

    /// When something last arrived, from anywhere; `None` where nothing ever has.
    pub(super) async fn last_arrival(&self) -> Result<Option<Timestamp>, UnavailableError> {
        Ok(load::<Arrivals>(&*self.state, ARRIVALS).await?.0.last)
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
