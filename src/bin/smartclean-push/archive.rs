//! Where stored readings are read from, as it is named on the command line.

use std::path::Path;

use smartclean_push::adapters::files::FolderArchive;
use smartclean_push::history::Archive;

use crate::Failure;

/// Opens the archive that `from` names: a data folder, or `s3://bucket/prefix`.
pub(super) fn open(from: &str) -> Result<Box<dyn Archive>, Failure> {
    let archive = FolderArchive::open(Path::new(from)).map_err(|fault| Failure::usage(fault.to_string()))?;
    Ok(Box::new(archive))
}
