//! A deployed function with fakes of AWS, and the ledger of its pushes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::oracle::aws::{AwsState, FakeAws, LONGEST_DELIVERY, S3Object};
use crate::oracle::judge::{Evidence, Latest};
use crate::oracle::ledger::{Ledger, Push, RecordedResponse};
use crate::oracle::runtime::{Function, drain_queue, sweep_event};
use crate::oracle::verdict::Verdict;
use crate::oracle::{AFTER_A_LEASE, AFTER_ALL_BLOCKS, MAX_SWEEPS, SWEEPS, first_seed};
use crate::support::{PASSWORD, USERNAME, basic};

/// The function's timeout, as in template.yaml.
pub(super) const FUNCTION_TIMEOUT: Duration = Duration::from_secs(29);
/// Time after which a notice says that nothing arrives.
const QUIET_AFTER: SignedDuration = SignedDuration::from_mins(60);
/// Deliveries of the queue: more than the most for one message.
const ROUNDS: usize = 200;
/// Times at which records of the stream are delivered after all faults.
const DELIVERIES: i32 = 3;

/// The parameter of the same name in template.yaml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawDelivery {
    /// A push is an object.
    Direct,
    /// A push is a record of a stream, which writes several of them as one object.
    Buffered,
}

impl RawDelivery {
    pub(crate) const ALL: [Self; 2] = [Self::Direct, Self::Buffered];
}

impl fmt::Display for RawDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Direct { "direct" } else { "buffered" })
    }
}

/// A deployed function with fakes of AWS.
#[derive(Debug)]
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) delivery: RawDelivery,
    pub(super) aws: Arc<FakeAws>,
    pub(super) function: Function,
    ledger: Mutex<Ledger>,
    requests: AtomicUsize,
}

impl Deployment {
    pub(super) fn new(name: &str, delivery: RawDelivery) -> Self {
        Self::with_seed(name, delivery, first_seed())
    }

    /// A deployment whose deliveries of the stream follow from a seed.
    pub(super) fn with_seed(name: &str, delivery: RawDelivery, seed: u64) -> Self {
        let name = format!("{name}, {delivery}");
        let aws = FakeAws::start((delivery == RawDelivery::Buffered).then_some(seed));
        let function = Function::new(&aws, &name.replace(',', ""));
        let (ledger, requests) = (Mutex::default(), AtomicUsize::default());
        Self { name, delivery, aws, function, ledger, requests }
    }

    /// Adds pushes to the ledger, and returns their indices.
    pub(super) fn add(&self, pushes: impl IntoIterator<Item = Push>) -> Vec<usize> {
        let mut ledger = self.ledger.lock().unwrap();
        pushes.into_iter().map(|push| ledger.add(push)).collect()
    }

    /// The number of responses to these pushes with `status`.
    pub(super) fn count_status(&self, pushes: &[usize], status: Option<u16>) -> usize {
        self.ledger.lock().unwrap().count_status(pushes, status)
    }

    /// The pushes that are not acknowledged yet.
    pub(super) fn unacknowledged(&self, pushes: &[usize]) -> Vec<usize> {
        let acknowledged = self.ledger.lock().unwrap().acknowledged();
        pushes.iter().copied().filter(|push| !acknowledged.contains(push)).collect()
    }

    /// Sends pushes at the same time, each to its own process.
    pub(super) async fn push(&self, pushes: &[usize]) {
        self.push_to(&self.function, FUNCTION_TIMEOUT, pushes).await;
    }

    /// Sends pushes to other processes of the function, or with another timeout.
    pub(super) async fn push_to(&self, function: &Function, limit: Duration, pushes: &[usize]) {
        join_all(pushes.iter().map(|index| self.send(function, limit, *index))).await;
    }

