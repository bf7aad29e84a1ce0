//! `replay`: processes stored history again.

mod raw;
mod rejected;
mod table;

use clap::{Args, Subcommand};
use smartclean_push::{config, telemetry};

use crate::Failure;

/// Read stored history again: what was rejected by today's reader, or raw readings into a state
///
/// Nothing is sent to anybody unless --alerts asks for it, nothing that is stored is changed, and doing it twice does it
/// once.
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
