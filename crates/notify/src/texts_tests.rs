//! The built-in texts are complete in every language, and a rules file can replace them.

use std::collections::BTreeSet;

use domain::alert::notice::Notice;
use domain::alert::{Alert, Message};
use domain::device::{DEVICE_TYPES, Unit};
use domain::rules::{Rule, RuleSet};
use fluent_bundle::FluentResource;
use fluent_syntax::ast::Entry;
use jiff::SignedDuration;

use super::fixtures::*;
use super::read_rules;
use super::render::Renderer;
use super::rendered::Rendered;
use super::text::flag;
use super::texts::{EN, MESSAGES, Texts, ZH_HANS, name_key};
use super::time::span;

/// The built-in texts by language.
const LANGUAGES: [(&str, &str); 2] = [("en", EN), ("zh-Hans", ZH_HANS)];

fn keys(source: &str) -> BTreeSet<String> {
    let resource = FluentResource::try_new(source.to_owned()).unwrap();
    let key = |entry: &Entry<&str>| match entry {
        Entry::Message(message) => Some(message.id.name.to_owned()),
        _ => None,
    };
    resource.entries().filter_map(key).collect()
}

/// The English names of rules, metrics, flags that are not set, and device types, by key.
fn names() -> BTreeSet<(String, String)> {
    let rules = RuleSet::pack().rules;
    let of_rule = |rule: &Rule| {
        [
            (name_key("title", &rule.id), rule.title.clone()),
            (name_key("action", &rule.id), rule.action.clone().unwrap()),
        ]
    };
    let rules = rules.iter().flat_map(of_rule);
    let metrics = DEVICE_TYPES.iter().flat_map(|device_type| device_type.metrics);
    let labels = metrics.flat_map(|metric| {
        let unset = (metric.unit == Unit::Flag).then(|| flag(metric.label, 0.0));
        std::iter::once(metric.label.to_owned()).chain(unset)
    });
    let labels = labels.map(|label| (name_key("label", &label), label));
    let devices = DEVICE_TYPES.iter().map(|device_type| device_type.title).chain(["device"]);
    let devices = devices.map(|title| (name_key("device", title), title.to_owned()));
    rules.chain(labels).chain(devices).collect()
}

fn rules(own: &str) -> RuleSet {
    read_rules("rules.toml", own.as_bytes()).unwrap()
}

fn bad_smell_in(rules: &RuleSet, language: &str) -> Rendered {
    let message = Message::Firing { alerts: vec![bad_smell_at("Lobby")], blocked: 0 };
    Renderer::new(rules, language).render(&message)
}

#[test]
fn every_language_has_every_text_and_no_other() {
    let names = names();
    let expected: BTreeSet<String> =
        MESSAGES.iter().map(|(key, _)| (*key).to_owned()).chain(names.iter().map(|(key, _)| key.clone())).collect();
    for (language, source) in LANGUAGES {
        let keys = keys(source);
        let missing: Vec<_> = expected.difference(&keys).collect();
        let unused: Vec<_> = keys.difference(&expected).collect();
        assert!(missing.is_empty() && unused.is_empty(), "{language}: missing {missing:?}, unused {unused:?}");
    }
}

#[test]
fn every_language_keeps_the_rules_for_texts() {
    for (language, source) in LANGUAGES {
        let own = format!("[texts]\n{language} = '''\n{source}'''\n");
        assert!(read_rules("rules.toml", own.as_bytes()).is_ok(), "{:#?}", read_rules("rules.toml", own.as_bytes()));
    }
    for (key, variables) in MESSAGES {
        let (_, text) = EN.split_once(&format!("\n{key} =")).unwrap();
        let text = text.split("\n\n##").next().unwrap();
        for variable in *variables {
            assert!(text.contains(&format!("${variable} ")), "{key} does not use ${variable}");
        }
    }
}

#[test]
fn the_english_names_are_those_of_the_rules_and_the_devices() {
    for (key, name) in names() {
        assert!(EN.contains(&format!("\n{key} = {name}\n")), "{key}: {name}");
    }
}

#[test]
fn a_text_of_the_rules_file_replaces_the_built_in_one_of_its_language() {
    let own = rules("[texts]\nen = \"alert = { $location } has { $what }\"\nzh-Hans = \"title-ammonia-lite = 臭\"");
    assert_eq!(bad_smell_in(&own, "en").sms, "Lobby has ammonia 270 ppb (limit 200)");
    assert_eq!(bad_smell_in(&own, "en").subject, "[MEDIUM] Bad smell: Lobby");
    assert_eq!(bad_smell_in(&own, "zh-Hans").subject, "[中] 臭：Lobby");
    assert!(bad_smell_in(&own, "zh-Hans").sms.starts_with("Lobby：氨气 270 ppb"));
}

