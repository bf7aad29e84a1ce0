//! Days of stored readings as a table: many small objects become few Parquet files.
//!
//! # Layout
//! Beside the objects of pushes, in a bucket as in a data folder:
//!
//! - `lake/readings/dt=2026-11-23/g000001-<16 hex digits>.parquet`: the rows of that day's objects, a [`Row`] each. `g000001`
//!   is the generation that wrote the file.
//! - `lake/manifests/dt=2026-11-23/000001.json`: the [`Manifest`] of a generation: its files, and for each object where its
//!   rows are, the SHA-256 of its text and what was recorded about it. The newest one is the day as it is; a file that it does
//!   not name is nothing.
//!
//! The day is that of the objects' own folder, `raw/dt=2026-11-23/…`. Objects of `raw-undated/` and `rejected/` stay as they
//! are. Every line of an object is a row, repeated deliveries too: who counts readings counts distinct `reading_id`s, here
//! as everywhere.
//!
//! # What always holds
//! - A generation is committed by putting its manifest, which the store does only where there is none of that name. Before
//!   that, its files were read back and compared row for row with what the objects say. Killed before, there is nothing new
//!   but files that no manifest names; after, nothing is missing.
//! - A generation has the rows of every object that the one before it has, and of those that have come since: a late push
//!   opens its day again. Large files are taken over as they are, the others are written anew.
//! - An object [expires](Compaction) only where it was asked for, long enough after the manifest that names it, and
//!   when its text has just been read from the Parquet file again. What cannot be read never expires.
//! - A [`WholeArchive`] reads compacted objects from Parquet, so that it has the texts of expired ones as well.

mod archive;
mod compact;
mod day;
mod file;
mod generation;
mod manifest;
mod row;
mod store;
mod table;

pub use self::archive::WholeArchive;
pub use self::compact::{Compacted, Compaction, Limits};
pub use self::day::{Day, days};
pub use self::manifest::{FileEntry, Manifest, Receipt, Skipped, Source};
pub use self::row::Row;
pub use self::store::{LakeStore, Put, StoredFile};
