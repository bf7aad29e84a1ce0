//! `replay rejected`: reads rejected items with today's reader.

use std::collections::BTreeMap;
use std::path::PathBuf;

use analysis::words::plural;
use clap::Args;
use history::{ArchiveError, StoredObject, hours, read_folder};
use jiff::Timestamp;
use smartclean_push::adapters::local::FolderStore;
use smartclean_push::domain::archive::{Metadata, Object, unpack_rejections};
use smartclean_push::domain::display;
use smartclean_push::ingest::ports::{RawStore, Stored, UnavailableError};
use smartclean_push::ingest::{RereadRejection, reread};

use crate::output::{print, progress_bar};
use crate::stop::runtime;
use crate::{Failure, archive, period};

/// Read rejected items with the current version, after a fix: how many it can read, and why it cannot read the others
///
/// Without --into nothing is stored. With it, items that can be read are stored as raw readings, each once, with their
/// original time of receipt. The rejections stay where they are. --since and --until are times of receipt.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push replay rejected --from data
  smartclean-push replay rejected --from data --since 2026-11-01 --into data
  smartclean-push replay rejected --from s3://my-readings --into recovered")]
pub(super) struct RejectedCommand {
    /// Stored rejections: a data folder, or s3://bucket/prefix
    #[arg(long, value_name = "DATA")]
    from: String,
    #[command(flatten)]
    period: period::PeriodArguments,
    /// Data folder for the readings. It can be the same one, also while `serve` uses it
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Let the `serve` that uses the folder evaluate the readings: those that were fresh when they came alert now
    #[arg(long, requires = "into")]
    alerts: bool,
}

/// The counts of a run.
#[derive(Default)]
struct RereadCounts {
    rejections: usize,
    readings: usize,
    stored: usize,
    /// Why items are still rejected, and how many.
    rejected: BTreeMap<String, usize>,
    damaged: Vec<ArchiveError>,
}

impl RejectedCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let archive = archive::open(&self.from)?;
        let open = |folder: &PathBuf| {
            FolderStore::open_shared(folder).map_err(|error| Failure::of_folder(folder, "--into", &error))
        };
        let store = self.into.as_ref().map(open).transpose()?;
        let runtime = runtime(1)?;
        let period = self.period.read()?;
        let hours = hours(&*archive, "rejected/", &period)?;
        let bar = progress_bar(hours.len() as u64);
        let mut counts = RereadCounts::default();
        for hour in &hours {
            let mut recovered = Vec::new();
            read_folder(&*archive, &hour.folder, |stored| {
                // Without a time of receipt, the object is in the period if its hour is. Rejections are filed by receipt.
                if stored.received.is_none_or(|received| period.contains(received)) {
                    recovered.extend(counts.reread(&stored, stored.received.unwrap_or(hour.start)));
                }
            })?;
            if let Some(store) = &store {
                for object in recovered {
                    counts.stored += usize::from(runtime.block_on(self.store(store, object)).map_err(run_again)?);
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.report(&counts);
        archive::fail_if_damaged(&counts.damaged)
    }

    /// Stores an object. Returns whether it is new.
    async fn store(&self, store: &FolderStore, object: Object) -> Result<bool, UnavailableError> {
        // Without --alerts, `serve` must not evaluate it, or people would be alerted.
        let stored = if self.alerts { store.put(object).await? } else { store.put_evaluated(object).await? };
        Ok(stored == Stored::New)
    }

    fn report(&self, RereadCounts { rejections, readings, stored, rejected, .. }: &RereadCounts) {
        let still: usize = rejected.values().sum();
        let mut reasons: Vec<_> = rejected.iter().collect();
        reasons.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        let reasons: String =
            reasons.iter().map(|(reason, times)| format!("  {times} × {}\n", display::line(reason))).collect();
        let stored = match &self.into {
            None => "Nothing was stored: this was a trial. --into FOLDER keeps what reads now.".to_owned(),
            Some(folder) => format!("Stored    {} in {}", plural(*stored, "new object"), folder.display()),
        };
        print(format_args!(
            "Rejected  {}\nRead now  {}\nRefused   {}\n{reasons}{stored}\n",
            plural(*rejections, "item"),
            plural(*readings, "reading"),
            plural(still, "item"),
        ));
    }
}

impl RereadCounts {
    /// Reads rejections. Returns objects of those that are readings now.
    fn reread(&mut self, stored: &StoredObject, received: Timestamp) -> Vec<Object> {
        let Ok(lines) = stored.text().map_err(|error| self.damaged.push(error)) else { return Vec::new() };
        let mut objects = Vec::new();
        for rejection in unpack_rejections(&lines) {
            let source = stored.key.to_string();
            let metadata = Metadata { received, request_id: "replay".to_owned(), source, lines: 0 };
            let RereadRejection { object, readings, refused } = reread(&rejection, metadata);
            self.rejections += 1;
            self.readings += readings;
            for reason in refused {
                *self.rejected.entry(without_position(&reason).to_owned()).or_default() += 1;
            }
            objects.extend(object);
        }
        objects
    }
}

fn run_again(error: UnavailableError) -> Failure {
    Failure::from(error).with_remedy("Run the command again: what is stored is not stored twice")
}

/// A reason without line and column, which differ from item to item.
fn without_position(reason: &str) -> &str {
    reason.rsplit_once(" at line ").map_or(reason, |(reason, _)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_their_position_are_one() {
        assert_eq!(without_position("not a JSON object: EOF at line 1 column 7"), "not a JSON object: EOF");
        assert_eq!(without_position("neither a string nor an object"), "neither a string nor an object");
    }
}
