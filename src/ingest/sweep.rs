//! What comes due without a push: messages that were not sent, ends of blocks, reminders, silences.

use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::{FutureExt, StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Ingest;
use super::dispatch::{Dispatched, send_waiting};
use super::documents::{Arrivals, load, read, written};
use super::ports::{Document, Unavailable};
use super::zones::{CONCURRENT, Change, Committed, FoundDue, Outgoing};
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

/// What came of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SweepStats {
    /// Zones about which something was due.
    pub zones: usize,
    /// Alerts that were raised: silences.
    pub alerts: usize,
    /// Messages that were sent.
    pub messages: usize,
    /// Messages that were not; they are due again in a minute.
    pub failed: usize,
    /// Messages that wait for the next sweep, because the rate limit allows no more.
    pub waiting: usize,
    /// Digests among those that were sent.
    pub digests: usize,
    /// Age of the oldest message that was not, in seconds; 0 where there is none.
    pub oldest_unsent_s: i64,
    /// Whether the newest rules are refused.
    pub rules_refused: bool,
}

/// How long a message waits at most while all is well.
const LONGEST_WAIT_S: i64 = 600;

impl SweepStats {
    /// Whether messages leave: none has waited for ten minutes.
    #[must_use]
    pub fn delivers(&self) -> bool {
        self.oldest_unsent_s < LONGEST_WAIT_S
    }

    fn add(&mut self, dispatched: &Dispatched, now: Timestamp) {
        self.messages += dispatched.messages;
        self.failed += dispatched.failed;
        self.waiting += dispatched.waiting;
        self.digests += dispatched.digests;
        let age = dispatched.oldest_unsent.map_or(0, |made| now.duration_since(made).as_secs());
        self.oldest_unsent_s = self.oldest_unsent_s.max(age);
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
    /// [`Unavailable`] where the state cannot be read, or a zone's could not be written; the others are done all the same.
    /// What was not done is due at the next sweep.
    pub async fn sweep(&self, now: Timestamp) -> Result<SweepStats, Unavailable> {
        let finished = self.finish_begun(Timestamp::MIN, now).await;
        let swept = self.sweep_due(now).await?;
        self.count_subscriptions(now).await;
        finished.map(|_| swept)
    }

    /// The same, but for what was stored and not evaluated: [`Self::finish_begun`] does that, and may take long.
    ///
    /// # Errors
    /// As there.
    pub async fn sweep_due(&self, now: Timestamp) -> Result<SweepStats, Unavailable> {
        let rules = self.rules.current(now).await;
        let last = self.last_arrival().await?;
        let is_quiet = last.is_none_or(|last| now.duration_since(last) > rules.quiet_after);
        let announced = self.announce(&rules, last.filter(|_| is_quiet), now).await;
        let mut swept = SweepStats { rules_refused: self.rules.refused().is_some(), ..SweepStats::default() };
        self.sweep_zones(&rules, now, !is_quiet, &mut swept).await?;
        announced.map(|()| swept)
    }

    /// Does what is due in zones, then sends what waits in any of their outboxes. The others are done where one of them
    /// fails.
    pub(super) async fn sweep_zones(
        &self,
        rules: &RuleSet,
        now: Timestamp,
        silences: bool,
        swept: &mut SweepStats,
    ) -> Result<(), Unavailable> {
        let keys = self.state.due(now, MOST_ZONES).await?;
        let found = FoundDue { now, is_one_of_many: keys.len() == MOST_ZONES };
        let (mut waiting, mut failure) = (Vec::new(), None);
        for keys in keys.chunks(AT_ONCE) {
            let outcomes = match self.state.load(keys).await {
                Ok(documents) => self.sweep_each(rules, keys, &documents, found, silences).await,
                Err(error) => vec![Err(error)],
            };
            for outcome in outcomes {
                match outcome {
                    Ok(Committed { zone, evaluation, .. }) => {
                        swept.alerts += evaluation.alerts;
                        let left = MOST_WAITING - waiting.len();
                        let entries = evaluation.state.outbox.waiting(now).take(left).cloned();
                        waiting.extend(entries.map(|entry| Outgoing { zone: zone.clone(), entry }));
                    }
                    Err(error) => drop(failure.get_or_insert(error)),
                }
            }
        }
        swept.zones += keys.len();
        swept.add(&send_waiting(&*self.state, &*self.publisher, rules, waiting, now).await, now);
        failure.map_or(Ok(()), Err)
    }

    /// Does what is due in each of these zones, and commits it. Messages stay in the outboxes.
    async fn sweep_each(
        &self,
        rules: &RuleSet,
        keys: &[String],
        documents: &[Document],
        found: FoundDue,
        silences: bool,
    ) -> Vec<Result<Committed, Unavailable>> {
        let now = found.now;
        let work: Vec<_> = keys
            .iter()
            .zip(documents)
            .map(|(key, document)| {
                let committed = async move {
                    let sweep = move |state: ZoneState| engine::sweep(rules, state, now, silences);
                    Change::new(key.clone(), document, sweep)?.of_due(found).commit(&*self.state, rules, 0, now).await
                };
                committed.boxed()
            })
            .collect();
        stream::iter(work).buffer_unordered(CONCURRENT).collect().await
    }

    /// Makes notices of what the operator has to know about the program itself: rules that are refused, and that nothing
    /// has come since `quiet_since`. They are sent with what else waits.
    async fn announce(
        &self,
        rules: &RuleSet,
        quiet_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
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
    ) -> Result<(), Unavailable> {
        let document = self.state.load(&[OPERATIONS.to_owned()]).await?.into_iter().next().unwrap_or_default();
        let announce = |state: ZoneState| engine::announce(state, notice, now);
        Change::new(OPERATIONS.to_owned(), &document, announce)?.commit(&*self.state, rules, 0, now).await.map(drop)
    }

    /// Whether any device is known that sends by itself. Of zones about which anything will be due, as it is of these.
    async fn is_anything_awaited(&self, rules: &RuleSet, now: Timestamp) -> Result<bool, Unavailable> {
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
        let Ok((_, document)) = load::<Arrivals>(&*self.state, ARRIVALS).await else { return };
        if let Ok(body) = written(&Arrivals::at(now)) {
            // Somebody else noting it at the same time is as good.
            let _ = self.state.commit(ARRIVALS, document.version, &body, None).await;
        }
    }

    /// When something last arrived, from anywhere; `None` where nothing ever has.
    pub(super) async fn last_arrival(&self) -> Result<Option<Timestamp>, Unavailable> {
        Ok(load::<Arrivals>(&*self.state, ARRIVALS).await?.0.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_unless_one_has_waited_for_ten_minutes() {
        let oldest = |seconds| SweepStats { oldest_unsent_s: seconds, ..SweepStats::default() };
        assert!(oldest(0).delivers() && oldest(599).delivers());
        assert!(!oldest(600).delivers());
    }
}
