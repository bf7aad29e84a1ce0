//! Reads archived alerts and responses.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;

use super::hours::{DAY, start};
use super::{Archive, ArchiveError, Period, read_folder};
use domain::alert::AlertId;
use domain::alert::life::AlertLife;
use domain::archive::{ALERTS, RESPONSES};
use domain::response::{ReceivedResponse, ResponseSource};

/// The clock of a device or of Matrix can be ahead by minutes: a fact can be archived on the day before its own.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Archived alerts and responses.
#[derive(Debug, Default)]
pub struct ArchivedFacts {
    /// Each alert once, in order of their ids: as it ended, or as it was raised if it is still open.
    pub alerts: Vec<AlertLife>,
    /// Each response once, in order of receipt.
    pub responses: Vec<ReceivedResponse>,
    /// Damaged objects, which are left out.
    pub damaged: Vec<ArchiveError>,
}

impl ArchivedFacts {
    /// Reads the alerts and responses that were archived since the day before `since`. Later ones can tell the end of an alert, so
    /// they are all read.
    ///
    /// # Errors
    /// [`ArchiveError`] if objects cannot be listed or read. A retry can help.
    pub fn read(archive: &dyn Archive, since: Option<Timestamp>) -> Result<Self, ArchiveError> {
        let mut damaged = Vec::new();
        let mut alerts: BTreeMap<AlertId, AlertLife> = BTreeMap::new();
        read_lines(archive, ALERTS, since, &mut damaged, |life| record_life(&mut alerts, life))?;
        // An alert can have waited for a duty, and people came before that.
        let first = alerts.values().map(|life| life.at).min();
        let since = since.map(|since| first.map_or(since, |first| first.min(since)));
        let responses = Self::read_responses(archive, since, &mut damaged)?;
        Ok(Self { alerts: alerts.into_values().collect(), responses, damaged })
    }

    /// Reads the responses that were archived since the day before `since`, each once, in order of receipt.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_responses(
        archive: &dyn Archive,
        since: Option<Timestamp>,
        damaged: &mut Vec<ArchiveError>,
    ) -> Result<Vec<ReceivedResponse>, ArchiveError> {
        let mut responses = BTreeSet::new();
        read_lines(archive, RESPONSES, since, damaged, |response: ReceivedResponse| {
            responses.insert(response);
        })?;
        Ok(responses.into_iter().collect())
    }

    /// Reads the responses of a period that people reported, each once, in order of receipt. Recorded ones are events in `raw/`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_reported(
        archive: &dyn Archive,
        period: &Period,
        damaged: &mut Vec<ArchiveError>,
    ) -> Result<Vec<ReceivedResponse>, ArchiveError> {
        let mut responses = Self::read_responses(archive, period.since, damaged)?;
        responses.retain(|ReceivedResponse { received, response }| {
            response.source == ResponseSource::Reported && period.contains(response.at().unwrap_or(*received))
        });
        Ok(responses)
    }
}

/// Adds a life to those that are known. Of two of one alert, the one that ended last stays.
pub fn record_life(known: &mut BTreeMap<AlertId, AlertLife>, life: AlertLife) {
    let of_alert = known.entry(life.alert).or_insert_with(|| life.clone());
    // An alert that was opened again, because a reading of the same time was worse, ends later.
    if of_alert.end.map(|end| end.at) <= life.end.map(|end| end.at) {
        *of_alert = life;
    }
}

/// Calls `visit` with each line of the objects of the days from the one before `since` on. A line of another form damages its object.
fn read_lines<T: DeserializeOwned>(
    archive: &dyn Archive,
    folder: &str,
    since: Option<Timestamp>,
    damaged: &mut Vec<ArchiveError>,
    mut visit: impl FnMut(T),
) -> Result<(), ArchiveError> {
    let since = since.and_then(|since| since.checked_sub(AHEAD).ok());
    let days = Period { since, until: None };
    for day in archive.folders(folder)? {
        if start(&format!("{folder}{DAY}"), &day)
            .is_some_and(|start| days.overlaps(start, SignedDuration::from_hours(24)))
        {
            read_folder(archive, &day, |object| {
                let lines = object.text().and_then(|text| {
                    let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<T>, _>>();
                    lines.map_err(|error| ArchiveError::damaged(&object.key, error))
                });
                match lines {
                    Ok(lines) => lines.into_iter().for_each(&mut visit),
                    Err(error) => damaged.push(error),
                }
            })?;
        }
    }
    Ok(())
}
