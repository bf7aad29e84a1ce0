//! What operators do with stored readings and rules: backtest rules, run rule cases, survey devices, simulate a building, estimate
//! costs, compute response times. All of it depends on `domain`, `notify` and `history` alone.

pub mod backtest;
pub mod cases;
pub mod cost;
pub mod report;
pub mod simulate;
pub mod sla;
pub mod survey;
pub mod words;
