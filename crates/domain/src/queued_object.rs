//! Serializes an object as a message of the fallback queue, for a time when the object store fails.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::archive::{Metadata, Object, ObjectKey};

/// The value of `smartclean-push` in the message.
const KIND: &str = "object";

#[derive(Serialize, Deserialize)]
struct QueuedObject {
    #[serde(rename = "smartclean-push")]
    kind: String,
    key: String,
    metadata: Metadata,
    bytes: String,
}

/// Serializes an object as one line of JSON.
#[must_use]
pub fn to_text(object: &Object) -> String {
    let queued_object = QueuedObject {
        kind: KIND.to_owned(),
        key: object.key.to_string(),
        metadata: object.metadata.clone(),
        bytes: STANDARD.encode(&object.bytes),
    };
    // Cannot fail: the members are texts and numbers.
    serde_json::to_string(&queued_object).unwrap_or_default()
}

/// Parses a message. `None` if it is not an object.
#[must_use]
pub fn from_text(text: &str) -> Option<Object> {
    let queued_object: QueuedObject = serde_json::from_str(text).ok()?;
    let bytes = STANDARD.decode(queued_object.bytes).ok()?;
    (queued_object.kind == KIND).then(|| Object {
        key: ObjectKey::known(&queued_object.key),
        bytes,
        metadata: queued_object.metadata,
    })
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
