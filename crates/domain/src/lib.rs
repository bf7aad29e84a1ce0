//! Readings, rules, zone state and alerts. Every function is pure: no clock, environment, network, async or logging. The
//! current time is an argument.

pub mod alert;
pub mod archive;
pub mod batch;
pub mod breach;
pub mod buffered;
pub mod device;
pub mod digest;
pub mod display;
pub mod engine;
pub mod event_hub;
pub mod json;
pub mod location;
pub mod queued_object;
pub mod rate_limit;
pub mod reading;
pub mod response;
pub mod rules;
pub mod severity;
pub mod state;
pub mod time;
pub mod utf8;
mod words;
