//! Boundary values of every text, on both sides.

use domain::alert::{Alert, Message, SuppressedAlert, SuppressionReason, Trigger};
use domain::breach::Comparison;
use domain::display::presentable;
use domain::location::Location;
use domain::severity::Severity;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::fixtures::*;
use super::in_words;
use super::rendered::Rendered;
use super::texts::Texts;
use domain::alert::notice::Notice;
use domain::rules::RefusedRules;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Minutes after the time of the fixtures.
fn later(minutes: i64) -> Timestamp {
    at(AT) + SignedDuration::from_mins(minutes)
}

fn firing(alerts: Vec<Alert>) -> Rendered {
    render(&Message::Firing { alerts, blocked: 0 })
}

fn reminder(alert: Alert, minutes: i64) -> Rendered {
    render(&Message::Reminder { alert: Box::new(alert), at: later(minutes), unheard_since: None })
}

fn resolved(alert: Alert, minutes: i64) -> Rendered {
    render(&Message::Resolved { alert: Box::new(alert), at: later(minutes) })
}

fn suppressed(alerts: Vec<Alert>, more: usize) -> Rendered {
    let alerts = alerts.into_iter().map(|alert| SuppressedAlert { alert, resolved_at: None }).collect();
    render(&Message::Suppressed { reason: SuppressionReason::Block, alerts, more })
}

fn no_data(display: &str) -> Alert {
    let trigger = Trigger::NoData { since: later(-60) };
    Alert { trigger, ..alert("silent", "No data", Severity::Low, &location("TH", display), Vec::new()) }
}

#[test]
fn each_comparison_is_breached_on_its_own_side_of_the_limit() {
    use domain::breach::Comparison::{Above, AtLeast, AtMost, Below, Deviates};
    let broken = |comparison: Comparison| [9.0, 10.0, 11.0].map(|value| comparison.is_breached(value, 10.0));
    assert_eq!(broken(Above), [false, false, true]);
    assert_eq!(broken(AtLeast), [false, true, true]);
    assert_eq!(broken(Deviates), [false, true, true]);
    assert_eq!(broken(Below), [true, false, false]);
    assert_eq!(broken(AtMost), [true, true, false]);
}

#[test]
fn repeated_spaces_in_a_name_become_one() {
    let wide = |spaces: usize| presentable(&format!("a{}b", " ".repeat(spaces)));
    assert_eq!(wide(200).as_deref(), Some("a b"));
    assert_eq!(wide(400).as_deref(), Some("a b"));
}

#[test]
fn the_json_omits_a_zero_count_of_blocked_alerts() {
    let of = |blocked| serde_json::to_value(Message::Firing { alerts: vec![bad_smell_at("w")], blocked }).unwrap();
    assert_eq!((of(0).get("blocked"), of(2).get("blocked")), (None, Some(&json!(2))));
}

#[test]
fn a_notice_of_refused_rules_counts_the_errors() {
    let of = |faults: &[&str], more| {
        let faults = faults.iter().map(|&fault| fault.to_owned()).collect();
        let refused = RefusedRules { file: "rules.toml".into(), version: "1".into(), diagnostics: faults, more };
        let rendered = render(&Message::Notice(Notice::RulesRefused(refused)));
        (rendered.subject, rendered.email)
    };
    let (subject, email) = of(&["one"], 0);
    assert_eq!(subject, "[NOTICE] Rules refused: 1 fault");
    assert!(!email.contains("more"), "{email}");
    let (subject, email) = of(&["one", "two"], 3);
    assert_eq!(subject, "[NOTICE] Rules refused: 5 faults");
    assert!(email.contains("\ntwo\nand 3 more\n"), "{email}");
    assert!(of(&["one"], 1).1.contains("\nand 1 more\n"));
}

#[test]
fn a_location_is_shown_by_its_name() {
    assert_eq!(location("TH", "Washroom 3").name(), "Washroom 3");
    assert_eq!(Location { display: None, ..location("TH", "") }.name(), "device device01");
}

#[test]
fn the_json_has_numbers_as_in_the_reading() {
    let written = |value: f64| {
        let mut alert = bad_smell_at("w");
        alert.breaches[0].value = value;
        let json: Value = serde_json::from_str(&firing(vec![alert]).json).unwrap();
        json.pointer("/alerts/0/breaches/0/value").cloned()
    };
    let text = |value: f64| written(value).map(|value| value.to_string());
    assert_eq!(text(270.0).as_deref(), Some("270"));
    assert_eq!(text(-270.0).as_deref(), Some("-270"));
    assert_eq!(text(0.5).as_deref(), Some("0.5"));
    assert_eq!(text(1e300).as_deref(), Some("1e+300"));
    assert_eq!(text(f64::INFINITY), None, "JSON has no such number");
}

