//! Stored readings as a table: a few Parquet files replace the many small objects of an hour for queries.
//!
//! # Layout
//! Beside the objects, in a bucket or a data folder:
//!
//! - `lake/readings/dt=2026-11-23/05-0123456789abcdef-00.parquet`: rows of the objects in `raw/dt=2026-11-23/hh=05/`, in the
//!   order of their keys. Each line is a row, repeated deliveries too: count distinct `reading_id`s. A push that is stored
//!   several times in an hour, by itself or in buffered objects, is there once.
//! - `lake/readings/dt=2026-11-23/_05-0123456789abcdef`: an empty marker. The files of the hour are complete. Athena ignores
//!   names that begin with `_`, and so does `*.parquet`.
//!
//! `0123456789abcdef` is the digest of the keys of the hour's objects, also of buffered ones. Objects of `raw-undated/` and
//! `rejected/` are not in the lake.
//!
//! # Invariants
//! - The lake is a derived copy. Only queries read it. If you remove a day of it, the next run writes it again.
//! - Objects are never changed or removed.
//! - An hour that has the marker of its keys is not read. A late push changes the keys, and the next run writes the hour anew.
//! - Files are written before their marker. Files and markers of other keys are removed after it. So every reading is in at
//!   least one file at any moment, even if a run is killed, or two runs work on one hour.
//! - While an object of an hour is damaged, older files of that hour stay: they may have its lines. Each run names the object.

mod compact;
mod row;
mod store;
mod table;

pub use self::compact::{Compacted, Compaction, Limits};
pub use self::store::LakeStore;
