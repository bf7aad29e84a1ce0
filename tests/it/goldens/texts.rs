//! Goldens of the texts of one alert: each kind of message, language and protocol.

use jiff::{SignedDuration, Timestamp};
use smartclean_push::domain::alert::life::Claim;
use smartclean_push::domain::alert::notice::Notice;
use smartclean_push::domain::alert::{Alert, Message, SuppressedAlert, SuppressionReason};
use smartclean_push::domain::engine::evaluate;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::response::Hold;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::ZoneState;
use smartclean_push::notify::gsm7::is_one_part;
use smartclean_push::notify::read_rules;
use smartclean_push::notify::render::Renderer;
use smartclean_push::notify::rendered::Rendered;

use super::compare;

const RULES: &str = r#"
[[site]]
id = "prj-01"
name = "Tower A"
note = "Keys at the counter"
[[zone]]
id = "zone-01"
name = "Level 2 Male Washroom"
floor = "2"
[[device]]
id = "device-01"
name = "Under the basins"
"#;
const READING: &str = r#"{"DevType":"SMARTCLEAN#WD","DEVID":"device-01","Display":"WD 7","InsID":"zone-01","PID":"prj-01",
    "Region":"Asia/Singapore","unixT":1800000000,"v":{"value":1,"AreaP":12}}"#;

fn alert(rules: &RuleSet) -> Alert {
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let reading = Reading::read(READING).unwrap();
    let evaluation = evaluate(rules, ZoneState::default(), &[&reading], at, at);
    let Message::Firing { alerts, .. } = &evaluation.messages[0].message else { panic!("{:?}", evaluation.messages) };
    alerts[0].clone()
}

fn text(name: &str, rendered: &Rendered) -> String {
    let Rendered { subject, ascii_subject, default, email, html, sms, .. } = rendered;
    let html = html.page();
    for text in [subject, ascii_subject, default, email, &html, sms] {
        assert!(!text.contains(['{', '\u{2068}', '\u{2069}']), "{name}: {text}");
    }
    assert!(is_one_part(sms), "{name}: {sms}");
    let json = serde_json::to_string_pretty(&rendered.record()["message"]["json"]).unwrap();
    format!(
        "# {name}\n\nsubject: {subject}\nASCII: {ascii_subject}\nSMS: {sms}\ndefault: {default}\n\n{email}\n{}\n\n{json}\n\n",
        html.replace("><", ">\n<")
    )
}

#[test]
fn one_alert_has_the_recorded_texts_in_every_language_and_protocol() {
    let rules = read_rules("rules.toml", RULES.as_bytes()).unwrap();
    let alert = alert(&rules);
    let later = alert.at + SignedDuration::from_mins(45);
    let suppressed = SuppressedAlert { alert: alert.clone(), resolved_at: Some(later) };
    let hold = Hold { at: alert.at + SignedDuration::from_mins(10), until: later };
    let taken = Some(Claim { hold, by: "Team A".to_owned() });
    let boxed = || Box::new(alert.clone());
    let messages = [
        ("firing", Message::Firing { alerts: vec![alert.clone()], blocked: 2 }),
        ("reminder", Message::Reminder { alert: boxed(), at: later, unheard_since: None }),
        ("escalated", Message::Escalated { alert: boxed(), at: later, step: 0, raised: alert.at, taken: None }),
        (
            "escalated after it was taken",
            Message::Escalated { alert: boxed(), at: later, step: 1, raised: alert.at, taken },
        ),
        ("resolved", Message::Resolved { alert: boxed(), at: later }),
        ("suppressed", Message::Suppressed { reason: SuppressionReason::Block, alerts: vec![suppressed], more: 3 }),
        ("notice", Message::Notice(Notice::NothingArrives { since: later })),
    ];
    let texts = ["en", "zh-Hans"].map(|language| {
        let renderer = Renderer::new(&rules, language);
        let mut texts: String = messages.iter().map(|(name, message)| text(name, &renderer.render(message))).collect();
        texts += &text("digest", &renderer.digest(&[&messages[0].1, &messages[2].1, &messages[4].1]));
        (format!("golden/texts/{language}.txt"), texts)
    });
    compare(texts);
}
