//! Messages show names of the rules file and what people should do.

use domain::alert::{Alert, Message, SuppressedAlert, SuppressionReason};
use domain::location::Location;
use domain::rules::RuleSet;
use serde_json::Value;

use super::fixtures::*;
use super::read_rules;
use super::render::Renderer;
use super::rendered::Rendered;

const NAMES: &str = r#"
[[site]]
id = "project01"
name = "Tower A"
note = "Keys at the counter"
[[zone]]
id = "zone01"
name = "Level 2 Male Washroom"
floor = "2"
[[device]]
id = "device01"
name = "Air by the door"
"#;

fn names() -> RuleSet {
    read_rules("rules.toml", NAMES.as_bytes()).unwrap()
}

fn firing(rules: &RuleSet, alert: Alert) -> Rendered {
    Renderer::new(rules, "en").render(&Message::Firing { alerts: vec![alert], blocked: 0 })
}

fn with_action(alert: Alert) -> Alert {
    Alert { action: Some("Clean and flush the toilets, then air the room".to_owned()), ..alert }
}

#[test]
fn a_message_shows_names_and_has_ids_in_its_details_only() {
    let rendered = firing(&names(), bad_smell_at("Sensor 17"));
    assert_eq!(rendered.subject, "[MEDIUM] Bad smell: Level 2 Male Washroom");
    assert_eq!(rendered.sms, "Level 2 Male Washroom: ammonia 270 ppb (limit 200) at 13:59");
    let header = "\nWhere: Tower A · Level 2 Male Washroom · Air by the door\n";
    assert!(rendered.email.contains(header), "{}", rendered.email);
    assert!(rendered.email.contains("\nFloor: 2\nNote: Keys at the counter\n\n"), "{}", rendered.email);
    let (facts, details) = rendered.email.split_once("\nDevice id: device01\nZone id: zone01\n").unwrap();
    assert!(details.starts_with("Site id: project01\n"), "{details}");
    for text in [facts, &rendered.subject, &rendered.default, &rendered.sms] {
        assert!(!text.contains("01") && !text.contains("Sensor 17"), "{text}");
    }
    let json: Value = serde_json::from_str(&rendered.json).unwrap();
    let location = &json["location"];
    assert_eq!((&location["name"], &location["zone"]), (&"Level 2 Male Washroom".into(), &"zone01".into()));
    assert_eq!((&location["site_name"], &location["device_name"]), (&"Tower A".into(), &"Air by the door".into()));
}

#[test]
fn a_declared_zone_comes_before_a_learned_one_then_the_device_then_its_id() {
    let of = |rules: &str, zone_name: Option<&str>, display: Option<&str>| {
        let mut alert = bad_smell_at("");
        alert.location =
            Location { zone_name: zone_name.map(Into::into), display: display.map(Into::into), ..alert.location };
        let rules = read_rules("rules.toml", rules.as_bytes()).unwrap();
        firing(&rules, alert).subject.replace("[MEDIUM] Bad smell: ", "")
    };
    let device = "[[device]]\nid = \"device01\"\nname = \"Air by the door\"\n";
    assert_eq!(of(NAMES, Some("WC M 2"), Some("Sensor 17")), "Level 2 Male Washroom");
    assert_eq!(of(device, Some("WC M 2"), Some("Sensor 17")), "WC M 2");
    assert_eq!(of(device, None, Some("Sensor 17")), "Air by the door");
    assert_eq!(of("", None, Some("Sensor 17")), "Sensor 17");
    assert_eq!(of("", None, None), "device device01");
    // A pushed name is shown, never looked up.
    assert_eq!(of(NAMES.replace("id = \"zone01\"", "id = \"zone02\"").as_str(), Some("zone02"), None), "zone02");
}

#[test]
fn a_declared_zone_is_not_shown_for_another_site() {
    let of = |site: &str| {
        let rules = format!("{NAMES}[[zone]]\nid = \"zone02\"\nname = \"Lobby\"\nsite = \"{site}\"\n");
        let mut alert = bad_smell_at("Sensor 17");
        alert.location.zone = Some("zone02".to_owned());
        let rules = read_rules("rules.toml", rules.as_bytes()).unwrap();
        firing(&rules, alert).sms
    };
    assert_eq!(of("project01"), "Lobby: ammonia 270 ppb (limit 200) at 13:59");
    let elsewhere = of("project02\"\n[[site]]\nid = \"project02");
    assert_eq!(elsewhere, "Air by the door: ammonia 270 ppb (limit 200) at 13:59");
}

#[test]
fn the_site_stands_before_a_zone_whose_name_another_site_has_too() {
    let other = |name: &str| {
        let site = "[[site]]\nid = \"project02\"\nname = \"Tower B\"\n";
        let zone = format!("[[zone]]\nid = \"zone02\"\nsite = \"project02\"\nname = \"{name}\"\n");
        let names = NAMES.replace("floor = \"2\"", "floor = \"2\"\nsite = \"project01\"");
        firing(&read_rules("rules.toml", format!("{names}{site}{zone}").as_bytes()).unwrap(), bad_smell_at("Sensor 17"))
    };
    let same = other("Level 2 Male Washroom");
    assert_eq!(same.subject, "[MEDIUM] Bad smell: Tower A · Level 2 Male Washroom");
    assert_eq!(same.ascii_subject, "[MEDIUM] Bad smell: Tower A - Level 2 Male Washroom");
    assert!(same.sms.starts_with("Tower A - Level 2 Male Washroom: "), "{}", same.sms);
    assert!(same.email.contains("Where: Tower A · Level 2 Male Washroom · Air by the door\n"), "{}", same.email);
    let different = other("Level 2 Ladies");
    assert_eq!(different.subject, "[MEDIUM] Bad smell: Level 2 Male Washroom");
    assert!(different.sms.starts_with("Level 2 Male Washroom: "), "{}", different.sms);
}

