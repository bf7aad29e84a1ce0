//! The exact texts of firing messages.

use super::facts::Facts;
use super::fixtures::*;
use super::rendered::Rendered;
use super::texts::Texts;
use domain::alert::{Alert, Message};
use domain::breach::Comparison;
use domain::location::Location;
use domain::severity::Severity;
use domain::time::LocalZone;

fn rendered(alerts: &[Alert]) -> Rendered {
    render(&Message::Firing { alerts: alerts.to_vec(), blocked: 0 })
}

/// Subject, default and SMS.
fn texts(alerts: &[Alert]) -> [String; 3] {
    let rendered = rendered(alerts);
    [rendered.subject, rendered.default, rendered.sms]
}

fn with_template(template: &str, alert: Alert) -> Alert {
    Alert { template: Some(template.to_owned()), ..alert }
}

#[test]
fn the_sentence_has_location_metric_value_unit_limit_and_local_time() {
    assert_eq!(
        texts(&[bad_smell_at("Indoor Air Quality")]),
        [
            "[MEDIUM] Bad smell: Indoor Air Quality",
            "[MEDIUM] Indoor Air Quality: ammonia 270 ppb (limit 200) at 13:59",
            "Indoor Air Quality: ammonia 270 ppb (limit 200) at 13:59",
        ]
    );
}

#[test]
fn the_email_has_location_time_alerts_ids_and_rule() {
    let expected = r#"Indoor Air Quality: ammonia 270 ppb (limit 200) at 13:59

Where: Indoor Air Quality
When: Wed 1 June 2022, 13:59:45 (Asia/Singapore)
Device: air quality sensor lite

Bad smell (medium)
- ammonia: 270 ppb, 1.4 times the limit of 200 ppb

Device id: device01
Zone id: zone01
Site id: project01
Property id: property01
Alert id: 624d343823d3ebd535022d145544730b
Rule: ammonia-lite
"#;
    assert_eq!(rendered(&[bad_smell_at("Indoor Air Quality")]).email, expected);
}

#[test]
fn the_email_omits_unknown_values() {
    let mut alert = bad_smell_at("");
    alert.location = Location { device_type: "ODRDTR_BATT_V1".to_owned(), ..Location::default() };
    let expected = r#"air quality sensor lite without a name: ammonia 270 ppb (limit 200) at 05:59 UTC

Where: air quality sensor lite without a name
When: Wed 1 June 2022, 05:59:45 (UTC)
Device: air quality sensor lite

Bad smell (medium)
- ammonia: 270 ppb, 1.4 times the limit of 200 ppb

Alert id: 624d343823d3ebd535022d145544730b
Rule: ammonia-lite
"#;
    assert_eq!(rendered(&[alert]).email, expected);
}

#[test]
fn a_spill_is_shown_with_its_area() {
    assert_eq!(
        texts(&[spill("Ladies L3")]),
        [
            "[HIGH] Wet floor: Ladies L3",
            "[HIGH] Ladies L3: spill, wet area 12 % (limit 5) at 13:59",
            "Ladies L3: spill, wet area 12 % (limit 5) at 13:59",
        ]
    );
}

#[test]
fn an_unset_flag_is_negated() {
    let free = breach("OCCDESK", "occupied", 0.0, Comparison::Below, 1.0);
    let alert = alert("free", "Free desk", Severity::Low, &location("OCCDESK", "Desk 4"), vec![free]);
    assert_eq!(rendered(&[alert]).sms, "Desk 4: not occupied at 13:59");
}

#[test]
fn feedback_names_its_reasons() {
    assert_eq!(
        texts(&[bad_feedback("Gents L1", &["Wet floor", "No soap"])]),
        [
            "[MEDIUM] Bad feedback: Gents L1",
            "[MEDIUM] Gents L1: rating 5 (limit 4) at 13:59: Wet floor, No soap",
            "Gents L1: rating 5 (limit 4) at 13:59: Wet floor, No soap",
        ]
    );
    assert_eq!(rendered(&[bad_feedback("Gents L1", &[])]).sms, "Gents L1: rating 5 (limit 4) at 13:59");
}

#[test]
fn the_email_has_one_reason_per_line() {
    let email = rendered(&[bad_feedback("Gents L1", &["Wet floor", "No soap"])]).email;
    let block = "Bad feedback (medium)\n- rating: 5, 1 over the limit of 4\n- reason: Wet floor\n- reason: No soap\n\n";
    assert!(email.contains(block), "{email}");
}

