//! Compares the evidence with the expected result: every obligation kept, nothing twice, nothing invented.
//!
//! The expected result follows from the ledger and the stored objects: a stored reading has to have its effect, whether or not its
//! push got a response. Nothing is computed with the program's own engine.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde::Deserialize as _;
use serde_json::Value;
use smartclean_push::domain::state::RuleState;

use crate::oracle::aws::AHEAD_S;
use crate::oracle::ledger::{Effect, LIMIT, Ledger, PROJECT, Push, RecordedResponse, sha256};

/// Everything that the system under test stored and sent, after all retries and sweeps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) ledger: Ledger,
    /// Pushes by the keys of their objects, unpacked. A push of a buffered object has the key of an object of its own, and may be
    /// there several times.
    pub(crate) objects: Vec<(String, String)>,
    /// State documents, by key.
    pub(crate) documents: BTreeMap<String, Value>,
    /// Messages as programs that subscribe get them, in order.
    pub(crate) messages: Vec<Value>,
    /// Messages that are still in the queue, and pushes that are not evaluated.
    pub(crate) unprocessed: Vec<String>,
    /// The latest times of alerts; `None` if the messages do not contain their times.
    pub(crate) latest: Option<Latest>,
    /// Whether a notice that nothing arrives may have been sent: if clocks are wrong by hours.
    pub(crate) may_notice_silence: bool,
}

/// The time by which each alert must leave: how far the sender's clock is ahead.
#[derive(Clone, Debug)]
pub(crate) struct Latest {
    /// For an alert that an outbox contained when the faults ended.
    pub(crate) pending: SignedDuration,
    /// The outboxes at that time.
    pub(crate) outboxes: String,
    /// For another alert that no alert of its zone can suppress.
    pub(crate) prompt: SignedDuration,
    /// For an alert that may wait for the end of a block.
    pub(crate) blocked: SignedDuration,
}

/// One alert of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SentAlert {
    id: String,
    rule: String,
    device: String,
    /// SHA-256 of the reading; empty if the message does not name it.
    reading: String,
}

/// The expected alerts of a rule for a device.
#[derive(Debug, Default)]
struct ExpectedAlerts {
    /// The least and the greatest number of alerts, each with its own id.
    least: usize,
    most: usize,
    /// The readings that may raise them.
    readings: BTreeSet<String>,
}

/// All objections; empty if the evidence is as expected.
pub(crate) fn judge(evidence: &Evidence) -> Vec<String> {
    let mut objections = Vec::new();
    for response in &evidence.ledger.responses {
        objections.extend(judge_response(&evidence.ledger.pushes[response.push], response));
    }
    for index in evidence.ledger.acknowledged() {
        objections.extend(missing(evidence, &evidence.ledger.pushes[index]));
    }
    objections.extend(unexpected_objects(evidence));
    objections.extend(judge_archive(evidence));
    let expected = expected_alerts(evidence);
    objections.extend(judge_messages(evidence, &expected));
    objections.extend(judge_people(evidence));
    objections.extend(evidence.unprocessed.iter().map(|unprocessed| format!("not processed: {unprocessed}")));
    for (key, document) in &evidence.documents {
        for (pointer, what) in
            [("/outbox", "is not sent"), ("/suppressed", "is still suppressed"), ("/lives/facts", "is not archived")]
        {
            if document.pointer(pointer).is_some() {
                objections.push(format!("{key}: something {what}"));
            }
        }
    }
    objections
}

/// Whether a response is allowed.
fn judge_response(push: &Push, response: &RecordedResponse) -> Option<String> {
    let about = &push.about;
    if response.acknowledges() && !response.is_safe {
        return Some(format!("{about}: {:?} before it was safe", response.status));
    }
    match response.status {
        Some(200) if push.is_batch => {
            let count = |name: &str| response.body[name].as_u64();
            let (accepted, rejected) = (push.items.len() as u64, push.rejected.len() as u64);
            let expected = [Some(accepted + rejected), Some(accepted), Some(rejected)];
            let counts = ["received", "accepted", "rejected"].map(count);
            let batch = response.body["batch"].as_str();
            (counts != expected || batch != Some(&push.batch)).then(|| format!("{about}: response {}", response.body))
        }
        Some(400) if !push.is_batch => None,
        // A retry can help, and the vendor may send one.
        Some(503) | None => None,
        Some(status) => Some(format!("{about}: response {status} {}", response.body)),
    }
}

