//! The command as a process: its output and its files.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{PASSWORD, USERNAME};

/// The command with these arguments, without colours, with [`USERNAME`] and [`PASSWORD`]: the one built with the tests, or the one
/// that `HOSTILE_COMMAND` names, to measure an optimized build.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let named = std::env::var("HOSTILE_COMMAND");
    let mut command = Command::new(named.as_deref().unwrap_or(env!("CARGO_BIN_EXE_smartclean-push")));
    command.args(arguments).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command.env("PUSH_USERNAME", USERNAME).env("PUSH_PASSWORD", PASSWORD);
    command
}

/// `serve` on a free port and on this data folder.
pub(crate) fn serve(data: &Path) -> Command {
    let mut command = command(&["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(data);
    command
}

/// The output and exit code of a run.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) exit: Option<i32>,
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { out: text(output.stdout), err: text(output.stderr), exit: output.status.code() }
    }
}

/// Runs the command in `folder`.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> CommandOutput {
    command(arguments).current_dir(folder).output().unwrap().into()
}

/// A running `serve`, killed when the test ends.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Its output until it listens.
    pub(crate) welcome: String,
    pub(crate) address: SocketAddr,
    /// Reads the output, because the server would block on a full pipe.
    output: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::try_start(command).unwrap_or_else(|welcome| panic!("ended early: {welcome}"))
    }

    /// Starts it, or returns its output if it ends before it listens.
    pub(crate) fn try_start(command: &mut Command) -> Result<Self, String> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut welcome = String::new();
        while !welcome.contains("Stop with Ctrl-C") {
            if stdout.read_line(&mut welcome).unwrap() == 0 {
                child.wait().unwrap();
                return Err(welcome);
            }
        }
        let address = welcome.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        let output = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // It may have been killed in the middle of a character.
            let _ = stdout.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Self { child, welcome, address, output: Some(output) })
    }

    /// The URL for pushes.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/push", self.address)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it. Returns its exit code, and its output since it listens.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let code = self.child.wait().unwrap().code();
        (code, self.output.take().unwrap().join().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL, as in a power failure. It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a condition holds, and fails after a minute.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "timed out: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every file below a folder, in order; none if there is no such folder.
pub(crate) fn paths(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// Every file below a folder, relative to it.
pub(crate) fn files(root: &Path) -> Vec<String> {
    let name = |path: PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    paths(root).into_iter().map(name).collect()
}

/// The documents of a state database, sorted by key.
pub(crate) fn documents(database: &Path) -> Vec<StoredDocument> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let mut select = connection.prepare("SELECT key, body, due FROM documents ORDER BY key").unwrap();
    let rows = select.query_map([], |row| Ok(StoredDocument { key: row.get(0)?, body: row.get(1)?, due: row.get(2)? }));
    rows.unwrap().map(Result::unwrap).collect()
}

/// A row of a state database.
#[derive(Debug, PartialEq)]
pub(crate) struct StoredDocument {
    pub(crate) key: String,
    pub(crate) body: String,
    pub(crate) due: Option<i64>,
}
