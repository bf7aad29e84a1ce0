//! The SDK's HTTP client: HTTP/1.1 over one connection pool for the clients of all services.
//!
//! The SDK's own client is not used. It is built once per service and reads all of the machine's certificates each time, which
//! delays every start of the function (docs/performance.md), and it adds HTTP/2 and proxies.

use std::io;
use std::time::Duration;

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};

use crate::adapters::aws::https::{self, HttpsClient, Trust};

/// Creates the SDK's HTTP client. `connect_timeout` is for TCP, before TLS.
///
/// # Errors
/// If the machine's certificates are to be used, and it has none.
pub(super) fn http_client(trust: Trust, connect_timeout: Duration) -> io::Result<SharedHttpClient> {
    let connector = SharedHttpConnector::new(PooledConnector(https::client(trust, connect_timeout)?));
    Ok(http_client_fn(move |_, _| connector.clone()))
}

#[derive(Debug)]
struct PooledConnector(HttpsClient<SdkBody>);

impl HttpConnector for PooledConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        // After a transient error, the SDK closes the connection that was used: it has to know which one.
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || connection_metadata(&connection));
        }
        let response = self.0.request(request);
        HttpConnectorFuture::new(async move {
            // The SDK retries: the request did not reach the service, or the connection broke.
            let response = response.await.map_err(|error| ConnectorError::io(error.into()))?;
            let response = HttpResponse::try_from(response.map(SdkBody::from_body_1_x));
            response.map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The connection that was used; `None` if none was opened.
fn connection_metadata(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let poison = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
}
