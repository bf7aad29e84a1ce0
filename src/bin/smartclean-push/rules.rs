//! Rules as they are named on the command line.

use std::io::Write;
use std::path::Path;

use smartclean_push::domain::display;
use smartclean_push::domain::rules::{Diagnostic, RuleSet};

use crate::Failure;

/// A file that was named on the command line.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|fault| Failure::usage(format!("{} cannot be read: {fault}", path.display())))
}

/// The rules of a file laid over the built-in ones. Warnings go to standard error.
pub(super) fn of_file(path: &Path) -> Result<RuleSet, Failure> {
    parsed(&path.display().to_string(), &read(path)?)
}

/// The rules of a file laid over the built-in ones; `name` is what it is called. Warnings go to standard error.
pub(super) fn parsed(name: &str, bytes: &[u8]) -> Result<RuleSet, Failure> {
    let refused = |faults: Vec<Diagnostic>| format!("{name} has {}:\n{}", counted(faults.len()), listed(&faults));
    let rules = RuleSet::read(name, bytes).map_err(|faults| Failure::new(refused(faults)))?;
    warn(&rules.warnings);
    Ok(rules)
}

/// Prints warnings to standard error, a line each.
pub(super) fn warn(warnings: &[Diagnostic]) {
    for warning in warnings {
        let _ = writeln!(anstream::stderr(), "{}", display::lines(&format!("warning: {warning}")));
    }
}

/// "a fault", "3 faults".
pub(super) fn counted(faults: usize) -> String {
    if faults == 1 { "a fault".to_owned() } else { format!("{faults} faults") }
}

/// A line each.
pub(super) fn listed(faults: &[Diagnostic]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
