//! An event or a queue's message, as its members.

use std::collections::HashMap;

use serde::Deserialize;

use crate::domain::json::Raw;

/// The members of a JSON object by name, each as its JSON text; `None` is `null`. Members are found in one walk and are read when
/// they are needed: an event holds megabytes of body.
#[derive(Debug, Deserialize)]
pub struct Envelope<'e>(#[serde(borrow)] HashMap<String, Option<Raw<'e>>>);

/// A member is not what its sender makes it. Holds nothing of the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the member `{0}` is not of the form that AWS documents")]
pub struct MemberError(pub &'static str);

impl<'e> Envelope<'e> {
    /// Finds the members of `text`; `None` if it is not a JSON object. Of members with the same name the last one counts.
    #[must_use]
    pub fn read(text: &'e str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// A member's value, unread; `None` if it is missing or `null`.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<Raw<'e>> {
        self.0.get(name).copied().flatten()
    }

    /// The JSON text of a member; `None` if it is missing or `null`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'e str> {
        self.raw(name).map(Raw::as_str)
    }

    /// A member's value; `None` if it is missing or `null`.
    ///
    /// # Errors
    /// [`MemberError`] if it is not a `T`; a retry does not help.
    pub fn member<T: Deserialize<'e>>(&self, name: &'static str) -> Result<Option<T>, MemberError> {
        let read = |text| serde_json::from_str(text).map_err(|_| MemberError(name));
        self.text(name).map(read).transpose()
    }

    /// A member's value; `None` if there is no `T` of that name.
    #[must_use]
    pub fn get<T: Deserialize<'e>>(&self, name: &'static str) -> Option<T> {
        self.member(name).ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_wherever_they_stand_and_whatever_they_hold() {
        let envelope = Envelope::read(r#" {"a":"\u00e9\"","body":"{\"body\":1}", "b": {"body":2},"c":null} "#).unwrap();
        assert_eq!(envelope.text("body"), Some(r#""{\"body\":1}""#));
        assert_eq!(envelope.member::<String>("a"), Ok(Some("é\"".to_owned())));
        assert_eq!(envelope.member::<String>("b"), Err(MemberError("b")));
        assert_eq!((envelope.text("c"), envelope.text("d")), (None, None));
        assert_eq!(Envelope::read(r#"{"a":1,"a":2}"#).unwrap().get::<u8>("a"), Some(2));
    }

    #[test]
    fn text_that_is_no_object_has_no_members() {
        for text in ["", "7", "[]", "null", r#"{"a":1"#, r#"{"a":1}}"#, r#"{"a"}"#] {
            assert!(Envelope::read(text).is_none(), "{text}");
        }
    }
}