#[test]
fn a_list_counts_named_and_unnamed_suppressed_alerts_together() {
    let two = || vec![bad_smell_at("Washroom 3"), spill("Washroom 3")];
    assert!(suppressed(two(), 0).subject.contains("2 more alerts"), "{}", suppressed(two(), 0).subject);
    assert!(suppressed(two(), 5).subject.contains("7 more alerts"));
    assert!(suppressed(vec![spill("Washroom 3")], 0).subject.contains("1 more alert:"));
    assert!(!suppressed(two(), 0).email.contains("and "));
    assert!(suppressed(two(), 5).email.contains("\nand 5 more\n"));
    let json: Value = serde_json::from_str(&suppressed(two(), 5).json).unwrap();
    assert_eq!(json["alerts_left_out"], 5);
}

#[test]
fn a_list_ignores_templates() {
    let own = Alert { template: Some("own words at {location}".into()), ..bad_smell_at("Washroom 3") };
    let email = suppressed(vec![own, spill("Washroom 3")], 0).email;
    assert!(email.contains("- Washroom 3, Bad smell: ammonia 270 ppb (limit 200) at 13:59"), "{email}");
    assert!(!email.contains("own words"));
    let email = suppressed(vec![no_data("Washroom 3"), spill("Washroom 3")], 0).email;
    assert!(email.contains("- Washroom 3: No data for 1 h, since 12:59"), "{email}");
    let named = Alert { title: "Sensor lost".into(), ..no_data("Washroom 3") };
    let email = suppressed(vec![named, spill("Washroom 3")], 0).email;
    assert!(email.contains("- Washroom 3: Sensor lost for 1 h, since 12:59"), "{email}");
    let bare = alert("own", "Odd", Severity::Low, &location("TH", "Washroom 3"), Vec::new());
    let email = suppressed(vec![bare, spill("Washroom 3")], 0).email;
    assert!(email.contains("- Washroom 3: Odd at 13:59"), "{email}");
}

#[test]
fn the_email_shows_the_duration_of_a_lasting_condition() {
    let at_once = bad_smell_at("Washroom 3");
    let lasting = Alert { trigger: Trigger::Sustained { since: later(-19) }, ..at_once.clone() };
    let silent = no_data("Washroom 3");
    for (rendered, has, has_not) in [
        (firing(vec![at_once.clone()]), "(medium)\n- ammonia", "since"),
        (firing(vec![lasting.clone()]), "\n- for 19 min, since 13:40\n", "lasts"),
        (firing(vec![silent.clone()]), "\n- no data for 1 h, since 12:59\n", "lasts"),
        (reminder(at_once.clone(), 30), "\n- lasts 30 min, since 13:59\n", "lasted"),
        (reminder(lasting.clone(), 30), "\n- lasts 49 min, since 13:40\n", "lasted"),
        (reminder(silent.clone(), 30), "\n- lasts 1 h 30 min, since 12:59\n", "lasted"),
        (resolved(at_once.clone(), 30), "\n- lasted 30 min, since 13:59\n", "lasts"),
        (resolved(silent, 30), "\n- lasted 1 h 30 min, since 12:59\n", "lasts"),
        // Resolved at the time of its own reading: no duration.
        (resolved(at_once.clone(), 0), "is over at", "lasted"),
    ] {
        assert!(rendered.email.contains(has) && !rendered.email.contains(has_not), "{has}\n{}", rendered.email);
    }
    let said = reminder(lasting, 30).default;
    assert!(said.contains("still Bad smell at 14:29, since 13:40; was ammonia 270 ppb (limit 200) at 13:59"), "{said}");
    let said = reminder(at_once, 30).default;
    assert!(said.contains("since 13:59; was ammonia 270 ppb (limit 200) at 13:59"), "{said}");
}

#[test]
fn no_data_is_shown_only_without_breaches() {
    assert!(reminder(no_data("w"), 30).default.contains("w: still No data at"));
    let broken = Alert { trigger: Trigger::NoData { since: later(-60) }, ..bad_smell_at("w") };
    assert!(reminder(broken, 30).default.contains("w: still Bad smell at"));
    assert!(resolved(no_data("w"), 30).default.contains("w: sends again at 14:29"));
}

