//! Stored pushes in the order of their first receipt, which is the order in which they were evaluated.
//!
//! Objects lie in the folder of the hour of their newest reading. A push can be received long after that hour, because it was
//! late, or before it, because the clock of a device is ahead. So objects wait, compressed, until enough of the archive is read.
//!
//! A push can be stored several times with one receipt: Firehose delivers at least once, and if its answer is lost, the push is an
//! object of its own too. These copies are next to each other in the order, and all but one are left out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;
use rayon::prelude::*;

use super::{Archive, ArchiveError, Hour, Period, StoredObject, read_groups};
use domain::archive::ObjectKey;
use domain::reading::Reading;

/// The folder of pushes in which no reading has a usable time.
const UNDATED: &str = "raw-undated/";
/// Most bytes that wait to be put in order: three days of 1,000 devices.
const MAX_WAITING: usize = 64 << 20;
/// Bytes that an object takes beside its compressed text.
const OVERHEAD: usize = 256;
/// Compressed bytes of a round. The text is about eight times as long.
const ROUND: usize = 1 << 20;

/// A stored push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedPush {
    /// The key of its object.
    pub key: ObjectKey,
    /// When it was first received. The time of its newest reading, if that is not recorded.
    pub received: Timestamp,
    /// Its readings, one per line.
    pub lines: String,
}

impl ArchivedPush {
    /// The time of its newest reading; `None` if no reading has a usable time.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        newest(&self.lines)
    }
}

/// Some pushes, decompressed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The pushes, in the order of their first receipt.
    pub pushes: Vec<ArchivedPush>,
    /// How many of the hours have been read.
    pub hours: usize,
    /// Pushes that were left out since the last round: no reading has a usable time, and the receipt is not recorded.
    pub undated: u64,
}

/// Reads the pushes of these hours, and those without a usable time. Calls `visit` with them in the order of their first receipt,
/// until it returns false.
///
/// At most 64 MiB of compressed objects wait to be put in order. A push that is further from its place in the order comes late,
/// after pushes that were received later.
///
/// Leaves out damaged objects, and returns an error for each.
///
/// # Errors
/// [`ArchiveError`] if objects cannot be listed or read.
pub fn read_pushes(
    archive: &dyn Archive,
    hours: &[Hour],
    mut visit: impl FnMut(Round) -> bool,
) -> Result<Vec<ArchiveError>, ArchiveError> {
    let mut queue = ReceiptQueue::default();
    queue.read(archive, UNDATED, &Period::default())?;
    for (index, hour) in hours.iter().enumerate() {
        queue.read(archive, &hour.folder, &hour.period)?;
        while queue.size > MAX_WAITING {
            if !visit(queue.round(index + 1)) {
                return Ok(queue.damaged);
            }
        }
    }
    while visit(queue.round(hours.len())) && !queue.pushes.is_empty() {}
    Ok(queue.damaged)
}

/// Pushes by receipt, the earliest first.
#[derive(Debug, Default)]
struct ReceiptQueue {
    pushes: BinaryHeap<Reverse<(Timestamp, StoredObject)>>,
    /// The size of these pushes in bytes.
    size: usize,
    undated: u64,
    damaged: Vec<ArchiveError>,
}

impl ReceiptQueue {
    fn read(&mut self, archive: &dyn Archive, folder: &str, period: &Period) -> Result<(), ArchiveError> {
        read_groups(archive, folder, period, |objects| {
            let pushes: Vec<_> = objects.into_par_iter().map(dated).collect();
            for push in pushes {
                match push {
                    Ok(Some((received, object))) => {
                        self.size += object.bytes.len() + OVERHEAD;
                        self.pushes.push(Reverse((received, object)));
                    }
                    Ok(None) => self.undated += 1,
                    Err(error) => self.damaged.push(error),
                }
            }
        })
    }

    /// Whether the next push is a copy of this one.
    fn is_next_copy_of(&self, push: Option<&(Timestamp, StoredObject)>) -> bool {
        let next = self.pushes.peek();
        next.zip(push).is_some_and(|(Reverse(next), push)| (next.0, &next.1.key) == (push.0, &push.1.key))
    }