#[test]
fn a_value_below_its_limit_is_shown_with_the_distance() {
    let low = breach("SS", "p", 3.0, Comparison::Below, 5.0);
    let alert = alert("soap-low", "Soap low", Severity::Medium, &location("SS", "Gents L2"), vec![low]);
    let [subject, _, sms] = texts(std::slice::from_ref(&alert));
    assert_eq!(subject, "[MEDIUM] Soap low: Gents L2");
    assert_eq!(sms, "Gents L2: soap left 3 % (limit 5) at 13:59");
    assert!(rendered(&[alert]).email.contains("- soap left: 3 %, 2 points under the limit of 5 %\n"));
}

#[test]
fn a_deviation_is_shown_from_its_baseline() {
    let leans = breach("TILT", "Xt", 12.3, Comparison::Deviates, 10.0);
    let alert = alert("tree-tilt", "Leaning tree", Severity::High, &location("TILT", "Rain tree 7"), vec![leans]);
    assert_eq!(
        texts(&[alert]),
        [
            "[HIGH] Leaning tree: Rain tree 7",
            "[HIGH] Rain tree 7: tilt on X 12.3° from its baseline (limit 10) at 13:59",
            "Rain tree 7: tilt on X 12.3 deg from its baseline (limit 10) at 13:59",
        ]
    );
}

#[test]
fn one_message_has_all_breaches_of_a_reading_by_severity() {
    let alerts = stale_and_dusty_air("Meeting Room 5");
    assert_eq!(
        texts(&alerts),
        [
            "[HIGH] Stale air, Fine dust: Meeting Room 5",
            "[HIGH] Meeting Room 5: carbon dioxide 2610 ppm (limit 2500), fine dust PM2.5 41.5 µg/m³ (limit 35) at 13:59",
            "Meeting Room 5: carbon dioxide 2610 ppm (limit 2500), fine dust PM2.5 41.5 ug/m3 (limit 35) at 13:59",
        ]
    );
    let expected = r#"Meeting Room 5: carbon dioxide 2610 ppm (limit 2500), fine dust PM2.5 41.5 µg/m³ (limit 35) at 13:59

Where: Meeting Room 5
When: Wed 1 June 2022, 13:59:45 (Asia/Singapore)
Device: air quality sensor 10-in-1

Stale air (high)
- carbon dioxide: 2610 ppm, just over the limit of 2500 ppm

Fine dust (medium)
- fine dust PM2.5: 41.5 µg/m³, 1.2 times the limit of 35 µg/m³

Device id: device01
Zone id: zone01
Site id: project01
Property id: property01
Alert id: 9bf21f1143acd73ad697421e2f2886b0
Alert id: 934894fbd2341ea39f43c8eeef515700
Rules: carbon-dioxide, fine-dust
"#;
    assert_eq!(rendered(&alerts).email, expected);
}

#[test]
fn a_value_that_breaches_two_limits_is_shown_once_with_the_higher_severity() {
    let location = location("ODRDTR_BATT_V1", "Lobby");
    let of = |rule, severity, limit| {
        let breaches = vec![breach("ODRDTR_BATT_V1", "amm", 600.0, Comparison::AtLeast, limit)];
        alert(rule, "Bad smell", severity, &location, breaches)
    };
    let alerts = [of("worse", Severity::High, 500.0), of("bad", Severity::Medium, 200.0)];
    let [subject, _, sms] = texts(&alerts);
    assert_eq!(subject, "[HIGH] Bad smell: Lobby");
    assert_eq!(sms, "Lobby: ammonia 600 ppb (limit 500) at 13:59");
    // The email has both rules, so it has both limits.
    let email = rendered(&alerts).email;
    assert!(email.contains("limit of 500 ppb") && email.contains("limit of 200 ppb"), "{email}");
}

#[test]
fn chinese_and_arabic_names_are_unchanged() {
    for (name, ascii) in [
        ("三楼女厕 厕所空气", "[MEDIUM] Bad smell: San Lou Nu Ce Ce Suo Kong Qi"),
        ("دورة مياه النساء", "[MEDIUM] Bad smell: dwr@ myh lns'"),
        ("Köln Straße 🚻", "[MEDIUM] Bad smell: Koln Strasse restroom"),
    ] {
        let sentence = format!("{name}: ammonia 270 ppb (limit 200) at 13:59");
        let rendered = rendered(&[bad_smell_at(name)]);
        assert_eq!(rendered.subject, format!("[MEDIUM] Bad smell: {name}"));
        assert_eq!(rendered.ascii_subject, ascii);
        assert_eq!(rendered.default, format!("[MEDIUM] {sentence}"));
        assert_eq!(rendered.sms, sentence);
        assert_eq!(rendered.email.lines().next(), Some(sentence.as_str()));
    }
}

