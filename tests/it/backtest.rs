//! A backtest raises the same alerts as live ingest did, and shows which alerts other rules would raise.

use std::collections::BTreeSet;

use analysis::backtest::findings::Findings;
use analysis::backtest::{Trial, backtest};
use history::Period;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::domain::response::Response;
use smartclean_push::domain::rules::RuleSet;

use crate::support::MemoryArchive;
use crate::support::memory::MemoryStore;
use crate::support::{TestApp, body, push_to, reading_with};

/// The start of every history.
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
        sites: Vec::new(),
        zones: Vec::new(),
        device_types: Vec::new(),
    }
}

fn run_backtest(store: &MemoryStore, trial: &Trial) -> Findings {
    backtest(&MemoryArchive(store), trial, |_| ()).unwrap()
}

/// Returns a reading of a device, `minute` minutes after the start.
fn reading(device_type: &str, device: &str, zone: &str, minute: f64, values: &Value) -> String {
    let at = start() + SignedDuration::from_secs_f64(minute * 60.0);
    let envelope = json!({ "DEVID": device, "Display": device, "InsID": zone, "unixT": at.as_millisecond() });
    reading_with(device_type, values, &envelope)
}

/// Returns ammonia readings of one device in one zone, one every five minutes.
fn ammonia(values: &[f64]) -> Vec<(i64, String)> {
    let at = |index: usize| i64::try_from(index).unwrap() * 5;
    let reading = |(index, value): (usize, &f64)| {
        #[expect(clippy::cast_precision_loss, reason = "minutes")]
        let minute = at(index) as f64;
        (at(index), reading("ODRDTR_BATT_V1", "nose", "washroom", minute, &json!({ "amm": value })))
    };
    values.iter().enumerate().map(reading).collect()
}

/// Live ingest with a sweep every minute.
struct Live {
    app: TestApp,
    last_swept: i64,
}

impl Live {
    fn new(text: &str) -> Self {
        Self { app: TestApp::with_rules(rules(text)), last_swept: 0 }
    }

    /// Sweeps every minute up to `minute` and then pushes.
    async fn push(&mut self, minute: i64, readings: &[String]) {
        self.sweep(minute).await;
        self.store(minute, readings).await;
    }

    /// Pushes without a sweep.
    async fn store(&self, minute: i64, readings: &[String]) {
        let received = start() + minutes(minute) + SignedDuration::from_secs(59);
        push_to(self.app.ingest(), body(readings), received).await.unwrap();
    }

    async fn sweep(&mut self, minute: i64) {
        for minute in self.last_swept + 1..=minute {
            self.app.ingest().sweep(start() + minutes(minute)).await.unwrap();
        }
        self.last_swept = self.last_swept.max(minute);
    }
}

fn ids(findings: &Findings) -> BTreeSet<String> {
    findings.rules.alerts.iter().map(|alert| alert.id.to_string()).collect()
}

/// Pseudorandom numbers with a fixed seed, so that each run has the same ones.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Returns the readings of one minute in a building of four zones: people, air quality, soap, bins, an occasional
/// cleaning, and hours without readings.
#[expect(clippy::cast_precision_loss, reason = "minutes and small numbers")]
fn readings_of_minute(chance: &mut Chance, minute: i64) -> Vec<String> {
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
    // The no-data rule fires after a few hours, so that some alerts come from it. The rate limit is too high to have an
    // effect, because it is about messages and not about alerts.
    let text = "block = { device = \"15m\", zone = \"10m\" }\n[rate_limit]\nper_minute = 30000\nburst = 30000\n\
                [[rule]]\nid = \"silent\"\nafter = \"4h\"\n[[rule]]\nid = \"ammonia-lite\"\nreminder = \"3h\"\nresolved = true";
    for seed in 1..=2 {
        let mut chance = Chance(seed);
        let mut live = Live::new(text);
        for minute in 0..1_500 {
            let mut readings = readings_of_minute(&mut chance, minute);
            if !readings.is_empty() {
                live.push(minute, &readings).await;
            }
            // Repeats the first half of the readings in another batch.
            if chance.below(50) == 0 && readings.len() > 1 {
                readings.truncate(readings.len() / 2);
                live.push(minute, &readings).await;
            }
        }
        live.sweep(1_500).await;
        let found = run_backtest(&live.app.store, &trial(text));
        let (sent, backtested) = (live.app.alert_ids(), ids(&found));
        assert!(sent.len() > 50, "only {} alerts", sent.len());
        // Alerts that a block still suppresses at the end are raised by the backtest and not yet sent by live ingest.
        let unsent: Vec<_> = found.rules.alerts.iter().filter(|alert| !sent.contains(&alert.id.to_string())).collect();
        let last = start() + minutes(1_500 - 15);
        assert!(unsent.iter().all(|alert| alert.blocked && alert.at >= last), "seed {seed}: {unsent:?}");
        assert_eq!(sent.difference(&backtested).collect::<Vec<_>>(), Vec::<&String>::new(), "seed {seed}");
        let rules: BTreeSet<_> = found.rules.alerts.iter().map(|alert| alert.rule.to_string()).collect();
        for rule in ["silent", "high-usage", "ammonia-lite", "soap-low", "bad-feedback"] {
            assert!(rules.contains(rule), "{rule} is missing in {rules:?}");
        }
    }
}

