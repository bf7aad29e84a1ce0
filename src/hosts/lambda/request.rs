//! Parses the requests of API Gateway.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http::header::{COOKIE, HOST, HeaderValue};
use http::{Method, Request, Uri};
use http_body::{Body, Frame};
use http_body_util::StreamBody;
use lambda_http::aws_lambda_events::apigw::{
    ApiGatewayProxyRequestContext, ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequestContext,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::EventError;
use super::response::PayloadFormat;
use crate::domain::json;
use crate::sources::{Envelope, MemberError};

/// The characters to encode in a query (RFC 3986 §3.4). The percent sign is not: the query is encoded already.
const QUERY: &AsciiSet = &PATH.remove(b'?');
/// The characters to encode in a path (RFC 3986 §3.3).
const PATH: &AsciiSet = &without(NON_ALPHANUMERIC, b"-._~!$&'()*+,;=:@/%");

const fn without(set: &AsciiSet, mut characters: &[u8]) -> AsciiSet {
    let mut set = set.remove(b'%');
    while let [first, rest @ ..] = characters {
        set = set.remove(*first);
        characters = rest;
    }
    set
}

/// A request of API Gateway.
pub(super) struct ApiRequest<'e> {
    pub(super) format: PayloadFormat,
    pub(super) request: Request<EventBody<'e>>,
    pub(super) request_id: Option<String>,
    pub(super) source: Option<String>,
    pub(super) verified_client: Option<String>,
}

/// The body of an event. It is decoded when it is first polled: after the client is authenticated, except in a token request.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventBody<'e> {
    /// A JSON string; `None` if the request has no body.
    text: Option<&'e str>,
    is_base64: bool,
}

/// The body of an event is no Unicode text, or no Base64 although `isBase64Encoded` is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event's body is not encoded as the event says")]
pub(super) struct EventBodyError;

impl<'e> ApiRequest<'e> {
    /// Parses an event of either payload format.
    pub(super) fn parse(event: &Envelope<'e>) -> Result<Self, EventError> {
        match event.member::<Cow<'_, str>>("version")?.as_deref() {
            Some("2.0") => Self::parse_http_api(event),
            // REST APIs have no version. HTTP APIs have version "1.0" of the same format, with the stage in the path.
            version => Self::parse_rest_api(event, version.is_some()),
        }
    }

    fn parse_http_api(event: &Envelope<'e>) -> Result<Self, EventError> {
        let context: ApiGatewayV2httpRequestContext = event.member("requestContext")?.ok_or(EventError::Unknown)?;
        let path: Cow<'_, str> = event.member("rawPath")?.unwrap_or_default();
        let query: Cow<'_, str> = event.member("rawQueryString")?.unwrap_or_default();
        let uri = uri(without_stage(&path, context.stage.as_deref()), &query);
        let mut headers = one_value_each(event.member("headers")?.unwrap_or_default());
        // Cookies are not in the headers.
        let cookies: Option<Vec<String>> = event.member("cookies")?;
        headers.extend(cookies.map(|cookies| (COOKIE.to_string(), cookies)));
        Ok(Self {
            format: PayloadFormat::Http,
            request: request(event, context.http.method, uri, &headers, context.domain_name)?,
            request_id: context.request_id,
            source: context.http.source_ip,
            verified_client: context.authorizer.and_then(verified_client),
        })
    }

    fn parse_rest_api(event: &Envelope<'e>, has_stage_in_path: bool) -> Result<Self, EventError> {
        let context: ApiGatewayProxyRequestContext = event.member("requestContext")?.ok_or(EventError::Unknown)?;
        let stage = context.stage.as_deref().filter(|_| has_stage_in_path);
        let path: Cow<'_, str> = event.member("path")?.unwrap_or_default();
        let parameters: MultiValues = event.member("multiValueQueryStringParameters")?.unwrap_or_default();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(each_value(&parameters));
        let uri = uri(without_stage(&path, stage), &query.finish());
        // Only this member has all values of a header.
        let mut headers: MultiValues = event.member("multiValueHeaders")?.unwrap_or_default();
        if headers.is_empty() {
            headers = one_value_each(event.member("headers")?.unwrap_or_default());
        }
        Ok(Self {
            format: PayloadFormat::Rest,
            request: request(event, context.http_method, uri, &headers, context.domain_name)?,
            request_id: context.request_id,
            source: context.identity.source_ip,
            // A REST API has no JWT authorizer.
            verified_client: None,
        })
    }
}

