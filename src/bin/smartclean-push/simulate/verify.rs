//! The ledger against what is stored.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use smartclean_push::domain::shown;
use smartclean_push::simulate::{Ledger, prove};

use crate::{Failure, archive};

/// Most faults that are named one by one.
const NAMED: usize = 10;

pub(super) fn run(ledger: &Path, data: &str) -> Result<(), Failure> {
    let shown = ledger.display();
    let file = File::open(ledger).map_err(|fault| {
        Failure::usage(format!(
            "the ledger {shown} cannot be read: {fault}. `simulate --url` writes it; name it with --ledger"
        ))
    })?;
    let ledger =
        Ledger::read(BufReader::new(file)).map_err(|fault| Failure::new(format!("the ledger {shown}: {fault}")))?;
    let archive = archive::open(data)?;
    let proof = prove(&ledger, archive.as_ref())?;
    let mut out = anstream::stdout();
    let _ = writeln!(out, "{proof}");
    if proof.holds() {
        let _ = writeln!(out, "Proven: all that was acknowledged is stored in {data}, and nothing twice");
        return Ok(());
    }
    let _ = writeln!(out);
    for fault in proof.faults.iter().take(NAMED) {
        let _ = writeln!(out, "FAULT {}", shown::line(&fault.to_string()));
    }
    let more = proof.faults.len().saturating_sub(NAMED);
    if more > 0 {
        let _ = writeln!(out, "and {more} more");
    }
    let count = if proof.faults.len() == 1 { "a fault".to_owned() } else { format!("{} faults", proof.faults.len()) };
    Err(Failure::new(format!("{data} and {shown} do not agree: {count}")))
}
