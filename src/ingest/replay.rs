//! Replays stored pushes as they were first received, and reads rejections again with the current reader.

use std::ops::AddAssign;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::decode::{DecodeError, Encoding, decode};
use super::ports::UnavailableError;
use super::{EVALUATION_TIMEOUT, Ingest, ReceivedReadings};
use crate::domain::archive::{Metadata, Object};
use crate::domain::batch::{Batch, BatchId, Items, RejectedPart, Rejection};
use crate::domain::engine::EvaluationStats;
use crate::domain::reading::Reading;
use crate::domain::response::ReceivedResponse;

/// Counts of replayed pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Number of readings.
    pub readings: usize,
    /// Counts of their evaluation and of the sweeps before them.
    pub stats: EvaluationStats,
}

impl AddAssign for Replayed {
    fn add_assign(&mut self, other: Self) {
        self.readings += other.readings;
        self.stats += other.stats;
    }
}

/// Interval of sweeps, which run at whole minutes.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Replays history into rule state: stored pushes in order of their first receipt, each evaluated as of its receipt, with
/// the sweeps at whole minutes and what people reported between them.
pub struct Replay<'i> {
    ingest: &'i Ingest,
    /// Last minute whose sweep has run; `None` before the first push.
    swept: Option<Timestamp>,
    /// The reported responses that are not applied, the last received first.
    reported: Vec<ReceivedResponse>,
}

impl<'i> Replay<'i> {
    /// Replays into the state of `ingest`. Stores no objects. `reported` are responses that are no readings, in order of receipt.
    pub fn of(ingest: &'i Ingest, mut reported: Vec<ReceivedResponse>) -> Self {
        reported.reverse();
        Self { ingest, swept: None, reported }
    }

    /// Evaluates the lines of a stored push that was first received at `received`. A repeated push changes nothing.
    ///
    /// # Errors
    /// [`UnavailableError`] if the state cannot be read or written. A retry can help.
    pub async fn push(&mut self, lines: &str, received: Timestamp) -> Result<Replayed, UnavailableError> {
        let silences = self.respond_until(received).await? + self.sweep_until(received).await?;
        // Every stored line was accepted as a reading.
        let readings: Vec<_> = lines.lines().filter_map(|line| Reading::read(line).ok()).collect();
        let push = [ReceivedReadings { received, readings: &readings }];
        let evaluated = self.ingest.evaluate(&push, Ok(None), received, EVALUATION_TIMEOUT).await;
        if let Some(failure) = evaluated.failure {
            return Err(failure);
        }
        let stats = EvaluationStats { alerts: evaluated.stats.alerts + silences, ..evaluated.stats };
        Ok(Replayed { readings: readings.len(), stats })
    }

    /// Applies the last reported responses, and runs the actions that history has left due by `now`, such as the end of a block.
    /// Leaves no-data alerts to the live receiver.
    ///
    /// # Errors
    /// [`UnavailableError`] if the state cannot be read or written. A retry can help.
    pub async fn conclude(&mut self, now: Timestamp) -> Result<(), UnavailableError> {
        self.respond_until(now).await?;
        let rules = self.ingest.ports.rules.current(now).await?;
        self.ingest.sweep_zones(&rules, now, false).await.map(drop)
    }

    /// Applies what people reported up to `until`, with the sweeps before each. Returns the number of no-data alerts.
    async fn respond_until(&mut self, until: Timestamp) -> Result<usize, UnavailableError> {
        let mut silences = 0;
        while let Some(next) = self.reported.pop_if(|next| next.received <= until) {
            silences += self.sweep_until(next.received).await?;
            self.ingest.respond(&[(next.received, &next.response)], next.received).await?;
        }
        Ok(silences)
    }

    /// Sweeps at each whole minute up to `until` at which a zone is due. Returns the number of no-data alerts.
    async fn sweep_until(&mut self, until: Timestamp) -> Result<usize, UnavailableError> {
        let last = whole_minute(until);
        let mut from = self.swept.map_or(last, after);
        let quiet = self.quiet_from(until).await?;
        let mut silences = 0;
        while from <= last {
            let due = self.first_due(from, last).await?;
            let quiet = quiet.filter(|quiet| (from..=last).contains(quiet));
            let Some(minute) = due.into_iter().chain(quiet).min() else { break };
            silences += self.ingest.sweep_due(minute).await?.alerts;
            from = after(minute);
        }
        self.swept = self.swept.max(Some(last));
        Ok(silences)
    }

    /// The minute at which the notice "nothing arrives" is due.
    async fn quiet_from(&self, now: Timestamp) -> Result<Option<Timestamp>, UnavailableError> {
        let quiet_after = self.ingest.ports.rules.current(now).await?.quiet_after;
        let last = self.ingest.last_arrival().await?;
        Ok(last.and_then(|last| last.checked_add(quiet_after).ok()).map(|last| after(whole_minute(last))))
    }

