//! The hours that an archive has readings of: its folders `raw/dt=2026-11-23/hh=05/`.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Archive, Unreadable};

/// An hour of readings. It is the hour, in UTC, of the newest reading of each push in it; others may be older.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hour {
    /// Its first moment.
    pub start: Timestamp,
    /// Its folder.
    pub folder: String,
}

impl Hour {
    /// How long it is.
    pub const LENGTH: SignedDuration = SignedDuration::from_hours(1);

    /// The moment at which the next one begins.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start.checked_add(Self::LENGTH).unwrap_or(self.start)
    }
}

/// The hours of an archive that may have readings of a period in them, in order. `None` is an open end.
///
/// # Errors
/// [`Unreadable`] where folders cannot be listed.
pub fn hours(
    archive: &dyn Archive,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<Vec<Hour>, Unreadable> {
    // What came within an hour after its time belongs to the order of events; what came later is late.
    let until = until.map(|until| until.checked_add(Hour::LENGTH).unwrap_or(until));
    let is_wanted = |start: Timestamp, end: Timestamp| {
        since.is_none_or(|since| since < end) && until.is_none_or(|until| start < until)
    };
    let mut hours = Vec::new();
    for day in archive.folders("raw/")? {
        let Some(start) = named(&day, "dt=").and_then(midnight) else { continue };
        let end = start.checked_add(24 * Hour::LENGTH).unwrap_or(start);
        if !is_wanted(start, end) {
            continue;
        }
        for folder in archive.folders(&day)? {
            let Some(number) = named(&folder, "hh=").and_then(|hour| hour.parse::<i32>().ok()) else { continue };
            let Some(start) =
                (0..24).contains(&number).then(|| start.checked_add(number * Hour::LENGTH).ok()).flatten()
            else {
                continue;
            };
            let hour = Hour { start, folder };
            if is_wanted(start, hour.end()) {
                hours.push(hour);
            }
        }
    }
    hours.sort_unstable();
    Ok(hours)
}

/// What follows `name` in the last part of a folder's name.
fn named<'f>(folder: &'f str, name: &str) -> Option<&'f str> {
    folder.trim_end_matches('/').rsplit('/').next()?.strip_prefix(name)
}

fn midnight(date: &str) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(date.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::archive::ObjectKey;
    use crate::history::StoredObject;

    /// Folders only.
    struct Folders(&'static [&'static str]);

    impl Archive for Folders {
        fn folders(&self, folder: &str) -> Result<Vec<String>, Unreadable> {
            let below =
                |path: &&str| path.strip_prefix(folder)?.split_once('/').map(|(name, _)| format!("{folder}{name}/"));
            let mut folders: Vec<String> = self.0.iter().filter_map(below).collect();
            folders.dedup();
            Ok(folders)
        }

        fn keys(&self, _folder: &str) -> Result<Vec<ObjectKey>, Unreadable> {
            Ok(Vec::new())
        }

        fn read(&self, _keys: &[ObjectKey]) -> Result<Vec<StoredObject>, Unreadable> {
            Ok(Vec::new())
        }
    }

    const ARCHIVE: Folders = Folders(&[
        "raw/dt=2026-11-22/hh=23/",
        "raw/dt=2026-11-23/hh=00/",
        "raw/dt=2026-11-23/hh=01/",
        "raw/dt=2026-11-23/hh=24/",
        "raw/dt=2026-11-23/hh=x/",
        "raw/lost+found/hh=00/",
        "rejected/dt=2026-11-23/hh=02/",
    ]);

    fn starts(since: Option<&str>, until: Option<&str>) -> Vec<String> {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let hours = hours(&ARCHIVE, since.map(at), until.map(at)).unwrap();
        hours.iter().map(|hour| hour.start.strftime("%d %H").to_string()).collect()
    }

    #[test]
    fn hours_come_in_order_and_other_folders_are_passed_over() {
        assert_eq!(starts(None, None), ["22 23", "23 00", "23 01"]);
    }

    #[test]
    fn a_period_leaves_out_hours_that_can_have_none_of_its_readings() {
        assert_eq!(starts(Some("2026-11-23T00:00:00Z"), None), ["23 00", "23 01"]);
        assert_eq!(starts(Some("2026-11-22T23:59:59Z"), None), ["22 23", "23 00", "23 01"]);
        // An hour more, for what came a little late.
        assert_eq!(starts(None, Some("2026-11-22T23:30:00Z")), ["22 23", "23 00"]);
        assert_eq!(starts(None, Some("2026-11-22T22:00:00Z")), [""; 0]);
    }
}
