//! `rules.schema.json` and docs/rules.md describe what the reader accepts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::template::PLACEHOLDERS;
use super::{Kind, RuleSet};
use crate::device::{DEVICE_TYPES, Metric, Unit};
use crate::severity::Severity;

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

/// The keys that the reader knows of a table. `text` has an unknown key there, and the diagnostic lists all of them.
fn readable_keys(text: &str) -> BTreeSet<String> {
    let diagnostics = RuleSet::parse("r", text).unwrap_err();
    let mut suggestions = diagnostics.iter().filter_map(|diagnostic| diagnostic.suggestion.as_ref());
    let keys = suggestions.find_map(|suggestion| suggestion.strip_prefix("it can have: ")).unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

/// The keys that the schema has of the table at `pointer`.
fn schema_keys(pointer: &str) -> BTreeSet<String> {
    let schema = schema();
    let properties = schema.pointer(&format!("{pointer}/properties")).unwrap();
    properties.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schema_has_every_key_that_the_reader_knows_and_no_other() {
    const UNKNOWN: &str = "qqqqqqqqqqqqqqqqqqqqqqqq = 1";
    for (text, pointer) in [
        (UNKNOWN.to_owned(), ""),
        (format!("[rate_limit]\n{UNKNOWN}"), "/properties/rate_limit"),
        (format!("[email]\n{UNKNOWN}"), "/properties/email"),
        (format!("[webhook]\n{UNKNOWN}"), "/properties/webhook"),
        (format!("[[site]]\nid = \"s\"\n{UNKNOWN}"), "/$defs/site"),
        (format!("[[zone]]\nid = \"z\"\n{UNKNOWN}"), "/$defs/zone"),
        (format!("[[device]]\nid = \"d\"\n{UNKNOWN}"), "/$defs/device"),
        (format!("[[audience]]\nid = \"day\"\n{UNKNOWN}"), "/$defs/audience"),
        (format!("[[mute]]\nzones = \"z\"\nuntil = \"2026-12-24\"\nreason = \"r\"\n{UNKNOWN}"), "/$defs/mute"),
        (format!("[[rule]]\nid = \"soap-low\"\n{UNKNOWN}"), "/$defs/rule"),
        (format!("[[rule]]\nid = \"soap-low\"\n[[rule.override]]\nzones = \"z\"\n{UNKNOWN}"), "/$defs/override"),
        (format!("[[rule]]\nid = \"spill\"\n[[rule.all]]\n{UNKNOWN}"), "/$defs/test"),
    ] {
        assert_eq!(schema_keys(pointer), readable_keys(&text), "{pointer}");
    }
}

const SCHEMA: &str = include_str!("../../../../rules/rules.schema.json");
const PAGE: &str = include_str!("../../../../docs/rules.md");

/// The words in backticks in the first column of every table of the page with this heading.
fn first_column(page: &str, heading: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut is_inside = false;
    for line in page.lines() {
        let first = line.strip_prefix('|').and_then(|row| row.split('|').next()).map(str::trim);
        is_inside = first.is_some_and(|first| is_inside || first == heading);
        let code = first.filter(|_| is_inside).into_iter().flat_map(|first| first.split('`').skip(1).step_by(2));
        let word = |code: &str| {
            code.chars().filter(|c| !"{[".contains(*c)).take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        words.extend(code.map(word));
    }
    words
}

#[test]
fn the_page_on_rules_documents_every_key_and_no_other() {
    let tables = [
        "",
        "/$defs/site",
        "/$defs/zone",
        "/$defs/device",
        "/$defs/audience",
        "/$defs/mute",
        "/$defs/rule",
        "/$defs/override",
        "/$defs/test",
    ];
    let keys: BTreeSet<String> = tables.into_iter().flat_map(schema_keys).collect();
    assert_eq!(first_column(PAGE, "key"), keys);
}

#[test]
fn the_page_on_rules_documents_every_placeholder_and_no_other() {
    let placeholders: BTreeSet<String> = PLACEHOLDERS.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(first_column(PAGE, "placeholder"), placeholders);
}

/// A number as people write it: 50,000.
fn grouped(number: f64) -> String {
    if number.abs() < 1000.0 {
        return number.to_string();
    }
    format!("{},{:03}", (number / 1000.0).trunc(), (number % 1000.0).abs())
}

#[test]
fn the_page_on_rules_has_the_metrics_of_every_type() {
    let described = |metric: &Metric| {
        let (least, most) = (grouped(*metric.plausible.start()), grouped(*metric.plausible.end()));
        let values = match metric.unit {
            Unit::Flag => "1 or 0".to_owned(),
            unit => format!("{least} to {most} {}", unit.symbol()),
        };
        format!("`{}`: {}, {}", metric.key, metric.label, values.trim_end())
    };
    let mut table = "| type | metrics with meaning, plausible values and unit |\n|---|---|\n".to_owned();
    for device_type in &DEVICE_TYPES {
        let metrics: Vec<_> = device_type.metrics.iter().map(described).collect();
        table += &format!("| `{}`, {} | {} |\n", device_type.name, device_type.title, metrics.join("; "));
    }
    assert!(PAGE.contains(&table), "docs/rules.md needs this table:\n{table}");
}

#[test]
fn every_reference_of_the_schema_resolves() {
    fn check(value: &Value, schema: &Value) {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            assert!(schema.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let inside: Vec<&Value> = match value {
            Value::Object(members) => members.values().collect(),
            Value::Array(items) => items.iter().collect(),
            _ => Vec::new(),
        };
        inside.into_iter().for_each(|value| check(value, schema));
    }
    let schema = schema();
    check(&schema, &schema);
}

#[test]
fn every_key_of_the_schema_has_a_type() {
    fn check(name: &str, value: &Value) {
        // A table; `properties` is also the name of a member.
        if value.get("type") == Some(&json!("object")) {
            for (name, member) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let has_type = ["$ref", "type", "enum", "const", "oneOf"].iter().any(|word| member.get(word).is_some());
                assert!(has_type, "{name}: {member}");
            }
        }
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| check(name, value)),
            Value::Array(items) => items.iter().for_each(|value| check(name, value)),
            Value::Null => panic!("{name} is null"),
            _ => {}
        }
    }
    check("", &schema());
}

#[test]
fn the_schema_lists_the_words_that_the_reader_knows() {
    let schema = schema();
    let words = |pointer: &str| schema.pointer(pointer).unwrap().clone();
    let severities = json!(Severity::ALL.map(Severity::as_str));
    assert_eq!(words("/properties/sms_from/enum"), severities);
    assert_eq!(words("/properties/blocked/enum"), json!(["named", "counted"]));
    assert_eq!(words("/$defs/rule/properties/severity/enum"), severities);
    assert_eq!(words("/$defs/limit/oneOf/1/propertyNames/enum"), severities);
    assert_eq!(words("/$defs/rule/properties/kind/enum"), json!(Kind::ALL.map(Kind::as_str)));
    let types: Vec<&str> = DEVICE_TYPES.iter().map(|device_type| device_type.name).collect();
    assert_eq!(words("/$defs/type/anyOf/0/enum"), json!(types));
    let metrics = DEVICE_TYPES.iter().flat_map(|device_type| device_type.metrics);
    let metrics: BTreeSet<&str> = metrics.map(|metric| metric.key).collect();
    assert_eq!(words("/$defs/test/properties/metric/examples"), json!(metrics));
}
