//! `replay raw`: evaluates stored readings into a state, as they were first received.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use analysis::words::plural;
use async_trait::async_trait;
use clap::Args;
use history::{Archive, ArchiveError, ArchivedFacts, hours, read_pushes};
use jiff::Timestamp;
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::adapters::local::{AlertLog, FolderStore};
use smartclean_push::domain::archive::{Object, ObjectKey};
use smartclean_push::domain::engine::EvaluationStats;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::Channel;
use smartclean_push::ingest::ports::{
    AlertPublisher, Journal as _, OutgoingMessage, PublishOutcome, RawStore, Stored, UnavailableError,
};
use smartclean_push::ingest::{Environment, Ingest, Replay, Replayed};
use tokio::runtime::Runtime;

use super::table::StateTable;
use crate::output::{note, print, progress_bar};
use crate::stop::{Stop, runtime};
use crate::{Failure, OrFailure as _, archive, cloud, period, rules};

/// Evaluate stored readings into a state, so that a new installation knows which alerts are firing
///
/// Pushes are evaluated in the order in which they were received, by the given rules. Their messages are not sent: they are
/// counted, and with --alerts written to alerts.ndjson. Readings that the state already has change nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push replay raw --from data --state new/state.db
  smartclean-push replay raw --from s3://my-readings --since 2026-11-01 --state new/state.db --rules rules.toml
  smartclean-push replay raw --from data --since 2026-11-01T08:00+08:00 --until 2026-11-02 --state try.db --alerts
  smartclean-push replay raw --from s3://my-readings --state dynamodb://my-table --rules rules.toml

Then start the installation with it: smartclean-push serve --data new --rules rules.toml
A deployed stack uses its table at once. `make rebuild-state` runs the last example with its names.")]
pub(super) struct RawCommand {
    /// Stored readings: a data folder, or s3://bucket/prefix
    #[arg(long, value_name = "DATA")]
    from: String,
    #[command(flatten)]
    period: period::PeriodArguments,
    /// State to write: the file state.db of a data folder, which is created if it does not exist; or dynamodb://table, in which
    /// existing zones stay as they are
    #[arg(long, value_name = "STATE")]
    state: String,
    /// Also replace existing zones of dynamodb://table, unless something writes them meanwhile
    #[arg(long)]
    replace: bool,
    /// Your rules file, laid over the built-in rules
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Write the old messages to alerts.ndjson beside the state, and print them
    #[arg(long)]
    alerts: bool,
}

/// Counts messages, and writes them to the alert log if there is one. Sends none.
struct MessageCounter {
    count: Arc<AtomicUsize>,
    log: Option<AlertLog>,
}

#[async_trait]
impl AlertPublisher for MessageCounter {
    fn channel(&self) -> Channel {
        Channel::Log
    }

    async fn publish(&self, rules: &RuleSet, messages: &[OutgoingMessage]) -> Vec<PublishOutcome> {
        self.count.fetch_add(messages.len(), Ordering::Relaxed);
        match &self.log {
            Some(log) => log.publish(rules, messages).await,
            None => messages.iter().map(|_| PublishOutcome::default()).collect(),
        }
    }
}

/// A raw store that stores nothing: every replayed push is stored already.
struct AlreadyStored;

#[async_trait]
impl RawStore for AlreadyStored {
    async fn put(&self, _object: Object) -> Result<Stored, UnavailableError> {
        Ok(Stored::Already)
    }
}

/// The counts of a run.
#[derive(Default)]
struct ReplayCounts {
    objects: usize,
    readings: Replayed,
    /// Objects that are left to the server of the state.
    pending: usize,
    damaged: Vec<ArchiveError>,
}

