//! Undoing a body's content encoding, within bounds.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;

/// Most bytes that a body may have as it is sent: 10 MB, the payload limit of API Gateway's HTTP APIs.
pub const MAX_ENCODED: usize = 10_000_000;
/// Most bytes that a body may have once its encoding is undone. JSON of readings packs about 20:1, so that this is more
/// than honest senders reach within [`MAX_ENCODED`], and little enough to be held in memory twice.
pub const MAX_DECODED: usize = 64 << 20;

/// How a body is encoded (RFC 9110 §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
}

/// What a byte of gzip can become at most: DEFLATE's longest match, 258 bytes, in two bits (RFC 1951 §3.2.5).
const MOST_A_BYTE: usize = 1_032;

impl Encoding {
    /// Most bytes that a body of `length` bytes can become once it is decoded.
    #[must_use]
    pub fn most(self, length: usize) -> usize {
        match self {
            Self::Identity => length,
            Self::Gzip => length.saturating_mul(MOST_A_BYTE).min(MAX_DECODED),
        }
    }
}

/// Why a body could not be decoded. No retry of the same bytes can help.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It grows past [`MAX_DECODED`].
    #[error("the decoded body is larger than {MAX_DECODED} bytes")]
    TooLarge,
    /// It is not what its header says.
    #[error("the body is not gzip: {0}")]
    Corrupt(std::io::Error),
}

/// Undoes `encoding`.
///
/// # Errors
/// [`DecodeError`]; never holds more than [`MAX_DECODED`] bytes to find out.
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
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    pub(in crate::ingest) fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

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
