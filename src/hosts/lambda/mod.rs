//! API Gateway's events as requests, and responses as its answers.
//!
//! The events' types are `lambda_http`'s; its conversion to requests is not used, for four reasons. Of a header that was
//! sent twice through a REST API it keeps the last one, so that two `Authorization` headers would look like one. It puts
//! the stage's name into the path. It panics on an event whose body or path is not what it should be. And it tries one
//! type after the other on an event of megabytes.

mod split_event;
mod untouched;

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use jiff::Timestamp;
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayProxyRequest, ApiGatewayProxyResponse, ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequest,
    ApiGatewayV2httpResponse,
};
use lambda_http::aws_lambda_events::encodings;
use serde::{Deserialize, Serialize};

pub use self::split_event::SplitEvent;
pub use self::untouched::Untouched;
use crate::http::{App, Problem};
use crate::ingest::ports::StoredObjects;
use crate::ingest::{RequestInfo, SweepStats};
use crate::sources::{Event, Failures, Taken, process_messages, take_in};

/// An answer as API Gateway takes it, in the form of the API that asked.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To an HTTP API, payload format 2.0.
    Http(ApiGatewayV2httpResponse),
    /// To a REST API, or an HTTP API of payload format 1.0.
    Rest(ApiGatewayProxyResponse),
}

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

/// Why an event cannot be answered. Holds nothing of the event. A retry can help where the world was at fault
/// ([`Sweep`](Self::Sweep), [`Publication`](Self::Publication)), and nowhere else: API Gateway sends no such events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventFault {
    /// It is not a request that came through API Gateway.
    #[error("the event is none of API Gateway's (line {line}, column {column})")]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// Its body is said to be Base64, and is not.
    #[error("the event's body is not the Base64 that it is said to be")]
    Body,
    /// A sweep did not come to its end; the next one takes up what it left.
    #[error("the sweep did not come to its end")]
    Sweep,
    /// What was published could neither be stored nor parked. Lambda invokes again, and then tells the queue.
    #[error("what was published was not stored")]
    Publication,
}

#[derive(Clone, Copy)]
enum Format {
    Http,
    Rest,
}

/// A request as its event tells it.
struct Told {
    format: Format,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    request_id: Option<String>,
    source: Option<String>,
    verified_client: Option<String>,
}

/// Does what any event asks for: a request, the schedule's tick, what was published on an MQTT topic, or messages of the
/// queue. `bucket` is the store by itself, for what the queue's messages ask for.
///
/// # Errors
/// [`EventFault`] where the event is none of these, or where it has to come again.
pub async fn reply(
    app: &App,
    bucket: &dyn StoredObjects,
    event: &[u8],
    invocation: &str,
    now: Timestamp,
) -> Result<Reply, EventFault> {
    // Lambda's events are JSON, which is UTF-8 (RFC 8259 §8.1).
    let event = std::str::from_utf8(event).map_err(|_| EventFault::Shape { line: 1, column: 1 })?;
    let split = SplitEvent::of(event);
    match Event::read(&split.rest) {
        None => answer(app, split, invocation, now).await.map(|answer| Reply::Request(Box::new(answer))),
        Some(Event::Queue(messages)) => Ok(Reply::Queue(process_messages(app.ingest(), bucket, messages, now).await)),
        Some(Event::Iot(publication)) => {
            let taken = take_in(app.ingest(), publication, invocation, now).await;
            taken.map(Reply::Iot).map_err(|_| EventFault::Publication)
        }
        Some(Event::Sweep) => match app.ingest().sweep(now).await {
            Ok(swept) => {
                swept.log();
                Ok(Reply::Schedule(swept))
            }
            Err(error) => {
                tracing::error!(error = %error.chain(), "sweep not finished");
                Err(EventFault::Sweep)
            }
        },
    }
}

