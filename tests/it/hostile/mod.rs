//! Hostile clients and values: their cost, and that other clients are served. Each case comes with its opposite, which is just
//! acceptable.

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
