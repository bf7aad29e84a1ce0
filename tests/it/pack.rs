//! The built-in rules: for each, a reading one step inside its limit that fires nothing, and one step outside that fires.

use serde_json::{Value, json};
use smartclean_push::domain::reading::Reading;
use smartclean_push::domain::rules::RuleSet;

use crate::readings::{alerts, alerts_at, reading, samples};

fn fired(device_type: &str, values: &Value) -> Vec<String> {
    let alerts = alerts(&RuleSet::pack(), &reading(device_type, values));
    alerts.iter().map(|alert| format!("{} {}", alert.severity, alert.rule)).collect()
}

/// Device type, values that fire nothing, values that fire, severity and rule.
fn limits() -> Vec<(&'static str, Value, Value, &'static str)> {
    vec![
        ("UM", json!({"count": 29}), json!({"count": "30"}), "medium high-usage"),
        ("UM", json!({"b": "2400"}), json!({"b": "2399"}), "low battery-people-counter"),
        ("PPLCTR", json!({"count": 29.0, "out_count": 99.0}), json!({"count": 30.0}), "medium high-usage"),
        ("FD", json!({"rating": 3}), json!({"rating": 4}), "medium bad-feedback"),
        ("TR", json!({"p": 5}), json!({"p": 4.9}), "medium toilet-paper-low"),
        ("PT", json!({"p": 5}), json!({"p": 4.9}), "medium paper-towels-low"),
        ("SS", json!({"p": 5}), json!({"p": 4.9}), "medium soap-low"),
        ("BIN", json!({"p": 10}), json!({"p": 9.9}), "medium bin-full"),
        ("WD", json!({"value": 1, "AreaP": 4.9}), json!({"value": 1, "AreaP": 5}), "high spill"),
        ("WD", json!({"value": 0, "AreaP": 90}), json!({"value": 1, "AreaP": 90}), "high spill"),
        ("WD", json!({"value": 1}), json!({"value": 1, "AreaP": "5.0"}), "high spill"),
        ("ODRDTR", json!({"amm_zscore": 1.96}), json!({"amm_zscore": 1.961}), "medium air-unusual"),
        ("ODRDTR", json!({"alc_zscore": 1.96}), json!({"alc_zscore": 1.961}), "medium air-unusual"),
        ("ODRDTR", json!({"no2_zscore": -3.0}), json!({"no2_zscore": 1.961}), "medium air-unusual"),
        ("ODRDTR", json!({"amm": 4.99}), json!({"amm": 5}), "high ammonia-wired"),
        ("ODRDTR_BATT_V1", json!({"amm": 199}), json!({"amm": 200}), "medium ammonia-lite"),
        ("ODRDTR_BATT_V1", json!({"aqi": 200}), json!({"aqi": 201}), "medium air-quality-lite"),
        ("ODRDTR_BATT_V1", json!({"aqi": 1}), json!({"aqi": 351}), "high air-quality-lite"),
        ("ODRDTR_BATT_V1", json!({"amm": 0}), json!({"amm": 500}), "high ammonia-lite"),
        ("ODRDTR_10_IN_1", json!({"co2": 1499}), json!({"co2": 1500}), "medium carbon-dioxide"),
        ("ODRDTR_10_IN_1", json!({"co2": 400}), json!({"co2": 2500}), "high carbon-dioxide"),
        ("ODRDTR_10_IN_1", json!({"pm_25": 34.9}), json!({"pm_25": 35}), "medium fine-dust"),
        ("ODRDTR_10_IN_1", json!({"pm_2.5": 34.9}), json!({"pm_2.5": 75}), "high fine-dust"),
        ("ODRDTR_10_IN_1", json!({"pm_10": 149.9}), json!({"pm_10": 150}), "medium dust"),
        ("ODRDTR_10_IN_1", json!({"tvoc": 0.99}), json!({"tvoc": 1}), "medium volatile-organics"),
        ("ODRDTR_10_IN_1", json!({"hcho": 0.099}), json!({"hcho": 0.1}), "medium formaldehyde"),
        ("OCCMINEW", json!({"batt": 15}), json!({"batt": 14}), "low battery-occupancy"),
        ("OCCSCM", json!({"batt": 15}), json!({"batt": 14}), "low battery-occupancy"),
        ("OCCDESK", json!({"batt": 15}), json!({"batt": 14}), "low battery-occupancy"),
        ("TILT", json!({"v": 15}), json!({"v": 14}), "low battery-tilt"),
    ]
}

#[test]
fn one_step_inside_the_limit_fires_nothing_and_one_step_outside_fires() {
    for (device_type, silent, fires, rule) in limits() {
        assert_eq!(fired(device_type, &silent), Vec::<String>::new(), "{device_type} {silent}");
        assert_eq!(fired(device_type, &fires), [rule], "{device_type} {fires}");
    }
}

#[test]
fn a_value_just_below_the_next_limit_fires_at_the_lower_severity() {
    assert_eq!(fired("ODRDTR_BATT_V1", &json!({"amm": 499})), ["medium ammonia-lite"]);
    assert_eq!(fired("ODRDTR_BATT_V1", &json!({"aqi": 350})), ["medium air-quality-lite"]);
    assert_eq!(fired("ODRDTR_10_IN_1", &json!({"co2": 2499.9})), ["medium carbon-dioxide"]);
    assert_eq!(fired("ODRDTR_10_IN_1", &json!({"pm_25": 74.9})), ["medium fine-dust"]);
}

#[test]
fn every_built_in_rule_is_tested_here() {
    let tried: Vec<_> = limits().into_iter().map(|(_, _, _, rule)| rule.split_once(' ').unwrap().1).collect();
    for rule in RuleSet::pack().rules {
        let elsewhere = ["tree-tilt", "test-alert", "silent"].contains(&rule.id.as_str());
        assert!(elsewhere || tried.contains(&rule.id.as_str()), "{}", rule.id);
    }
}

#[test]
fn occupancy_and_climate_fire_nothing_by_default() {
    for (device_type, values) in
        [("OCCMINEW", json!({"occ": 0})), ("OCCDESK", json!({"occ": 1})), ("TH", json!({"t": 60, "h": 100}))]
    {
        assert_eq!(fired(device_type, &values), Vec::<String>::new());
    }
}

#[test]
fn a_tree_fires_nothing_without_a_baseline() {
    assert_eq!(fired("TILT", &json!({"Xt": 170, "Yt": 90, "Zt": 90})), Vec::<String>::new());
    let rules = RuleSet::parse(
        "rules.toml",
        "[[rule]]\nid = \"tree-tilt\"\n[[rule.override]]\ndevices = [\"device-TILT\"]\nbaseline = { Xt = -87.5, Yt = -2 }",
    )
    .unwrap();
    let leaning = |values| alerts(&rules, &reading("TILT", &values)).len();
    assert_eq!(leaning(json!({"Xt": -78, "Yt": 7.9, "Zt": 90})), 0);
    assert_eq!(leaning(json!({"Xt": -77.5})), 1);
    assert_eq!(leaning(json!({"Xt": -97.5})), 1);
    assert_eq!(leaning(json!({"Yt": 8})), 1);
}

#[test]
fn the_vendors_samples_fire_only_what_they_show() {
    let mut broken = Vec::new();
    for (name, text) in samples() {
        let at = Reading::read(&text).unwrap().time.unwrap();
        broken.extend(alerts_at(&RuleSet::pack(), &text, at).into_iter().map(|alert| format!("{name} {}", alert.rule)));
    }
    assert_eq!(broken, ["WD spill"]);
}
