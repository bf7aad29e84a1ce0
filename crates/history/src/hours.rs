//! The hours that an archive is divided into.

use jiff::civil::Date;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Archive, ArchiveError, Period};
use domain::archive::ObjectKey;

/// The folder of readings.
const RAW: &str = "raw/";
/// The formats of the folders of a day and of an hour below their root.
pub(crate) const DAY: &str = "dt=%Y-%m-%d/";
const HOUR: &str = "dt=%Y-%m-%d/hh=%H/";
/// A buffered object is in the hour in which its first push arrived. So a push can be this much newer than that hour: Firehose adds
/// pushes to it until it can deliver it, for up to 24 hours, buffers for up to 15 minutes, and the clock of a device can be ahead;
const NEWER: SignedDuration = SignedDuration::from_hours(26);
/// or, if it was late, this much older. Later pushes are found without a period.
const OLDER: SignedDuration = SignedDuration::from_hours(24);

/// An hour of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Its start.
    pub start: Timestamp,
    /// Its folder: `raw/dt=2026-11-23/hh=05/`.
    pub folder: String,
    /// The period of its pushes. An hour outside of it is read for buffered objects, which can have pushes of the period.
    pub period: Period,
}

impl Hour {
    /// Its date in UTC.
    #[must_use]
    pub fn date(&self) -> Date {
        self.start.to_zoned_datetime(TimeZone::UTC).date()
    }
}

/// Lists the hours below `root` (`raw/` or `rejected/`) that overlap `period`, in order. Ignores folders with other names. Below
/// `raw/`, adds the hours around them, in which buffered objects can have pushes of the period.
///
/// # Errors
/// [`ArchiveError`] if a folder cannot be listed.
pub fn hours(archive: &dyn Archive, root: &str, period: &Period) -> Result<Vec<Hour>, ArchiveError> {
    let (newer, older) = if root == RAW { (NEWER, OLDER) } else { Default::default() };
    let listed = Period {
        since: period.since.and_then(|since| since.checked_sub(newer).ok()),
        until: period.until.and_then(|until| until.checked_add(older).ok()),
    };
    let (day, hour) = (format!("{root}{DAY}"), format!("{root}{HOUR}"));
    let mut hours = Vec::new();
    for below in archive.folders(root)? {
        if !start(&day, &below).is_some_and(|start| listed.overlaps(start, SignedDuration::from_hours(24))) {
            continue;
        }
        for folder in archive.folders(&below)? {
            if let Some(start) = start(&hour, &folder).filter(|start| overlaps(&listed, *start)) {
                hours.push(Hour { start, folder, period: *period });
            }
        }
    }
    Ok(hours)
}

/// Whether a push is of the period by the hour in its key. An undated push and rejections are.
pub(crate) fn is_of(period: &Period, key: &ObjectKey) -> bool {
    let folder = key.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    start(&format!("{RAW}{HOUR}"), &format!("{folder}/")).is_none_or(|start| overlaps(period, start))
}

/// Whether the hour from `start` on overlaps the period.
fn overlaps(period: &Period, start: Timestamp) -> bool {
    period.overlaps(start, SignedDuration::from_hours(1))
}

/// The start of the day or hour of a folder whose name has this format.
pub(crate) fn start(format: &str, folder: &str) -> Option<Timestamp> {
    let parsed = BrokenDownTime::parse(format, folder).ok()?;
    let at = parsed.to_date().ok()?.to_datetime(parsed.to_time().unwrap_or_default());
    // `dt=2026-5-1` is parsed too, but is not a name that we write.
    let start = TimeZone::UTC.to_timestamp(at).ok()?;
    (start.strftime(format).to_string() == folder).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Files;
    use super::*;

    /// An archive with a file in each of these folders.
    fn folders() -> Files {
        let folders = [
            "raw/dt=2024-05-01/hh=09/",
            "raw/dt=2024-05-01/hh=10/",
            "raw/dt=2024-05-02/hh=00/",
            "raw/dt=2024-05-02/notes/",
            "raw/notes/hh=10/",
            "raw/dt=20240501/hh=10/",
            "raw/dt=2024-13-01/hh=10/",
            "rejected/dt=2024-05-01/hh=09/",
            "rejected/dt=2024-05-01/hh=10/",
            "rejected/dt=2024-05-01/hh=11/",
        ];
        folders.iter().fold(Files::default(), |files, folder| files.with_file(&format!("{folder}file"), b""))
    }

    fn starts(period: &Period) -> Vec<String> {
        hours(&folders(), "raw/", period).unwrap().iter().map(|hour| hour.start.to_string()).collect()
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
        let rejected = hours(&folders(), "rejected/", &minute).unwrap();
        assert_eq!(rejected.iter().map(|hour| hour.start).collect::<Vec<_>>(), [ten]);
        let raw = hours(&folders(), "raw/", &minute).unwrap();
        assert!(raw.iter().all(|hour| hour.period == minute));
        let around = ["2024-05-01T09:00:00Z", "2024-05-01T10:00:00Z", "2024-05-02T00:00:00Z"];
        assert_eq!(starts(&minute), around, "buffered objects of the hours around can have pushes of the period");
        let later = |hours| Period { since: Some(ten + SignedDuration::from_hours(hours)), until: None };
        assert_eq!(starts(&later(25)), around, "Firehose delivered an object 24 hours late");
        assert_eq!(starts(&later(26)), ["2024-05-01T10:00:00Z", "2024-05-02T00:00:00Z"]);
        assert_eq!(starts(&later(28)), ["2024-05-02T00:00:00Z"]);
    }

    #[test]
    fn a_push_is_of_a_period_by_the_hour_in_its_key() {
        let ten: Timestamp = "2024-05-01T10:00:00Z".parse().unwrap();
        let period = Period { since: Some(ten), until: Some(ten + SignedDuration::from_mins(1)) };
        let has = |key: &str| is_of(&period, &ObjectKey::known(key));
        assert!(has("raw/dt=2024-05-01/hh=10/a.ndjson.zst") && has("raw-undated/a.ndjson.zst"));
        assert!(!has("raw/dt=2024-05-01/hh=09/a.ndjson.zst") && !has("raw/dt=2024-05-01/hh=11/a.ndjson.zst"));
    }
}