    /// The first whole minute from `from` to `last` at which a zone is due.
    async fn first_due(&self, from: Timestamp, last: Timestamp) -> Result<Option<Timestamp>, UnavailableError> {
        if !self.is_due(last).await? {
            return Ok(None);
        }
        // Due at one minute means due at all later ones, so a binary search finds the first.
        let (mut least, mut most) = (0, last.duration_since(from).as_mins());
        while least < most {
            let middle = i64::midpoint(least, most);
            let is_due = self.is_due(from.checked_add(SignedDuration::from_mins(middle)).unwrap_or(last)).await?;
            (least, most) = if is_due { (least, middle) } else { (middle + 1, most) };
        }
        Ok(from.checked_add(SignedDuration::from_mins(most)).ok())
    }

    async fn is_due(&self, now: Timestamp) -> Result<bool, UnavailableError> {
        Ok(!self.ingest.ports.state.due(now, 1).await?.is_empty())
    }
}

/// The last whole minute at or before `at`.
fn whole_minute(at: Timestamp) -> Timestamp {
    let over = at.as_millisecond().rem_euclid(60_000);
    at.checked_sub(SignedDuration::from_millis(over)).unwrap_or(at)
}

fn after(minute: Timestamp) -> Timestamp {
    minute.checked_add(SWEEP_EVERY).unwrap_or(Timestamp::MAX)
}

/// Result of reading a rejection again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RereadRejection {
    /// The readings as an object, with the key of a push that holds nothing else, so that it is never stored twice; `None`
    /// without readings.
    pub object: Option<Object>,
    /// Number of readings.
    pub readings: usize,
    /// For each element that is still rejected, the reason.
    pub refused: Vec<String>,
}

/// Reads a rejection again as a push of its own: an item as the only element of an array, a whole body as it was sent.
/// `metadata` goes to the new object, which counts its own lines.
#[must_use]
pub fn reread(rejection: &Rejection<'_>, metadata: Metadata) -> RereadRejection {
    let refused = |reason: String| RereadRejection { object: None, readings: 0, refused: vec![reason] };
    let body = match body(rejection) {
        Ok(body) => body,
        Err(error) => return refused(error.to_string()),
    };
    let items = match Items::split(&body) {
        Ok(items) => items,
        Err(error) => return refused(error.to_string()),
    };
    let Batch { readings, rejections } = items.read();
    RereadRejection {
        object: (!readings.is_empty()).then(|| Object::of_readings(BatchId::of(&body), &readings, metadata)),
        readings: readings.len(),
        refused: rejections.into_iter().map(|rejection| rejection.reason).collect(),
    }
}

