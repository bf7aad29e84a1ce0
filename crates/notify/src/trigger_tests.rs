//! The exact texts of triggers, reminders and resolved notices.

use domain::alert::{Alert, Message, Trigger};
use domain::breach::Comparison;
use domain::severity::Severity;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::attributes::Attribute;
use super::fixtures::*;
use super::rendered::Rendered;

/// 13:40 in Singapore, 19 minutes before [`AT`].
const SINCE: &str = "2022-06-01T05:40:12Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn with_trigger(trigger: Trigger, alert: Alert) -> Alert {
    Alert { trigger, ..alert }
}

fn lasting(alert: Alert) -> Alert {
    with_trigger(Trigger::Sustained { since: at(SINCE) }, alert)
}

fn silent(display: &str, since: &str) -> Alert {
    let location = location("ODRDTR_BATT_V1", display);
    with_trigger(
        Trigger::NoData { since: at(since) },
        alert("silence", "No data", Severity::Low, &location, Vec::new()),
    )
}

fn entries(display: &str) -> Alert {
    let breaches = vec![breach("UM", "count", 34.0, Comparison::AtLeast, 30.0)];
    alert("high-usage", "High usage", Severity::Medium, &location("UM", display), breaches)
}

fn raised(alerts: &[Alert]) -> Rendered {
    render(&Message::Firing { alerts: alerts.to_vec(), blocked: 0 })
}

fn reminder(alert: Alert, when: &str) -> Rendered {
    render(&Message::Reminder { alert: Box::new(alert), at: at(when), unheard_since: None })
}

#[test]
fn the_last_reminder_has_the_time_of_the_last_reading() {
    let (now, unheard_since) = (at("2022-06-02T06:20:00Z"), Some(at("2022-06-01T06:05:00Z")));
    let rendered = render(&Message::Reminder { alert: Box::new(bad_smell_at("Washroom 3")), at: now, unheard_since });
    let expected = "Washroom 3: still Bad smell at 14:20, since Wed 13:59; was ammonia 270 ppb (limit 200) at Wed 13:59; \
                    no reading since Wed 14:05; this is the last reminder";
    assert_eq!(rendered.default, format!("[MEDIUM] {expected}"));
    assert!(rendered.sms.contains("no reading since Wed 14:05; this is the last reminder"), "{}", rendered.sms);
    assert_eq!(facts(&rendered)["no_reading_since"], "2022-06-01T06:05:00Z");
    let usual = reminder(bad_smell_at("Washroom 3"), "2022-06-02T06:20:00Z");
    assert!(!usual.default.contains("last reminder") && !usual.json.contains("no_reading_since"), "{usual:?}");
}

fn resolved(alert: Alert, when: &str) -> Rendered {
    render(&Message::Resolved { alert: Box::new(alert), at: at(when) })
}

fn facts(rendered: &Rendered) -> Value {
    serde_json::from_str(&rendered.json).unwrap()
}

fn attribute(rendered: &Rendered, name: &str) -> Option<Attribute> {
    rendered.attributes.iter().find(|(attribute, _)| *attribute == name).map(|(_, value)| value.clone())
}

#[test]
fn a_sustained_breach_is_shown_with_its_start() {
    let rendered = raised(&[lasting(bad_smell_at("Washroom 3"))]);
    assert_eq!(rendered.sms, "Washroom 3: ammonia 270 ppb (limit 200) at 13:59, since 13:40");
    let block = "Bad smell (medium)\n- ammonia: 270 ppb, 1.4 times the limit of 200 ppb\n- for 19 min, since 13:40\n\n";
    assert!(rendered.email.contains(block), "{}", rendered.email);
    let trigger = &facts(&rendered)["alerts"][0]["trigger"];
    assert_eq!(*trigger, json!({ "is": "sustained", "since": "2022-06-01T05:40:12Z", "seconds": 1173 }));
}

