//! What is stored, taken in once more: raw objects by their own time, and what was rejected by today's reader.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::json;

use super::decode::{Encoding, decode};
use super::ports::{AlertPublisher, RawStore, RuleSource, StateStore, Unavailable};
use super::{Accounted, Ingest, Swept, newest};
use crate::domain::archive::{Metadata, Object};
use crate::domain::batch::{BatchId, Items, Rejection};
use crate::domain::reading::Reading;

/// What came of a stored object that was taken in again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Readings in it.
    pub readings: usize,
    /// Those that were known already, or came too late to be told from known ones.
    pub known: usize,
    /// Those that were too old when they were first received.
    pub stale: usize,
    /// Limits that were crossed, and silences before it.
    pub alerts: usize,
    /// Limits that were crossed while another alert's block lasted.
    pub blocked: usize,
}

impl Replayed {
    /// Counts another object as well.
    pub fn add(&mut self, other: Self) {
        self.readings += other.readings;
        self.known += other.known;
        self.stale += other.stale;
        self.alerts += other.alerts;
        self.blocked += other.blocked;
    }
}

impl<S: RawStore, T: StateStore, P: AlertPublisher, R: RuleSource> Ingest<S, T, P, R> {
    /// Takes in the lines of a stored object by the [readings' clock](super::Clock::Readings), as they were first received
    /// at `received`, or where that is not known at their newest reading. Nothing is stored. Objects are to come in order
    /// of time; one that was taken in before changes nothing.
    ///
    /// # Errors
    /// [`Unavailable`] where the state cannot be read or written. A retry can help.
    pub async fn replay(&self, lines: &str, received: Option<Timestamp>) -> Result<Replayed, Unavailable> {
        // Lines were accepted when they were stored.
        let readings: Vec<_> = lines.lines().filter_map(|line| Reading::read(line).ok()).collect();
        let Some(told) = newest(&readings).or(received) else { return Ok(Replayed::default()) };
        let mut turn = self.clock.turn(told).await;
        // A device whose clock is ahead does not take all others with it.
        turn.advance(Some(received.map_or(told, |received| told.min(received))));
        let swept = self.pass_time(&mut turn, &readings).await?;
        let Accounted { alerts, blocked, duplicates, late, stale, .. } =
            self.evaluate(&readings, None, received.unwrap_or(told), turn.present()).await.whole()?;
        Ok(Replayed {
            readings: readings.len(),
            known: duplicates + late,
            stale,
            alerts: alerts + swept.alerts,
            blocked,
        })
    }

    /// Does what history has left due by `now`: blocks end, and reminders are over. Silences are left to whoever receives
    /// from now on.
    ///
    /// # Errors
    /// [`Unavailable`] where the state cannot be read or written. A retry can help.
    pub async fn conclude(&self, now: Timestamp) -> Result<(), Unavailable> {
        let rules = self.rules.current(now).await;
        self.sweep_zones(&rules, now, false, &mut Swept::default()).await
    }
}

/// What today's reader makes of a rejection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reread {
    /// The readings in it as an object to be kept, under the name that a push of nothing else would give it, so that it is
    /// never kept twice; `None` where there are none.
    pub object: Option<Object>,
    /// How many readings that are.
    pub readings: usize,
    /// Why the others are still none, one by one.
    pub refused: Vec<String>,
}

/// Reads again what was rejected: an item, or a whole body. `metadata` is what is told of the object that it makes, but for
/// the number of lines.
#[must_use]
pub fn reread(rejection: &Rejection<'_>, metadata: Metadata) -> Reread {
    let mut best = Reread { object: None, readings: 0, refused: Vec::new() };
    for body in bodies(rejection) {
        let items = match Items::split(&body) {
            Ok(items) => items,
            Err(fault) => {
                if best.refused.is_empty() {
                    best.refused.push(fault.to_string());
                }
                continue;
            }
        };
        let batch = items.read();
        let refused = batch.rejections.into_iter().map(|rejection| rejection.reason).collect();
        let readings = batch.readings.len();
        best = Reread { object: None, readings, refused };
        if readings > 0 {
            best.object = Some(Object::of_readings(BatchId::of(&body), &batch.readings, metadata));
            break;
        }
    }
    best
}

/// The bodies of pushes that would bring this again, the likelier first.
fn bodies(rejection: &Rejection<'_>) -> Vec<Bytes> {
    let raw = &*rejection.raw;
    if rejection.index.is_none() {
        // A body that did not decode was kept as it was sent.
        let encoding = if raw.starts_with(b"\x1f\x8b") { Encoding::Gzip } else { Encoding::Identity };
        let sent = Bytes::copy_from_slice(raw);
        return vec![decode(sent.clone(), encoding).unwrap_or(sent)];
    }
    let text: Cow<'_, str> = String::from_utf8_lossy(raw);
    // The text of a string, or an element that was not one.
    vec![Bytes::from(json!([text]).to_string()), Bytes::from(format!("[{text}]"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(index: Option<usize>, raw: &[u8]) -> (usize, Vec<String>, Option<String>) {
        let rejection = Rejection { index, reason: "then".into(), raw: raw.into() };
        let received = "2024-05-01T10:00:00Z".parse().unwrap();
        let metadata = Metadata { received, request_id: "r".into(), source: "s".into(), lines: 0 };
        let Reread { object, readings, refused } = reread(&rejection, metadata);
        let told = object.inspect(|object| assert_eq!(object.metadata.lines, readings));
        (readings, refused, told.map(|object| crate::domain::archive::unpack(&object.bytes).unwrap()))
    }

    #[test]
    fn an_item_that_reads_today_is_kept_to_the_letter() {
        assert_eq!(again(Some(3), br#"{"a" : 1.0}"#), (1, vec![], Some("{\"a\" : 1.0}\n".to_owned())));
    }

    #[test]
    fn an_element_that_was_no_string_of_an_object_is_unescaped() {
        assert_eq!(again(Some(0), br#""{\"a\":1}""#), (1, vec![], Some("{\"a\":1}\n".to_owned())));
    }

    #[test]
    fn what_is_still_no_reading_says_why() {
        let (readings, refused, object) = again(Some(0), br#"{"a":"#);
        assert!(readings == 0 && object.is_none());
        assert!(refused[0].starts_with("not a JSON object: EOF"), "{refused:?}");
        assert_eq!(again(Some(0), b"7").1, ["neither a string nor an object"]);
        assert!(again(None, b"[oops").1[0].starts_with("the body is not JSON"));
        assert!(again(None, b"\xff").1[0].starts_with("the body is not UTF-8"));
    }

    #[test]
    fn a_whole_body_gives_what_is_good_in_it() {
        let (readings, refused, object) = again(None, br#"["{\"a\":1}", 7]"#);
        assert_eq!((readings, refused.len(), object.as_deref()), (1, 1, Some("{\"a\":1}\n")));
    }

    #[test]
    fn the_same_rejection_always_makes_the_same_object() {
        let of = |raw: &[u8]| {
            let rejection = Rejection { index: Some(0), reason: "then".into(), raw: raw.into() };
            let received = "2024-05-01T10:00:00Z".parse().unwrap();
            let metadata = Metadata { received, request_id: "r".into(), source: "s".into(), lines: 0 };
            reread(&rejection, metadata).object.unwrap().key
        };
        assert_eq!(of(b"{}"), of(b"{}"));
        assert_ne!(of(b"{}"), of(b"{ }"));
    }
}
