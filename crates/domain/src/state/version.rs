//! The version of state documents. A release does not read or overwrite a document of another version.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version that this release reads and writes.
///
/// Increase it with every change after which another release would misread a document, or lose a part of it by writing it
/// back. A member that another release can ignore and drop needs no new version.
const CURRENT: u32 = 7;

/// The first member of every state document, `"v"`. Another version than the current one does not deserialize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateVersion;

impl Serialize for StateVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(CURRENT)
    }
}

impl<'de> Deserialize<'de> for StateVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            CURRENT => Ok(Self),
            newer @ CURRENT.. => Err(D::Error::custom(format_args!(
                "a newer release wrote it (version {newer}, this release reads {CURRENT}); it is not changed: deploy the newer \
                 release again"
            ))),
            older => Err(D::Error::custom(format_args!(
                "an unreleased version wrote it (version {older}, this release reads {CURRENT}); it is not changed: delete \
                 `state.db` in the data folder, or the items of the state table, and rule state starts anew"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct VersionedDocument {
        v: StateVersion,
        kept: Vec<u32>,
    }

    #[test]
    fn a_document_of_this_version_is_read() {
        let document = VersionedDocument { v: StateVersion, kept: vec![7] };
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(text, r#"{"v":7,"kept":[7]}"#);
        for text in [text.as_str(), r#"{"kept":[7],"v":7,"added":{"since":2}}"#] {
            assert_eq!(serde_json::from_str::<VersionedDocument>(text).unwrap(), document, "{text}");
        }
    }

    #[test]
    fn a_document_of_an_older_version_is_refused_with_a_remedy() {
        for text in [r#"{"v":4,"kept":[7]}"#, r#"{"v":0}"#] {
            let error = serde_json::from_str::<VersionedDocument>(text).unwrap_err().to_string();
            assert!(error.contains("delete `state.db` in the data folder"), "{error}");
        }
    }

    #[test]
    fn a_document_of_a_newer_release_is_refused() {
        for text in [r#"{"v":8,"kept":"in another form"}"#, r#"{"v":8}"#, r#"{"kept":[],"v":4294967295}"#] {
            let error = serde_json::from_str::<VersionedDocument>(text).unwrap_err().to_string();
            assert!(error.contains("a newer release wrote it"), "{error}");
        }
    }

    #[test]
    fn a_version_is_a_whole_number() {
        for text in [r#"{"v":-1}"#, r#"{"v":"1"}"#, r#"{"v":null}"#] {
            assert!(serde_json::from_str::<VersionedDocument>(text).is_err(), "{text}");
        }
    }
}
