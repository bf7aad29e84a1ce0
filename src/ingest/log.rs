//! The one line that a push leaves in the log, whichever way it came; and a sweep. Their numbers are what is measured.

use std::time::{Duration, Instant};

use super::{Accounted, Outcome, PushError, RequestInfo, SweepStats};
use crate::domain::archive::ObjectKey;
use crate::ingest::ports::{Subscriptions, chain};
use crate::telemetry::MEASURED;

impl Outcome {
    /// Writes the line. `client` is who it came from; `started` is when work on it began.
    pub fn log(&self, request: &RequestInfo, client: &str, started: Instant) {
        let lag = self.newest.map(|newest| request.received.duration_since(newest).as_millis());
        tracing::info!(
            target: MEASURED,
            batch = %self.batch,
            request_id = %request.request_id,
            client,
            source = %request.source,
            received = self.received,
            stale = self.stale,
            early = self.early,
            pushes = 1,
            pushes_repeated = u8::from(self.repeated),
            pushes_parked = u8::from(self.parked),
            pushes_unevaluated = u8::from(self.unevaluated),
            readings_accepted = self.accepted,
            readings_rejected = self.rejected,
            readings_duplicate = self.duplicates,
            readings_late = self.late,
            implausible_values = self.implausible,
            readings_over_device_limit = self.over_device_limit,
            alerts_fired = self.alerts,
            alerts_blocked = self.blocked,
            alerts_sent = self.messages,
            alerts_failed = self.unsent,
            digests_sent = self.digests,
            store_ms = milliseconds(self.took.store),
            evaluate_ms = milliseconds(self.took.evaluate),
            publish_ms = milliseconds(self.took.publish),
            push_ms = milliseconds(started.elapsed()),
            event_lag_ms = lag.and_then(|lag| i64::try_from(lag).ok()),
            "push"
        );
    }
}

impl PushError {
    /// Writes the line of a push that is not stored and accounted for.
    pub fn log(&self, request: &RequestInfo, client: &str) {
        let RequestInfo { request_id, source, .. } = request;
        let error = chain(self);
        match self {
            Self::NotABatch(_) | Self::TooLarge => {
                tracing::warn!(
                    target: MEASURED, %request_id, client, %source, error, pushes_refused = 1, "push refused and kept"
                );
            }
            Self::Store(_) => {
                tracing::error!(
                    target: MEASURED, %request_id, client, %source, error, pushes_failed = 1, "push not accounted for"
                );
            }
        }
    }
}

impl Accounted {
    /// Writes the line of a push that was stored earlier and is evaluated now; one in which nothing is new is not worth
    /// reading.
    pub(super) fn log(&self, key: &ObjectKey) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: MEASURED,
                    %key,
                    implausible_values = self.implausible,
                    readings_over_device_limit = self.over_device_limit,
                    alerts_fired = self.alerts,
                    alerts_blocked = self.blocked,
                    alerts_sent = self.messages,
                    alerts_failed = self.unsent,
                    digests_sent = self.digests,
                    "stored push evaluated"
                )
            };
        }
        if self.alerts + self.blocked + self.messages + self.unsent == 0 { line!(debug) } else { line!(info) }
    }
}

impl SweepStats {
    /// Writes the line; one of a sweep that found nothing is not worth reading.
    pub fn log(&self) {
        let Self { zones, alerts, messages, failed, waiting, digests, oldest_unsent_s, rules_refused } = *self;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: MEASURED,
                    zones,
                    waiting,
                    alerts_fired = alerts,
                    alerts_sent = messages,
                    alerts_failed = failed,
                    digests_sent = digests,
                    outbox_age_s = oldest_unsent_s,
                    rules_refused = u8::from(rules_refused),
                    "sweep"
                )
            };
        }
        if *self == Self::default() { line!(debug) } else { line!(info) }
    }
}

impl Subscriptions {
    /// Writes the line.
    pub(super) fn log(&self) {
        let Self { confirmed, pending } = *self;
        tracing::info!(
            target: MEASURED, subscriptions_confirmed = confirmed, subscriptions_pending = pending, "subscriptions"
        );
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
