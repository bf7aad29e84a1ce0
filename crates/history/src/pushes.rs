//! Stored pushes in the order of their first receipt, which is the order in which they were evaluated.
//!
//! Objects lie in the folder of the hour of their newest reading. A push can be received long after that hour, because it was
//! late, or before it, because the clock of a device is ahead. So objects wait, compressed, until enough of the archive is read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;
use rayon::prelude::*;

use super::{Archive, ArchiveError, Hour, OBJECTS_AT_ONCE, StoredObject};
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
    queue.read(archive, UNDATED)?;
    for (index, hour) in hours.iter().enumerate() {
        queue.read(archive, &hour.folder)?;
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
    fn read(&mut self, archive: &dyn Archive, folder: &str) -> Result<(), ArchiveError> {
        for keys in archive.keys(folder)?.chunks(OBJECTS_AT_ONCE) {
            let pushes: Vec<_> = archive.read(keys)?.into_par_iter().map(dated).collect();
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
        }
        Ok(())
    }

    /// Removes and decompresses the earliest pushes.
    fn round(&mut self, hours: usize) -> Round {
        let mut first = Vec::new();
        let mut size = 0;
        while size < ROUND
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
    use super::*;
    use domain::archive::EXTENSION;

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
            queue.read(objects, folder).unwrap();
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
        let hours = [Hour { start: at("10:00"), folder: "hh=10/".to_owned() }];
        let visit = |round| {
            rounds.push(round);
            true
        };
        read_pushes(&Objects::default(), &hours, visit).unwrap();
        assert_eq!(rounds, [Round { hours: 1, ..Round::default() }]);
    }
}
