//! Alert messages as text: renders one message as email, SMS, JSON and SNS attributes.
//!
//! A [`render::Renderer`] renders one message, or several as one digest, in one language. Rendering is pure: the same message
//! always gives the same texts.

pub mod attributes;
mod card;
mod digest;
#[cfg(test)]
mod digest_tests;
#[cfg(test)]
mod edges_tests;
pub mod email;
mod facts;
#[cfg(test)]
mod fixtures;
pub mod gsm7;
mod json;
#[cfg(test)]
mod limits_tests;
mod list;
mod location;
#[cfg(test)]
mod names_tests;
mod notice;
mod own_texts;
pub mod render;
pub mod rendered;
mod sentence;
mod sms;
mod subject;
mod text;
#[cfg(test)]
mod text_tests;
mod texts;
#[cfg(test)]
mod texts_tests;
mod time;
#[cfg(test)]
mod trigger_tests;

pub use self::card::{AlertCard, moment};
pub use self::own_texts::read_rules;
pub use self::text::{amount, duration, in_words};
