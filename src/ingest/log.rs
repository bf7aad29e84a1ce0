//! The one line that a push leaves in the log, whichever way it came; and a sweep.

use std::time::Instant;

use super::{Outcome, Receipt, Swept};

impl Outcome {
    /// Writes the line. `client` is who it came from; `started` is when work on it began.
    pub fn log(&self, receipt: &Receipt, client: &str, started: Instant) {
        let lag = self.newest.map(|newest| self.at.duration_since(newest).as_millis());
        tracing::info!(
            batch = %self.batch,
            request_id = %receipt.request_id,
            client,
            source = %receipt.source,
            received = self.received,
            accepted = self.accepted,
            rejected = self.rejected,
            duplicates = self.duplicates,
            repeated = self.repeated,
            parked = self.parked,
            stale = self.stale,
            early = self.early,
            alerts = self.alerts,
            blocked = self.blocked,
            messages = self.messages,
            unsent = self.unsent,
            late = self.late,
            unevaluated = self.unevaluated,
            lag_ms = lag.and_then(|lag| i64::try_from(lag).ok()),
            duration_ms = started.elapsed().as_secs_f64() * 1000.0,
            "push"
        );
    }
}

impl Swept {
    /// Writes the line.
    pub fn log(&self) {
        let Self { zones, alerts, messages, failed } = *self;
        tracing::info!(zones, alerts, messages, failed, "sweep");
    }
}
