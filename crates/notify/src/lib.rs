//! Alert messages as text: renders one message as email, SMS, JSON and SNS attributes.
//!
//! [`render::render`] renders one message, [`digest::digest`] renders several as one. Rendering is pure: the same message always
//! gives the same texts.

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
mod follow_up;
pub mod gsm7;
#[cfg(test)]
mod limits_tests;
mod list;
mod notice;
mod payload;
pub mod render;
pub mod rendered;
mod sentence;
mod sms;
mod subject;
mod suppressed;
mod text;
#[cfg(test)]
mod text_tests;
mod time;
#[cfg(test)]
mod trigger_tests;

pub use self::text::{amount, in_words};
