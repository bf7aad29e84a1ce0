//! What carries requests to the one handler: a server of our own, or AWS Lambda.

#[cfg(all(feature = "function", feature = "lake"))]
pub mod compaction;
#[cfg(feature = "function")]
pub mod lambda;
#[cfg(feature = "command")]
pub mod server;
