//! `compact`: days of stored readings into Parquet.

use std::io::Write;

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use smartclean_push::domain::shown;
use smartclean_push::lake::{Compacted, Compaction, Limits, days};

use crate::stop::{INTERRUPTED, Stop};
use crate::{Failure, archive, progress};

/// Make few Parquet files of the many small objects of each day, for DuckDB, Athena and the like
///
/// Every line becomes a row: what it says in typed columns, and its text. A day that a late push has opened again is written
/// anew. Files are read back and compared row for row before they count; objects stay, unless --expire-raw says otherwise.
/// It may be stopped and repeated at any time, and while a server is at work.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push compact --data data
  smartclean-push compact --data data --before 2026-11-01
  smartclean-push compact --data data --expire-raw 30

Then ask: duckdb -c \"SELECT zone, count(DISTINCT reading_id) FROM 'data/lake/readings/*/*.parquet' GROUP BY zone\"")]
pub(super) struct Compact {
    /// The data folder, the one that `serve --data` was given; or s3://bucket/prefix
    #[arg(long, value_name = "DATA")]
    data: String,
    /// Days before this one, in UTC. Else before yesterday, so that most late pushes have come
    #[arg(long, value_name = "DATE")]
    before: Option<Date>,
    /// Remove objects that have been in Parquet for so many days, each after its text was read from there again
    #[arg(long, value_name = "DAYS")]
    expire_raw: Option<u16>,
}

/// Most that is named one by one.
const NAMED: usize = 10;

impl Compact {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = archive::store(&self.data)?;
        let now = Timestamp::now();
        let stop = Stop::listening()?;
        let go_on = || !stop.is_asked();
        let run = Compaction {
            store: &*store,
            now,
            expire_after_days: self.expire_raw,
            limits: Limits::default(),
            go_on: &go_on,
        };
        let mut days = days(run.store)?;
        days.retain(|day| day.0 < self.before.unwrap_or_else(|| yesterday(now)));
        let bar = progress::bar(days.len());
        let done = run.days(days, |day| {
            bar.set_message(day.to_string());
            bar.inc(1);
        });
        bar.finish_and_clear();
        self.report(done)
    }

    fn report(&self, done: Compacted) -> Result<(), Failure> {
        let Compacted { days_compacted, objects, rows, files, bytes, expired, left, faults, is_cut_short } = done;
        let mut out = anstream::stdout();
        let _ = writeln!(
            out,
            "\
Days      {days_compacted} compacted
Objects   {objects} new
Rows      {rows} in {files} {}, {:.1} MB",
            if files == 1 { "file" } else { "files" },
            mega(bytes),
        );
        if self.expire_raw.is_some() {
            let _ = writeln!(out, "Expired   {expired} {}", if expired == 1 { "object" } else { "objects" });
        }
        let faults = [left, faults].concat();
        for fault in faults.iter().take(NAMED) {
            let _ = writeln!(out, "FAULT {}", shown::line(fault));
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
}

fn yesterday(now: Timestamp) -> Date {
    now.to_zoned_datetime(TimeZone::UTC).date().saturating_sub(1.day())
}

#[expect(clippy::cast_precision_loss, reason = "shown to a tenth")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
