//! Log lines of pushes and sweeps. Their numeric fields are the metrics.

use std::time::{Duration, Instant};

use super::{Delivery, EvaluatedReadings, PushError, PushOutcome, RequestInfo, SweepStats};
use crate::domain::archive::ObjectKey;
use crate::domain::state::Channel;
use crate::ingest::ports::{Stored, Subscriptions, chain};
use crate::telemetry::MEASURED;

impl PushOutcome {
    /// Logs a stored push: its numbers on level info, the durations of its steps on level debug. `client` is the authenticated
    /// client; `started` is when the request began. The object in the archive has the request id and the source.
    pub fn log(&self, request: &RequestInfo, client: &str, started: Instant) {
        let Self { batch, stats, delivery, timings, .. } = self;
        let lag = self.newest.map(|newest| request.received.duration_since(newest).as_millis());
        tracing::info!(
            target: MEASURED,
            %batch,
            client,
            stale = stats.stale,
            early = stats.early,
            pushes = 1,
            pushes_repeated = u8::from(self.stored == Stored::Already),
            pushes_queued = u8::from(self.stored == Stored::Queued),
            pushes_unevaluated = u8::from(!self.evaluated),
            readings_accepted = self.accepted,
            readings_rejected = self.rejected,
            readings_duplicate = stats.duplicates,
            readings_late = stats.late,
            implausible_values = stats.implausible,
            readings_over_device_limit = stats.over_device_limit,
            alerts_fired = stats.alerts,
            alerts_blocked = stats.blocked,
            alerts_sent = delivery.messages,
            alerts_failed = delivery.failed,
            digests_sent = delivery.digests,
            push_ms = milliseconds(started.elapsed()),
            event_lag_ms = lag.and_then(|lag| i64::try_from(lag).ok()),
            "batch stored"
        );
        tracing::debug!(
            target: MEASURED,
            %batch,
            store_ms = milliseconds(timings.store),
            evaluate_ms = milliseconds(timings.evaluate),
            publish_ms = milliseconds(timings.publish),
            "push timed"
        );
    }
}

impl PushError {
    /// Logs a push that failed.
    pub fn log(&self, request: &RequestInfo, client: &str) {
        let RequestInfo { request_id, source, .. } = request;
        let error = chain(self);
        match self {
            Self::NotABatch(_) | Self::TooLarge => {
                tracing::warn!(
                    target: MEASURED, %request_id, client, %source, error, pushes_refused = 1, "push rejected, body stored"
                );
            }
            Self::Store(_) => {
                tracing::error!(
                    target: MEASURED, %request_id, client, %source, error, pushes_failed = 1, "push not stored"
                );
            }
        }
    }
}

impl EvaluatedReadings {
    /// Logs a push that was stored earlier and is evaluated now; on level debug if nothing comes of it.
    pub(super) fn log(&self, key: &ObjectKey) {
        let Self { stats, delivery, .. } = self;
        let counts = [stats.alerts, stats.blocked, stats.implausible, stats.over_device_limit];
        if counts == [0; 4] && *delivery == Delivery::default() {
            tracing::debug!(%key, "stored push evaluated");
            return;
        }
        tracing::info!(
            target: MEASURED,
            %key,
            implausible_values = stats.implausible,
            readings_over_device_limit = stats.over_device_limit,
            alerts_fired = stats.alerts,
            alerts_blocked = stats.blocked,
            alerts_sent = delivery.messages,
            alerts_failed = delivery.failed,
            digests_sent = delivery.digests,
            "stored push evaluated"
        );
    }
}

impl Delivery {
    /// Logs the messages of a background channel; nothing if there was none.
    pub fn log(&self, channel: Channel) {
        let Self { messages, digests, failed, waiting, .. } = *self;
        if *self != Self::default() {
            let counts = |of: Channel| if of == channel { (messages, failed) } else { (0, 0) };
            let ((emails_sent, emails_failed), (webhooks_sent, webhooks_failed)) =
                (counts(Channel::Email), counts(Channel::Webhook));
            tracing::info!(
                target: MEASURED, %channel, emails_sent, emails_failed, webhooks_sent, webhooks_failed, digests, waiting,
                "messages delivered"
            );
        }
    }
}

impl SweepStats {
    /// Logs a sweep; on level debug if nothing was due.
    pub fn log(&self) {
        let Self { zones, alerts, delivery, rules_refused } = *self;
        if *self == Self::default() {
            tracing::debug!(target: MEASURED, outbox_age_s = 0, rules_refused = 0, "sweep finished");
            return;
        }
        tracing::info!(
            target: MEASURED,
            zones,
            waiting = delivery.waiting,
            alerts_fired = alerts,
            alerts_sent = delivery.messages,
            alerts_failed = delivery.failed,
            digests_sent = delivery.digests,
            outbox_age_s = delivery.oldest_unsent_s,
            rules_refused = u8::from(rules_refused),
            "sweep finished"
        );
    }
}

impl Subscriptions {
    /// Logs the numbers.
    pub(super) fn log(&self) {
        let Self { confirmed, pending } = *self;
        tracing::info!(
            target: MEASURED, subscriptions_confirmed = confirmed, subscriptions_pending = pending, "subscriptions counted"
        );
    }
}

/// Rounded to a hundredth.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
