//! Hosts that pass requests to the handler: the local server and AWS Lambda.

#[cfg(feature = "lake")]
pub mod compaction;
#[cfg(feature = "function")]
pub mod lambda;
#[cfg(feature = "local")]
pub mod server;