#[test]
fn names_are_sanitized_in_every_text() {
    let mut odd = bad_smell_at("Washroom\n3");
    odd.rule = "ammonia\u{1b}-lite".into();
    odd.breaches[0].metric = "am\u{202e}m".into();
    odd.reasons = vec!["No\tsoap".into(), "No soap".into(), "\u{1b}".into()];
    odd.template = Some("now\r\nat {location}".into());
    let rendered = firing(vec![odd]);
    let hidden = |text: &str| text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
    for text in [&rendered.default, &rendered.email, &rendered.sms, &rendered.subject, &rendered.json] {
        assert!(!hidden(text) && !text.contains("\\u001b") && !text.contains('\u{202e}'), "{text:?}");
    }
    assert!(rendered.default.contains("now at Washroom 3"), "{}", rendered.default);
    assert_eq!(rendered.email.matches("- reason: No soap").count(), 1, "{}", rendered.email);
    assert!(rendered.email.contains("\nRule: ammonia -lite\n"), "{}", rendered.email);
    assert!(rendered.json.contains(r#""am m""#), "{}", rendered.json);
}

#[test]
fn locations_devices_and_limits_have_display_names() {
    let named = |device_type: &str| Location { device_type: device_type.into(), ..Location::default() };
    assert_eq!(named("TH").device_title(), location("TH", "w").device_title());
    assert_eq!((named("NEW").device_title(), named("").device_title()), ("NEW", "device"));
    assert_eq!(in_words(&bad_smell_at("w").breaches[0]), "ammonia 270 ppb (limit 200)");
    let tilt = |comparison| in_words(&breach("TILT", "Xt", 12.0, comparison, 10.0));
    assert_eq!(tilt(Comparison::Deviates), "tilt on X 12° from its baseline (limit 10)");
    assert_eq!(tilt(Comparison::AtLeast), "tilt on X 12° (limit 10)");
    assert_eq!(crate::text::amount(270.0, domain::device::Unit::Ppb), "270 ppb");
}

#[test]
fn huge_values_still_differ_from_their_limit() {
    let words = |value: f64, limit: f64| in_words(&breach("TH", "t", value, Comparison::Above, limit));
    // 10¹⁵ is the smallest number that is not written out.
    assert_eq!(words(1e15, 5.0), words(2e15, 5.0));
    assert_ne!(words(9e14, 5.0), words(8e14, 5.0));
    assert!(words(2e15, 1e15).contains("limit"), "{}", words(2e15, 1e15));
}

#[test]
fn an_email_counts_exactly_the_items_that_it_omits() {
    let alerts = |count: usize| {
        let one = |index: usize| Alert { title: format!("Title {index}"), ..bad_smell_at("w") };
        (0..count).map(one).collect::<Vec<_>>()
    };
    let texts = &Texts::english();
    let facts = |count: usize| crate::facts::Facts::new(&alerts(count), texts);
    assert!(!facts(4).email("s", 4).text.contains("more"), "{}", facts(4).email("s", 4).text);
    assert!(facts(5).email("s", 4).text.contains("\nand 1 more\n"));
    let reasons = |count: usize| {
        let reasons = (0..count).map(|index| format!("Reason {index}")).collect();
        crate::facts::Facts::new(&[Alert { reasons, ..bad_smell_at("w") }], texts).email("s", 4).text
    };
    assert!(!reasons(4).contains("more"), "{}", reasons(4));
    assert!(reasons(5).contains("\n- and 1 more\n") && !reasons(5).contains("Reason 4"), "{}", reasons(5));
}

#[test]
fn an_sms_keeps_the_value_and_omits_the_rest_in_order() {
    let long = "x".repeat(120);
    let trigger = Trigger::Sustained { since: later(-19) };
    let reasons = vec!["No soap at all".to_owned(), "Wet floor everywhere".to_owned()];
    let one = Alert { trigger, reasons: reasons.clone(), ..bad_smell_at(&long) };
    let sms = firing(vec![one.clone()]).sms;
    assert!(sms.contains("ammonia 270 ppb (limit 200)") && sms.contains("since 13:40"), "{sms}");
    assert!(sms.contains("No soap at all"), "reasons stay as long as the location can be shortened: {sms}");
    // A long metric name and many reasons: value and time are kept.
    let mut hard = one;
    hard.breaches[0].label = "ammonia as it was measured by a device that has a very long name for it".into();
    hard.reasons = (0..5).map(|index| format!("a reason that takes much room, number {index}")).collect();
    let sms = firing(vec![hard.clone()]).sms;
    assert!(crate::gsm7::is_one_part(&sms) && sms.contains("270 ppb (limit 200)") && sms.contains("13:59"), "{sms}");
    assert!(!sms.contains("a reason"), "{sms}");
    // Letters outside the GSM alphabet are kept and leave less space.
    let unicode = firing(vec![Alert { title: "厕所".into(), ..bad_smell_at("三楼厕所") }]).sms;
    assert!(unicode.starts_with("三楼厕所"), "{unicode}");
    let plain = firing(vec![bad_smell_at("Washroom’s end…")]).sms;
    assert!(plain.is_ascii() && plain.contains("Washroom's end..."), "{plain}");
    let twice = vec![bad_smell_at(&long), spill(&long)];
    let sms = firing(twice).sms;
    assert!(sms.contains("ammonia") && crate::gsm7::is_one_part(&sms), "{sms}");
}
