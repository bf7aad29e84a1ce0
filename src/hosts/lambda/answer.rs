//! Responses as API Gateway's answers.

use bytes::Bytes;
use http::Response;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayV2httpResponse};
use lambda_http::aws_lambda_events::encodings;
use serde::Serialize;

/// An answer as API Gateway takes it, in the form of the API that asked.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To an HTTP API, payload format 2.0.
    Http(ApiGatewayV2httpResponse),
    /// To a REST API, or an HTTP API of payload format 1.0.
    Rest(ApiGatewayProxyResponse),
}

/// The form of a request's event, which its answer has too.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Http,
    Rest,
}

impl Format {
    pub(super) fn answer(self, response: Response<Bytes>) -> Answer {
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

#[cfg(test)]
mod tests {
    use super::*;

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
