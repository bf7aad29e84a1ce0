//! Reads the rules files that a command line names.

use std::path::Path;

use analysis::words::plural;
use smartclean_push::domain::rules::{Diagnostic, RuleSet};
use smartclean_push::notify::read_rules;

use crate::output::note;
use crate::{Failure, OrFailure as _};

/// Reads a file that the command line names.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).or_usage(format_args!("{} cannot be read", path.display()))
}

/// The rules of a file, laid over the built-in ones; without a file the built-in ones. Prints warnings.
pub(super) fn load(path: Option<&Path>) -> Result<RuleSet, Failure> {
    match path {
        Some(path) => parse(&path.display().to_string(), &read(path)?),
        None => Ok(RuleSet::pack()),
    }
}

/// The rules of the text `bytes`, laid over the built-in ones. `name` is the name of the text. Prints warnings.
pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<RuleSet, Failure> {
    let rules = read_rules(name, bytes).map_err(|faults| {
        Failure::new(format!("{name} has {}:\n{}", plural(faults.len(), "fault"), listed(&faults)))
    })?;
    for warning in &rules.warnings {
        note(format_args!("warning: {warning}"));
    }
    Ok(rules)
}

/// One line for each diagnostic.
pub(super) fn listed(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
