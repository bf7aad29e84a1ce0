//! The version of what is remembered, so that a release which does not know a document leaves it alone.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version that this release reads and writes.
///
/// It goes up with every change after which another release would misread a document or lose something of it by writing it
/// back: a member that must not be forgotten, a member with another meaning. Members that another release may ignore, and
/// then drop, need no new version.
const CURRENT: u32 = 4;

/// The first member of every document, `"v"`. A document of another version is not read: its content is not guessed at, and
/// nothing is written over it.
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
                "a newer release has written it (version {newer}, this release knows {CURRENT}); it is left as it is: \
                 deploy the newer release again"
            ))),
            older => Err(D::Error::custom(format_args!(
                "an unreleased version has written it (version {older}, this release knows {CURRENT}); it is left as it \
                 is: delete `state.db` in the data folder, or the items of the state table, and rule state starts anew"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Document {
        v: StateVersion,
        kept: Vec<u32>,
    }

    #[test]
    fn a_document_of_this_version_is_read() {
        let document = Document { v: StateVersion, kept: vec![7] };
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(text, r#"{"v":4,"kept":[7]}"#);
        for text in [text.as_str(), r#"{"kept":[7],"v":4,"added":{"since":2}}"#] {
            assert_eq!(serde_json::from_str::<Document>(text).unwrap(), document, "{text}");
        }
    }

    #[test]
    fn a_document_of_an_older_version_is_not_read_and_says_what_to_do() {
        for text in [r#"{"v":3,"kept":[7]}"#, r#"{"v":0}"#] {
            let fault = serde_json::from_str::<Document>(text).unwrap_err().to_string();
            assert!(fault.contains("delete `state.db` in the data folder"), "{fault}");
        }
    }

    #[test]
    fn a_document_of_a_newer_release_is_not_read_and_says_so() {
        for text in [r#"{"v":5,"kept":"in another form"}"#, r#"{"v":5}"#, r#"{"kept":[],"v":4294967295}"#] {
            let fault = serde_json::from_str::<Document>(text).unwrap_err().to_string();
            assert!(fault.contains("a newer release has written it"), "{fault}");
        }
    }

    #[test]
    fn what_is_no_version_is_no_document() {
        for text in [r#"{"v":-1}"#, r#"{"v":"1"}"#, r#"{"v":null}"#] {
            assert!(serde_json::from_str::<Document>(text).is_err(), "{text}");
        }
    }
}