#[test]
fn a_message_has_the_time_zone_that_the_rules_have_now() {
    let rules = NAMES.replace("name = \"Tower A\"", "time_zone = \"Asia/Tokyo\"");
    let rules = read_rules("rules.toml", rules.as_bytes()).unwrap();
    assert!(firing(&rules, bad_smell_at("Lobby")).sms.ends_with(" at 14:59"));
    assert!(firing(&names(), bad_smell_at("Lobby")).sms.ends_with(" at 13:59"));
}

#[test]
fn a_line_of_a_list_has_all_names() {
    let rules = names();
    let suppressed = SuppressedAlert { alert: bad_smell_at("Sensor 17"), resolved_at: None };
    let list = Message::Suppressed { reason: SuppressionReason::Block, alerts: vec![suppressed], more: 0 };
    let line = "- Tower A · Level 2 Male Washroom · Air by the door, Bad smell: ammonia 270";
    let renderer = Renderer::new(&rules, "en");
    let rendered = renderer.render(&list);
    assert_eq!(rendered.subject, "[MEDIUM] 1 more alert: Level 2 Male Washroom");
    for email in [rendered.email, renderer.digest(&[&list]).email] {
        assert!(email.contains(line), "{email}");
    }
}

#[test]
fn each_text_says_what_to_do() {
    let rendered = firing(&RuleSet::pack(), with_action(bad_smell_at("Lobby")));
    let sentence = "Lobby: ammonia 270 ppb (limit 200) at 13:59. Clean and flush the toilets, then air the room";
    assert_eq!(rendered.default, format!("[MEDIUM] {sentence}"));
    assert_eq!(rendered.sms, sentence);
    assert_eq!(rendered.email.lines().next(), Some(sentence));
    let json: Value = serde_json::from_str(&rendered.json).unwrap();
    assert_eq!(json["alerts"][0]["action"], "Clean and flush the toilets, then air the room");
}

#[test]
fn an_action_follows_a_full_stop() {
    let of = |reason: &str| Alert { action: Some("Mop it.".to_owned()), ..bad_feedback("Lobby", &[reason]) };
    for (reason, expected) in [
        ("No soap", "No soap. Mop it."),
        ("No soap.", "No soap. Mop it."),
        ("Dirty!", "Dirty! Mop it."),
        ("脏。", "脏。 Mop it."),
    ] {
        let text = firing(&RuleSet::pack(), of(reason)).default;
        assert!(text.ends_with(&format!(" at 13:59: {expected}")), "{text}");
    }
    let fill = Alert { action: Some("Fill it".to_owned()), rule: "own".to_owned(), ..of("Dirty!") };
    let both = Message::Firing { alerts: vec![of("Dirty!"), fill], blocked: 0 };
    assert!(render(&both).default.ends_with(" Dirty! Mop it. Fill it"), "{}", render(&both).default);
}

#[test]
fn an_sms_loses_the_action_first() {
    let name = "Ladies washroom beside the north garden, third floor, opposite of the lift that goes to the roof";
    let sms = firing(&RuleSet::pack(), with_action(bad_smell_at(name))).sms;
    assert_eq!(sms, format!("{name}: ammonia 270 ppb (limit 200) at 13:59"));
}

#[test]
fn a_template_and_a_resolved_notice_have_no_action_of_their_own() {
    let alert = with_action(bad_smell_at("Lobby"));
    let own = |template: &str| Alert { template: Some(template.to_owned()), ..alert.clone() };
    assert_eq!(firing(&RuleSet::pack(), own("{location}: open a window.")).sms, "Lobby: open a window.");
    let sms = firing(&RuleSet::pack(), own("{action}!")).sms;
    assert_eq!(sms, "Clean and flush the toilets, then air the room!");
    let resolved = Message::Resolved { alert: Box::new(alert.clone()), at: alert.at };
    assert_eq!(render(&resolved).sms, "Lobby: Bad smell is over at 13:59");
    let at = alert.at + jiff::SignedDuration::from_mins(30);
    let reminder = Message::Reminder { alert: Box::new(alert), at, unheard_since: None };
    assert!(render(&reminder).default.ends_with(". Clean and flush the toilets, then air the room"));
}

#[test]
fn an_action_is_translated_unless_an_operator_wrote_it() {
    let pack = RuleSet::pack();
    let of = |alert| {
        let message = Message::Firing { alerts: vec![alert], blocked: 0 };
        Renderer::new(&pack, "zh-Hans").render(&message).sms
    };
    assert_eq!(
        of(with_action(bad_smell_at("Lobby"))),
        "Lobby：氨气 270 ppb（限值 200），13:59。清洁并冲洗厕所，然后通风"
    );
    let own = Alert { action: Some("Call Mr Tan".to_owned()), ..bad_smell_at("Lobby") };
    assert_eq!(of(own), "Lobby：氨气 270 ppb（限值 200），13:59。Call Mr Tan");
}
