//! S3's notices of new objects.

use std::borrow::Cow;

use super::Envelope;
use crate::domain::archive::ObjectKey;

/// The keys of the new objects that are to be evaluated; `None` if this is no notice of S3. The test notice, which S3 sends when
/// notices are set up, has no keys.
pub(super) fn keys(notice: &Envelope<'_>) -> Option<Vec<ObjectKey>> {
    if notice.get::<&str>("Event") == Some("s3:TestEvent") {
        return Some(Vec::new());
    }
    let mut keys = Vec::new();
    for record in notice.get::<Vec<Envelope<'_>>>("Records")? {
        let object = record.get::<Envelope<'_>>("s3")?.get::<Envelope<'_>>("object")?;
        // S3 form-encodes keys: `%3D` for `=`, `+` for a space.
        for (key, _) in form_urlencoded::parse(object.get::<Cow<'_, str>>("key")?.as_bytes()) {
            keys.push(ObjectKey::known(&key));
        }
    }
    keys.retain(ObjectKey::is_evaluated);
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(notice: &str) -> Option<Vec<String>> {
        Some(keys(&Envelope::parse(notice)?)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_keys_of_a_notice_are_decoded() {
        let notice = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"raw/dt%3D2026-11-23/hh%3D10/4f.ndjson.zst","size":1}}}]}"#;
        assert_eq!(names(notice).unwrap(), ["raw/dt=2026-11-23/hh=10/4f.ndjson.zst"]);
    }

    #[test]
    fn objects_that_are_not_evaluated_are_skipped() {
        let notice =
            r#"{"Records":[{"s3":{"object":{"key":"rejected/x"}}},{"s3":{"object":{"key":"config/rules.toml"}}}]}"#;
        assert_eq!(names(notice).unwrap(), Vec::<String>::new());
        assert_eq!(names(r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn another_message_is_no_notice() {
        assert_eq!(names("hello"), None);
        assert_eq!(names(r#"{"Records":[{"sns":1}]}"#), None);
    }
}
