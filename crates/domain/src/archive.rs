//! What is kept of a push: objects named by their content, one line an item, compressed with Zstandard.

use std::fmt;
use std::io::{self, BufWriter, Write};

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize, Serializer};

use super::batch::{BatchId, RejectedPart, Rejection};
use super::reading::Reading;

/// The end of every object's name; whatever else lies in a store is somebody else's.
pub const EXTENSION: &str = ".ndjson.zst";
/// Zstandard's own default: on this text the next levels cost twice the time for one part in thirty.
const COMPRESSION_LEVEL: i32 = 3;

/// The name of an object below the store's root: `raw/dt=2022-06-01/hh=05/<batch id>.ndjson.zst`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Where the readings of a batch are kept: by date and hour, in UTC, of the newest reading; apart where no reading
    /// has a usable time. The same batch always has the same key.
    #[must_use]
    pub fn of_readings(batch: BatchId, readings: &[Reading<'_>]) -> Self {
        match readings.iter().filter_map(|reading| reading.time).max() {
            Some(newest) => Self(format!("raw/{}/{batch}{EXTENSION}", partition(newest))),
            None => Self(format!("raw-undated/{batch}{EXTENSION}")),
        }
    }

    /// Where the rejections of a batch are kept: by the date and hour, in UTC, at which it was received.
    #[must_use]
    pub fn of_rejections(batch: BatchId, received: Timestamp) -> Self {
        Self(format!("rejected/{}/{batch}{EXTENSION}", partition(received)))
    }

    /// A key as a store knows it.
    #[must_use]
    pub fn known(key: &str) -> Self {
        Self(key.to_owned())
    }

    /// Whether what is kept there is evaluated: readings are, rejections are not.
    #[must_use]
    pub fn is_evaluated(&self) -> bool {
        self.0.starts_with("raw")
    }

    /// The key as text, parts separated by `/`.
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

/// What is told about an object beside its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// When the push was first received. Ages are reckoned from it, also when it is evaluated again much later.
    pub received: Timestamp,
    /// The id of the request that brought it.
    pub request_id: String,
    /// The address it came from.
    pub source: String,
    /// How many lines the object has.
    pub lines: usize,
}

/// An object to be kept: its name, its compressed bytes and what is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub key: ObjectKey,
    /// One Zstandard frame of lines, each ended by a line feed.
    pub bytes: Vec<u8>,
    /// What is told about it.
    pub metadata: Metadata,
}

impl Object {
    /// The readings of a batch. `metadata` is what is told about it, but for the number of lines.
    #[must_use]
    pub fn of_readings(batch: BatchId, readings: &[Reading<'_>], metadata: Metadata) -> Self {
        let metadata = Metadata { lines: readings.len(), ..metadata };
        Self { key: ObjectKey::of_readings(batch, readings), bytes: pack_readings(readings), metadata }
    }

    /// The rejections of a batch; else as [`Self::of_readings`].
    #[must_use]
    pub fn of_rejections(batch: BatchId, rejections: &[Rejection<'_>], metadata: Metadata) -> Self {
        let metadata = Metadata { lines: rejections.len(), ..metadata };
        Self { key: ObjectKey::of_rejections(batch, metadata.received), bytes: pack_rejections(rejections), metadata }
    }
}

/// The lines of the readings, each to the letter, compressed.
#[must_use]
pub fn pack_readings(readings: &[Reading<'_>]) -> Vec<u8> {
    pack(readings.iter().map(|reading| reading.text), write_text)
}

/// The lines of the rejections, compressed: `{"index","reason","raw"}`, or `raw_base64` where the bytes are not UTF-8. An item
/// that was a JSON string has `"string":true` too, a whole body that is kept in gzip `"gzip":true`.
#[must_use]
pub fn pack_rejections(rejections: &[Rejection<'_>]) -> Vec<u8> {
    pack(rejections.iter(), write_rejection)
}

/// The lines of an object again.
///
/// # Errors
/// Where the bytes are not a Zstandard frame of UTF-8 text.
pub fn unpack(bytes: &[u8]) -> std::io::Result<String> {
    let lines = zstd::decode_all(bytes)?;
    String::from_utf8(lines).map_err(std::io::Error::other)
}

/// The rejections of an object's lines again. Lines of another form are somebody else's, and left out.
#[must_use]
pub fn unpack_rejections(lines: &str) -> Vec<Rejection<'static>> {
    #[derive(Deserialize)]
    struct Line {
        index: Option<usize>,
        reason: String,
        raw: Option<String>,
        raw_base64: Option<String>,
        #[serde(default)]
        string: bool,
        #[serde(default)]
        gzip: bool,
    }
    let rejection = |line: &str| {
        let Line { index, reason, raw, raw_base64, string, gzip } = serde_json::from_str(line).ok()?;
        let part = match (index, string, gzip) {
            (Some(index), true, false) => RejectedPart::String(index),
            (Some(index), false, false) => RejectedPart::Json(index),
            (None, false, false) => RejectedPart::Body,
            (None, false, true) => RejectedPart::Gzip,
            _ => return None,
        };
        let raw = match (raw, raw_base64) {
            (Some(text), _) => text.into_bytes(),
            (None, encoded) => STANDARD.decode(encoded?).ok()?,
        };
        Some(Rejection { part, reason, raw: raw.into() })
    };
    lines.lines().filter_map(rejection).collect()
}

fn write_text(text: &str, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(text.as_bytes())
}

/// Writes a rejection piece by piece: as one text, a body of 64 MiB of control characters would take 384 MiB.
fn write_rejection(rejection: &Rejection<'_>, to: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'r> {
        #[serde(skip_serializing_if = "Option::is_none")]
        gzip: Option<bool>,
        index: Option<usize>,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw: Option<&'r str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        raw_base64: Option<InBase64<'r>>,
        reason: &'r str,
        #[serde(skip_serializing_if = "Option::is_none")]
        string: Option<bool>,
    }
    struct InBase64<'r>(&'r [u8]);
    impl Serialize for InBase64<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
        }
    }
    let raw = std::str::from_utf8(&rejection.raw).ok();
    let raw_base64 = raw.is_none().then(|| InBase64(&rejection.raw));
    let line = Line {
        gzip: (rejection.part == RejectedPart::Gzip).then_some(true),
        index: rejection.part.index(),
        raw,
        raw_base64,
        reason: &rejection.reason,
        string: matches!(rejection.part, RejectedPart::String(_)).then_some(true),
    };
    let mut to = BufWriter::new(to);
    serde_json::to_writer(&mut to, &line)?;
    to.flush()
}

