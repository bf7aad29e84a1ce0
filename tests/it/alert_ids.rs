//! Live ingest, `replay raw` and a backtest of the same pushes raise the same alerts, with the same lives. The tests compare
//! alert ids.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use analysis::backtest::findings::Findings;
use analysis::backtest::{Trial, backtest};
use analysis::simulate::{Faults, Plan, Pushes, SimulatedPush};
use history::{Archive, ArchivedFacts, Period, Round, hours, read_pushes};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use serde_json::{Value, json};
use smartclean_push::adapters::local::{FolderArchive, NewDataFolder};
use smartclean_push::domain::alert::AlertId;
use smartclean_push::domain::alert::life::{AlertLife, EndReason};
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::response::{Hold, Response, ResponseSource};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::{Lives, ZoneState};
use smartclean_push::ingest::Replay;
use smartclean_push::notify::rendered::Rendered;

use crate::support::{TestApp, body, push_to, reading_with};

fn minute() -> SignedDuration {
    SignedDuration::from_mins(1)
}

/// The first whole minute after `at`.
fn next_minute(at: Timestamp) -> Timestamp {
    Timestamp::from_second((at.as_second().div_euclid(60) + 1) * 60).unwrap()
}

/// Returns the messages that live ingest sends, in sending order.
pub(crate) async fn live_messages(rules: &RuleSet, pushes: &[(Timestamp, Vec<u8>)]) -> Vec<Rendered> {
    run_live(rules, pushes, &[], false).await.publisher.sent()
}

/// Ingests each push at its time of receipt, with a sweep at every whole minute in between, and the cleanings that people report of
/// zones. If `has_answers`, people answer an open alert after each fourth push. The last sweep, a day later, sends the
/// suppressed alerts.
async fn run_live(
    rules: &RuleSet,
    pushes: &[(Timestamp, Vec<u8>)],
    cleanings: &[(Timestamp, &str)],
    has_answers: bool,
) -> TestApp {
    let app = TestApp::with_rules(rules.clone());
    let mut sweep = next_minute(pushes[0].0);
    let reported = cleanings.iter().map(|(at, zone)| (*at, Err(Response::reported(*zone, *at))));
    let mut events: Vec<_> = reported.chain(pushes.iter().map(|(at, body)| (*at, Ok(body.clone())))).collect();
    events.sort_by_key(|(received, _)| *received);
    let times: Vec<Timestamp> = events.iter().map(|(received, _)| *received).collect();
    for (number, (received, event)) in events.into_iter().enumerate() {
        while sweep <= received {
            app.ingest().sweep(sweep).await.unwrap();
            sweep += minute();
        }
        match event {
            // A body that is not a batch is rejected. It is stored below `rejected/`.
            Ok(body) => drop(push_to(app.ingest(), body, received).await),
            Err(cleaning) => drop(app.ingest().respond(&[(received, &cleaning)], received).await.unwrap()),
        }
        let now = received + SignedDuration::from_millis(500);
        // History is in the order of receipt: nothing else happens until then.
        let is_next = now < next_minute(received) && times.get(number + 1).is_none_or(|next| *next > now);
        if let Some(answer) = answer(&app, number / 4, now).filter(|_| has_answers && is_next && number % 4 == 0) {
            app.ingest().respond(&[(now, &answer)], now).await.unwrap();
        }
    }
    app.ingest().sweep(a_day_after(pushes)).await.unwrap();
    app
}

/// An answer to one of the open alerts: somebody takes it, snoozes it, or is done.
fn answer(app: &TestApp, number: usize, now: Timestamp) -> Option<Response> {
    let lives = lives(app);
    let open: Vec<&AlertLife> = lives.values().flat_map(Lives::open).collect();
    let life = *open.get((number * 7) % open.len().max(1))?;
    let hold = |minutes: i64| Some(Hold { at: now, until: now + SignedDuration::from_mins(minutes) });
    let response = Response {
        project: life.location.project.clone(),
        alert: Some(life.alert),
        by: Some("A".to_owned()),
        ..Response::new(life.location.zone.as_ref().unwrap_or(&life.device).as_str(), ResponseSource::Reported)
    };
    Some(match number % 3 {
        0 => Response { taken: hold(30), ..response },
        1 => Response { snoozed: hold(45), ..response },
        _ => Response { done: Some(now), ..response },
    })
}

