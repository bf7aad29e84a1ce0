//! `replay`: processes stored history again.

mod raw;
mod rejected;
pub(super) mod table;

use clap::{Args, Subcommand};
use smartclean_push::{config, telemetry};

use crate::Failure;

/// Process stored history again: rejected items, or readings into a state
///
/// Sends no alert without --alerts, and changes no stored object. Running it twice has the same result as once.
#[derive(Debug, Args)]
pub(super) struct ReplayCommand {
    #[command(subcommand)]
    source: ReplaySource,
}

#[derive(Debug, Subcommand)]
enum ReplaySource {
    Rejected(rejected::RejectedCommand),
    Raw(raw::RawCommand),
}

impl ReplayCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        telemetry::command::start(config::verbosity());
        match self.source {
            ReplaySource::Rejected(command) => command.run(),
            ReplaySource::Raw(command) => command.run(),
        }
    }
}
