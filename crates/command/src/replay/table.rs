//! The state table of a deployed stack, as the destination of `replay raw`.

use std::collections::HashMap;

use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::domain::display;
use smartclean_push::ingest::ports::StateStore;
use smartclean_push::ingest::{Restored, restore};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::output::{note, print, progress_bar};

/// A state table, and the versions that its zones had when it was opened.
pub(crate) struct StateTable {
    pub(crate) store: Box<dyn StateStore>,
    pub(crate) versions: HashMap<String, u64>,
}

impl StateTable {
    /// Writes the replayed state into the table, and prints the result. With `replace`, replaces zones that are there
    /// already, unless something has written them since the table was opened.
    pub(super) fn restore(self, replayed: &SqliteStore, replace: bool, runtime: &Runtime) -> Result<(), Failure> {
        let replaceable = if replace { self.versions } else { HashMap::new() };
        let documents = runtime.block_on(replayed.documents())?;
        let bar = progress_bar(documents.len() as u64);
        let restored = runtime.block_on(restore(documents, &*self.store, &replaceable, || bar.inc(1)));
        bar.finish_and_clear();
        report(restored)
    }
}

fn report(Restored { written, mut kept, failed }: Restored) -> Result<(), Failure> {
    kept.sort_unstable();
    print(format_args!("Zones     {written} written; in the table already, and left as they are: {}\n", kept.len()));
    kept.iter().for_each(|key| print(format_args!("  {}\n", display::line(key))));
    for (key, error) in &failed {
        note(display::line(&format!("{key}: {}", error.chain())));
    }
    match failed.len() {
        0 => Ok(()),
        failed => Err(Failure::new(format!("documents that could not be written: {failed}, named above"))
            .with_remedy("Run the command again: what was written stays")),
    }
}
