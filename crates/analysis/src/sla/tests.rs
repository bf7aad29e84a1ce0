//! Reports of single cases, computed by hand.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{ClockState, SlaReport, SlaScope, TimeSummary, TimedAlert, csv, page, report};
use domain::alert::life::{AlertLife, Contradiction, EndReason, LifeEnd};
use domain::breach::{Breach, Comparison};
use domain::device::Unit;
use domain::digest::Digest;
use domain::response::{Hold, ReceivedResponse, Response, ResponseSource};
use domain::rules::RuleSet;
use domain::rules::names::Names;

/// Monday, 10:00 in Singapore.
fn start() -> Timestamp {
    "2026-11-23T02:00:00Z".parse().unwrap()
}

pub(super) fn at(minute: i64) -> Timestamp {
    start() + SignedDuration::from_mins(minute)
}

pub(super) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A soap alert in the lobby of `tower`, with other members replaced by those of `more`.
pub(super) fn life(id: usize, raised: i64, more: &serde_json::Value) -> AlertLife {
    let mut life = json!({
        "alert": Digest::of(&id.to_be_bytes()), "rule": "soap-low", "title": "Soap low", "kind": "threshold",
        "severity": "medium", "device": "soap", "at": at(raised), "raised": at(raised),
        "location": {
            "display": "Soap", "device": "soap", "device_type": "SS", "zone": "lobby", "project": "tower", "property": null,
            "local_zone": { "region": "Asia/Singapore" },
        },
    });
    for (key, value) in more.as_object().unwrap() {
        life[key] = value.clone();
    }
    serde_json::from_value(life).unwrap()
}

pub(super) fn received(response: Response) -> ReceivedResponse {
    ReceivedResponse { received: response.at().unwrap(), response }
}

fn done(zone: &str, minute: i64) -> ReceivedResponse {
    received(Response::reported(zone, at(minute)))
}

fn scope() -> SlaScope {
    SlaScope { since: None, until: None, as_of: at(600), sites: vec![], zones: vec![], rules: vec![] }
}

pub(super) fn of(alerts: &[AlertLife], responses: &[ReceivedResponse]) -> SlaReport {
    report(alerts.to_vec(), responses, scope(), &Names::default()).unwrap()
}

#[test]
fn late_responses_of_the_zone_answer_an_alert_and_others_do_not() {
    let targets = json!({ "respond_within": "15m", "clean_within": "30m" });
    let answered = |responses: &[ReceivedResponse]| {
        let report = of(&[life(1, 0, &targets)], responses);
        let clock =
            |clock: super::ResponseClock| (clock.state == ClockState::Answered, clock.seconds / 60, clock.within);
        (clock(report.alerts[0].reaction), clock(report.alerts[0].resolution))
    };
    let missed = ((false, 600, Some(false)), (false, 600, Some(false)));
    assert_eq!(answered(&[]), missed);
    assert_eq!(answered(&[done("lobby", 30)]), ((true, 30, Some(false)), (true, 30, Some(true))));
    let project = |project: &str| Response { project: Some(project.into()), ..done("lobby", 30).response };
    assert_eq!(answered(&[received(project("tower"))]), answered(&[done("lobby", 30)]));
    let began = Response { started: Some(at(5)), source: ResponseSource::Recorded, ..done("lobby", 50).response };
    let both = answered(&[done("lobby", 31), received(began)]);
    assert_eq!(both, ((true, 5, Some(true)), (true, 31, Some(false))));
    for other in [done("gym", 30), done("lobby", -1), received(project("mall"))] {
        assert_eq!(answered(std::slice::from_ref(&other)), missed, "{other:?}");
    }
}

#[test]
fn an_alert_that_was_raised_later_than_its_reading_counts_from_then_on_and_not_below_zero() {
    let late = life(1, 20, &json!({ "at": at(0) }));
    let report = of(&[late], &[done("lobby", 10)]);
    assert_eq!((report.alerts[0].reaction.seconds, report.alerts[0].reaction.state), (0, ClockState::Answered));
}

#[test]
fn only_active_hours_count() {
    // 22:00 in Singapore; the rule is active until 22:30, and from 07:00 on.
    let night = life(1, 720, &json!({ "active": "07:00-22:30", "clean_within": "45m" }));
    let resolution = |minute: i64| of(std::slice::from_ref(&night), &[done("lobby", minute)]).alerts[0].resolution;
    // 07:15
    assert_eq!((resolution(1_275).seconds, resolution(1_275).within), (45 * 60, Some(true)));
    assert_eq!((resolution(1_276).seconds, resolution(1_276).within), (46 * 60, Some(false)));
}

