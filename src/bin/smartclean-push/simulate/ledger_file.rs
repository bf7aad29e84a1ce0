//! The ledger as a file: added to, line by line, each written at once and whole.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::Failure;

/// A ledger that lines are added to, from any thread.
#[derive(Debug)]
pub(super) struct LedgerFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl LedgerFile {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let fault = |fault| {
            Failure::new(format!(
                "the ledger {} cannot be written: {fault}. Choose another with --ledger",
                path.display()
            ))
        };
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path).map_err(fault)?;
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(-1)).is_ok() {
            file.read_exact(&mut last).map_err(fault)?;
        }
        if last != *b"\n" {
            return Err(Failure::new(format!(
                "{} ends with half a line and is no ledger. Choose another with --ledger",
                path.display()
            )));
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, in one write: whatever ends the process, the line is there or it is not.
    pub(super) fn add(&self, line: &impl Serialize) -> Result<(), Failure> {
        let fault = |fault| Failure::new(format!("the ledger {} cannot be written: {fault}", self.path.display()));
        let mut text = serde_json::to_vec(line).map_err(|error| fault(error.into()))?;
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text).map_err(fault)
    }
}
