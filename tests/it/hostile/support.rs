//! Servers, clients that send arbitrary bytes, and a regular client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smartclean_push::auth::AuthMethods;
use smartclean_push::hosts::server::{self, ServerLimits};
use smartclean_push::http::Authenticator;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::support::memory::MemoryStore;
use crate::support::{self, PASSWORD, Server, TestApp, USERNAME, World, body, one_client};

/// Time limit of a response to the regular client. It takes milliseconds, longer on a busy machine.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(9);
/// Timeout of every wait, so that a bug is a failure and not a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn basic() -> String {
    support::basic(USERNAME, PASSWORD)
}

/// A current reading that raises no alert.
pub(crate) fn reading(number: u64) -> String {
    let at = jiff::Timestamp::now().as_millisecond();
    json!({"DevType": "SMARTCLEAN#UM", "DEVID": format!("device-{number}"), "InsID": format!("zone-{number}"),
        "PID": "building", "unixT": at, "v": {"count": 1, "b": "3000"}})
    .to_string()
}

/// A push with its length and these header lines, each ended by CR LF.
pub(crate) fn push(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {}\r\n{headers}\r\n",
        basic(),
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A response as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawResponse {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl RawResponse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// So few that the pauses add up as intended, even on a busy machine.
pub(crate) const PIECES: u32 = 16;

/// A connection for arbitrary bytes.
#[derive(Debug)]
pub(crate) struct RawConnection {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl RawConnection {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes. Returns false if the server has closed the connection.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends bytes in at most [`PIECES`] pieces, with a pause before each. Returns false if the server has closed the
    /// connection.
    pub(crate) fn trickle(&mut self, bytes: &[u8], pause: Duration) -> bool {
        bytes.chunks(bytes.len().div_ceil(PIECES as usize)).all(|piece| {
            std::thread::sleep(pause);
            self.send(piece)
        })
    }

    /// The next response; `None` if the server closes the connection without one.
    pub(crate) fn answer(&mut self) -> Option<RawResponse> {
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
        // "100 Continue" is not the response.
        if status == 100 { self.answer() } else { Some(RawResponse { status, head, body }) }
    }

    /// Reads more. Returns false if the server has closed the connection.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("the server neither answers nor closes: {error}")
            }
            Err(_) => false,
        }
    }

    /// Whether the server closes the connection in time.
    pub(crate) fn is_closed(&mut self) -> bool {
        while self.more() {}
        true
    }
}

/// Sends bytes on a new connection and returns the first response.
pub(crate) fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<RawResponse> {
    let mut raw = RawConnection::to(address);
    // An early rejection comes before all bytes are sent.
    raw.send(bytes);
    raw.answer()
}

/// A `serve` process with a temporary data folder.
pub(crate) struct ServeProcess {
    server: Server,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: SocketAddr,
}

impl ServeProcess {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments)
    }

    /// Kills it and starts it again.
    pub(crate) fn killed_and_started(self) -> Self {
        let Self { folder, server, .. } = self;
        drop(server);
        Self::start_in(folder, &[])
    }

    fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut serve = support::serve(&folder.path().join("data"));
        serve.args(arguments).stderr(log);
        // Output to a file would be filtered.
        let server = Server::start(serve.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1"));
        Self { folder, address: server.address, server }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its log.
    pub(crate) fn log(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("log")).unwrap()
    }

    /// Its output since it listens, after it has ended.
    pub(crate) fn end(self) -> (tempfile::TempDir, String) {
        let (code, shown) = self.server.end();
        assert_eq!(code, Some(0));
        (self.folder, shown)
    }

    /// Its peak memory, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        status_kib(self.server.id(), "VmHWM:") / 1024
    }
}

/// A line of the status of a process on Linux, in KiB; 0 on other systems, where tests do not measure memory.
fn status_kib(process: u32, name: &str) -> u64 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) else { return 0 };
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The server with these limits and all ports in memory.
pub(crate) struct InProcessServer {
    pub(crate) address: SocketAddr,
    pub(crate) store: MemoryStore,
    runtime: Option<Runtime>,
    end: Option<oneshot::Sender<()>>,
    ended: Option<oneshot::Receiver<usize>>,
}

impl InProcessServer {
    pub(crate) fn start(limits: ServerLimits) -> Self {
        Self::host(World::new().start(), limits)
    }

    pub(crate) fn start_with(limits: ServerLimits, auth_methods: AuthMethods) -> Self {
        let authenticator = Authenticator::new(Box::new(one_client())).with_auth_methods(auth_methods);
        Self::host(World::new().with_authenticator(authenticator).start(), limits)
    }

    pub(crate) fn start_with_body_budget(limits: ServerLimits, bytes: usize, within: Duration) -> Self {
        let TestApp { store, state, publisher, app } = World::new().start();
        Self::host(TestApp { store, state, publisher, app: app.with_body_budget(bytes, within) }, limits)
    }

    fn host(TestApp { store, app, .. }: TestApp, limits: ServerLimits) -> Self {
        let runtime = Runtime::new().unwrap();
        let app = Arc::new(app);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let ((end, asked), (tell, ended)) = (oneshot::channel::<()>(), oneshot::channel());
        runtime.spawn(async move {
            let cut_off = server::serve(app, listener, limits, async { drop(asked.await) }).await;
            let _ = tell.send(cut_off);
        });
        Self { address, store, runtime: Some(runtime), end: Some(end), ended: Some(ended) }
    }

    /// Shuts it down. Returns the number of requests that did not finish.
    pub(crate) fn end(mut self) -> usize {
        self.end.take().unwrap().send(()).unwrap();
        self.ended.take().unwrap().blocking_recv().unwrap()
    }
}

impl InProcessServer {
    /// The number of stored objects.
    pub(crate) fn stored(&self) -> usize {
        self.store.objects().len()
    }
}

impl Drop for InProcessServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A regular client, which pushes one reading after another on new connections.
pub(crate) struct RegularClient {
    stop: Arc<AtomicBool>,
    pushed: Arc<AtomicU64>,
    working: JoinHandle<Duration>,
}

impl RegularClient {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let (stop, pushed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&pushed));
        let working = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            // At least once, even if the others finish first.
            while !stopped.load(Ordering::Relaxed) || count.load(Ordering::Relaxed) == 0 {
                let began = Instant::now();
                let number = count.load(Ordering::Relaxed);
                let answer = exchange(address, push("Connection: close\r\n", &body(&[reading(number)])));
                assert_eq!(answer.map(|answer| answer.status), Some(200), "push {number} of the regular client");
                longest = longest.max(began.elapsed());
                count.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
            longest
        });
        Self { stop, pushed, working }
    }

    /// Waits for this many more responses.
    pub(crate) fn pushes(&self, more: u64) {
        let until = self.pushed.load(Ordering::Relaxed) + more;
        while self.pushed.load(Ordering::Relaxed) < until && !self.working.is_finished() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it, and asserts that no response took longer than [`ANSWERED_WITHIN`]. Returns the longest.
    pub(crate) fn longest_latency(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        let longest = self.working.join().unwrap();
        assert!(longest <= ANSWERED_WITHIN, "the regular client waited for {longest:?}");
        longest
    }
}

/// Prints the measurements, for `--nocapture`.
pub(crate) fn print_measurements(what: &str, served: &ServeProcess, began: Instant, longest: Duration) {
    let (peak, seconds) = (served.peak_mib(), began.elapsed().as_secs_f64());
    #[expect(clippy::print_stdout, reason = "shown with --nocapture, by make hostile")]
    {
        println!("| {what} | {peak} MiB | {seconds:.1} s | {} ms |", longest.as_millis());
    }
}