#[test]
fn a_text_is_checked_as_a_whole() {
    let errors = |text: &str| {
        let own = format!(
            "[texts]\nen = '''\n{text}\n'''\n[[rule]]\nid = \"my-text\"\ntitle = \"My\"\ntypes = \"SS\"\nmetric = \"p\"\nbelow = 1\n"
        );
        let errors = read_rules("r", own.as_bytes()).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let repeated = |text: &str, count: usize| text.repeat(count);
    for good in [
        format!("title-my-text = {}", repeated("臭", 40)),
        format!("action-spill = {}", repeated("a", 80)),
        format!("alert = {{ $location }}{}", repeated("a", 2_000)),
        "alert = { $location }".to_owned(),
        "notice-set-aside-text =\n    A\n    B".to_owned(),
        "answer = Go to { $link }".to_owned(),
        "more = (({{\"{\"}}))".to_owned(),
    ] {
        assert_eq!(errors(&good), "", "{good}");
    }
    for (bad, expected) in [
        (format!("title-my-text = {}", repeated("臭", 41)), "is too long; use at most 40 characters, now 41"),
        (format!("action-spill = {}", repeated("a", 81)), "is too long; use at most 80 characters, now 81"),
        (format!("times = {}{{ $count }}{}", repeated("a", 1_500), repeated("a", 501)), "at most 2000 bytes, now 2001"),
        (format!("times = {{ \"{}\" }}", repeated("a", 2_001)), "is too long; use at most 2000 bytes, now 2001"),
        ("times = {\"\"}".to_owned(), "the text `times` is empty; write a text, or leave the key out"),
        ("times = {\"\\u202E \"}".to_owned(), "the text `times` is empty"),
        ("alert = { $what }".to_owned(), "the text `alert` does not say where; add { $location }"),
        ("answer = Tap here".to_owned(), "the text `answer` has no link; add { $link }"),
        ("-alert = Ours".to_owned(), "`-alert` is a term; a text can have variables and selectors only"),
        ("title-my-text =\n    A\n    B".to_owned(), "the text `title-my-text` has several lines"),
        (format!("times = {}", repeated("{", 100_000)), "r:3:1: too many nested brackets; nest at most 50"),
        (format!("times = {{ {}", repeated("F(", 100_000)), "too many nested brackets; nest at most 50"),
    ] {
        let errors = errors(&bad);
        assert!(errors.contains(expected) && errors.lines().count() == 1, "{expected}: {errors}");
    }
}

#[test]
fn a_language_without_a_text_has_it_in_english() {
    let own = rules("[texts]\nde = \"subject = { $title } bei { $location }\"\nen = \"title-ammonia-lite = Smell\"");
    let rendered = bad_smell_in(&own, "de");
    assert_eq!(rendered.subject, "[MEDIUM] Smell bei Lobby");
    assert_eq!(rendered.ascii_subject, "[MEDIUM] Smell: Lobby");
    assert_eq!(rendered.sms, "Lobby: ammonia 270 ppb (limit 200) at 13:59");
    assert_eq!(bad_smell_in(&own, "fr").email, bad_smell_in(&own, "en").email);
}

#[test]
fn a_title_is_a_state_and_an_action_is_not() {
    for Rule { id, title, action, .. } in RuleSet::pack().rules {
        assert_ne!(Some(&title), action.as_ref(), "{id}: \"still {title}\" is no sentence");
    }
}

#[test]
fn a_duration_selects_a_plural() {
    let own = "[texts]\nde = '''\nduration = { $count ->\n    [one] { $count } { $unit }.\n   *[other] { $count } { $unit }n\n}\n'''";
    let rules = rules(own);
    let span = |seconds| span(&Texts::new("de", &rules), SignedDuration::from_secs(seconds));
    assert_eq!([60, 120, 1_000_000_000].map(span), ["1 min.", "2 minn", "11574 daysn"]);
}

#[test]
fn an_ascii_subject_is_in_english() {
    let chinese = bad_smell_in(&RuleSet::pack(), "zh-Hans");
    assert_eq!(
        (chinese.subject.as_str(), chinese.ascii_subject.as_str()),
        ("[中] 异味：Lobby", "[MEDIUM] Bad smell: Lobby")
    );
    let own = rules("texts = { en = 'title-ammonia-lite = Smell', zh-Hans = 'title-ammonia-lite = 臭' }");
    assert_eq!(bad_smell_in(&own, "zh-Hans").ascii_subject, "[MEDIUM] Smell: Lobby");
    assert_eq!(bad_smell_in(&own, "en").ascii_subject, "[MEDIUM] Smell: Lobby");
    let notice = Message::Notice(Notice::NothingArrives { since: AT.parse().unwrap() });
    let pack = RuleSet::pack();
    let notice = Renderer::new(&pack, "zh-Hans").render(&notice);
    assert_eq!(
        (notice.subject.as_str(), notice.ascii_subject.as_str()),
        ("[通知] 没有收到数据", "[NOTICE] Nothing arrives")
    );
}

#[test]
fn a_title_of_the_operator_is_not_translated() {
    let own = Alert { title: "Call Mr Tan".to_owned(), ..bad_smell_at("Lobby") };
    let message = Message::Firing { alerts: vec![own], blocked: 0 };
    let rendered = Renderer::new(&RuleSet::pack(), "zh-Hans").render(&message);
    assert_eq!(rendered.subject, "[中] Call Mr Tan：Lobby");
}

#[test]
fn a_text_never_breaks_a_line_or_commands_a_terminal() {
    let own = rules(r#"texts = { en = 'subject = { $title }: { $location }{"\u000A\u001B[31m\u202E"}' }"#);
    let subject = bad_smell_in(&own, "en").subject;
    assert!(subject.starts_with("[MEDIUM] Bad smell") && !subject.contains(domain::display::is_hidden), "{subject:?}");
}