/// Answers the request that `event` tells of. `invocation` is Lambda's own id of it, the request's where API Gateway gave
/// none. A panic is an answer as well: 500, and the process goes on.
///
/// # Errors
/// [`EventFault`] where the event tells of no request.
pub async fn answer(
    app: &App,
    event: SplitEvent<'_>,
    invocation: &str,
    received: Timestamp,
) -> Result<Answer, EventFault> {
    let told = Told::read(event)?;
    let named = |name: Option<String>| name.filter(|name| !name.is_empty());
    let request_id = named(told.request_id).unwrap_or_else(|| invocation.to_owned());
    let source = named(told.source).unwrap_or_else(|| "unknown".to_owned());
    let context =
        RequestInfo { request_id: request_id.clone(), source, received, verified_client: told.verified_client };
    let mut request = Request::new(Full::new(told.body));
    *request.method_mut() = told.method;
    *request.uri_mut() = told.uri;
    *request.headers_mut() = told.headers;
    // Each push works on its own values; what it shares (the caches) is replaced whole, so a panic leaves nothing half.
    let response = caught(app.handle(request, context)).await.unwrap_or_else(|_| {
        tracing::error!(request_id, "the handler panicked");
        Problem::Internal.response(&request_id)
    });
    Ok(told.format.answer(response))
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

impl Told {
    fn read(SplitEvent { body: text, rest: event }: SplitEvent<'_>) -> Result<Self, EventFault> {
        #[derive(Deserialize)]
        struct Versioned<'e> {
            #[serde(borrow)]
            version: Option<Cow<'e, str>>,
        }
        match parse::<Versioned<'_>>(&event)?.version.as_deref() {
            Some("2.0") => Self::of_http_api(parse(&event)?, text),
            // REST APIs give no version. HTTP APIs give "1.0" to the same format, and have the stage in its path.
            version => Self::of_rest_api(parse(&event)?, text, version.is_some()),
        }
    }

    fn of_http_api(event: ApiGatewayV2httpRequest, text: Option<Vec<u8>>) -> Result<Self, EventFault> {
        let context = event.request_context;
        let path = event.raw_path.as_deref().unwrap_or_default();
        Ok(Self {
            format: Format::Http,
            method: context.http.method,
            uri: uri(without_stage(path, context.stage.as_deref()), event.raw_query_string.as_deref()),
            headers: event.headers,
            body: body(text, event.is_base64_encoded)?,
            request_id: context.request_id,
            source: context.http.source_ip,
            verified_client: context.authorizer.and_then(verified_client),
        })
    }

    fn of_rest_api(
        event: ApiGatewayProxyRequest,
        text: Option<Vec<u8>>,
        has_stage_in_path: bool,
    ) -> Result<Self, EventFault> {
        let context = event.request_context;
        let stage = context.stage.as_deref().filter(|_| has_stage_in_path);
        let path = event.path.as_deref().unwrap_or_default();
        let mut query = String::new();
        for (name, value) in event.multi_value_query_string_parameters.iter() {
            let separator = if query.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _ = write!(query, "{separator}{}={}", encoded(name, b""), encoded(value, b""));
        }
        // Both have every header; this one has every value of it as well.
        let headers = if event.multi_value_headers.is_empty() { event.headers } else { event.multi_value_headers };
        Ok(Self {
            format: Format::Rest,
            method: event.http_method,
            uri: uri(without_stage(path, stage), Some(&query)),
            headers,
            body: body(text, event.is_base64_encoded)?,
            request_id: context.request_id,
            source: context.identity.source_ip,
            verified_client: None,
        })
    }
}

impl Format {
    fn answer(self, response: Response<Bytes>) -> Answer {
        let (parts, bytes) = response.into_parts();
        let (body, is_base64_encoded) = match String::from_utf8(bytes.into()) {
            Ok(text) => (encodings::Body::Text(text), false),
            Err(other) => (encodings::Body::Binary(other.into_bytes()), true),
        };
        let status_code = i64::from(parts.status.as_u16());
        match self {
            Self::Http => {
                let mut answer = ApiGatewayV2httpResponse::default();
                answer.status_code = status_code;
                answer.headers = parts.headers;
                answer.body = Some(body);
                answer.is_base64_encoded = is_base64_encoded;
                Answer::Http(answer)
            }
            Self::Rest => {
                let mut answer = ApiGatewayProxyResponse::default();
                answer.status_code = status_code;
                // In one of the two members only: API Gateway sends what is in both twice.
                answer.multi_value_headers = parts.headers;
                answer.body = Some(body);
                answer.is_base64_encoded = is_base64_encoded;
                Answer::Rest(answer)
            }
        }
    }
}

/// The client of the token that the API's JWT authorizer has verified: its claim `sub`, else `client_id`. API Gateway writes
/// this into the event beside the request's headers and body.
fn verified_client(authorizer: ApiGatewayRequestAuthorizer) -> Option<String> {
    let mut claims = authorizer.jwt?.claims;
    let named = ["sub", "client_id"].into_iter().find_map(|claim| claims.remove(claim).filter(|name| !name.is_empty()));
    Some(named.unwrap_or_else(|| "unknown".to_owned()))
}