#[test]
fn an_immediate_breach_is_shown_without_a_start() {
    let rendered = raised(&[bad_smell_at("Washroom 3")]);
    assert!(![&rendered.sms, &rendered.email, &rendered.json].iter().any(|text| text.contains("since")));
    assert_eq!(facts(&rendered)["alerts"][0]["trigger"], Value::Null);
}

#[test]
fn an_accumulated_breach_is_shown_with_the_start_of_the_count() {
    let rendered =
        raised(&[with_trigger(Trigger::Accumulated { since: at("2022-06-01T01:12:00Z") }, entries("Gents L1"))]);
    assert_eq!(rendered.sms, "Gents L1: entries 34 (limit 30) at 13:59, counted since 09:12");
    assert!(rendered.email.contains("- counted for 4 h 47 min, since 09:12\n"), "{}", rendered.email);
    assert_eq!(facts(&rendered)["alerts"][0]["trigger"]["is"], "accumulated");
}

#[test]
fn the_number_of_occurrences_comes_before_the_reasons() {
    let times = |count, within| {
        let trigger = Trigger::Repeated { count, within, since: at(SINCE) };
        with_trigger(trigger, bad_feedback("Gents L1", &["Wet floor"]))
    };
    let rendered = raised(&[times(3, Some(SignedDuration::from_hours(1)))]);
    assert_eq!(rendered.sms, "Gents L1: rating 5 (limit 4) at 13:59, 3 times since 13:40: Wet floor");
    let block = "- rating: 5, 1 over the limit of 4\n- 3 times since 13:40\n- reason: Wet floor\n";
    assert!(rendered.email.contains(block), "{}", rendered.email);
    let trigger = &facts(&rendered)["alerts"][0]["trigger"];
    let expected = json!({ "is": "repeated", "count": 3, "within_seconds": 3600, "since": SINCE, "seconds": 1173 });
    assert_eq!(*trigger, expected);
    let trigger = &facts(&raised(&[times(2, None)]))["alerts"][0]["trigger"];
    assert_eq!(*trigger, json!({ "is": "repeated", "count": 2, "since": SINCE, "seconds": 1173 }));
}

#[test]
fn a_no_data_alert_has_its_start_with_a_date_if_it_was_on_another_day() {
    let rendered = raised(&[silent("Washroom 3", "2022-05-31T05:58:00Z")]);
    assert_eq!(rendered.subject, "[LOW] No data: Washroom 3");
    assert_eq!(rendered.sms, "Washroom 3: No data for 24 h, since Tue 13:58");
    assert!(rendered.email.contains("No data (low)\n- no data for 24 h, since Tue 13:58\n"), "{}", rendered.email);
    let alert = &facts(&rendered)["alerts"][0];
    assert_eq!(alert["trigger"]["is"], "no_data");
    assert_eq!(alert["reading"], Value::Null);

    let sms = raised(&[silent("Washroom 3", "2022-06-01T01:58:00Z")]).sms;
    assert_eq!(sms, "Washroom 3: No data for 4 h 1 min, since 09:58");
    let chinese = raised(&[silent("三楼女厕 厕所空气", "2021-05-31T05:58:00Z")]).sms;
    assert_eq!(chinese, "三楼女厕 厕所空气: No data for 366 days, since 31 May 2021 13:58");
}

#[test]
fn alerts_with_different_triggers_show_each_its_own() {
    let mut alerts = stale_and_dusty_air("Room 5");
    alerts[0].trigger = Trigger::Sustained { since: at(SINCE) };
    assert_eq!(
        raised(&alerts).default,
        "[HIGH] Room 5: carbon dioxide 2610 ppm (limit 2500) since 13:40, fine dust PM2.5 41.5 µg/m³ (limit 35) at 13:59"
    );
    alerts[1].trigger = Trigger::Sustained { since: at(SINCE) };
    assert_eq!(
        raised(&alerts).sms,
        "Room 5: carbon dioxide 2610 ppm (limit 2500), fine dust PM2.5 41.5 ug/m3 (limit 35) at 13:59, since 13:40"
    );
    alerts[1].trigger = Trigger::Repeated { count: 3, within: None, since: at(SINCE) };
    assert!(raised(&alerts).sms.contains("(limit 35) 3 times since 13:40 at 13:59"));
    let mut spill = spill("Room 5");
    spill.trigger = Trigger::Sustained { since: at(SINCE) };
    spill.location = alerts[0].location.clone();
    let sms = raised(&[spill, alerts.remove(0)]).sms;
    assert!(sms.contains("spill, wet area 12 % (limit 5), carbon dioxide 2610 ppm"), "{sms}");
}

