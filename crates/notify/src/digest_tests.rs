//! The exact texts of digests, lists of suppressed alerts and notices.

use domain::alert::{Alert, AlertId, Message, SuppressedAlert, SuppressionReason, Trigger};
use domain::severity::Severity;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::attributes::Attribute;
use super::fixtures::*;
use super::gsm7::is_one_part;
use super::notice::with_text;
use super::render::{Renderer, SmsRefusal};
use super::rendered::{LARGEST_SNS_MESSAGE, Rendered};
use super::subject::LONGEST_SUBJECT;
use super::texts::Texts;

const LARGE: usize = usize::MAX;

fn digest(messages: &[&Message]) -> Rendered {
    Renderer::default().digest(messages)
}

fn grouped<'s, 'm>(messages: &'s [&'m Message], largest: usize) -> Vec<&'s [&'m Message]> {
    Renderer::default().grouped(messages, largest)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn suppressed(alert: Alert, over: Option<&str>) -> SuppressedAlert {
    SuppressedAlert { alert, resolved_at: over.map(at) }
}

fn three_suppressed() -> Vec<SuppressedAlert> {
    let later = Alert { at: at("2022-06-01T06:01:00Z"), ..bad_feedback("Washroom 3", &["No soap"]) };
    vec![
        suppressed(bad_smell_at("Washroom 3"), Some("2022-06-01T06:02:00Z")),
        suppressed(later, None),
        suppressed(spill("Washroom 3"), None),
    ]
}

fn suppressed_message(alerts: Vec<SuppressedAlert>, more: usize) -> Rendered {
    render(&Message::Suppressed { reason: SuppressionReason::Block, alerts, more })
}

fn firing(alert: Alert) -> Message {
    Message::Firing { alerts: vec![alert], blocked: 0 }
}

fn many_at(count: usize, name: impl Fn(usize) -> String) -> Vec<Message> {
    let of = |index| {
        let mut alert = if index % 9 == 0 { spill(&name(index)) } else { bad_smell_at(&name(index)) };
        alert.id = AlertId::of_silence(&index.to_string(), "", jiff::Timestamp::UNIX_EPOCH);
        alert.location.device = Some(format!("device{index:026}"));
        alert.location.zone = Some(format!("zone{index:028}"));
        firing(alert)
    };
    (0..count).map(of).collect()
}

/// The digests that name these messages.
fn digests_of(messages: &[&Message], largest: usize) -> Vec<Rendered> {
    grouped(messages, largest).into_iter().map(digest).collect()
}

fn attribute(rendered: &Rendered, name: &str) -> Option<Attribute> {
    rendered.attributes.iter().find(|(attribute, _)| *attribute == name).map(|(_, value)| value.clone())
}

fn many(values: &[&str]) -> Option<Attribute> {
    Some(Attribute::Many(values.iter().map(|&value| value.to_owned()).collect()))
}

fn facts(rendered: &Rendered) -> Value {
    serde_json::from_str(&rendered.json).unwrap()
}

#[test]
fn suppressed_alerts_are_listed_by_severity() {
    let rendered = suppressed_message(three_suppressed(), 0);
    assert_eq!(rendered.subject, "[HIGH] 3 more alerts: Washroom 3");
    assert_eq!(rendered.sms, "Washroom 3: 3 more alerts: Wet floor 13:59; Bad smell 13:59 (over); Bad feedback 14:01");
    assert_eq!(
        rendered.default,
        "[HIGH] Washroom 3: 3 more alerts while alerts of this zone were blocked: Wet floor 13:59; \
         Bad smell 13:59 (over); Bad feedback 14:01"
    );
    let expected = r"Washroom 3: 3 more alerts

Raised while alerts of this zone were blocked, because one had just been sent.

High (1)
- Washroom 3, Wet floor: spill, wet area 12 % (limit 5) at 13:59

Medium (2)
- Washroom 3, Bad smell: ammonia 270 ppb (limit 200) at 13:59 (over since
  14:02)
- Washroom 3, Bad feedback: rating 5 (limit 4) at 14:01: No soap

Newest: Wed 1 June 2022, 14:01:00 (Asia/Singapore)
Zone id: zone01
Site id: project01
Property id: property01

";
    assert!(rendered.email.starts_with(expected), "{}", rendered.email);
    assert_eq!(rendered.email.matches("Alert id: ").count(), 3);
    assert_eq!(attribute(&rendered, "kind"), Some(Attribute::One("digest".into())));
    assert_eq!(attribute(&rendered, "severity"), many(&["high", "medium"]));
    assert_eq!(attribute(&rendered, "rule"), many(&["spill", "ammonia-lite", "bad-feedback"]));
    assert_eq!(attribute(&rendered, "device_type"), many(&["WD", "ODRDTR_BATT_V1", "FD"]));
    assert_eq!(attribute(&rendered, "zone"), Some(Attribute::One("zone01".into())));
    let facts = facts(&rendered);
    assert_eq!((&facts["kind"], &facts["severity"]), (&json!("digest"), &json!("high")));
    assert_eq!(facts["alerts"][1]["over"], "2022-06-01T06:02:00Z");
    assert_eq!(facts["alerts"][2]["over"], Value::Null);
    assert_eq!(facts["alerts"][2]["breaches"][0]["value"], 5);
}

#[test]
fn one_suppressed_alert_is_counted_in_the_singular() {
    let rendered = suppressed_message(vec![suppressed(bad_smell_at("Lobby"), None)], 0);
    assert_eq!(rendered.subject, "[MEDIUM] 1 more alert: Lobby");
    assert_eq!(rendered.sms, "Lobby: 1 more alert: Bad smell 13:59");
    assert!(!rendered.json.contains("left_out") && !rendered.email.contains("and "));
}

#[test]
fn alerts_that_are_only_counted_appear_in_every_text() {
    let rendered = suppressed_message(three_suppressed(), 7);
    assert_eq!(rendered.subject, "[HIGH] 10 more alerts: Washroom 3");
    assert!(rendered.sms.ends_with("; Bad feedback 14:01; +7 more"), "{}", rendered.sms);
    assert!(rendered.email.contains("\n\nand 7 more\n\n"));
    assert_eq!(facts(&rendered)["alerts_left_out"], 7);
}

#[test]
fn a_list_states_the_reason_of_the_suppression() {
    let alerts = three_suppressed();
    let rendered = render(&Message::Suppressed { reason: SuppressionReason::Hours, alerts, more: 0 });
    assert_eq!(rendered.subject, "[HIGH] 3 alerts: Washroom 3");
    assert!(rendered.default.starts_with("[HIGH] Washroom 3: 3 alerts outside active hours: Wet floor 13:59; "));
    assert!(rendered.email.contains("\n\nRaised outside the active hours of their rules.\n\n"), "{}", rendered.email);
    assert_eq!(facts(&rendered)["reason"], "hours");
    assert_eq!(facts(&suppressed_message(three_suppressed(), 0))["reason"], "block");
}

#[test]
fn each_alert_of_a_message_has_its_own_time() {
    let at = |text: &str| Alert { at: at(text), ..bad_smell_at("Washroom 3") };
    let later = Alert { severity: Severity::Low, ..at("2022-06-01T20:10:00Z") };
    let alerts = vec![at("2022-06-01T16:30:00Z"), later];
    let rendered = render(&Message::Firing { alerts, blocked: 0 });
    let of = |time: &str| format!("Washroom 3: ammonia 270 ppb (limit 200) at {time}");
    assert_eq!(rendered.default, format!("[MEDIUM] {}; {}", of("00:30"), of("04:10")));
    assert!(rendered.email.contains("Bad smell (low)\n- at 04:10\n"), "{}", rendered.email);
    assert_eq!(rendered.email.matches("\n- at ").count(), 1, "the first is that of the message");
    let facts = facts(&rendered);
    assert_eq!((&facts["alerts"][0]["at"], &facts["alerts"][1]["at"]), (&Value::Null, &json!("2022-06-01T20:10:00Z")));
}

#[test]
fn each_line_names_its_location() {
    let rendered =
        suppressed_message(vec![suppressed(bad_smell_at("Lobby"), None), suppressed(spill("Ladies L3"), None)], 0);
    assert_eq!(rendered.subject, "[HIGH] 2 more alerts: Ladies L3 and 1 more location");
    assert_eq!(
        rendered.sms,
        "Ladies L3 and 1 more location: 2 more alerts: Ladies L3: Wet floor 13:59; Lobby: Bad smell 13:59"
    );
}

#[test]
fn a_sentence_about_several_locations_names_the_location_of_each_alert() {
    let rendered =
        suppressed_message(vec![suppressed(bad_smell_at("Lobby"), None), suppressed(spill("Ladies L3"), None)], 0);
    assert!(rendered.default.contains("Lobby: Bad smell"), "{}", rendered.default);
    let one_location = suppressed_message(three_suppressed(), 0);
    assert_eq!(one_location.default.matches("Washroom 3").count(), 1, "{}", one_location.default);
}

#[test]
fn a_list_subject_shortens_the_location_no_more_than_necessary() {
    let long = |letter: &str| bad_smell_at(&letter.repeat(120));
    for alerts in [vec![long("W")], vec![long("W"), long("V")], vec![long("W"), long("V"), long("U")]] {
        let rendered = suppressed_message(alerts.into_iter().map(|alert| suppressed(alert, None)).collect(), 0);
        assert_eq!(rendered.subject.chars().count(), LONGEST_SUBJECT, "{}", rendered.subject);
        assert_eq!(rendered.ascii_subject.len(), LONGEST_SUBJECT, "{}", rendered.ascii_subject);
    }
}

#[test]
fn the_json_counts_alerts_that_it_omits() {
    let name = "W".repeat(120);
    let alerts = (0..40).map(|_| suppressed(bad_smell_at(&name), None)).collect();
    let json = facts(&suppressed_message(alerts, 7));
    let named = json["alerts"].as_array().unwrap().len();
    assert_eq!(json["alerts_left_out"], 7 + 40 - named, "{named}");
}

#[test]
fn a_line_has_the_time_zone_if_the_alerts_have_several() {
    let (lobby, mut gents) = (firing(bad_smell_at("Lobby")), bad_smell_at("Gents"));
    gents.location.local_zone.region = Some("Asia/Tokyo".to_owned());
    let one = digest(&[&lobby, &firing(bad_smell_at("Gents"))]).email;
    assert!(one.contains("- Gents, Bad smell: ammonia 270 ppb (limit 200) at 13:59\n"), "{one}");
    let gents = firing(Alert { at: at("2022-06-01T06:01:00Z"), ..gents });
    let email = digest(&[&lobby, &gents]).email;
    for line in [
        "- Lobby (Asia/Singapore), Bad smell: ammonia 270 ppb (limit 200) at 13:59\n",
        "- Gents (Asia/Tokyo), Bad smell: ammonia 270 ppb (limit 200) at 15:01\n",
        "\n\nNewest: Wed 1 June 2022, 15:01:00 (Asia/Tokyo)\n",
    ] {
        assert!(email.contains(line), "{line}: {email}");
    }
}

#[test]
fn a_digest_without_resolved_alerts_does_not_mention_them() {
    let (smell, wet) = (firing(bad_smell_at("Lobby")), firing(spill("Lobby")));
    let rendered = digest(&[&smell, &wet]);
    assert_eq!(rendered.subject, "[HIGH] 2 alerts (1 high, 1 medium)");
    assert!(!rendered.email.contains("over"), "{}", rendered.email);
}

#[test]
fn a_digest_sms_names_as_many_alerts_as_fit_and_counts_the_others() {
    let alerts: Vec<SuppressedAlert> = (0..40).map(|_| suppressed(bad_smell_at("Washroom 3"), None)).collect();
    let sms = suppressed_message(alerts, 2).sms;
    let named = sms.matches("Bad smell 13:59").count();
    assert_eq!(sms, format!("Washroom 3: 42 more alerts: {}+{} more", "Bad smell 13:59; ".repeat(named), 42 - named));
    assert!(is_one_part(&sms) && !is_one_part(&format!("{sms}Bad smell 13:59; ")), "{sms}");
}

#[test]
fn a_digest_has_a_line_for_each_alert() {
    let alert = bad_smell_at("Washroom 3");
    let reminded = Alert { trigger: Trigger::Sustained { since: at("2022-06-01T05:40:00Z") }, ..bad_smell_at("Lobby") };
    let messages = [
        Message::Resolved { alert: Box::new(alert.clone()), at: at("2022-06-01T06:20:00Z") },
        firing(Alert { at: at("2022-05-31T05:00:00Z"), ..alert }),
        Message::Reminder { alert: Box::new(reminded), at: at("2022-06-01T06:20:00Z"), unheard_since: None },
        firing(spill("Ladies L3")),
        Message::Suppressed {
            reason: SuppressionReason::Block,
            alerts: vec![suppressed(bad_feedback("Gents L1", &["No soap"]), Some("2022-06-01T06:02:00Z"))],
            more: 2,
        },
    ];
    let rendered = &digest(&messages.iter().collect::<Vec<_>>());
    assert_eq!(rendered.subject, "[HIGH] 4 alerts (1 high, 3 medium); 1 over; 2 more suppressed");
    let expected = "4 alerts (1 high, 3 medium); 1 over; 2 more suppressed

More came at once than is sent one by one, so one message names them all.

High (1)
- Ladies L3, Wet floor: spill, wet area 12 % (limit 5) at 13:59

Medium (3)
- Washroom 3, Bad smell: ammonia 270 ppb (limit 200) at Tue 13:00
- Gents L1, Bad feedback: rating 5 (limit 4) at 13:59: No soap (over since
  14:02) (and 2 more suppressed there)
- Lobby: still Bad smell at 14:20, since 13:40; was ammonia 270 ppb (limit
  200) at 13:59

Over (1)
- Washroom 3: Bad smell is over at 14:20 (raised 13:59, lasted 21 min)

Newest: Wed 1 June 2022, 14:20:00 (Asia/Singapore)
";
    assert_eq!(rendered.email, expected);
    assert_eq!(
        rendered.sms,
        "4 alerts (1 high, 3 medium); 1 over; 2 more suppressed: Ladies L3: Wet floor 13:59; \
         Washroom 3: Bad smell Tue 13:00; +3 more"
    );
    assert_eq!(attribute(rendered, "kind"), Some(Attribute::One("digest".into())));
    assert_eq!(attribute(rendered, "severity"), many(&["high", "medium"]));
    assert_eq!(attribute(rendered, "channel"), many(&["email", "sms"]));
    let alerts = &facts(rendered)["alerts"];
    assert_eq!((&alerts[0]["kind"], &alerts[0]["severity"]), (&Value::Null, &json!("high")));
    assert_eq!(alerts[3]["reminder"], true);
    assert_eq!((&alerts[4]["kind"], &alerts[4]["over"]), (&json!("resolved"), &json!("2022-06-01T06:20:00Z")));
}

#[test]
fn a_digest_of_resolved_alerts_is_marked_ok() {
    let over = Message::Resolved { alert: Box::new(spill("Lobby")), at: at("2022-06-01T06:20:00Z") };
    let rendered = digest(&[&over]);
    assert_eq!(rendered.subject, "[OK] 1 alert over");
    assert_eq!(attribute(&rendered, "severity"), Some(Attribute::One("high".into())));
}

#[test]
fn digests_of_a_thousand_devices_name_each_once_and_fit_into_sns() {
    let messages = many_at(1000, |index| format!("Washroom {index:04}"));
    let of_storm: Vec<&Message> = messages.iter().collect();
    for (largest, most_digests) in [(LARGE, 4), (8 * 1024, 25), (1, 1000)] {
        let digests = digests_of(&of_storm, largest);
        assert!(digests.len() <= most_digests, "{largest}: {}", digests.len());
        for digest in &digests {
            assert!(digest.email.len() <= largest.max(2048), "{largest}: {}", digest.email.len());
            assert!(digest.sns_message().len() <= LARGEST_SNS_MESSAGE && is_one_part(&digest.sms), "{}", digest.sms);
        }
        let emails: String = digests.iter().map(|digest| digest.email.as_str()).collect();
        let ids: String = digests.iter().map(|digest| digest.json.as_str()).collect();
        for (index, message) in messages.iter().enumerate() {
            let Message::Firing { alerts, .. } = message else { panic!("{message:?}") };
            let title = &alerts[0].title;
            assert_eq!(emails.matches(&format!("- Washroom {index:04}, {title}: ")).count(), 1);
            assert_eq!(ids.matches(&alerts[0].id.to_string()).count(), 1);
        }
    }
}

#[test]
fn the_attributes_of_a_digest_match_every_filter_that_an_alert_matches() {
    let messages = many_at(1000, |index| format!("Washroom {index}"));
    for digest in digests_of(&messages.iter().collect::<Vec<_>>(), LARGE) {
        let Some(Attribute::Many(zones)) = attribute(&digest, "zone") else { panic!("{:?}", digest.attributes) };
        let alerts = facts(&digest)["alerts"].clone();
        assert_eq!(zones.len(), alerts.as_array().unwrap().len());
        assert!(alerts.as_array().unwrap().iter().all(|alert| zones.iter().any(|zone| alert["zone"] == **zone)));
        let size: usize = zones.iter().map(|zone| zone.len() + 3).sum();
        assert!(size <= 64 * 1024, "{size}");
    }
}

#[test]
fn the_digest_id_depends_on_the_messages_and_not_on_their_order() {
    let messages = many_at(60, |index| format!("Washroom {index}"));
    let all: Vec<&Message> = messages.iter().collect();
    let mut reversed: Vec<&Message> = all.iter().rev().copied().collect();
    assert_eq!(digest(&reversed), digest(&all));
    assert_eq!(digest(&all).id.len(), 32);
    reversed.pop();
    assert_ne!(digest(&reversed).id, digest(&all).id);
}

#[test]
fn a_message_is_never_split_between_digests() {
    let alerts = (0..40).map(|_| suppressed(bad_smell_at("Washroom 3"), None)).collect();
    let list = Message::Suppressed { reason: SuppressionReason::Block, alerts, more: 0 };
    let smell = firing(bad_smell_at("Lobby"));
    let sizes = |messages: &[&Message], largest| -> Vec<usize> {
        grouped(messages, largest).iter().map(|group| group.len()).collect()
    };
    // A list of 40 takes more than 2 KB.
    assert_eq!(sizes(&[&smell, &smell, &list, &smell], 6 * 1024), [2, 1, 1]);
    assert_eq!(sizes(&[&list, &smell], 6 * 1024), [1, 1]);
    assert_eq!(sizes(&[&smell, &list], LARGE), [2]);
    assert_eq!(sizes(&[], LARGE), [0; 0]);
    // Two lines of the first message exceed the digest. Less than one line is left, but more than the second message takes.
    let long = "Washroom ".repeat(12);
    let too_large = Message::Firing { alerts: vec![bad_smell_at(&long), bad_smell_at(&long)], blocked: 0 };
    assert_eq!(sizes(&[&too_large, &smell], 4 * 1024 + 260), [1, 1]);
    assert_eq!(sizes(&[&smell, &smell, &smell], 4 * 1024 + 260), [3]);
    assert_eq!(facts(&digest(&[&smell, &list]))["alerts"].as_array().unwrap().len(), 41);
}

#[test]
fn a_notice_is_sent_by_email_only() {
    let text = "rules.toml:3:1: a rule has no `belwo`; did you mean `below`?\nrules.toml:9:1: no such metric\n\nThe last good file stays in force.";
    let rendered = with_text("rules-abc", |_: &Texts| "Rules refused: 2 faults".to_owned(), text, &Texts::english());
    assert_eq!(rendered.id, "rules-abc");
    assert_eq!(rendered.subject, "[NOTICE] Rules refused: 2 faults");
    assert_eq!(rendered.email, format!("Rules refused: 2 faults\n\n{text}\n"));
    assert_eq!(rendered.sms, "Rules refused: 2 faults: rules.toml:3:1: a rule has no 'belwo'; did you mean 'below'?");
    assert_eq!(attribute(&rendered, "kind"), Some(Attribute::One("notice".into())));
    assert_eq!(attribute(&rendered, "channel"), many(&["email"]));
    assert_eq!(rendered.attributes.len(), 2);
    assert_eq!(facts(&rendered)["kind"], "notice");
    assert_eq!(
        attribute(&with_text("quiet", |_: &Texts| "".to_owned(), "", &Texts::english()), "channel"),
        many(&["email"])
    );
}

#[test]
fn a_long_notice_counts_the_lines_that_it_omits() {
    let lines: Vec<String> =
        (0..2000).map(|index| format!("rules.toml:{index}:1: \"{}\u{1b}", "x".repeat(80))).collect();
    let rendered = with_text("rules", |_: &Texts| "Rules refused".to_owned(), &lines.join("\r\n"), &Texts::english());
    let listed = rendered.email.matches("rules.toml:").count();
    assert!(rendered.email.ends_with(&format!("\nand {} more\n", 2000 - listed)), "{listed}");
    assert!(listed > 90 && rendered.sns_message().len() <= LARGEST_SNS_MESSAGE);
    assert!(!rendered.email.contains(['\u{1b}', '\r']));
}

#[test]
fn without_sms_the_email_states_the_reason_and_the_channel_attribute_omits_sms() {
    let rendered = render(&firing(bad_smell_at("Lobby")));
    let renderer = Renderer::default();
    let by_email = renderer.without_sms(rendered.clone(), SmsRefusal::QuotaReached);
    assert_eq!(attribute(&by_email, "channel"), many(&["email"]));
    assert_eq!(by_email.email, format!("{}\nNot sent by SMS: the daily SMS quota is used up.\n", rendered.email));
    assert_eq!((&by_email.sms, &by_email.json, &by_email.id), (&rendered.sms, &rendered.json, &rendered.id));
    assert_eq!(renderer.without_sms(by_email.clone(), SmsRefusal::QuotaUnknown), by_email);
    let unknown = renderer.without_sms(rendered, SmsRefusal::QuotaUnknown).email;
    assert!(unknown.ends_with("\nNot sent by SMS: the daily SMS quota could not be read.\n"), "{unknown}");
    let notice = with_text("rules", |_: &Texts| "Rules refused".to_owned(), "1 fault", &Texts::english());
    assert_eq!(renderer.without_sms(notice.clone(), SmsRefusal::QuotaReached), notice);
}