impl RawCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = runtime(1)?;
        let table = self.open_table(&runtime)?;
        let archive = archive::open(&self.from)?;
        let rules = rules::load(self.rules.as_deref())?;
        // The state of a table is replayed into a file first: the stack that uses the table never sees a past state.
        let scratch = tempfile::tempdir().or_failure("no temporary folder can be made");
        let scratch = scratch.map_err(|failure| failure.with_remedy("Set TMPDIR to a folder that can be used"))?;
        let file = if table.is_some() { scratch.path().join("state.db") } else { PathBuf::from(&self.state) };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let unusable = |error| Failure::of_folder(folder, "--state", &error);
        std::fs::create_dir_all(folder).map_err(unusable)?;
        // Open until the end: a server that started meanwhile would see a past state.
        let server = folder.join("raw").is_dir().then(|| FolderStore::open(folder)).transpose().map_err(unusable)?;
        let pending = match &server {
            Some((store, _)) => runtime.block_on(store.pending(Timestamp::MAX)).map_err(run_again)?,
            None => Vec::new(),
        };
        let pending = pending.into_iter().map(|push| push.key).collect();
        let log = self.alerts.then(|| AlertLog::open(folder)).transpose().map_err(unusable)?;
        let state = SqliteStore::open(&file).or_failure(file.display())?;
        let rate_limit = SqliteStore::open(&scratch.path().join("rate-limit.db")).or_failure("the rate limit")?;
        let count = Arc::new(AtomicUsize::new(0));
        let ingest = Ingest::new(Environment {
            store: Box::new(AlreadyStored),
            journal: None,
            state: Box::new(state.clone()),
            replay_rate_limit: Some(Box::new(rate_limit)),
            publisher: Box::new(MessageCounter { count: Arc::clone(&count), log }),
            background: Vec::new(),
            rules: Box::new(Arc::new(rules)),
        });
        let mut damaged = Vec::new();
        let reported = ArchivedFacts::read_reported(&*archive, &self.period.read()?, &mut damaged)?;
        let (mut replay, stop) = (Replay::of(&ingest, reported), Stop::listen()?);
        let mut counts = self.replay(&*archive, &mut replay, &pending, &runtime, &stop)?;
        counts.damaged.append(&mut damaged);
        let is_interrupted = stop.is_requested();
        if !is_interrupted {
            runtime.block_on(replay.conclude(Timestamp::now())).map_err(run_again)?;
        }
        self.report(&counts, count.load(Ordering::Relaxed));
        if is_interrupted {
            return Err(Failure::interrupted(match table {
                Some(_) => "Run the command again: nothing was written",
                None => RUN_AGAIN,
            }));
        }
        // If an object is damaged, the state of a zone in the table can have readings that its replay does not have.
        let replace = self.replace && counts.damaged.is_empty();
        let written = table.map_or(Ok(()), |table| table.restore(&state, replace, &runtime));
        archive::fail_if_damaged(&counts.damaged).and(written)
    }

    /// Opens the table that `--state` names, if it names one.
    fn open_table(&self, runtime: &Runtime) -> Result<Option<StateTable>, Failure> {
        match self.state.strip_prefix("dynamodb://") {
            None if self.replace => {
                Err(Failure::usage("--replace is about the zones of a dynamodb://table; leave it out"))
            }
            None => Ok(None),
            Some(_) if self.alerts => {
                Err(Failure::usage("--alerts writes beside a state in a file. Leave it out, or give a file as --state"))
            }
            Some(_) if self.period.read()?.until.is_some() => {
                Err(Failure::usage("a table is in use, so that its state is that of now. Leave --until out"))
            }
            // Its zones are listed at once: only pushes that were stored before can be in their state.
            Some(name) => runtime.block_on(cloud::table(name)).map(Some),
        }
    }

    /// Replays all objects except `pending` ones: the server of the state evaluates those, and sends their alerts.
    fn replay(
        &self,
        archive: &dyn Archive,
        replay: &mut Replay<'_>,
        pending: &HashSet<ObjectKey>,
        runtime: &Runtime,
        stop: &Stop,
    ) -> Result<ReplayCounts, Failure> {
        let period = self.period.read()?;
        let hours = hours(archive, "raw/", &period)?;
        let bar = progress_bar(hours.len() as u64);
        let (mut counts, mut result) = (ReplayCounts::default(), Ok(()));
        let damaged = read_pushes(archive, &hours, |round| {
            for push in &round.pushes {
                if stop.is_requested() || result.is_err() {
                    return false;
                }
                if !period.contains(push.newest().unwrap_or(push.received)) {
                    continue;
                }
                if pending.contains(&push.key) {
                    counts.pending += 1;
                    continue;
                }
                counts.objects += 1;
                result = runtime
                    .block_on(replay.push(&push.lines, push.received))
                    .map(|replayed| counts.readings += replayed);
            }
            bar.set_position(round.hours as u64);
            result.is_ok()
        })?;
        bar.finish_and_clear();
        result.map(|()| ReplayCounts { damaged, ..counts }).map_err(run_again)
    }

    fn report(&self, counts: &ReplayCounts, messages: usize) {
        let Replayed { readings, stats } = counts.readings;
        let EvaluationStats { duplicates, late, stale, alerts, blocked, .. } = stats;
        let sent = if self.alerts { "written to alerts.ndjson" } else { "sent to nobody" };
        print(format_args!(
            "\
Objects   {objects}
Readings  {readings}; {known} of them known before, {stale} too old to alert when they came
Alerts    {alerts} raised, {blocked} suppressed by a block
Messages  {messages}, {sent}
State     {state}
",
            objects = counts.objects,
            known = duplicates + late,
            state = self.state,
        ));
        if counts.pending > 0 {
            note(format_args!(
                "Left out, because they are not evaluated yet: {}. `serve` does that when it starts, and sends their alerts.",
                plural(counts.pending, "object")
            ));
        } else if counts.objects == 0 {
            note(format_args!("No readings of that time are stored in {}.", self.from));
        }
    }
}

const RUN_AGAIN: &str = "Run the command again: what is in the state already changes nothing";

fn run_again(error: UnavailableError) -> Failure {
    Failure::from(error).with_remedy(RUN_AGAIN)
}
