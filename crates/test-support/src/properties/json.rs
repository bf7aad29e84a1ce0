//! JSON as `serde_json` parses it, without the leniency of the parsers under test.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Whether `text` is exactly one well-formed JSON object. `RawValue` is checked without recursion, so any depth is accepted.
pub fn is_object(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok_and(|value| value.get().starts_with('{'))
}

/// The texts of the elements of a JSON array; `None` if `text` is not exactly one array.
pub fn elements(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// The members of an object, the last one of a repeated name; `None` if `text` is not exactly one object, or if a name is not valid
/// Unicode, which only a lenient parser accepts.
pub fn members(text: &str) -> Option<BTreeMap<String, &RawValue>> {
    in_order(text).map(|members| members.into_iter().collect())
}

/// The member of this name if the object has it exactly once.
pub fn only_member<'t>(text: &'t str, name: &str) -> Option<&'t RawValue> {
    let mut named = in_order(text)?.into_iter().filter(|(known, _)| known == name);
    match (named.next(), named.next()) {
        (Some((_, value)), None) => Some(value),
        _ => None,
    }
}

fn in_order(text: &str) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_str(text).ok().map(|Members(members)| members)
}

struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// The content of a string, if it is valid Unicode.
pub fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// A finite number, which may be written as a string.
pub fn number(value: &RawValue) -> Option<f64> {
    let text = match string(value) {
        Some(text) => text.trim().to_owned(),
        None if value.get().starts_with(['-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']) => {
            value.get().to_owned()
        }
        None => return None,
    };
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