#[test]
fn alerts_without_an_answer_are_open_or_unanswered_and_miss_a_target_once_it_has_passed() {
    let target = |minutes: i64| json!({ "clean_within": format!("{minutes}m") });
    let expired = json!({ "kind": "accumulate", "end": LifeEnd { at: at(300), reason: EndReason::Expired } });
    let withdrawn = json!({ "end": LifeEnd { at: at(300), reason: EndReason::Withdrawn } });
    let alerts = [
        life(1, 0, &target(599)),
        life(2, 0, &target(600)),
        life(3, 0, &json!({})),
        life(4, 0, &expired),
        life(5, 0, &withdrawn),
    ];
    let report = of(&alerts, &[]);
    let none = TimeSummary { open: 3, unanswered: 1, judged: 1, ..TimeSummary::default() };
    assert_eq!((report.all.alerts, report.all.resolution, report.withdrawn), (4, none, 1));
    assert_eq!(report.all.resolution.cells(), ["–", "–", "0 % of 1"]);
    assert_eq!(report.all.resolution.without_answer(), "3 open, 1 unanswered");
    assert!(
        report.notes().contains(&"1 alert left out, because their rule was withdrawn".to_owned()),
        "{:?}",
        report.notes()
    );
    let rules: Vec<_> = report.tables[0].groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(rules, ["Soap low"]);
}

#[test]
fn median_and_90_percent_are_nearest_ranks() {
    let of = |count: i64| {
        let gone = |minute: i64| json!({ "done": { "measured": at(minute) }, "end": { "at": at(minute), "reason": "resolved" } });
        let alerts: Vec<_> = (1..=count).map(|minute| life(minute as usize, 0, &gone(minute))).collect();
        let TimeSummary { median_seconds, p90_seconds, .. } = of(&alerts, &[]).all.resolution;
        (median_seconds.map(|seconds| seconds / 60), p90_seconds.map(|seconds| seconds / 60))
    };
    assert_eq!(of(0), (None, None));
    assert_eq!(of(1), (Some(1), Some(1)));
    assert_eq!(of(2), (Some(1), Some(2)));
    assert_eq!(of(5), (Some(3), Some(5)));
    assert_eq!(of(10), (Some(5), Some(9)));
    assert_eq!(of(11), (Some(6), Some(10)));
}

#[test]
fn alerts_are_grouped_by_local_time_name_and_team() {
    let gym = |zone: &str| {
        json!({ "device": "s", "device_type": "SS", "display": "Soap", "zone": zone, "project": null,
        "property": null, "local_zone": {} })
    };
    let alerts = [
        life(1, 0, &json!({ "to": ["day", "night"] })),
        // Monday 01:00 in Singapore, Sunday 17:00 UTC
        life(2, -540, &json!({})),
        life(3, -540, &json!({ "location": gym("gym"), "kind": "reasons", "rule": "smell", "title": "Bad smell" })),
    ];
    let names = "[[site]]\nid = \"tower\"\nname = \"Tower A\"\n[[zone]]\nid = \"lobby\"\nname = \"Lobby\"\nsite = \"tower\"\n\
                 [[zone]]\nid = \"gym\"\nsite = \"tower\"";
    let names = RuleSet::parse("r", names).unwrap().names;
    let report = report(alerts.to_vec(), &[], scope(), &names).unwrap();
    let groups: BTreeMap<_, Vec<_>> = report
        .tables
        .iter()
        .map(|table| (table.by, table.groups.iter().map(|group| (group.name.as_str(), group.times.alerts)).collect()))
        .collect();
    assert_eq!(groups["rule"], [("Soap low", 2), ("Bad smell (reported only)", 1)]);
    assert_eq!(groups["zone"], [("Tower A · Lobby", 2), ("Tower A · gym", 1)]);
    assert_eq!(groups["site"], [("Tower A", 3)]);
    assert_eq!(groups["team"], [("everybody", 2), ("day", 1), ("night", 1)]);
    assert_eq!(groups["weekday"], [("Monday", 2), ("Sunday", 1)]);
    assert_eq!(groups["hour"], [("01:00", 1), ("10:00", 1), ("17:00", 1)]);
    assert_eq!(groups["week"], [("2026-W47", 1), ("2026-W48", 2)]);
}

