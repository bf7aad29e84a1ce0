//! S3's notices that an object was stored.

use serde::Deserialize;

use super::Envelope;
use crate::domain::archive::ObjectKey;

#[derive(Deserialize)]
struct Record {
    s3: Entity,
}

#[derive(Deserialize)]
struct Entity {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

/// The keys of the objects to evaluate that a notice names; `None` if it is no notice of S3. The one that S3 sends when notices
/// are set up names none.
pub(super) fn keys(notice: &Envelope<'_>) -> Option<Vec<ObjectKey>> {
    if notice.get::<&str>("Event") == Some("s3:TestEvent") {
        return Some(Vec::new());
    }
    let records: Vec<Record> = notice.get("Records")?;
    // S3 writes keys as values of a form: `%3D` for `=`, `+` for a space.
    let keys = records.iter().flat_map(|record| form_urlencoded::parse(record.s3.object.key.as_bytes()));
    Some(keys.map(|(key, _)| ObjectKey::known(&key)).filter(ObjectKey::is_evaluated).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(notice: &str) -> Option<Vec<String>> {
        Some(keys(&Envelope::read(notice)?)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_notice_names_the_objects_as_they_are_called() {
        let notice = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"raw/dt%3D2026-11-23/hh%3D10/4f.ndjson.zst","size":1}}}]}"#;
        assert_eq!(names(notice).unwrap(), ["raw/dt=2026-11-23/hh=10/4f.ndjson.zst"]);
    }

    #[test]
    fn what_is_not_to_be_evaluated_is_passed_over() {
        let notice =
            r#"{"Records":[{"s3":{"object":{"key":"rejected/x"}}},{"s3":{"object":{"key":"config/rules.toml"}}}]}"#;
        assert_eq!(names(notice).unwrap(), Vec::<String>::new());
        assert_eq!(names(r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_notice_is_none() {
        assert_eq!(names("hello"), None);
        assert_eq!(names(r#"{"Records":[{"sns":1}]}"#), None);
    }
}
