//! The ports' other sides, one file a technology.

#[cfg(feature = "command")]
pub mod files;
pub mod memory;
