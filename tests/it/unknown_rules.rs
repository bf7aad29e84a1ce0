//! Pushes and sweeps while the rules file cannot be read yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartclean_push::domain::archive::ObjectKey;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::EVALUATION_TIMEOUT;
use smartclean_push::ingest::ports::{RuleSource, UnavailableError};

use crate::support::{TestApp, World, body, now, reading_with, stored_push};

/// Rules that become available later. Their ammonia limit is 1,000 ppb instead of the built-in 200 ppb.
#[derive(Clone, Default)]
struct LateRules(Arc<AtomicBool>);

#[async_trait]
impl RuleSource for LateRules {
    async fn current(&self, _: Timestamp) -> Result<Arc<RuleSet>, UnavailableError> {
        if self.0.load(Ordering::Relaxed) {
            let text = "[[rule]]\nid = \"ammonia-lite\"\nabove = 1000\nseverity = \"high\"\n";
            return Ok(Arc::new(RuleSet::parse("rules.toml", text).unwrap()));
        }
        Err(UnavailableError::new("the rules are not known", "failure injected by the test"))
    }
}

fn smell(ppb: u32, zone: &str) -> String {
    reading_with("ODRDTR_BATT_V1", &json!({"amm": ppb}), &json!({"InsID": zone, "DEVID": zone}))
}

/// Evaluates every stored object, as the consumer of the queue does some minutes later.
async fn evaluate_stored(app: &TestApp) -> Result<(), UnavailableError> {
    for (key, object) in app.store.objects() {
        let (push, later) = (vec![stored_push(&object)], now() + SignedDuration::from_mins(3));
        app.app.ingest().evaluate_stored(&ObjectKey::known(&key), push, later, EVALUATION_TIMEOUT).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_push_is_stored_and_evaluated_once_the_rules_are_known() {
    let rules = LateRules::default();
    let app = World::new().with_rule_source(rules.clone()).start();
    let answer = app.push(body(&[smell(270, "fair"), smell(1_500, "foul")])).await;
    assert_eq!((answer.status, &answer.body["accepted"], &answer.body["alerts"]), (200, &2.into(), &0.into()));
    assert_eq!((app.store.objects().len(), app.publisher.sent().len()), (1, 0));
    assert!(evaluate_stored(&app).await.is_err(), "the evaluation fails while the rules are unknown");
    assert!(app.app.ingest().sweep(now()).await.is_err());
    assert_eq!(app.publisher.sent().len(), 0);
    rules.0.store(true, Ordering::Relaxed);
    evaluate_stored(&app).await.unwrap();
    let sent = app.publisher.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].json.contains("\"foul\"") && !sent[0].json.contains("\"fair\""), "{}", sent[0].json);
}
