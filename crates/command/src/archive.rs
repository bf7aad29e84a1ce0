//! Opens the stored history that a command line names.

use std::fmt::Display;
use std::path::Path;

use history::lake::LakeStore;
use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::domain::display;
use smartclean_push::{config, telemetry};

use crate::output::note;
use crate::{Failure, cloud};

/// Opens a data folder, or `s3://bucket/prefix`.
pub(super) fn open(location: &str) -> Result<Box<dyn LakeStore>, Failure> {
    // Reading it can warn.
    telemetry::command::start(config::verbosity());
    if location.starts_with("s3://") {
        return cloud::bucket(location);
    }
    let archive = FolderArchive::open(Path::new(location)).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Box::new(archive))
}

/// Names the damaged objects that the results leave out. Fails if there is any.
pub(super) fn fail_if_damaged<D: Display>(damaged: &[D]) -> Result<(), Failure> {
    for object in damaged {
        note(display::line(&object.to_string()));
    }
    match damaged.len() {
        0 => Ok(()),
        1 => Err(Failure::new("a damaged object was left out; it is named above")),
        several => Err(Failure::new(format!("{several} damaged objects were left out; they are named above"))),
    }
}
