//! The ports' other sides, one file a technology.

#[cfg(feature = "aws")]
pub mod aws;
pub mod backed_store;
pub mod cached_credentials;
pub mod cached_rules;
mod due;
#[cfg(feature = "command")]
pub mod local;
#[cfg(test)]
mod log_lines;
