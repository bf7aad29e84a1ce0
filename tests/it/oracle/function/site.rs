//! One deployed function with everything around it, and the ledger of what is pushed to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::oracle::aws::{Kept, World};
use crate::oracle::judge::Evidence;
use crate::oracle::ledger::{Answer, Ledger, Push};
use crate::oracle::runtime::{Function, drain_queue, tick};
use crate::oracle::verdict::Verdict;
use crate::oracle::{BLOCKS_ARE_OVER, LEASED_FOR, MOST_SWEEPS};
use crate::support::{PASSWORD, USERNAME, basic};

/// The function's time, as in template.yaml.
pub(super) const LIMIT: Duration = Duration::from_secs(29);
/// From when on it is noticed that nothing arrives.
const QUIET_AFTER: SignedDuration = SignedDuration::from_mins(60);
/// Rounds of the queue; more than any message is delivered.
const ROUNDS: usize = 200;

/// One deployed function with everything around it.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) world: Arc<World>,
    pub(super) function: Function,
    ledger: Mutex<Ledger>,
    requests: AtomicUsize,
}

impl Site {
    pub(super) fn new(name: &str) -> Self {
        let world = World::start();
        let function = Function::new(&world, name);
        let (ledger, requests) = (Mutex::default(), AtomicUsize::default());
        Self { name: name.to_owned(), world, function, ledger, requests }
    }

    /// Enters pushes into the ledger. Their indices.
    pub(super) fn enter(&self, pushes: impl IntoIterator<Item = Push>) -> Vec<usize> {
        let mut ledger = self.ledger.lock().unwrap();
        pushes.into_iter().map(|push| ledger.enter(push)).collect()
    }

    /// How often each of these was answered with `status`.
    pub(super) fn answered(&self, pushes: &[usize], status: Option<u16>) -> usize {
        self.ledger.lock().unwrap().answered(pushes, status)
    }

    /// Those of `pushes` that nobody has taken upon himself yet.
    pub(super) fn unobliged(&self, pushes: &[usize]) -> Vec<usize> {
        let obliged = self.ledger.lock().unwrap().obliged();
        pushes.iter().copied().filter(|push| !obliged.contains(push)).collect()
    }

    /// Sends pushes side by side, each to a process of its own.
    pub(super) async fn push(&self, pushes: &[usize]) {
        self.push_to(&self.function, LIMIT, pushes).await;
    }

    /// The same to other processes of the function, or with another limit to its time.
    pub(super) async fn push_to(&self, function: &Function, limit: Duration, pushes: &[usize]) {
        join_all(pushes.iter().map(|index| self.send(function, limit, *index))).await;
    }

    async fn send(&self, function: &Function, limit: Duration, index: usize) {
        let push = self.ledger.lock().unwrap().pushes[index].clone();
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let reply = function.invoke_within(limit, &request_event(&push, request)).await;
        // Whatever the gateway says where the function says nothing, it is no 2xx.
        let reply = reply.unwrap_or_default();
        let status = reply["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
        let body = serde_json::from_str(reply["body"].as_str().unwrap_or_default()).unwrap_or_default();
        let is_safe = self.world.kept(|kept| is_safe(kept, &push));
        self.ledger.lock().unwrap().answers.push(Answer { push: index, status, body, is_safe });
    }

    /// Delivers what waits in the queue, and lets the schedule tick.
    pub(super) async fn catch_up(&self, function: &Function, limit: Duration, rounds: usize) {
        drain_queue(&self.world, function, limit, rounds).await;
        // Of a tick that fails nobody makes anything; the next one does what was due.
        let _ = function.invoke_within(limit, &tick()).await;
    }

    /// Lets everything come to its end, with nothing going wrong any more, and judges it. `later` is by how much more the
    /// clock is ahead at the end.
    pub(super) async fn conclude(self, later: SignedDuration) -> Verdict {
        self.world.heal();
        self.catch_up(&self.function, LIMIT, ROUNDS).await;
        self.function.renew();
        let mut ahead = later + BLOCKS_ARE_OVER;
        // On a slow machine not all is noted as sent within a sweep's time, and the next one sends it again.
        for _ in 0..MOST_SWEEPS {
            self.catch_up(&self.function.by_clock(ahead), LIMIT, ROUNDS).await;
            if self.unsent() == 0 {
                break;
            }
            ahead += LEASED_FOR;
        }
        Verdict::of(&self.name, Evidence { may_find_it_quiet: ahead >= QUIET_AFTER, ..self.evidence() })
    }

    /// How many zones have something to be sent or to be said.
    fn unsent(&self) -> usize {
        let documents = self.world.kept(|kept| kept.table.documents());
        let waits = |document: &Value| document.get("outbox").is_some() || document.get("suppressed").is_some();
        documents.values().filter(|(document, _)| waits(document)).count()
    }

    fn evidence(&self) -> Evidence {
        let ledger = self.ledger.lock().unwrap().clone();
        self.world.kept(|kept| {
            let unpacked = |(key, stored): (&String, &crate::oracle::aws::Stored)| {
                let text = String::from_utf8(zstd::decode_all(&*stored.bytes).unwrap()).unwrap();
                (key.clone(), text)
            };
            let documents: BTreeMap<String, Value> =
                kept.table.documents().into_iter().map(|(key, (document, _))| (key, document)).collect();
            Evidence {
                ledger,
                objects: kept.bucket.objects().iter().map(unpacked).collect(),
                documents,
                messages: kept.topic.sent().to_vec(),
                undone: kept
                    .queue
                    .bodies()
                    .chain(kept.queue.dead().iter().map(String::as_str))
                    .map(str::to_owned)
                    .collect(),
                may_find_it_quiet: false,
            }
        })
    }
}

/// Whether readings and rejections of a push are in the bucket or in the queue, each.
fn is_safe(kept: &Kept, push: &Push) -> bool {
    let end = format!("/{}.ndjson.zst", push.batch);
    let is_at = |folder: &str, key: &str| key.starts_with(folder) && key.ends_with(&end);
    let parked: Vec<String> = kept.queue.bodies().filter_map(parked_key).collect();
    let is_kept = |folder: &str| {
        kept.bucket.objects().keys().any(|key| is_at(folder, key)) || parked.iter().any(|key| is_at(folder, key))
    };
    (push.items.is_empty() || is_kept("raw")) && (push.bad.is_empty() || is_kept("rejected/"))
}

/// The key of the object that a queued_object of the function holds.
fn parked_key(body: &str) -> Option<String> {
    let queued_object: Value = serde_json::from_str(body).ok()?;
    let is_whole = queued_object["bytes"].as_str().is_some_and(|bytes| !bytes.is_empty());
    queued_object["key"].as_str().filter(|_| is_whole).map(str::to_owned)
}

/// A push as an HTTP API hands it over, the body in Base64 every third time.
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