fn a_day_after(pushes: &[(Timestamp, Vec<u8>)]) -> Timestamp {
    pushes[pushes.len() - 1].0 + SignedDuration::from_hours(24)
}

/// Stores the pushes in a data folder as `serve` does, and what live ingest archived. A repeated push keeps the time of its first
/// receipt.
fn store(data: &Path, pushes: &[(Timestamp, Vec<u8>)], live: &TestApp) -> FolderArchive {
    let folder = NewDataFolder::create(data).unwrap();
    for (number, (at, body)) in (1..).zip(pushes) {
        for object in (SimulatedPush { at: *at, number, body: body.as_slice().into() }).objects() {
            folder.put(&object).unwrap();
        }
    }
    let is_fact = |key: &str| key.starts_with("alerts/") || key.starts_with("responses/");
    for (_, object) in live.store.objects().iter().filter(|(key, _)| is_fact(key)) {
        folder.put(object).unwrap();
    }
    FolderArchive::open(data).unwrap()
}

async fn replayed(rules: &RuleSet, archive: &dyn Archive, end: Timestamp) -> TestApp {
    let app = TestApp::with_rules(rules.clone());
    let reported = ArchivedFacts::read_reported(archive, &Period::default(), &mut Vec::new()).unwrap();
    let mut replay = Replay::of(app.ingest(), reported);
    let mut pushes = Vec::new();
    let take = |round: Round| {
        pushes.extend(round.pushes);
        true
    };
    read_pushes(archive, &hours(archive, "raw/", &Period::default()).unwrap(), take).unwrap();
    for push in &pushes {
        replay.push(&push.lines, push.received).await.unwrap();
    }
    replay.conclude(end).await.unwrap();
    app
}

/// The open alerts and the known responses of each zone.
fn lives(app: &TestApp) -> BTreeMap<String, Lives> {
    let documents = app.state.documents().into_iter().filter(|(key, _)| key.starts_with("zone/"));
    documents.map(|(key, kept)| (key, serde_json::from_str::<ZoneState>(&kept.body).unwrap().lives)).collect()
}

/// The lives that began by `until`: when they began, and all of those that ended by then.
fn lives_until(lives: &[AlertLife], until: Timestamp) -> BTreeMap<AlertId, (Timestamp, Option<AlertLife>)> {
    let ended = |life: &AlertLife| Some(life.clone()).filter(|life| life.end.is_some_and(|end| end.at <= until));
    lives.iter().filter(|life| life.raised <= until).map(|life| (life.alert, (life.raised, ended(life)))).collect()
}

fn backtest_archive(rules: &RuleSet, archive: &dyn Archive) -> Findings {
    backtest_period(rules, archive, Period::default())
}

fn backtest_period(rules: &RuleSet, archive: &dyn Archive, period: Period) -> Findings {
    let trial = Trial {
        rules: ("rules".to_owned(), rules.clone()),
        against: None,
        period,
        sites: Vec::new(),
        zones: Vec::new(),
        device_types: Vec::new(),
    };
    backtest(archive, &trial, |_| ()).unwrap()
}

fn ids(findings: &Findings) -> BTreeSet<String> {
    findings.rules.alerts.iter().map(|alert| alert.id.to_string()).collect()
}

/// Limits so low that even a quiet building crosses them, with hours, blocks, reminders and a no-data rule. The rate
/// limit is too high to have an effect, because it is about messages and not about alerts.
const RULES: &str = r#"
block = { device = "15m", zone = "5m" }
[rate_limit]
per_minute = 30000
burst = 30000
[[rule]]
id = "high-usage"
at_least = 2
[[rule]]
id = "ammonia-lite"
at_least = { medium = 60, high = 120 }
resolved = true
reminder = "1h"
[[rule]]
id = "air-quality-lite"
above = { medium = 40 }
for = "10m"
[[rule]]
id = "soap-low"
below = 60
active = "08:00-20:00"
reminder = "2h"
resolved = true
escalate = [{ after = "15m", to = "boss" }, { after = "1h", to = "owner" }]
[[rule]]
id = "silent"
escalate = { after = "30m", to = "boss" }
after = "40m"
active = "06:00-22:00"
[[audience]]
id = "team"
[[audience]]
id = "boss"
severity = "critical"
on_duty = "07:00-19:00"
[[audience]]
id = "owner"
severity = "critical"
"#;

