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
    /// The newest alerts of all these, the newest first.
    pub newest: Vec<AlertLife>,
    /// Messages that are not sent, by channel.
    pub unsent: BTreeMap<Channel, UnsentMessages>,
    /// When the last push arrived, to about five minutes; `None` before the first.
    pub last_push: Option<Timestamp>,
    /// The mutes in force.
    pub mutes: Vec<BoardMute>,
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
        Ok(BoardView { last_push: arrival.0.last, mutes, ..BoardView::new(&entries)? })
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
    fn new(entries: &[AttentionEntry]) -> Result<Self, UnavailableError> {
        let mut board = Self { has_more: entries.len() > MOST_ZONES, ..Self::default() };
        for AttentionEntry { summary, .. } in entries.iter().take(MOST_ZONES) {
            let mut zone: Attention = serde_json::from_str(summary)
                .map_err(|error| UnavailableError::new("the summary of a zone cannot be read", error))?;
            for (channel, unsent) in std::mem::take(&mut zone.unsent) {
                board.unsent.entry(channel).and_modify(|all| all.add(unsent)).or_insert(unsent);
            }
            board.newest.extend_from_slice(&zone.alerts);
            board.silent.extend(zone.alerts.extract_if(.., |life| life.kind == Kind::Silence));
            board.devices.extend(zone.alerts.extract_if(.., |life| !life.answerable));
            if !zone.alerts.is_empty() {
                board.zones.push(zone);
            }
        }
        board.silent.sort_by_key(|life| life.raised);
        board.devices.sort_by_key(|life| life.raised);
        board.newest.sort_by_key(|life| Reverse(life.raised));
        board.newest.truncate(MOST_NEWEST);
        Ok(board)
    }
}