/// Counts what is written.
struct Counted(u64);

impl Write for Counted {
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
    // Told the size, Zstandard takes tables to match: clearing those for a large text costs more than a small one.
    let mut size = Counted(0);
    write_all(&mut size).expect("counting takes every write");
    let mut encoder = zstd::Encoder::new(Vec::new(), COMPRESSION_LEVEL).expect("a level that Zstandard has");
    encoder.set_pledged_src_size(Some(size.0)).expect("nothing is written yet");
    // Zstandard takes long for each write, however short it is.
    let mut buffered = BufWriter::new(&mut encoder);
    write_all(&mut buffered).expect("memory takes every write");
    // A flush would end a block of the frame and change the bytes.
    drop(buffered);
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
    fn readings_are_filed_under_the_newest_in_utc() {
        let texts = [r#"{"unixT":1654063185904}"#, r#"{"time":"2022-06-01T23:59:59-0800"}"#, "{}"];
        assert_eq!(key(&texts), format!("raw/dt=2022-06-02/hh=07/{ID}.ndjson.zst"));
    }

    #[test]
    fn readings_without_a_usable_time_are_filed_apart() {
        assert_eq!(key(&["{}", r#"{"unixT":99}"#]), format!("raw-undated/{ID}.ndjson.zst"));
    }

    #[test]
    fn rejections_are_filed_by_receipt() {
        let received = "2026-11-23T23:30:00Z".parse().unwrap();
        let key = ObjectKey::of_rejections(BatchId::of(b"[]"), received);
        assert_eq!(key.as_str(), format!("rejected/dt=2026-11-23/hh=23/{ID}.ndjson.zst"));
    }

    #[test]
    fn lines_come_back_to_the_letter() {
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
    fn packed_lines_are_unpacked_again_and_nothing_else_is() {
        let lines = ["{}", "{\"a\":\"é\"}", "{}"].map(|text| Reading::read(text).unwrap());
        assert_eq!(unpack(&pack_readings(&lines)).unwrap(), "{}\n{\"a\":\"é\"}\n{}\n");
        assert_eq!(unpack(&pack_readings(&[])).unwrap(), "");
        assert!(unpack(b"no frame").is_err());
        let no_text = pack(std::iter::once(b"\xff"), |line, to| to.write_all(line));
        assert!(unpack(&no_text).is_err(), "no text");
    }

    #[test]
    fn an_object_says_how_many_lines_it_has_whatever_was_told_before() {
        let told = Metadata {
            received: "2026-11-23T23:30:00Z".parse().unwrap(),
            request_id: "r".into(),
            source: "203.0.113.7".into(),
            lines: 99,
        };
        let readings = ["{}", "{}", "{}"].map(|text| Reading::read(text).unwrap());
        let stored = Object::of_readings(BatchId::of(b"[]"), &readings, told.clone());
        assert_eq!(stored.metadata, Metadata { lines: 3, ..told.clone() });
        let rejections = [Rejection { part: RejectedPart::Body, reason: "why".into(), raw: Cow::Borrowed(b"x") }];
        let kept = Object::of_rejections(BatchId::of(b"[]"), &rejections, told.clone());
        assert_eq!(kept.metadata, Metadata { lines: 1, ..told });
        assert!(kept.key.as_str().starts_with("rejected/dt=2026-11-23/hh=23/"));
    }

    #[test]
    fn readings_are_evaluated_and_rejections_are_not() {
        let is_evaluated = |key: &str| ObjectKey::known(key).is_evaluated();
        assert!(is_evaluated("raw/dt=2026-11-23/hh=23/x.ndjson.zst") && is_evaluated("raw-undated/x.ndjson.zst"));
        assert!(!is_evaluated("rejected/dt=2026-11-23/hh=23/x.ndjson.zst") && !is_evaluated("config/rules.toml"));
    }
}
