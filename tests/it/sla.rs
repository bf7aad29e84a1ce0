//! `sla`, run as a shell runs it, with objects as the receiver archives them.

use std::collections::BTreeMap;
use std::path::Path;

use analysis::backtest::{Trial, backtest};
use analysis::sla::{self, SlaScope};
use history::{ArchivedFacts, Period};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::adapters::local::FolderStore;
use smartclean_push::domain::alert::life::AlertLife;
use smartclean_push::domain::archive::pack_facts;
use smartclean_push::domain::digest::Digest;
use smartclean_push::domain::response::{ReceivedResponse, Response};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::rules::names::Names;
use smartclean_push::domain::state::Facts;
use smartclean_push::ingest::ports::RawStore as _;

use crate::support::{MemoryArchive, TestApp, body, files, push_to, reading_with, run};

fn at(text: &str) -> Timestamp {
    format!("2026-11-{text}:00Z").parse().unwrap()
}

/// An alert about soap in a zone, from the member `raised` on.
fn alert(id: &str, zone: &str, raised: &str, more: &Value) -> AlertLife {
    let mut life = json!({
        "alert": Digest::of(id.as_bytes()), "rule": "soap-low", "title": "Soap low", "kind": "threshold", "severity": "medium",
        "device": "soap", "at": at(raised), "raised": at(raised), "to": ["day-team"], "respond_within": "15m",
        "clean_within": "45m",
        "breach": { "metric": "p", "label": "soap left", "value": 4, "unit": "percent", "comparison": "below", "limit": 5 },
        "location": { "display": "=Soap", "device": "soap", "device_type": "SS", "zone": zone, "project": "tower",
            "property": null, "local_zone": { "region": "Asia/Singapore" } },
    });
    for (key, value) in more.as_object().unwrap() {
        life[key] = value.clone();
    }
    serde_json::from_value(life).unwrap()
}

fn archive(data: &Path, archived: &str, alerts: Vec<AlertLife>, responses: &[(&str, &str)]) {
    let responses = responses
        .iter()
        .map(|(zone, done)| ReceivedResponse { received: at(archived), response: Response::reported(*zone, at(done)) });
    let facts = Facts { alerts, responses: responses.collect() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = FolderStore::open_shared(data).unwrap();
    for object in pack_facts(&facts, at(archived)).unwrap() {
        runtime.block_on(store.put(object)).unwrap();
    }
}

fn first() -> AlertLife {
    alert("1", "z1", "23T02:00", &json!({}))
}

/// A folder with the alerts of two days: one that was answered late and contradicted, one that was answered in time, as is known
/// only from a response that came after its end, and one that is open.
fn archived() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir_all(data.join("raw")).unwrap();
    archive(&data, "23T02:01", vec![first()], &[]);
    let contradicted = json!({
        "started": at("23T02:10"), "done": { "reported": at("23T02:42") },
        "contradiction": { "at": at("23T03:10"), "breach": { "metric": "p", "label": "soap left", "value": 3, "unit": "percent",
            "comparison": "below", "limit": 5 } },
        "end": { "at": at("23T03:10"), "reason": "contradicted" },
    });
    let measured =
        json!({ "done": { "measured": at("23T05:00") }, "end": { "at": at("23T05:00"), "reason": "resolved" } });
    let ended = [alert("1", "z1", "23T02:00", &contradicted), alert("2", "z2", "23T04:00", &measured)];
    archive(&data, "23T05:01", ended.to_vec(), &[("z1", "23T02:42")]);
    archive(&data, "24T01:00", vec![alert("3", "z2", "24T00:30", &json!({}))], &[("z2", "23T04:10")]);
    folder
}

const ALL: &[&str] = &["sla", "--from", "data", "--since", "2026-11-23", "--until", "2026-11-25"];

#[test]
fn archived_alerts_are_summarized_and_late_responses_count() {
    let folder = archived();
    let ran = run(folder.path(), ALL);
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""));
    for expected in [
        "Response times of 3 alerts, 2026-11-23 00:00 to 2026-11-25 00:00 UTC\n",
        "  reaction: median 10 min, 90 % 10 min, within target 66 % of 3; 1 open\n",
        "  resolution: median 10 min, 90 % 42 min, within target 66 % of 3; 1 open\n",
        "  contradicted by the sensor: 1\n",
        "by team ",
        "reported cleaned 10:42, at 11:10 soap left 3 % (limit 5)\n",
    ] {
        assert!(ran.out.contains(expected), "{expected}\n{}", ran.out);
    }
    let json = run(folder.path(), &[ALL, &["--format", "json"]].concat());
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["all"]["reaction"]["median_seconds"], 600);
    assert!(ran.out.contains(json["digest"].as_str().unwrap()));
    // Both parties get the same digest, also if one has a fact twice, because a sweep was interrupted.
    archive(&folder.path().join("data"), "24T02:00", vec![first()], &[("z1", "23T02:42")]);
    let again: Value = serde_json::from_str(&run(folder.path(), &[ALL, &["--format", "json"]].concat()).out).unwrap();
    assert_eq!((&again["digest"], &again["all"]), (&json["digest"], &json["all"]));
}

