//! Thresholds: raised once when a limit is broken for long enough, again only when it gets worse, over when it is well.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::judge::Verdict;
use crate::rules::Settings;
use crate::state::ThresholdState;

/// What a reading does to a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    /// Nothing.
    Stay,
    /// It waits for the breach to last.
    Wait {
        /// The first reading of the breach.
        since: Timestamp,
    },
    /// It is raised, for the first time in this breach or because it has become worse.
    Raise {
        /// The first reading of the breach.
        since: Timestamp,
    },
    /// All is well again.
    End,
}

/// What `verdict` at `at` does where the threshold stands at `level`.
pub(super) fn transition(
    level: Option<&ThresholdState>,
    verdict: &Verdict,
    at: Timestamp,
    effective: &Settings,
) -> Transition {
    match level.map(|level| at.cmp(&level.as_of())) {
        // What is known is newer.
        Some(Ordering::Less) => return Transition::Stay,
        // Of two readings of one moment the worse counts, in whichever order they come.
        Some(Ordering::Equal) => return worse_at_once(level, verdict),
        Some(Ordering::Greater) | None => {}
    }
    match (verdict, level) {
        (Verdict::Broken(..), None | Some(ThresholdState::Resolved { .. })) => begin(at, at, effective),
        (Verdict::Broken(..), Some(ThresholdState::Pending { since, as_of })) => {
            let is_gap = at.duration_since(*as_of) > effective.longest_gap();
            begin(if is_gap { at } else { *since }, at, effective)
        }
        (Verdict::Broken(now, _), Some(ThresholdState::Firing { severity, since, .. })) if now > severity => {
            Transition::Raise { since: *since }
        }
        (Verdict::Well, Some(ThresholdState::Pending { .. } | ThresholdState::Firing { .. }))
        | (Verdict::Between, Some(ThresholdState::Pending { .. })) => Transition::End,
        (Verdict::Broken(..) | Verdict::Between, Some(ThresholdState::Firing { .. }))
        | (Verdict::Well | Verdict::Between, None | Some(ThresholdState::Resolved { .. }))
        | (Verdict::Unknown, _) => Transition::Stay,
    }
}

fn worse_at_once(level: Option<&ThresholdState>, verdict: &Verdict) -> Transition {
    match (verdict, level) {
        (Verdict::Broken(now, _), Some(ThresholdState::Firing { severity, since, .. })) if now > severity => {
            Transition::Raise { since: *since }
        }
        _ => Transition::Stay,
    }
}

fn begin(since: Timestamp, at: Timestamp, effective: &Settings) -> Transition {
    if at.duration_since(since) >= effective.lasting { Transition::Raise { since } } else { Transition::Wait { since } }
}
