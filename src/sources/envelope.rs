//! The members of an event or a queue message.

use std::collections::HashMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::domain::json;

/// The members of a JSON object, each as its JSON text. Members are found in one pass and parsed on demand: an event can have a body of
/// several megabytes. A string can be malformed.
#[derive(Debug)]
pub struct Envelope<'e>(HashMap<String, &'e str>);

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?;
        Self::parse(text.get()).ok_or_else(|| D::Error::custom("expected an object"))
    }
}

/// A member does not have its documented type. Contains no part of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the member `{0}` is not of the form that AWS documents")]
pub struct MemberError(pub &'static str);

impl<'e> Envelope<'e> {
    /// Parses a JSON object; `None` if `text` is anything else. The last of several members of the same name counts.
    #[must_use]
    pub fn parse(text: &'e str) -> Option<Self> {
        let mut members = HashMap::new();
        json::each_item(text, ['{', '}'], |cursor| {
            let name = serde_json::from_str(cursor.value()?.as_str()).ok()?;
            cursor.token(':')?;
            members.insert(name, cursor.unchecked_value()?);
            Some(())
        })?;
        Some(Self(members))
    }

    /// The JSON text of a member; `None` if it is missing or `null`.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'e str> {
        self.0.get(name).copied().filter(|text| *text != "null")
    }

    /// Parses a member; `None` if it is missing or `null`.
    ///
    /// # Errors
    /// [`MemberError`] if it is not a `T`. A retry cannot help.
    pub fn member<T: Deserialize<'e>>(&self, name: &'static str) -> Result<Option<T>, MemberError> {
        let parse = |text| serde_json::from_str(text).map_err(|_| MemberError(name));
        self.raw(name).map(parse).transpose()
    }

    /// Parses a member; `None` if it is missing, `null` or not a `T`.
    #[must_use]
    pub fn get<T: Deserialize<'e>>(&self, name: &'static str) -> Option<T> {
        self.member(name).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_any_order_and_of_any_type() {
        let envelope =
            Envelope::parse(r#" {"a":"\u00e9\"","body":"{\"body\":1}", "b": {"body":2},"c":null} "#).unwrap();
        assert_eq!(envelope.raw("body"), Some(r#""{\"body\":1}""#));
        assert_eq!(envelope.member::<String>("a"), Ok(Some("é\"".to_owned())));
        assert_eq!(envelope.member::<String>("b"), Err(MemberError("b")));
        assert_eq!((envelope.raw("c").is_none(), envelope.raw("d").is_none()), (true, true));
        assert_eq!(Envelope::parse(r#"{"a":1,"a":2}"#).unwrap().get::<u8>("a"), Some(2));
    }

    #[test]
    fn text_that_is_no_object_is_no_envelope() {
        for text in ["", "7", "[]", "null", r#"{"a":1"#, r#"{"a":1}}"#, r#"{"a"}"#] {
            assert!(Envelope::parse(text).is_none(), "{text}");
        }
    }
}
