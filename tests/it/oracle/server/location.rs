//! A data folder, a server on it that may be killed at any time, and the ledger of what is pushed to it.

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
use crate::oracle::ledger::{Answer, Ledger, Push};
use crate::oracle::verdict::Verdict;
use crate::oracle::{BLOCKS_ARE_OVER, LEASED_FOR, MOST_SWEEPS};
use crate::support::{self, PASSWORD, Server, USERNAME, World, basic};

/// Longest that an answer is waited for, on a machine that is busy.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// A data folder and whoever serves it.
#[derive(Debug)]
pub(super) struct Location {
    name: String,
    /// The data folder.
    pub(super) data: PathBuf,
    ledger: Ledger,
    server: Option<Server>,
    /// As whom the server runs, where that is not us.
    user: Option<u32>,
}

impl Location {
    /// Serves `data`; what it logs is in a file of that name.
    pub(super) fn start(name: &str, data: &Path) -> Self {
        Self::start_as(name, data, None)
    }

    /// The same as another user.
    pub(super) fn start_as(name: &str, data: &Path, user: Option<u32>) -> Self {
        let (name, data, ledger) = (name.to_owned(), data.to_owned(), Ledger::default());
        let mut location = Self { name, data, ledger, server: None, user };
        File::create(location.log()).unwrap();
        location.restart();
        location
    }

    fn log(&self) -> PathBuf {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("oracle");
        fs::create_dir_all(&folder).unwrap();
        folder.join(format!("{}.log", self.name.replace(' ', "-")))
    }

    /// Kills the server, if there is one, and starts another one.
    pub(super) fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|said| panic!("{}: did not start: {said}", self.name));
    }

    /// The same; or what it said where it did not start.
    pub(super) fn try_restart(&mut self) -> Result<(), String> {
        self.server = None;
        // Without the signal the system would end it where a file would be too large, and not say so.
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

    /// Kills the server, and does what it does at each start, at `now`: a test cannot turn the server's clock.
    pub(super) fn sweep_at(&mut self, now: Timestamp) {
        self.server = None;
        let (store, _) = FolderStore::open(&self.data).unwrap();
        let state = SqliteStore::open(&self.data.join("state.db")).unwrap();
        let world = World::new().with_journaled_store(store).with_state(state);
        let ingest = world.with_publisher(AlertLog::open(&self.data).unwrap()).ingest();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(ingest.sweep(now)).unwrap();
    }

    /// The server's process.
    pub(super) fn process(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Sends a push. What was answered.
    pub(super) fn push(&mut self, push: Push) -> Option<u16> {
        let index = self.ledger.enter(push);
        self.repeat(index)
    }

    /// Sends a push that was sent before, once more.
    pub(super) fn repeat(&mut self, index: usize) -> Option<u16> {
        let url = self.server.as_ref().unwrap().url();
        let answered = send(&url, &self.ledger.pushes[index].body);
        self.note(index, answered)
    }

    /// Sends a push, and kills the server so much later, whether or not it has answered by then.
    pub(super) fn push_and_kill(&mut self, push: Push, after: Duration) -> Option<u16> {
        let index = self.ledger.enter(push);
        let (url, body) = (self.server.as_ref().unwrap().url(), self.ledger.pushes[index].body.clone());
        let sending = std::thread::spawn(move || send(&url, &body));
        std::thread::sleep(after);
        self.server = None;
        let answered = sending.join().unwrap();
        self.note(index, answered)
    }

    fn note(&mut self, push: usize, answered: Option<(u16, Value)>) -> Option<u16> {
        let (status, body) = answered.map_or((None, Value::Null), |(status, body)| (Some(status), body));
        let is_safe = is_safe(&self.data, &self.ledger.pushes[push]);
        self.ledger.answers.push(Answer { push, status, body, is_safe });
        status
    }

    /// Those pushes that nobody has taken upon himself yet.
    pub(super) fn unobliged(&self) -> Vec<usize> {
        let obliged = self.ledger.obliged();
        (0..self.ledger.pushes.len()).filter(|push| !obliged.contains(push)).collect()
    }

    /// How many zones have messages to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.count(|document| document.get("outbox").is_some())
    }

    /// How many state documents are so.
    fn count(&self, is_so: impl Fn(&Value) -> bool) -> usize {
        documents(&self.data).values().filter(|document| is_so(document)).count()
    }

    /// Kills the server, sweeps when all blocks are over until nothing waits, and judges what is left.
    pub(super) fn conclude(mut self) -> Verdict {
        let mut later = Timestamp::now() + BLOCKS_ARE_OVER;
        for _ in 0..MOST_SWEEPS {
            self.sweep_at(later);
            if self.count(|document| document.get("outbox").or(document.get("suppressed")).is_some()) == 0 {
                break;
            }
            later += LEASED_FOR;
        }
        let evidence = self.evidence();
        Verdict::of(&self.name, evidence)
    }

    fn evidence(&mut self) -> Evidence {
        let mut undone: Vec<String> =
            files(&self.data, "to-evaluate").into_iter().map(|name| format!("{name} is to be evaluated")).collect();
        let log = fs::read_to_string(self.data.join("alerts.ndjson")).unwrap();
        let mut messages = Vec::new();
        for line in log.lines() {
            match serde_json::from_str::<Value>(line) {
                Ok(mut line) => messages.push(line["message"]["json"].take()),
                Err(fault) => undone.push(format!("a line of alerts.ndjson cannot be read: {fault}: {line}")),
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
            undone,
            may_find_it_quiet: false,
        }
    }
}

fn send(url: &str, body: &[u8]) -> Option<(u16, Value)> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWERED_WITHIN));
    let agent: ureq::Agent = config.build().into();
    let mut answer = agent.post(url).header("Authorization", basic(USERNAME, PASSWORD)).send(body).ok()?;
    let text = answer.body_mut().read_to_string().ok()?;
    Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default()))
}

/// Names of the files in a folder of `data` and those below it, from `data` on.
fn files(data: &Path, folder: &str) -> Vec<String> {
    support::files(&data.join(folder)).into_iter().map(|name| format!("{folder}/{name}")).collect()
}

fn is_safe(data: &Path, push: &Push) -> bool {
    let end = format!("/{}.ndjson.zst", push.batch);
    let is_kept =
        |folders: &[&str]| folders.iter().flat_map(|folder| files(data, folder)).any(|key| key.ends_with(&end));
    (push.items.is_empty() || is_kept(&["raw", "raw-undated"])) && (push.bad.is_empty() || is_kept(&["rejected"]))
}

fn documents(data: &Path) -> BTreeMap<String, Value> {
    let documents = support::documents(&data.join("state.db")).into_iter();
    documents.map(|document| (document.key, serde_json::from_str(&document.body).unwrap())).collect()
}
