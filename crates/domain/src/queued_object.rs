//! Serializes an object as a message of the fallback queue, for a time when the object store fails.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::archive::{Base64Bytes, Metadata, Object, ObjectKey};

#[derive(Serialize, Deserialize)]
#[serde(tag = "smartclean-push", rename_all = "snake_case")]
enum QueuedMessage<'o> {
    Object { key: Cow<'o, ObjectKey>, metadata: Cow<'o, Metadata>, bytes: Base64Bytes<'o> },
}

/// Serializes an object as one line of JSON.
#[must_use]
pub fn to_text(Object { key, metadata, bytes }: &Object) -> String {
    let message = QueuedMessage::Object {
        key: Cow::Borrowed(key),
        metadata: Cow::Borrowed(metadata),
        bytes: Base64Bytes(Cow::Borrowed(bytes)),
    };
    // Cannot fail: the members are texts and numbers.
    serde_json::to_string(&message).unwrap_or_default()
}

/// Parses a message. `None` if it is not an object.
#[must_use]
pub fn from_text(text: &str) -> Option<Object> {
    let QueuedMessage::Object { key, metadata, bytes } = serde_json::from_str(text).ok()?;
    Some(Object { key: key.into_owned(), metadata: metadata.into_owned(), bytes: bytes.0.into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchId;

    fn object() -> Object {
        Object {
            key: ObjectKey::of_readings(BatchId::of(b"[]"), &[]),
            bytes: (0..=255).collect(),
            metadata: Metadata {
                received: "2026-11-23T10:00:00.123Z".parse().unwrap(),
                request_id: "r\"1\n".into(),
                source: "203.0.113.7".into(),
                lines: 3,
            },
        }
    }

    #[test]
    fn an_object_survives_a_round_trip() {
        assert_eq!(from_text(&to_text(&object())), Some(object()));
        assert!(to_text(&object()).is_ascii(), "SQS accepts every character");
    }

    #[test]
    fn another_text_is_no_object() {
        let wrapped = to_text(&object());
        for text in [
            String::new(),
            r#"{"Records":[]}"#.into(),
            wrapped.replace(r#"":"object""#, r#"":"sweep""#),
            wrapped.replace("AAECAw", "AAEC!w"),
            wrapped[..wrapped.len() - 1].to_owned(),
        ] {
            assert_eq!(from_text(&text), None, "{text}");
        }
    }
}
