//! How far a simulation is.

use std::time::Instant;

use indicatif::ProgressBar;
use jiff::Timestamp;
use smartclean_push::simulate::Plan;

use crate::progress;

/// The way from the first simulated moment to the last.
pub(super) struct Progress {
    bar: ProgressBar,
    from: Timestamp,
    began: Instant,
}

impl Progress {
    pub(super) fn of(plan: &Plan) -> Self {
        let length = seconds(plan.from, plan.to);
        Self { bar: progress::styled(ProgressBar::new(length)), from: plan.from, began: Instant::now() }
    }

    /// It has come to `at`, with so many readings since it began.
    pub(super) fn reached(&self, at: Timestamp, readings: u64) {
        self.bar.set_position(seconds(self.from, at));
        self.bar.set_message(format!("{readings} readings, {} a second", self.rate(readings)));
    }

    /// Readings a second since it began.
    pub(super) fn rate(&self, readings: u64) -> u64 {
        let milliseconds = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        readings.saturating_mul(1000) / milliseconds
    }

    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}