/// Keys of the objects of a push below `folder`.
fn keys<'e>(evidence: &'e Evidence, folder: &str, push: &Push) -> BTreeSet<&'e String> {
    let end = format!("/{}.ndjson.zst", push.batch);
    let keys = evidence.objects.iter().map(|(key, _)| key);
    keys.filter(|key| key.starts_with(folder) && key.ends_with(&end)).collect()
}

/// What is not stored of an acknowledged push.
fn missing(evidence: &Evidence, push: &Push) -> Vec<String> {
    let mut missing = Vec::new();
    if !push.items.is_empty() && keys(evidence, "raw", push).is_empty() {
        missing.push(format!("{}: acknowledged, but its readings are not stored", push.about));
    }
    // Stored by hour of receipt: a push that is repeated in another hour is stored there again.
    if !push.rejected.is_empty() && keys(evidence, "rejected/", push).is_empty() {
        missing.push(format!("{}: acknowledged, but its rejections are not stored", push.about));
    }
    missing
}

/// Objects that are stored under two keys, changed, or were never sent.
fn unexpected_objects(evidence: &Evidence) -> Vec<String> {
    let mut objections = Vec::new();
    let mut known: BTreeSet<&String> = BTreeSet::new();
    for push in &evidence.ledger.pushes {
        let raw = keys(evidence, "raw", push);
        if raw.len() > 1 {
            objections.push(format!("{}: stored under {} keys", push.about, raw.len()));
        }
        for (key, text) in evidence.objects.iter().filter(|(key, _)| raw.contains(key)) {
            known.insert(key);
            if text.lines().collect::<Vec<_>>() != push.lines() {
                objections.push(format!("{}: stored differently from what was sent", push.about));
            }
        }
        let rejected = keys(evidence, "rejected/", push);
        for (key, text) in evidence.objects.iter().filter(|(key, _)| rejected.contains(key)) {
            known.insert(key);
            let raw = |line: &str| {
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                line["raw"].as_str().unwrap_or_default().to_owned()
            };
            if text.lines().map(raw).collect::<Vec<_>>() != push.rejected {
                objections.push(format!("{}: rejected differently from what was sent", push.about));
            }
        }
    }
    let archived = |key: &str| key.starts_with("alerts/") || key.starts_with("responses/");
    let unknown = evidence.objects.iter().map(|(key, _)| key).filter(|key| !known.contains(key) && !archived(key));
    objections.extend(unknown.map(|key| format!("{key}: was never sent")));
    objections
}

/// Archived alerts that no message names.
fn judge_archive(evidence: &Evidence) -> Vec<String> {
    let told: BTreeSet<String> = evidence.messages.iter().flat_map(alerts_in).map(|alert| alert.id).collect();
    let objects = evidence.objects.iter().filter(|(key, _)| key.starts_with("alerts/"));
    let archived = objects.flat_map(|(_, text)| text.lines()).filter_map(|line| {
        let alert: Value = serde_json::from_str(line).unwrap_or_default();
        let id = alert["alert"].as_str().and_then(|id| id.get(..32)).unwrap_or_default();
        (!told.contains(id)).then(|| format!("archived, and no message names it: {line}"))
    });
    archived.collect()
}

/// All stored readings, each once.
fn stored(evidence: &Evidence) -> BTreeMap<&str, &crate::oracle::ledger::LedgerReading> {
    let pushes = evidence.ledger.pushes.iter().filter(|push| !keys(evidence, "raw", push).is_empty());
    pushes.flat_map(|push| &push.items).map(|item| (item.text.as_str(), item)).collect()
}

/// The expected alerts, by rule and device.
fn expected_alerts(evidence: &Evidence) -> BTreeMap<(String, String), ExpectedAlerts> {
    let mut due: BTreeMap<(String, String), ExpectedAlerts> = BTreeMap::new();
    let mut people: BTreeMap<String, u32> = BTreeMap::new();
    for (text, item) in stored(evidence) {
        let (rule, least, most) = match &item.effect {
            Effect::Alert { rule } => (*rule, 1, 1),
            Effect::OptionalAlert { rule } => (*rule, 0, 1),
            Effect::People { count } => {
                *people.entry(item.device.clone()).or_default() += count;
                ("high-usage", 0, 0)
            }
            Effect::Nothing => continue,
        };
        let due = due.entry((rule.to_owned(), item.device.clone())).or_default();
        (due.least, due.most) = (due.least + least, due.most + most);
        due.readings.insert(sha256(text.as_bytes()));
    }
    for (device, count) in people {
        let due = due.entry(("high-usage".to_owned(), device)).or_default();
        (due.least, due.most) = ((count / LIMIT) as usize, (count / LIMIT) as usize);
    }
    due
}

