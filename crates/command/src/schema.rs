//! `schema`: the JSON Schema of rules files.

use clap::Args;
use smartclean_push::domain::rules::SCHEMA;

use crate::Failure;
use crate::output::print_results;

/// Print a JSON Schema of rules files, for editors that complete and check TOML
///
/// With Even Better TOML or Taplo, put `#:schema rules.schema.json` into the first line of the rules file.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  smartclean-push schema > rules.schema.json")]
pub(super) struct SchemaCommand {}

impl SchemaCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        print_results(SCHEMA)
    }
}
