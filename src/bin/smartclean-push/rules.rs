//! Rules as they are named on the command line.

use std::path::Path;

use smartclean_push::domain::rules::{Fault, RuleSet};

use crate::Failure;

/// The text of a rules file that was named on the command line.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|fault| Failure::usage(format!("{} cannot be read: {fault}", path.display())))
}

/// The rules of a file laid over the built-in ones.
pub(super) fn of_file(path: &Path) -> Result<RuleSet, Failure> {
    parsed(&path.display().to_string(), &read(path)?)
}

/// The rules of a text laid over the built-in ones; `name` is what the text is called.
pub(super) fn parsed(name: &str, text: &str) -> Result<RuleSet, Failure> {
    let refused = |faults: Vec<Fault>| format!("{name} has {}:\n{}", counted(faults.len()), listed(&faults));
    RuleSet::parse(name, text).map_err(|faults| Failure::new(refused(faults)))
}

/// "a fault", "3 faults".
pub(super) fn counted(faults: usize) -> String {
    if faults == 1 { "a fault".to_owned() } else { format!("{faults} faults") }
}

/// A line each.
pub(super) fn listed(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
