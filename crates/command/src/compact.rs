//! `compact`: stored readings as Parquet files.

use analysis::words::plural;
use clap::Args;
use history::lake::{Compacted, Compaction, Limits};
use history::{Period, hours};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::output::{list, print, progress_bar};
use crate::stop::Stop;
use crate::{Failure, archive};

/// Copy the small objects of each hour into a few Parquet files, for DuckDB, Athena and others
///
/// Every line becomes a row with typed columns and the text. Objects stay as they are. An hour is written again only after a
/// late push. You can stop the command at any time and run it again to finish, also while `serve` runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push compact --data data
  smartclean-push compact --data data --before 2026-11-01

Then query: duckdb -c \"SELECT zone, count(DISTINCT reading_id) FROM 'data/lake/readings/*/*.parquet' GROUP BY zone\"")]
pub(super) struct CompactCommand {
    /// Data folder of `serve`, or s3://bucket/prefix
    #[arg(long, value_name = "DATA")]
    data: String,
    /// Compact days before this one, in UTC [default: yesterday, when most late pushes have come]
    #[arg(long, value_name = "DATE")]
    before: Option<Date>,
}

impl CompactCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = archive::open(&self.data)?;
        let yesterday = || Timestamp::now().to_zoned_datetime(TimeZone::UTC).date().saturating_sub(1.day());
        let before = self.before.unwrap_or_else(yesterday);
        let stop = Stop::listen()?;
        let go_on = || !stop.is_requested();
        let compaction = Compaction { store: &*store, limits: Limits::default(), go_on: &go_on };
        let mut hours = hours(&*store, "raw/", &Period::default())?;
        hours.retain(|hour| hour.date() < before);
        let bar = progress_bar(hours.len() as u64);
        let compacted = compaction.run(&hours, |hour| {
            bar.set_message(hour.date().to_string());
            bar.inc(1);
        });
        bar.finish_and_clear();
        report(compacted)
    }
}

fn report(Compacted { hours, objects, rows, files, bytes, faults, is_cut_short }: Compacted) -> Result<(), Failure> {
    print(format_args!(
        "Hours     {hours} compacted\nObjects   {objects}\nRows      {rows} in {}, {:.1} MB\n{}",
        plural(files as usize, "file"),
        bytes as f64 / 1e6,
        list("FAULT ", &faults),
    ));
    match &*faults {
        _ if is_cut_short => Err(Failure::interrupted("Run the command again: it does what is left")),
        [] => Ok(()),
        [fault] => Err(Failure::new(fault)),
        _ => Err(Failure::new(format!("{} faults, named above; everything else is done", faults.len()))),
    }
}
