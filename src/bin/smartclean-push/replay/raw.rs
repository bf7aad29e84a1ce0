//! `replay raw`: stored readings into a state, as they were first received.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use clap::Args;
use history::{Archive, ArchiveError, Round, hours, read_pushes};
use jiff::Timestamp;
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::adapters::local::{AlertLog, FolderStore};
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::domain::engine::EvaluationStats;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::ports::{AlertPublisher, Journal as _, RawStore, Stored, UnavailableError};
use smartclean_push::ingest::{Environment, Ingest, Replay, Replayed};
use smartclean_push::notify::render::Rendered;
use tokio::runtime::Runtime;

use super::table::Table;
use super::{count, runtime};
use crate::archive::{complete, open};
use crate::stop::{INTERRUPTED, Stop};
use crate::{Failure, period, progress, rules};

/// Feed stored readings to a state in the order in which they were received, so that a new installation knows what is firing
///
/// Each object is judged as it was when it was received, by the rules that are given now. The messages that this makes are
/// not sent: they are counted, and with --alerts written to alerts.ndjson. Readings that the state knows change nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push replay raw --from data --state new/state.db
  smartclean-push replay raw --from s3://my-readings --since 2026-11-01 --state new/state.db --rules rules.toml
  smartclean-push replay raw --from data --since 2026-11-01T08:00+08:00 --until 2026-11-02 --state try.db --alerts
  smartclean-push replay raw --from s3://my-readings --state dynamodb://my-table --rules rules.toml

Then start the installation with it: smartclean-push serve --data new --rules rules.toml
A deployed stack uses its table at once; make rebuild-state runs the last example with its names.")]
pub(super) struct Raw {
    /// Where the readings are: a data folder, or s3://bucket/prefix
    #[arg(long, value_name = "DATA")]
    from: String,
    #[command(flatten)]
    period: period::Arguments,
    /// The state to feed: the file state.db of a data folder, made if it is not there; or dynamodb://table, where zones that
    /// are there already stay as they are
    #[arg(long, value_name = "STATE")]
    state: String,
    /// Also replace the zones of dynamodb://table that were there before and that nothing writes meanwhile
    #[arg(long)]
    replace: bool,
    /// Rules of your own, laid over the built-in ones
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Write the messages to alerts.ndjson beside the state, old as they are, and show them
    #[arg(long)]
    alerts: bool,
}

/// Counts messages, and writes them down where that is asked for. Nobody is sent any.
struct Messages {
    made: Arc<AtomicUsize>,
    log: Option<AlertLog>,
}

#[async_trait]
impl AlertPublisher for Messages {
    async fn publish(&self, messages: &[Rendered]) -> Vec<Result<(), UnavailableError>> {
        self.made.fetch_add(messages.len(), Ordering::Relaxed);
        match &self.log {
            Some(log) => log.publish(messages).await,
            None => messages.iter().map(|_| Ok(())).collect(),
        }
    }
}

/// What is replayed is stored already.
struct StoredAlready;

#[async_trait]
impl RawStore for StoredAlready {
    async fn put(&self, _object: Object) -> Result<Stored, UnavailableError> {
        Ok(Stored::Already)
    }
}

/// What was fed, in objects and readings.
#[derive(Default)]
struct Fed {
    objects: usize,
    readings: Replayed,
    /// Objects that are left to the server of the state.
    pending: usize,
    is_cut_short: bool,
    damaged: Vec<ArchiveError>,
}

