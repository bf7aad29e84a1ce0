//! A breach: one metric of a reading that crosses a limit.

use serde::{Deserialize, Serialize};

use crate::device::Unit;
use crate::words;

/// A value that crosses a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// The metric's key in rules: `amm`.
    pub metric: String,
    /// The name of the metric: "ammonia".
    pub label: String,
    /// The value, in `unit`.
    pub value: f64,
    /// The unit of value and limit.
    pub unit: Unit,
    /// How the value is compared with the limit.
    pub comparison: Comparison,
    /// The limit, in `unit`.
    pub limit: f64,
}

words! {
    /// A comparison of a value with a limit.
    pub enum Comparison {
        /// Value > limit.
        Above = "above",
        /// Value ≥ limit.
        AtLeast = "at_least",
        /// Value < limit.
        Below = "below",
        /// Value ≤ limit.
        AtMost = "at_most",
        /// The smaller angle between value and baseline ≥ limit. The breach's value is that angle.
        Deviates = "deviates",
    }
}

impl Comparison {
    /// Whether `value` breaches `limit`. For [`Comparison::Deviates`] the value is the angle from the baseline.
    #[must_use]
    pub fn is_breached(self, value: f64, limit: f64) -> bool {
        match self {
            Self::Above => value > limit,
            Self::AtLeast | Self::Deviates => value >= limit,
            Self::Below => value < limit,
            Self::AtMost => value <= limit,
        }
    }
}
