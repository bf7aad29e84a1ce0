//! Lambda's events in, replies out.
//!
//! Answers are of `lambda_http`'s types. Its conversion to requests is not used, for four reasons: it keeps only the last of
//! several headers of the same name from a REST API, so that two `Authorization` headers would look like one; it puts the
//! stage's name into the path; it panics if a body or a path is not what it should be; and it decodes the body before anybody is
//! authenticated.

mod answer;
mod request;

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use jiff::Timestamp;
use lambda_runtime::tower::util::MapRequestLayer;
use lambda_runtime::{Error, LambdaEvent, LambdaInvocation, Runtime, service_fn};
use serde::Serialize;

pub use self::answer::Answer;
use self::request::{ApiRequest, EventBody};
use crate::http::{App, Problem};
use crate::ingest::ports::StoredObjects;
use crate::ingest::{RequestInfo, SweepStats};
use crate::sources::{Envelope, Event, Failures, MemberError, Taken};

/// What the function replies to an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// To a request.
    Request(Box<Answer>),
    /// To the queue: which of its messages have to come again.
    Queue(Failures),
    /// To the schedule, which does not listen: what was done.
    Schedule(SweepStats),
    /// To AWS IoT's topic rule, which does not listen: what became of what was published.
    Iot(Taken),
}

/// Why the function fails on an event. Holds nothing of the event. A retry can help after [`Sweep`](Self::Sweep) and
/// [`Publication`](Self::Publication) only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It is of no kind that is known here.
    #[error("the event is no request, sweep, publication or queue message; check what invokes the function")]
    Unknown,
    /// It is a request, but not one of API Gateway's.
    #[error("the event is no request of API Gateway: {0}; check what invokes the function")]
    Request(#[from] MemberError),
    /// A sweep did not come to its end; the next one goes on.
    #[error("the sweep did not come to its end")]
    Sweep,
    /// What was published could neither be stored nor parked. Lambda invokes again, and then tells the queue.
    #[error("what was published was not stored")]
    Publication,
}

/// Replies to Lambda's invocations until the process ends. `reply` gets each event's bytes and the invocation's id.
///
/// # Errors
/// If Lambda cannot be reached.
pub async fn run<F, R>(reply: F) -> Result<(), Error>
where
    F: Fn(Bytes, String) -> R,
    R: Future<Output = Result<Reply, EventError>>,
{
    // The runtime deserializes an event before its handler gets it, and would walk over its megabytes once more. So it gets
    // `null`. It has one event at a time.
    let event = Arc::new(Mutex::new(Bytes::new()));
    let replace = |event: &Mutex<Bytes>, bytes| {
        std::mem::replace(&mut *event.lock().unwrap_or_else(PoisonError::into_inner), bytes)
    };
    let aside = Arc::clone(&event);
    let put_aside = MapRequestLayer::new(move |mut invocation: LambdaInvocation| {
        replace(&aside, std::mem::replace(&mut invocation.body, Bytes::from_static(b"null")));
        invocation
    });
    let handler = service_fn(move |LambdaEvent { context, .. }: LambdaEvent<()>| {
        let replying = reply(replace(&event, Bytes::new()), context.request_id);
        async { replying.await.map_err(Error::from) }
    });
    Runtime::new(handler).layer(put_aside).run().await
}

impl App {
    /// Does what an event of Lambda asks for: a request, the schedule's tick, what was published on an MQTT topic, or messages
    /// of the queue. `bucket` is the store by itself, for what the queue's messages ask for.
    ///
    /// # Errors
    /// [`EventError`] if the event is none of these, or if it has to come again.
    pub async fn reply(
        &self,
        bucket: &dyn StoredObjects,
        event: &[u8],
        invocation: &str,
        now: Timestamp,
    ) -> Result<Reply, EventError> {
        // Lambda's events are JSON, which is UTF-8 (RFC 8259 §8.1).
        let envelope = std::str::from_utf8(event).ok().and_then(Envelope::read).ok_or(EventError::Unknown)?;
        match Event::read(&envelope) {
            None => self.answer(&envelope, invocation, now).await.map(|answer| Reply::Request(Box::new(answer))),
            Some(Event::Queue(messages)) => {
                Ok(Reply::Queue(self.ingest().process_messages(bucket, messages, now).await))
            }
            Some(Event::Iot(publication)) => {
                let taken = self.ingest().take_publication(publication, invocation, now).await;
                taken.map(Reply::Iot).map_err(|_| EventError::Publication)
            }
            Some(Event::Sweep) => match self.ingest().sweep(now).await {
                Ok(swept) => {
                    swept.log();
                    Ok(Reply::Schedule(swept))
                }
                Err(error) => {
                    tracing::error!(error = %error.chain(), "sweep not finished");
                    Err(EventError::Sweep)
                }
            },
        }
    }

    /// Answers the request that `event` describes. `invocation` is Lambda's id of it, which is the request's if API Gateway gave
    /// none. A panic is answered with 500, and the process goes on.
    ///
    /// # Errors
    /// [`EventError::Unknown`] or [`EventError::Request`] if it is no request; a retry does not help.
    pub async fn answer(
        &self,
        event: &Envelope<'_>,
        invocation: &str,
        received: Timestamp,
    ) -> Result<Answer, EventError> {
        let ApiRequest { format, request, request_id, source, verified_client } = ApiRequest::read(event)?;
        let named = |name: Option<String>, default: &str| {
            name.filter(|name| !name.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        let request_id = named(request_id, invocation);
        let source = named(source, "unknown");
        let context = RequestInfo { request_id: request_id.clone(), source, received, verified_client };
        // Each push works on its own values; what it shares (the caches) is replaced whole, so a panic leaves nothing half.
        let response = caught(self.handle(request.map(EventBody::into_stream), context)).await.unwrap_or_else(|_| {
            tracing::error!(request_id, "the handler panicked");
            Problem::Internal.response(&request_id)
        });
        Ok(format.answer(response))
    }
}

/// What `work` comes to, or what it panicked with.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught_also_after_a_wait() {
        assert_eq!(caught(async { 7 }).await.unwrap(), 7);
        let panicking = async {
            tokio::task::yield_now().await;
            panic!("a fault of ours");
        };
        assert!(caught(panicking).await.is_err());
    }
}
