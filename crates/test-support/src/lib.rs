//! Shared by tests, fuzz targets and benchmarks: the ports in memory, buffered objects, and the properties of every
//! parser.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "fakes and properties panic if a test cannot go on or fails"
)]

pub mod buffered;
pub mod memory;
pub mod properties;
