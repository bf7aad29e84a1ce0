//! Simulates the pushes of a building, to try rules, loads and failures.
//!
//! People come by the hour and the day of the week. Everything else follows from them: counts, smells, empty dispensers, full
//! bins, complaints. The same seed gives the same bytes.
//!
//! [`Fleet`] generates events in order of time. [`Pushes`] packs them into bodies as the vendor's gateways do, with [`Faults`].
//! A [`LedgerEntry`] records a push and its response. [`verify()`] compares a ledger with what is stored. Nothing here reads a
//! clock, a file or a socket.
//!
//! ```
//! use analysis::simulate::{Faults, Plan, Pushes};
//! let from: jiff::ZonedDateTime = "2026-10-05T08:00[Asia/Singapore]".parse().unwrap();
//! let to = from.timestamp() + jiff::SignedDuration::from_hours(1);
//! let plan = Plan { devices: 16, from, to, seed: 1 };
//! let pushes = Pushes::new(&plan, jiff::SignedDuration::from_mins(15), Faults::default());
//! assert!(pushes.count() >= 4);
//! ```

mod building;
mod device;
mod faults;
mod fleet;
mod ledger;
mod pushes;
mod rng;
#[cfg(test)]
mod tests;
mod verify;
mod zone;

pub use self::faults::Faults;
pub use self::fleet::{Fleet, Plan, SimulatedEvent};
pub use self::ledger::{LedgerEntry, LedgerError, ResponseCounts, read_ledger};
pub use self::pushes::{Pushes, SimulatedPush};
pub use self::verify::{Verification, verify};