/// The alerts of a message.
fn alerts_in(message: &Value) -> Vec<SentAlert> {
    let alerts = message["alerts"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let sent = |alert: &Value| {
        let device = [&alert["device"], &alert["location"]["device"], &message["location"]["device"]];
        let device = device.into_iter().find(|device| device.is_string()).unwrap_or(&Value::Null);
        SentAlert {
            id: text(&alert["id"]),
            rule: text(&alert["rule"]),
            device: text(device),
            reading: text(&alert["reading"]),
        }
    };
    alerts.map(sent).collect()
}

fn judge_messages(evidence: &Evidence, due: &BTreeMap<(String, String), ExpectedAlerts>) -> Vec<String> {
    let mut objections = Vec::new();
    let mut ids: BTreeMap<(String, String), BTreeMap<String, i64>> = BTreeMap::new();
    let mut causes: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut readings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in &evidence.messages {
        match message["kind"].as_str() {
            Some("firing" | "digest") => {}
            Some("notice") if evidence.may_notice_silence => {}
            _ => objections.push(format!("unexpected message: {message}")),
        }
        for SentAlert { id, rule, device, reading } in alerts_in(message) {
            let cause = (rule, device);
            match due.get(&cause) {
                None => objections.push(format!("invented: {cause:?} in {message}")),
                Some(due) if !reading.is_empty() && !due.readings.contains(&reading) => {
                    objections.push(format!("{cause:?}: raised by a reading that was not stored: {message}"));
                }
                Some(_) => {}
            }
            if !reading.is_empty() {
                readings.entry(id.clone()).or_default().insert(reading);
            }
            if causes.insert(id.clone(), cause.clone()).is_some_and(|before| before != cause) {
                objections.push(format!("one id for two causes: {id}, {cause:?}"));
            }
            let ahead_s = message[AHEAD_S].as_i64().unwrap_or_default();
            let first = ids.entry(cause).or_default().entry(id).or_insert(ahead_s);
            *first = ahead_s.min(*first);
        }
    }
    let of_several = readings.iter().filter(|(_, readings)| readings.len() > 1);
    objections.extend(of_several.map(|(id, _)| format!("one id for several readings: {id}")));
    for (cause, ExpectedAlerts { least, most, .. }) in due {
        let sent = ids.get(cause).map_or(0, BTreeMap::len);
        if sent < *least {
            objections.push(format!("{cause:?}: {sent} of {least} alerts were sent"));
        } else if sent > *most {
            objections.push(format!("{cause:?}: {sent} alerts were sent, at most {most} are expected"));
        }
    }
    objections.extend(evidence.latest.iter().flat_map(|latest| late(&ids, latest)));
    objections
}

/// Alerts that left too late. No other alert of their zones can suppress `ammonia-lite` and `soap-low`.
fn late(ids: &BTreeMap<(String, String), BTreeMap<String, i64>>, latest: &Latest) -> Vec<String> {
    let late = ids.iter().flat_map(|(cause, sent)| {
        let is_prompt = ["ammonia-lite", "soap-low"].contains(&cause.0.as_str());
        sent.iter().filter_map(move |(id, ahead_s)| {
            let latest = match (latest.outboxes.contains(id), is_prompt) {
                (true, _) => latest.pending,
                (false, true) => latest.prompt,
                (false, false) => latest.blocked,
            };
            let is_late = *ahead_s > latest.as_secs();
            is_late.then(|| format!("{cause:?}: left after {ahead_s} s, and not after {} s", latest.as_secs()))
        })
    });
    late.collect()
}

/// The total of an accumulator.
fn accumulated(rule_state: &Value) -> Option<f64> {
    match RuleState::deserialize(rule_state).ok()? {
        RuleState::Accumulator(accumulator) => Some(accumulator.total()),
        _ => None,
    }
}

/// Whether every people count was added exactly once.
fn judge_people(evidence: &Evidence) -> Vec<String> {
    let mut people: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for item in stored(evidence).values() {
        if let Effect::People { count } = item.effect {
            *people.entry((&item.zone, &item.device)).or_default() += count;
        }
    }
    let concluded = people.into_iter().filter_map(|((zone, device), count)| {
        let key = format!("zone/{}:{PROJECT}/{zone}", PROJECT.len());
        let total = evidence
            .documents
            .get(&key)
            .and_then(|document| accumulated(&document["rule_states"]["high-usage"][device]));
        let expected = f64::from(count % LIMIT);
        (total != Some(expected))
            .then(|| format!("{device}: the state has {total:?} people, and {expected} remain of {count}"))
    });
    concluded.collect()
}
