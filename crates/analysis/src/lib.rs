//! What the command has beside receiving pushes. All of it stands on `domain` and on `history`.

pub mod backtest;
pub mod cases;
pub mod cost;
pub mod report;
pub mod simulate;
pub mod survey;
