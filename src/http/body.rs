//! Reads request bodies within limits.

use std::error::Error;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mime::Mime;

use super::problem::Problem;
use crate::ingest::decode::Encoding;

/// The error of a body that a host ends because it arrives too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body took too long")]
pub struct BodyTimeout;

/// The body of a request.
pub trait RequestBody: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> {}

impl<B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>> RequestBody for B {}

/// The encoding in the header `Content-Encoding`.
///
/// # Errors
/// [`Problem::UnsupportedEncoding`] if it is not gzip, `identity` or empty, or is sent twice. A retry cannot help.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    match (values.next().map(HeaderValue::as_bytes), values.next()) {
        (None, _) => Ok(Encoding::Identity),
        (Some(name), None) if name.eq_ignore_ascii_case(b"identity") || name.is_empty() => Ok(Encoding::Identity),
        // RFC 9110 §8.4.1.3: "x-gzip" is gzip.
        (Some(name), None) if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
            Ok(Encoding::Gzip)
        }
        _ => Err(Problem::UnsupportedEncoding),
    }
}

/// The first bytes of gzip (RFC 1952 §2.3.1).
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
/// The first bytes of gzip that was decoded as UTF-8: 8B became U+FFFD.
const GZIP_AS_TEXT: &[u8] = "\u{1f}\u{fffd}".as_bytes();

/// The actual encoding of a body. A REST API decompresses gzip without removing the header.
pub(super) fn actual_encoding(announced: Encoding, body: &[u8]) -> Encoding {
    if body.starts_with(GZIP_MAGIC) || is_gzip_as_text(body) { announced } else { Encoding::Identity }
}

/// Whether a body is gzip that an HTTP API has decoded as text, which loses bytes.
pub(super) fn is_gzip_as_text(body: &[u8]) -> bool {
    body.starts_with(GZIP_AS_TEXT)
}

/// The media type in the header `Content-Type`, in lower case and without parameters; `None` if it is missing or invalid.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let mime: Mime = headers.get(CONTENT_TYPE)?.to_str().ok()?.parse().ok()?;
    Some(mime.essence_str().to_owned())
}

/// The length in the header `Content-Length`, in bytes; `max` if it is missing.
///
/// # Errors
/// [`Problem::TooLarge`] if it exceeds `max`.
pub(super) fn declared_length(headers: &HeaderMap, max: usize) -> Result<usize, Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    let length = declared.map_or(max, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if length > max { Err(Problem::TooLarge) } else { Ok(length) }
}

/// Reads a body of at most `max` bytes.
///
/// # Errors
/// [`Problem::TooLarge`]; [`Problem::TooSlow`] if the host ends the body; [`Problem::IncompleteBody`] if the client does.
pub(super) async fn read_bounded(body: impl RequestBody, max: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::TooLarge),
        Err(error) => {
            tracing::warn!(error = %error, "body not received");
            Err(if error.is::<BodyTimeout>() { Problem::TooSlow } else { Problem::IncompleteBody })
        }
    }
}
