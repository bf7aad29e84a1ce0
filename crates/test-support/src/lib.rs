//! Shared by tests, fuzz targets and benchmarks: the ports in memory, and the properties of every parser.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod memory;
pub mod properties;
