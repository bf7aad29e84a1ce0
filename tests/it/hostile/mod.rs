//! Hostile clients and values: what they cost, and that other clients are served meanwhile. Each case comes with a
//! counterexample that is just acceptable.

mod bombs;
mod devices;
mod events;
mod framing;
mod injection;
mod pending_pushes;
mod refusals;
mod size;
mod slow;
mod support;