#[test]
fn a_full_sms_keeps_the_value_and_omits_the_start() {
    let alert = lasting(bad_smell_at("三楼女厕所靠近北花园对面是通往屋顶的电梯旁边的那一间"));
    assert_eq!(
        raised(&[alert]).sms,
        "三楼女厕所靠近北花园对面是通往屋顶的…: ammonia 270 ppb (limit 200) at 13:59, since 13:40"
    );
    let mut alerts = stale_and_dusty_air("三楼女厕 厕所空气");
    alerts.iter_mut().for_each(|alert| alert.trigger = Trigger::Sustained { since: at(SINCE) });
    assert_eq!(raised(&alerts).sms, "三楼女厕 厕所空气: carbon dioxide 2610 ppm (limit 2500), +1 more at 13:59");
}

#[test]
fn a_template_can_contain_start_and_duration() {
    let template = Some("{location}: bad air for {duration}, since {since}.".to_owned());
    let alert = Alert { template, ..lasting(bad_smell_at("Lobby")) };
    assert_eq!(raised(std::slice::from_ref(&alert)).sms, "Lobby: bad air for 19 min, since 13:40.");
    assert_eq!(raised(&[with_trigger(Trigger::Immediate, alert)]).sms, "Lobby: bad air for , since .");
}

#[test]
fn a_reminder_has_the_start_and_the_first_values() {
    let rendered = reminder(lasting(bad_smell_at("Washroom 3")), "2022-06-01T06:29:59Z");
    assert_eq!(rendered.subject, "[MEDIUM] Still: Bad smell: Washroom 3");
    let sentence = "Washroom 3: still Bad smell at 14:29, since 13:40; was ammonia 270 ppb (limit 200) at 13:59";
    assert_eq!(rendered.default, format!("[MEDIUM] {sentence}"));
    assert_eq!(rendered.sms, sentence);
    let expected = format!(
        r#"{sentence}

Where: Washroom 3
When: Wed 1 June 2022, 14:29:59 (Asia/Singapore)
Raised: Wed 1 June 2022, 13:59:45 (Asia/Singapore)
Device: air quality sensor lite

Bad smell (medium)
- ammonia: 270 ppb, 1.4 times the limit of 200 ppb
- lasts 49 min, since 13:40

Device id: device01
Zone id: zone01
Site id: project01
Property id: property01
Alert id: 624d343823d3ebd535022d145544730b
Rule: ammonia-lite
"#
    );
    assert_eq!(rendered.email, expected);
    assert_eq!(attribute(&rendered, "kind"), Some(Attribute::One("firing".into())));
    let facts = facts(&rendered);
    assert_eq!((&facts["kind"], &facts["reminder"]), (&json!("firing"), &json!(true)));
    assert_eq!((&facts["at"], &facts["raised_at"]), (&json!("2022-06-01T06:29:59Z"), &json!(AT)));
    assert_eq!(facts["alerts"][0]["id"], "624d343823d3ebd535022d145544730b");
}

#[test]
fn a_reminder_of_an_immediate_alert_counts_from_its_reading_even_over_midnight() {
    let alert = bad_smell_at("Washroom 3");
    assert_eq!(
        reminder(alert.clone(), "2022-06-01T06:29:59Z").sms,
        "Washroom 3: still Bad smell at 14:29, since 13:59; was ammonia 270 ppb (limit 200) at 13:59"
    );
    assert_eq!(
        reminder(lasting(alert), "2022-06-02T06:29:59Z").sms,
        "Washroom 3: still Bad smell at 14:29, since Wed 13:40; was ammonia 270 ppb (limit 200) at Wed 13:59"
    );
}

