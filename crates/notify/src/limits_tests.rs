//! The size limits of the protocols hold for every name.

use domain::alert::life::Claim;
use domain::alert::{Alert, Message, SuppressedAlert, SuppressionReason, Trigger};
use domain::breach::Breach;
use domain::location::Location;
use domain::response::Hold;
use domain::rules::{Links, RuleSet};
use jiff::Timestamp;
use unicode_segmentation::UnicodeSegmentation as _;

use super::fixtures::*;
use super::gsm7::is_one_part;
use super::render::Renderer;
use super::rendered::{LARGEST_SNS_MESSAGE, Rendered};
use super::texts::Texts;

/// Units of names: one of each script, and sequences that a cut could split.
const UNITS: [&str; 26] = [
    "a",
    "ab ",
    "é",
    "e\u{301}",
    "a\u{300}\u{301}\u{302}\u{303}",
    "三",
    "三 ",
    "م",
    "مَّ",
    "שׁ",
    "क्षि",
    "กำ",
    "각",
    "𐍈",
    "👍🏽",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦",
    "🇸🇬",
    "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{200d}",
    "\u{301}",
    "’",
    "€",
    "{value}",
    "\"\\",
    "\u{202e}\r\n",
    "²µ…",
];

fn names() -> impl Iterator<Item = String> {
    // One unit at every length past the longest name (120 characters), and far longer; then units mixed by a fixed seed; then
    // a joined emoji at every cut point.
    let alone = UNITS.iter().flat_map(|unit| {
        let longest = 124 / unit.chars().count();
        (0..=longest).chain([200]).map(|length| unit.repeat(length))
    });
    let mixed = (0..300_u64).map(|round| {
        let mut seed = round;
        let mut name = String::new();
        for _ in 0..round % 130 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            name.push_str(UNITS[(seed >> 33) as usize % UNITS.len()]);
        }
        name
    });
    let shifted = (0..120).map(|length| format!("{}{}", "x".repeat(length), "👩\u{200d}👩\u{200d}👧".repeat(9)));
    alone.chain(mixed).chain(shifted)
}

