//! The words of alerts: facts go in, one text for each way in which a message can arrive comes out.
//!
//! [`render::render`] makes the words of one message, [`digest::digest`] those of many at once. They are made when a message is
//! sent, from facts alone: the same message always has the same words.

pub mod attributes;
pub mod digest;
#[cfg(test)]
mod digest_tests;
#[cfg(test)]
mod edges_tests;
mod email;
mod facts;
#[cfg(test)]
mod fixtures;
pub mod gsm7;
mod later;
#[cfg(test)]
mod limits_tests;
mod list;
mod notice;
mod payload;
pub mod render;
mod sentence;
mod sms;
mod subject;
mod suppressed;
mod text;
#[cfg(test)]
mod text_tests;
#[cfg(test)]
mod trigger_tests;
mod when;

pub use self::text::{amount, in_words};
