//! The ledger against what is stored.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use analysis::simulate::{read_ledger, verify};
use smartclean_push::domain::display;

use crate::{Failure, archive};

/// Most faults that are named one by one.
const NAMED: usize = 10;

pub(super) fn run(path: &Path, data: &str) -> Result<(), Failure> {
    let path_shown = path.display();
    let file = File::open(path).map_err(|error| {
        Failure::usage(format!(
            "the ledger {path_shown} cannot be read: {error}. `simulate --url` writes it; name it with --ledger"
        ))
    })?;
    let ledger = read_ledger(BufReader::new(file)).map_err(|error| {
        Failure::new(format!("the ledger {path_shown}: {error}. Remove the file, or name another with --ledger"))
    })?;
    if ledger.is_empty() {
        return Err(Failure::new(format!(
            "the ledger {path_shown} has no push, so nothing can be verified. Push with `simulate --url`, which writes it"
        )));
    }
    let proof = verify(&ledger, archive::open(data)?.as_ref())?;
    if proof.answered + proof.refused == 0 && proof.faults.is_empty() {
        return Err(Failure::new(format!(
            "the endpoint acknowledged no push of the ledger {path_shown}, so nothing can be verified. Refused: {}; without an \
             answer: {}",
            proof.turned_away, proof.unanswered
        )));
    }
    let result = match proof.faults.len() {
        0 => format!("Proven: all that was acknowledged is stored in {data}, and nothing twice\n"),
        _ => proof.faults.iter().take(NAMED).map(|fault| format!("FAULT {}\n", display::line(fault))).collect(),
    };
    let _ = write!(anstream::stdout(), "{proof}\n{result}");
    match proof.faults.len() {
        0 => Ok(()),
        faults => Err(Failure::new(format!("{data} and {path_shown} do not agree. Faults: {faults}"))),
    }
}