/// Compares live, replay and backtest from an afternoon to the next day's noon, so that active hours end and begin.
///
/// The archive gets every push. Live ingest gets no second copy of a body, because the archive stores only the first
/// (docs/limits.md, "How exact it is").
async fn assert_same_alerts(seed: u64) {
    let rules = RuleSet::parse("rules.toml", RULES).unwrap();
    let from: ZonedDateTime = "2026-09-01T15:30[Asia/Singapore]".parse().unwrap();
    let to = from.timestamp() + SignedDuration::from_hours(21);
    for every in [1, 5, 15] {
        let plan = Plan { devices: 24, from: from.clone(), to, seed };
        let faults: Faults = "all".parse().unwrap();
        let pushes = Pushes::new(&plan, SignedDuration::from_mins(every), faults);
        let mut pushes: Vec<_> = pushes.map(|push| (push.at, push.body.to_vec())).collect();
        let all = pushes.clone();
        let mut bodies = HashSet::new();
        pushes.retain(|(_, body)| bodies.insert(body.clone()));
        let zones = zones(&pushes);
        // Between the pushes of a minute, and the same zone not always after the same time.
        let cleaning = |number: usize| {
            (pushes[number * 7].0 + SignedDuration::from_secs(1), zones[number * number % zones.len()].as_str())
        };
        let cleanings: Vec<_> = (1..pushes.len() / 7).map(cleaning).collect();
        let live = run_live(&rules, &pushes, &cleanings, true).await;
        assert!(live.alert_ids().len() > 100, "only {} alerts", live.alert_ids().len());
        let folder = tempfile::tempdir().unwrap();
        let archive = store(folder.path(), &all, &live);
        let replayed = replayed(&rules, &archive, a_day_after(&pushes)).await;
        let name = format!("seed {seed}, a push every {every} min");
        assert_eq!(replayed.alert_ids(), live.alert_ids(), "replay raw, {name}");
        assert_eq!(lives(&replayed), lives(&live), "replay raw, {name}");
        let findings = backtest_archive(&rules, &archive);
        assert_eq!(ids(&findings), live.alert_ids(), "backtest, {name}");
        assert_eq!(findings.readings.late, 0);
        let archived = ArchivedFacts::read(&archive, None).unwrap();
        let [found, responses] =
            [&findings.responses, &archived.responses].map(|all| serde_json::to_value(all).unwrap());
        assert_eq!(found, responses, "backtest, {name}");
        let last = pushes[pushes.len() - 1].0;
        let [found, archived] = [&findings.rules.lives, &archived.alerts].map(|lives| lives_until(lives, last));
        let ended = archived.values().filter(|(_, ended)| ended.is_some()).count();
        assert!(ended > 50 && archived.len() > ended, "{ended} of {} ended", archived.len());
        assert_eq!(found, archived, "backtest, {name}");
        let is_any = |has: fn(&AlertLife) -> bool| findings.rules.lives.iter().any(has);
        assert!(is_any(|life| life.taken.is_some()) && is_any(|life| life.snoozed.is_some()), "{name}");
        let told = findings.rules.escalations.iter().map(|escalation| escalation.alerts).sum::<usize>();
        let ids = live.publisher.sent().len();
        assert!(told > 0, "{told} escalations of {ids} messages, {name}");
    }
}

/// The zones of these pushes.
fn zones(pushes: &[(Timestamp, Vec<u8>)]) -> Vec<String> {
    let readings = |body: &[u8]| serde_json::from_slice::<Vec<String>>(body).unwrap_or_default();
    let texts = pushes.iter().flat_map(|(_, body)| readings(body));
    let zone = |text: String| Some(Reading::read(&text).ok()?.source.zone?.into_owned());
    texts.filter_map(zone).collect::<BTreeSet<_>>().into_iter().collect()
}

#[tokio::test]
async fn live_replay_and_backtest_raise_the_same_alerts() {
    assert_same_alerts(1).await;
}

#[tokio::test]
async fn live_replay_and_backtest_raise_the_same_alerts_for_a_second_building() {
    assert_same_alerts(2).await;
}

#[tokio::test]
async fn live_replay_and_backtest_raise_the_same_alerts_for_a_third_building() {
    assert_same_alerts(3).await;
}

fn at(clock: &str) -> Timestamp {
    format!("2026-09-01T{clock}Z").parse().unwrap()
}

fn count(clock: &str, count: i32) -> String {
    let envelope = json!({ "DEVID": "door", "InsID": "washroom", "unixT": at(clock).as_millisecond() });
    reading_with("UM", &json!({ "count": count }), &envelope)
}

