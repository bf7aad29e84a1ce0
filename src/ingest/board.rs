//! The board: what needs attention now, and how the receiver is doing. It shows what the state holds, and reads no zone.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::answers::Answers;
use super::ports::{AttentionEntry, UnavailableError};
use super::state_documents::{ARRIVALS, LastArrival, load};
use crate::domain::alert::life::AlertLife;
use crate::domain::rules::{Kind, Mute};
use crate::domain::state::{Attention, Channel, UnsentMessages};

/// Most zones of the board.
const MOST_ZONES: usize = 100;
/// Most alerts in [`BoardView::newest`].
const MOST_NEWEST: usize = 100;

/// What needs attention now. Serializes as the JSON of the board.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BoardView {
    /// The zones with alerts that a cleaning answers, the most urgent first.
    pub zones: Vec<Attention>,
    /// Whether more zones need attention.
    pub has_more: bool,
    /// Alerts about sensors that send nothing, the oldest first.
    pub silent: Vec<AlertLife>,
    /// Other alerts about the devices themselves, such as weak batteries, the oldest first.
    pub devices: Vec<AlertLife>,
    /// The number of further alerts about devices.
    pub more_devices: usize,
    /// The number of alerts that wait because they are muted or blocked, or nobody is on duty.
    pub waiting: usize,
    /// The number of rooms in which they wait.
    pub waiting_zones: usize,
    /// The newest alerts of all these, the newest first.
    pub newest: Vec<AlertLife>,
    /// Messages that are not sent, by channel.
    pub unsent: BTreeMap<Channel, UnsentMessages>,
    /// When the last push arrived, to about five minutes; `None` before the first.
    pub last_push: Option<Timestamp>,
    /// The mutes in force.
    pub mutes: Vec<BoardMute>,
    /// When this was read, if the state cannot be read now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outdated: Option<Timestamp>,
}

/// A mute in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoardMute {
    /// What is muted: "soap-low, Tower A".
    pub what: String,
    /// Until when, in local time.
    pub until: String,
    /// Why.
    pub reason: String,
}

impl Answers<'_> {
    /// What needs attention now. Costs one search and one read, however many zones there are.
    ///
    /// # Errors
    /// [`UnavailableError`] if the state cannot be read. A retry can help.
    pub async fn board(&self) -> Result<BoardView, UnavailableError> {
        let (entries, arrival) =
            tokio::try_join!(self.state.attention(MOST_ZONES + 1), load::<LastArrival>(self.state, ARRIVALS),)?;
        let mutes = self.rules.mutes.iter().filter(|mute| mute.is_in_force(self.now));
        let mutes = mutes.map(|mute| self.muted(mute)).collect();
        Ok(BoardView { last_push: arrival.0.last, mutes, ..BoardView::new(&entries) })
    }

    fn muted(&self, mute: &Mute) -> BoardMute {
        let names = &self.rules.names;
        let scope = mute.alerts.scope.0.iter();
        let ids = scope.flat_map(|(kind, ids)| ids.iter().map(|id| names.name(*kind, id)));
        let what: Vec<&str> = mute.alerts.rules.iter().map(String::as_str).chain(ids).collect();
        let until = mute.until.strftime("%Y-%m-%d %H:%M").to_string();
        BoardMute { what: what.join(", "), until, reason: mute.reason.clone() }
    }
}

impl BoardView {
    fn new(entries: &[AttentionEntry]) -> Self {
        let mut board = Self { has_more: entries.len() > MOST_ZONES, ..Self::default() };
        for AttentionEntry { summary, .. } in entries.iter().take(MOST_ZONES) {
            match serde_json::from_str(summary) {
                Ok(zone) => board.add(zone),
                // Of another release: the zone is written again with its next change.
                Err(error) => {
                    tracing::warn!(%error, "summary of a zone not readable, left out of the board");
                    board.has_more = true;
                }
            }
        }
        board.silent.sort_by_key(|life| life.raised);
        board.devices.sort_by_key(|life| life.raised);
        board.newest.sort_by_key(|life| Reverse(life.raised));
        board.newest.truncate(MOST_NEWEST);
        board
    }

    fn add(&mut self, mut zone: Attention) {
        for (channel, unsent) in std::mem::take(&mut zone.unsent) {
            self.unsent.entry(channel).and_modify(|all| all.add(unsent)).or_insert(unsent);
        }
        self.newest.extend(zone.alerts.iter().chain(&zone.devices).cloned());
        let is_silent = |life: &AlertLife| life.kind == Kind::Silence;
        let (silent, others): (Vec<_>, Vec<_>) = std::mem::take(&mut zone.devices).into_iter().partition(is_silent);
        self.silent.extend(silent);
        self.devices.extend(others);
        self.more_devices += std::mem::take(&mut zone.more_devices);
        self.waiting += zone.waiting;
        self.waiting_zones += usize::from(zone.waiting > 0);
        if !zone.alerts.is_empty() {
            self.zones.push(zone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_that_is_not_readable_hides_no_other_zone() {
        let entry = |summary: &str| AttentionEntry { sort_key: String::new(), summary: summary.to_owned() };
        let life = include_str!("../../tests/data/alert.json").trim_end();
        let good = format!(r#"{{"zone":"zone/1:p/gents","alerts":[{life}],"more":3}}"#);
        let board = BoardView::new(&[entry(r#"{"alerts":"many"}"#), entry(&good)]);
        assert_eq!((board.zones.len(), board.zones[0].more, board.newest.len(), board.has_more), (1, 3, 1, true));
        assert!(!BoardView::new(&[entry(&good)]).has_more);
    }

    #[test]
    fn alerts_about_devices_are_lists_of_their_own() {
        let life: AlertLife = serde_json::from_str(include_str!("../../tests/data/alert.json")).unwrap();
        let silent = AlertLife { kind: Kind::Silence, answerable: false, ..life.clone() };
        let battery = AlertLife { answerable: false, ..life.clone() };
        let zone =
            Attention { alerts: vec![life], devices: vec![silent, battery], more_devices: 20, ..Attention::default() };
        let mut board = BoardView::default();
        board.add(zone);
        assert_eq!((board.zones.len(), board.silent.len(), board.devices.len(), board.more_devices), (1, 1, 1, 20));
        board.add(Attention { devices: board.silent.clone(), ..Attention::default() });
        assert_eq!((board.zones.len(), board.silent.len(), board.newest.len()), (1, 2, 4), "no room without an alert");
        board.add(Attention { waiting: 3, ..Attention::default() });
        assert_eq!((board.zones.len(), board.waiting, board.waiting_zones), (1, 3, 1), "alerts that wait are counted");
    }
}
