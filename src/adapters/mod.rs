//! The ports' other sides, one file a technology.

#[cfg(feature = "aws")]
pub mod aws;
pub mod backed_store;
pub mod cached_credentials;
pub mod cached_rules;
#[cfg(any(feature = "aws", feature = "command"))]
mod due;
#[cfg(feature = "command")]
pub mod files;
pub mod fixed;
#[cfg(feature = "command")]
mod grouped;
#[cfg(feature = "function")]
pub mod heartbeat;
#[cfg(feature = "aws")]
pub mod https;
#[cfg(test)]
mod log_lines;
#[cfg(feature = "command")]
pub mod sqlite;
