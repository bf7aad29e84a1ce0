//! The second look at a stored object.
//!
//! After a failed delivery, Firehose writes objects of up to 128 MB: too much for the memory of the function, and for one
//! invocation. So an object is evaluated in slices. If it has several, a document in the state store has the number of evaluated
//! pushes, and the next attempt continues after them. One slice needs no such document: a retry evaluates it again, and readings
//! that are evaluated twice change nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Ingest;
use super::ports::{StoredPush, StoredPushes, UnavailableError, within};
use super::state_documents::{RETRIES, change, load};
use crate::domain::archive::ObjectKey;
use crate::domain::state::StateVersion;

/// Minimum size of a slice, in bytes of readings: a slice ends with the push that reaches it. Most objects are one slice, because
/// the stream buffers 5 MB, and an object that is not buffered has one push.
const SLICE: usize = 6 << 20;
/// Time limit for saving the progress.
pub const PROGRESS_TIMEOUT: Duration = Duration::from_secs(1);

const NOT_LOADED: &str = "the progress of the second look was not loaded";
const NOT_SAVED: &str = "the progress of the second look was not saved";

/// Progress of the second look at an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct SecondLookProgress {
    v: StateVersion,
    /// Number of evaluated pushes, counted from the start of the object.
    pushes: usize,
}

impl Ingest {
    /// Evaluates the pushes of an object in slices of about 6 MiB, each as [`Self::evaluate_stored`] does.
    ///
    /// # Errors
    /// [`UnavailableError`] if the object or its progress cannot be read, a slice cannot be evaluated within `limit`, or the progress
    /// cannot be saved. A retry continues after the last saved slice.
    pub async fn evaluate_object(
        &self,
        key: &ObjectKey,
        pushes: StoredPushes,
        now: Timestamp,
        limit: Duration,
    ) -> Result<(), UnavailableError> {
        let end = Instant::now() + limit;
        let time_left = || end.saturating_duration_since(Instant::now());
        let document = format!("second-look/{key}");
        let (mut pushes, mut read, mut evaluated) = (pushes.peekable(), 0, None);
        loop {
            let (mut slice, mut size): (Vec<StoredPush>, _) = (Vec::new(), 0);
            while size < SLICE
                && let Some(push) = pushes.next()
            {
                slice.push(push?);
                size += slice.last().map_or(0, |push| push.lines.len());
            }
            read += slice.len();
            let is_last = pushes.peek().is_none();
            if is_last && evaluated.is_none() {
                return self.evaluate_stored(key, slice, now, time_left()).await;
            }
            if evaluated.is_none() {
                let loading = load::<SecondLookProgress>(&*self.ports.state, &document);
                evaluated = Some(within(time_left(), NOT_LOADED, loading).await?.0.pushes);
            }
            if evaluated < Some(read) {
                self.evaluate_stored(key, slice, now, time_left()).await?;
                let advance = |progress: &mut SecondLookProgress| progress.pushes = progress.pushes.max(read);
                let saving = change(&*self.ports.state, &document, RETRIES, advance);
                within(PROGRESS_TIMEOUT, NOT_SAVED, saving).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }
}