/// Returns the store after these pushes, each received when its reading was measured.
#[tokio::test]
async fn a_cleaning_ends_and_avoids_no_alert_about_a_battery() {
    let twice = |id: &str, test: &str| {
        format!("[[rule]]\nid = \"{id}\"\ntitle = \"Twice\"\nkind = \"count\"\ncount = 2\nwithin = \"1h\"\n{test}\n")
    };
    let text = "block = \"none\"\n".to_owned()
        + &twice("battery-twice", "types = [\"UM\"]\nmetric = \"b\"\nbelow = 2400")
        + &twice("soap-twice", "types = [\"SS\"]\nmetric = \"p\"\nbelow = 5");
    let mut live = Live::new(&text);
    let low = |minute: f64| {
        let battery = reading("UM", "counter", "zone", minute, &json!({ "b": 2300 }));
        [battery, reading("SS", "soap", "zone", minute, &json!({ "p": 4 }))]
    };
    let cleaned = |minute: i64| {
        let at = (start() + minutes(minute)).as_second();
        let meta = json!({ "Zone": "zone", "AEnd": at });
        [json!({ "RoutingKey": "matrix.a.task.closed.1", "UnixTimeInt": at, "Meta": meta }).to_string()]
    };
    live.push(0, &low(0.0)).await;
    live.push(10, &low(10.0)).await;
    // Would have avoided the second occurrence if it had been reported in time.
    live.push(12, &cleaned(5)).await;
    live.push(15, &cleaned(15)).await;
    live.push(20, &low(20.0)).await;
    let found = run_backtest(&live.app.store, &trial(&text));
    assert_eq!(live.app.alert_ids(), ids(&found));
    let alerts: BTreeSet<_> = found
        .rules
        .alerts
        .iter()
        .map(|alert| (&*alert.rule, alert.at.duration_since(start()).as_mins(), alert.avoidable))
        .collect();
    let expected = [
        ("battery-people-counter", 0, false),
        ("battery-twice", 10, false),
        ("soap-low", 0, false),
        ("soap-low", 20, false),
        ("soap-twice", 10, true),
    ];
    assert_eq!(alerts, BTreeSet::from(expected));
}

async fn stored(pushes: &[(i64, String)]) -> MemoryStore {
    let live = Live::new("");
    for (minute, text) in pushes {
        live.store(*minute, std::slice::from_ref(text)).await;
    }
    live.app.store
}

#[tokio::test]
async fn missed_and_new_alerts_are_listed() {
    let mut values = vec![90.0; 200];
    (values[10], values[60], values[61], values[110]) = (210.0, 250.0, 310.0, 190.0);
    let store = stored(&ammonia(&values)).await;
    let higher = "[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 300 }";
    let against = Some(("old".to_owned(), rules("")));
    let found = run_backtest(&store, &Trial { against: against.clone(), ..trial(higher) });
    let difference = found.difference.unwrap();
    let old = found.against.unwrap();
    assert_eq!((old.alerts.len(), found.rules.alerts.len()), (2, 1));
    assert_eq!((difference.same, difference.moved, difference.gained), (0, 1, vec![]));
    assert_eq!(difference.missed, [0], "only the alert of 210 is missed: the one of 250 is raised at 310");
    let lower = "[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 190 }";
    let difference = run_backtest(&store, &Trial { against: against.clone(), ..trial(lower) }).difference.unwrap();
    assert_eq!((difference.same, difference.gained.len(), difference.missed.len()), (2, 1, 0));
    let same = run_backtest(&store, &Trial { against, ..trial("") }).difference.unwrap();
    assert_eq!((same.same, same.moved, same.gained.len(), same.missed.len()), (2, 0, 0, 0));
}

