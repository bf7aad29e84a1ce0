//! Bodies while they arrive: each within its time, and all together within the memory that there is for them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::places::Place;
use crate::http::Delayed;

/// What each body may hold without taking from the common room, in bytes: an ordinary push, so that large ones, however
/// slow, keep none of those waiting.
pub(super) const FREE: usize = 64 * 1024;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Room for bodies that are being received or worked on, in bytes; that of one request is free again when the request is
/// answered.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// The room that a request has taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Room {
    /// So many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Takes so many bytes more for a request, as soon as they are free.
    async fn take(&self, bytes: usize, held: &Held) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // Only fails where the semaphore is closed, which nobody does.
        let Ok(more) = Arc::clone(&self.0).acquire_many_owned(bytes).await else { return };
        let mut held = held.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *held {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
    }
}

/// `body` as it arrives, within `within` from now on. What is beyond [`FREE`] of it is in `room`, and stays there as `held`.
pub(super) fn arriving<B>(
    body: B,
    within: Duration,
    room: Room,
    held: Held,
    place: Arc<Place>,
) -> impl Body<Data = Bytes, Error = Fault> + Send
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: Into<Fault>,
{
    let deadline = Instant::now() + within;
    let next = move |(mut body, arrived): (B, usize)| {
        let (room, held, place) = (room.clone(), held.clone(), Arc::clone(&place));
        async move {
            let frame = match timeout_at(deadline, body.frame()).await {
                Ok(Some(frame)) => frame.map_err(Into::into),
                Ok(None) => {
                    place.serve();
                    return None;
                }
                Err(_) => Err(Delayed::Sender.into()),
            };
            let size = frame.as_ref().map_or(0, size);
            let beyond = (arrived + size).saturating_sub(FREE) - arrived.saturating_sub(FREE);
            let taken = timeout_at(deadline, room.take(beyond, &held)).await;
            let frame = if taken.is_ok() { frame } else { Err(Delayed::Receiver.into()) };
            Some((frame, (body, arrived + size)))
        }
    };
    StreamBody::new(stream::unfold((body, 0), next))
}

fn size(frame: &Frame<Bytes>) -> usize {
    frame.data_ref().map_or(0, Bytes::len)
}
