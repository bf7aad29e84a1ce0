//! `check`: whether a rules file can be used, and everything that is wrong with it.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use history::{Inventory, Period};
use serde_json::json;
use smartclean_push::domain::display;
use smartclean_push::domain::rules::{Diagnostic, RuleSet};

use crate::{Failure, archive, rules};

/// Check a rules file: every fault at once, each with its line and what to do
///
/// The file is laid over the built-in rules, as it is where it is used. Diagnostics and warnings go to standard output, one a
/// line. The exit code is 1 if there is a fault; a file with warnings can be used.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push check rules.toml
  smartclean-push check --from data rules.toml
  smartclean-push check --format json rules.toml | jq '.faults[].message'")]
pub(super) struct Check {
    /// The rules file
    #[arg(value_name = "RULES")]
    rules: PathBuf,
    /// Stored readings to compare the rules with: warns of ids that no reading has, and of devices that pause for longer
    /// than a rule allows. The data folder of `serve`, or s3://bucket
    #[arg(long, value_name = "FOLDER|s3://…")]
    from: Option<String>,
    /// How faults are told
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A line each: file, line, column, what is wrong, what to do
    Text,
    /// One object: `file`, `rules` (how many, if there is no fault), `faults`, `warnings`
    Json,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let file = self.rules.display().to_string();
        let mut damaged = Vec::new();
        let mut parsed = RuleSet::read(&file, &rules::read(&self.rules)?);
        if let (Ok(rules), Some(from)) = (&mut parsed, &self.from) {
            let history = Inventory::read(&*archive::open(from)?, &Period::default())?;
            rules.warnings.append(&mut history.warnings(rules));
            damaged = history.damaged;
        }
        let told = match self.format {
            Format::Text => display::lines(&text(&file, &parsed)),
            Format::Json => document(&file, &parsed),
        };
        let _ = writeln!(anstream::stdout(), "{told}");
        match parsed {
            Ok(_) => archive::complete(&damaged),
            Err(faults) => Err(Failure::new(format!("{file} has {}", rules::counted(faults.len())))),
        }
    }
}

fn text(file: &str, parsed: &Result<RuleSet, Vec<Diagnostic>>) -> String {
    match parsed {
        Ok(rules) => {
            let warnings: String = rules.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            format!("{warnings}{file}: no fault; with the built-in ones {} rules", rules.rules.len())
        }
        Err(faults) => rules::listed(faults),
    }
}

fn document(file: &str, parsed: &Result<RuleSet, Vec<Diagnostic>>) -> String {
    let document = match parsed {
        Ok(RuleSet { rules, warnings, .. }) => {
            json!({ "file": file, "rules": rules.len(), "faults": [], "warnings": warnings })
        }
        Err(faults) => json!({ "file": file, "faults": faults, "warnings": [] }),
    };
    document.to_string()
}
