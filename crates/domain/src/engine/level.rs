//! Thresholds: raised once when a limit is broken for long enough, again only when it gets worse, over when it is well.

use std::cmp::Ordering;

use jiff::Timestamp;

use super::judge::Verdict;
use crate::rules::Settings;
use crate::state::Level;

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
pub(super) fn transition(level: Option<&Level>, verdict: &Verdict, at: Timestamp, effective: &Settings) -> Transition {
    match level.map(|level| at.cmp(&level.as_of())) {
        // What is known is newer.
        Some(Ordering::Less) => return Transition::Stay,
        // Of two readings of one moment the worse counts, in whichever order they come.
        Some(Ordering::Equal) => return worse_at_once(level, verdict),
        Some(Ordering::Greater) | None => {}
    }
    match (verdict, level) {
        (Verdict::Broken(..), None | Some(Level::Well { .. })) => begin(at, at, effective),
        (Verdict::Broken(..), Some(Level::Pending { since, as_of })) => {
            let is_gap = at.duration_since(*as_of) > effective.longest_gap();
            begin(if is_gap { at } else { *since }, at, effective)
        }
        (Verdict::Broken(now, _), Some(Level::Firing { severity, since, .. })) if now > severity => {
            Transition::Raise { since: *since }
        }
        (Verdict::Well, Some(Level::Pending { .. } | Level::Firing { .. }))
        | (Verdict::Between, Some(Level::Pending { .. })) => Transition::End,
        (Verdict::Broken(..) | Verdict::Between, Some(Level::Firing { .. }))
        | (Verdict::Well | Verdict::Between, None | Some(Level::Well { .. }))
        | (Verdict::Unknown, _) => Transition::Stay,
    }
}

fn worse_at_once(level: Option<&Level>, verdict: &Verdict) -> Transition {
    match (verdict, level) {
        (Verdict::Broken(now, _), Some(Level::Firing { severity, since, .. })) if now > severity => {
            Transition::Raise { since: *since }
        }
        _ => Transition::Stay,
    }
}

fn begin(since: Timestamp, at: Timestamp, effective: &Settings) -> Transition {
    if at.duration_since(since) >= effective.lasting { Transition::Raise { since } } else { Transition::Wait { since } }
}