    /// Removes and decompresses the earliest pushes.
    fn round(&mut self, hours: usize) -> Round {
        let mut first = Vec::new();
        let mut size = 0;
        while (size < ROUND || self.is_next_copy_of(first.last()))
            && let Some(Reverse((received, object))) = self.pushes.pop()
        {
            size += object.bytes.len();
            self.size -= object.bytes.len() + OVERHEAD;
            first.push((received, object));
        }
        let unpack = |(received, object): (Timestamp, StoredObject)| {
            let lines = object.text()?;
            Ok(ArchivedPush { key: object.key, received, lines })
        };
        let unpacked: Vec<_> = first.into_par_iter().map(unpack).collect();
        let mut pushes = Vec::with_capacity(unpacked.len());
        for push in unpacked {
            match push {
                Ok(push) => pushes.push(push),
                Err(error) => self.damaged.push(error),
            }
        }
        // Only now: of two copies, one can be damaged.
        pushes.dedup_by(|a, b| (a.received, &a.key) == (b.received, &b.key));
        Round { pushes, hours, undated: std::mem::take(&mut self.undated) }
    }
}

/// An object with the receipt of its push. `None` if neither the object nor its readings have a time.
fn dated(object: StoredObject) -> Result<Option<(Timestamp, StoredObject)>, ArchiveError> {
    let received = match object.received {
        Some(received) => Some(received),
        None => newest(&object.text()?),
    };
    Ok(received.map(|received| (received, object)))
}