fn cleaned(clock: &str) -> String {
    let at = at(clock).as_second();
    json!({ "RoutingKey": "matrix.p.task.closed", "UnixTimeInt": at, "Meta": { "Zone": "washroom", "AEnd": at } })
        .to_string()
}

/// Checks that live, replay and backtest raise the same alerts for these pushes. Returns the alert ids and the
/// findings.
async fn alerts_of(pushes: &[(&str, Vec<String>)]) -> (BTreeSet<String>, Findings) {
    let pushes: Vec<_> = pushes.iter().map(|(clock, readings)| (at(clock), body(readings))).collect();
    alerts_with_rules(&RuleSet::pack(), &pushes).await
}

async fn alerts_with_rules(rules: &RuleSet, pushes: &[(Timestamp, Vec<u8>)]) -> (BTreeSet<String>, Findings) {
    alerts_with_cleanings(rules, pushes, &[]).await
}

async fn alerts_with_cleanings(
    rules: &RuleSet,
    pushes: &[(Timestamp, Vec<u8>)],
    cleanings: &[(Timestamp, &str)],
) -> (BTreeSet<String>, Findings) {
    let live = run_live(rules, pushes, cleanings, false).await;
    let folder = tempfile::tempdir().unwrap();
    let archive = store(folder.path(), pushes, &live);
    let replayed = replayed(rules, &archive, a_day_after(pushes)).await;
    assert_eq!((replayed.alert_ids(), lives(&replayed)), (live.alert_ids(), lives(&live)));
    let findings = backtest_archive(rules, &archive);
    assert_eq!(ids(&findings), live.alert_ids());
    (live.alert_ids(), findings)
}

#[tokio::test]
async fn a_reported_cleaning_counts_live_and_in_history_once_it_is_received() {
    let pushes = [(at("09:50:00"), body(&[count("09:50:00", 29)])), (at("09:58:00"), body(&[count("09:58:00", 5)]))];
    let alerts = async |cleanings: &[(&str, &str)]| {
        let cleanings: Vec<_> = cleanings.iter().map(|(clock, zone)| (at(clock), *zone)).collect();
        let (ids, findings) = alerts_with_cleanings(&RuleSet::pack(), &pushes, &cleanings).await;
        (ids.len(), findings.readings.cleanings, findings.responses.len())
    };
    assert_eq!(alerts(&[]).await, (1, 0, 0));
    assert_eq!(alerts(&[("09:55:00", "washroom")]).await, (0, 1, 1));
    assert_eq!(alerts(&[("09:58:00", "lobby")]).await, (1, 0, 0), "an unknown zone");
    assert_eq!(alerts(&[("09:49:00", "washroom")]).await, (1, 0, 0), "the zone was not known");
    let after = alerts_with_cleanings(&RuleSet::pack(), &pushes, &[(at("10:30:00"), "washroom")]).await.1;
    let life = &after.rules.lives[0];
    assert_eq!((life.end.unwrap().at, life.end.unwrap().reason), (at("10:30:00"), EndReason::Done));
}

#[tokio::test]
async fn a_cleaning_resets_accumulators_before_the_readings_of_its_push_are_evaluated() {
    let counted = || [count("09:50:00", 29), count("09:58:00", 5)];
    let [before, after] = counted();
    let (none, findings) = alerts_of(&[("10:00:00", vec![before, cleaned("09:55:00"), after])]).await;
    assert_eq!((none.len(), findings.rules.avoidable), (0, 0));
    let (alone, findings) = alerts_of(&[("10:00:00", counted().to_vec())]).await;
    assert_eq!((alone.len(), findings.rules.avoidable), (1, 0));
}