    async fn send(&self, function: &Function, limit: Duration, index: usize) {
        let push = self.ledger.lock().unwrap().pushes[index].clone();
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let reply = function.invoke_within(limit, &request_event(&push, request)).await;
        // Without a response of the function, the gateway does not send a 2xx.
        let reply = reply.unwrap_or_default();
        let status = reply["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
        let body = serde_json::from_str(reply["body"].as_str().unwrap_or_default()).unwrap_or_default();
        let is_safe = self.aws.with_state(|state| is_safe(state, &push));
        self.ledger.lock().unwrap().responses.push(RecordedResponse { push: index, status, body, is_safe });
    }

    /// Delivers the records of the stream that are due and the messages of the queue, and sends the event of the schedule.
    pub(super) async fn catch_up(&self, function: &Function, limit: Duration, rounds: usize) {
        drain_queue(&self.aws, function, limit, rounds).await;
        // A sweep that fails has no consequence: the next one does its work.
        let _ = function.invoke_within(limit, &sweep_event()).await;
    }

    /// Ends all faults, waits for all retries and sweeps, and judges the result. `later` is added to the clock of the sweeps.
    pub(super) async fn conclude(self, later: SignedDuration) -> Verdict {
        self.aws.end_outage();
        self.catch_up(&self.function, FUNCTION_TIMEOUT, ROUNDS).await;
        self.function.stop_idle();
        let outboxes = self.with_member("outbox").concat();
        let mut ahead = self.send_pending(later).await;
        let pending = later + AFTER_A_LEASE * SWEEPS;
        let mut prompt = pending;
        if self.delivery == RawDelivery::Buffered {
            for _ in 0..DELIVERIES {
                ahead += LONGEST_DELIVERY / DELIVERIES;
                self.catch_up(&self.function.with_clock(ahead), FUNCTION_TIMEOUT, ROUNDS).await;
            }
            prompt = ahead + AFTER_A_LEASE * SWEEPS;
            ahead = self.send_pending(ahead).await;
        }
        ahead += AFTER_ALL_BLOCKS;
        let latest = Latest { pending, outboxes, prompt, blocked: ahead + AFTER_A_LEASE * SWEEPS };
        // On a slow machine, a sweep may not record all messages as sent in time, and the next one sends them again.
        for _ in 0..MAX_SWEEPS {
            self.catch_up(&self.function.with_clock(ahead), FUNCTION_TIMEOUT, ROUNDS).await;
            if self.with_member("outbox").is_empty() && self.with_member("suppressed").is_empty() {
                break;
            }
            ahead += AFTER_A_LEASE;
        }
        let may_notice_silence = ahead >= QUIET_AFTER;
        Verdict::new(&self.name, Evidence { may_notice_silence, latest: Some(latest), ..self.evidence() })
    }

    /// Sweeps each minute until all messages have left that may. Returns how far the clock is ahead then.
    async fn send_pending(&self, mut ahead: SignedDuration) -> SignedDuration {
        for _ in 0..SWEEPS {
            if !self.with_member("outbox").is_empty() {
                ahead += AFTER_A_LEASE;
                self.catch_up(&self.function.with_clock(ahead), FUNCTION_TIMEOUT, ROUNDS).await;
            }
        }
        ahead
    }

    /// The member `name` of each state document that has it.
    fn with_member(&self, name: &str) -> Vec<String> {
        let documents = self.aws.with_state(|state| state.table.documents());
        documents.values().filter_map(|(document, _)| document.get(name).map(Value::to_string)).collect()
    }

    fn evidence(&self) -> Evidence {
        let ledger = self.ledger.lock().unwrap().clone();
        self.aws.with_state(|state| {
            let documents: BTreeMap<String, Value> =
                state.table.documents().into_iter().map(|(key, (document, _))| (key, document)).collect();
            Evidence {
                ledger,
                objects: state.bucket.objects().iter().flat_map(|(key, object)| pushes(key, object)).collect(),
                documents,
                messages: state.topic.sent().to_vec(),
                unprocessed: state
                    .queue
                    .bodies()
                    .chain(state.queue.dead().iter().map(String::as_str))
                    .map(str::to_owned)
                    .chain(
                        state.stream.iter().filter(|stream| stream.waiting() > 0).map(|stream| format!("{stream:?}")),
                    )
                    .collect(),
                latest: None,
                may_notice_silence: false,
            }
        })
    }
}

/// The keys and texts of the pushes of an object.
fn pushes(key: &str, S3Object { bytes, .. }: &S3Object) -> Vec<(String, String)> {
    if !key.ends_with(".gz") {
        return vec![(key.to_owned(), String::from_utf8(zstd::decode_all(&**bytes).unwrap()).unwrap())];
    }
    let mut text = String::new();
    GzDecoder::new(&**bytes).read_to_string(&mut text).unwrap();
    let push = |line| {
        let push: Value = serde_json::from_str(line).unwrap();
        let readings = push["readings"].as_array().unwrap().iter().map(|reading| reading.as_str().unwrap());
        (push["key"].as_str().unwrap().to_owned(), readings.flat_map(|reading| [reading, "\n"]).collect())
    };
    text.lines().map(push).collect()
}

/// Whether both readings and rejections of a push are in the bucket, the stream or the queue.
fn is_safe(state: &AwsState, push: &Push) -> bool {
    let end = format!("/{}.ndjson.zst", push.batch);
    let is_at = |folder: &str, key: &str| key.starts_with(folder) && key.ends_with(&end);
    let queued: Vec<String> = state.queue.bodies().filter_map(queued_key).collect();
    let buffered = state.stream.iter().flat_map(|stream| stream.kept());
    let keys: Vec<&String> = state.bucket.objects().keys().chain(&queued).chain(buffered).collect();
    let is_stored = |folder: &str| keys.iter().any(|key| is_at(folder, key));
    (push.items.is_empty() || is_stored("raw")) && (push.rejected.is_empty() || is_stored("rejected/"))
}

/// The key of an object in the queue.
fn queued_key(body: &str) -> Option<String> {
    let queued_object: Value = serde_json::from_str(body).ok()?;
    let is_whole = queued_object["bytes"].as_str().is_some_and(|bytes| !bytes.is_empty());
    queued_object["key"].as_str().filter(|_| is_whole).map(str::to_owned)
}

/// The event of an HTTP API for a push, every third one with the body in Base64.
fn request_event(push: &Push, request: usize) -> Value {
    let is_base64 = request % 3 == 2;
    let body = match is_base64 {
        true => STANDARD.encode(&push.body),
        false => String::from_utf8(push.body.clone()).unwrap(),
    };
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/push", "rawQueryString": "",
        "headers": { "authorization": basic(USERNAME, PASSWORD), "content-type": "application/json" },
        "requestContext": {
            "accountId": "123456789012", "apiId": "a", "domainName": "a", "domainPrefix": "a",
            "http": {
                "method": "POST", "path": "/push", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "oracle",
            },
            "requestId": format!("request-{request}"), "routeKey": "$default", "stage": "$default",
            "time": "23/Nov/2026:08:15:30 +0000", "timeEpoch": 1_795_421_730_512_i64,
        },
        "body": body, "isBase64Encoded": is_base64,
    })
}