fn newest(lines: &str) -> Option<Timestamp> {
    lines.lines().filter_map(|line| Reading::read(line).ok()?.time).max()
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Files, push, push_of};
    use super::*;
    use domain::archive::{EXTENSION, Object};

    fn at(clock: &str) -> Timestamp {
        format!("2026-11-23T{clock}:00Z").parse().unwrap()
    }

    /// Objects, each with its folder, its name, its receipt and its text.
    #[derive(Default)]
    struct Objects(Vec<(&'static str, &'static str, Option<Timestamp>, String)>);

    impl Objects {
        fn with(mut self, folder: &'static str, name: &'static str, received: Option<&str>, readings: &[&str]) -> Self {
            let reading = |clock: &&str| format!("{{\"unixT\":{}}}\n", at(clock).as_second());
            self.0.push((folder, name, received.map(at), readings.iter().map(reading).collect()));
            self
        }
    }

    impl Archive for Objects {
        fn folders(&self, _: &str) -> Result<Vec<String>, ArchiveError> {
            Ok(Vec::new())
        }

        fn files(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
            let here = self.0.iter().filter(|(of, ..)| *of == folder);
            Ok(here.map(|(folder, name, ..)| format!("{folder}{name}{EXTENSION}")).collect())
        }

        fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
            let read = |key: &ObjectKey| {
                let is_it = |(folder, name, ..): &&(_, _, _, _)| format!("{folder}{name}{EXTENSION}") == key.as_str();
                let (_, _, received, text) = self.0.iter().find(is_it).unwrap();
                let bytes = zstd::encode_all(text.as_bytes(), 0).unwrap();
                StoredObject { key: key.clone(), received: *received, bytes }
            };
            Ok(keys.iter().map(read).collect())
        }
    }

    /// The names of the pushes in the order in which they come, and how many are left out.
    fn read(objects: &Objects, max_waiting: usize) -> (String, u64) {
        let mut queue = ReceiptQueue::default();
        let (mut names, mut undated) = (Vec::new(), 0);
        let mut add = |round: Round| {
            undated += round.undated;
            let name = |push: &ArchivedPush| push.key.as_str().rsplit('/').next().unwrap().replace(EXTENSION, "");
            names.extend(round.pushes.iter().map(name));
        };
        for folder in [UNDATED, "hh=10/", "hh=11/", "hh=12/"] {
            queue.read(objects, folder, &Period::default()).unwrap();
            while queue.size > max_waiting {
                add(queue.round(0));
            }
        }
        add(queue.round(0));
        (names.join(" "), undated)
    }

    #[test]
    fn pushes_come_in_the_order_of_their_receipt_not_of_their_hour() {
        let objects = Objects::default()
            .with("hh=10/", "late", Some("12:30"), &["10:01"])
            .with("hh=10/", "second", Some("10:59"), &["10:58"])
            .with("hh=12/", "ahead", Some("10:30"), &["12:59"])
            .with("hh=11/", "third", Some("11:01"), &["11:00", "10:59"])
            .with(UNDATED, "timeless", Some("10:45"), &[]);
        assert_eq!(read(&objects, MAX_WAITING), ("ahead timeless second third late".to_owned(), 0));
    }

    #[test]
    fn a_push_without_a_receipt_is_ordered_by_its_newest_reading() {
        let objects = Objects::default()
            .with("hh=11/", "b", None, &["10:05", "11:05"])
            .with("hh=11/", "a", Some("11:06"), &["11:01"])
            .with(UNDATED, "timeless", None, &[]);
        assert_eq!(read(&objects, MAX_WAITING), ("b a".to_owned(), 1));
    }

    #[test]
    fn a_push_that_is_too_far_from_its_place_comes_when_it_is_read() {
        let objects = Objects::default()
            .with("hh=10/", "a", Some("10:30"), &["10:30"])
            .with("hh=11/", "b", Some("11:30"), &["11:30"])
            .with("hh=12/", "ahead", Some("10:00"), &["12:30"]);
        assert_eq!(read(&objects, 0).0, "a b ahead");
        assert_eq!(read(&objects, MAX_WAITING).0, "ahead a b");
    }

    #[test]
    fn an_empty_archive_is_one_empty_round() {
        let mut rounds = Vec::new();
        let hours = [Hour { start: at("10:00"), folder: "hh=10/".to_owned(), period: Period::default() }];
        let visit = |round| {
            rounds.push(round);
            true
        };
        read_pushes(&Objects::default(), &hours, visit).unwrap();
        assert_eq!(rounds, [Round { hours: 1, ..Round::default() }]);
    }

    /// The names of the pushes of two hours, and the errors.
    fn read_hours(files: &Files) -> (String, Vec<String>) {
        let hour =
            |clock: &str| Hour { start: at(clock), folder: format!("hh={}/", &clock[..2]), period: Period::default() };
        let mut keys = Vec::new();
        let errors = read_pushes(files, &["10:00", "11:00"].map(hour), |round| {
            keys.extend(round.pushes.into_iter().map(|push| push.key.to_string()));
            true
        });
        let names = keys.iter().map(|key| key.rsplit_once('/').unwrap().1.replace(EXTENSION, ""));
        (names.collect::<Vec<_>>().join(" "), errors.unwrap().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn of_copies_with_one_receipt_one_comes_and_other_pushes_of_that_time_stay() {
        let [a, b, c] = ["hh=10/a", "hh=10/b", "hh=10/c"].map(|name| push(name, "10:30"));
        let later = push("hh=10/a", "10:40");
        let files = Files::default().with(&b).with_buffered("hh=10/s", &[&a, &b, &a]);
        let files = files.with_buffered("hh=11/s", &[&c, &b, &later]);
        assert_eq!(read_hours(&files), ("a b c a".to_owned(), Vec::new()), "a was sent again later");
        let resent = Files::default().with_buffered("hh=10/s", &[&a, &a, &later, &later]);
        assert_eq!(read_hours(&resent).0, "a a");
    }

    #[test]
    fn a_push_comes_if_one_of_its_copies_is_damaged() {
        let a = push("hh=10/a", "10:30");
        for bytes in [b"\x00", b"\xff"] {
            let damaged = Object { bytes: bytes.to_vec(), ..a.clone() };
            let (names, errors) = read_hours(&Files::default().with(&damaged).with_buffered("hh=11/s", &[&a, &a]));
            assert!(
                names == "a" && errors.len() == 1 && errors[0].starts_with("hh=10/a.ndjson.zst is damaged"),
                "{errors:?}"
            );
        }
    }

    #[test]
    fn copies_are_found_wherever_a_round_could_end() {
        let mut state = 1_u32;
        let mut noise = |name, received, letters| {
            let noise = (0..letters).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(b'0' + (state >> 27) as u8)
            });
            push_of(&format!("{{\"a\":\"{}\"}}", noise.collect::<String>()), name, received)
        };
        // The first copy ends a round.
        let (first, large) = (noise("hh=10/f", "10:29", ROUND * 3 / 2), noise("hh=10/a", "10:30", 300_000));
        assert!(first.bytes.len() < ROUND && first.bytes.len() + large.bytes.len() > ROUND);
        let files = Files::default().with(&first).with(&large);
        let files = files.with_buffered("hh=11/s", &[&large, &large, &push("hh=10/b", "10:30")]);
        assert_eq!(read_hours(&files).0, "f a b");
    }
}
