//! Rules files: their effect, and the position of each error.

use serde_json::json;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::severity::Severity;
use smartclean_push::notify::read_rules;

use crate::readings::{alerts, now, reading, reading_with};

fn rules(text: &str) -> RuleSet {
    RuleSet::parse("rules.toml", text).unwrap()
}

fn soap(rules: &RuleSet, percent: f64, envelope: &serde_json::Value) -> Vec<String> {
    let alerts = alerts(rules, &reading_with("SS", &json!({"p": percent}), envelope));
    alerts.iter().map(|alert| format!("{} {} {}", alert.severity, alert.rule, alert.breaches[0].limit)).collect()
}

#[test]
fn an_empty_file_changes_nothing() {
    assert_eq!(rules("").rules.len(), RuleSet::pack().rules.len());
    assert_eq!(rules("version = 1\n# nothing\n").max_age, RuleSet::pack().max_age);
}

#[test]
fn a_rule_with_a_known_id_changes_only_what_it_names() {
    let rules = rules("[[rule]]\nid = \"soap-low\"\nbelow = 10");
    assert_eq!(soap(&rules, 9.0, &json!({})), ["medium soap-low 10"]);
    assert_eq!(soap(&rules, 10.0, &json!({})), Vec::<String>::new());
    let rule = rules.rules.iter().find(|rule| rule.id == "soap-low").unwrap();
    assert_eq!(rule.title, "Soap low");
}

#[test]
fn a_rule_can_be_disabled() {
    assert_eq!(soap(&rules("[[rule]]\nid = \"soap-low\"\nenabled = false"), 1.0, &json!({})), Vec::<String>::new());
}

#[test]
fn one_limit_replaces_several_and_several_replace_one() {
    let air = |rules: &RuleSet, ppb| -> Vec<_> {
        let alerts = alerts(rules, &reading("ODRDTR_BATT_V1", &json!({"amm": ppb})));
        alerts.iter().map(|alert| alert.severity).collect()
    };
    let plain = rules("[[rule]]\nid = \"ammonia-lite\"\nat_least = 300\nseverity = \"critical\"");
    assert_eq!((air(&plain, 299), air(&plain, 600)), (vec![], vec![Severity::Critical]));
    let bands = rules("[[rule]]\nid = \"ammonia-lite\"\nat_least = { low = 100, medium = 300 }");
    assert_eq!(
        (air(&bands, 99), air(&bands, 299), air(&bands, 300)),
        (vec![], vec![Severity::Low], vec![Severity::Medium])
    );
}

#[test]
fn a_rule_with_a_new_id_is_added() {
    let rules = rules(
        "[[rule]]\nid = \"hot\"\ntitle = \"Too hot\"\ntypes = [\"TH\"]\nmetric = \"t\"\nunit = \"°C\"\nabove = 30\nsites = [\"building\"]",
    );
    let hot = |degrees, envelope| alerts(&rules, &reading_with("TH", &json!({"t": degrees}), &envelope)).len();
    assert_eq!(hot(30.1, json!({})), 1);
    assert_eq!(hot(30.0, json!({})), 0);
    assert_eq!(hot(30.1, json!({"PID": "another"})), 0);
    assert_eq!(hot(30.1, json!({"PID": null})), 0);
}

#[test]
fn the_narrowest_override_of_each_setting_wins_whatever_their_order() {
    let rules = rules(
        r#"
        [[rule]]
        id = "soap-low"
        [[rule.override]]
        devices = ["device-SS"]
        below = 40
        [[rule.override]]
        zones = ["zone"]
        below = 20
        severity = "high"
        [[rule.override]]
        sites = ["building"]
        below = 10
        severity = "low"
        [[rule.override]]
        zones = ["quiet"]
        enabled = false
        "#,
    );
    assert_eq!(soap(&rules, 39.0, &json!({})), ["high soap-low 40"]);
    assert_eq!(soap(&rules, 40.0, &json!({})), Vec::<String>::new());
    assert_eq!(soap(&rules, 19.0, &json!({"DEVID": "x"})), ["high soap-low 20"]);
    assert_eq!(soap(&rules, 9.0, &json!({"DEVID": "x", "InsID": "y"})), ["low soap-low 10"]);
    assert_eq!(soap(&rules, 9.0, &json!({"DEVID": "x", "InsID": "y", "PID": "z"})), Vec::<String>::new());
    assert_eq!(soap(&rules, 1.0, &json!({"InsID": "quiet"})), Vec::<String>::new());
}

#[test]
fn two_overrides_of_one_scope_may_set_different_things() {
    let rules = rules(
        "[[rule]]\nid = \"soap-low\"\n[[rule.override]]\nzones = \"zone\"\nbelow = 20\n[[rule.override]]\nzones = \"zone\"\nseverity = \"high\"",
    );
    assert_eq!(soap(&rules, 15.0, &json!({})), ["high soap-low 20"]);
}

#[test]
fn max_age_is_the_line_between_fresh_and_stale() {
    let seconds = |rules: &RuleSet, age: i64| {
        let at = now().as_millisecond() - age * 1000;
        soap(rules, 1.0, &json!({"unixT": at})).len()
    };
    assert_eq!((seconds(&RuleSet::pack(), 3600), seconds(&RuleSet::pack(), 3601)), (1, 0));
    let short = rules("max_age = \"2m\"");
    assert_eq!((seconds(&short, 120), seconds(&short, 121)), (1, 0));
}

#[test]
fn the_built_in_rules_have_no_error_and_every_rule_a_title() {
    assert!(RuleSet::pack().rules.iter().all(|rule| !rule.title.is_empty()));
}

/// A good file beside a broken file of the same name differs from it only in the error.
#[test]
fn a_good_file_beside_a_broken_one_has_no_error_and_no_warning() {
    let data = crate::support::repository().join("tests/data");
    let mut files = 0;
    for entry in std::fs::read_dir(data.join("good-rules")).unwrap() {
        let path = entry.unwrap().path();
        assert!(data.join("broken-rules").join(path.file_name().unwrap()).exists(), "{}", path.display());
        let rules = read_rules("rules.toml", &std::fs::read(&path).unwrap());
        let rules = rules.unwrap_or_else(|errors| panic!("{}: {errors:#?}", path.display()));
        assert_eq!(rules.warnings, [], "{}", path.display());
        files += 1;
    }
    assert!(files >= 13, "{files} files: some were not found");
}

#[test]
fn columns_count_characters_and_not_bytes() {
    let errors =
        RuleSet::parse("f", "[[rule]]\nid = \"soap-low\"\ntitle = \"厕所é\"\nzones = [\"厕所\", 3]").unwrap_err();
    assert_eq!(errors[0].to_string(), "f:4:16: `zones` is a list of texts in quotes, not the number 3");
}
