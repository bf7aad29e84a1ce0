//! A rules file as a JSON Schema (draft 2020-12), for editors that complete and check TOML by one.
//!
//! It says what can be written where. What cannot be meant, such as a metric that a type does not have, only
//! [`RuleSet::parse`](super::RuleSet::parse) knows.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::draft::SCOPES;
use super::settings::DECLARATIONS;
use super::values::COMPARISONS;
use super::{Blocked, Kind};
use crate::device::DEVICE_TYPES;
use crate::severity::Severity;

/// The schema.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of smartclean-push",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "version": { "const": 1 },
            "max_age": reference("duration", "A reading older than this when it first comes is stored, and silent: 1h."),
            "quiet_after": reference("duration", "After so long without anything from anywhere that is said: 1h."),
            "block": reference("block", "For all rules: 15m for device and zone."),
            "blocked": { "enum": Blocked::ALL.map(Blocked::as_str), "description": "What becomes of blocked alerts: named." },
            "sms_from": { "enum": severities(), "description": "Messages below this severity go out without SMS: medium." },
            "rate_limit": table("How many messages go out.", json!({
                "burst": { "type": "integer", "minimum": 1, "maximum": 30_000 },
                "per_minute": { "type": "integer", "minimum": 1, "maximum": 30_000 },
                "sms_per_day": { "type": "integer", "minimum": 0, "maximum": 30_000 },
            }), &[]),
            "rule": list("rule"),
        },
        "$defs": {
            "duration": {
                "type": "string", "description": "A span of time.", "examples": ["15m", "1h 30m", "30s"],
            },
            "clock": { "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", "examples": ["06:00"] },
            "names": { "type": ["string", "array"], "items": { "type": "string" } },
            "limit": {
                "description": "A number, or one for each severity, which rise or fall with it.",
                "oneOf": [
                    { "type": "number" },
                    { "type": "object", "propertyNames": { "enum": severities() }, "additionalProperties": { "type": "number" } },
                ],
            },
            "block": {
                "description": "How long an alert keeps others of its device and zone from being sent; \"none\" for never.",
                "oneOf": [
                    { "type": "string", "examples": ["15m", "none"] },
                    {
                        "type": "object",
                        "additionalProperties": false,
                        "properties": { "device": { "type": "string" }, "zone": { "type": "string" }, "rule": { "type": "string" } },
                    },
                ],
            },
            "test": table("One of several tests.", test(), &[]),
            "rule": table("One rule; a known id changes what it names.", joined([rule(), scope(), settings()]), &["id"]),
            "override": table("What is different in a part of the rule's scope.", joined([scope(), settings()]), &[]),
        },
    })
}

fn table(description: &str, properties: Value, required: &[&str]) -> Value {
    json!({
        "type": "object", "description": description, "additionalProperties": false, "properties": properties,
        "required": required,
    })
}

fn severities() -> [&'static str; 4] {
    Severity::ALL.map(Severity::as_str)
}

/// A reference to one of the definitions, with words of its own.
fn reference(name: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}"), "description": description })
}

/// A list of these, or a single one.
fn list(name: &str) -> Value {
    let one = json!({ "$ref": format!("#/$defs/{name}") });
    json!({ "oneOf": [one, { "type": "array", "items": one }] })
}

/// The members of several objects.
fn joined<const N: usize>(objects: [Value; N]) -> Value {
    let mut members = Map::new();
    objects.into_iter().filter_map(|object| object.as_object().cloned()).for_each(|object| members.extend(object));
    members.into()
}

/// What only a rule has.
fn rule() -> Value {
    json!({
        "id": { "type": "string", "pattern": "^[a-z0-9._-]{1,64}$", "description": "Its name." },
        "kind": { "enum": Kind::ALL.map(Kind::as_str), "description": "How it judges: threshold." },
        "title": { "type": "string", "maxLength": 40, "description": "What heads the alert." },
        "message": { "type": "string", "maxLength": 400, "description": "Its own words, with {placeholders}." },
        "override": list("override"),
    })
}

fn scope() -> Value {
    let types: Vec<&str> = DEVICE_TYPES.iter().map(|device_type| device_type.name).collect();
    // Any other name is one with its provider in front.
    let one = json!({ "anyOf": [{ "enum": types }, { "type": "string", "pattern": "#" }] });
    let of = |(_, key, about)| match key {
        "types" => (key, json!({ "oneOf": [one, { "type": "array", "items": one }], "description": about })),
        _ => (key, reference("names", about)),
    };
    SCOPES.into_iter().map(of).collect()
}

