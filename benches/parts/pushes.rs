//! The readings of the benchmarks: always the same, of the vendor's device types.

use crate::text::text_at;

/// 2026-09-01T00:00:00Z, in milliseconds since 1970.
const BEGIN: i64 = 1_788_220_800_000;
/// Milliseconds between two readings.
const STEP: i64 = 40;

/// The texts of `readings` readings from `zones` zones in turn: half from people counters, the others from air, soap and bin
/// sensors. Some cross a limit.
pub(crate) fn texts(readings: usize, zones: usize) -> Vec<String> {
    (0..readings).map(|number| text(number, number % zones)).collect()
}

fn text(number: usize, zone: usize) -> String {
    text_at(number, zone, BEGIN + STEP * i64::try_from(number).unwrap_or_default())
}
