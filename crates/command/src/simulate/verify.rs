//! Compares the ledger with what is stored.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use analysis::simulate::{read_ledger, verify};

use crate::output::{list, print};
use crate::{Failure, OrFailure as _, archive};

pub(super) fn run(path: &Path, data: &str) -> Result<(), Failure> {
    let ledger = format!("the ledger {}", path.display());
    let file = File::open(path).or_usage(format_args!("{ledger} cannot be read"));
    let file = file.map_err(|failure| failure.with_remedy("`simulate --url` writes it; name it with --ledger"))?;
    let entries = read_ledger(BufReader::new(file)).or_failure(&ledger);
    let entries = entries.map_err(|failure| failure.with_remedy("Remove the file, or name another with --ledger"))?;
    if entries.is_empty() {
        return Err(Failure::new(format!(
            "{ledger} has no push, so nothing can be verified. Push with `simulate --url`, which writes it"
        )));
    }
    let verification = verify(&entries, archive::open(data)?.as_ref())?;
    let faults = &verification.faults;
    if verification.accepted + verification.malformed == 0 && faults.is_empty() {
        return Err(Failure::new(format!(
            "the endpoint acknowledged no push of {ledger}, so nothing can be verified. Refused: {}; without an answer: {}",
            verification.refused, verification.unanswered
        )));
    }
    if faults.is_empty() {
        print(format_args!(
            "{verification}\nVerified: everything that was acknowledged is stored in {data}, and nothing twice\n"
        ));
        return Ok(());
    }
    print(format_args!("{verification}\n{}", list("FAULT ", faults)));
    Err(Failure::new(format!("{data} and {} do not agree. Faults: {}", path.display(), faults.len())))
}