#[test]
fn a_location_with_an_invisible_name_is_shown_by_its_id() {
    for display in [None, Some("\u{200b}\u{200d}".to_owned())] {
        let mut alert = bad_smell_at("");
        alert.location.display = display;
        assert_eq!(rendered(&[alert]).sms, "device device01: ammonia 270 ppb (limit 200) at 13:59");
    }
}

#[test]
fn without_a_time_zone_times_are_in_utc() {
    let mut alert = bad_smell_at("Lobby");
    alert.location.local_zone = LocalZone::default();
    let rendered = rendered(&[alert]);
    assert_eq!(rendered.sms, "Lobby: ammonia 270 ppb (limit 200) at 05:59 UTC");
    assert!(rendered.email.contains("When: Wed 1 June 2022, 05:59:45 (UTC)\n"));
    assert_eq!(rendered.record()["message"]["json"]["local_time"], serde_json::Value::Null);
}

#[test]
fn an_sms_outside_the_gsm_alphabet_is_shorter_and_keeps_the_first_breach() {
    assert_eq!(
        rendered(&stale_and_dusty_air("三楼女厕 厕所空气")).sms,
        "三楼女厕 厕所空气: carbon dioxide 2610 ppm (limit 2500), +1 more at 13:59"
    );
    assert_eq!(
        rendered(&[bad_feedback("Ladies L2", &["Wet floor", "地板湿", "没有肥皂", "没有纸", "臭味", "灯坏了"])]).sms,
        "Ladies L2: rating 5 (limit 4) at 13:59: Wet floor, 地板湿, 没有肥皂, +3 more"
    );
}

#[test]
fn an_sms_shortens_the_location_first() {
    let long =
        "Ladies\u{2019} washroom beside the north garden, third floor, opposite of the lift that goes to the roof";
    assert_eq!(
        rendered(&stale_and_dusty_air(long)).sms,
        "Ladies' washroom beside the north garden, third floor, opposite of the...: carbon dioxide 2610 ppm (limit 2500), \
         fine dust PM2.5 41.5 ug/m3 (limit 35) at 13:59"
    );
    let chinese = "三楼女厕所靠近北花园对面是通往屋顶的电梯旁边的那一间有空气传感器的大厕所";
    assert_eq!(
        rendered(&[bad_smell_at(chinese)]).sms,
        "三楼女厕所靠近北花园对面是通往屋顶的电梯旁边的那一间有空气传感…: ammonia 270 ppb (limit 200) at 13:59"
    );
}

#[test]
fn typographic_marks_are_plain_in_the_sms_and_unchanged_in_the_email() {
    let rendered = rendered(&[bad_smell_at("Ladies\u{2019}\u{a0}\u{2013} \u{201c}L3\u{201d}")]);
    assert_eq!(rendered.sms, "Ladies' - \"L3\": ammonia 270 ppb (limit 200) at 13:59");
    assert!(rendered.email.starts_with("Ladies\u{2019} \u{2013} \u{201c}L3\u{201d}: "), "{}", rendered.email);
    // With a letter outside the alphabet, plain marks would save nothing.
    let [_, _, sms] = texts(&[bad_smell_at("女\u{2019}s")]);
    assert_eq!(sms, "女\u{2019}s: ammonia 270 ppb (limit 200) at 13:59");
}

#[test]
fn an_sms_outside_the_gsm_alphabet_has_unicode_units() {
    let sms = rendered(&stale_and_dusty_air("三楼")[1..]).sms;
    assert_eq!(sms, "三楼: fine dust PM2.5 41.5 µg/m³ (limit 35) at 13:59");
}

#[test]
fn a_subject_shortens_the_location_and_keeps_severity_and_title() {
    let subject = rendered(&[bad_smell_at(&"north ".repeat(20))]).subject;
    assert_eq!(subject, format!("[MEDIUM] Bad smell: {}north…", "north ".repeat(12)));
    let mut alert = bad_smell_at(&"north ".repeat(20));
    alert.title = "Bad ".repeat(30);
    assert_eq!(rendered(&[alert]).subject, format!("[MEDIUM] {}Bad…: north north north north…", "Bad ".repeat(15)));
}

#[test]
fn a_subject_counts_the_titles_that_it_omits() {
    let subject = |name: &str| rendered(&stale_and_dusty_air(name)).subject;
    let fitting = "r".repeat(99 - "[HIGH] Stale air, Fine dust: ".len());
    assert_eq!(subject(&fitting), format!("[HIGH] Stale air, Fine dust: {fitting}"));
    assert_eq!(subject(&format!("{fitting}r")), format!("[HIGH] Stale air +1 more: {fitting}r"));
}

