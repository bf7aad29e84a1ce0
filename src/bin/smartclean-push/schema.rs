//! `schema`: prints the JSON Schema of rules files.

use std::io::Write;

use clap::Args;
use smartclean_push::domain::rules::SCHEMA;

use crate::Failure;

/// Print a JSON Schema of rules files, for editors that complete and check TOML by one
///
/// With Even Better TOML or Taplo, put `#:schema rules.schema.json` into the first line of the rules file.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  smartclean-push schema > rules.schema.json")]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> Result<(), Failure> {
        let cannot = |error| Failure::new(format!("the schema cannot be printed: {error}"));
        anstream::stdout().write_all(SCHEMA.as_bytes()).map_err(cannot)
    }
}
