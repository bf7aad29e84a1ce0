//! A data folder, a server on it that may be killed at any time, and the ledger of its pushes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::adapters::local::{AlertLog, FolderStore};

use crate::oracle::judge::Evidence;
use crate::oracle::ledger::{Ledger, Push, RecordedResponse};
use crate::oracle::verdict::Verdict;
use crate::oracle::{AFTER_A_LEASE, AFTER_ALL_BLOCKS, MAX_SWEEPS};
use crate::support::{self, PASSWORD, Server, USERNAME, World, basic};

/// For a response on a busy machine.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// A data folder and its server.
#[derive(Debug)]
pub(super) struct TestedServer {
    name: String,
    /// The data folder.
    pub(super) data: PathBuf,
    ledger: Ledger,
    server: Option<Server>,
    /// The user that runs the server, if it is another one.
    user: Option<u32>,
}

impl TestedServer {
    /// Serves `data`, and logs to the file `name`.
    pub(super) fn start(name: &str, data: &Path) -> Self {
        Self::start_as(name, data, None)
    }

    /// Serves `data` as another user.
    pub(super) fn start_as(name: &str, data: &Path, user: Option<u32>) -> Self {
        let (name, data, ledger) = (name.to_owned(), data.to_owned(), Ledger::default());
        let mut server = Self { name, data, ledger, server: None, user };
        File::create(server.log()).unwrap();
        server.restart();
        server
    }

