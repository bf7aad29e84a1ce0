//! History judged again says what was said when it happened, and what other rules would have said.

use std::collections::BTreeSet;

use analysis::backtest::findings::Findings;
use analysis::backtest::{Trial, backtest};
use history::Period;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::domain::rules::RuleSet;

use crate::support::MemoryArchive;
use crate::support::memory::MemoryStore;
use crate::support::{TestApp, body, push_to, reading_with};

/// When histories begin.
fn start() -> Timestamp {
    "2026-09-01T00:00:00Z".parse().unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn rules(text: &str) -> RuleSet {
    RuleSet::parse("rules.toml", text).unwrap()
}

fn trial(text: &str) -> Trial {
    Trial {
        rules: ("new".to_owned(), rules(text)),
        against: None,
        period: Period::default(),
        zones: Vec::new(),
        device_types: Vec::new(),
    }
}

fn judge(store: &MemoryStore, trial: &Trial) -> Findings {
    backtest(&MemoryArchive(store), trial, |_| ()).unwrap()
}

/// A reading of a device, so many minutes after the start.
fn reading(device_type: &str, device: &str, zone: &str, minute: f64, values: &Value) -> String {
    let at = start() + SignedDuration::from_secs_f64(minute * 60.0);
    let envelope = json!({ "DEVID": device, "Display": device, "InsID": zone, "unixT": at.as_millisecond() });
    reading_with(device_type, values, &envelope)
}

/// Ammonia of one device in one zone, every five minutes.
fn ammonia(values: &[f64]) -> Vec<(i64, String)> {
    let at = |index: usize| i64::try_from(index).unwrap() * 5;
    let reading = |(index, value): (usize, &f64)| {
        #[expect(clippy::cast_precision_loss, reason = "minutes")]
        let minute = at(index) as f64;
        (at(index), reading("ODRDTR_BATT_V1", "nose", "washroom", minute, &json!({ "amm": value })))
    };
    values.iter().enumerate().map(reading).collect()
}

/// What is live: pushes, each received at a minute, and a sweep every minute between them.
struct Live {
    app: TestApp,
    swept: i64,
}

impl Live {
    fn new(text: &str) -> Self {
        Self { app: TestApp::with_rules(rules(text)), swept: 0 }
    }

    /// Sweeps every minute up to `minute`, and pushes then.
    async fn push(&mut self, minute: i64, readings: &[String]) {
        self.sweep(minute).await;
        self.store(minute, readings).await;
    }

    /// Pushes and does not sweep.
    async fn store(&self, minute: i64, readings: &[String]) {
        let received = start() + minutes(minute) + SignedDuration::from_secs(59);
        push_to(self.app.ingest(), body(readings), received).await.unwrap();
    }

    async fn sweep(&mut self, minute: i64) {
        for minute in self.swept + 1..=minute {
            self.app.ingest().sweep(start() + minutes(minute)).await.unwrap();
        }
        self.swept = self.swept.max(minute);
    }
}

fn ids(findings: &Findings) -> BTreeSet<String> {
    findings.rules.alerts.iter().map(|alert| alert.id.to_string()).collect()
}

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A minute in a building of four zones: people, smells, soap, bins, a cleaning now and then, and hours without anything.
#[expect(clippy::cast_precision_loss, reason = "minutes and small numbers")]
fn a_minute(chance: &mut Chance, minute: i64) -> Vec<String> {
    let mut readings = Vec::new();
    if (700..830).contains(&(minute % 1800)) {
        return readings;
    }
    for zone in 0..4 {
        let name = format!("zone-{zone}");
        let mut add = |device_type: &str, values: Value, chance: &mut Chance| {
            let within = minute as f64 + chance.below(50) as f64 / 60.0;
            readings.push(reading(device_type, &format!("{device_type}-{zone}"), &name, within, &values));
        };
        if minute % 5 == zone && !(zone == 2 && minute > 1_000) {
            add(
                "ODRDTR_BATT_V1",
                json!({ "amm": 100 + chance.below(150) * chance.below(4), "aqi": 50 + chance.below(200) }),
                chance,
            );
        }
        if chance.below(4) == 0 {
            add("UM", json!({ "count": chance.below(6), "b": "2900" }), chance);
        }
        if minute % 15 == zone {
            add("SS", json!({ "p": chance.below(30) }), chance);
            add("BIN", json!({ "p": chance.below(40) }), chance);
        }
        if chance.below(300) == 0 {
            add("FD", json!({ "rating": 1 + chance.below(5), "reasons": { "ID_1": { "Name": "Smell" } } }), chance);
        }
        if chance.below(200) == 0 {
            let at = (start() + minutes(minute)).as_second() + 20;
            let meta = json!({ "Zone": name, "AEnd": at });
            readings
                .push(json!({ "RoutingKey": "matrix.a.task.closed.1", "UnixTimeInt": at, "Meta": meta }).to_string());
        }
    }
    readings
}

#[tokio::test]
async fn a_backtest_raises_the_same_alerts_as_live() {
    // Silence after a few hours, so that there are some; no rate limit, because it is about messages.
    let text = "block = { device = \"15m\", zone = \"10m\" }\n[rate_limit]\nper_minute = 30000\nburst = 30000\n\
                [[rule]]\nid = \"silent\"\nafter = \"4h\"\n[[rule]]\nid = \"ammonia-lite\"\nreminder = \"3h\"\nresolved = true";
    for seed in 1..=2 {
        let mut chance = Chance(seed);
        let mut live = Live::new(text);
        for minute in 0..1_500 {
            let mut readings = a_minute(&mut chance, minute);
            if !readings.is_empty() {
                live.push(minute, &readings).await;
            }
            // The same once more, cut otherwise.
            if chance.below(50) == 0 && readings.len() > 1 {
                readings.truncate(readings.len() / 2);
                live.push(minute, &readings).await;
            }
        }
        live.sweep(1_500).await;
        let found = judge(&live.app.store, &trial(text));
        let (told, judged) = (live.app.alert_ids(), ids(&found));
        assert!(told.len() > 50, "{} alerts are few", told.len());
        // What a block still holds back at the end is told of by a backtest alone: at most one message of each zone.
        let rest: Vec<_> = found.rules.alerts.iter().filter(|alert| !told.contains(&alert.id.to_string())).collect();
        let last = start() + minutes(1_500 - 15);
        assert!(rest.iter().all(|alert| alert.blocked && alert.at >= last), "seed {seed}: {rest:?}");
        assert_eq!(told.difference(&judged).collect::<Vec<_>>(), Vec::<&String>::new(), "seed {seed}");
        let rules: BTreeSet<_> = found.rules.alerts.iter().map(|alert| alert.rule.to_string()).collect();
        for rule in ["silent", "high-usage", "ammonia-lite", "soap-low", "bad-feedback"] {
            assert!(rules.contains(rule), "no {rule} among {rules:?}");
        }
    }
}

/// What is stored of pushes, each received when it was made.
async fn stored(pushes: &[(i64, String)]) -> MemoryStore {
    let live = Live::new("");
    for (minute, text) in pushes {
        live.store(*minute, std::slice::from_ref(text)).await;
    }
    live.app.store
}

#[tokio::test]
async fn missed_and_new_alerts_are_named() {
    let mut values = vec![90.0; 200];
    (values[10], values[60], values[61], values[110]) = (210.0, 250.0, 310.0, 190.0);
    let store = stored(&ammonia(&values)).await;
    let higher = "[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 300 }";
    let against = Some(("old".to_owned(), rules("")));
    let found = judge(&store, &Trial { against: against.clone(), ..trial(higher) });
    let difference = found.difference.unwrap();
    let old = found.against.unwrap();
    assert_eq!((old.alerts.len(), found.rules.alerts.len()), (2, 1));
    assert_eq!((difference.same, difference.moved, difference.gained), (0, 1, vec![]));
    assert_eq!(difference.missed, [0], "the one of 210; that of 250 is told of at 310");
    let lower = "[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 190 }";
    let difference = judge(&store, &Trial { against: against.clone(), ..trial(lower) }).difference.unwrap();
    assert_eq!((difference.same, difference.gained.len(), difference.missed.len()), (2, 1, 0));
    let same = judge(&store, &Trial { against, ..trial("") }).difference.unwrap();
    assert_eq!((same.same, same.moved, same.gained.len(), same.missed.len()), (2, 0, 0, 0));
}

#[tokio::test]
async fn an_alert_that_began_hours_earlier_and_lasts_is_not_missed() {
    // Soap that runs down from 20 % to 1 % in ten hours, and is refilled; and a day later to 4 % at once, from 50 %.
    let falling = (0..20).map(|index| (index * 30, 20.0 - f64::from(i32::try_from(index).unwrap())));
    let levels = falling.chain([(600, 90.0), (2_000, 50.0), (2_030, 4.0), (2_060, 90.0)]);
    #[expect(clippy::cast_precision_loss, reason = "minutes")]
    let pushes: Vec<_> = levels
        .map(|(minute, left)| (minute, reading("SS", "soap", "washroom", minute as f64, &json!({ "p": left }))))
        .collect();
    let store = stored(&pushes).await;
    let rule = |words: &str| format!("[[rule]]\nid = \"soap-low\"\n{words}");
    let judged = |new: &str, old: &str| {
        judge(&store, &Trial { against: Some(("old".to_owned(), rules(&rule(old)))), ..trial(&rule(new)) })
    };
    let earlier = judged("below = 10", "below = 5");
    let difference = earlier.difference.unwrap();
    assert_eq!((difference.same, difference.moved, difference.gained, difference.missed), (1, 1, vec![], vec![]));
    let lasted = |index: usize| &earlier.rules.alerts[index].ended;
    assert_eq!(*lasted(0), start() + minutes(600), "until it was refilled");
    let never = judged("below = 0.5", "below = 5").difference.unwrap();
    assert_eq!((never.moved, never.missed), (0, vec![0, 1]));
    let messages = |words: &str| judge(&store, &trial(&rule(words))).rules.messages;
    assert_eq!((messages("below = 5"), messages("below = 5\nresolved = true")), (2, 4));
}

#[tokio::test]
async fn a_backtest_evaluates_only_the_wanted_readings() {
    let mut pushes = ammonia(&[210.0; 40]);
    pushes.extend((0..40).map(|index| {
        (index * 5, reading("SS", "soap", "lobby", 5.0 * f64::from(u32::try_from(index).unwrap()), &json!({ "p": 50 })))
    }));
    pushes.sort();
    let store = stored(&pushes).await;
    let judged = |trial: &Trial| judge(&store, trial).readings.judged;
    assert_eq!(judged(&trial("")), 80);
    assert_eq!(judged(&Trial { zones: vec!["lobby".to_owned()], ..trial("") }), 40);
    assert_eq!(judged(&Trial { zones: vec!["nowhere".to_owned()], ..trial("") }), 0);
    assert_eq!(judged(&Trial { device_types: vec!["SS".to_owned()], ..trial("") }), 40);
    assert_eq!(judged(&Trial { period: Period { since: Some(start() + minutes(100)), until: None }, ..trial("") }), 40);
    assert_eq!(judged(&Trial { period: Period { since: None, until: Some(start() + minutes(5)) }, ..trial("") }), 2);
}

#[tokio::test]
async fn copies_are_counted_once_and_stale_readings_do_not_alert() {
    let mut live = Live::new("");
    let smell = reading("ODRDTR_BATT_V1", "nose", "washroom", 0.0, &json!({ "amm": 270 }));
    live.push(0, std::slice::from_ref(&smell)).await;
    live.push(1, &[smell.clone(), reading("SS", "soap", "lobby", 1.0, &json!({ "p": 50 }))]).await;
    let late = reading("ODRDTR_BATT_V1", "other", "washroom", 2.0, &json!({ "amm": 900 }));
    live.push(120, &[late]).await;
    let found = judge(&live.app.store, &trial(""));
    assert_eq!((found.readings.judged, found.readings.duplicates, found.readings.stale), (3, 1, 1));
    assert_eq!(ids(&found), live.app.alert_ids());
    assert_eq!(found.rules.alerts.len(), 1);
}

#[tokio::test]
async fn implausible_values_are_counted_and_unknown_ids_are_named() {
    let mut live = Live::new("");
    let soap = |minute: f64, p: i64| reading("SS", "soap", "lobby", minute, &json!({ "p": p }));
    live.push(0, &[soap(0.0, 50)]).await;
    live.push(1, &[soap(1.0, -1), soap(1.5, 101)]).await;
    let zone = |zone: &str| format!("[[rule]]\nid = \"soap-low\"\nzones = \"{zone}\"\n");
    let found = judge(&live.app.store, &trial(&zone("lobbi")));
    assert_eq!((found.readings.judged, found.readings.implausible, found.rules.alerts.len()), (3, 2, 0));
    let warning = "rules.toml:3:9: the history has no reading of the zone `lobbi`; did you mean `lobby`?";
    assert_eq!(found.unknown_ids, [warning]);
    assert_eq!(judge(&live.app.store, &trial(&zone("lobby"))).unknown_ids, [""; 0]);
}

#[test]
fn an_empty_archive_has_empty_findings() {
    let found = judge(&MemoryStore::default(), &trial(""));
    assert!(found.span.is_none() && found.rules.alerts.is_empty() && found.devices.is_empty());
}
