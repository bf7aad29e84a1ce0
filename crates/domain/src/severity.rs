//! The severity of alerts.

use crate::words;

words! {
    /// The severity of a breach. Ordered from `Low` to `Critical`.
    #[derive(Default)]
    pub enum Severity {
        /// For information: a weak battery.
        #[default]
        Low = "low",
        /// Needs work today: soap is nearly empty.
        Medium = "medium",
        /// Needs work now: a wet floor.
        High = "high",
        /// Somebody can be hurt.
        Critical = "critical",
    }
}
