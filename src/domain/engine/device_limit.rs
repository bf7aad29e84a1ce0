//! How many devices of a zone are kept.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::DEVICES_PER_ZONE;
use crate::domain::state::ZoneState;

/// The devices whose rule state is kept. They are known only in an evaluation in which there could be too many: in any
/// other, it costs one addition for each rule.
pub(super) struct DeviceLimit(Option<HashSet<String, RandomState>>);

impl DeviceLimit {
    /// For a zone in this state to which at most so many readings come; `None` if nobody knows.
    pub(super) fn new(state: &ZoneState, readings: Option<usize>) -> Self {
        let kept = state.devices.len() + state.tracks.values().map(|devices| devices.len()).sum::<usize>();
        if readings.is_some_and(|readings| kept.saturating_add(readings) <= DEVICES_PER_ZONE) {
            return Self(None);
        }
        let tracked = state.tracks.values().flat_map(|devices| devices.keys());
        Self(Some(state.devices.keys().chain(tracked).cloned().collect()))
    }

    /// Whether the readings of `device` are evaluated.
    pub(super) fn admits(&self, device: &str) -> bool {
        self.0.as_ref().is_none_or(|known| known.len() < DEVICES_PER_ZONE || known.contains(device))
    }

    /// Notes that a reading of `device` was evaluated, if anything is kept of it.
    pub(super) fn note(&mut self, device: &str, state: &ZoneState) {
        let Some(known) = self.0.as_mut().filter(|known| !known.contains(device)) else { return };
        if state.devices.contains_key(device) || state.tracks.values().any(|devices| devices.contains_key(device)) {
            known.insert(device.to_owned());
        }
    }
}
