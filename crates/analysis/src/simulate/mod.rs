//! A believable building: the pushes that its sensors would make, for trying rules, loads and failures.
//!
//! People come by the hour and the day of the week, and everything else follows from them: counts, smells, empty dispensers,
//! full bins, complaints. A seed decides all of it, so that two runs push the same to the letter.
//!
//! [`Fleet`] makes events in order of time, and [`Pushes`] packs them into bodies as the vendor's gateways do, with [`Faults`]
//! if they are wanted. None of these knows a clock, a file or a socket. A [`LedgerEntry`] records what was pushed and answered,
//! and [`verify()`] compares a ledger with what is stored.

mod building;
mod device;
mod dice;
mod faults;
mod fleet;
mod ledger;
mod pushes;
#[cfg(test)]
mod tests;
mod verify;
mod zone;

pub use self::faults::Faults;
pub use self::fleet::{Event, Fleet, Plan};
pub use self::ledger::{Answer, LedgerEntry, LedgerError, read_ledger};
pub use self::pushes::{Push, Pushes};
pub use self::verify::{Proof, verify};
