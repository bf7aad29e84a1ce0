//! The result of an evaluation, and the evaluator of a zone that computes it.

use std::ops::AddAssign;

use jiff::Timestamp;

use crate::rules::RuleSet;
use crate::state::{OutboxEntry, ZoneState};

/// The result of an evaluation, a cleaning or a sweep of one zone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// The new state.
    pub state: ZoneState,
    /// The new messages. They are not in the outbox of `state` yet: the caller puts them there and commits both.
    pub messages: Vec<OutboxEntry>,
    /// The counts.
    pub stats: EvaluationStats,
}

/// Counts of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluationStats {
    /// Raised alerts that are sent now.
    pub alerts: usize,
    /// Raised alerts that are suppressed, for any reason.
    pub suppressed: usize,
    /// Those of them that a block suppresses.
    pub blocked: usize,
    /// Readings that were evaluated before. They change nothing.
    pub duplicates: usize,
    /// Readings older than the dedup window. They change nothing, because they could be duplicates.
    pub late: usize,
    /// Readings of devices beyond [`DEVICES_PER_ZONE`](super::DEVICES_PER_ZONE). They are stored and not evaluated.
    pub over_device_limit: usize,
    /// Readings older than [`RuleSet::max_age`] at receipt. They are stored and not evaluated.
    pub stale: usize,
    /// Readings from the future. They count as of their receipt.
    pub early: usize,
    /// Values outside the range of the sensor. They are not compared with limits.
    pub implausible: usize,
}

impl AddAssign for EvaluationStats {
    fn add_assign(&mut self, other: Self) {
        self.alerts += other.alerts;
        self.suppressed += other.suppressed;
        self.blocked += other.blocked;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.over_device_limit += other.over_device_limit;
        self.stale += other.stale;
        self.early += other.early;
        self.implausible += other.implausible;
    }
}

/// Changes the state of one zone, and collects its messages.
pub(super) struct ZoneEvaluator<'e> {
    pub(super) rules: &'e RuleSet,
    pub(super) evaluation: &'e mut Evaluation,
    /// When what is evaluated was first received: the same in a repeated or later evaluation.
    pub(super) received: Timestamp,
    pub(super) now: Timestamp,
}
