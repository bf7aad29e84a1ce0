//! The ports' other sides, one file a technology.

pub mod memory;
