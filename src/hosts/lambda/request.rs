//! API Gateway's events as requests.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayProxyRequestContext, ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequestContext,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::EventError;
use super::answer::Format;
use crate::domain::json::Raw;
use crate::sources::{Envelope, MemberError};

/// RFC 3986 §3.4, and the percent sign of what is encoded already.
const QUERY: &AsciiSet = &PATH.remove(b'?');
/// RFC 3986 §3.3, and the percent sign of what is encoded already.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/')
    .remove(b'%');

/// A request as its event describes it.
pub(super) struct ApiRequest<'e> {
    pub(super) format: Format,
    pub(super) request: Request<EventBody<'e>>,
    pub(super) request_id: Option<String>,
    pub(super) source: Option<String>,
    pub(super) verified_client: Option<String>,
}

/// A body as its event holds it. It is unescaped and decoded when it is first polled, after the sender is authenticated.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventBody<'e> {
    /// A JSON string; `None` for a request without a body.
    text: Option<Raw<'e>>,
    is_base64: bool,
}

/// Why a body is not the bytes that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the event's body is not Unicode text")]
    Text,
    #[error("the event's body is not the Base64 that the event says it is")]
    Base64,
}

impl<'e> ApiRequest<'e> {
    /// Reads a request of either payload format.
    pub(super) fn read(event: &Envelope<'e>) -> Result<Self, EventError> {
        match event.member::<Cow<'_, str>>("version")?.as_deref() {
            Some("2.0") => Self::of_http_api(event),
            // REST APIs give no version. HTTP APIs give "1.0" to the same format, and have the stage in its path.
            version => Self::of_rest_api(event, version.is_some()),
        }
    }

    fn of_http_api(event: &Envelope<'e>) -> Result<Self, EventError> {
        let context: ApiGatewayV2httpRequestContext = event.member("requestContext")?.ok_or(EventError::Unknown)?;
        let path: Cow<'_, str> = event.member("rawPath")?.unwrap_or_default();
        let query: Cow<'_, str> = event.member("rawQueryString")?.unwrap_or_default();
        let uri = uri(without_stage(&path, context.stage.as_deref()), &query);
        let headers = one_value_each(event.member("headers")?.unwrap_or_default());
        Ok(Self {
            format: Format::Http,
            request: request(event, context.http.method, uri, &headers, context.domain_name)?,
            request_id: context.request_id,
            source: context.http.source_ip,
            verified_client: context.authorizer.and_then(verified_client),
        })
    }

    fn of_rest_api(event: &Envelope<'e>, has_stage_in_path: bool) -> Result<Self, EventError> {
        let context: ApiGatewayProxyRequestContext = event.member("requestContext")?.ok_or(EventError::Unknown)?;
        let stage = context.stage.as_deref().filter(|_| has_stage_in_path);
        let path: Cow<'_, str> = event.member("path")?.unwrap_or_default();
        let parameters: Values = event.member("multiValueQueryStringParameters")?.unwrap_or_default();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(each_value(&parameters));
        let uri = uri(without_stage(&path, stage), &query.finish());
        // Both have every header; this one has every value of it as well.
        let every_value: Option<Values> =
            event.member("multiValueHeaders")?.filter(|headers: &Values| !headers.is_empty());
        let headers = match every_value {
            Some(headers) => headers,
            None => one_value_each(event.member("headers")?.unwrap_or_default()),
        };
        Ok(Self {
            format: Format::Rest,
            request: request(event, context.http_method, uri, &headers, context.domain_name)?,
            request_id: context.request_id,
            source: context.identity.source_ip,
            // A REST API has no JWT authorizer.
            verified_client: None,
        })
    }
}

/// The request, to the host that API Gateway names: signatures are for a host, and a client can send any header `Host`.
fn request<'e>(
    event: &Envelope<'e>,
    method: Method,
    uri: Uri,
    headers: &Values,
    host: Option<String>,
) -> Result<Request<EventBody<'e>>, MemberError> {
    let mut request = Request::new(EventBody::read(event)?);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for (name, value) in each_value(headers) {
        let name = HeaderName::try_from(name).map_err(|_| MemberError("headers"))?;
        let value = HeaderValue::try_from(value).map_err(|_| MemberError("headers"))?;
        request.headers_mut().append(name, value);
    }
    request.headers_mut().remove(HOST);
    if let Some(host) = host {
        let host = HeaderValue::try_from(host).map_err(|_| MemberError("requestContext"))?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(request)
}