fn parse<'e, T: Deserialize<'e>>(event: &'e str) -> Result<T, EventFault> {
    // The error's own text may quote a header.
    serde_json::from_str(event).map_err(|fault| EventFault::Shape { line: fault.line(), column: fault.column() })
}

/// `path` without the stage's name, which HTTP APIs put before it unless the stage is `$default`.
fn without_stage<'p>(path: &'p str, stage: Option<&str>) -> &'p str {
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Path and query as a URI; `/` where they cannot be one, which no route has.
fn uri(path: &str, query: Option<&str>) -> Uri {
    // RFC 3986 §3.3 and §3.4, and the percent sign of what is encoded already.
    let path = encoded(path, b"!$&'()*+,;=:@/%");
    let query = query.filter(|query| !query.is_empty()).map(|query| encoded(query, b"!$&'()*+,;=:@/?%"));
    let text = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    text.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

/// `text` with everything percent-encoded but letters, digits, `-._~` and `safe`.
fn encoded(text: &str, safe: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || safe.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

fn body(text: Option<Vec<u8>>, is_base64_encoded: bool) -> Result<Bytes, EventFault> {
    let text = text.unwrap_or_default();
    if is_base64_encoded {
        STANDARD.decode(text).map(Bytes::from).map_err(|_| EventFault::Body)
    } else {
        Ok(text.into())
    }
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use serde_json::{Value, json};

    use super::*;

    fn http_api(changes: impl FnOnce(&mut Value)) -> Result<Told, EventFault> {
        let mut event = json!({
            "version": "2.0",
            "rawPath": "/push",
            "rawQueryString": "",
            "headers": {},
            "isBase64Encoded": false,
            "requestContext": {
                "http": { "method": "POST", "path": "/push", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7" },
                "requestId": "id", "stage": "$default", "timeEpoch": 0,
            },
        });
        changes(&mut event);
        Told::read(SplitEvent::of(&event.to_string()))
    }

    fn rest_api(changes: impl FnOnce(&mut Value)) -> Result<Told, EventFault> {
        let mut event = json!({
            "resource": "/{proxy+}", "path": "/push", "httpMethod": "POST",
            "headers": {}, "multiValueHeaders": {}, "isBase64Encoded": false,
            "requestContext": {
                "path": "/prod/push", "stage": "prod", "httpMethod": "POST", "requestId": "id",
                "identity": { "sourceIp": "192.0.2.7" },
            },
        });
        changes(&mut event);
        Told::read(SplitEvent::of(&event.to_string()))
    }

    #[test]
    fn the_stage_stays_out_of_the_path() {
        let at_stage = |path: &str, stage: &str| {
            let told = http_api(|event| {
                event["rawPath"] = path.into();
                event["requestContext"]["stage"] = stage.into();
            });
            told.unwrap().uri.path().to_owned()
        };
        assert_eq!(at_stage("/push", "$default"), "/push");
        assert_eq!(at_stage("/prod/push", "prod"), "/push");
        // By a domain of one's own, whose paths may have no stage.
        assert_eq!(at_stage("/push", "prod"), "/push");
        assert_eq!(at_stage("/push", "push"), "/push");
        assert_eq!(at_stage("/push/push", "push"), "/push");
        assert_eq!(at_stage("/production/push", "prod"), "/production/push");
        assert_eq!(rest_api(|_| ()).unwrap().uri.path(), "/push");
        // In a REST API's path there is no stage to take away.
        let told = rest_api(|event| event["path"] = "/prod/push".into()).unwrap();
        assert_eq!(told.uri.path(), "/prod/push");
        // In an HTTP API's there is, also in the older format.
        let told = rest_api(|event| {
            event["version"] = "1.0".into();
            event["path"] = "/prod/push".into();
        });
        assert_eq!(told.unwrap().uri.path(), "/push");
    }

    #[test]
    fn any_path_and_query_are_a_uri() {
        let uri = |path: &str, query: &str| {
            let told = http_api(|event| {
                event["rawPath"] = path.into();
                event["rawQueryString"] = query.into();
            });
            told.unwrap().uri.to_string()
        };
        assert_eq!(uri("/zones/厕 3/cleaned", "project=a b&x=%20"), "/zones/%E5%8E%95%203/cleaned?project=a%20b&x=%20");
        assert_eq!(uri("/a?b#c\u{0}\"<>", ""), "/a%3Fb%23c%00%22%3C%3E");
        assert_eq!(uri("", ""), "/");
        assert_eq!(uri("no/slash", ""), "/");
    }

    #[test]
    fn a_rest_apis_query_is_encoded_again() {
        let told = rest_api(|event| event["multiValueQueryStringParameters"] = json!({ "project": ["a&b", "c"] }));
        assert_eq!(told.unwrap().uri.query(), Some("project=a%26b&project=c"));
    }

    #[test]
    fn two_authorization_headers_stay_two_values_or_one_that_is_neither() {
        let told = rest_api(|event| {
            event["headers"]["Authorization"] = "Basic b".into();
            event["multiValueHeaders"]["Authorization"] = json!(["Basic a", "Basic b"]);
        });
        assert_eq!(told.unwrap().headers.get_all(AUTHORIZATION).iter().count(), 2);
        let told = http_api(|event| event["headers"]["authorization"] = "Basic a,Basic b".into()).unwrap();
        assert_eq!(told.headers[AUTHORIZATION], "Basic a,Basic b");
    }

    #[test]
    fn the_caller_is_known_by_address_and_id() {
        for told in [http_api(|_| ()).unwrap(), rest_api(|_| ()).unwrap()] {
            assert_eq!((told.source.as_deref(), told.request_id.as_deref()), (Some("192.0.2.7"), Some("id")));
        }
    }

    #[test]
    fn a_client_is_verified_by_the_events_own_jwt_authorizer_and_by_nothing_else() {
        let of = |authorizer: Value| {
            http_api(|event| event["requestContext"]["authorizer"] = authorizer).unwrap().verified_client
        };
        for (claims, client) in [
            (json!({"sub": "vendor", "client_id": "c"}), "vendor"),
            (json!({"sub": "", "client_id": "c"}), "c"),
            (json!({"iss": "https://issuer.example"}), "unknown"),
        ] {
            assert_eq!(of(json!({"jwt": {"claims": claims, "scopes": null}})).as_deref(), Some(client));
        }
        for other in
            [json!(null), json!({}), json!({"jwt": null}), json!({"lambda": {"jwt": {"claims": {"sub": "x"}}}})]
        {
            assert_eq!(of(other.clone()), None, "{other}");
        }
        let told = http_api(|event| {
            let claims = json!({"requestContext": {"authorizer": {"jwt": {"claims": {"sub": "vendor"}}}}});
            event["body"] = claims.to_string().into();
            event["headers"]["authorizer"] = claims.to_string().into();
            event["authorizer"] = claims["requestContext"]["authorizer"].clone();
        });
        assert_eq!(told.unwrap().verified_client, None);
        // A REST API has no JWT authorizer. An HTTP API of payload format 1.0 is not what the template deploys.
        let told = rest_api(|event| event["requestContext"]["authorizer"] = json!({"claims": {"sub": "vendor"}}));
        assert_eq!(told.unwrap().verified_client, None);
    }

    #[test]
    fn a_body_in_base64_is_taken_out_of_it_and_a_broken_one_is_no_panic() {
        let told = |text: &str| {
            http_api(|event| {
                event["body"] = text.into();
                event["isBase64Encoded"] = true.into();
            })
        };
        assert_eq!(told("/wA=").unwrap().body, [0xff, 0].as_slice());
        assert_eq!(told("!").err(), Some(EventFault::Body));
    }

    #[test]
    fn what_is_no_request_is_refused_without_repeating_it() {
        assert!(matches!(http_api(|event| event["body"] = 7.into()), Err(EventFault::Shape { .. })));
        for event in ["", "7", "{}", r#"{"version":"2.0"}"#, r#"{"Records":[{"eventSource":"aws:sqs"}]}"#] {
            assert!(matches!(Told::read(SplitEvent::of(event)), Err(EventFault::Shape { .. })), "{event}");
        }
        let fault = http_api(|event| event["headers"]["authorization"] = "hunter2\n".into()).err().unwrap();
        assert!(!format!("{fault} {fault:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_panic_is_caught_also_after_a_wait() {
        assert_eq!(caught(async { 7 }).await.unwrap(), 7);
        let panicking = async {
            tokio::task::yield_now().await;
            panic!("a fault of ours");
        };
        assert!(caught(panicking).await.is_err());
    }

    #[test]
    fn text_goes_back_as_text_and_other_bytes_as_base64() {
        let answer = |bytes: &'static [u8]| {
            serde_json::to_value(Format::Http.answer(Response::new(Bytes::from_static(bytes)))).unwrap()
        };
        assert_eq!(answer("é".as_bytes())["body"], "é");
        assert_eq!(answer("é".as_bytes())["isBase64Encoded"], false);
        assert_eq!(answer(b"\xff")["body"], "/w==");
        assert_eq!(answer(b"\xff")["isBase64Encoded"], true);
    }
}