#[tokio::test]
async fn an_alert_that_starts_hours_earlier_and_is_still_firing_is_not_missed() {
    // Soap falls from 20 % to 1 % in ten hours and is refilled. A day later it falls from 50 % to 4 % at once.
    let falling = (0..20).map(|index| (index * 30, 20.0 - f64::from(i32::try_from(index).unwrap())));
    let levels = falling.chain([(600, 90.0), (2_000, 50.0), (2_030, 4.0), (2_060, 90.0)]);
    #[expect(clippy::cast_precision_loss, reason = "minutes")]
    let pushes: Vec<_> = levels
        .map(|(minute, left)| (minute, reading("SS", "soap", "washroom", minute as f64, &json!({ "p": left }))))
        .collect();
    let store = stored(&pushes).await;
    let rule = |words: &str| format!("[[rule]]\nid = \"soap-low\"\n{words}");
    let judged = |new: &str, old: &str| {
        run_backtest(&store, &Trial { against: Some(("old".to_owned(), rules(&rule(old)))), ..trial(&rule(new)) })
    };
    let earlier = judged("below = 10", "below = 5");
    let difference = earlier.difference.unwrap();
    assert_eq!((difference.same, difference.moved, difference.gained, difference.missed), (1, 1, vec![], vec![]));
    let lasted = |index: usize| &earlier.rules.alerts[index].ended;
    assert_eq!(*lasted(0), start() + minutes(600), "the alert lasts until the refill");
    let never = judged("below = 0.5", "below = 5").difference.unwrap();
    assert_eq!((never.moved, never.missed), (0, vec![0, 1]));
    let messages = |words: &str| run_backtest(&store, &trial(&rule(words))).rules.messages;
    assert_eq!((messages("below = 5"), messages("below = 5\nresolved = true")), (2, 4));
}

#[tokio::test]
async fn a_backtest_evaluates_only_the_selected_readings() {
    let mut pushes = ammonia(&[210.0; 40]);
    pushes.extend((0..40).map(|index| {
        (index * 5, reading("SS", "soap", "lobby", 5.0 * f64::from(u32::try_from(index).unwrap()), &json!({ "p": 50 })))
    }));
    pushes.sort();
    let store = stored(&pushes).await;
    let judged = |trial: &Trial| run_backtest(&store, trial).readings.judged;
    assert_eq!(judged(&trial("")), 80);
    assert_eq!(judged(&Trial { zones: vec!["lobby".to_owned()], ..trial("") }), 40);
    assert_eq!(judged(&Trial { sites: vec!["building".to_owned()], ..trial("") }), 80);
    assert_eq!(judged(&Trial { sites: vec!["tower".to_owned()], ..trial("") }), 0);
    assert_eq!(judged(&Trial { zones: vec!["nowhere".to_owned()], ..trial("") }), 0);
    assert_eq!(judged(&Trial { device_types: vec!["SS".to_owned()], ..trial("") }), 40);
    assert_eq!(judged(&Trial { period: Period { since: Some(start() + minutes(100)), until: None }, ..trial("") }), 40);
    assert_eq!(judged(&Trial { period: Period { since: None, until: Some(start() + minutes(5)) }, ..trial("") }), 2);
}

#[tokio::test]
async fn reported_cleanings_count_in_the_selected_period_and_zones() {
    let mut live = Live::new("");
    let people = |minute: f64, count: i64| reading("UM", "door", "washroom", minute, &json!({ "count": count }));
    let lobby = reading("SS", "soap", "lobby", 0.0, &json!({ "p": 50 }));
    live.push(0, &[people(0.0, 29), lobby]).await;
    for (minute, zone) in [(10, "washroom"), (12, "lobby")] {
        let at = start() + minutes(minute);
        live.app.ingest().respond(&[(at, &Response::reported(zone, at))], at).await.unwrap();
    }
    live.push(20, &[people(20.0, 5)]).await;
    live.sweep(30).await;
    let found = |trial: &Trial| {
        let found = run_backtest(&live.app.store, trial);
        (found.readings.cleanings, found.responses.len(), found.rules.alerts.len())
    };
    assert_eq!(found(&trial("")), (2, 2, 0));
    assert_eq!(found(&Trial { zones: vec!["washroom".to_owned()], ..trial("") }), (1, 1, 0));
    let period = |since, until| Period { since: Some(start() + minutes(since)), until: Some(start() + minutes(until)) };
    assert_eq!(found(&Trial { period: period(0, 11), ..trial("") }), (1, 1, 0));
    assert_eq!(found(&Trial { period: period(15, 25), ..trial("") }), (0, 0, 0));
}