/// The client of the token that the API's JWT authorizer has verified: its claim `sub`, else `client_id`. API Gateway writes
/// this into the event beside the request's headers and body.
fn verified_client(authorizer: ApiGatewayRequestAuthorizer) -> Option<String> {
    let mut claims = authorizer.jwt?.claims;
    let named = ["sub", "client_id"].into_iter().find_map(|claim| claims.remove(claim).filter(|name| !name.is_empty()));
    Some(named.unwrap_or_else(|| "unknown".to_owned()))
}

impl<'e> EventBody<'e> {
    fn read(event: &Envelope<'e>) -> Result<Self, MemberError> {
        let is_base64 = event.member("isBase64Encoded")?.unwrap_or_default();
        let text = event.raw("body");
        let is_string = text.is_none_or(|text| text.as_str().starts_with('"'));
        if is_string { Ok(Self { text, is_base64 }) } else { Err(MemberError("body")) }
    }

    pub(super) fn into_stream(self) -> impl Body<Data = Bytes, Error = BodyError> {
        StreamBody::new(stream::once(async move { self.decoded().map(Frame::data) }))
    }

    fn decoded(self) -> Result<Bytes, BodyError> {
        let text = self.text.map_or_else(|| Some(String::new()), Raw::string).ok_or(BodyError::Text)?;
        if self.is_base64 {
            return STANDARD.decode(text).map(Bytes::from).map_err(|_| BodyError::Base64);
        }
        Ok(text.into())
    }
}

/// Values by name.
type Values = HashMap<String, Vec<String>>;

fn one_value_each(values: HashMap<String, String>) -> Values {
    values.into_iter().map(|(name, value)| (name, vec![value])).collect()
}

fn each_value(values: &Values) -> impl Iterator<Item = (&String, &String)> {
    values.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
}