#[test]
fn filters_select_alerts_by_id_or_name() {
    let folder = archived();
    std::fs::write(folder.path().join("rules.toml"), "[[zone]]\nid = \"z2\"\nname = \"Gym\"\n").unwrap();
    let counted = |arguments: &[&str]| {
        let ran = run(folder.path(), &[ALL, arguments].concat());
        (ran.exit, ran.out.lines().next().unwrap_or_default().split(", ").next().unwrap().to_owned())
    };
    let some = |text: &str| (Some(0), format!("Response times of {text}"));
    assert_eq!(counted(&["--zone", "z1"]), some("1 alert"));
    assert_eq!(counted(&["--names", "rules.toml", "--zone", "Gym"]), some("2 alerts"));
    assert_eq!(counted(&["--site", "tower", "--rule", "soap-low"]), some("3 alerts"));
    assert_eq!(counted(&["--rule", "spill"]), some("0 alerts"));
    assert_eq!(counted(&["--names", "rules.toml", "--zone", "Gymm"]).0, Some(2));
    let none = run(folder.path(), &["sla", "--from", "data", "--until", "2026-11-01"]);
    assert!(none.exit == Some(0) && none.err.contains("No archived alert is in this selection"), "{}", none.err);
    let same = run(folder.path(), &["sla", "--from", "data", "--html", "report", "--csv", "report"]);
    assert!(same.exit == Some(2) && same.err.contains("name the same file"), "{}", same.err);
}

#[test]
fn the_page_and_the_lines_of_a_spreadsheet_are_files() {
    let folder = archived();
    let ran = run(folder.path(), &[ALL, &["--html", "r.html", "--csv", "r.csv"]].concat());
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), "The report is in r.html\nThe report is in r.csv\n"));
    let page = std::fs::read_to_string(folder.path().join("r.html")).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("soap left 3 % (limit 5)") && !page.contains("<script")
    );
    let csv = std::fs::read_to_string(folder.path().join("r.csv")).unwrap();
    assert!(
        csv.lines().count() == 4 && csv.contains(",\"z1, =Soap\",tower,z1,soap,day-team,2026-11-23T02:00:00Z,"),
        "{csv}"
    );
    let ran = run(folder.path(), &[ALL, &["--csv", "missing/r.csv"]].concat());
    assert!(ran.exit == Some(1) && ran.err.contains("missing/r.csv cannot be written"), "{}", ran.err);
}

#[test]
fn a_damaged_object_is_left_out_and_named() {
    let folder = archived();
    let alerts = folder.path().join("data/alerts");
    let name = files(&alerts).into_iter().find(|name| name.starts_with("dt=2026-11-24/")).unwrap();
    std::fs::write(alerts.join(&name), "no frame").unwrap();
    let ran = run(folder.path(), ALL);
    assert_eq!(ran.exit, Some(1));
    assert!(ran.out.starts_with("Response times of 2 alerts"), "{}", ran.out);
    assert!(ran.err.contains(&format!("alerts/{name} is damaged: ")), "{}", ran.err);
    assert!(ran.out.contains("1 object could not be read: this report is incomplete"), "{}", ran.out);
    assert!(!ran.out.contains("Raised again"), "{}", ran.out);
}

