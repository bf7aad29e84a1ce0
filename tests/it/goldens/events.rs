//! The function's reply to every file in `events/`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::compare;
use crate::publications::WithFallback;

#[tokio::test]
async fn every_event_has_the_recorded_reply() {
    let events = crate::support::repository().join("events");
    let mut replies: BTreeMap<String, Value> = BTreeMap::new();
    for folder in ["http-api", "iot", "queue", "rest-api"] {
        for entry in std::fs::read_dir(events.join(folder)).unwrap() {
            let name = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
            let reply =
                WithFallback::new().reply_to(&name).await.unwrap_or_else(|fault| json!({"fault": fault.to_string()}));
            replies.insert(name, reply);
        }
    }
    let text = serde_json::to_string_pretty(&replies).unwrap() + "\n";
    compare([("golden/events.json".to_owned(), text)]);
}
