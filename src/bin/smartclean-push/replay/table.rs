//! The state table of a deployed stack, as what `replay raw` feeds.

use std::collections::HashMap;
use std::io::Write as _;

use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::domain::display;
use smartclean_push::ingest::ports::StateStore;
use smartclean_push::ingest::{Restored, restore};
use tokio::runtime::Runtime;

use crate::{Failure, cloud, progress};

/// A table, and the versions of the zones that were in it when it was opened.
pub(super) struct Table {
    store: Box<dyn StateStore>,
    versions: HashMap<String, u64>,
}

impl Table {
    /// Opens a table. Its zones are listed at once: what they know then was stored before the history is read.
    pub(super) fn open(name: &str, runtime: &Runtime) -> Result<Self, Failure> {
        let (store, versions) = runtime.block_on(cloud::table(name))?;
        Ok(Self { store, versions })
    }

    /// Writes what `replayed` holds into the table, and prints what became of it. Zones that are there already are replaced
    /// if `replace` says so and nothing has written them since.
    pub(super) fn restore(self, replayed: &SqliteStore, replace: bool, runtime: &Runtime) -> Result<(), Failure> {
        let replaceable = if replace { self.versions } else { HashMap::new() };
        let documents = runtime.block_on(replayed.documents()).map_err(|fault| Failure::new(fault.chain()))?;
        let bar = progress::bar(documents.len());
        let restored = runtime.block_on(restore(documents, &*self.store, &replaceable, || bar.inc(1)));
        bar.finish_and_clear();
        tell(restored)
    }
}

fn tell(Restored { written, mut kept, failed }: Restored) -> Result<(), Failure> {
    kept.sort_unstable();
    let mut out = anstream::stdout().lock();
    let _ = writeln!(out, "Zones     {written} written; in the table already, and left as they are: {}", kept.len());
    for key in &kept {
        let _ = writeln!(out, "  {}", display::line(key));
    }
    for (key, fault) in &failed {
        let _ = writeln!(anstream::stderr(), "{}: {}", display::line(key), display::line(&fault.chain()));
    }
    match failed.len() {
        0 => Ok(()),
        failed => Err(Failure::new(format!(
            "documents that could not be written: {failed}, named above. Run the same again: what was written stays"
        ))),
    }
}