/// What one comparison is made of.
fn test() -> Value {
    let metrics = DEVICE_TYPES.iter().flat_map(|device_type| device_type.metrics);
    let metrics: BTreeSet<&str> = metrics.map(|metric| metric.key).collect();
    let unit = "What the limit is counted in, where it is not what the sensor reports.";
    let own = json!({
        "metric": { "type": "string", "examples": metrics, "description": "What is compared." },
        "unit": { "type": "string", "description": unit },
    });
    joined([own, COMPARISONS.into_iter().map(|(key, _, about)| (key, reference("limit", about))).collect()])
}

fn settings() -> Value {
    let checked_together = json!({
        "severity": { "enum": severities(), "description": "How bad it is." },
        "all": list("test"),
        "any": list("test"),
        "baseline": { "type": "object", "additionalProperties": { "type": "number" } },
    });
    let others = DECLARATIONS.iter().map(|declared| (declared.key, declared.schema())).collect();
    joined([checked_together, others, test()])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::RuleSet;
    use super::*;
    use crate::device::Unit;
    use crate::rules::template::PLACEHOLDERS;

    /// The members that the reader knows of the table in which `text` has one that is none: its diagnostic names them all.
    fn known(text: &str) -> BTreeSet<String> {
        let diagnostics = RuleSet::parse("r", text).unwrap_err();
        let told = diagnostics
            .iter()
            .find_map(|diagnostic| diagnostic.suggestion.as_ref()?.strip_prefix("it can have: "))
            .unwrap();
        told.split(", ").map(str::to_owned).collect()
    }

    fn described(pointer: &str) -> BTreeSet<String> {
        let schema = schema();
        let properties = schema.pointer(&format!("{pointer}/properties")).unwrap();
        properties.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn every_member_that_can_be_written_is_described_and_no_other() {
        const NONE: &str = "qqqqqqqqqqqqqqqqqqqqqqqq = 1";
        for (text, pointer) in [
            (NONE.to_owned(), ""),
            (format!("[rate_limit]\n{NONE}"), "/properties/rate_limit"),
            (format!("[[rule]]\nid = \"soap-low\"\n{NONE}"), "/$defs/rule"),
            (format!("[[rule]]\nid = \"soap-low\"\n[[rule.override]]\nzones = \"z\"\n{NONE}"), "/$defs/override"),
            (format!("[[rule]]\nid = \"spill\"\n[[rule.all]]\n{NONE}"), "/$defs/test"),
        ] {
            assert_eq!(described(pointer), known(&text), "{pointer}");
        }
    }

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
        let tables = ["", "/$defs/rule", "/$defs/override", "/$defs/test"];
        let keys: BTreeSet<String> = tables.into_iter().flat_map(described).collect();
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
        let mut table = "| type | metric | what it is | unit | plausible |\n|---|---|---|---|---|\n".to_owned();
        for device_type in &DEVICE_TYPES {
            for metric in device_type.metrics {
                let unit = if metric.unit == Unit::Flag { "1 or 0" } else { metric.unit.symbol() };
                let (least, most) = (grouped(*metric.plausible.start()), grouped(*metric.plausible.end()));
                let (name, key, label) = (device_type.name, metric.key, metric.label);
                table += &format!("| `{name}` | `{key}` | {label} | {unit} | {least} to {most} |\n");
            }
        }
        assert!(PAGE.contains(&table), "docs/rules.md needs this table:\n{table}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
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
    fn every_member_says_what_it_may_be() {
        fn check(name: &str, value: &Value) {
            // A table; `properties` is also the name of a member.
            if value.get("type") == Some(&json!("object")) {
                for (name, member) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
                    let says = ["$ref", "type", "enum", "const", "oneOf"].iter().any(|word| member.get(word).is_some());
                    assert!(says, "{name}: {member}");
                }
            }
            match value {
                Value::Object(members) => members.iter().for_each(|(name, value)| check(name, value)),
                Value::Array(items) => items.iter().for_each(|value| check(name, value)),
                Value::Null => panic!("{name} is nothing"),
                _ => {}
            }
        }
        let schema = schema();
        check("", &schema);
        assert!(schema.to_string().contains(r#"["low","medium","high","critical"]"#));
    }
}
