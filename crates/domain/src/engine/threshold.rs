//! The state machine of threshold rules: a breach is pending until it has lasted, then fires, and is resolved when it ends.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::condition::ConditionResult;
use crate::rules::Settings;
use crate::state::ThresholdState;

/// The effect of a reading on a threshold rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    /// The state does not change.
    Unchanged,
    /// The breach has not lasted long enough.
    Pending {
        /// The time of the first reading of the breach.
        since: Timestamp,
    },
    /// The rule fires: for the first time in this breach, or with a higher severity.
    Fire {
        /// The time of the first reading of the breach.
        since: Timestamp,
    },
    /// The breach is over.
    Resolve {
        /// The time of the first reading of the breach.
        since: Timestamp,
    },
}

/// The effect of a reading at `at` with this `result` on a rule in this `state`.
pub(super) fn transition(
    state: Option<&ThresholdState>,
    result: &ConditionResult,
    at: Timestamp,
    settings: &Settings,
) -> Transition {
    use ConditionResult::{Between, Breached, Clear, Unmeasured};
    use ThresholdState::{Firing, Pending, Resolved};
    let order = state.map(|state| at.cmp(&state.as_of()));
    if order == Some(Ordering::Less) {
        // The state is of a newer reading.
        return Transition::Unchanged;
    }
    let continued = |since: Timestamp, as_of: Timestamp| {
        if at.duration_since(as_of) > settings.longest_gap() { at } else { since }
    };
    match (result, state) {
        (Breached(severity, _), Some(Firing { severity: fired, since, .. })) if severity > fired => {
            Transition::Fire { since: *since }
        }
        // Of readings at the same time, one that is worse than the alert counts, also after one that ended it. No other does:
        // it may have come before, when it changed nothing and was not recorded.
        (Breached(severity, _), Some(Resolved { since: Some(since), severity: fired, .. }))
            if order == Some(Ordering::Equal) && Some(*severity) > *fired =>
        {
            breach(*since, at, settings)
        }
        _ if order == Some(Ordering::Equal) => Transition::Unchanged,
        (Breached(..), None | Some(Resolved { .. })) => breach(at, at, settings),
        (Breached(..), Some(Pending { since, as_of })) => breach(continued(*since, *as_of), at, settings),
        (Clear, Some(Firing { since, .. })) => Transition::Resolve { since: *since },
        (Clear | Between, Some(Pending { since, as_of })) => Transition::Resolve { since: continued(*since, *as_of) },
        (Breached(..) | Between, Some(Firing { .. }))
        | (Clear | Between, None | Some(Resolved { .. }))
        | (Unmeasured, _) => Transition::Unchanged,
    }
}

fn breach(since: Timestamp, at: Timestamp, settings: &Settings) -> Transition {
    if at.duration_since(since) >= settings.lasting {
        Transition::Fire { since }
    } else {
        Transition::Pending { since }
    }
}
