//! `replay`: what was stored, taken in once more.

mod raw;
mod rejected;
mod table;

use clap::{Args, Subcommand};
use smartclean_push::{config, telemetry};
use tokio::runtime::Runtime;

use crate::Failure;

/// Read stored history again: what was rejected by today's reader, or raw readings into a state
///
/// Nothing is sent to anybody unless --alerts asks for it, nothing that is stored is changed, and doing it twice does it
/// once.
#[derive(Debug, Args)]
pub(super) struct Replay {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Rejected(rejected::Rejected),
    Raw(raw::Raw),
}

impl Replay {
    pub(super) fn run(self) -> Result<(), Failure> {
        telemetry::command::start(config::verbosity());
        match self.what {
            What::Rejected(rejected) => rejected.run(),
            What::Raw(raw) => raw.run(),
        }
    }
}

/// Runs what waits.
fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|fault| Failure::new(format!("the program cannot start: {fault}")))
}

/// "1 reading", "2 readings".
fn count(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