impl Raw {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let table = self.table(&runtime)?;
        let archive = open(&self.from)?;
        let rules = self.rules.as_deref().map_or_else(|| Ok(RuleSet::pack()), rules::of_file)?;
        // A table is fed by a copy, so that the stack that uses it never sees zones as they were in the past.
        let scratch = tempfile::tempdir().map_err(|fault| {
            Failure::new(format!("no temporary folder: {fault}. Set TMPDIR to one that can be used"))
        })?;
        let file = if table.is_some() { scratch.path().join("state.db") } else { PathBuf::from(&self.state) };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let in_folder = |fault: io::Error| {
            let folder = folder.display();
            Failure::new(match fault.kind() {
                io::ErrorKind::ResourceBusy => {
                    format!("`smartclean-push serve` uses the data folder {folder}. Stop it, and run the same again")
                }
                _ => format!("{folder} cannot be used: {fault}. Choose another --state"),
            })
        };
        std::fs::create_dir_all(folder).map_err(in_folder)?;
        // Held to the end: a server beside it would see its zones as they were in the past.
        let server = server_of(folder).map_err(in_folder)?;
        let pending = match &server {
            Some(store) => runtime.block_on(store.pending(Timestamp::MAX)).map_err(|fault| not_fed(&fault))?,
            None => Vec::new(),
        };
        let pending = pending.into_iter().map(|push| push.key).collect();
        let log = if self.alerts { Some(AlertLog::open(folder).map_err(in_folder)?) } else { None };
        let state = SqliteStore::open(&file).map_err(|fault| Failure::new(format!("{}: {fault}", file.display())))?;
        let made = Arc::new(AtomicUsize::new(0));
        let messages = Messages { made: Arc::clone(&made), log };
        let ingest = Ingest::new(Environment {
            store: Box::new(StoredAlready),
            journal: None,
            state: Box::new(state.clone()),
            publisher: Box::new(messages),
            rules: Box::new(Arc::new(rules)),
        });
        let mut replay = Replay::of(&ingest);
        let fed = self.feed(&*archive, &mut replay, &pending, &runtime)?;
        if !fed.is_cut_short {
            runtime.block_on(replay.conclude(Timestamp::now())).map_err(|fault| not_fed(&fault))?;
        }
        self.tell(&fed, made.load(Ordering::Relaxed));
        if fed.is_cut_short {
            let left =
                if table.is_some() { "nothing was written" } else { "what is in the state already changes nothing" };
            return Err(Failure { what: format!("interrupted. Run the same again: {left}"), exit: INTERRUPTED });
        }
        // A zone whose reading is in a damaged object knows more than its replay.
        let replace = self.replace && fed.damaged.is_empty();
        let written = table.map_or(Ok(()), |table| table.restore(&state, replace, &runtime));
        complete(&fed.damaged).and(written)
    }

    /// The table to be restored, if `--state` names one.
    fn table(&self, runtime: &Runtime) -> Result<Option<Table>, Failure> {
        let Some(name) = self.state.strip_prefix("dynamodb://") else {
            let of_a_table = || Failure::usage("--replace is about the zones of a dynamodb://table; leave it out");
            return if self.replace { Err(of_a_table()) } else { Ok(None) };
        };
        if self.alerts {
            return Err(Failure::usage(
                "--alerts writes beside a state in a file. Leave it out, or give a file as --state",
            ));
        }
        if self.period.read()?.until.is_some() {
            return Err(Failure::usage("a table is in use, so that its state is that of now. Leave --until out"));
        }
        Table::open(name, runtime).map(Some)
    }

    /// Feeds all of `archive` but what is `pending`: the server of the state evaluates that, and sends its alerts.
    fn feed(
        &self,
        archive: &dyn Archive,
        replay: &mut Replay<'_>,
        pending: &HashSet<ObjectKey>,
        runtime: &Runtime,
    ) -> Result<Fed, Failure> {
        let period = self.period.read()?;
        let hours = hours(archive, "raw/", &period)?;
        let stop = Stop::listening()?;
        let bar = progress::bar(hours.len());
        let mut fed = Fed::default();
        let mut failure = None;
        let mut feed = |round: &Round| {
            for push in &round.pushes {
                if !period.contains(push.newest().unwrap_or(push.received)) {
                    continue;
                }
                if pending.contains(&push.key) {
                    fed.pending += 1;
                    continue;
                }
                if stop.is_asked() {
                    fed.is_cut_short = true;
                    return Ok(());
                }
                fed.readings += runtime.block_on(replay.push(&push.lines, push.received))?;
                fed.objects += 1;
            }
            bar.set_position(round.hours as u64);
            Ok(())
        };
        let is_wanted = |round: Round| {
            failure = feed(&round).err();
            failure.is_none() && !stop.is_asked()
        };
        fed.damaged = read_pushes(archive, &hours, is_wanted)?;
        bar.finish_and_clear();
        failure.map_or(Ok(fed), |failure| Err(not_fed(&failure)))
    }

    fn tell(&self, fed: &Fed, messages: usize) {
        let Replayed { readings, stats } = fed.readings;
        let EvaluationStats { duplicates, late, stale, alerts, blocked, .. } = stats;
        let sent = if self.alerts { "written to alerts.ndjson" } else { "sent to nobody" };
        let _ = writeln!(
            anstream::stdout(),
            "\
Objects   {objects}
Readings  {readings}; {known} of them known before, {stale} too old to alert when they came
Alerts    {alerts} raised, {blocked} held back
Messages  {messages}, {sent}
State     {state}",
            objects = fed.objects,
            known = duplicates + late,
            state = self.state,
        );
        if fed.pending > 0 {
            let _ = writeln!(
                anstream::stderr(),
                "Left out, because they are not evaluated yet: {}. `serve` does that when it starts, and sends their alerts.",
                count(fed.pending, "object")
            );
        } else if fed.objects == 0 {
            let _ = writeln!(anstream::stderr(), "No readings of that time are stored in {}.", self.from);
        }
    }
}

/// The data folder `folder`, opened in place of its server; `None` if it is no data folder.
fn server_of(folder: &Path) -> io::Result<Option<FolderStore>> {
    let is_data_folder = folder.join("raw").is_dir();
    is_data_folder.then(|| FolderStore::open(folder).map(|(store, _)| store)).transpose()
}

fn not_fed(fault: &UnavailableError) -> Failure {
    Failure::new(format!("{}. Run the same again: what is in the state already changes nothing", fault.chain()))
}
