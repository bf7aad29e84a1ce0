//! `schema`: a rules file as a JSON Schema.

use std::io::Write;

use clap::Args;
use smartclean_push::domain::rules::schema::schema;

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
        let cannot = |fault: &dyn std::fmt::Display| Failure::new(format!("the schema cannot be printed: {fault}"));
        let text = serde_json::to_string_pretty(&schema()).map_err(|fault| cannot(&fault))?;
        writeln!(anstream::stdout(), "{text}").map_err(|fault| cannot(&fault))
    }
}
