//! A believable building: the pushes that its sensors would make, for trying rules, loads and failures.
//!
//! People come by the hour and the day of the week, and everything else follows from them: counts, smells, empty
//! dispensers, full bins, complaints. A seed decides all of it, so that two runs push the same to the letter.
//!
//! [`Fleet`] makes events in order of time, [`Gateway`] cuts them into batches as the vendor's gateways do, and
//! [`Pushes`] makes bodies of them, with [`Faults`] where they are wanted. None of these knows a clock, a file or a socket.
//! A [`LedgerEntry`] records what was pushed and answered, and [`verify`] compares a ledger with what is stored.

mod building;
mod clock;
mod devices;
mod dice;
mod faults;
mod fleet;
mod gateway;
mod ledger;
mod pushes;
mod rhythm;
#[cfg(test)]
mod tests;
mod verify;
mod wire;
mod zone;

pub use self::clock::SiteClock;
pub use self::faults::{Faults, UnknownFault};
pub use self::fleet::{Event, Fleet, Plan};
pub use self::gateway::{Batch, Gateway, Item};
pub use self::ledger::{Answer, LedgerEntry, LedgerError, read_ledger};
pub use self::pushes::{Push, Pushes};
pub use self::verify::{Proof, verify};