#[tokio::test]
async fn a_name_means_the_declared_zone_live_and_in_history_whatever_is_pushed() {
    let rules = "block = \"none\"\n[[zone]]\nid = \"2f31\"\nname = \"Lobby\"\n[[zone]]\nid = \"77aa\"\nname = \"Kitchen\"\n\
                 [[rule]]\nid = \"soap-low\"\nzones = [\"Lobby\"]\n";
    let rules = RuleSet::parse("rules.toml", rules).unwrap();
    // The kitchen calls itself the lobby: its cleaning, and each device.
    let cleaned = json!({
        "RoutingKey": "matrix.p.task.closed", "UnixTimeInt": at("10:00:00").as_second(),
        "Meta": { "Zone": "77aa", "ZoneName": "Lobby", "AEnd": at("10:00:00").as_second() },
    });
    let soap = |clock: &str, zone: &str, display: &str| {
        let envelope = json!({ "DEVID": format!("{zone} {display}"), "Display": display, "InsID": zone, "unixT": at(clock).as_millisecond() });
        reading_with("SS", &json!({ "p": 4 }), &envelope)
    };
    let alerts = async |zone: &str, display: &str| {
        let pushes = [
            (at("10:00:30"), body(&[soap("10:00:01", "77aa", "Sink"), cleaned.to_string()])),
            (at("10:01:30"), body(&[soap("10:01:00", zone, display)])),
        ];
        alerts_with_rules(&rules, &pushes).await.0.len()
    };
    for display in ["Lobby", "2f31", "Kitchen"] {
        assert_eq!((alerts("77aa", display).await, alerts("2f31", display).await), (0, 1), "{display}");
    }
    assert_eq!(alerts("Lobby", "Lobby").await, 0, "a pushed id that is a declared name");
}

#[tokio::test]
async fn a_worse_reading_at_the_time_of_one_that_ends_the_alert_raises_another_in_any_order() {
    let rules = RuleSet::parse("rules.toml", "block = \"none\"\n").unwrap();
    let smell = |time: &str, ammonia: i32| {
        let envelope = json!({ "DEVID": "nose", "InsID": "washroom", "unixT": at(time).as_millisecond() });
        reading_with("ODRDTR_BATT_V1", &json!({ "amm": ammonia }), &envelope)
    };
    let alerts = async |readings: [i32; 2]| {
        let before = (at("10:00:00"), body(&[smell("10:00:00", 250)]));
        let readings = readings.map(|ammonia| smell("10:05:00", ammonia));
        let together = [before.clone(), (at("10:05:00"), body(&readings))];
        let apart = [before, (at("10:05:00"), body(&readings[..1])), (at("10:05:01"), body(&readings[1..]))];
        let [together, apart] = [together.as_slice(), &apart].map(|pushes| alerts_with_rules(&rules, pushes));
        let (together, apart) = (together.await.0, apart.await.0);
        assert_eq!(together, apart);
        together.len()
    };
    assert_eq!((alerts([100, 600]).await, alerts([600, 100]).await), (2, 2));
    assert_eq!((alerts([100, 250]).await, alerts([250, 100]).await), (1, 1), "no worse than the alert");
}

#[tokio::test]
async fn a_late_report_of_a_cleaning_makes_the_alert_avoidable() {
    let counted = ("10:00:00", vec![count("09:50:00", 29), count("09:58:00", 5)]);
    let avoidable = async |later: (&'static str, &'static str)| {
        let (ids, findings) = alerts_of(&[counted.clone(), (later.0, vec![cleaned(later.1)])]).await;
        assert_eq!(ids.len(), 1);
        findings.rules.avoidable
    };
    assert_eq!(avoidable(("10:05:00", "09:55:00")).await, 1);
    assert_eq!(avoidable(("10:05:00", "10:01:00")).await, 0, "the cleaning ended after the alert");
    assert_eq!(avoidable(("10:05:00", "09:45:00")).await, 0, "the cleaning ended before the first count");
    let smell = json!({ "DEVID": "nose", "InsID": "washroom", "unixT": at("09:58:00").as_millisecond() });
    let smell = ("10:00:00", vec![reading_with("ODRDTR_BATT_V1", &json!({ "amm": 270 }), &smell)]);
    let (ids, findings) = alerts_of(&[smell, ("10:05:00", vec![cleaned("09:58:00")])]).await;
    assert_eq!((ids.len(), findings.rules.avoidable), (1, 0), "ammonia has no accumulator");
}

#[tokio::test]
async fn a_cleaning_before_the_first_of_several_occurrences_does_not_make_their_alert_avoidable() {
    let rules = "[[rule]]\nid = \"bad-feedback\"\ncount = 2\nwithin = \"30m\"\n";
    let rules = RuleSet::parse("rules.toml", rules).unwrap();
    let bad = |clock: &str| {
        let envelope = json!({ "DEVID": "tablet", "InsID": "washroom", "unixT": at(clock).as_millisecond() });
        reading_with("FD", &json!({ "rating": 5 }), &envelope)
    };
    for (clock, avoidable) in [("09:45:00", 0), ("09:55:00", 1), ("09:59:00", 0)] {
        let cleaned = cleaned(clock);
        let pushes = [
            (at("09:00:00"), body(&[bad("09:00:00")])),
            (at("09:58:00"), body(&[bad("09:50:00"), bad("09:58:00")])),
            (at("10:05:00"), body(&[cleaned])),
        ];
        let (ids, findings) = alerts_with_rules(&rules, &pushes).await;
        assert_eq!((ids.len(), findings.rules.avoidable), (1, avoidable), "{clock}");
    }
}

