//! A crossed limit: which value, which limit, and on which side of it is bad.

use serde::{Deserialize, Serialize};

use crate::device::Unit;

/// One limit crossed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// The metric's key in rules: `amm`.
    pub metric: String,
    /// What a person calls the metric: "ammonia".
    pub label: String,
    /// The value that crossed the limit, in `unit`.
    pub value: f64,
    /// What value and limit are counted in.
    pub unit: Unit,
    /// Which side of the limit is bad.
    pub comparison: Comparison,
    /// The limit, in `unit`.
    pub limit: f64,
}

/// When a value breaks a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Value > limit.
    Above,
    /// Value ≥ limit.
    AtLeast,
    /// Value < limit.
    Below,
    /// Value ≤ limit.
    AtMost,
    /// |value − baseline| ≥ limit, the shorter way round the circle. The breach's value is that difference.
    Deviates,
}

impl Comparison {
    /// Whether `value` breaks `limit`. For [`Comparison::Deviates`] the value is the difference from the baseline.
    #[must_use]
    pub fn is_broken(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast | Self::Deviates => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
}