    fn log(&self) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oracle");
        fs::create_dir_all(&folder).unwrap();
        folder.join(format!("{}.log", self.name.replace(' ', "-")))
    }

    /// Kills the server, if there is one, and starts another one.
    pub(super) fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|log| panic!("{}: did not start: {log}", self.name));
    }

    /// Kills the server, and starts another one. The error is its log if it does not start.
    pub(super) fn try_restart(&mut self) -> Result<(), String> {
        self.server = None;
        // Ignores the signal that would end the server if a file grows too large.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_smartclean-push")]);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&self.data);
        command.env("PUSH_USERNAME", USERNAME).env("PUSH_PASSWORD", PASSWORD).env_remove("RUST_LOG");
        if let Some(user) = self.user {
            use std::os::unix::process::CommandExt as _;
            command.uid(user).gid(user);
        }
        let log = File::options().append(true).open(self.log()).unwrap();
        let server = Server::try_start(command.stderr(log));
        self.server = Some(server.map_err(|_| fs::read_to_string(self.log()).unwrap())?);
        Ok(())
    }

    /// Kills the server.
    pub(super) fn stop(&mut self) {
        self.server = None;
    }

    /// Kills the server, and sweeps at `now` as a server does at its start: a test cannot change the server's clock.
    pub(super) fn sweep_at(&mut self, now: Timestamp) {
        self.server = None;
        let (store, _) = FolderStore::open(&self.data).unwrap();
        let state = SqliteStore::open(&self.data.join("state.db")).unwrap();
        let world = World::new().with_journaled_store(store).with_state(state);
        let ingest = world.with_publisher(AlertLog::open(&self.data).unwrap()).ingest();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(ingest.sweep(now)).unwrap();
    }

    /// The server's process id.
    pub(super) fn process(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Sends a push, and returns the status of the response.
    pub(super) fn push(&mut self, push: Push) -> Option<u16> {
        let index = self.ledger.add(push);
        self.repeat(index)
    }

    /// Sends a push again.
    pub(super) fn repeat(&mut self, index: usize) -> Option<u16> {
        let url = self.server.as_ref().unwrap().url();
        let response = send(&url, &self.ledger.pushes[index].body);
        self.record(index, response)
    }

    /// Sends a push, and kills the server after this time, whether or not it has responded.
    pub(super) fn push_and_kill(&mut self, push: Push, after: Duration) -> Option<u16> {
        let index = self.ledger.add(push);
        let (url, body) = (self.server.as_ref().unwrap().url(), self.ledger.pushes[index].body.clone());
        let sending = std::thread::spawn(move || send(&url, &body));
        std::thread::sleep(after);
        self.server = None;
        let response = sending.join().unwrap();
        self.record(index, response)
    }

    fn record(&mut self, push: usize, response: Option<(u16, Value)>) -> Option<u16> {
        let (status, body) = response.map_or((None, Value::Null), |(status, body)| (Some(status), body));
        let is_safe = is_safe(&self.data, &self.ledger.pushes[push]);
        self.ledger.responses.push(RecordedResponse { push, status, body, is_safe });
        status
    }

    /// The pushes that are not acknowledged yet.
    pub(super) fn unacknowledged(&self) -> Vec<usize> {
        let acknowledged = self.ledger.acknowledged();
        (0..self.ledger.pushes.len()).filter(|push| !acknowledged.contains(push)).collect()
    }

    /// The number of zones with pending messages.
    pub(super) fn unsent(&self) -> usize {
        self.count(|document| document.get("outbox").is_some())
    }

    /// The number of matching state documents.
    fn count(&self, matches: impl Fn(&Value) -> bool) -> usize {
        documents(&self.data).values().filter(|document| matches(document)).count()
    }

    /// Kills the server, sweeps after all blocks until no message is pending, and judges the result.
    pub(super) fn conclude(mut self) -> Verdict {
        let mut later = Timestamp::now() + AFTER_ALL_BLOCKS;
        for _ in 0..MAX_SWEEPS {
            self.sweep_at(later);
            if self.count(|document| document.get("outbox").or(document.get("suppressed")).is_some()) == 0 {
                break;
            }
            later += AFTER_A_LEASE;
        }
        let evidence = self.evidence();
        Verdict::new(&self.name, evidence)
    }

    fn evidence(&mut self) -> Evidence {
        let mut unprocessed: Vec<String> =
            files(&self.data, "to-evaluate").into_iter().map(|name| format!("{name} is not evaluated")).collect();
        let log = fs::read_to_string(self.data.join("alerts.ndjson")).unwrap();
        let mut messages = Vec::new();
        for line in log.lines() {
            match serde_json::from_str::<Value>(line) {
                Ok(mut line) => messages.push(line["message"]["json"].take()),
                Err(error) => unprocessed.push(format!("a line of alerts.ndjson is invalid: {error}: {line}")),
            }
        }
        let folders = ["raw", "raw-undated", "rejected"];
        let unpacked = |name: String| {
            let text = zstd::decode_all(&*fs::read(self.data.join(&name)).unwrap()).unwrap();
            (name, String::from_utf8(text).unwrap())
        };
        Evidence {
            ledger: std::mem::take(&mut self.ledger),
            objects: folders.iter().flat_map(|folder| files(&self.data, folder)).map(unpacked).collect(),
            documents: documents(&self.data),
            messages,
            unprocessed,
            latest: None,
            may_notice_silence: false,
        }
    }
}

fn send(url: &str, body: &[u8]) -> Option<(u16, Value)> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(RESPONSE_TIMEOUT));
    let agent: ureq::Agent = config.build().into();
    let mut response = agent.post(url).header("Authorization", basic(USERNAME, PASSWORD)).send(body).ok()?;
    let text = response.body_mut().read_to_string().ok()?;
    Some((response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default()))
}

/// The files below a folder of `data`, relative to `data`.
fn files(data: &Path, folder: &str) -> Vec<String> {
    support::files(&data.join(folder)).into_iter().map(|name| format!("{folder}/{name}")).collect()
}

fn is_safe(data: &Path, push: &Push) -> bool {
    let end = format!("/{}.ndjson.zst", push.batch);
    let is_stored =
        |folders: &[&str]| folders.iter().flat_map(|folder| files(data, folder)).any(|key| key.ends_with(&end));
    (push.items.is_empty() || is_stored(&["raw", "raw-undated"]))
        && (push.rejected.is_empty() || is_stored(&["rejected"]))
}

fn documents(data: &Path) -> BTreeMap<String, Value> {
    let documents = support::documents(&data.join("state.db")).into_iter();
    documents.map(|document| (document.key, serde_json::from_str(&document.body).unwrap())).collect()
}
