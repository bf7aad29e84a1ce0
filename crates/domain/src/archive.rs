//! The objects of a push: named by their content, one item a line, compressed with Zstandard.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, IntoInnerError, Write};

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::batch::{BatchId, RejectedPart, Rejection};
use super::digest::Digest;
use super::reading::Reading;
use super::state::Facts;

/// The suffix of every object key. Other objects in a store belong to other programs.
pub const EXTENSION: &str = ".ndjson.zst";
/// Zstandard's default. The next levels take twice the time and save 3 %.
const COMPRESSION_LEVEL: i32 = 3;

/// The key of an object: `raw/dt=2022-06-01/hh=05/<batch id>.ndjson.zst`. The same batch always has the same key.
///
/// # Examples
/// ```
/// use domain::archive::ObjectKey;
/// use domain::batch::BatchId;
/// use domain::reading::Reading;
///
/// let reading = Reading::read(r#"{"unixT":1654063185904}"#)?;
/// let key = ObjectKey::of_readings(BatchId::of(b"[]"), &[reading]);
/// assert_eq!(key.as_str(), "raw/dt=2022-06-01/hh=05/4f53cda18c2baa0c0354bb5f9a3ecbe5.ndjson.zst");
/// # Ok::<(), domain::reading::ReadingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The key of the readings of a batch, with date and hour, in UTC, of the newest reading. Under `raw-undated/` if no reading
    /// has an event time.
    #[must_use]
    pub fn of_readings(batch: BatchId, readings: &[Reading<'_>]) -> Self {
        match readings.iter().filter_map(|reading| reading.time).max() {
            Some(newest) => Self(format!("raw/{}/{batch}{EXTENSION}", partition(newest))),
            None => Self(format!("raw-undated/{batch}{EXTENSION}")),
        }
    }

    /// The key of the rejections of a batch, with date and hour, in UTC, of its receipt.
    #[must_use]
    pub fn of_rejections(batch: BatchId, received: Timestamp) -> Self {
        Self(format!("rejected/{}/{batch}{EXTENSION}", partition(received)))
    }

    /// The key of archived alerts or responses, with the date, in UTC, of the sweep that archives them. The same lines always have the
    /// same name.
    fn of_facts(folder: &str, lines: &[String], archived: Timestamp) -> Self {
        let day = archived.to_zoned_datetime(TimeZone::UTC).strftime("dt=%Y-%m-%d");
        Self(format!("{folder}{day}/{:.32}{EXTENSION}", Digest::of_fields(lines)))
    }

    /// The key of an object that is in a store.
    #[must_use]
    pub fn known(key: &str) -> Self {
        Self(key.to_owned())
    }

    /// Whether the object is evaluated: readings are, rejections are not.
    #[must_use]
    pub fn is_evaluated(&self) -> bool {
        self.0.starts_with("raw")
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn partition(at: Timestamp) -> impl fmt::Display {
    at.to_zoned_datetime(TimeZone::UTC).strftime("dt=%Y-%m-%d/hh=%H").to_string()
}

/// The metadata of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// When the push was first received. The age of its readings is as of this time, also in a later evaluation.
    pub received: Timestamp,
    /// The request id of the push.
    pub request_id: String,
    /// The address of the client.
    pub source: String,
    /// The number of lines.
    pub lines: usize,
}

/// An object to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The key.
    pub key: ObjectKey,
    /// A Zstandard frame of lines that each end with a line feed.
    pub bytes: Vec<u8>,
    /// The metadata.
    pub metadata: Metadata,
}

