//! S3's notices that an object was stored.

use serde::Deserialize;

use crate::domain::archive::ObjectKey;

#[derive(Deserialize)]
struct Notice {
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
    #[serde(rename = "Event")]
    event: Option<String>,
}

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

/// The keys that a notice tells of, of objects that are to be evaluated; `None` where it is no notice of S3. The one that
/// S3 sends when notices are set up tells of none.
pub(super) fn keys(notice: &str) -> Option<Vec<ObjectKey>> {
    let notice: Notice = serde_json::from_str(notice).ok()?;
    match (notice.records, notice.event.as_deref()) {
        (Some(records), _) => {
            let keys = records.iter().map(|record| ObjectKey::known(&form_decoded(&record.s3.object.key)));
            Some(keys.filter(ObjectKey::is_evaluated).collect())
        }
        (None, Some("s3:TestEvent")) => Some(Vec::new()),
        (None, _) => None,
    }
}

/// S3 writes keys as a form does: `%3D` for `=`, `+` for a space.
fn form_decoded(key: &str) -> String {
    let spaced = key.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(notice: &str) -> Option<Vec<String>> {
        Some(keys(notice)?.iter().map(ToString::to_string).collect())
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

    #[test]
    fn keys_are_decoded_as_a_form_is() {
        assert_eq!(form_decoded("a%3Db+c%2"), "a=b c%2");
        assert_eq!(form_decoded("%E5%8E%95%zz"), "厕%zz");
    }
}