#[test]
fn a_template_replaces_the_sentence() {
    let template = "{location}: {what} {value} {unit}, over {limit}! {title} ({severity}) {time} on {date}";
    let rendered = rendered(&[with_template(template, bad_smell_at("Lobby"))]);
    let sentence = "Lobby: ammonia 270 ppb, over 200! Bad smell (medium) 13:59 on Wed 1 June 2022";
    assert_eq!(rendered.default, format!("[MEDIUM] {sentence}"));
    assert_eq!(rendered.sms, sentence);
    assert_eq!(rendered.email.lines().next(), Some(sentence));
    assert_eq!(rendered.subject, "[MEDIUM] Bad smell: Lobby");
}

#[test]
fn a_template_can_contain_ids_reasons_and_all_breaches() {
    let mut spill = with_template("{device} {zone} {project} {property} {type}: {breaches}.", spill("Lobby"));
    assert_eq!(
        rendered(&[spill.clone()]).sms,
        "device01 zone01 project01 property01 spill detector: spill, wet area 12 % (limit 5)."
    );
    spill.location = Location::default();
    assert_eq!(rendered(&[spill]).sms, "unknown unknown unknown unknown device: spill, wet area 12 % (limit 5).");
    let feedback = with_template("{location}: {reasons} [{value}]", bad_feedback("Gents", &["Wet floor", "No soap"]));
    assert_eq!(rendered(&[feedback]).sms, "Gents: Wet floor, No soap [5]");
    let flag = with_template("{what}: {value}", super::fixtures::spill("Lobby"));
    assert_eq!(rendered(&[flag]).sms, "spill: yes");
}

#[test]
fn every_documented_placeholder_is_filled() {
    for name in domain::rules::template::PLACEHOLDERS {
        let alert = with_template(&format!("<{{{name}}}>"), bad_feedback("Gents", &["No soap"]));
        let default = rendered(&[alert]).default;
        assert!(!default.contains('{'), "{name}: {default}");
    }
}

#[test]
fn a_device_name_that_looks_like_a_placeholder_is_not_replaced() {
    let alert = with_template("{location} at {time}", bad_smell_at("{time} {{x}} {"));
    assert_eq!(rendered(&[alert]).sms, "{time} {{x}} { at 13:59");
}

#[test]
fn one_message_can_combine_a_template_and_the_default_wording() {
    let mut alerts = stale_and_dusty_air("Room 5");
    alerts[0].template = Some("{location}: open a window.".to_owned());
    let texts = texts(&alerts);
    assert_eq!(texts[2], "Room 5: open a window. Room 5: fine dust PM2.5 41.5 ug/m3 (limit 35) at 13:59");
    alerts[0].template = Some(format!("{{location}}: {}", "open the windows ".repeat(8)));
    let sms = rendered(&alerts).sms;
    assert_eq!(sms, format!("Room 5: {}open the windows (+1 more)", "open the windows ".repeat(7)));
}

#[test]
fn a_template_longer_than_an_sms_is_cut_at_its_end() {
    let alert = with_template(
        &format!("{{location}}: {}", "open a window ".repeat(30)),
        bad_smell_at("Meeting room of level three"),
    );
    assert_eq!(rendered(&[alert]).sms, format!("Meeting room...: {}open a window...", "open a window ".repeat(9)));
}

#[test]
fn a_blank_template_counts_as_none() {
    assert_eq!(
        rendered(&[with_template(" \n", bad_smell_at("Lobby"))]).sms,
        "Lobby: ammonia 270 ppb (limit 200) at 13:59"
    );
}

#[test]
fn the_severity_is_the_highest_in_any_order() {
    let mut alerts = stale_and_dusty_air("Lobby");
    alerts.reverse();
    assert_eq!(Facts::new(&alerts, &Texts::english()).severity, Severity::High);
}

#[test]
fn a_blank_title_or_label_has_a_default() {
    let mut alert = bad_smell_at("Lobby");
    alert.title.clear();
    alert.breaches[0].label.clear();
    let [subject, _, sms] = texts(std::slice::from_ref(&alert));
    assert_eq!(
        (subject.as_str(), sms.as_str()),
        ("[MEDIUM] ammonia-lite: Lobby", "Lobby: amm 270 ppb (limit 200) at 13:59")
    );
    alert.breaches.clear();
    assert_eq!(rendered(&[alert]).sms, "Lobby: ammonia-lite at 13:59");
}
