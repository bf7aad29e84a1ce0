//! The stored history that a command line names.

use std::path::Path;

use smartclean_push::adapters::files::FolderArchive;
use smartclean_push::history::Archive;

use crate::Failure;

/// Opens a data folder to be read.
pub(super) fn open(from: &str) -> Result<Box<dyn Archive>, Failure> {
    if from.starts_with("s3://") {
        return Err(Failure::usage(format!(
            "{from}: this command reads no buckets. Copy it first, for example with: aws s3 sync {from} data"
        )));
    }
    let archive = FolderArchive::open(Path::new(from)).map_err(|fault| Failure::usage(fault.to_string()))?;
    Ok(Box::new(archive))
}