/// `path` without the stage's name, which HTTP APIs put before it unless the stage is `$default`.
fn without_stage<'p>(path: &'p str, stage: Option<&str>) -> &'p str {
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Path and query as a URI; `/` if they cannot be one, which no route has.
fn uri(path: &str, query: &str) -> Uri {
    let mut text = utf8_percent_encode(path, PATH).to_string();
    if !query.is_empty() {
        text.push('?');
        text.extend(utf8_percent_encode(query, QUERY));
    }
    text.parse().unwrap_or_else(|_| Uri::from_static("/"))
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use serde_json::{Value, json};

    use super::*;

    /// Leaked, because a request borrows its event.
    fn read(event: String) -> Result<ApiRequest<'static>, EventError> {
        ApiRequest::read(&Envelope::read(event.leak()).ok_or(EventError::Unknown)?)
    }

    fn http_api(changes: impl FnOnce(&mut Value)) -> Result<ApiRequest<'static>, EventError> {
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
        read(event.to_string())
    }

    fn rest_api(changes: impl FnOnce(&mut Value)) -> Result<ApiRequest<'static>, EventError> {
        let mut event = json!({
            "resource": "/{proxy+}", "path": "/push", "httpMethod": "POST",
            "headers": {}, "multiValueHeaders": {}, "isBase64Encoded": false,
            "requestContext": {
                "path": "/prod/push", "stage": "prod", "httpMethod": "POST", "requestId": "id",
                "identity": { "sourceIp": "192.0.2.7" },
            },
        });
        changes(&mut event);
        read(event.to_string())
    }

    #[test]
    fn the_host_is_the_one_that_api_gateway_names_whatever_the_client_sends() {
        let forged = json!({ "host": "other.example.com", "Host": "third.example.com" });
        for named in [Some("push.example.com"), None] {
            let change = |event: &mut Value| {
                event["headers"] = forged.clone();
                event["requestContext"]["domainName"] = named.into();
            };
            for request in [http_api(change).unwrap(), rest_api(change).unwrap()] {
                let hosts: Vec<_> = request.request.headers().get_all(HOST).iter().collect();
                assert_eq!(hosts, Vec::from_iter(named));
            }
        }
    }

    #[test]
    fn the_stage_stays_out_of_the_path() {
        let at_stage = |path: &str, stage: &str| {
            let request = http_api(|event| {
                event["rawPath"] = path.into();
                event["requestContext"]["stage"] = stage.into();
            });
            request.unwrap().request.uri().path().to_owned()
        };
        assert_eq!(at_stage("/push", "$default"), "/push");
        assert_eq!(at_stage("/prod/push", "prod"), "/push");
        // By a domain of one's own, whose paths may have no stage.
        assert_eq!(at_stage("/push", "prod"), "/push");
        assert_eq!(at_stage("/push", "push"), "/push");
        assert_eq!(at_stage("/push/push", "push"), "/push");
        assert_eq!(at_stage("/production/push", "prod"), "/production/push");
        assert_eq!(rest_api(|_| ()).unwrap().request.uri().path(), "/push");
        // In a REST API's path there is no stage to take away.
        let request = rest_api(|event| event["path"] = "/prod/push".into()).unwrap();
        assert_eq!(request.request.uri().path(), "/prod/push");
        // In an HTTP API's there is, also in the older format.
        let request = rest_api(|event| {
            event["version"] = "1.0".into();
            event["path"] = "/prod/push".into();
        });
        assert_eq!(request.unwrap().request.uri().path(), "/push");
    }

    #[test]
    fn any_path_and_query_are_a_uri() {
        let uri = |path: &str, query: &str| {
            let request = http_api(|event| {
                event["rawPath"] = path.into();
                event["rawQueryString"] = query.into();
            });
            request.unwrap().request.uri().to_string()
        };
        assert_eq!(uri("/zones/厕 3/cleaned", "project=a b&x=%20"), "/zones/%E5%8E%95%203/cleaned?project=a%20b&x=%20");
        assert_eq!(uri("/a?b#c\u{0}\"<>", ""), "/a%3Fb%23c%00%22%3C%3E");
        assert_eq!(uri("", ""), "/");
        assert_eq!(uri("no/slash", ""), "/");
    }

    #[test]
    fn a_rest_apis_query_is_encoded_again() {
        let request = rest_api(|event| event["multiValueQueryStringParameters"] = json!({ "project": ["a&b", "c"] }));
        assert_eq!(request.unwrap().request.uri().query(), Some("project=a%26b&project=c"));
    }

    #[test]
    fn two_authorization_headers_stay_two_values_or_one_that_is_neither() {
        let request = rest_api(|event| {
            event["headers"]["Authorization"] = "Basic b".into();
            event["multiValueHeaders"]["Authorization"] = json!(["Basic a", "Basic b"]);
        });
        assert_eq!(request.unwrap().request.headers().get_all(AUTHORIZATION).iter().count(), 2);
        let request = http_api(|event| event["headers"]["authorization"] = "Basic a,Basic b".into()).unwrap();
        assert_eq!(request.request.headers()[AUTHORIZATION], "Basic a,Basic b");
    }

    #[test]
    fn the_caller_is_known_by_address_and_id() {
        for request in [http_api(|_| ()).unwrap(), rest_api(|_| ()).unwrap()] {
            assert_eq!((request.source.as_deref(), request.request_id.as_deref()), (Some("192.0.2.7"), Some("id")));
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
        let request = http_api(|event| {
            let claims = json!({"requestContext": {"authorizer": {"jwt": {"claims": {"sub": "vendor"}}}}});
            event["body"] = claims.to_string().into();
            event["headers"]["authorizer"] = claims.to_string().into();
            event["authorizer"] = claims["requestContext"]["authorizer"].clone();
        });
        assert_eq!(request.unwrap().verified_client, None);
        // A REST API has no JWT authorizer. An HTTP API of payload format 1.0 is not what the template deploys.
        let request = rest_api(|event| event["requestContext"]["authorizer"] = json!({"claims": {"sub": "vendor"}}));
        assert_eq!(request.unwrap().verified_client, None);
    }

    #[test]
    fn a_body_in_base64_is_taken_out_of_it_and_a_broken_one_is_no_panic() {
        let request = |text: &str| {
            http_api(|event| {
                event["body"] = text.into();
                event["isBase64Encoded"] = true.into();
            })
        };
        assert_eq!(request("/wA=").unwrap().request.into_body().decoded().unwrap(), [0xff, 0].as_slice());
        assert_eq!(request("!").unwrap().request.into_body().decoded(), Err(BodyError::Base64));
    }

    #[test]
    fn what_is_no_request_is_refused_without_repeating_it() {
        assert!(matches!(http_api(|event| event["body"] = 7.into()), Err(EventError::Request(_))));
        for event in ["", "7", "{}", r#"{"version":"2.0"}"#, r#"{"Records":[{"eventSource":"aws:sqs"}]}"#] {
            assert_eq!(read(event.to_owned()).err(), Some(EventError::Unknown), "{event}");
        }
        let fault = http_api(|event| event["headers"]["authorization"] = "hunter2\n".into()).err().unwrap();
        assert!(!format!("{fault} {fault:?}").contains("hunter2"));
    }
}
