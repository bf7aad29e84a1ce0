//! Where stored history is, as it is named on the command line.

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;

use history::lake::LakeStore;
use history::{Archive, ArchiveError};
use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::domain::display;

use crate::{Failure, cloud};

/// Opens a data folder, or `s3://bucket/prefix`, to read it.
pub(super) fn open(from: &str) -> Result<Box<dyn Archive>, Failure> {
    Ok(open_lake(from)?)
}

/// Opens a data folder, or `s3://bucket/prefix`, to write its lake.
pub(super) fn open_lake(data: &str) -> Result<Box<dyn LakeStore>, Failure> {
    if data.starts_with("s3://") {
        return cloud::bucket(data);
    }
    let opened = FolderArchive::open(Path::new(data)).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Box::new(opened))
}

/// Names the damaged objects of a history, which are left out of what was printed.
///
/// # Errors
/// A [`Failure`] where there is any.
pub(super) fn complete<D: Display>(damaged: &[D]) -> Result<(), Failure> {
    for object in damaged {
        let _ = writeln!(anstream::stderr(), "{}", display::line(&object.to_string()));
    }
    match damaged.len() {
        0 => Ok(()),
        1 => Err(Failure::new("a damaged object was left out; it is named above")),
        several => Err(Failure::new(format!("{several} damaged objects were left out; they are named above"))),
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::new(error.to_string())
    }
}