#[tokio::test]
async fn a_cleaning_makes_one_alert_avoidable_and_not_the_next() {
    let pushes = [
        ("10:00:00", vec![count("09:50:00", 20), count("09:58:00", 15)]),
        ("10:20:00", vec![count("10:18:00", 40)]),
        ("10:25:00", vec![cleaned("09:55:00")]),
        ("10:26:00", vec![cleaned("09:56:00")]),
    ];
    let (ids, findings) = alerts_of(&pushes).await;
    let avoidable: Vec<bool> = findings.rules.alerts.iter().map(|alert| alert.avoidable).collect();
    assert_eq!((ids.len(), findings.rules.avoidable, avoidable), (2, 1, vec![true, false]));
}

#[tokio::test]
async fn a_reading_from_another_year_does_not_extend_the_span_and_is_listed_as_an_outlier() {
    let soap = |time: &str, device: &str| {
        let time: Timestamp = time.parse().unwrap();
        let envelope = json!({ "DEVID": device, "InsID": "washroom", "unixT": time.as_millisecond() });
        reading_with("SS", &json!({ "p": 50 }), &envelope)
    };
    let mut pushes = vec![
        ("10:00:00", vec![soap("2026-09-01T09:59:00Z", "a")]),
        ("10:10:00", vec![soap("2016-02-29T00:00:00Z", "odd")]),
        ("10:20:00", vec![soap("2026-09-01T10:19:00Z", "a"), soap("2098-01-01T00:00:00Z", "ahead")]),
        ("10:30:00", vec![soap("2026-09-01T10:29:00Z", "a")]),
    ];
    let (_, findings) = alerts_of(&pushes).await;
    let span = findings.span.unwrap();
    assert_eq!((span.first, span.last), (at("09:59:00"), at("10:29:00")));
    let (before, ahead) = (findings.outliers.before.unwrap(), findings.outliers.ahead.unwrap());
    assert_eq!((before.count, before.oldest.to_string()), (1, "2016-02-29T00:00:00Z".to_owned()));
    assert_eq!((ahead.count, ahead.newest.to_string()), (1, "2098-01-01T00:00:00Z".to_owned()));
    let device = |index: usize| findings.devices[index].location.device.clone().unwrap();
    assert_eq!((device(before.device), device(ahead.device)), ("odd".to_owned(), "ahead".to_owned()));
    assert!(findings.devices.iter().flat_map(|device| &device.series).all(|series| series.values.len() < 40));
    // An old reading is not an outlier if the history begins before it.
    pushes[1] = ("10:10:00", vec![soap("2026-09-01T09:10:00Z", "a")]);
    pushes[2] = ("10:20:00", vec![soap("2026-09-01T10:24:00Z", "a")]);
    let findings = alerts_of(&pushes).await.1;
    assert_eq!((findings.outliers.before, findings.outliers.ahead), (None, None));
}

#[tokio::test]
async fn a_full_zone_evicts_the_same_device_live_and_in_a_backtest() {
    let rules = "block = \"none\"\n[[rule]]\nid = \"silent\"\nenabled = false\n";
    let rules = RuleSet::parse("rules.toml", rules).unwrap();
    let soap = |at: Timestamp, device: String, left: i32| {
        let envelope = json!({ "DEVID": device, "InsID": "washroom", "unixT": at.as_millisecond() });
        reading_with("SS", &json!({ "p": left }), &envelope)
    };
    let of_all = |at: Timestamp, left: i32| {
        let soap = |number| soap(at + SignedDuration::from_millis(number), format!("old-{number}"), left);
        (at, body(&(0..2_000).map(soap).collect::<Vec<_>>()))
    };
    let of_another = |after_days: i64| {
        let at = at("10:01:00") + SignedDuration::from_hours(24 * after_days);
        (at, body(&[soap(at, format!("new-{after_days}"), 4)]))
    };
    let full = [of_all(at("10:00:00"), 4), of_all(at("10:01:00"), 90)];
    let (ids, _) = alerts_with_rules(&rules, &[full.to_vec(), vec![of_another(29)]].concat()).await;
    assert_eq!(ids.len(), 2_000);
    let (ids, _) = alerts_with_rules(&rules, &[full.to_vec(), vec![of_another(29), of_another(30)]].concat()).await;
    assert_eq!(ids.len(), 2_001);
}

