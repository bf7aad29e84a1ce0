//! Compares what is left with what must be: every obligation kept, nothing twice, nothing invented.
//!
//! What must be follows from the ledger and from what is stored: a reading that is stored has to come to what it means,
//! whether or not its push was answered. None of it is reckoned by the program's own engine.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;
use serde_json::Value;
use smartclean_push::domain::state::RuleState;

use crate::oracle::ledger::{Answer, LIMIT, Ledger, Means, PROJECT, Push, sha256};

/// All that is left when everything has had its time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    pub(crate) ledger: Ledger,
    /// Objects by their keys, unpacked.
    pub(crate) objects: BTreeMap<String, String>,
    /// What is remembered, by key.
    pub(crate) documents: BTreeMap<String, Value>,
    /// What programs that subscribe were told, in order.
    pub(crate) messages: Vec<Value>,
    /// Messages of the queue that nobody could do, and pushes that are still to be evaluated.
    pub(crate) undone: Vec<String>,
    /// Whether a notice that nothing arrives may have been sent: where clocks are wrong by hours.
    pub(crate) may_find_it_quiet: bool,
}

/// One alert as a message tells of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    id: String,
    rule: String,
    device: String,
    /// SHA-256 of the reading; empty where the message does not name it.
    reading: String,
}

/// What a rule has to say of a device.
#[derive(Debug, Default)]
struct Due {
    /// How many alerts there must be at least and at most, each with an id of its own.
    least: usize,
    most: usize,
    /// The readings that may have raised them.
    readings: BTreeSet<String>,
}

/// Everything that is not as it must be; empty where all is well.
pub(crate) fn judge(evidence: &Evidence) -> Vec<String> {
    let mut objections = Vec::new();
    for answer in &evidence.ledger.answers {
        objections.extend(judge_answer(&evidence.ledger.pushes[answer.push], answer));
    }
    for index in evidence.ledger.obliged() {
        objections.extend(missing(evidence, &evidence.ledger.pushes[index]));
    }
    objections.extend(strangers(evidence));
    let due = due(evidence);
    objections.extend(judge_messages(evidence, &due));
    objections.extend(judge_people(evidence));
    objections.extend(evidence.undone.iter().map(|undone| format!("nobody could do this: {undone}")));
    for (key, document) in &evidence.documents {
        for (pointer, what) in [("/outbox", "is still to be sent"), ("/suppressed", "is still suppressed")] {
            if document.pointer(pointer).is_some() {
                objections.push(format!("{key}: something {what}"));
            }
        }
    }
    objections
}

/// Whether an answer may be given at all.
fn judge_answer(push: &Push, answer: &Answer) -> Option<String> {
    let about = &push.about;
    if answer.obliges() && !answer.is_safe {
        return Some(format!("{about}: answered {:?} before it was safe", answer.status));
    }
    match answer.status {
        Some(200) if push.is_batch => {
            let count = |name: &str| answer.body[name].as_u64();
            let (accepted, rejected) = (push.items.len() as u64, push.bad.len() as u64);
            let expected = [Some(accepted + rejected), Some(accepted), Some(rejected)];
            let told = ["received", "accepted", "rejected"].map(count);
            let batch = answer.body["batch"].as_str();
            (told != expected || batch != Some(&push.batch)).then(|| format!("{about}: answered {}", answer.body))
        }
        Some(400) if !push.is_batch => None,
        // A retry can help, and the vendor may make one.
        Some(503) | None => None,
        Some(status) => Some(format!("{about}: answered {status} {}", answer.body)),
    }
}

/// Keys of the objects of a push below `folder`.
fn keys<'e>(evidence: &'e Evidence, folder: &str, push: &Push) -> Vec<&'e String> {
    let end = format!("/{}.ndjson.zst", push.batch);
    evidence.objects.keys().filter(|key| key.starts_with(folder) && key.ends_with(&end)).collect()
}

/// What is not stored of a push that it was answered for.
fn missing(evidence: &Evidence, push: &Push) -> Vec<String> {
    let mut missing = Vec::new();
    if !push.items.is_empty() && keys(evidence, "raw", push).is_empty() {
        missing.push(format!("{}: answered, and its readings are not stored", push.about));
    }
    // By receipt: a push that is repeated in another hour is rejected there again.
    if !push.bad.is_empty() && keys(evidence, "rejected/", push).is_empty() {
        missing.push(format!("{}: answered, and what was rejected is not kept", push.about));
    }
    missing
}

