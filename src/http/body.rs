//! Reading a body within bounds.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::problem::Problem;
use crate::ingest::decode::Encoding;

/// The error of a body that a host cuts off because it arrives too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body took too long")]
pub struct BodyTimeout;

/// How the body is encoded, by its header.
///
/// # Errors
/// [`Problem::UnsupportedEncoding`] where that is neither gzip nor nothing.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let mut sent = headers.get_all(CONTENT_ENCODING).iter();
    match (sent.next().map(HeaderValue::as_bytes), sent.next()) {
        (None, _) => Ok(Encoding::Identity),
        (Some(name), None) if name.eq_ignore_ascii_case(b"identity") || name.is_empty() => Ok(Encoding::Identity),
        // RFC 9110 §8.4.1.3: "x-gzip" is the same.
        (Some(name), None) if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
            Ok(Encoding::Gzip)
        }
        _ => Err(Problem::UnsupportedEncoding),
    }
}

/// The length of a body in bytes by its header, before a byte of it is read; `most` if the header is missing.
///
/// # Errors
/// [`Problem::TooLarge`] if it is above `most`.
pub(super) fn declared_length(headers: &HeaderMap, most: usize) -> Result<usize, Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    let length = declared.map_or(most, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if length > most { Err(Problem::TooLarge) } else { Ok(length) }
}

/// The whole body, of at most `most` bytes.
///
/// # Errors
/// [`Problem::TooLarge`]; [`Problem::TooSlow`] if the host cuts the body off; [`Problem::IncompleteBody`] if the sender did
/// not finish.
pub(super) async fn read_bounded<B>(body: B, most: usize) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::TooLarge),
        Err(error) => {
            tracing::warn!(error = %error, "body not received whole");
            Err(if error.is::<BodyTimeout>() { Problem::TooSlow } else { Problem::IncompleteBody })
        }
    }
}
