//! Servers under attack, clients that send whatever bytes they like, and one that behaves.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use smartclean_push::adapters::memory::{FixedCredentials, FixedRules, MemoryPublisher, MemoryState, MemoryStore};
use smartclean_push::domain::auth::{Client, Credentials, Doors, Secret};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::hosts::server::{self, Bounds};
use smartclean_push::http::{App, Gate};
use smartclean_push::ingest::Ingest;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) const USERNAME: &str = "smartclean";
pub(crate) const PASSWORD: &str = "s3cret-Pa55";
/// Within this a client that behaves is answered, whatever others do: it takes milliseconds, and a busy machine that runs
/// tests takes its time.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// No test waits longer than this for anything, so that a fault is a failure and no test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn basic() -> String {
    format!("Basic {}", STANDARD.encode(format!("{USERNAME}:{PASSWORD}")))
}

/// A reading of now, of a device that raises nothing.
pub(crate) fn reading(number: u64) -> String {
    let at = jiff::Timestamp::now().as_millisecond();
    json!({"DevType": "SMARTCLEAN#UM", "DEVID": format!("device-{number}"), "InsID": format!("zone-{number}"),
        "PID": "building", "unixT": at, "v": {"count": 1, "b": "3000"}})
    .to_string()
}

pub(crate) fn body(readings: &[String]) -> Vec<u8> {
    serde_json::to_vec(readings).unwrap()
}

/// A push with its length, and whatever other header lines, each ended by CR LF.
pub(crate) fn push(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {}\r\n{headers}\r\n",
        basic(),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }
}

/// A connection on which anything can be sent.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes; false where the server has closed.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends bytes one by one, with a pause after each; false where the server has closed.
    pub(crate) fn trickle(&mut self, bytes: &[u8], pause: Duration) -> bool {
        bytes.iter().all(|byte| {
            std::thread::sleep(pause);
            self.send([*byte])
        })
    }

    /// The next answer; `None` where the server closes without one.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let head_end = loop {
            match self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if !self.more() => return None,
                None => {}
            }
        };
        let head = String::from_utf8(self.read[..head_end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let end = head_end + length.unwrap_or(0_usize);
        while self.read.len() < end && self.more() {}
        let body = String::from_utf8(self.read[head_end..end].to_vec()).unwrap();
        self.read.drain(..end);
        // "100 Continue" comes before an answer and is none.
        if status == 100 { self.answer() } else { Some(Answer { status, head, body }) }
    }

    /// Reads more; false where the server has closed.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Err(fault) if matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the server neither answers nor closes: {fault}")
            }
            Err(_) => false,
        }
    }

    /// Whether the server closes, sooner or later.
    pub(crate) fn is_closed(&mut self) -> bool {
        while self.more() {}
        true
    }
}

/// Sends bytes on a connection of their own, and gives the first answer.
pub(crate) fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    let mut raw = Raw::to(address);
    // What is refused early is answered early: the rest need not be taken.
    raw.send(bytes);
    raw.answer()
}

/// `serve` as its user starts it, ended when the test ends however it ends.
pub(crate) struct Served {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    child: Child,
    terminal: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// Ends it as a power cut does, and starts it again.
    pub(crate) fn killed_and_started(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        Self::start_in(folder, &[])
    }

    fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut child = command(&["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .args(arguments)
            .env_remove("RUST_LOG")
            // What is filtered where it is no terminal would not be seen.
            .env_remove("NO_COLOR")
            .env("CLICOLOR_FORCE", "1")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n');
        let mut next = move || lines.next().map(|line| String::from_utf8(line.unwrap()).unwrap());
        let url = std::iter::from_fn(&mut next).find(|line| line.contains("http://")).unwrap();
        let address = url.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        let terminal = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&terminal);
        let reading = std::thread::spawn(move || {
            for line in std::iter::from_fn(next) {
                shown.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self { folder, address, child, terminal, reading: Some(reading) }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("log")).unwrap()
    }

    /// What it has shown on the terminal since it was started, once it has ended.
    pub(crate) fn end(mut self) -> (tempfile::TempDir, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        self.reading.take().unwrap().join().unwrap();
        let shown = self.terminal.lock().unwrap().clone();
        (std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap()), shown)
    }

    /// The most memory that it has held so far, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        status_kib(self.child.id(), "VmHWM:") / 1024
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of what Linux tells of a process, in KiB; 0 on other systems, where memory is not judged.
fn status_kib(process: u32, name: &str) -> u64 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The command with these arguments: the one that was built with the tests, or what `HOSTILE_COMMAND` names, for figures of
/// an optimised one.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let named = std::env::var("HOSTILE_COMMAND");
    let mut command = Command::new(named.as_deref().unwrap_or(env!("CARGO_BIN_EXE_smartclean-push")));
    command.args(arguments).env("PUSH_USERNAME", USERNAME).env("PUSH_PASSWORD", PASSWORD).env("NO_COLOR", "1");
    command
}

/// The server itself with bounds of one's own, everything behind it in memory.
pub(crate) struct Hosted {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<MemoryStore>,
    runtime: Option<Runtime>,
    end: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<usize>>,
}

impl Hosted {
    pub(crate) fn start(bounds: Bounds) -> Self {
        Self::start_with(bounds, Doors::default())
    }

