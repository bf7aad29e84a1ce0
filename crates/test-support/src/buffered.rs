//! Buffered objects, as Firehose writes them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use smartclean_push::domain::archive::Object;
use smartclean_push::domain::buffered::to_record;

/// The bytes of a buffered object with these pushes: gzip of their records.
pub fn buffered<'o>(pushes: impl IntoIterator<Item = &'o Object>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for push in pushes {
        let record = to_record(push).expect("lines of JSON");
        encoder.write_all(&record).expect("memory takes every write");
    }
    encoder.finish().expect("memory takes every write")
}
