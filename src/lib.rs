//! x
pub mod domain;
pub mod ingest;
