//! Pushes to measure with: always the same, of the vendor's own kinds.

use crate::text::text_at;

/// 2026-09-01T00:00:00Z, in milliseconds since 1970.
const BEGIN: i64 = 1_788_220_800_000;
/// Between one reading and the next, in milliseconds.
const STEP: i64 = 40;

/// The texts of `readings` readings from `zones` zones in turn: half are people counters, the others air, soap and bins, and
/// now and then one breaks a limit.
pub(crate) fn texts(readings: usize, zones: usize) -> Vec<String> {
    (0..readings).map(|number| text(number, number % zones)).collect()
}

fn text(number: usize, zone: usize) -> String {
    text_at(number, zone, BEGIN + STEP * i64::try_from(number).unwrap_or_default())
}
