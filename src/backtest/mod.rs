//! Rules judged by history: what they would have said, had they been in force.

pub mod findings;