fn contradicted() -> AlertLife {
    let breach = Breach {
        metric: "p".into(),
        label: "soap left".into(),
        value: 3.0,
        unit: Unit::Percent,
        comparison: Comparison::Below,
        limit: 5.0,
    };
    let contradiction = Contradiction { at: at(70), breach: Some(breach) };
    let end = LifeEnd { at: at(70), reason: EndReason::Contradicted };
    life(1, 0, &json!({ "started": at(30), "contradiction": contradiction, "end": end }))
}

#[test]
fn a_contradiction_is_told_in_words() {
    let report = of(&[contradicted()], &[done("lobby", 42)]);
    let finding = "reported cleaned 10:42, at 11:10 soap left 3 % (limit 5)";
    assert_eq!(report.alerts[0].finding.as_deref(), Some(finding));
    assert_eq!(report.alerts[0].story(), format!("started 10:30, reported 10:42, contradicted 11:10; {finding}"));
    assert_eq!(report.all.contradicted, 1);
    let page = page(&report);
    assert!(
        page.contains("Contradictions") && page.contains(finding) && page.contains(&report.digest.to_string()),
        "{page}"
    );
    let none = of(&[life(1, 0, &json!({}))], &[done("lobby", 42)]);
    assert!(none.alerts[0].finding.is_none() && !super::page(&none).contains("Contradictions"));
}

#[test]
fn who_takes_an_alert_reacts_and_answers_only_this_one() {
    let escalated =
        json!({ "escalated": [{ "at": at(15), "to": ["boss"] }, { "at": at(20), "to": [] }], "respond_within": "20m" });
    let alerts = [life(1, 0, &escalated), life(2, 0, &json!({ "answerable": false })), life(3, 0, &json!({}))];
    let answer = |minute: i64, by: &str| {
        let (alert, by) = (Some(alerts[0].alert), Some(by.to_owned()));
        let taken = Some(Hold { at: at(minute), until: at(minute + 30) });
        Response { alert, by, taken, ..Response::new("lobby", ResponseSource::Reported) }
    };
    let done_2 = Response { alert: Some(alerts[1].alert), ..done("lobby", 40).response };
    let report = of(&alerts, &[received(answer(18, "A")), received(answer(60, "B")), received(done_2)]);
    let mut stories: Vec<_> = report.alerts.iter().map(TimedAlert::story).collect();
    stories.sort();
    let taken = "escalated to boss 10:15, acknowledged 10:18, taken by B 11:00";
    assert_eq!(stories, [taken, "open", "reported 10:40"]);
    let first = report.alerts.iter().find(|alert| alert.life.alert == alerts[0].alert).unwrap();
    assert_eq!((first.reaction.seconds, first.reaction.within), (18 * 60, Some(true)));
    assert_eq!(first.resolution.state, ClockState::Open);
    let rows = csv(&report);
    assert!(rows.contains(",2026-11-23T02:18:00Z,B,boss,,"), "{rows}");
}

#[test]
fn an_answer_reaches_the_alert_of_a_site_whose_id_is_not_shown_as_it_is() {
    let mut alert = life(1, 0, &json!({}));
    alert.location.project = Some("north tower".into());
    for (project, state) in [("north  tower", ClockState::Answered), ("north-tower", ClockState::Open)] {
        let answer = Response { project: Some(project.into()), ..done("lobby", 30).response };
        let report = of(std::slice::from_ref(&alert), &[received(answer)]);
        assert_eq!(report.alerts[0].resolution.state, state);
    }
}

#[test]
fn an_answer_reaches_the_alert_of_a_device_without_a_zone() {
    let nowhere = json!({ "device": "soap", "device_type": "SS", "display": "Soap", "zone": null, "project": "tower",
        "property": null, "local_zone": {} });
    let alert = life(1, 0, &json!({ "location": nowhere }));
    let answer = Response { alert: Some(alert.alert), project: Some("tower".into()), ..done("soap", 30).response };
    assert_eq!(of(std::slice::from_ref(&alert), &[received(answer)]).alerts[0].resolution.seconds, 1800);
    assert_eq!(
        of(&[alert], &[done("soap", 30)]).alerts[0].resolution.state,
        ClockState::Open,
        "of a zone of that name"
    );
}

#[test]
fn a_day_is_named_if_it_is_another_one() {
    let mut next_day = contradicted();
    next_day.contradiction.as_mut().unwrap().at = at(1_000);
    next_day.end.as_mut().unwrap().at = at(1_000);
    let report = of(&[next_day], &[done("lobby", 42)]);
    let finding = "reported cleaned 10:42, at 24 Nov 02:40 soap left 3 % (limit 5)";
    assert_eq!(
        report.alerts[0].story(),
        format!("started 10:30, reported 10:42, contradicted 24 Nov 02:40; {finding}")
    );
}

