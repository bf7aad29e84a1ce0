//! `compact`: stored readings into Parquet.

use std::io::Write;

use clap::Args;
use history::lake::{Compacted, Compaction, Limits};
use history::{Period, hours};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use smartclean_push::domain::display;

use crate::stop::{INTERRUPTED, Stop};
use crate::{Failure, archive, progress};

/// Copy the many small objects of each hour into few Parquet files, for DuckDB, Athena and the like
///
/// Every line becomes a row: what it says in typed columns, and its text. Objects stay as they are. An hour is read again only
/// if a late push has added to it; then its files are written anew. Stop it at any time, and run it again to finish it, also
/// while a server is at work.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push compact --data data
  smartclean-push compact --data data --before 2026-11-01

Then ask: duckdb -c \"SELECT zone, count(DISTINCT reading_id) FROM 'data/lake/readings/*/*.parquet' GROUP BY zone\"")]
pub(super) struct Compact {
    /// The data folder, the one that `serve --data` was given; or s3://bucket/prefix
    #[arg(long, value_name = "DATA")]
    data: String,
    /// Days before this one, in UTC. Else before yesterday, so that most late pushes have come
    #[arg(long, value_name = "DATE")]
    before: Option<Date>,
}

/// Most that is named one by one.
const NAMED: usize = 10;

impl Compact {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = archive::open_lake(&self.data)?;
        let before = self.before.unwrap_or_else(yesterday);
        let stop = Stop::listening()?;
        let go_on = || !stop.is_asked();
        let compaction = Compaction { store: &*store, limits: Limits::default(), go_on: &go_on };
        let mut hours = hours(&*store, "raw/", &Period::default())?;
        hours.retain(|hour| hour.date() < before);
        let bar = progress::bar(hours.len());
        let done = compaction.run(&hours, |hour| {
            bar.set_message(hour.date().to_string());
            bar.inc(1);
        });
        bar.finish_and_clear();
        report(done)
    }
}

fn report(done: Compacted) -> Result<(), Failure> {
    let Compacted { hours, objects, rows, files, bytes, faults, is_cut_short } = done;
    let mut out = anstream::stdout();
    let _ = writeln!(
        out,
        "\
Hours     {hours} compacted
Objects   {objects}
Rows      {rows} in {files} {}, {:.1} MB",
        if files == 1 { "file" } else { "files" },
        mega(bytes),
    );
    for fault in faults.iter().take(NAMED) {
        let _ = writeln!(out, "FAULT {}", display::line(fault));
    }
    if faults.len() > NAMED {
        let _ = writeln!(out, "and {} more", faults.len() - NAMED);
    }
    if is_cut_short {
        let what = "interrupted. Run the same again: it does what is left".into();
        return Err(Failure { what, exit: INTERRUPTED });
    }
    match &*faults {
        [] => Ok(()),
        [fault] => Err(Failure::new(fault)),
        _ => Err(Failure::new(format!("{} faults, named above; everything else is done", faults.len()))),
    }
}

fn yesterday() -> Date {
    Timestamp::now().to_zoned_datetime(TimeZone::UTC).date().saturating_sub(1.day())
}

#[expect(clippy::cast_precision_loss, reason = "shown to a tenth")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
