//! Measures how many pushes of one reading per second `smartclean-push serve` handles, each on the disk before its response, and how
//! many writes per second the disk confirms: `make bench-serve`. Arguments: connections, and seconds per measurement.
#![expect(clippy::expect_used, reason = "a benchmark without a server or a disk is useless")]
#![expect(clippy::print_stdout, reason = "the table is the output")]

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

/// The server, killed on drop.
struct BenchServer(Child);

impl Drop for BenchServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server on a free port. Also returns its address.
fn serve(data: &Path) -> (BenchServer, String) {
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
    (BenchServer(child), address.expect("the server's address"))
}

/// Pushes one reading after the other over one connection until `end`. Returns the latencies.
async fn push(address: String, numbers: Arc<AtomicUsize>, end: Instant) -> Vec<Duration> {
    let stream = TcpStream::connect(&address).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket's option");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    let authorization = format!("Basic {}", STANDARD.encode("u:p"));
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::now().as_millisecond();
        let body = text::body(&[text::text_at(number, number % ZONES, now)]);
        let request = Request::post("/push").header("host", &address).header("authorization", &authorization);
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let began = Instant::now();
        let response = sender.send_request(request).await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.expect("its body");
        latencies.push(began.elapsed());
    }
    latencies
}

/// The number of small writes that this disk confirms per second.
fn confirmations(folder: &Path, lasting: Duration) -> f64 {
    let mut file = File::create(folder.join("probe")).expect("a file");
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < lasting {
        file.write_all(&[0; 512]).expect("disk space");
        file.sync_data().expect("a disk");
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

fn main() {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let seconds = Duration::from_secs(arguments.get(1).copied().unwrap_or(SECONDS));
    let connections = arguments.first().map_or(CONNECTIONS.to_vec(), |one| vec![usize::try_from(*one).unwrap_or(1)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Not in the system's temporary folder, which is often in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    println!(
        "This disk confirms {:.0} writes per second, one after the other.\n",
        confirmations(folder.path(), seconds / 5)
    );
    println!("| connections | pushes per second | median, ms | 99 % within, ms |\n|---|---|---|---|");
    let numbers = Arc::new(AtomicUsize::new(0));
    for connections in connections {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let (_served, address) = serve(data.path());
        let began = Instant::now();
        let mut latencies: Vec<Duration> = runtime.block_on(async {
            let pushing = (0..connections).map(|_| push(address.clone(), Arc::clone(&numbers), began + seconds));
            pushing.collect::<JoinSet<_>>().join_all().await.concat()
        });
        let rate = latencies.len() as f64 / began.elapsed().as_secs_f64();
        latencies.sort_unstable();
        let within = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1_000.0;
        println!("| {connections} | {rate:.0} | {:.1} | {:.1} |", within(0.5), within(0.99));
    }
}
