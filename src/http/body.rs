//! Reading a body within bounds.

use std::error::Error;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use mime::Mime;

use super::problem::Problem;
use crate::ingest::decode::Encoding;

/// The error of a body that a host cuts off because it arrives too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body took too long")]
pub struct BodyTimeout;

/// The body of a request.
pub trait RequestBody: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> {}

impl<B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>> RequestBody for B {}

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

/// How every gzip file begins (RFC 1952 §2.3.1).
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";
/// How it begins after somebody took it for text: 8B is not UTF-8, and has become U+FFFD.
const GZIP_AS_TEXT: &[u8] = "\u{1f}\u{fffd}".as_bytes();

/// How a body really is encoded. A REST API undoes gzip and leaves the header.
pub(super) fn actual_encoding(announced: Encoding, body: &[u8]) -> Encoding {
    if body.starts_with(GZIP_MAGIC) || is_gzip_as_text(body) { announced } else { Encoding::Identity }
}

/// Whether a body is gzip that an HTTP API has taken for text, which cannot be undone.
pub(super) fn is_gzip_as_text(body: &[u8]) -> bool {
    body.starts_with(GZIP_AS_TEXT)
}

/// The media type of the body by its header, in lower case and without parameters; `None` if there is no usable header.
pub(super) fn content_type(headers: &HeaderMap) -> Option<String> {
    let sent: Mime = headers.get(CONTENT_TYPE)?.to_str().ok()?.parse().ok()?;
    Some(sent.essence_str().to_owned())
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
pub(super) async fn read_bounded(body: impl RequestBody, most: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::TooLarge),
        Err(error) => {
            tracing::warn!(error = %error, "body not received whole");
            Err(if error.is::<BodyTimeout>() { Problem::TooSlow } else { Problem::IncompleteBody })
        }
    }
}
