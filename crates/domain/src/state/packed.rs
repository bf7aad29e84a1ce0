//! Packs times with values into short text: the zone state is read and written with every push, and DynamoDB bills each KB.
//!
//! The text is Base64 without padding. Each entry is the milliseconds since the entry before it (the first: since 1970) as
//! zigzag LEB128, and a value. The value of a fingerprint is its 8 bytes, big-endian.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};

/// A value that is packed behind its time.
pub(super) trait Packed: Sized {
    fn push(&self, bytes: &mut Vec<u8>);
    /// Removes the value from the beginning of `bytes`. `None` if there is none.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

/// Packs entries, each a time in milliseconds and a value.
pub(super) fn serialize<T: Packed, S: Serializer>(entries: &[(i64, T)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::with_capacity(entries.len() * 12);
    let mut before = 0;
    for (at, value) in entries {
        push_number(&mut bytes, at - before);
        value.push(&mut bytes);
        before = *at;
    }
    serializer.serialize_str(&STANDARD_NO_PAD.encode(bytes))
}

/// Unpacks entries, ascending by time.
pub(super) fn deserialize<'de, T: Packed, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(i64, T)>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let mut entries = unpack(&text).ok_or_else(|| D::Error::custom("expected packed times and values"))?;
    entries.sort_by_key(|(at, _)| *at);
    Ok(entries)
}

fn unpack<T: Packed>(text: &str) -> Option<Vec<(i64, T)>> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let (mut left, mut before) = (bytes.as_slice(), 0_i64);
    let mut entries = Vec::with_capacity(bytes.len() / 4);
    while !left.is_empty() {
        before = before.checked_add(take_number(&mut left)?)?;
        Timestamp::from_millisecond(before).ok()?;
        entries.push((before, T::take(&mut left)?));
    }
    Some(entries)
}

pub(super) fn take_bytes<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

pub(super) fn push_number(bytes: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while left >= 0x80 {
        bytes.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
}

pub(super) fn take_number(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for position in 0..10 {
        let [byte] = take_bytes(bytes)?;
        number |= u64::from(byte & 0x7f).checked_shl(7 * position)?;
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::dedup_window::{DedupWindow, in_milliseconds};
    use super::*;

    #[test]
    fn numbers_of_every_length_survive_a_round_trip() {
        for number in [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, 60_000, 1_788_220_800_000, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            let mut left = bytes.as_slice();
            assert_eq!((take_number(&mut left), left), (Some(number), &[][..]), "{number}");
        }
        assert_eq!(take_number(&mut [0x80; 3].as_slice()), None);
        assert_eq!(take_number(&mut [0xff; 20].as_slice()), None);
    }

    #[test]
    fn a_time_is_rounded_up_to_milliseconds_and_not_further() {
        let milliseconds = |nanoseconds| in_milliseconds(Timestamp::from_nanosecond(nanoseconds).unwrap());
        assert_eq!((milliseconds(1), milliseconds(1_000_000), milliseconds(1_000_001)), (1, 1, 2));
        assert_eq!((milliseconds(-1), milliseconds(-1_000_000), milliseconds(-1_000_001)), (0, -1, -1));
        assert_eq!(in_milliseconds(Timestamp::MAX), Timestamp::MAX.as_millisecond());
    }

    #[test]
    fn a_value_of_another_type_is_an_error_with_the_expected_type() {
        let error = serde_json::from_str::<DedupWindow>(r#"{"readings":7}"#).unwrap_err().to_string();
        assert!(error.contains("expected a string"), "{error}");
    }
}
