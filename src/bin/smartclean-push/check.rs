//! `check`: whether a rules file can be used, and everything that is wrong with it.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use smartclean_push::domain::rules::{Fault, RuleSet};
use smartclean_push::domain::shown;

use crate::{Failure, rules};

/// Check a rules file: every fault at once, each with its line and what to do
///
/// The file is laid over the built-in rules, as it is where it is used. Faults go to standard output, one a line; the exit
/// code is 1 where there are any.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push check rules.toml
  smartclean-push check --format json rules.toml | jq '.faults[].message'")]
pub(super) struct Check {
    /// The rules file
    #[arg(value_name = "RULES")]
    rules: PathBuf,
    /// How faults are told
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A line each: file, line, column, what is wrong, what to do
    Text,
    /// One object: `file`, `rules` (how many, where there is no fault), `faults`
    Json,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let file = self.rules.display().to_string();
        let parsed = RuleSet::parse(&file, &rules::read(&self.rules)?);
        let told = match self.format {
            Format::Text => shown::lines(&text(&file, &parsed)),
            Format::Json => document(&file, &parsed),
        };
        let _ = writeln!(anstream::stdout(), "{told}");
        match parsed {
            Ok(_) => Ok(()),
            Err(faults) => Err(Failure::new(format!("{file} has {}", rules::counted(faults.len())))),
        }
    }
}

fn text(file: &str, parsed: &Result<RuleSet, Vec<Fault>>) -> String {
    match parsed {
        Ok(rules) => format!("{file}: no fault; with the built-in ones {} rules", rules.rules.len()),
        Err(faults) => rules::listed(faults),
    }
}

fn document(file: &str, parsed: &Result<RuleSet, Vec<Fault>>) -> String {
    let fault = |fault: &Fault| {
        json!({
            "file": &*fault.location.file,
            "line": fault.location.line,
            "column": fault.location.column,
            "message": fault.message,
            "suggestion": fault.suggestion,
        })
    };
    let document = match parsed {
        Ok(rules) => json!({ "file": file, "rules": rules.rules.len(), "faults": [] }),
        Err(faults) => json!({ "file": file, "faults": faults.iter().map(fault).collect::<Vec<_>>() }),
    };
    document.to_string()
}
