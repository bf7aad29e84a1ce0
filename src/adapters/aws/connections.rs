//! How the SDK's requests travel: HTTP/1.1 over one pool of connections for the clients of all services.
//!
//! The SDK has a client of its own. It builds itself for each service and reads all of the machine's certificates each time,
//! for which every start of the function waits (docs/performance.md), and it brings HTTP/2 and proxies, which nobody here uses.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::retry::ErrorKind;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};

use crate::adapters::aws::https::{self, HttpsClient, Trust};

/// The SDK's HTTP client. `connecting` is the longest that reaching a server takes, before TLS.
///
/// # Errors
/// Where this machine is asked for its certificates, and has none.
pub(super) fn http_client(trust: Trust, connecting: Duration) -> io::Result<SharedHttpClient> {
    let connector = SharedHttpConnector::new(Connections(https::client(trust, connecting)?));
    Ok(http_client_fn(move |_, _| connector.clone()))
}

struct Connections(HttpsClient<SdkBody>);

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl HttpConnector for Connections {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(fault) => return HttpConnectorFuture::ready(Err(ConnectorError::user(fault.into()))),
        };
        // The SDK closes a connection on which something went wrong, and has to know which that was.
        let connection = capture_connection(&mut request);
        if let Some(asked) = request.extensions().get::<CaptureSmithyConnection>() {
            asked.set_connection_retriever(move || closable(&connection));
        }
        let answer = self.0.request(request);
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(|fault| classified(fault.into()))?;
            let answer = HttpResponse::try_from(answer.map(SdkBody::from_body_1_x));
            answer.map_err(|fault| ConnectorError::other(fault.into(), None))
        })
    }
}

/// The connection that was used, where there was one by then.
fn closable(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let close = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(close).build())
}

/// What the SDK is told of a fault: it tries again what never reached the service, what broke off and what took too long.
fn classified(fault: Box<dyn Error + Send + Sync>) -> ConnectorError {
    let is_unconnected = source::<hyper_util::client::legacy::Error>(&*fault).is_some_and(|fault| fault.is_connect());
    match source::<hyper::Error>(&*fault) {
        _ if is_unconnected || source::<io::Error>(&*fault).is_some() => ConnectorError::io(fault),
        Some(broken) if broken.is_timeout() => ConnectorError::timeout(fault),
        Some(broken) if broken.is_user() => ConnectorError::user(fault),
        Some(broken) if broken.is_closed() || broken.is_canceled() => ConnectorError::io(fault),
        // The service closed the connection before it answered.
        Some(broken) if broken.is_incomplete_message() => ConnectorError::other(fault, Some(ErrorKind::TransientError)),
        _ => ConnectorError::other(fault, None),
    }
}

/// The first error of this type in the chain of causes.
fn source<'f, E: Error + 'static>(fault: &'f (dyn Error + 'static)) -> Option<&'f E> {
    std::iter::successors(Some(fault), |&fault| fault.source()).find_map(|fault| fault.downcast_ref())
}