/// The decoded body of a push that contains only the rejection.
fn body(rejection: &Rejection<'_>) -> Result<Bytes, DecodeError> {
    let encoding = if rejection.part == RejectedPart::Gzip { Encoding::Gzip } else { Encoding::Identity };
    match rejection.element() {
        Some(element) => Ok(format!("[{element}]").into()),
        None => decode(Bytes::copy_from_slice(&rejection.raw), encoding),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::RejectedPart::{Body, Gzip, Json, String as Text};
    use super::*;
    use crate::domain::archive::{pack_rejections, unpack, unpack_rejections};
    use crate::ingest::fixtures::gzip;

    fn rejection(part: RejectedPart, raw: &[u8]) -> Rejection<'_> {
        Rejection { part, reason: "then".into(), raw: raw.into() }
    }

    fn metadata() -> Metadata {
        let received = "2024-05-01T10:00:00Z".parse().unwrap();
        Metadata { received, request_id: "r".into(), source: "s".into(), lines: 0 }
    }

    fn read_again(part: RejectedPart, raw: &[u8]) -> (usize, Vec<String>, Option<String>) {
        let RereadRejection { object, readings, refused } = reread(&rejection(part, raw), metadata());
        let stored = object.inspect(|object| assert_eq!(object.metadata.lines, readings));
        (readings, refused, stored.map(|object| unpack(&object.bytes).unwrap()))
    }

    #[test]
    fn whole_minute_is_the_one_that_has_begun() {
        let at = |text: &str| format!("2024-05-01T{text}Z").parse::<Timestamp>().unwrap();
        assert_eq!(whole_minute(at("10:05:00")), at("10:05:00"));
        assert_eq!(whole_minute(at("10:05:59.999")), at("10:05:00"));
    }

    #[test]
    fn an_item_that_reads_today_is_kept_to_the_letter() {
        let stored = (1, vec![], Some("{\"a\" : 1.0}\n".to_owned()));
        assert_eq!(read_again(Text(3), br#"{"a" : 1.0}"#), stored);
        assert_eq!(read_again(Json(3), br#"{"a" : 1.0}"#), stored);
        assert_eq!(read_again(Json(0), br#""{\"a\" : 1.0}""#), stored);
    }

    #[test]
    fn an_item_is_one_item_again_whatever_its_text_looks_like() {
        for text in ["", "{\"a\":1},{\"b\":2}", "]", "[", "7", "\"{}\"", "{}]\n[{}", "\u{feff}{}"] {
            let (readings, refused, object) = read_again(Text(0), text.as_bytes());
            assert_eq!((readings, refused.len(), object), (0, 1, None), "{text:?}");
            assert!(refused[0].starts_with("not a JSON object: "), "{text:?}: {refused:?}");
        }
        assert_eq!(read_again(Json(0), b"7").1, ["neither a string nor an object"]);
        assert!(read_again(Json(0), br#""\ud800""#).1[0].contains("unpaired surrogate"));
    }

    #[test]
    fn a_whole_body_is_read_as_it_was_sent() {
        assert_eq!(read_again(Body, br#"["{\"a\":1}", 7]"#).2.as_deref(), Some("{\"a\":1}\n"));
        assert_eq!(read_again(Body, br#"["{\"a\":1}", 7]"#).1, ["neither a string nor an object"]);
        assert!(read_again(Body, b"[oops").1[0].starts_with("the body is not JSON"));
        assert!(read_again(Body, b"\xff").1[0].starts_with("the body is not UTF-8"));
        // Neither is gzip undone that was not announced, nor announced gzip passed over.
        let packed = gzip(b"[{}]");
        assert!(read_again(Body, &packed).1[0].starts_with("the body is not UTF-8"));
        assert_eq!(read_again(Gzip, &packed).0, 1, "as after a fix");
        assert!(read_again(Gzip, b"[{}]").1[0].starts_with("the body is not gzip"));
        assert!(read_again(Gzip, &packed[..packed.len() - 1]).1[0].starts_with("the body is not gzip"));
    }

    #[test]
    fn the_same_rejection_always_makes_the_same_object() {
        let of = |raw: &[u8]| reread(&rejection(Text(0), raw), metadata()).object.unwrap().key;
        assert_eq!(of(b"{}"), of(b"{}"));
        assert_ne!(of(b"{}"), of(b"{ }"));
    }

    /// Elements of an array, each one JSON value.
    fn elements() -> impl Strategy<Value = Vec<String>> {
        let texts =
            ["", "{}", "{\"a\":1},{\"b\":2}", "{}\r\n", "{\"a\":\"b\nc\"}", "[]", "]", "\"{}\"", "\u{feff}{}", "\0"];
        let others = [
            "7",
            "-0",
            "1e999",
            "null",
            "true",
            "[1,[]]",
            "{}",
            "{\n\"a\":1,\"a\":2}",
            r#""\ud800""#,
            r#""\ud800{}""#,
            r#""\u007b\u007d""#,
        ];
        let quoted = |text: &str| Value::from(text).to_string();
        let element = prop_oneof![
            any::<String>().prop_map(move |text| quoted(&text)),
            "[\\[\\]{}\":,\\\\ \na1]{0,12}".prop_map(move |text| quoted(&text)),
            prop::sample::select(texts.map(quoted).to_vec()),
            prop::sample::select(others.map(str::to_owned).to_vec()),
        ];
        prop::collection::vec(element, 0..12)
    }

    proptest! {
        #[test]
        fn no_item_appears_disappears_or_is_judged_otherwise_when_it_is_read_again(
            elements in elements(),
            between in prop::sample::select(&[",", " ,\n"][..]),
        ) {
            let body = format!("\u{feff}[{}]", elements.join(between));
            let items = Items::split(body.as_bytes()).unwrap();
            let batch = items.read();
            prop_assert_eq!(items.len(), elements.len());
            prop_assert_eq!(batch.readings.len() + batch.rejections.len(), elements.len());
            let stored = unpack_rejections(&unpack(&pack_rejections(&batch.rejections)).unwrap());
            prop_assert_eq!(&stored, &batch.rejections);
            for rejection in &stored {
                let read = reread(rejection, metadata());
                prop_assert_eq!(read, RereadRejection { object: None, readings: 0, refused: vec![rejection.reason.clone()] });
            }
            // All of it in one push again, readings as the strings that they are stored as.
            let mut readings = batch.readings.iter().map(|reading| Value::from(reading.text).to_string());
            let again = (0..items.len()).filter_map(|index| {
                let rejection = stored.iter().find(|rejection| rejection.part.index() == Some(index));
                rejection.map_or_else(|| readings.next(), Rejection::element)
            });
            let again = format!("[{}]", again.collect::<Vec<_>>().join(","));
            let items = Items::split(again.as_bytes()).unwrap();
            let again = items.read();
            prop_assert_eq!(&again.rejections, &batch.rejections);
            let texts = |batch: &Batch<'_>| batch.readings.iter().map(|reading| reading.text.to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(texts(&again), texts(&batch));
        }
    }
}
