//! Rules files: what they change, and every fault of a broken one at its line and column.

use serde_json::json;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::severity::Severity;

use crate::support::{alerts, now, reading, reading_with};

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
fn a_rule_of_a_known_id_changes_only_what_it_names() {
    let rules = rules("[[rule]]\nid = \"soap-low\"\nbelow = 10");
    assert_eq!(soap(&rules, 9.0, &json!({})), ["medium soap-low 10"]);
    assert_eq!(soap(&rules, 10.0, &json!({})), Vec::<String>::new());
    let rule = rules.rules.iter().find(|rule| rule.id == "soap-low").unwrap();
    assert_eq!(rule.title, "Refill soap");
}

#[test]
fn a_rule_can_be_switched_off() {
    assert_eq!(soap(&rules("[[rule]]\nid = \"soap-low\"\nenabled = false"), 1.0, &json!({})), Vec::<String>::new());
}

#[test]
fn a_plain_limit_takes_the_place_of_bands_and_bands_that_of_a_plain_limit() {
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
fn a_rule_of_ones_own_is_added() {
    let rules = rules(
        "[[rule]]\nid = \"hot\"\ntitle = \"Too hot\"\ntypes = [\"TH\"]\nmetric = \"t\"\nunit = \"°C\"\nabove = 30\nprojects = [\"building\"]",
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
        projects = ["building"]
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
fn of_two_equally_narrow_overrides_the_later_wins() {
    let rules = rules(
        "[[rule]]\nid = \"soap-low\"\n[[rule.override]]\nzones = \"zone\"\nbelow = 20\n[[rule.override]]\nzones = \"zone\"\nbelow = 30",
    );
    assert_eq!(soap(&rules, 25.0, &json!({})), ["medium soap-low 30"]);
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
fn the_pack_has_no_fault_and_every_rule_a_title() {
    assert!(RuleSet::pack().rules.iter().all(|rule| !rule.title.is_empty()));
}

/// Broken files and all that is said about each.
const BROKEN: &[(&str, &[&str])] = &[
    ("[[rule]]\nid = ", &["rules.toml:2:6: string values must be quoted, expected literal string"]),
    ("[[rule]]\nid = \"soap-low\"\nbelwo = 3", &["rules.toml:3:1: a rule has no `belwo`; did you mean `below`?"]),
    ("maxage = \"1h\"", &["rules.toml:1:1: a rules file has no `maxage`; did you mean `max_age`?"]),
    (
        "max_age = \"soon\"",
        &["rules.toml:1:11: `max_age` is a time such as \"15m\" or \"1h 30m\", not the text \"soon\""],
    ),
    (
        "max_age = \"-5m\"",
        &["rules.toml:1:11: `max_age` is a time such as \"15m\" or \"1h 30m\", not the text \"-5m\""],
    ),
    (
        "version = 2",
        &[
            "rules.toml:1:11: the rules have version 2, and this program reads version 1; update smartclean-push, or write `version = 1`",
        ],
    ),
    ("[[rule]]\nbelow = 3", &["rules.toml:1:1: a rule needs an `id`; for example id = \"soap-low\""]),
    (
        "[[rule]]\nid = \"Soap low\"\ntitle = \"x\"\nmetric = \"p\"\ntypes = [\"SS\"]\nbelow = 3",
        &[
            "rules.toml:2:6: the id `Soap low` is not a name that filters and files can carry; use a-z, 0-9, `-`, `.`, `_`, at most 64 of them",
        ],
    ),
    (
        "[[rule]]\nid = \"a\"\ntitle = \"x\"",
        &["rules.toml:2:6: the rule `a` compares nothing; give it a metric and a limit: metric = \"p\", below = 5"],
    ),
    (
        "[[rule]]\nid = \"a\"\ntypes = [\"ODRDTR_BATT_V1\"]\nmetric = \"ammonia\"\nat_least = 3",
        &[
            "rules.toml:2:6: the rule `a` needs a `title`; it heads the alert, for example title = \"Bad smell\"",
            "rules.toml:4:10: unknown metric `ammonia` of ODRDTR_BATT_V1; did you mean `amm`?",
        ],
    ),
    (
        "[[rule]]\nid = \"a\"\ntitle = \"x\"\ntypes = [\"OCCDESK\"]\nmetric = \"occ\"\nat_least = 1",
        &[
            "rules.toml:5:10: unknown metric `occ` of OCCDESK; use `occupied`, 1 for yes: `occ` means opposite things on different sensors",
        ],
    ),
    (
        "[[rule]]\nid = \"ammonia-lite\"\nunit = \"ppm\"",
        &["rules.toml:3:8: `amm` of ODRDTR_BATT_V1 is in ppb, not ppm; 1 ppm is 1,000 ppb"],
    ),
    (
        "[[rule]]\nid = \"ammonia-lite\"\nat_least = { medium = 300, high = 200, grave = 4, low = \"x\" }",
        &[
            "rules.toml:3:12: medium at 300 would never be reached before high at 200; limits rise with severity",
            "rules.toml:3:40: unknown severity `grave`; it is one of low, medium, high, critical",
            "rules.toml:3:57: a limit is a number, not the text \"x\"",
        ],
    ),
    (
        "[[rule]]\nid = \"soap-low\"\nbelow = { medium = 5, high = 10 }",
        &["rules.toml:3:9: medium at 5 would never be reached before high at 10; limits fall as severity rises"],
    ),
    (
        "[[rule]]\nid = \"soap-low\"\nbelow = 5\nat_most = 5",
        &[
            "rules.toml:4:11: `at_most` beside another comparison; a test has one; for two limits use `any` or two rules",
        ],
    ),
    (
        "[[rule]]\nid = \"soap-low\"\nseverity = \"hihg\"\nenabled = \"no\"\ndevices = [7]",
        &[
            "rules.toml:3:12: unknown severity `hihg`; did you mean `high`?",
            "rules.toml:4:11: `enabled` is `true` or `false`, not the text \"no\"",
            "rules.toml:5:12: `devices` is a list of texts in quotes, not the number 7",
        ],
    ),
    (
        "[[rule]]\nid = \"soap-low\"\n[[rule]]\nid = \"soap-low\"",
        &[
            "rules.toml:4:6: the id `soap-low` is taken by the rule in line 2; give this rule an id of its own, or join the two",
        ],
    ),
    (
        "[[rule]]\nid = \"soap-low\"\ntypes = [\"SSS\", \"SMARTCLEAN#NEW\", \"ACME#X\"]",
        &["rules.toml:3:10: unknown device type `SSS`; did you mean `SS`?"],
    ),
    (
        "[[rule]]\nid = \"soap-low\"\nkind = \"treshold\"\n[[rule.override]]\nbelow = 3",
        &[
            "rules.toml:3:8: unknown kind `treshold`; did you mean `threshold`?",
            "rules.toml:4:1: an override needs to say where it applies; with types, properties, projects, zones or devices",
        ],
    ),
    (
        "[[rule]]\nid = \"spill\"\n[[rule.override]]\nzones = [\"é\"]\nat_least = 3",
        &[
            "rules.toml:5:12: the rule has several tests, so a limit alone does not say whose it is; write the whole `all` or `any` list here",
        ],
    ),
    (
        "[[rule]]\nid = \"tree-tilt\"\nmetric = \"Xt\"\ndeviates = 190\nbaseline = { Xt = \"up\", Qt = 1 }",
        &[
            "rules.toml:4:12: `deviates` is an angle from the baseline; more than 0 and at most 180 degrees",
            "rules.toml:5:19: a number is needed, not the text \"up\"",
            "rules.toml:5:25: unknown metric `Qt` of TILT; it has: Xt, Yt, Zt, v",
        ],
    ),
    (
        "[[rule]]\nid = \"soap-low\"\nmessage = \"{plaec}: {value} } of {unit}\"",
        &[
            "rules.toml:3:11: a `}` without its partner; a brace itself is written twice",
            "rules.toml:3:11: unknown placeholder `{plaec}`; did you mean `place`?",
        ],
    ),
    ("rule = 3", &["rules.toml:1:8: `rule` is a rule, in braces or under [[rule]], not the number 3"]),
];

#[test]
fn a_broken_file_is_refused_with_every_fault_at_its_place() {
    for (text, expected) in BROKEN {
        let faults = RuleSet::parse("rules.toml", text).expect_err(text);
        let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(said, *expected, "{text}");
    }
}

#[test]
fn columns_count_characters_and_not_bytes() {
    let faults =
        RuleSet::parse("f", "[[rule]]\nid = \"soap-low\"\ntitle = \"厕所é\"\nzones = [\"厕所\", 3]").unwrap_err();
    assert_eq!(faults[0].to_string(), "f:4:16: `zones` is a list of texts in quotes, not the number 3");
}
