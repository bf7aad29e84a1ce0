//! How many pushes of one reading a second `smartclean-push serve` takes, every one on the disk before it is answered, beside how
//! often this disk confirms a write at all: `make bench-serve`. Arguments: connections, and seconds for each number of them.
#![expect(clippy::expect_used, reason = "without a server and a disk there is nothing to measure")]
#![expect(clippy::print_stdout, reason = "the table is what it is asked for")]

#[path = "../parts/text.rs"]
mod text;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
const SECONDS: u64 = 5;
const ZONES: usize = 200;

/// The server, which ends with this.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on a free port. It, and where it listens.
fn serve(data: &Path) -> (Served, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_smartclean-push"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .envs([("PUSH_USERNAME", "u"), ("PUSH_PASSWORD", "p"), ("RUST_LOG", "error")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server's binary");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.split_once("http://")?.1.trim_end_matches("/push").to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    (Served(child), address.expect("where it listens"))
}

/// Pushes one reading after the other over one connection until `end`. How long each took.
async fn push(address: String, numbers: Arc<AtomicUsize>, end: Instant) -> Vec<Duration> {
    let stream = TcpStream::connect(&address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket's option");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let authorization = format!("Basic {}", STANDARD.encode("u:p"));
    let mut took = Vec::new();
    while Instant::now() < end {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::now().as_millisecond();
        let body = text::body(&[text::text_at(number, number % ZONES, now)]);
        let request = Request::post("/push").header("host", &address).header("authorization", &authorization);
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let began = Instant::now();
        let answer = sender.send_request(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body().collect().await.expect("its body");
        took.push(began.elapsed());
    }
    took
}

/// How often a second this disk confirms that a small write has reached it.
fn confirmations(folder: &Path, lasting: Duration) -> f64 {
    let mut file = File::create(folder.join("probe")).expect("a file");
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < lasting {
        file.write_all(&[0; 512]).expect("room");
        file.sync_data().expect("a disk");
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

fn main() {
    let asked: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let seconds = Duration::from_secs(asked.get(1).copied().unwrap_or(SECONDS));
    let connections = asked.first().map_or(CONNECTIONS.to_vec(), |one| vec![usize::try_from(*one).unwrap_or(1)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Beside the build's own output: a temporary folder is often in memory, which confirms at once.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    println!(
        "This disk confirms {:.0} writes a second, one after the other.\n",
        confirmations(folder.path(), seconds / 5)
    );
    println!("| connections | pushes a second | half within, ms | 99 % within, ms |\n|---|---|---|---|");
    let numbers = Arc::new(AtomicUsize::new(0));
    for connections in connections {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let (_served, address) = serve(data.path());
        let began = Instant::now();
        let mut took: Vec<Duration> = runtime.block_on(async {
            let pushing = (0..connections).map(|_| push(address.clone(), Arc::clone(&numbers), began + seconds));
            pushing.collect::<JoinSet<_>>().join_all().await.concat()
        });
        let rate = took.len() as f64 / began.elapsed().as_secs_f64();
        took.sort_unstable();
        let within = |part: f64| took[((took.len() - 1) as f64 * part) as usize].as_secs_f64() * 1_000.0;
        println!("| {connections} | {rate:.0} | {:.1} | {:.1} |", within(0.5), within(0.99));
    }
}