#[tokio::test]
async fn a_backtest_counts_whom_escalations_would_have_told() {
    let rules = "[[rule]]\nid = \"soap-low\"\nescalate = [{ after = \"15m\", to = \"boss\" }, { after = \"2h\", to = \"owner\" }]\n\
                 [[audience]]\nid = \"day\"\n[[audience]]\nid = \"boss\"\nseverity = \"critical\"\n\
                 [[audience]]\nid = \"owner\"\nseverity = \"critical\"\n";
    let soap = |zone: &str, minute: f64, left: i64| reading("SS", zone, zone, minute, &json!({ "p": left }));
    let begun = (start() + minutes(10)).as_second();
    let begun = json!({ "RoutingKey": "matrix.p", "UnixTimeInt": begun, "Meta": { "Zone": "c", "AStart": begun } });
    // Nobody answers in the first two zones, people begin in the third one, and the fourth one is over in time.
    let mut history = vec![(10, begun.to_string()), (14, soap("d", 14.0, 60)), (130, soap("b", 130.0, 60))];
    history.extend(["a", "b", "c", "d"].map(|zone| (0, soap(zone, 0.0, 4))));
    history.extend([(40, soap("a", 40.0, 60)), (200, soap("a", 200.0, 60))]);
    history.sort_by_key(|(minute, _)| *minute);
    let found = run_backtest(&stored(&history).await, &trial(rules));
    let words: Vec<_> = found.rules.escalations_in_words().collect();
    let once = "escalation after 2 h would have told owner once";
    assert_eq!(words, ["escalation after 15 min would have told boss 2 times", once]);
    let page = analysis::report::page(&found, start());
    assert!(page.contains(&format!("An {once}.")), "{page}");
    let never = rules.replace("2h", "3h");
    let found = run_backtest(&stored(&history).await, &trial(&never));
    assert_eq!(found.rules.escalations[1].alerts, 0);
    let json = serde_json::to_value(&found.rules.escalations).unwrap();
    assert_eq!(json[0], json!({ "after": "PT15M", "to": "boss", "alerts": 2 }));
}

#[tokio::test]
async fn duplicates_are_evaluated_once_and_stale_readings_raise_no_alert() {
    let mut live = Live::new("");
    let smell = reading("ODRDTR_BATT_V1", "nose", "washroom", 0.0, &json!({ "amm": 270 }));
    live.push(0, std::slice::from_ref(&smell)).await;
    live.push(1, &[smell.clone(), reading("SS", "soap", "lobby", 1.0, &json!({ "p": 50 }))]).await;
    let late = reading("ODRDTR_BATT_V1", "other", "washroom", 2.0, &json!({ "amm": 900 }));
    live.push(120, &[late]).await;
    let found = run_backtest(&live.app.store, &trial(""));
    assert_eq!((found.readings.judged, found.readings.duplicates, found.readings.stale), (3, 1, 1));
    assert_eq!(ids(&found), live.app.alert_ids());
    assert_eq!(found.rules.alerts.len(), 1);
}

#[tokio::test]
async fn implausible_values_are_counted_and_unknown_ids_are_reported() {
    let mut live = Live::new("");
    let soap = |minute: f64, p: i64| reading("SS", "soap", "lobby", minute, &json!({ "p": p }));
    live.push(0, &[soap(0.0, 50)]).await;
    live.push(1, &[soap(1.0, -1), soap(1.5, 101)]).await;
    let zone = |zone: &str| format!("[[rule]]\nid = \"soap-low\"\nzones = \"{zone}\"\n");
    let found = run_backtest(&live.app.store, &trial(&zone("lobbi")));
    assert_eq!((found.readings.judged, found.readings.implausible, found.rules.alerts.len()), (3, 2, 0));
    let warning = "rules.toml:3:9: the history has no reading of the zone `lobbi`; did you mean `lobby`?";
    assert_eq!(found.unknown_ids, [warning]);
    assert_eq!(run_backtest(&live.app.store, &trial(&zone("lobby"))).unknown_ids, [""; 0]);
}

#[test]
fn an_empty_archive_has_empty_findings() {
    let found = run_backtest(&MemoryStore::default(), &trial(""));
    assert!(found.span.is_none() && found.rules.alerts.is_empty() && found.devices.is_empty());
}
