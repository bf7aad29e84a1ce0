//! The hours that an archive is divided into.

use jiff::civil::Date;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Archive, ArchiveError, Period};

/// An hour of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Its start.
    pub start: Timestamp,
    /// Its folder: `raw/dt=2026-11-23/hh=05/`.
    pub folder: String,
}

impl Hour {
    /// Its date in UTC.
    #[must_use]
    pub fn date(&self) -> Date {
        self.start.to_zoned_datetime(TimeZone::UTC).date()
    }
}

/// Lists the hours below `root` (`raw/` or `rejected/`) that overlap `period`, in order. Ignores folders with other names.
///
/// # Errors
/// [`ArchiveError`] if a folder cannot be listed.
pub fn hours(archive: &dyn Archive, root: &str, period: &Period) -> Result<Vec<Hour>, ArchiveError> {
    let (day, hour) = (format!("{root}dt=%Y-%m-%d/"), format!("{root}dt=%Y-%m-%d/hh=%H/"));
    let mut hours = Vec::new();
    for below in archive.folders(root)? {
        if !start(&day, &below).is_some_and(|start| period.overlaps(start, SignedDuration::from_hours(24))) {
            continue;
        }
        for folder in archive.folders(&below)? {
            let start = start(&hour, &folder);
            if let Some(start) = start.filter(|start| period.overlaps(*start, SignedDuration::from_hours(1))) {
                hours.push(Hour { start, folder });
            }
        }
    }
    Ok(hours)
}

/// The start of the day or hour of a folder whose name has this format.
fn start(format: &str, folder: &str) -> Option<Timestamp> {
    let parsed = BrokenDownTime::parse(format, folder).ok()?;
    let at = parsed.to_date().ok()?.to_datetime(parsed.to_time().unwrap_or_default());
    // `dt=2026-5-1` is parsed too, but is not a name that we write.
    let start = TimeZone::UTC.to_timestamp(at).ok()?;
    (start.strftime(format).to_string() == folder).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::super::StoredObject;
    use super::*;
    use domain::archive::ObjectKey;

    struct Folders(&'static [&'static str]);

    impl Archive for Folders {
        fn folders(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
            let below = self.0.iter().filter_map(|path| path.strip_prefix(folder)?.split_once('/'));
            let mut below: Vec<_> = below.map(|(name, _)| format!("{folder}{name}/")).collect();
            below.dedup();
            Ok(below)
        }

        fn files(&self, _: &str) -> Result<Vec<String>, ArchiveError> {
            Ok(Vec::new())
        }

        fn read(&self, _: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
            Ok(Vec::new())
        }
    }

    const FOLDERS: Folders = Folders(&[
        "raw/dt=2024-05-01/hh=09/",
        "raw/dt=2024-05-01/hh=10/",
        "raw/dt=2024-05-02/hh=00/",
        "raw/dt=2024-05-02/notes/",
        "raw/notes/hh=10/",
        "raw/dt=20240501/hh=10/",
        "raw/dt=2024-13-01/hh=10/",
        "rejected/dt=2024-05-01/hh=10/",
    ]);

    fn starts(period: &Period) -> Vec<String> {
        hours(&FOLDERS, "raw/", period).unwrap().iter().map(|hour| hour.start.to_string()).collect()
    }

    #[test]
    fn hours_are_listed_in_order_and_other_folders_are_ignored() {
        assert_eq!(
            starts(&Period::default()),
            ["2024-05-01T09:00:00Z", "2024-05-01T10:00:00Z", "2024-05-02T00:00:00Z"]
        );
    }

    #[test]
    fn days_and_hours_outside_of_the_period_are_left_out() {
        let ten: Timestamp = "2024-05-01T10:00:00Z".parse().unwrap();
        let minute = Period { since: Some(ten), until: Some(ten + SignedDuration::from_mins(1)) };
        assert_eq!(starts(&minute), ["2024-05-01T10:00:00Z"]);
    }
}
