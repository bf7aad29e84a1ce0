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
        let delta = at - before;
        push_number(&mut bytes, ((delta << 1) ^ (delta >> 63)).cast_unsigned());
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
        let zigzag = take_number(&mut left)?;
        let delta = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
        before = before.checked_add(delta)?;
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

/// Packs a number as LEB128: seven bits in each byte, the lowest first.
pub(super) fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for position in 0..10 {
        let [byte] = take_bytes(bytes)?;
        number |= u64::from(byte & 0x7f).checked_shl(7 * position)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_a_byte_for_seven_bits_and_returns_unchanged() {
        for (number, length) in
            [(0, 1), (0x7f, 1), (0x80, 2), (0x3fff, 2), (0x4000, 3), (u64::MAX >> 1, 9), (u64::MAX, 10)]
        {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            assert_eq!(bytes.len(), length, "{number}");
            bytes.push(7);
            let mut left = bytes.as_slice();
            assert_eq!((take_number(&mut left), left), (Some(number), &[7][..]));
            assert_eq!(take_number(&mut &bytes[..length - 1]), None, "{number} without its last byte");
        }
        assert_eq!(take_number(&mut &[0xff; 11][..]), None, "more bits than a number has");
    }
}
