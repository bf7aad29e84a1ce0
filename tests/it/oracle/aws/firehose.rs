//! Firehose: the records of one stream, which become objects of the bucket within [`LONGEST_DELIVERY`].

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::{AwsRequest, AwsResponse, json_refusal, json_response};

/// The name of the stream.
pub(super) const STREAM: &str = "pushes";
/// Largest record in bytes, before Base64: <https://docs.aws.amazon.com/firehose/latest/dev/limits.html>.
const MAX_RECORD: usize = 1_000 << 10;
/// The longest time from a record to its object: the buffering interval, which is a hint, and failed deliveries. Firehose retries
/// them for 24 hours: <https://docs.aws.amazon.com/firehose/latest/dev/troubleshooting.html>.
pub(crate) const LONGEST_DELIVERY: SignedDuration = SignedDuration::from_mins(15);

/// A record that waits for its delivery.
#[derive(Debug)]
struct WaitingRecord {
    data: Vec<u8>,
    /// When it becomes part of an object: how far the clock is ahead by then.
    due: SignedDuration,
}

/// The stream.
#[derive(Debug)]
pub(crate) struct FakeFirehose {
    dice: ChaCha8Rng,
    waiting: Vec<WaitingRecord>,
    /// The keys of the pushes in all records.
    kept: Vec<String>,
}

impl FakeFirehose {
    pub(super) fn new(seed: u64) -> Self {
        Self { dice: ChaCha8Rng::seed_from_u64(seed), waiting: Vec::new(), kept: Vec::new() }
    }

    /// The keys of the pushes that it accepted: a confirmed record is stored durably.
    pub(crate) fn kept(&self) -> &[String] {
        &self.kept
    }

    /// The number of records that wait, with copies.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// <https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecord.html>
    pub(super) fn perform(&mut self, request: &AwsRequest) -> AwsResponse {
        let parameters = request.json();
        let data = parameters["Record"]["Data"].as_str().and_then(|data| STANDARD.decode(data).ok());
        let Some(data) = data.filter(|data| request.target() == "PutRecord" && data.len() <= MAX_RECORD) else {
            return json_refusal(400, "InvalidArgumentException");
        };
        if parameters["DeliveryStreamName"] != STREAM {
            return json_refusal(400, "ResourceNotFoundException");
        }
        let line: Value = serde_json::from_slice(&data).unwrap_or_default();
        self.kept.push(line["key"].as_str().unwrap_or_default().to_owned());
        // It delivers a record at least once, in the order of its own retries:
        // https://docs.aws.amazon.com/firehose/latest/dev/basic-deliver.html
        for _ in 0..=usize::from(self.dice.random_bool(0.2)) {
            let most = if self.dice.random_bool(0.3) { 0 } else { LONGEST_DELIVERY.as_secs() };
            let due = request.ahead + SignedDuration::from_secs(self.dice.random_range(0..=most));
            self.waiting.push(WaitingRecord { data: data.clone(), due });
        }
        json_response(200, &json!({ "RecordId": self.kept.len().to_string(), "Encrypted": false }))
    }

    /// The objects that are due, one or two, with their keys. It concatenates records without a delimiter, and compresses them.
    pub(super) fn deliver(&mut self, ahead: SignedDuration) -> Vec<(String, Bytes)> {
        let (mut due, waiting): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(|record| record.due <= ahead);
        self.waiting = waiting;
        due.shuffle(&mut self.dice);
        let (first, second) = due.split_at(self.dice.random_range(0..=due.len()));
        let parts = [first, second].into_iter().filter(|records| !records.is_empty());
        parts.map(|records| (object_key(self.dice.random()), gzip(records))).collect()
    }

    /// How often S3 sends the event of an object: at least once.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html>
    pub(super) fn events(&mut self) -> usize {
        1 + usize::from(self.dice.random_bool(0.2))
    }
}

/// A key with the prefix of template.yaml: <https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html>.
fn object_key(random: u128) -> String {
    let now = Timestamp::now();
    format!("raw/{}-{random:032x}.ndjson.gz", now.strftime("dt=%Y-%m-%d/hh=%H/pushes-1-%Y-%m-%d-%H-%M-%S"))
}

fn gzip(records: &[WaitingRecord]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    records.iter().for_each(|record| encoder.write_all(&record.data).unwrap());
    encoder.finish().unwrap().into()
}