impl Object {
    /// The object of the readings of a batch. Sets the number of lines in `metadata`.
    #[must_use]
    pub fn of_readings(batch: BatchId, readings: &[Reading<'_>], metadata: Metadata) -> Self {
        let metadata = Metadata { lines: readings.len(), ..metadata };
        Self { key: ObjectKey::of_readings(batch, readings), bytes: pack_readings(readings), metadata }
    }

    /// The object of the rejections of a batch. Sets the number of lines in `metadata`.
    #[must_use]
    pub fn of_rejections(batch: BatchId, rejections: &[Rejection<'_>], metadata: Metadata) -> Self {
        let metadata = Metadata { lines: rejections.len(), ..metadata };
        Self { key: ObjectKey::of_rejections(batch, metadata.received), bytes: pack_rejections(rejections), metadata }
    }
}

/// The folders of archived alerts and responses, each with a folder for each day: `alerts/dt=2026-11-23/`.
pub const ALERTS: &str = "alerts/";
/// See [`ALERTS`].
pub const RESPONSES: &str = "responses/";

/// The objects of facts that a sweep archives at `archived`: one of the alerts and one of the responses, each if there are any. A
/// line is the JSON of an [`AlertLife`](crate::alert::life::AlertLife) or a
/// [`ReceivedResponse`](crate::response::ReceivedResponse). Repeated ones are one line.
///
/// # Errors
/// Never in practice: they are JSON in the state.
pub fn pack_facts(facts: &Facts, archived: Timestamp) -> serde_json::Result<Vec<Object>> {
    let alerts = facts.alerts.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let responses = facts.responses.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let object = |(folder, mut lines): (&str, Vec<String>)| {
        lines.sort();
        lines.dedup();
        let metadata =
            Metadata { received: archived, request_id: String::new(), source: "sweep".into(), lines: lines.len() };
        let bytes = pack_lines(lines.iter().map(String::as_str));
        (!lines.is_empty()).then(|| Object { key: ObjectKey::of_facts(folder, &lines, archived), bytes, metadata })
    };
    Ok([(ALERTS, alerts), (RESPONSES, responses)].into_iter().filter_map(object).collect())
}

/// Compresses the texts of the readings, one line each.
#[must_use]
pub fn pack_readings(readings: &[Reading<'_>]) -> Vec<u8> {
    pack_lines(readings.iter().map(|reading| reading.text))
}

/// Compresses lines.
#[must_use]
pub(crate) fn pack_lines<'l>(lines: impl Iterator<Item = &'l str> + Clone) -> Vec<u8> {
    pack(lines, |text, to| to.write_all(text.as_bytes()))
}

/// Compresses the rejections, one line each: `{"index","reason","raw"}`, or `raw_base64` if the bytes are not UTF-8. An item that
/// was a JSON string also has `"string":true`, a gzip body `"gzip":true`.
#[must_use]
pub fn pack_rejections(rejections: &[Rejection<'_>]) -> Vec<u8> {
    pack(rejections.iter(), |rejection, to| {
        // Buffered, not made in memory first: a body of 64 MiB of control characters would take 384 MiB.
        let mut to = BufWriter::new(to);
        serde_json::to_writer(&mut to, &RejectionLine::new(rejection))?;
        to.flush()
    })
}

/// Decompresses the lines of an object.
///
/// # Errors
/// If the bytes are not a Zstandard frame of UTF-8 text. A retry does not help.
pub fn unpack(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(zstd::decode_all(bytes)?).map_err(io::Error::other)
}

/// Parses the lines of an object with rejections. Other lines are left out.
#[must_use]
pub fn unpack_rejections(lines: &str) -> Vec<Rejection<'static>> {
    let rejection = |line| serde_json::from_str::<RejectionLine<'_>>(line).ok()?.into_rejection();
    lines.lines().filter_map(rejection).collect()
}

#[derive(Serialize, Deserialize)]
struct RejectionLine<'r> {
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    gzip: bool,
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Cow<'r, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<Base64Bytes<'r>>,
    reason: Cow<'r, str>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    string: bool,
}

impl<'r> RejectionLine<'r> {
    fn new(Rejection { part, reason, raw }: &'r Rejection<'_>) -> Self {
        let text = std::str::from_utf8(raw).ok();
        Self {
            gzip: *part == RejectedPart::Gzip,
            index: part.index(),
            raw: text.map(Cow::Borrowed),
            raw_base64: text.is_none().then_some(Base64Bytes(Cow::Borrowed(raw))),
            reason: Cow::Borrowed(reason),
            string: matches!(part, RejectedPart::String(_)),
        }
    }

