//! What is remembered of a zone from one reading to the next.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::reading::{Reading, ReadingId, Source};

/// The unit that alerts are judged and remembered by: a zone of a project; a device without a zone is its own zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZoneKey<'a> {
    /// `PID` and `InsID`.
    Zone {
        /// `PID`, empty where absent.
        project: Cow<'a, str>,
        /// `InsID`.
        zone: Cow<'a, str>,
    },
    /// A device that names no zone.
    Device {
        /// `PID`, empty where absent.
        project: Cow<'a, str>,
        /// The device's id, empty where absent.
        device: Cow<'a, str>,
    },
}

impl<'a> ZoneKey<'a> {
    /// The zone that a reading belongs to.
    #[must_use]
    pub fn of(source: &Source<'a>) -> Self {
        let project = source.project.clone().unwrap_or_default();
        match &source.zone {
            Some(zone) => Self::Zone { project, zone: zone.clone() },
            None => Self::Device { project, device: source.device.clone().unwrap_or_default() },
        }
    }
}

/// What is remembered of one zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneState {
    seen: BTreeSet<ReadingId>,
}

impl ZoneState {
    /// Remembers a reading. `false` where it was known already, and so must change nothing.
    pub fn remember(&mut self, reading: &Reading<'_>) -> bool {
        self.seen.insert(reading.id)
    }
}
