//! Reading a body within bounds.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::problem::Problem;
use crate::ingest::decode::Encoding;

/// Why a host gives up on a body before it has arrived, as the body's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Delayed {
    /// It came too slowly.
    #[error("the body took too long")]
    Sender,
    /// There was no room for it in time. A retry can help.
    #[error("there was no room for the body in time")]
    Receiver,
}

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

/// Refuses a body by its declared length, before a byte of it is read.
///
/// # Errors
/// [`Problem::TooLarge`].
pub(super) fn check_declared_length(headers: &HeaderMap, most: usize) -> Result<(), Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if declared.is_some_and(|length| length > most as u64) { Err(Problem::TooLarge) } else { Ok(()) }
}

/// The whole body, of at most `most` bytes.
///
/// # Errors
/// [`Problem::TooLarge`]; [`Problem::TooSlow`] and [`Problem::Busy`] as the host says; and [`Problem::IncompleteBody`] where
/// the sender did not finish.
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
            Err(match error.downcast_ref::<Delayed>() {
                Some(Delayed::Sender) => Problem::TooSlow,
                Some(Delayed::Receiver) => Problem::Busy,
                None => Problem::IncompleteBody,
            })
        }
    }
}