#[test]
fn a_reminder_keeps_a_template_and_reports_no_data() {
    let alert = Alert { template: Some("{location}: open a window.".to_owned()), ..lasting(bad_smell_at("Lobby")) };
    assert_eq!(reminder(alert, "2022-06-01T06:29:59Z").sms, "Still at 14:29, since 13:40: Lobby: open a window.");
    let silent = silent("Lobby", "2022-05-31T05:58:00Z");
    assert_eq!(reminder(silent, "2022-06-01T06:29:59Z").sms, "Lobby: still No data at 14:29, since Tue 13:58");
}

#[test]
fn a_resolved_notice_has_start_and_duration() {
    let rendered = resolved(bad_smell_at("Washroom 3"), "2022-06-01T06:20:10Z");
    assert_eq!(rendered.subject, "[OK] Bad smell: Washroom 3");
    assert_eq!(rendered.ascii_subject, rendered.subject);
    let sentence = "Washroom 3: Bad smell is over at 14:20 (raised 13:59, lasted 21 min)";
    assert_eq!(rendered.default, format!("[OK] {sentence}"));
    assert_eq!(rendered.sms, sentence);
    assert!(rendered.email.starts_with(&format!("{sentence}\n\nWhere: Washroom 3\nWhen: Wed 1 June 2022, 14:20:10")));
    assert!(rendered.email.contains("- lasted 21 min, since 13:59\n"), "{}", rendered.email);
    assert_eq!(attribute(&rendered, "kind"), Some(Attribute::One("resolved".into())));
    assert_eq!(attribute(&rendered, "severity"), Some(Attribute::One("medium".into())));
    let facts = facts(&rendered);
    assert_eq!((&facts["kind"], &facts["severity"]), (&json!("resolved"), &json!("medium")));
    assert_eq!(facts["reminder"], Value::Null);
}

#[test]
fn a_resolved_notice_counts_from_the_first_reading_and_never_below_zero() {
    let sms = |alert, when| resolved(alert, when).sms;
    assert_eq!(
        sms(lasting(bad_smell_at("Lobby")), "2022-06-01T06:20:10Z"),
        "Lobby: Bad smell is over at 14:20 (raised 13:59, lasted 40 min)"
    );
    assert_eq!(sms(bad_smell_at("Lobby"), "2022-06-01T05:50:00Z"), "Lobby: Bad smell is over at 13:50");
    assert_eq!(
        sms(silent("Lobby", "2022-05-31T05:58:00Z"), "2022-06-01T06:58:00Z"),
        "Lobby: sends again at 14:58 (no data since Tue 13:58, 25 h)"
    );
    let own = Alert { template: Some("open a window".to_owned()), ..bad_smell_at("Lobby") };
    assert_eq!(sms(own, "2022-06-01T06:20:10Z"), "Lobby: Bad smell is over at 14:20 (raised 13:59, lasted 21 min)");
}

#[test]
fn each_message_has_its_own_stable_id() {
    let alert = bad_smell_at("Lobby");
    let first = "2022-06-01T06:20:10Z";
    let ids = [
        raised(std::slice::from_ref(&alert)).id,
        reminder(alert.clone(), first).id,
        reminder(alert.clone(), "2022-06-01T07:20:10Z").id,
        resolved(alert.clone(), first).id,
    ];
    assert!(ids.iter().all(|id| id.len() == 32 && ids.iter().filter(|other| *other == id).count() == 1), "{ids:?}");
    assert_eq!(ids[0], alert.id.to_string());
    assert_eq!(ids[1], reminder(alert.clone(), first).id);
    assert!(raised(std::slice::from_ref(&alert)).threads.is_empty());
    assert_eq!(reminder(alert.clone(), first).threads, ids[..1], "in the thread of the firing message");
    assert_eq!(resolved(alert, first).threads, ids[..1]);
}
