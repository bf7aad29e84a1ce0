//! Events as the bytes that Lambda gave.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use lambda_runtime::LambdaInvocation;
use lambda_runtime::tower::{Layer, Service};

/// What the runtime takes for an event in place of the one that was put aside.
const NOTHING: &[u8] = b"null";

/// A layer of the runtime that puts each event aside, for the handler to take it as it is.
///
/// The runtime reads an event before the handler sees it, and knows no type for "not at all": each of its megabytes would be
/// walked over once and copied, only to be walked over again. It has one event at a time, and so has this.
#[derive(Clone, Debug, Default)]
pub struct Untouched {
    event: Arc<Mutex<Bytes>>,
}

impl Untouched {
    /// The event under way, once; then nothing.
    #[must_use]
    pub fn take(&self) -> Bytes {
        self.replace(Bytes::new())
    }

    fn replace(&self, event: Bytes) -> Bytes {
        std::mem::replace(&mut *self.event.lock().unwrap_or_else(PoisonError::into_inner), event)
    }
}

impl<S> Layer<S> for Untouched {
    type Service = PuttingAside<S>;

    fn layer(&self, inner: S) -> Self::Service {
        PuttingAside { aside: self.clone(), inner }
    }
}

/// What [`Untouched`] makes of the runtime's own service.
#[derive(Debug)]
pub struct PuttingAside<S> {
    aside: Untouched,
    inner: S,
}

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for PuttingAside<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut invocation: LambdaInvocation) -> S::Future {
        self.aside.replace(std::mem::replace(&mut invocation.body, Bytes::from_static(NOTHING)));
        self.inner.call(invocation)
    }
}

#[cfg(test)]
mod tests {
    use lambda_runtime::service_fn;

    use super::*;

    #[tokio::test]
    async fn the_handler_takes_the_event_once_and_the_runtime_reads_nothing() {
        let aside = Untouched::default();
        let taken = aside.clone();
        let mut service = aside.layer(service_fn(move |invocation: LambdaInvocation| {
            let (event, again) = (taken.take(), taken.take());
            async move { Ok::<_, std::convert::Infallible>((invocation.body, event, again)) }
        }));
        for event in ["{\"a\":1}", "[]"] {
            let (parts, ()) = http::Response::new(()).into_parts();
            let context = lambda_runtime::Context::default();
            let invocation = LambdaInvocation { parts, body: event.into(), context };
            let (read, event_taken, again) = service.call(invocation).await.unwrap();
            assert_eq!((read, event_taken, again), (NOTHING.into(), event.into(), Bytes::new()));
        }
    }
}
