//! `check`: everything that is wrong with a rules file.

use std::path::PathBuf;

use analysis::words::plural;
use clap::Args;
use history::{Inventory, Period};
use jiff::Timestamp;
use serde_json::json;
use smartclean_push::domain::display;
use smartclean_push::domain::rules::{Diagnostic, RuleSet};
use smartclean_push::notify::read_rules;

use crate::output::OutputFormat;
use crate::{Failure, archive, rules};

/// Check a rules file: print every fault with its line and what to do
///
/// The file is laid over the built-in rules, as `serve` and the function do. Faults and warnings go to standard output, one
/// a line. The exit code is 1 if there is a fault. A file with warnings can be used.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push check rules.toml
  smartclean-push check --from data rules.toml
  smartclean-push check --format json rules.toml | jq '.faults[].message'")]
pub(super) struct CheckCommand {
    /// The rules file
    #[arg(value_name = "RULES")]
    rules: PathBuf,
    /// Stored readings to compare the rules with: the data folder of `serve`, or s3://bucket. Warns about ids that no reading
    /// has, and about devices that pause for longer than a rule allows
    #[arg(long, value_name = "FOLDER|s3://…")]
    from: Option<String>,
    /// Format of the results. JSON is one object: `file`, `rules` (their number, without faults), `faults`, `warnings`
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

impl CheckCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let file = self.rules.display().to_string();
        let mut damaged = Vec::new();
        let mut checked = read_rules(&file, &rules::read(&self.rules)?);
        if let Ok(rules) = &mut checked {
            let warnings = [rules.unreached(), rules.ended_mutes(Timestamp::now())].concat();
            rules.warnings.extend(warnings);
        }
        if let (Ok(rules), Some(from)) = (&mut checked, &self.from) {
            let inventory = Inventory::read(&*archive::open(from)?, &Period::default())?;
            rules.warnings.append(&mut inventory.warnings(rules));
            damaged = inventory.damaged;
        }
        let results = match &checked {
            Ok(RuleSet { rules, warnings, .. }) => {
                json!({ "file": file, "rules": rules.len(), "faults": [], "warnings": warnings })
            }
            Err(faults) => json!({ "file": file, "faults": faults, "warnings": [] }),
        };
        self.format.print(&results, |_| display::lines(&text(&file, &checked)))?;
        match checked {
            Ok(_) => archive::fail_if_damaged(&damaged),
            Err(faults) => Err(Failure::new(format!("{file} has {}", plural(faults.len(), "fault")))),
        }
    }
}

fn text(file: &str, checked: &Result<RuleSet, Vec<Diagnostic>>) -> String {
    match checked {
        Ok(rules) => {
            let warnings: String = rules.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            format!("{warnings}{file}: no fault; with the built-in ones {} rules\n", rules.rules.len())
        }
        Err(faults) => rules::listed(faults) + "\n",
    }
}
