//! Stored pushes in the order in which they were first received, as they were judged when they came.
//!
//! Objects lie under the hour of their newest reading. A push can be received long after that hour, because it was late, or
//! before it, because a device's clock is ahead. So objects wait, compressed, until enough of the archive is read to know
//! which of them came first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;
use rayon::prelude::*;

use super::{Archive, ArchiveError, Hour, StoredObject};
use domain::archive::{ObjectKey, unpack};
use domain::reading::Reading;

/// Where pushes lie of which no reading has a usable time.
const UNDATED: &str = "raw-undated/";
/// Objects that are read at a time.
const OBJECTS_AT_ONCE: usize = 512;
/// Most that waits to be put in order, in bytes: three days of 1,000 devices, and all of a small history.
const MOST_WAITING: usize = 64 << 20;
/// What an object takes beside its compressed text, in bytes.
const OVERHEAD: usize = 256;
/// Compressed bytes of a round; as text they are about eight times as many.
const ROUND: usize = 1 << 20;

/// A stored push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedPush {
    /// The name of its object.
    pub key: ObjectKey,
    /// When it was first received. If that is not recorded: the time of its newest reading.
    pub received: Timestamp,
    /// A reading each.
    pub lines: String,
}

impl ArchivedPush {
    /// The time of its newest reading; `None` if no reading has a usable time.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        newest(&self.lines)
    }
}

/// Some pushes, unpacked together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// In the order of their first receipt.
    pub pushes: Vec<ArchivedPush>,
    /// How many of the hours are read by now.
    pub hours: usize,
    /// Pushes that are left out since the last round: no reading has a usable time, and the receipt is not recorded.
    pub undated: u64,
}

/// Reads the pushes of these hours and those without a usable time, and gives them to `take` in the order of their first
/// receipt. `take` returns whether it wants more.
///
/// At most 64 MiB of compressed objects wait to be put in order. A push that lies further from its place than that comes
/// when it is read, after pushes that were received later.
///
/// Damaged objects are left out, and returned as an error each.
///
/// # Errors
/// [`ArchiveError`] if objects cannot be listed or read.
pub fn read_pushes(
    archive: &dyn Archive,
    hours: &[Hour],
    mut take: impl FnMut(Round) -> bool,
) -> Result<Vec<ArchiveError>, ArchiveError> {
    let mut queue = Queue { most: MOST_WAITING, ..Queue::default() };
    queue.read(archive, UNDATED)?;
    for (index, hour) in hours.iter().enumerate() {
        queue.read(archive, &hour.folder)?;
        while queue.size > queue.most {
            if !take(queue.round(index + 1)) {
                return Ok(queue.damaged);
            }
        }
    }
    loop {
        let round = queue.round(hours.len());
        if !take(round) || queue.waiting.is_empty() {
            return Ok(queue.damaged);
        }
    }
}

/// An object that waits for its turn.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    received: Timestamp,
    key: ObjectKey,
    bytes: Vec<u8>,
}

/// Objects that wait, the one that was received first on top.
#[derive(Debug, Default)]
struct Queue {
    waiting: BinaryHeap<Reverse<Waiting>>,
    /// What they take, in bytes, and the most that they may.
    size: usize,
    most: usize,
    undated: u64,
    /// Objects that are left out.
    damaged: Vec<ArchiveError>,
}

impl Queue {
    fn read(&mut self, archive: &dyn Archive, folder: &str) -> Result<(), ArchiveError> {
        for keys in archive.keys(folder)?.chunks(OBJECTS_AT_ONCE) {
            let read: Vec<_> = archive.read(keys)?.into_par_iter().map(Waiting::of).collect();
            for waiting in read {
                match waiting {
                    Ok(Some(waiting)) => {
                        self.size += waiting.size();
                        self.waiting.push(Reverse(waiting));
                    }
                    Ok(None) => self.undated += 1,
                    Err(damaged) => self.damaged.push(damaged),
                }
            }
        }
        Ok(())
    }

    /// Takes out those that were received first.
    fn round(&mut self, hours: usize) -> Round {
        let mut first = Vec::new();
        let mut size = 0;
        while size < ROUND
            && let Some(Reverse(waiting)) = self.waiting.pop()
        {
            size += waiting.bytes.len();
            self.size -= waiting.size();
            first.push(waiting);
        }
        let unpacked: Vec<_> = first.into_par_iter().map(Waiting::unpacked).collect();
        let mut pushes = Vec::with_capacity(unpacked.len());
        for push in unpacked {
            match push {
                Ok(push) => pushes.push(push),
                Err(damaged) => self.damaged.push(damaged),
            }
        }
        Round { pushes, hours, undated: std::mem::take(&mut self.undated) }
    }
}