/// What is stored twice, or not as it was sent, or was never sent.
fn strangers(evidence: &Evidence) -> Vec<String> {
    let mut objections = Vec::new();
    let mut known: BTreeSet<&String> = BTreeSet::new();
    for push in &evidence.ledger.pushes {
        let raw = keys(evidence, "raw", push);
        if raw.len() > 1 {
            objections.push(format!("{}: stored {} times", push.about, raw.len()));
        }
        for key in raw {
            known.insert(key);
            if evidence.objects[key].lines().collect::<Vec<_>>() != push.lines() {
                objections.push(format!("{}: stored otherwise than it was sent", push.about));
            }
        }
        for key in keys(evidence, "rejected/", push) {
            known.insert(key);
            let raw = |line: &str| {
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                line["raw"].as_str().unwrap_or_default().to_owned()
            };
            if evidence.objects[key].lines().map(raw).collect::<Vec<_>>() != push.bad {
                objections.push(format!("{}: rejected otherwise than it was sent", push.about));
            }
        }
    }
    let strangers = evidence.objects.keys().filter(|key| !known.contains(key));
    objections.extend(strangers.map(|key| format!("{key}: nobody has sent that")));
    objections
}

/// Each reading that is stored, once.
fn stored(evidence: &Evidence) -> BTreeMap<&str, &crate::oracle::ledger::Item> {
    let pushes = evidence.ledger.pushes.iter().filter(|push| !keys(evidence, "raw", push).is_empty());
    pushes.flat_map(|push| &push.items).map(|item| (item.text.as_str(), item)).collect()
}

/// What has to be said, by rule and device.
fn due(evidence: &Evidence) -> BTreeMap<(String, String), Due> {
    let mut due: BTreeMap<(String, String), Due> = BTreeMap::new();
    let mut people: BTreeMap<String, u32> = BTreeMap::new();
    for (text, item) in stored(evidence) {
        let (rule, least, most) = match &item.means {
            Means::Alert { rule } => (*rule, 1, 1),
            Means::PerhapsAlert { rule } => (*rule, 0, 1),
            Means::People { count } => {
                *people.entry(item.device.clone()).or_default() += count;
                ("high-usage", 0, 0)
            }
            Means::Nothing => continue,
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

/// The alerts that a message tells of.
fn told(message: &Value) -> Vec<Told> {
    let alerts = message["alerts"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |alert: &Value| {
        let device = [&alert["device"], &alert["location"]["device"], &message["location"]["device"]];
        let device = device.into_iter().find(|device| device.is_string()).unwrap_or(&Value::Null);
        Told {
            id: text(&alert["id"]),
            rule: text(&alert["rule"]),
            device: text(device),
            reading: text(&alert["reading"]),
        }
    };
    alerts.map(of).collect()
}

fn judge_messages(evidence: &Evidence, due: &BTreeMap<(String, String), Due>) -> Vec<String> {
    let mut objections = Vec::new();
    let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut causes: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut readings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in &evidence.messages {
        match message["kind"].as_str() {
            Some("firing" | "digest") => {}
            Some("notice") if evidence.may_find_it_quiet => {}
            _ => objections.push(format!("a message that nobody expects: {message}")),
        }
        for Told { id, rule, device, reading } in told(message) {
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
            ids.entry(cause).or_default().insert(id);
        }
    }
    let of_several = readings.iter().filter(|(_, readings)| readings.len() > 1);
    objections.extend(of_several.map(|(id, _)| format!("one id for several readings: {id}")));
    for (cause, Due { least, most, .. }) in due {
        let sent = ids.get(cause).map_or(0, BTreeSet::len);
        if sent < *least {
            objections.push(format!("{cause:?}: {sent} of {least} alerts were sent"));
        } else if sent > *most {
            objections.push(format!("{cause:?}: {sent} alerts were sent where {most} are due"));
        }
    }
    objections
}

/// What an accumulator has added up.
fn accumulated(rule_state: &Value) -> Option<f64> {
    match RuleState::deserialize(rule_state).ok()? {
        RuleState::Accumulator(accumulator) => Some(accumulator.total()),
        _ => None,
    }
}

/// Whether every reading of people was counted, and none twice.
fn judge_people(evidence: &Evidence) -> Vec<String> {
    let mut people: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for item in stored(evidence).values() {
        if let Means::People { count } = item.means {
            *people.entry((&item.zone, &item.device)).or_default() += count;
        }
    }
    let judged = people.into_iter().filter_map(|((zone, device), count)| {
        let key = format!("zone/{}:{PROJECT}/{zone}", PROJECT.len());
        let total = evidence
            .documents
            .get(&key)
            .and_then(|document| accumulated(&document["rule_states"]["high-usage"][device]));
        let expected = f64::from(count % LIMIT);
        (total != Some(expected))
            .then(|| format!("{device}: {total:?} people are remembered, and {expected} are left of {count}"))
    });
    judged.collect()
}