#[test]
fn a_scope_selects_alerts_by_time_site_zone_and_rule() {
    let alerts = [life(1, 0, &json!({})), life(2, 10, &json!({ "rule": "spill" }))];
    let ids = |scope: SlaScope| {
        let report = report(alerts.to_vec(), &[], scope, &Names::default()).unwrap();
        report.alerts.iter().map(|alert| alert.life.raised.duration_since(start()).as_mins()).collect::<Vec<_>>()
    };
    assert_eq!(ids(scope()), [0, 10]);
    assert_eq!(ids(SlaScope { since: Some(at(1)), ..scope() }), [10]);
    assert_eq!(ids(SlaScope { since: Some(at(0)), until: Some(at(10)), ..scope() }), [0]);
    assert_eq!(ids(SlaScope { rules: vec!["spill".into()], ..scope() }), [10]);
    assert_eq!(ids(SlaScope { zones: vec!["lobby".into()], sites: vec!["tower".into()], ..scope() }), [0, 10]);
    assert_eq!(ids(SlaScope { zones: vec!["gym".into()], ..scope() }), [0; 0]);
    assert_eq!(ids(SlaScope { sites: vec!["mall".into()], ..scope() }), [0; 0]);
}

#[test]
fn the_digest_is_of_alerts_answers_and_scope() {
    let alerts = [life(1, 0, &json!({})), life(2, 10, &json!({}))];
    let digest = |alerts: &[AlertLife], responses: &[ReceivedResponse], scope: SlaScope| {
        report(alerts.to_vec(), responses, scope, &Names::default()).unwrap().digest
    };
    let zones = |zones: &[&str]| SlaScope { zones: zones.iter().map(ToString::to_string).collect(), ..scope() };
    let first = digest(&alerts, &[done("lobby", 30)], zones(&["lobby", "gym"]));
    let reversed: Vec<_> = alerts.iter().rev().cloned().collect();
    let repeated = [done("lobby", 30), done("gym", 31), done("lobby", 30), done("lobby", 40)];
    assert_eq!(digest(&reversed, &repeated, zones(&["gym", "lobby", "gym"])), first);
    let others = [
        digest(&alerts, &[done("lobby", 30)], zones(&["lobby"])),
        digest(&alerts, &[done("lobby", 29)], zones(&["lobby", "gym"])),
        digest(&alerts[..1], &[done("lobby", 30)], zones(&["lobby", "gym"])),
        digest(&alerts, &[done("lobby", 30)], SlaScope { until: Some(at(500)), ..zones(&["lobby", "gym"]) }),
    ];
    assert!(others.iter().all(|other| *other != first));
    assert_eq!(others.into_iter().collect::<BTreeSet<_>>().len(), 4);
    let later = SlaScope { as_of: at(601), ..zones(&["lobby", "gym"]) };
    assert_eq!(digest(&alerts, &[done("lobby", 30)], later), first, "a later report about the same");
    // An open alert misses its target once more time has passed.
    let target = [life(1, 0, &json!({ "clean_within": "1h" }))];
    let as_of = |minute| digest(&target, &[], SlaScope { as_of: at(minute), ..scope() });
    assert_eq!((as_of(10) == as_of(59), as_of(59) == as_of(61), as_of(61) == as_of(600)), (true, false, true));
}

#[test]
fn csv_has_a_line_for_each_alert() {
    let targets = json!({ "respond_within": "15m", "title": "Soap, low" });
    let csv = csv(&of(&[life(1, 0, &targets)], &[done("lobby", 42)]));
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!((lines.len(), lines[2]), (3, ""));
    let id = &Digest::of(&1_usize.to_be_bytes()).to_string()[..32];
    let expected = format!(
        "{id},soap-low,\"Soap, low\",threshold,medium,\"lobby, Soap\",tower,lobby,soap,,2026-11-23T02:00:00Z,,,,,\
         2026-11-23T02:42:00Z,,,,,answered,2520,900,false,answered,2520,,,"
    );
    assert_eq!(lines[1], expected);
    assert_eq!(lines[0].split(',').count(), 29);
    assert!(
        lines[0].ends_with(",resolution_seconds,resolution_target_seconds,resolution_within,finding"),
        "{}",
        lines[0]
    );
}
