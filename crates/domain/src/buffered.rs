//! Buffered objects: the pushes of some minutes in one object, one line of JSON each, compressed with gzip.
//!
//! With `RawDelivery=buffered`, a push is one record of an Amazon Data Firehose stream, which concatenates records and writes them
//! to the bucket. A record has the key that the push would have as an object of its own, so that a repeated push is found by its
//! key. Its readings are JSON strings, so that a query in SQL gets their text unchanged: `json_extract` of objects would write them
//! anew. Firehose delivers a record at least once.

use std::borrow::Cow;
use std::io::{self, BufRead as _, BufReader, Read};

use flate2::read::MultiGzDecoder;
use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::archive::{Metadata, Object, ObjectKey, pack_lines, unpack};

/// The suffix of the keys of buffered objects.
pub const BUFFERED_EXTENSION: &str = ".ndjson.gz";
/// Largest record of a Firehose stream, in bytes: <https://docs.aws.amazon.com/firehose/latest/dev/limits.html>.
const MAX_RECORD: usize = 1_000 << 10;
/// The first bytes of each record.
const RECORD_START: &[u8] = b"{\"key\":\"";

/// A push as one line.
#[derive(Serialize, Deserialize)]
struct RecordLine<'p> {
    key: Cow<'p, ObjectKey>,
    received: jiff::Timestamp,
    request_id: Cow<'p, str>,
    source: Cow<'p, str>,
    /// The text of each reading, unchanged.
    #[serde(borrow)]
    readings: Vec<Cow<'p, str>>,
}

/// Serializes an object of readings as one line of JSON, which ends with a line feed.
///
/// # Errors
/// If the line is larger than a record of Firehose, 1,000 KiB, or the bytes of the object are damaged. A retry does not help: store
/// the object by itself.
///
/// # Examples
/// ```
/// use domain::archive::{Metadata, Object};
/// use domain::batch::BatchId;
/// use domain::buffered::to_record;
/// use domain::reading::Reading;
///
/// let metadata = Metadata {
///     received: "2026-11-23T10:00:00Z".parse()?, request_id: "r1".into(), source: "203.0.113.7".into(), lines: 1,
/// };
/// let object = Object::of_readings(BatchId::of(b"[]"), &[Reading::read(r#"{"unixT" : 1654063185904}"#)?], metadata);
/// let record = String::from_utf8(to_record(&object)?)?;
/// assert!(record.starts_with(r#"{"key":"raw/dt=2022-06-01/hh=05/4f53cda18c2baa0c0354bb5f9a3ecbe5.ndjson.zst","#));
/// assert!(record.ends_with("r1\",\"source\":\"203.0.113.7\",\"readings\":[\"{\\\"unixT\\\" : 1654063185904}\"]}\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn to_record(Object { key, bytes, metadata }: &Object) -> io::Result<Vec<u8>> {
    // The size is known before the text is in memory: a push can have 64 MiB.
    let too_large = || io::Error::other("the push is larger than a record");
    if zstd::bulk::Decompressor::upper_bound(bytes).is_none_or(|size| size > MAX_RECORD) {
        return Err(too_large());
    }
    let lines = unpack(bytes)?;
    let push = RecordLine {
        key: Cow::Borrowed(key),
        received: metadata.received,
        request_id: Cow::Borrowed(&metadata.request_id),
        source: Cow::Borrowed(&metadata.source),
        readings: lines.lines().map(Cow::Borrowed).collect(),
    };
    let mut record = serde_json::to_vec(&push)?;
    record.push(b'\n');
    if record.len() > MAX_RECORD { Err(too_large()) } else { Ok(record) }
}

/// A push of a buffered object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferedPush {
    /// The key that it would have as an object of its own.
    pub key: ObjectKey,
    /// Its metadata.
    pub metadata: Metadata,
    /// The text of its readings, one line each.
    pub lines: String,
}

/// Reads the pushes of a buffered object one by one, so that only one of them is in memory. A push can come twice.
///
/// An item is an error if the bytes are not gzip, or if no line is a record. Stop at the first one: a retry does not help.
pub fn read_pushes<R: Read>(bytes: R) -> BufferedPushes<R> {
    BufferedPushes { text: BufReader::new(MultiGzDecoder::new(bytes)), pushes: 0, skipped: 0 }
}

/// The pushes of a buffered object, in its order, which can differ from that of their receipt.
#[derive(Debug)]
pub struct BufferedPushes<R> {
    text: BufReader<MultiGzDecoder<R>>,
    pushes: usize,
    skipped: usize,
}

impl<R> BufferedPushes<R> {
    /// The number of lines so far that are no record. The console's test of a stream writes such lines.
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

impl<R: Read> Iterator for BufferedPushes<R> {
    type Item = io::Result<BufferedPush>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        loop {
            line.clear();
            match self.text.read_until(b'\n', &mut line) {
                Err(error) => return Some(Err(error)),
                Ok(0) => return (self.pushes == 0).then(|| Err(io::Error::other("no line is a record"))),
                Ok(_) => {}
            }
            let push = read_record(&line).or_else(|_| {
                self.skipped += 1;
                // A record after others that end without a line feed. The quotes of a reading are escaped.
                read_record(&line[memmem::rfind(&line, RECORD_START).unwrap_or(line.len())..])
            });
            if let Ok(push) = push {
                self.pushes += 1;
                return Some(Ok(push));
            }
        }
    }
}

