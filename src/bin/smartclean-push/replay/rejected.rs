//! `replay rejected`: what could not be read when it came, through today's reader.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use history::{Archive, ArchiveError, Hour, Period, hours};
use smartclean_push::adapters::local::FolderStore;
use smartclean_push::domain::archive::{Metadata, Object, unpack_rejections};
use smartclean_push::domain::display;
use smartclean_push::ingest::ports::{Journal, RawStore, Stored, UnavailableError};
use smartclean_push::ingest::{RereadRejection, reread};
use tokio::runtime::Runtime;

use super::{count, runtime};
use crate::archive::{complete, open};
use crate::{Failure, period, progress};

/// Read what was rejected with today's reader, after a fix: how much of it reads now, and why the rest does not
///
/// Without --into nothing is stored. With it, what reads is kept as raw readings, as if it had been pushed by itself when it
/// came; a rejection is never kept twice. The rejections stay where they are. --since and --until go by when it came.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push replay rejected --from data
  smartclean-push replay rejected --from data --since 2026-11-01 --into data
  smartclean-push replay rejected --from s3://my-readings --into mended")]
pub(super) struct Rejected {
    /// Where the rejections are: a data folder, or s3://bucket/prefix
    #[arg(long, value_name = "DATA")]
    from: String,
    #[command(flatten)]
    period: period::Arguments,
    /// The data folder to keep in what reads now; it may be the same one, also while `serve` uses it
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Let the `serve` that uses the folder evaluate it as well: what was fresh when it came alerts now
    #[arg(long, requires = "into")]
    alerts: bool,
}

/// What was found.
#[derive(Default)]
struct Found {
    rejections: usize,
    readings: usize,
    stored: usize,
    /// Why something is still refused, and how often.
    refused: BTreeMap<String, usize>,
    damaged: Vec<ArchiveError>,
}

impl Rejected {
    pub(super) fn run(self) -> Result<(), Failure> {
        let archive = open(&self.from)?;
        let store =
            self.into.as_deref().map(FolderStore::open_shared).transpose().map_err(|fault| self.in_folder(fault))?;
        let runtime = runtime()?;
        let period = self.period.read()?;
        let hours = hours(&*archive, "rejected/", &period)?;
        let bar = progress::bar(hours.len());
        let mut found = Found::default();
        for hour in &hours {
            for object in objects(&*archive, hour, &period, &mut found)? {
                if let Some(store) = &store {
                    let stored = self.keep(store, object, &runtime)?;
                    found.stored += usize::from(stored == Stored::New);
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.tell(&found);
        complete(&found.damaged)
    }

    fn keep(&self, store: &FolderStore, object: Object, runtime: &Runtime) -> Result<Stored, Failure> {
        let key = object.key.clone();
        let kept = runtime.block_on(async {
            let stored = store.put(object).await?;
            if !self.alerts && stored == Stored::New {
                // Nobody evaluates it then, and so nobody is told.
                store.mark_evaluated(&key).await?;
            }
            Ok(stored)
        });
        kept.map_err(|fault: UnavailableError| {
            Failure::new(format!("{}. Run the same again: what is kept already is not kept twice", fault.chain()))
        })
    }

    fn in_folder(&self, fault: std::io::Error) -> Failure {
        let folder = self.into.as_deref().unwrap_or(Path::new(""));
        Failure::new(format!("{} cannot be used: {fault}. Choose another with --into", folder.display()))
    }

    fn tell(&self, found: &Found) {
        let mut out = anstream::stdout().lock();
        let Found { rejections, readings, stored, refused, .. } = found;
        let _ = writeln!(out, "Rejected  {}", count(*rejections, "item"));
        let _ = writeln!(out, "Read now  {}", count(*readings, "reading"));
        let still: usize = refused.values().sum();
        let _ = writeln!(out, "Refused   {}", count(still, "item"));
        let mut reasons: Vec<_> = refused.iter().collect();
        reasons.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        for (reason, times) in reasons {
            let _ = writeln!(out, "  {times} × {}", display::line(reason));
        }
        let _ = match &self.into {
            None => writeln!(out, "Nothing was stored: this was a trial. --into FOLDER keeps what reads now."),
            Some(folder) => {
                writeln!(out, "Stored    {} in {}", count(*stored, "new object"), folder.display())
            }
        };
    }
}

/// What reads now of the rejections of an hour, as objects to be kept.
fn objects(
    archive: &dyn Archive,
    hour: &Hour,
    period: &Period,
    found: &mut Found,
) -> Result<Vec<Object>, ArchiveError> {
    let mut objects = Vec::new();
    for stored in archive.read(&archive.keys(&hour.folder)?)? {
        let received = stored.received;
        // An hour of which no more is known counts if any of it does.
        if received.is_some_and(|received| !period.contains(received)) {
            continue;
        }
        // They are filed by when they came.
        let received = received.unwrap_or(hour.start);
        let lines = match stored.text() {
            Ok(lines) => lines,
            Err(damaged) => {
                found.damaged.push(damaged);
                continue;
            }
        };
        for rejection in unpack_rejections(&lines) {
            let source = stored.key.to_string();
            let metadata = Metadata { received, request_id: "replay".to_owned(), source, lines: 0 };
            let RereadRejection { object, readings, refused } = reread(&rejection, metadata);
            found.rejections += 1;
            found.readings += readings;
            for reason in refused {
                *found.refused.entry(without_place(&reason).to_owned()).or_default() += 1;
            }
            objects.extend(object);
        }
    }
    Ok(objects)
}

/// A reason without the line and column that differ from item to item.
fn without_place(reason: &str) -> &str {
    reason.rsplit_once(" at line ").map_or(reason, |(what, _)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_their_place_are_one() {
        assert_eq!(without_place("not a JSON object: EOF at line 1 column 7"), "not a JSON object: EOF");
        assert_eq!(without_place("neither a string nor an object"), "neither a string nor an object");
    }
}
