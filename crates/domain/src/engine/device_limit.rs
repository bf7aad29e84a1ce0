//! Limits the devices of a zone, and evicts idle ones.

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};

use super::DEVICES_PER_ZONE;
use super::sweep::watched_devices;
use crate::rules::RuleSet;
use crate::state::{RuleState, ThresholdState, ZoneState};

/// How long a device must be idle to be evicted from a full zone. Own choice: longer than a building is closed for holidays,
/// and longer than a sum or a count is of use.
const EVICTED_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Admits the readings of at most [`DEVICES_PER_ZONE`] devices.
pub(super) struct DeviceLimit<'r> {
    rules: &'r RuleSet,
    /// The devices with state. `None` if this evaluation cannot exceed the limit: then the set is not needed.
    known: Option<HashSet<String, RandomState>>,
    /// The devices that can be evicted, the first to go last. Computed when the zone is full.
    idle: Option<Vec<(Timestamp, String)>>,
}

impl<'r> DeviceLimit<'r> {
    /// For a zone in this `state` with at most this number of further readings.
    pub(super) fn new(rules: &'r RuleSet, state: &ZoneState, readings: usize) -> Self {
        let kept = state.devices.len() + state.rule_states.values().map(|devices| devices.len()).sum::<usize>();
        let known = (kept + readings > DEVICES_PER_ZONE).then(|| {
            let tracked = state.rule_states.values().flat_map(|devices| devices.keys());
            state.devices.keys().chain(tracked).cloned().collect()
        });
        Self { rules, known, idle: None }
    }

    /// Whether a reading of `device` as of `at` is evaluated.
    pub(super) fn admits(&mut self, device: &str, at: Timestamp, state: &ZoneState) -> bool {
        let has_room = self.known.as_ref().is_none_or(|known| known.len() < DEVICES_PER_ZONE || known.contains(device));
        has_room || self.can_evict(at, state)
    }

    /// Records that a reading of `device` was evaluated. If the device has state now and the zone was full, the device that was
    /// idle for longest is evicted.
    pub(super) fn record(&mut self, device: &str, state: &mut ZoneState) {
        let Some(known) = self.known.as_mut().filter(|known| !known.contains(device)) else { return };
        if state.last_heard(device).is_none() {
            return;
        }
        known.insert(device.to_owned());
        if known.len() > DEVICES_PER_ZONE
            && let Some((_, idle)) = self.idle.as_mut().and_then(Vec::pop)
        {
            known.remove(&idle);
            state.remove_device(&idle);
        }
    }

    /// Whether the last of the idle devices can be evicted at `at`.
    fn can_evict(&mut self, at: Timestamp, state: &ZoneState) -> bool {
        let idle = self.idle.get_or_insert_with(|| idle_devices(self.rules, state));
        while idle.pop_if(|(heard, device)| state.last_heard(device) != Some(*heard)).is_some() {}
        // A reading that arrives later can be as old as `max_age`.
        let evicted_after = EVICTED_AFTER.max(self.rules.max_age);
        idle.last().is_some_and(|(heard, _)| at.duration_since(*heard) >= evicted_after)
    }
}

/// The devices with nothing firing, pending, suppressed or expected, each with the time of its newest reading. The oldest is
/// last.
fn idle_devices(rules: &RuleSet, state: &ZoneState) -> Vec<(Timestamp, String)> {
    let rule_states = || state.rule_states.values().flatten();
    let is_busy = |rule_state: &RuleState| {
        matches!(rule_state, RuleState::Threshold(ThresholdState::Pending { .. } | ThresholdState::Firing { .. }))
    };
    let firing = rule_states().filter(|(_, rule_state)| is_busy(rule_state)).map(|(device, _)| device.as_str());
    let expected = watched_devices(rules, state).map(|watched| watched.device);
    let busy: HashSet<&str, RandomState> = firing.chain(expected).chain(state.suppressed.devices()).collect();
    let mut heard: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let known = state.devices.iter().map(|(device, known)| (device, known.at));
    for (device, at) in
        known.chain(rule_states().filter_map(|(device, rule_state)| Some((device, rule_state.newest()?))))
    {
        if !busy.contains(device.as_str()) {
            heard.entry(device).and_modify(|heard| *heard = at.max(*heard)).or_insert(at);
        }
    }
    let mut idle: Vec<_> = heard.into_iter().map(|(device, at)| (at, device.to_owned())).collect();
    idle.sort_unstable_by(|one, other| other.cmp(one));
    idle
}