fn read_record(line: &[u8]) -> serde_json::Result<BufferedPush> {
    let RecordLine { key, received, request_id, source, readings } = serde_json::from_slice(line)?;
    let (request_id, source) = (request_id.into_owned(), source.into_owned());
    let metadata = Metadata { received, request_id, source, lines: readings.len() };
    let lines = readings.iter().flat_map(|reading| [&**reading, "\n"]).collect();
    Ok(BufferedPush { key: key.into_owned(), metadata, lines })
}

/// The pushes of [`read_pushes`], each as an object of its own, and the number of lines that are no record.
///
/// # Errors
/// See [`read_pushes`].
pub fn unpack_pushes(bytes: &[u8]) -> io::Result<(Vec<Object>, usize)> {
    let mut pushes = read_pushes(bytes);
    let object =
        |push: BufferedPush| Object { key: push.key, bytes: pack_lines(push.lines.lines()), metadata: push.metadata };
    let objects = pushes.by_ref().map(|push| push.map(object)).collect::<io::Result<_>>()?;
    Ok((objects, pushes.skipped))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::batch::{BatchId, Items};

    fn object(texts: &str) -> Option<Object> {
        let metadata = Metadata {
            received: "2026-11-23T10:00:00.123Z".parse().unwrap(),
            request_id: "r\"1\n".into(),
            source: "client/topic é".into(),
            lines: 0,
        };
        let items = Items::split(texts.as_bytes()).ok()?;
        let readings = items.read().readings;
        (!readings.is_empty()).then(|| Object::of_readings(BatchId::of(texts.as_bytes()), &readings, metadata))
    }

    fn gzip(members: &[&[u8]]) -> Vec<u8> {
        let member = |bytes: &&[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        members.iter().flat_map(member).collect()
    }

    #[test]
    fn pushes_come_back_to_the_letter_in_their_order() {
        let hard = [
            r#"[{"a" : 1.0, "a":1e999, "b":"\ud800 \u0000"},{}]"#.to_owned(),
            r#"["{\"DEVID\":\"男厕\",\n\"v\":{}}"]"#.to_owned(),
            format!(r#"[{{"v":{}1{}}}]"#, "[".repeat(5_000), "]".repeat(5_000)),
            r#"[{"n":-0.10e-7,"big":123456789012345678901234567890}]"#.to_owned(),
        ];
        let objects: Vec<_> = hard.iter().map(|texts| object(texts).expect("accepted")).collect();
        let records: Vec<_> = objects.iter().map(|object| to_record(object).unwrap()).collect();
        assert!(records.iter().all(|record| record.iter().filter(|byte| **byte == b'\n').count() == 1));
        assert_eq!(unpack_pushes(&gzip(&[&records.concat()])).unwrap(), (objects.clone(), 0));
        let members: Vec<_> = records.iter().map(Vec::as_slice).collect();
        assert_eq!(unpack_pushes(&gzip(&members)).unwrap(), (objects, 0), "in several members of gzip");
    }

    #[test]
    fn a_push_that_is_larger_than_a_record_is_refused() {
        let of = |bytes: usize| to_record(&object(&format!(r#"[{{"v":"{}"}}]"#, "x".repeat(bytes))).unwrap());
        let overhead = of(1).unwrap().len() - 1;
        assert_eq!(of(MAX_RECORD - overhead).unwrap().len(), MAX_RECORD);
        assert!(of(MAX_RECORD - overhead + 1).is_err() && of(MAX_RECORD).is_err() && of(3 * MAX_RECORD).is_err());
    }

    #[test]
    fn other_bytes_are_refused() {
        let record = to_record(&object("[{}]").unwrap()).unwrap();
        assert_eq!(unpack_pushes(&gzip(&[&record])).unwrap().0.len(), 1);
        let cut = gzip(&[&record[..record.len() - 3]]);
        let truncated = &gzip(&[&record])[..20];
        for bytes in [b"{}\n".as_slice(), &gzip(&[b"{}\n"]), &gzip(&[b"\xff\n"]), &gzip(&[]), &cut, truncated] {
            assert!(unpack_pushes(bytes).is_err());
        }
    }

    /// "Send demo data" on the page of a stream in the console sends such records.
    #[test]
    fn lines_that_are_no_record_are_skipped_and_counted() {
        let demo = br#"{"TICKER_SYMBOL":"QXZ", "SECTOR":"HEALTHCARE", "CHANGE":-0.05, "PRICE":84.51}"#.as_slice();
        let objects = ["[{}]", r#"[{"a":"{\"key\":\"raw\"}"}]"#].map(|texts| object(texts).unwrap());
        let [one, two] = [0, 1].map(|index| to_record(&objects[index]).unwrap());
        for (members, skipped) in [
            ([demo, b"\n", &one, demo, b"\n", &two], 2),
            ([&one, demo, demo, b"\n", &two, b"\xff\n"], 2),
            ([&one, demo, demo, &two, demo, demo], 2),
            ([b"", &one, b"", &two, &two[..40], b"\n"], 1),
            ([b"", &one, b"", b"", b"", &two], 0),
        ] {
            assert_eq!(unpack_pushes(&gzip(&[&members.concat()])).unwrap(), (objects.to_vec(), skipped));
        }
    }

    proptest! {
        #[test]
        fn every_accepted_reading_can_be_buffered(
            values in proptest::collection::vec(r#"\{"[a-zA-Z\\u0-9]{0,6}" ?:("[^"]{0,9}"|[-0-9.eE]{1,9}|\[\]|true)\}"#, 1..4)
        ) {
            if let Some(object) = object(&format!("[{}]", values.join(","))) {
                let record = to_record(&object).unwrap();
                prop_assert_eq!(unpack_pushes(&gzip(&[&record])).unwrap(), (vec![object], 0));
            }
        }
    }
}