impl Waiting {
    /// `None` if nothing says when it was received.
    fn of(object: StoredObject) -> Result<Option<Self>, ArchiveError> {
        let received = match object.received {
            Some(received) => Some(received),
            None => newest(&object.text()?),
        };
        Ok(received.map(|received| Self { received, key: object.key, bytes: object.bytes }))
    }

    fn unpacked(self) -> Result<ArchivedPush, ArchiveError> {
        let Self { received, key, bytes } = self;
        let lines = unpack(&bytes).map_err(|error| ArchiveError::damaged(&key, error))?;
        Ok(ArchivedPush { key, received, lines })
    }

    fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

fn newest(lines: &str) -> Option<Timestamp> {
    lines.lines().filter_map(|line| Reading::read(line).ok()?.time).max()
}

#[cfg(test)]
mod tests {
    use super::*;

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

        fn keys(&self, folder: &str) -> Result<Vec<ObjectKey>, ArchiveError> {
            let here = self.0.iter().filter(|(of, ..)| *of == folder);
            Ok(here.map(|(folder, name, ..)| ObjectKey::known(&format!("{folder}{name}"))).collect())
        }

        fn read(&self, keys: &[ObjectKey]) -> Result<Vec<StoredObject>, ArchiveError> {
            let read = |key: &ObjectKey| {
                let is_it = |(folder, name, ..): &&(_, _, _, _)| format!("{folder}{name}") == key.as_str();
                let (_, _, received, text) = self.0.iter().find(is_it).unwrap();
                let bytes = zstd::encode_all(text.as_bytes(), 0).unwrap();
                StoredObject { key: key.clone(), received: *received, bytes }
            };
            Ok(keys.iter().map(read).collect())
        }
    }

    /// The names of the pushes in the order in which they come, and how many are left out.
    fn read(objects: &Objects, most: usize) -> (String, u64) {
        let mut queue = Queue { most, ..Queue::default() };
        let (mut names, mut undated) = (Vec::new(), 0);
        let mut note = |round: Round| {
            undated += round.undated;
            names.extend(round.pushes.iter().map(|push| push.key.as_str().rsplit('/').next().unwrap().to_owned()));
        };
        for folder in [UNDATED, "hh=10/", "hh=11/", "hh=12/"] {
            queue.read(objects, folder).unwrap();
            while queue.size > queue.most {
                note(queue.round(0));
            }
        }
        note(queue.round(0));
        (names.join(" "), undated)
    }

    #[test]
    fn pushes_come_in_the_order_of_their_receipt_whatever_hour_they_lie_under() {
        let objects = Objects::default()
            .with("hh=10/", "late", Some("12:30"), &["10:01"])
            .with("hh=10/", "second", Some("10:59"), &["10:58"])
            .with("hh=12/", "ahead", Some("10:30"), &["12:59"])
            .with("hh=11/", "third", Some("11:01"), &["11:00", "10:59"])
            .with(UNDATED, "timeless", Some("10:45"), &[]);
        assert_eq!(read(&objects, MOST_WAITING), ("ahead timeless second third late".to_owned(), 0));
    }

    #[test]
    fn the_newest_reading_stands_in_for_a_receipt_that_is_not_recorded() {
        let objects = Objects::default()
            .with("hh=11/", "b", None, &["10:05", "11:05"])
            .with("hh=11/", "a", Some("11:06"), &["11:01"])
            .with(UNDATED, "timeless", None, &[]);
        assert_eq!(read(&objects, MOST_WAITING), ("b a".to_owned(), 1));
    }

    #[test]
    fn what_lies_too_far_from_its_place_comes_when_it_is_read() {
        let objects = Objects::default()
            .with("hh=10/", "a", Some("10:30"), &["10:30"])
            .with("hh=11/", "b", Some("11:30"), &["11:30"])
            .with("hh=12/", "ahead", Some("10:00"), &["12:30"]);
        assert_eq!(read(&objects, 0).0, "a b ahead");
        assert_eq!(read(&objects, MOST_WAITING).0, "ahead a b");
    }

    #[test]
    fn nothing_stored_is_one_empty_round() {
        let mut rounds = Vec::new();
        let hours = [Hour { start: at("10:00"), folder: "hh=10/".to_owned() }];
        let take = |round| {
            rounds.push(round);
            true
        };
        read_pushes(&Objects::default(), &hours, take).unwrap();
        assert_eq!(rounds, [Round { hours: 1, ..Round::default() }]);
    }
}
