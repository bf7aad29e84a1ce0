//! `compact`: days of stored readings into Parquet.

use std::io::Write;
use std::path::Path;

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use smartclean_push::adapters::files::FolderLake;
use smartclean_push::domain::shown;
use smartclean_push::lake::{Compaction, Day, Done, Expiry, LakeStore, Limits, days};

use crate::archive::unreadable;
use crate::stop::{INTERRUPTED, Stop};
use crate::{Failure, progress};

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

/// What a run came to.
#[derive(Default)]
struct Total {
    days: u64,
    objects: u64,
    rows: u64,
    files: usize,
    bytes: u64,
    expired: u64,
    faults: Vec<String>,
    is_cut_short: bool,
}

impl Compact {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = open(&self.data)?;
        let now = Timestamp::now();
        let stop = Stop::listening()?;
        let go_on = || !stop.is_asked();
        let run = Compaction {
            store: &*store,
            now,
            expiry: self.expire_raw.map_or(Expiry::Never, Expiry::AfterDays),
            limits: Limits::default(),
            go_on: &go_on,
        };
        let mut days = days(run.store).map_err(unreadable)?;
        days.retain(|day| day.0 < self.before.unwrap_or_else(|| yesterday(now)));
        let bar = progress::days(days.len());
        let mut total = Total::default();
        for day in days {
            if stop.is_asked() {
                total.is_cut_short = true;
                break;
            }
            bar.set_message(day.to_string());
            match run.day(day) {
                Ok(done) => total.add(day, done),
                Err(fault) => total.faults.push(format!("{day} stays as it was: {fault}")),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        total.tell(&self)
    }
}

fn yesterday(now: Timestamp) -> Date {
    now.to_zoned_datetime(TimeZone::UTC).date().saturating_sub(1.day())
}

fn open(data: &str) -> Result<Box<dyn LakeStore>, Failure> {
    if data.starts_with("s3://") {
        return bucket(data);
    }
    let opened = FolderLake::open(Path::new(data)).map_err(|fault| Failure::usage(fault.to_string()))?;
    Ok(Box::new(opened))
}

#[cfg(feature = "s3")]
fn bucket(data: &str) -> Result<Box<dyn LakeStore>, Failure> {
    use smartclean_push::adapters::aws::{archive::S3Archive, lake::S3Lake};
    use smartclean_push::config;

    let opened = S3Archive::open(data, config::s3_path_style_of_env()).map_err(unreadable)?;
    Ok(Box::new(S3Lake::of(opened)))
}

#[cfg(not(feature = "s3"))]
fn bucket(data: &str) -> Result<Box<dyn LakeStore>, Failure> {
    Err(Failure::usage(format!(
        "this build of the command writes no buckets. {data} is compacted by the function that is deployed with it, every \
         day; or build a command that does, with cargo build --release --features s3"
    )))
}

impl Total {
    fn add(&mut self, day: Day, done: Done) {
        if let Some(committed) = done.committed {
            self.days += 1;
            self.rows += committed.rows;
            self.files += committed.files;
            self.bytes += committed.bytes;
        }
        self.objects += done.objects;
        self.expired += done.expired;
        self.is_cut_short |= done.is_cut_short;
        self.faults
            .extend(done.skipped.into_iter().map(|skipped| format!("{} stays as it is: {}", skipped.key, skipped.why)));
        self.faults.extend(done.kept_back.into_iter().map(|why| format!("not expired: {why}")));
        if done.is_lost {
            self.faults.push(format!("{day} was compacted by somebody else at the same time. Run it again"));
        }
    }

    fn tell(self, asked: &Compact) -> Result<(), Failure> {
        let Self { days, objects, rows, files, bytes, expired, mut faults, is_cut_short } = self;
        let mut out = anstream::stdout();
        let _ = writeln!(
            out,
            "\
Days      {days} compacted
Objects   {objects} new
Rows      {rows} in {files} {}, {:.1} MB",
            if files == 1 { "file" } else { "files" },
            mega(bytes),
        );
        if asked.expire_raw.is_some() {
            let _ = writeln!(out, "Expired   {expired} {}", if expired == 1 { "object" } else { "objects" });
        }
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
        match faults.len() {
            0 => Ok(()),
            1 => Err(Failure::new(faults.remove(0))),
            count => Err(Failure::new(format!("{count} faults, named above; everything else is done"))),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to a tenth")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
