//! A day, and where its objects and files are.

use std::fmt;

use jiff::civil::Date;

use crate::{Archive, ArchiveError};
use domain::archive::ObjectKey;

/// A day of the archive, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub Date);

impl Day {
    /// The day of an object or a folder, `raw/dt=2026-11-23/…`; `None` if it is filed otherwise.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::of_folder("raw/", &name[..=name.match_indices('/').nth(1)?.0])
    }

    /// The day of the folder `raw/dt=2026-11-23/` below `root`.
    pub(crate) fn of_folder(root: &str, folder: &str) -> Option<Self> {
        let date = folder.strip_prefix(root)?.strip_prefix("dt=")?.strip_suffix('/')?;
        // `20261123` is a date as well, and no name of ours.
        date.parse().ok().map(Self).filter(|day| day.to_string() == date)
    }

    /// Whether a run of today looks at it that cannot look at all days: each of the last weeks, where late pushes come, and
    /// one in 28 of the older ones, in turn. Listing a year of many objects takes longer than a function may.
    #[must_use]
    pub fn is_in_turn(self, today: Date) -> bool {
        let Ok(age) = self.0.until(today).map(|span| span.get_days()) else { return true };
        age <= RECENT || age % ROUND == 0
    }

    /// Where its objects are.
    pub(super) fn objects(self) -> String {
        format!("raw/dt={self}/")
    }

    /// Where its Parquet files are.
    pub(super) fn readings(self) -> String {
        format!("lake/readings/dt={self}/")
    }

    /// Where its manifests are.
    pub(super) fn manifests(self) -> String {
        format!("{MANIFESTS}dt={self}/")
    }
}

/// Days of which most late pushes come.
const RECENT: i32 = 40;
/// Days in which each older day has its turn once.
const ROUND: i32 = 28;

/// Where manifests are.
pub(super) const MANIFESTS: &str = "lake/manifests/";

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The days of which there are objects, in order.
///
/// # Errors
/// [`ArchiveError::NotRead`] if they cannot be listed.
pub fn days(archive: &dyn Archive) -> Result<Vec<Day>, ArchiveError> {
    days_below(archive, "raw/")
}

pub(super) fn days_below(archive: &dyn Archive, root: &str) -> Result<Vec<Day>, ArchiveError> {
    let folders = archive.folders(root)?;
    let mut days: Vec<Day> = folders.iter().filter_map(|folder| Day::of_folder(root, folder)).collect();
    days.sort_unstable();
    Ok(days)
}

/// The day's objects, in order.
pub(super) fn keys(archive: &dyn Archive, day: Day) -> Result<Vec<ObjectKey>, ArchiveError> {
    let folders = archive.folders(&day.objects())?.into_iter();
    let keys = folders.map(|folder| archive.keys(&folder)).collect::<Result<Vec<_>, _>>()?;
    Ok(keys.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recent_day_is_in_turn_and_each_older_one_every_four_weeks() {
        let day = |text: &str| Day(text.parse().unwrap());
        let turns = |text: &str| {
            let mut today: Date = "2026-11-01".parse().unwrap();
            let mut turns = 0;
            for _ in 0..28 {
                turns += i32::from(day(text).is_in_turn(today));
                today = today.tomorrow().unwrap();
            }
            turns
        };
        assert_eq!((turns("2026-10-31"), turns("2026-11-30")), (28, 28));
        assert_eq!((turns("2026-01-01"), turns("2016-02-29")), (1, 1));
    }

    #[test]
    fn a_day_is_read_from_a_name_of_ours_and_from_no_other() {
        let day = |key| Day::of(key).map(|day| day.to_string());
        assert_eq!(day("raw/dt=2026-11-23/hh=05/x.ndjson.zst").as_deref(), Some("2026-11-23"));
        for other in ["raw/dt=20261123/x", "raw/dt=2026-13-23/x", "raw-undated/x", "rejected/dt=2026-11-23/x", "raw/x"]
        {
            assert_eq!(day(other), None, "{other}");
        }
    }
}