#[tokio::test]
async fn archived_alerts_and_those_raised_again_make_the_same_report() {
    let rules = || RuleSet::parse("rules.toml", "[[rule]]\nid = \"high-usage\"\nclean_within = \"20m\"\n").unwrap();
    let app = TestApp::with_rules(rules());
    let minute = |minute: i64| at("23T02:00") + SignedDuration::from_mins(minute);
    let reading = |device_type: &str, minute_: i64, values: &Value| {
        reading_with(
            device_type,
            values,
            &json!({ "unixT": minute(minute_).as_millisecond(), "Region": "Asia/Singapore" }),
        )
    };
    let soap = |minute: i64, p: i64| reading("SS", minute, &json!({ "p": p }));
    let usage = |minute: i64| reading("UM", minute, &json!({ "count": 40 }));
    let task = |began: i64, ended: i64| {
        let [began, ended] = [began, ended].map(|at| minute(at).as_second());
        let meta = json!({ "Zone": "zone", "AStart": began, "AEnd": ended });
        json!({ "RoutingKey": "matrix.a.task.closed.1", "UnixTimeInt": ended, "Meta": meta }).to_string()
    };
    for (now, text) in [
        (0, soap(0, 4)),
        // Not before the block of the first alert ends.
        (1, usage(1)),
        (30, task(20, 29)),
        (50, soap(50, 3)),
        (80, soap(80, 90)),
        (100, usage(100)),
        (200, soap(200, 2)),
    ] {
        push_to(app.ingest(), body(&[text]), minute(now)).await.unwrap();
        for more in 0..20 {
            app.ingest().sweep(minute(now + more)).await.unwrap();
        }
        if now == 100 {
            app.ingest()
                .respond(&[(minute(120), &Response::reported("zone", minute(118)))], minute(120))
                .await
                .unwrap();
        }
    }
    let archive = MemoryArchive(&app.store);
    let ArchivedFacts { alerts, responses, .. } = ArchivedFacts::read(&archive, None).unwrap();
    let trial = Trial {
        rules: ("rules.toml".into(), rules()),
        against: None,
        period: Period::default(),
        sites: vec![],
        zones: vec![],
        device_types: vec![],
    };
    let findings = backtest(&archive, &trial, |_| ()).unwrap();
    let scope = SlaScope { since: None, until: None, as_of: minute(300), sites: vec![], zones: vec![], rules: vec![] };
    let report = |alerts, responses: &[_]| sla::report(alerts, responses, scope.clone(), &Names::default()).unwrap();
    let (live, again) = (report(alerts, &responses), report(findings.rules.lives, &findings.responses));
    assert_eq!(live, again);
    let times = live
        .alerts
        .iter()
        .map(|alert| (alert.life.rule.as_str(), alert.resolution.seconds / 60, alert.finding.clone()));
    let contradiction = "recorded cleaned 10:29, at 10:50 soap left 3 % (limit 5)".to_owned();
    let expected = [
        ("soap-low", 29, Some(contradiction)),
        ("high-usage", 14, None),
        ("soap-low", 30, None),
        ("high-usage", 18, None),
        ("soap-low", 100, None),
    ];
    assert_eq!(times.collect::<Vec<_>>(), expected);
}

/// What happened to each alert of a report, by id: when it was raised, and until when it was open.
fn lives(folder: &Path, arguments: &[&str]) -> BTreeMap<String, (Timestamp, Value)> {
    let ran = run(folder, &[&["sla", "--from", "data", "--format", "json"], arguments].concat());
    assert_eq!((ran.exit, ran.err.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let life = |life: &Value| {
        let raised = life["raised"].as_str().unwrap().parse().unwrap();
        (
            life["alert"].as_str().unwrap().to_owned(),
            (raised, json!([life["done"], life["end"], life["reaction"]["state"]])),
        )
    };
    report["alerts"].as_array().unwrap().iter().map(life).collect()
}

#[test]
fn alerts_are_raised_again_under_the_rules_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let simulate = ["simulate", "--out", "data", "--devices", "40", "--days", "2", "--from", "2026-11-01"];
    assert_eq!(run(folder.path(), &simulate).exit, Some(0));
    std::fs::write(folder.path().join("rules.toml"), "[[rule]]\nid = \"high-usage\"\nrespond_within = \"1m\"\n")
        .unwrap();
    let all = lives(folder.path(), &["--rules", "rules.toml"]);
    // A breach from before the period is no alert of it, and the last alert of the period is over after it.
    let minutes = SignedDuration::from_mins;
    let is_long = |(raised, life): &(Timestamp, &Value)| {
        let end = life[1]["at"].as_str().map(|end| end.parse::<Timestamp>().unwrap());
        life[1]["reason"] == "resolved" && end.is_some_and(|end| end.duration_since(*raised) > minutes(4))
    };
    let long = all.values().map(|(raised, life)| (*raised, life)).filter(is_long).map(|(raised, _)| raised);
    let (since, until) = (long.clone().min().unwrap() + minutes(2), long.max().unwrap() + minutes(2));
    let period = ["--since", &since.to_string(), "--until", &until.to_string()];
    let part = lives(folder.path(), &[&["--rules", "rules.toml"], &period[..]].concat());
    let expected: BTreeMap<_, _> =
        all.clone().into_iter().filter(|(_, (raised, _))| (since..until).contains(raised)).collect();
    assert!(!expected.is_empty() && expected.len() < all.len(), "{} of {}", expected.len(), all.len());
    assert_eq!(part, expected);
    let counts = run(folder.path(), &["sla", "--from", "data", "--rules", "rules.toml", "--rule", "high-usage"]).out;
    assert!(counts.contains("  Raised again under rules.toml, not from the archive of alerts\n"), "{counts}");
    assert!(counts.contains("High usage (reported only)") && counts.contains("within target 0 % of"), "{counts}");
    // Archived alerts do not matter, and there are none.
    let none = run(folder.path(), &["sla", "--from", "data"]);
    assert!(none.exit == Some(0) && none.err.contains("add --rules FILE"), "{}", none.err);
}