/// Builds the request, with the host that API Gateway states: signatures are for a host, and the header `Host` is unverified.
fn request<'e>(
    event: &Envelope<'e>,
    method: Method,
    uri: Uri,
    headers: &MultiValues,
    host: Option<String>,
) -> Result<Request<EventBody<'e>>, MemberError> {
    let request = Request::builder().method(method).uri(uri);
    let sent = each_value(headers).filter(|(name, _)| !name.eq_ignore_ascii_case(HOST.as_str()));
    let request = sent.fold(request, |request, (name, value)| request.header(name, value));
    let request = match host.map(HeaderValue::try_from).transpose().map_err(|_| MemberError("requestContext"))? {
        Some(host) => request.header(HOST, host),
        None => request,
    };
    request.body(EventBody::parse(event)?).map_err(|_| MemberError("headers"))
}

/// The client of a token that the JWT authorizer of API Gateway has verified: its claim `sub`, else `client_id`.
fn verified_client(authorizer: ApiGatewayRequestAuthorizer) -> Option<String> {
    let mut claims = authorizer.jwt?.claims;
    let named = ["sub", "client_id"].into_iter().find_map(|claim| claims.remove(claim).filter(|name| !name.is_empty()));
    Some(named.unwrap_or_else(|| "unknown".to_owned()))
}

impl<'e> EventBody<'e> {
    fn parse(event: &Envelope<'e>) -> Result<Self, MemberError> {
        let is_base64 = event.member("isBase64Encoded")?.unwrap_or_default();
        let text = event.raw("body");
        let is_string = text.is_none_or(|text| text.starts_with('"'));
        if is_string { Ok(Self { text, is_base64 }) } else { Err(MemberError("body")) }
    }

    pub(super) fn into_stream(self) -> impl Body<Data = Bytes, Error = EventBodyError> {
        StreamBody::new(stream::once(async move { self.decoded().map(Frame::data) }))
    }

    fn decoded(self) -> Result<Bytes, EventBodyError> {
        let text = self.text.map_or_else(|| Some(Vec::new()), json::string).ok_or(EventBodyError)?;
        if self.is_base64 {
            return STANDARD.decode(text).map(Bytes::from).map_err(|_| EventBodyError);
        }
        Ok(text.into())
    }
}

type MultiValues = HashMap<String, Vec<String>>;

fn one_value_each(values: HashMap<String, String>) -> MultiValues {
    values.into_iter().map(|(name, value)| (name, vec![value])).collect()
}

fn each_value(values: &MultiValues) -> impl Iterator<Item = (&String, &String)> {
    values.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
}

