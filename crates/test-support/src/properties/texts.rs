//! Names and texts in any script: each message respects its limits, breaks no grapheme, and contains the facts.
//!
//! The bytes are, one per line: `Display`, the device's id, zone, project, property, region, type, the name of a reason, and
//! the title and the message template of a rule.

use jiff::SignedDuration;
use serde_json::{Value, json};
use smartclean_push::domain::alert::life::Claim;
use smartclean_push::domain::alert::{Alert, Message, SuppressedAlert, SuppressionReason};
use smartclean_push::domain::display::presentable;
use smartclean_push::domain::engine::evaluate;
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::response::Hold;
use smartclean_push::domain::state::ZoneState;
use smartclean_push::notify::render::Renderer;
use smartclean_push::notify::rendered::Rendered;
use unicode_segmentation::UnicodeSegmentation as _;

use super::limits;
use super::world::{now, pack};

/// Longest name in messages, in characters.
const MAX_NAME: usize = 120;

pub(super) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines: Vec<&str> = text.split('\n').collect();
    let line = |index: usize| lines.get(index).copied().unwrap_or_default();
    lines.iter().take(10).for_each(|line| name(line));

    let mut envelope = json!({ "unixT": now().as_millisecond() });
    for (index, name) in ["Display", "DEVID", "InsID", "PID", "PropId", "Region"].into_iter().enumerate() {
        envelope[name] = line(index).into();
    }
    let smell = alert_of("ODRDTR_BATT_V1", json!({ "amm": 270 }), &envelope);
    has_facts(&smell);
    let reasons = json!({ "rating": 5, "reasons": { "ID_1": { "Name": line(7) }, "ID_2": { "Name": "No soap" } } });
    let feedback = Alert { title: line(8).to_owned(), ..alert_of("FD", reasons, &envelope) };
    // The operator's text may have direction marks, because it may be written from right to left.
    let words = line(9).replace(limits::is_command, " ");
    let mut in_own_words = Alert { template: Some(format!("{{location}} {words}")), ..smell.clone() };
    in_own_words.location.device_type = presentable(line(6)).unwrap_or_default();
    in_own_words.breaches[0].label = line(8).to_owned();

    let messages = messages(&[smell, feedback, in_own_words]);
    let renderer = Renderer::default();
    messages.iter().for_each(|message| limits::check(&renderer.render(message)));
    let all: Vec<_> = messages.iter().collect();
    renderer.grouped(&all, 24 * 1024).into_iter().for_each(|group| limits::check(&renderer.digest(group)));
}

/// A name for display is shortened only at the end, and between graphemes.
fn name(sent: &str) {
    // Also characters without a glyph: direction marks, the byte order mark, noncharacters.
    let is_hidden = |character: char| {
        limits::is_command(character)
            || ['\u{61c}', '\u{200e}', '\u{200f}', '\u{feff}', '\u{fffe}', '\u{ffff}'].contains(&character)
            || ('\u{206a}'..='\u{206f}').contains(&character)
            || ('\u{fff9}'..='\u{fffb}').contains(&character)
    };
    let spaced: String = sent.chars().map(|character| if is_hidden(character) { ' ' } else { character }).collect();
    let whole = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(displayed) = presentable(sent) else {
        // A name that begins with much white space is not read to its end.
        assert!(
            whole.is_empty()
                || sent.chars().take(MAX_NAME).all(|character| character.is_whitespace() || is_hidden(character))
        );
        return;
    };
    assert!(displayed.chars().count() <= MAX_NAME && !displayed.is_empty());
    let is_endless = whole.graphemes(true).next().is_some_and(|first| first.chars().count() > MAX_NAME);
    assert!(limits::begins(&displayed, &whole) || is_endless, "{displayed:?} breaks a grapheme of {whole:?}");
}

/// The only alert of a reading with these values.
fn alert_of(device_type: &str, values: Value, envelope: &Value) -> Alert {
    let mut reading = envelope.clone();
    (reading["DevType"], reading["v"]) = (device_type.into(), values);
    let text = reading.to_string();
    let reading = Reading::read(&text).expect("an object");
    let evaluation = evaluate(pack(), ZoneState::default(), &[&reading], now(), now());
    match &evaluation.messages[0].message {
        Message::Firing { alerts, .. } if alerts.len() == 1 => alerts[0].clone(),
        other => panic!("{other:?}"),
    }
}

/// Each short text has location, metric, value, limit and time. Only the location may be shortened.
fn has_facts(alert: &Alert) {
    let Rendered { subject, sms, json, .. } =
        Renderer::default().render(&Message::Firing { alerts: vec![alert.clone()], blocked: 0 });
    let facts: Value = serde_json::from_str(&json).expect("JSON");
    let location = facts["location"]["name"].as_str().expect("a location has a name");
    let is_whole_or_cut = |displayed: &str| {
        displayed == location || displayed.strip_suffix('…').is_some_and(|begin| limits::begins(begin, location))
    };
    let displayed = subject.strip_prefix("[MEDIUM] Bad smell: ").expect("severity and title");
    assert!(is_whole_or_cut(displayed), "{displayed:?} of {location:?}");
    let (displayed, time) = sms.rsplit_once(": ammonia 270 ppb (limit 200) at ").expect("metric, value and limit");
    assert!(time.len() >= 5 && time.as_bytes()[2] == b':', "{sms:?}");
    // In the GSM alphabet, other characters are transliterated.
    let is_plain = sms.chars().all(|character| limits::septets(character).is_some());
    assert!(is_plain || is_whole_or_cut(displayed), "{displayed:?} of {location:?}");
}

/// A message of each kind about these alerts.
fn messages(alerts: &[Alert]) -> Vec<Message> {
    let at = now() + SignedDuration::from_hours(30);
    let mut messages = vec![Message::Firing { alerts: alerts.to_vec(), blocked: 3 }];
    for reason in SuppressionReason::ALL {
        let alerts = alerts.iter().map(|alert| SuppressedAlert { alert: alert.clone(), resolved_at: Some(at) });
        messages.push(Message::Suppressed { reason, alerts: alerts.collect(), more: 2 });
    }
    for alert in alerts {
        let alert = Box::new(alert.clone());
        messages.push(Message::Firing { alerts: vec![*alert.clone()], blocked: 0 });
        messages.push(Message::Reminder { alert: alert.clone(), at, unheard_since: Some(at) });
        let by = alert.location.display.clone().unwrap_or_default();
        for taken in [None, Some(Claim { hold: Hold { at, until: at }, by })] {
            messages.push(Message::Escalated { alert: alert.clone(), at, step: 0, raised: alert.at, taken });
        }
        messages.push(Message::Resolved { alert, at });
    }
    messages
}
