//! Decodes the content encoding of a body, with a size limit.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// Maximum size of an encoded body in bytes: 10 MB, the payload limit of API Gateway's HTTP APIs.
pub const MAX_ENCODED: usize = 10_000_000;
/// Maximum size of a decoded body in bytes. JSON readings compress about 20:1, so a real sender stays below it within
/// [`MAX_ENCODED`]. Two such bodies fit into memory.
pub const MAX_DECODED: usize = 64 << 20;

/// How a body is encoded (RFC 9110 §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not encoded.
    Identity,
    /// gzip, RFC 1952.
    Gzip,
}

/// Maximum number of bytes that one byte of gzip can expand to: a match of 258 bytes in two bits (RFC 1951 §3.2.5).
const MAX_EXPANSION: usize = 1_032;

impl Encoding {
    /// Maximum decoded size in bytes of a body with `length` encoded bytes.
    #[must_use]
    pub fn most(self, length: usize) -> usize {
        match self {
            Self::Identity => length,
            Self::Gzip => length.saturating_mul(MAX_EXPANSION).min(MAX_DECODED),
        }
    }
}

/// Why a body cannot be decoded. A retry with the same bytes cannot help.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The decoded body exceeds [`MAX_DECODED`].
    #[error("the decoded body is larger than {MAX_DECODED} bytes")]
    TooLarge,
    /// The body is not valid gzip.
    #[error("the body is not gzip: {0}")]
    Corrupt(std::io::Error),
}

/// Decodes `body`.
///
/// # Errors
/// [`DecodeError`]. Decoding stops at [`MAX_DECODED`] bytes.
pub fn decode(body: Bytes, encoding: Encoding) -> Result<Bytes, DecodeError> {
    match encoding {
        Encoding::Identity => Ok(body),
        Encoding::Gzip => {
            let mut decoded = Vec::new();
            let bound = MAX_DECODED as u64 + 1;
            MultiGzDecoder::new(&body[..]).take(bound).read_to_end(&mut decoded).map_err(DecodeError::Corrupt)?;
            if decoded.len() > MAX_DECODED { Err(DecodeError::TooLarge) } else { Ok(decoded.into()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::fixtures::gzip;

    #[test]
    fn gzip_comes_back_to_the_letter_also_in_several_members() {
        assert_eq!(decode(gzip(b"[]"), Encoding::Gzip).unwrap(), "[]");
        let two = [gzip(b"["), gzip(b"]")].concat();
        assert_eq!(decode(two.into(), Encoding::Gzip).unwrap(), "[]");
    }

    #[test]
    fn what_is_not_gzip_or_ends_early_is_corrupt() {
        let mut cut = gzip(b"[\"{}\"]").to_vec();
        cut.truncate(cut.len() - 4);
        for body in [cut, b"[]".to_vec(), Vec::new()] {
            assert!(matches!(decode(body.into(), Encoding::Gzip), Err(DecodeError::Corrupt(_))));
        }
    }

    #[test]
    fn a_bomb_is_stopped_one_byte_past_the_bound() {
        let packed = gzip(&vec![b' '; MAX_DECODED]);
        assert!(Encoding::Gzip.most(packed.len()) >= MAX_DECODED && packed.len() < MAX_DECODED / 1_000);
        assert!(decode(packed, Encoding::Gzip).is_ok());
        assert!(matches!(decode(gzip(&vec![b' '; MAX_DECODED + 1]), Encoding::Gzip), Err(DecodeError::TooLarge)));
    }
}
