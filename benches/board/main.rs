//! Measures views of the board, and pushes to zones with and without open alerts, by the number of devices: `make bench-board`.
//! `--into PAGE` also writes the table between the markers in this page.
#![expect(clippy::expect_used, reason = "a benchmark without its own devices is useless")]
#![expect(clippy::print_stdout, reason = "the table is the output")]

#[path = "../parts/text.rs"]
mod text;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::Request;
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::http::Board;
use smartclean_push::ingest::decode::Encoding;
use smartclean_push::ingest::links::{Invitation, Role, create_invitation};
use smartclean_push::ingest::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError};
use smartclean_push::ingest::{Environment, Ingest, RequestInfo};
use test_support::memory::{MemoryPublisher, MemoryState, MemoryStore};

const DEVICES: [(&str, usize); 3] = [("200", 200), ("10,000", 10_000), ("100,000", 100_000)];
/// The numbers of readings that `text` takes as those of the five devices of a zone.
const NUMBERS: [usize; 5] = [0, 1, 3, 5, 7];
/// One zone of this many has an open alert.
const ALERTING: usize = 50;
/// Zones whose readings are in one push.
const ZONES_OF_PUSH: usize = 1_000;
/// Views and pushes that are measured.
const TIMES: u32 = 50;
/// 2026-09-01T00:00:00Z, in milliseconds since 1970.
const START: i64 = 1_788_220_800_000;

const MARKED: (&str, &str) = ("<!-- make bench-board -->\n", "<!-- /make bench-board -->\n");

/// A state store that counts its reads and searches.
#[derive(Clone)]
struct CountedState {
    state: Arc<dyn StateStore>,
    reads: Arc<AtomicUsize>,
}

#[async_trait]
impl StateStore for CountedState {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.state.load(keys).await
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        self.state.commit(key, version, body, index).await
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.state.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.state.attention(most).await
    }
}

/// The board and the pushes of some devices.
struct Site {
    state: CountedState,
    board: Board,
    ingest: Ingest,
}

impl Site {
    /// With five devices in each of these zones.
    async fn new(state: Arc<dyn StateStore>, zones: usize) -> Self {
        let state = CountedState { state, reads: Arc::default() };
        let rules = Arc::new(RuleSet::pack());
        let environment = Environment {
            store: Box::new(MemoryStore::default()),
            journal: None,
            state: Box::new(state.clone()),
            replay_rate_limit: None,
            publisher: Box::new(MemoryPublisher::default()),
            background: Vec::new(),
            rules: Box::new(Arc::clone(&rules)),
        };
        let board = Board::new(Box::new(state.clone()), Box::new(rules));
        let site = Self { state, board, ingest: Ingest::new(environment) };
        for first in (0..zones).step_by(ZONES_OF_PUSH) {
            let zones = first..zones.min(first + ZONES_OF_PUSH);
            let texts = zones.flat_map(|zone| NUMBERS.map(|number| text_of(number, zone, START)));
            site.push(&Vec::from_iter(texts), START).await;
        }
        site
    }

    async fn push(&self, texts: &[String], at: i64) {
        let (body, context) = (text::body(texts).into(), context(at));
        let pushed = self.ingest.push(body, Encoding::Identity, &context, context.received).await;
        pushed.expect("a stored push");
    }

    /// The median time of a view of an invited phone, and the reads of one.
    async fn view(&self) -> (Duration, usize) {
        let now = context(START).received;
        let expires = now + SignedDuration::from_hours(24);
        let invitation = Invitation { team: "Team A".to_owned(), role: Role::View, created: now, expires };
        let token = create_invitation(&self.state, &invitation).await.expect("an invitation").expose();
        let before = self.state.reads.load(Ordering::Relaxed);
        let view = async |number: u32| {
            let request = Request::get("/board").header("cookie", format!("__Host-smartclean={token}"));
            let request = request.body(Full::default()).expect("a request");
            let response = self.board.handle(request, context(START + 60_000 + i64::from(number))).await;
            assert!(response.status().is_success());
        };
        let mut times = Vec::new();
        for number in 0..TIMES {
            times.push(timed(view(number)).await);
        }
        (median(times), (self.state.reads.load(Ordering::Relaxed) - before) / TIMES as usize)
    }

    /// The median time of a push of one reading of the people counter of each of these zones, in turn.
    async fn push_to(&self, zones: [usize; 2]) -> [Duration; 2] {
        let mut times = [Vec::new(), Vec::new()];
        for number in 0..TIMES {
            let at = START + 60_000 + 1_000 * i64::from(number);
            for (times, zone) in times.iter_mut().zip(zones) {
                let text = text::text_at(2 + 8 * number as usize, zone, at);
                times.push(timed(self.push(&[text], at)).await);
            }
        }
        times.map(median)
    }
}

/// A reading of device `number` of a zone. That of the soap is below its limit if the zone has an alert.
fn text_of(number: usize, zone: usize, at: i64) -> String {
    let text = text::text_at(number, zone, at);
    if zone.is_multiple_of(ALERTING) { text.replace(r#""p":"18""#, r#""p":"4""#) } else { text }
}

fn context(at: i64) -> RequestInfo {
    let received = Timestamp::from_millisecond(at).expect("a time of this year");
    RequestInfo { request_id: "bench".into(), source: "bench".into(), received, verified_client: None, url: None }
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

async fn row(name: &str, state: Arc<dyn StateStore>, (shown, devices): (&str, usize)) -> String {
    let zones = devices / NUMBERS.len();
    let site = Site::new(Arc::clone(&state), zones).await;
    let open = state.attention(usize::MAX).await.expect("the open alerts").len();
    assert_eq!(open, zones.div_ceil(ALERTING));
    let (view, reads) = site.view().await;
    let [calm, alerting] = site.push_to([1, 0]).await;
    let [view, calm, alerting] = [view, calm, alerting].map(|time| time.as_secs_f64() * 1_000.0);
    format!("| {shown} | {open} | {name} | {reads} | {view:.2} | {calm:.2} | {alerting:.2} |\n")
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut table = "| devices | zones with alerts | state store | reads of a view | a view, ms | a push, ms | a push to a zone with an \
                     alert, ms |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for devices in DEVICES {
        // Not in the system's temporary folder, which is often in memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let sqlite = SqliteStore::open(&folder.path().join("state.db")).expect("a database");
        for (name, state) in
            [("SQLite", Arc::new(sqlite) as Arc<dyn StateStore>), ("memory", Arc::new(MemoryState::default()))]
        {
            let _ = table.write_str(&runtime.block_on(row(name, state, devices)));
        }
    }
    print!("{table}");
    if let Some(page) = std::env::args().skip_while(|argument| argument != "--into").nth(1) {
        let page = Path::new(&page);
        let text = std::fs::read_to_string(page).expect("the page");
        let (before, rest) = text.split_once(MARKED.0).expect("the first marker");
        let (_, after) = rest.split_once(MARKED.1).expect("the second marker");
        std::fs::write(page, [before, MARKED.0, &table, MARKED.1, after].concat()).expect("the page");
    }
}
