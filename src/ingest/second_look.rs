//! The second look at a stored object.
//!
//! After a failed delivery, Firehose writes objects of up to 128 MB: too much for the memory of the function, and for one
//! invocation. So an object is evaluated in slices. If it has several, a state document records how far they are evaluated, and
//! the next attempt continues there.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Ingest;
use super::ports::{StoredPush, StoredPushes, UnavailableError, within};
use super::state_documents::{RETRIES, change, load};
use crate::domain::archive::ObjectKey;
use crate::domain::state::StateVersion;

/// Text after which a slice ends, in bytes. Almost every object is one slice: the stream buffers 5 MB.
const SLICE: usize = 6 << 20;
/// Time limit for recording the progress.
pub const PROGRESS_TIMEOUT: Duration = Duration::from_secs(1);

const NOT_RECORDED: &str = "the progress of the second look was not recorded";

/// How far the second look at an object is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct SecondLook {
    v: StateVersion,
    /// Number of pushes from its start that are evaluated.
    pushes: usize,
}

impl Ingest {
    /// Evaluates the pushes of an object in slices of about 6 MiB, each as [`Self::evaluate_stored`] does.
    ///
    /// # Errors
    /// [`UnavailableError`] if the object cannot be read, or not be evaluated within `limit`. The next attempt continues.
    pub async fn evaluate_object(
        &self,
        key: &ObjectKey,
        pushes: StoredPushes,
        now: Timestamp,
        limit: Duration,
    ) -> Result<(), UnavailableError> {
        let end = Instant::now() + limit;
        let time_left = || end.saturating_duration_since(Instant::now());
        let progress = format!("second-look/{key}");
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
                let recorded = load::<SecondLook>(&*self.ports.state, &progress);
                evaluated = Some(within(time_left(), NOT_RECORDED, recorded).await?.0.pushes);
            }
            if evaluated < Some(read) {
                self.evaluate_stored(key, slice, now, time_left()).await?;
                let record = |look: &mut SecondLook| look.pushes = look.pushes.max(read);
                let recorded = change(&*self.ports.state, &progress, RETRIES, record);
                within(PROGRESS_TIMEOUT, NOT_RECORDED, recorded).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }
}