/// Removes the stage from `path`. HTTP APIs add it, unless it is `$default`.
fn without_stage<'p>(path: &'p str, stage: Option<&str>) -> &'p str {
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Path and query as a URI; `/`, which has no route, if they are invalid.
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

    /// Leaks the event, because the request borrows it.
    fn parse(event: String) -> Result<ApiRequest<'static>, EventError> {
        ApiRequest::parse(&Envelope::parse(event.leak()).ok_or(EventError::Unknown)?)
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
        parse(event.to_string())
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
        parse(event.to_string())
    }

    #[test]
    fn the_host_is_that_of_api_gateway_whatever_the_client_sends() {
        let forged = json!({ "host": "other.example.com", "Host": "third.example.com" });
        for host in [Some("push.example.com"), None] {
            let change = |event: &mut Value| {
                event["headers"] = forged.clone();
                event["requestContext"]["domainName"] = host.into();
            };
            for request in [http_api(change).unwrap(), rest_api(change).unwrap()] {
                let hosts: Vec<_> = request.request.headers().get_all(HOST).iter().collect();
                assert_eq!(hosts, Vec::from_iter(host));
            }
        }
    }

    #[test]
    fn the_path_has_no_stage() {
        let at_stage = |path: &str, stage: &str| {
            let request = http_api(|event| {
                event["rawPath"] = path.into();
                event["requestContext"]["stage"] = stage.into();
            });
            request.unwrap().request.uri().path().to_owned()
        };
        assert_eq!(at_stage("/push", "$default"), "/push");
        assert_eq!(at_stage("/prod/push", "prod"), "/push");
        // Paths of a custom domain may have no stage.
        assert_eq!(at_stage("/push", "prod"), "/push");
        assert_eq!(at_stage("/push", "push"), "/push");
        assert_eq!(at_stage("/push/push", "push"), "/push");
        assert_eq!(at_stage("/production/push", "prod"), "/production/push");
        assert_eq!(rest_api(|_| ()).unwrap().request.uri().path(), "/push");
        // The path of a REST API has no stage.
        let request = rest_api(|event| event["path"] = "/prod/push".into()).unwrap();
        assert_eq!(request.request.uri().path(), "/prod/push");
        // The path of an HTTP API has it, even in payload format 1.0.
        let request = rest_api(|event| {
            event["version"] = "1.0".into();
            event["path"] = "/prod/push".into();
        });
        assert_eq!(request.unwrap().request.uri().path(), "/push");
    }

    #[test]
    fn any_path_and_query_become_a_uri() {
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
    fn the_query_of_a_rest_api_is_encoded() {
        let request = rest_api(|event| event["multiValueQueryStringParameters"] = json!({ "project": ["a&b", "c"] }));
        assert_eq!(request.unwrap().request.uri().query(), Some("project=a%26b&project=c"));
    }

    #[test]
    fn two_authorization_headers_are_never_reduced_to_one() {
        let request = rest_api(|event| {
            event["headers"]["Authorization"] = "Basic b".into();
            event["multiValueHeaders"]["Authorization"] = json!(["Basic a", "Basic b"]);
        });
        assert_eq!(request.unwrap().request.headers().get_all(AUTHORIZATION).iter().count(), 2);
        let request = http_api(|event| event["headers"]["authorization"] = "Basic a,Basic b".into()).unwrap();
        assert_eq!(request.request.headers()[AUTHORIZATION], "Basic a,Basic b");
    }

    #[test]
    fn each_cookie_is_a_header() {
        let request = http_api(|event| event["cookies"] = json!(["a=1", "b=2"])).unwrap().request;
        assert_eq!(request.headers().get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert_eq!(http_api(|_| ()).unwrap().request.headers().get(COOKIE), None);
    }

    #[test]
    fn a_request_has_source_address_and_request_id() {
        for request in [http_api(|_| ()).unwrap(), rest_api(|_| ()).unwrap()] {
            assert_eq!((request.source.as_deref(), request.request_id.as_deref()), (Some("192.0.2.7"), Some("id")));
        }
    }

    #[test]
    fn only_the_jwt_authorizer_of_the_event_verifies_a_client() {
        let client_of = |authorizer: Value| {
            http_api(|event| event["requestContext"]["authorizer"] = authorizer).unwrap().verified_client
        };
        for (claims, client) in [
            (json!({"sub": "vendor", "client_id": "c"}), "vendor"),
            (json!({"sub": "", "client_id": "c"}), "c"),
            (json!({"iss": "https://issuer.example"}), "unknown"),
        ] {
            assert_eq!(client_of(json!({"jwt": {"claims": claims, "scopes": null}})).as_deref(), Some(client));
        }
        for other in
            [json!(null), json!({}), json!({"jwt": null}), json!({"lambda": {"jwt": {"claims": {"sub": "x"}}}})]
        {
            assert_eq!(client_of(other.clone()), None, "{other}");
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
    fn a_base64_body_is_decoded_and_an_invalid_one_is_an_error() {
        let request = |text: &str| {
            http_api(|event| {
                event["body"] = text.into();
                event["isBase64Encoded"] = true.into();
            })
        };
        assert_eq!(request("/wA=").unwrap().request.into_body().decoded().unwrap(), [0xff, 0].as_slice());
        assert_eq!(request("!").unwrap().request.into_body().decoded(), Err(EventBodyError));
    }

    #[test]
    fn an_event_that_is_no_request_is_rejected_without_repeating_it() {
        assert!(matches!(http_api(|event| event["body"] = 7.into()), Err(EventError::Request(_))));
        for event in ["", "7", "{}", r#"{"version":"2.0"}"#, r#"{"Records":[{"eventSource":"aws:sqs"}]}"#] {
            assert_eq!(parse(event.to_owned()).err(), Some(EventError::Unknown), "{event}");
        }
        let error = http_api(|event| event["headers"]["authorization"] = "hunter2\n".into()).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
