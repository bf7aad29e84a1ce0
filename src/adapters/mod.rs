//! Implementations of the ports, one module per technology.

#[cfg(feature = "aws")]
pub mod aws;
pub mod cached_credentials;
pub mod cached_rules;
mod due_millis;
pub mod fallback_queue;
#[cfg(test)]
mod fixtures;
#[cfg(feature = "local")]
pub mod local;
