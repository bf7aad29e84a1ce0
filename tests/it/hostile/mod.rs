//! Clients that mean harm, and values that try to escape: what they cost us, and that others are served meanwhile.
//!
//! Each case comes with its opposite: what is just acceptable passes.

mod bombs;
mod devices;
mod events;
mod framing;
mod injection;
mod left_over;
mod refusals;
mod size;
mod slow;
mod support;
