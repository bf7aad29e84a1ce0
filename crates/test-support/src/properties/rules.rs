//! A rules file: the positions of its errors are in the file, and accepted rules evaluate any reading at any time.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use smartclean_push::domain::engine::{Evaluation, evaluate, next_due, respond, sweep};
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::response::Response;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::ZoneState;
use smartclean_push::notify::render::Renderer;

use super::limits;
use super::world::{now, pack};

/// A reading of each device type in the built-in rules. Each crosses limits.
static READINGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let of = |(device_type, values): (&str, &str)| {
        format!(
            r#"{{"DevType":"SMARTCLEAN#{device_type}","DEVID":"device","Display":"Washroom 3","PID":"building","InsID":"zone",
               "PropId":"property","Region":"Asia/Singapore","unixT":TIME,"v":{values}}}"#
        )
    };
    let types = [
        ("UM", r#"{"count":40,"b":"2000"}"#),
        ("PPLCTR", r#"{"count":40,"out_count":1}"#),
        ("FD", r#"{"rating":5,"reasons":{"ID_1":{"Name":"Wet floor"},"ID_2":{"Name":"Smell"}}}"#),
        ("TR", r#"{"p":1,"d":3}"#),
        ("BIN", r#"{"p":1}"#),
        ("WD", r#"{"value":1,"AreaP":50}"#),
        ("ODRDTR", r#"{"amm":9,"alc":1,"no2":1,"amm_zscore":5,"amm_expected":1}"#),
        ("ODRDTR_BATT_V1", r#"{"amm":900,"aqi":400,"rh":500,"temp":304}"#),
        ("ODRDTR_10_IN_1", r#"{"co2":9000,"hcho":9,"tvoc":9,"pm_2.5":99,"pm_10":999,"temperature":40,"humidity":99}"#),
        ("OCCMINEW", r#"{"occ":0,"batt":1}"#),
        ("TILT", r#"{"Xt":80,"Yt":-179,"Zt":3,"v":1}"#),
        ("TH", r#"{"t":99,"h":99}"#),
        ("ACME", r#"{"x":1e300,"p":-1e300}"#),
    ];
    types.into_iter().map(of).collect()
});

pub(super) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let rules = match RuleSet::parse("rules.toml", text) {
        Ok(rules) => rules,
        Err(errors) => {
            assert!(!errors.is_empty() && errors.is_sorted(), "{errors:?}");
            for error in &errors {
                within(text, error.position.line, error.position.column);
                assert_eq!(&*error.position.file, "rules.toml");
                assert!(
                    !error.message.is_empty() && !error.to_string().contains(['\n', '\r']),
                    "{:?}",
                    error.to_string()
                );
            }
            return;
        }
    };
    assert!(rules.rules.len() >= pack().rules.len(), "a file adds rules and removes none");
    let repeated = RuleSet::parse("another.toml", text).expect("the same text");
    assert_eq!(
        format!("{:?}", repeated.rules.iter().map(|rule| &rule.id).collect::<Vec<_>>()),
        format!("{:?}", rules.rules.iter().map(|rule| &rule.id).collect::<Vec<_>>())
    );
    for begin in [
        now(),
        Timestamp::from_second(1_420_070_400).expect("2015"),
        Timestamp::from_second(4_102_444_000).expect("2099"),
    ] {
        simulate(&rules, begin);
    }
}

/// Whether a position is in the text, or directly behind its end.
fn within(text: &str, line: usize, column: usize) {
    let found = line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
    let found = found.unwrap_or_else(|| panic!("there is no line {line}"));
    assert!((1..=found.chars().count() + 1).contains(&column), "line {line} has no column {column}: {found:?}");
}

/// Three rounds of readings a minute apart with a cleaning, and the sweeps of what is due.
fn simulate(rules: &RuleSet, begin: Timestamp) {
    let mut state = ZoneState::default();
    let mut messages = Vec::new();
    for minute in 0..3 {
        let at = begin + SignedDuration::from_mins(minute);
        let texts: Vec<String> =
            READINGS.iter().map(|text| text.replace("TIME", &at.as_millisecond().to_string())).collect();
        let readings: Vec<Reading<'_>> = texts.iter().map(|text| Reading::read(text).expect("a reading")).collect();
        let mut commit = |evaluation: Evaluation| {
            messages.extend(evaluation.messages.into_iter().map(|entry| entry.message));
            evaluation.state
        };
        state = commit(evaluate(rules, state, &readings.iter().collect::<Vec<_>>(), at, at));
        if minute == 1 {
            state = commit(respond(rules, state, &[&Response::reported("zone", at)], at, at));
        }
    }
    for _ in 0..3 {
        let Some(due) = next_due(rules, &state) else { break };
        let evaluation = sweep(rules, state, due, true);
        messages.extend(evaluation.messages.into_iter().map(|entry| entry.message));
        state = evaluation.state;
    }
    let renderer = Renderer::default();
    messages.iter().for_each(|message| limits::check(&renderer.render(message)));
    let all: Vec<_> = messages.iter().collect();
    renderer.grouped(&all, 24 * 1024).into_iter().for_each(|group| limits::check(&renderer.digest(group)));
}