fn assert_within_limits(rendered: &Rendered, name: &str) {
    let Rendered { subject, ascii_subject, default, email, sms, .. } = rendered;
    for text in [subject, ascii_subject] {
        assert!(text.chars().count() < 100 && text.encode_utf16().count() < 100, "{name:?}: {text:?}");
        assert!(text.starts_with('[') && text.trim_end() == text, "{name:?}: {text:?}");
    }
    assert!(ascii_subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{name:?}: {ascii_subject:?}");
    assert!(is_one_part(sms) && !sms.is_empty(), "{name:?}: {sms:?}");
    for text in [subject, default, sms] {
        assert!(!text.chars().any(char::is_control), "{name:?}: {text:?}");
    }
    assert!(!email.chars().any(|c| c.is_control() && c != '\n'), "{name:?}: {email:?}");
    serde_json::from_str::<serde_json::Value>(&rendered.json).unwrap();
}

/// `rendered` with a link of the longest host name.
fn with_longest_link(rendered: Rendered) -> Rendered {
    let link = format!("https://{}:65535/board/a/{}", "h".repeat(253), "t".repeat(22));
    Renderer::default().with_link(rendered, &link, Links { email: true, sms: true })
}

/// A message of each kind with `name` as every name and text.
fn messages_of(name: &str) -> Vec<Message> {
    let since: Timestamp = "1970-01-01T00:00:00Z".parse().unwrap();
    let triggers = [
        Trigger::Immediate,
        Trigger::Sustained { since },
        Trigger::Accumulated { since },
        Trigger::Repeated { count: usize::MAX, within: Some(jiff::SignedDuration::MAX), since },
    ];
    let mut alerts: Vec<Alert> = triggers.into_iter().map(|trigger| Alert { trigger, ..bad_smell_at(name) }).collect();
    alerts.push(Alert { trigger: Trigger::NoData { since }, breaches: Vec::new(), ..bad_smell_at(name) });
    alerts.push(Alert { template: Some(format!("{name} {{location}}")), ..alerts[1].clone() });
    alerts.push(bad_feedback(name, &[name, name]));
    for (index, alert) in alerts.iter_mut().enumerate() {
        alert.title = name.to_owned();
        alert.action = Some(name.to_owned());
        alert.rule = format!("{index}{name}");
        alert.location.zone = Some(format!("{index}{name}"));
        alert.breaches.iter_mut().for_each(|breach| breach.label = name.to_owned());
    }
    let at: Timestamp = "2022-06-03T05:59:45Z".parse().unwrap();
    let mut messages: Vec<Message> = Vec::new();
    for alert in &alerts {
        let alert = Box::new(alert.clone());
        messages.push(Message::Firing { alerts: vec![*alert.clone()], blocked: 0 });
        messages.push(Message::Reminder { alert: alert.clone(), at, unheard_since: None });
        messages.push(Message::Reminder { alert: alert.clone(), at, unheard_since: Some(at) });
        for taken in [None, Some(Claim { hold: Hold { at, until: at }, by: name.to_owned() })] {
            messages.push(Message::Escalated { alert: alert.clone(), at, step: 1, raised: alert.at, taken });
        }
        messages.push(Message::Resolved { alert, at });
    }
    let suppressed = |alert: &Alert| SuppressedAlert { alert: alert.clone(), resolved_at: Some(at) };
    messages.push(Message::Suppressed {
        reason: SuppressionReason::Block,
        alerts: alerts.iter().map(suppressed).collect(),
        more: usize::MAX / 2,
    });
    let many = alerts.iter().cycle().take(40).map(suppressed).collect();
    messages.push(Message::Suppressed { reason: SuppressionReason::Block, alerts: many, more: 0 });
    messages
}

/// The text is a prefix of `name` in whole graphemes, with `ellipsis` if shorter.
fn assert_cut_between_graphemes(shown: &str, name: &str, ellipsis: &str) {
    if shown == name {
        return;
    }
    let kept = shown.strip_suffix(ellipsis).unwrap_or_else(|| panic!("{shown:?} of {name:?} has no ellipsis"));
    let rest = name.strip_prefix(kept).unwrap_or_else(|| panic!("{kept:?} does not begin {name:?}"));
    let end = name.len() - rest.trim_start().len();
    let at_boundary =
        |end: usize| end == name.len() || name.grapheme_indices(true).any(|(boundary, _)| boundary == end);
    assert!(at_boundary(kept.len()) || at_boundary(end), "{kept:?} breaks {name:?}");
}

#[test]
fn any_name_keeps_the_size_limits_and_the_facts() {
    for name in names() {
        let alert = bad_smell_at(&name);
        let shown_name = crate::facts::Facts::new(std::slice::from_ref(&alert), &Texts::english()).location;
        let rendered = render(&Message::Firing { alerts: vec![alert], blocked: 0 });
        assert_within_limits(&rendered, &name);

        let location = rendered.subject.strip_prefix("[MEDIUM] Bad smell: ").unwrap();
        assert_cut_between_graphemes(location, &shown_name, "…");
        assert!(rendered.ascii_subject.starts_with("[MEDIUM] Bad smell: "), "{}", rendered.ascii_subject);

        let location = rendered.sms.strip_suffix(": ammonia 270 ppb (limit 200) at 13:59");
        let location = location.unwrap_or_else(|| panic!("{name:?} costs the facts: {}", rendered.sms));
        if crate::gsm7::septets(&rendered.sms).is_none() {
            assert_cut_between_graphemes(location, &shown_name, "…");
        } else {
            let plain = crate::gsm7::with_plain_marks(&shown_name);
            assert!(
                location == plain || plain.starts_with(location.strip_suffix("...").unwrap()),
                "{location:?} {plain:?}"
            );
        }
    }
}

#[test]
fn any_text_in_any_field_keeps_the_size_limits() {
    for name in names().step_by(23) {
        let mut alerts = stale_and_dusty_air(&name);
        alerts.push(bad_feedback(&name, &[&name, "No soap", &name.to_uppercase()]));
        for (index, alert) in alerts.iter_mut().enumerate() {
            alert.title.clone_from(&name);
            alert.rule = format!("{index}{name}");
            alert.breaches[0].label.clone_from(&name);
        }
        assert_within_limits(&render(&Message::Firing { alerts: alerts.clone(), blocked: 0 }), &name);
        alerts[0].template = Some(format!("{name} {{location}} {{value}} {name}"));
        assert_within_limits(&render(&Message::Firing { alerts, blocked: 0 }), &name);
    }
}

#[test]
fn any_text_keeps_the_size_limits_in_every_kind_of_message() {
    for name in names().step_by(131) {
        let messages = messages_of(&name);
        let (pack, renderer) = (RuleSet::pack(), Renderer::default());
        let chinese = Renderer::new(&pack, "zh-Hans");
        let mut every: Vec<Rendered> = messages.iter().map(render).collect();
        every.extend(messages.iter().map(|message| chinese.render(message)));
        let groups = messages.iter().collect::<Vec<_>>();
        every.extend(renderer.grouped(&groups, 24 * 1024).into_iter().map(|group| renderer.digest(group)));
        every.push(crate::notice::with_text(
            "id",
            |_: &Texts| name.to_owned(),
            &format!("{name}\n{name}"),
            &Texts::english(),
        ));
        for rendered in every {
            assert_within_limits(&rendered, &name);
            let rendered = with_longest_link(rendered);
            assert!(rendered.sns_message().len() <= LARGEST_SNS_MESSAGE, "{name:?}");
        }
    }
}

#[test]
fn any_name_leaves_reminders_and_resolved_notices_their_times() {
    let at: Timestamp = "2022-06-01T06:20:10Z".parse().unwrap();
    for name in names().step_by(11) {
        let alert = Box::new(bad_smell_at(&name));
        let still = render(&Message::Reminder { alert: alert.clone(), at, unheard_since: None });
        assert!(still.sms.contains(": still Bad smell at 14:20, since 13:59"), "{name:?}: {}", still.sms);
        let over = render(&Message::Resolved { alert, at });
        assert!(over.sms.contains(": Bad smell is over at 14:20"), "{name:?}: {}", over.sms);
        for (rendered, start) in [(&still, "[MEDIUM] Still: Bad smell: "), (&over, "[OK] Bad smell: ")] {
            assert!(rendered.subject.starts_with(start) && rendered.ascii_subject.starts_with(start));
        }
    }
}

#[test]
fn a_digest_names_location_and_title_of_each_alert_even_if_both_are_long() {
    for unit in ["👩", "\"", "\\", "w"] {
        let name = unit.repeat(120);
        let of = |index: usize| {
            let mut alert = bad_smell_at(&format!("{index:03} {name}"));
            alert.title = format!("T{index:03} {name}");
            alert.location.zone = Some(format!("{index}{name}"));
            alert.location.project.clone_from(&alert.location.zone);
            alert.rule = format!("{index}{name}");
            Message::Firing { alerts: vec![alert], blocked: 0 }
        };
        let messages: Vec<Message> = (0..200).map(of).collect();
        let storm: Vec<&Message> = messages.iter().collect();
        let renderer = Renderer::default();
        let digests: Vec<Rendered> =
            renderer.grouped(&storm, usize::MAX).into_iter().map(|group| renderer.digest(group)).collect();
        let emails: Vec<&str> = digests.iter().flat_map(|digest| digest.email.split_whitespace()).collect();
        let emails = emails.join(" ");
        for index in 0..200 {
            assert!(emails.contains(&format!("- {index:03} ")) && emails.contains(&format!("T{index:03} ")), "{index}");
        }
        for digest in digests {
            assert_within_limits(&digest, unit);
            let attributes = serde_json::to_string(&digest.record()["attributes"]).unwrap();
            let digest = with_longest_link(digest);
            assert!(digest.sns_message().len() <= LARGEST_SNS_MESSAGE && attributes.len() <= 66 * 1024, "{unit}");
        }
    }
}

#[test]
fn a_long_label_in_another_script_leaves_value_limit_and_time() {
    let mut alert = bad_smell_at("三楼女厕所靠近北花园对面是通往屋顶的电梯");
    alert.breaches[0].label = "空气中的氨气浓度超过了规定的最高限度".repeat(5);
    let sms = render(&Message::Firing { alerts: vec![alert], blocked: 0 }).sms;
    assert_eq!(sms, "三楼女厕所靠近北花园对面是通往屋顶的电梯: 空气中的氨气浓度超过了规… 270 ppb (limit 200) at 13:59");
}

#[test]
fn a_label_of_very_long_graphemes_leaves_value_limit_and_time() {
    let mut alert = bad_smell_at("Lobby");
    alert.breaches[0].label = format!("a{}", "\u{301}".repeat(110));
    let sms = render(&Message::Firing { alerts: vec![alert], blocked: 0 }).sms;
    assert_eq!(sms, "Lobby: ... 270 ppb (limit 200) at 13:59");
}

#[test]
fn a_message_of_every_breach_at_once_fits_into_sns() {
    for unit in ["👩", "\"", "\\"] {
        let name = unit.repeat(120);
        let mut one = bad_feedback(&name, &[]);
        one.reasons = (0..9).map(|index| format!("{index}{name}")).collect();
        one.title.clone_from(&name);
        one.location = Location {
            device: Some(name.clone()),
            device_type: name.clone(),
            zone: Some(name.clone()),
            project: Some(name.clone()),
            property: Some(name.clone()),
            ..one.location
        };
        one.breaches = (0..9)
            .map(|index| Breach {
                metric: format!("{index}{name}"),
                label: format!("{index}{name}"),
                ..one.breaches[0].clone()
            })
            .collect();
        let alerts: Vec<Alert> = (0..30).map(|index| Alert { rule: format!("{index}{name}"), ..one.clone() }).collect();
        for many in [1, 12, 30] {
            let rendered = render(&Message::Firing { alerts: alerts[..many].to_vec(), blocked: 0 });
            assert_within_limits(&rendered, unit);
            let rendered = with_longest_link(rendered);
            assert!(rendered.sns_message().len() <= LARGEST_SNS_MESSAGE);
            let json: serde_json::Value = serde_json::from_str(&rendered.json).unwrap();
            let named = json["alerts"].as_array().unwrap().len();
            assert!(named >= 1);
            assert_eq!(named as u64 + json["alerts_left_out"].as_u64().unwrap_or(0), many as u64);
        }
    }
}

#[test]
fn a_message_of_all_built_in_rules_omits_nothing() {
    let many: Vec<Alert> = (0..14)
        .map(|index| Alert { rule: format!("rule-{index}"), ..bad_smell_at("Ladies washroom, third floor") })
        .collect();
    let rendered = render(&Message::Firing { alerts: many, blocked: 0 });
    assert!(!rendered.json.contains("left_out") && !rendered.email.contains("more"), "{}", rendered.email);
}
