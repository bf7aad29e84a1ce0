//! How many devices of a zone are kept, and which of them makes room for another one.

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::RandomState;
use jiff::{SignedDuration, Timestamp};

use super::DEVICES_PER_ZONE;
use super::sweep::watched;
use crate::rules::RuleSet;
use crate::state::{RuleState, ThresholdState, ZoneState};

/// For how long nothing was kept of a device's readings before it makes room in a full zone. Own choice: longer than a
/// building is closed for holidays, and than a sum or a count is of use.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The devices whose rule state is kept.
pub(super) struct DeviceLimit<'r> {
    rules: &'r RuleSet,
    /// They are known only in an evaluation in which there could be too many: in any other, it costs one addition for each
    /// rule.
    known: Option<HashSet<String, RandomState>>,
    /// Those that can make room, the one that was heard longest ago last. Looked for when a device needs room.
    idle: Option<Vec<(Timestamp, String)>>,
}

impl<'r> DeviceLimit<'r> {
    /// For a zone in this state to which at most so many readings come; `None` if nobody knows.
    pub(super) fn new(rules: &'r RuleSet, state: &ZoneState, readings: Option<usize>) -> Self {
        let kept = state.devices.len() + state.rule_states.values().map(|devices| devices.len()).sum::<usize>();
        let is_room_for_all = readings.is_some_and(|readings| kept.saturating_add(readings) <= DEVICES_PER_ZONE);
        let known = (!is_room_for_all).then(|| {
            let tracked = state.rule_states.values().flat_map(|devices| devices.keys());
            state.devices.keys().chain(tracked).cloned().collect()
        });
        Self { rules, known, idle: None }
    }

    /// Whether a reading of `device` as of `at` is evaluated.
    pub(super) fn admits(&mut self, device: &str, at: Timestamp, state: &ZoneState) -> bool {
        let has_room = self.known.as_ref().is_none_or(|known| known.len() < DEVICES_PER_ZONE || known.contains(device));
        has_room || self.can_make_room(at, state)
    }

    /// Notes that a reading of `device` was evaluated. If anything is kept of it, and the zone was full, the device that was
    /// heard longest ago is forgotten.
    pub(super) fn note(&mut self, device: &str, state: &mut ZoneState) {
        let Some(known) = self.known.as_mut().filter(|known| !known.contains(device)) else { return };
        if state.last_heard(device).is_none() {
            return;
        }
        known.insert(device.to_owned());
        if known.len() > DEVICES_PER_ZONE
            && let Some((_, idle)) = self.idle.as_mut().and_then(Vec::pop)
        {
            known.remove(&idle);
            state.forget(&idle);
        }
    }

    /// Whether a device was not heard for so long that it makes room at `at`. It is the last of the idle ones.
    fn can_make_room(&mut self, at: Timestamp, state: &ZoneState) -> bool {
        let idle = self.idle.get_or_insert_with(|| idle_devices(self.rules, state));
        while idle.pop_if(|(heard, device)| state.last_heard(device) != Some(*heard)).is_some() {}
        // A later reading of it could be as old as that.
        let forgotten_after = FORGOTTEN_AFTER.max(self.rules.max_age);
        idle.last().is_some_and(|(heard, _)| at.duration_since(*heard) >= forgotten_after)
    }
}

/// The devices of which nothing fires or waits, each with when it was last heard; the one that was heard longest ago last. A
/// device that was called silent is one of them, one that is still awaited is not.
fn idle_devices(rules: &RuleSet, state: &ZoneState) -> Vec<(Timestamp, String)> {
    let rule_states = || state.rule_states.values().flatten();
    let is_busy = |rule_state: &RuleState| {
        matches!(rule_state, RuleState::Threshold(ThresholdState::Pending { .. } | ThresholdState::Firing { .. }))
    };
    let firing = rule_states().filter(|(_, rule_state)| is_busy(rule_state)).map(|(device, _)| device.as_str());
    let awaited = watched(rules, state).map(|watched| watched.device);
    let busy: HashSet<&str, RandomState> = firing.chain(awaited).chain(state.suppressed.devices()).collect();
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
