//! Stored objects, some at a time: as much text as fits into memory easily, and never half an hour.

use jiff::Timestamp;
use rayon::prelude::*;

use super::{Archive, Hour, Unreadable};
use crate::domain::archive::unpack;

/// Objects that are read at a time.
const OBJECTS_AT_ONCE: usize = 512;
/// A round ends after the hour with which it has this much text.
const TEXT_OF_A_ROUND: usize = 8 << 20;

/// The lines of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// When they were first received, where that is known.
    pub received: Option<Timestamp>,
    /// A reading each.
    pub text: String,
}

/// Some hours of an archive, read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Their objects, in no order of time.
    pub objects: Vec<Lines>,
    /// How many of the hours are read now.
    pub hours: usize,
    /// Before this moment nothing more comes in order: what is read later and older than this is late.
    pub complete: Timestamp,
}

/// Reads hours round by round, and gives each to `take`, which says whether it wants more.
///
/// # Errors
/// [`Unreadable`] where objects cannot be listed, read or unpacked.
pub fn read_rounds(
    archive: &dyn Archive,
    hours: &[Hour],
    mut take: impl FnMut(Round) -> bool,
) -> Result<(), Unreadable> {
    let mut objects = Vec::new();
    let mut size = 0;
    for (index, hour) in hours.iter().enumerate() {
        for keys in archive.keys(&hour.folder)?.chunks(OBJECTS_AT_ONCE) {
            let read = archive.read(keys)?;
            let unpacked: Vec<Lines> = read
                .into_par_iter()
                .map(|object| {
                    let text = unpack(&object.bytes).map_err(|fault| Unreadable::new(&object.key, fault))?;
                    Ok(Lines { received: object.received, text })
                })
                .collect::<Result<_, Unreadable>>()?;
            size += unpacked.iter().map(|lines| lines.text.len()).sum::<usize>();
            objects.extend(unpacked);
        }
        let next = hours.get(index + 1);
        if size < TEXT_OF_A_ROUND && next.is_some() {
            continue;
        }
        // A push is filed by its newest reading, so that the next hour has some that are older; an hour's worth of them
        // is waited for.
        let complete = next.map_or(Timestamp::MAX, |_| hour.start);
        let round = Round { objects: std::mem::take(&mut objects), hours: index + 1, complete };
        size = 0;
        if !take(round) {
            return Ok(());
        }
    }
    Ok(())
}