/// A push of a soap dispenser of `zone`.
fn soap(zone: &str, received: &str, time: &str, left: i32) -> (Timestamp, Vec<u8>) {
    let envelope = json!({ "DEVID": zone, "InsID": zone, "unixT": at(time).as_millisecond() });
    (at(received), body(&[reading_with("SS", &json!({ "p": left }), &envelope)]))
}

/// No-data alerts after 50 minutes: `after` and a quarter of it.
fn silent_rules() -> RuleSet {
    RuleSet::parse("rules.toml", "[[rule]]\nid = \"silent\"\nafter = \"40m\"\n").unwrap()
}

#[tokio::test]
async fn a_zone_without_data_alerts_if_the_history_goes_on_until_the_alert_is_due() {
    for (last, expected) in [("10:49:59", 0), ("10:50:00", 1)] {
        let pushes = [
            soap("washroom", "10:00:00", "10:00:00", 50),
            soap("lobby", "10:00:01", "10:00:01", 50),
            soap("lobby", "10:30:00", "10:30:00", 50),
            soap("lobby", last, last, 50),
        ];
        let (ids, findings) = alerts_with_rules(&silent_rules(), &pushes).await;
        let rules: Vec<&str> = findings.rules.alerts.iter().map(|alert| &*alert.rule).collect();
        assert_eq!((ids.len(), rules), (expected, vec!["silent"; expected]), "the last push is at {last}");
    }
}

#[tokio::test]
async fn a_late_reading_raises_no_data_at_the_next_whole_minute_and_not_before() {
    for (next, expected) in [("11:00:50", 0), ("11:01:00", 1)] {
        let pushes = [
            soap("lobby", "10:55:00", "10:55:00", 50),
            soap("washroom", "11:00:10", "10:05:00", 50),
            soap("washroom", next, next, 50),
        ];
        let (ids, _) = alerts_with_rules(&silent_rules(), &pushes).await;
        assert_eq!(ids.len(), expected, "the next push is at {next}");
    }
}

#[tokio::test]
async fn reminders_go_on_after_the_last_push_of_a_zone_until_the_history_ends() {
    let rules = RuleSet::parse("rules.toml", "[[rule]]\nid = \"soap-low\"\nreminder = \"10m\"\n").unwrap();
    for (last, messages) in [("10:00:30", 1), ("10:35:00", 4)] {
        let pushes = [soap("washroom", "10:00:00", "10:00:00", 4), soap("lobby", last, last, 50)];
        let (_, findings) = alerts_with_rules(&rules, &pushes).await;
        let sent = live_messages(&rules, &pushes).await;
        let facts = sent.iter().map(|message| serde_json::from_str::<Value>(&message.json).unwrap());
        // The last sweep, a day later, sends more. Its notice has no time.
        let is_earlier =
            |facts: &Value| facts["at"].as_str().is_some_and(|sent| sent.parse::<Timestamp>().unwrap() <= at(last));
        let live = facts.filter(is_earlier).count();
        assert_eq!((live, findings.rules.messages), (messages, messages as u64), "the last push is at {last}");
    }
}

#[tokio::test]
async fn a_zone_does_not_fall_silent_because_the_period_of_a_backtest_ends() {
    let clocks = ["10:00:00", "10:20:00", "10:40:00", "11:00:00", "11:20:00", "11:40:00"];
    let mut pushes: Vec<_> = clocks.iter().map(|clock| soap("lobby", clock, clock, 50)).collect();
    pushes.insert(1, soap("washroom", "10:00:01", "10:00:01", 50));
    let folder = tempfile::tempdir().unwrap();
    let archive = store(folder.path(), &pushes, &TestApp::new());
    for (until, expected) in [("10:45:00", 0), ("10:55:00", 1)] {
        let period = Period { since: None, until: Some(at(until)) };
        let findings = backtest_period(&silent_rules(), &archive, period);
        assert_eq!(findings.rules.alerts.len(), expected, "until {until}");
    }
}