    fn into_rejection(self) -> Option<Rejection<'static>> {
        let part = match (self.index, self.string, self.gzip) {
            (Some(index), true, false) => RejectedPart::String(index),
            (Some(index), false, false) => RejectedPart::Json(index),
            (None, false, false) => RejectedPart::Body,
            (None, false, true) => RejectedPart::Gzip,
            _ => return None,
        };
        let text = self.raw.map(|text| text.into_owned().into_bytes());
        let raw = text.or(self.raw_base64.map(|bytes| bytes.0.into_owned()))?;
        Some(Rejection { part, reason: self.reason.into_owned(), raw: raw.into() })
    }
}

/// Bytes that are Base64 in JSON.
pub(crate) struct Base64Bytes<'b>(pub(crate) Cow<'b, [u8]>);

impl Serialize for Base64Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Base64Bytes<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

/// Counts the bytes written to it.
struct ByteCounter(u64);

impl Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// # Panics
/// Never: writing to memory cannot fail, the level is one that Zstandard has, and the size is that of the lines.
#[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
fn pack<L>(lines: impl Iterator<Item = L> + Clone, write: impl Fn(L, &mut dyn Write) -> io::Result<()>) -> Vec<u8> {
    let write_all = |to: &mut dyn Write| {
        lines.clone().try_for_each(|line| {
            write(line, to)?;
            to.write_all(b"\n")
        })
    };
    // With the size, Zstandard uses tables that fit. Clearing the tables for a large text takes longer than to pack a small one.
    let mut size = ByteCounter(0);
    write_all(&mut size).expect("counting takes every write");
    let mut encoder = zstd::Encoder::new(Vec::new(), COMPRESSION_LEVEL).expect("a level that Zstandard has");
    encoder.set_pledged_src_size(Some(size.0)).expect("nothing is written yet");
    // Zstandard takes long for each write, however short it is.
    let mut buffered = BufWriter::new(encoder);
    write_all(&mut buffered).expect("memory takes every write");
    // Not flushed: a flush would end a block of the frame and change the bytes.
    let encoder = buffered.into_inner().map_err(IntoInnerError::into_error).expect("memory takes every write");
    encoder.finish().expect("memory takes every write")
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn key(texts: &[&str]) -> String {
        let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
        ObjectKey::of_readings(BatchId::of(b"[]"), &readings).to_string()
    }

    fn unpacked(bytes: &[u8]) -> String {
        String::from_utf8(zstd::decode_all(bytes).unwrap()).unwrap()
    }

    const ID: &str = "4f53cda18c2baa0c0354bb5f9a3ecbe5";

    #[test]
    fn the_key_of_readings_has_the_hour_of_the_newest_in_utc() {
        let texts = [r#"{"unixT":1654063185904}"#, r#"{"time":"2022-06-01T23:59:59-0800"}"#, "{}"];
        assert_eq!(key(&texts), format!("raw/dt=2022-06-02/hh=07/{ID}.ndjson.zst"));
    }

    #[test]
    fn readings_without_an_event_time_are_undated() {
        assert_eq!(key(&["{}", r#"{"unixT":99}"#]), format!("raw-undated/{ID}.ndjson.zst"));
    }

    #[test]
    fn the_key_of_rejections_has_the_hour_of_their_receipt() {
        let received = "2026-11-23T23:30:00Z".parse().unwrap();
        let key = ObjectKey::of_rejections(BatchId::of(b"[]"), received);
        assert_eq!(key.as_str(), format!("rejected/dt=2026-11-23/hh=23/{ID}.ndjson.zst"));
    }

    #[test]
    fn lines_are_stored_unchanged() {
        let readings = [Reading::read(r#"{"a" : 1.0}"#).unwrap(), Reading::read("{}").unwrap()];
        assert_eq!(unpacked(&pack_readings(&readings)), "{\"a\" : 1.0}\n{}\n");
    }

    #[test]
    fn packed_bytes_do_not_depend_on_how_lines_are_buffered() {
        let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(999));
        let readings: Vec<_> = (0..1_000).map(|_| Reading::read(&text).unwrap()).collect();
        let mut encoder = zstd::Encoder::new(Vec::new(), COMPRESSION_LEVEL).unwrap();
        encoder.set_pledged_src_size(Some(1_000 * (text.len() as u64 + 1))).unwrap();
        (0..1_000).for_each(|_| writeln!(encoder, "{text}").unwrap());
        assert_eq!(pack_readings(&readings), encoder.finish().unwrap());
    }

    #[test]
    fn a_rejection_keeps_text_as_text_and_other_bytes_as_base64() {
        let rejections = [
            Rejection { part: RejectedPart::String(3), reason: "why".into(), raw: Cow::Borrowed(b"{\"a\n") },
            Rejection { part: RejectedPart::Json(4), reason: "why".into(), raw: Cow::Borrowed(b"7") },
            Rejection { part: RejectedPart::Body, reason: "why".into(), raw: Cow::Borrowed(b"\xff\x00") },
            Rejection { part: RejectedPart::Gzip, reason: "why".into(), raw: Cow::Borrowed(b"\x1f\x8b") },
        ];
        let expected = "{\"index\":3,\"raw\":\"{\\\"a\\n\",\"reason\":\"why\",\"string\":true}\n\
                        {\"index\":4,\"raw\":\"7\",\"reason\":\"why\"}\n\
                        {\"index\":null,\"raw_base64\":\"/wA=\",\"reason\":\"why\"}\n\
                        {\"gzip\":true,\"index\":null,\"raw_base64\":\"H4s=\",\"reason\":\"why\"}\n";
        assert_eq!(unpacked(&pack_rejections(&rejections)), expected);
        assert_eq!(unpack_rejections(expected), rejections);
        let gzip_item = r#"{"gzip":true,"index":3,"raw":"7","reason":"why"}"#;
        assert_eq!(unpack_rejections(&format!("{{}}\nno line of ours\n{gzip_item}\n")), []);
    }

    #[test]
    fn only_packed_lines_are_unpacked() {
        let lines = ["{}", "{\"a\":\"é\"}", "{}"].map(|text| Reading::read(text).unwrap());
        assert_eq!(unpack(&pack_readings(&lines)).unwrap(), "{}\n{\"a\":\"é\"}\n{}\n");
        assert_eq!(unpack(&pack_readings(&[])).unwrap(), "");
        assert!(unpack(b"no frame").is_err());
        let no_text = pack(std::iter::once(b"\xff"), |line, to| to.write_all(line));
        assert!(unpack(&no_text).is_err(), "no text");
    }

    #[test]
    fn the_metadata_of_an_object_has_its_number_of_lines() {
        let metadata = Metadata {
            received: "2026-11-23T23:30:00Z".parse().unwrap(),
            request_id: "r".into(),
            source: "203.0.113.7".into(),
            lines: 99,
        };
        let readings = ["{}", "{}", "{}"].map(|text| Reading::read(text).unwrap());
        let stored = Object::of_readings(BatchId::of(b"[]"), &readings, metadata.clone());
        assert_eq!(stored.metadata, Metadata { lines: 3, ..metadata.clone() });
        let rejections = [Rejection { part: RejectedPart::Body, reason: "why".into(), raw: Cow::Borrowed(b"x") }];
        let rejected = Object::of_rejections(BatchId::of(b"[]"), &rejections, metadata.clone());
        assert_eq!(rejected.metadata, Metadata { lines: 1, ..metadata });
        assert!(rejected.key.as_str().starts_with("rejected/dt=2026-11-23/hh=23/"));
    }

    #[test]
    fn readings_are_evaluated_and_rejections_are_not() {
        let is_evaluated = |key: &str| ObjectKey::known(key).is_evaluated();
        assert!(is_evaluated("raw/dt=2026-11-23/hh=23/x.ndjson.zst") && is_evaluated("raw-undated/x.ndjson.zst"));
        assert!(!is_evaluated("rejected/dt=2026-11-23/hh=23/x.ndjson.zst") && !is_evaluated("config/rules.toml"));
    }
}
