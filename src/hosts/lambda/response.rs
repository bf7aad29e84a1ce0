//! Responses in the payload formats of API Gateway.

use bytes::Bytes;
use http::Response;
use http::header::SET_COOKIE;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use lambda_http::aws_lambda_events::encodings;
use serde::Serialize;

/// A response to API Gateway.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ApiResponse {
    /// For an HTTP API with payload format 2.0.
    Http(ApiGatewayV2httpResponse),
    /// For a REST API, or an HTTP API with payload format 1.0.
    Rest(ApiGatewayProxyResponse),
}

/// The payload format of an event, and so of its response.
#[derive(Clone, Copy)]
pub(super) enum PayloadFormat {
    Http,
    Rest,
}

impl PayloadFormat {
    pub(super) fn response(self, response: Response<Bytes>) -> ApiResponse {
        let (parts, bytes) = response.into_parts();
        let (body, is_base64_encoded) = match String::from_utf8(bytes.into()) {
            Ok(text) => (encodings::Body::Text(text), false),
            Err(other) => (encodings::Body::Binary(other.into_bytes()), true),
        };
        let status_code = i64::from(parts.status.as_u16());
        match self {
            Self::Http => {
                let mut response = ApiGatewayV2httpResponse::default();
                response.status_code = status_code;
                // API Gateway joins headers of the same name, which would make one cookie of several.
                let cookies = parts.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
                response.cookies = cookies.map(str::to_owned).collect();
                response.headers = parts.headers;
                response.headers.remove(SET_COOKIE);
                response.body = Some(body);
                response.is_base64_encoded = is_base64_encoded;
                ApiResponse::Http(response)
            }
            Self::Rest => {
                let mut response = ApiGatewayProxyResponse::default();
                response.status_code = status_code;
                // Not in `headers` too: API Gateway sends a header that is in both twice.
                response.multi_value_headers = parts.headers;
                response.body = Some(body);
                response.is_base64_encoded = is_base64_encoded;
                ApiResponse::Rest(response)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cookie_is_returned_as_a_cookie() {
        let response = || Response::builder().header(SET_COOKIE, "a=1").header("x-a", "1").body(Bytes::new()).unwrap();
        let http = serde_json::to_value(PayloadFormat::Http.response(response())).unwrap();
        assert_eq!((&http["cookies"], &http["headers"]), (&json!(["a=1"]), &json!({ "x-a": "1" })));
        let rest = serde_json::to_value(PayloadFormat::Rest.response(response())).unwrap();
        assert_eq!(rest["multiValueHeaders"]["set-cookie"], json!(["a=1"]));
    }

    #[test]
    fn text_is_returned_as_text_and_other_bytes_as_base64() {
        let event = |bytes: &'static [u8]| {
            serde_json::to_value(PayloadFormat::Http.response(Response::new(Bytes::from_static(bytes)))).unwrap()
        };
        assert_eq!(event("é".as_bytes())["body"], "é");
        assert_eq!(event("é".as_bytes())["isBase64Encoded"], false);
        assert_eq!(event(b"\xff")["body"], "/w==");
        assert_eq!(event(b"\xff")["isBase64Encoded"], true);
    }
}
