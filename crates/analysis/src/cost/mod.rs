//! What a month costs in AWS: a workload becomes amounts that are billed, by how this program works, and those become money,
//! by one table of prices.
//!
//! Pure: the same workload costs the same, and every number can be followed. What is not known by the code is an
//! [`assumption`](assumptions), with where it is from.

pub mod assumptions;
pub mod bill;
pub mod prices;
mod usage;
pub mod workload;

pub use self::bill::{Bill, Lever, Line, best_lever, reckon};
pub use self::prices::Region;
pub use self::workload::Workload;