    pub(crate) fn start_with(bounds: Bounds, doors: Doors) -> Self {
        let runtime = Runtime::new().unwrap();
        let client = Client { username: USERNAME.into(), password: Secret::new(PASSWORD.into()) };
        let gate = Gate::new(FixedCredentials(Arc::new(Credentials::of(vec![client]).unwrap()))).with_doors(doors);
        let (store, rules) = (Arc::new(MemoryStore::default()), FixedRules(Arc::new(RuleSet::pack())));
        let state = (Arc::new(MemoryState::default()), Arc::new(MemoryPublisher::default()));
        let app = Arc::new(App::new(Ingest::new(Arc::clone(&store), state.0, state.1, rules), gate));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let ((end, asked), (tell, ended)) = (oneshot::channel::<()>(), oneshot::channel());
        runtime.spawn(async move {
            let cut_off = server::serve(app, listener, bounds, async { drop(asked.await) }).await;
            let _ = tell.send(cut_off);
        });
        Self { address, store, runtime: Some(runtime), end: Some(end), ended: Some(ended) }
    }

    /// Asks it to end. How many requests it cut off.
    pub(crate) fn end(mut self) -> usize {
        self.end.take().unwrap().send(()).unwrap();
        self.ended.take().unwrap().blocking_recv().unwrap()
    }
}

impl Hosted {
    /// How many objects are stored.
    pub(crate) fn stored(&self) -> usize {
        self.store.objects().len()
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Somebody who behaves, and pushes one reading after another on connections of their own while others do not.
pub(crate) struct Neighbour {
    stop: Arc<AtomicBool>,
    pushed: Arc<AtomicU64>,
    working: JoinHandle<Duration>,
}

impl Neighbour {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let (stop, pushed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&pushed));
        let working = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            // Once at least, also where the others are done before it begins.
            while !stopped.load(Ordering::Relaxed) || count.load(Ordering::Relaxed) == 0 {
                let began = Instant::now();
                let number = count.load(Ordering::Relaxed);
                let answer = exchange(address, push("Connection: close\r\n", &body(&[reading(number)])));
                assert_eq!(answer.map(|answer| answer.status), Some(200), "push {number} of who behaves");
                longest = longest.max(began.elapsed());
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
            longest
        });
        Self { stop, pushed, working }
    }

    /// Waits until that many pushes more have been answered.
    pub(crate) fn pushes(&self, more: u64) {
        let until = self.pushed.load(Ordering::Relaxed) + more;
        while self.pushed.load(Ordering::Relaxed) < until && !self.working.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it, and fails where it ever waited for longer than [`ANSWERED_WITHIN`]. The longest that it waited.
    pub(crate) fn was_served(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let longest = self.working.join().unwrap();
        assert!(longest <= ANSWERED_WITHIN, "somebody who behaves waited for {longest:?}");
        longest
    }
}

/// Says what was measured, for `--nocapture`.
pub(crate) fn told(what: &str, served: &Served, began: Instant, longest: Duration) {
    let (peak, seconds) = (served.peak_mib(), began.elapsed().as_secs_f64());
    #[expect(clippy::print_stdout, reason = "shown with --nocapture, by make hostile")]
    {
        println!("| {what} | {peak} MiB | {seconds:.1} s | {} ms |", longest.as_millis());
    }
}

/// Every file below a folder, by its path within it.
pub(crate) fn files(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
