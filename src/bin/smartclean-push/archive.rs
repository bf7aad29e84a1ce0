//! Where stored history is read from, as it is named on the command line.

use std::path::Path;

use smartclean_push::adapters::files::FolderArchive;
use smartclean_push::history::{Archive, Unreadable};
use smartclean_push::lake::{LakeFiles, WholeArchive};

use crate::Failure;

/// Opens a data folder, or `s3://bucket/prefix`.
pub(super) fn open(from: &str) -> Result<Box<dyn Archive>, Failure> {
    if from.starts_with("s3://") {
        return bucket(from);
    }
    let opened = FolderArchive::open(Path::new(from)).map_err(|fault| Failure::usage(fault.to_string()))?;
    whole(opened)
}

/// With what has expired and is in the lake beside it.
fn whole(archive: impl LakeFiles + 'static) -> Result<Box<dyn Archive>, Failure> {
    Ok(Box::new(WholeArchive::over(archive).map_err(unreadable)?))
}

/// What cannot be read, told to the user.
pub(super) fn unreadable(fault: Unreadable) -> Failure {
    Failure::new(fault.to_string())
}

#[cfg(feature = "s3")]
fn bucket(from: &str) -> Result<Box<dyn Archive>, Failure> {
    use smartclean_push::adapters::aws::archive::S3Archive;
    use smartclean_push::config;

    whole(S3Archive::open(from, config::s3_path_style_of_env()).map_err(unreadable)?)
}

#[cfg(not(feature = "s3"))]
fn bucket(from: &str) -> Result<Box<dyn Archive>, Failure> {
    Err(Failure::usage(format!(
        "this build of the command reads no buckets. Build one that does, with cargo build --release --features s3, or \
         copy the objects here first: aws s3 sync {from} copy, and then name the folder copy. A copy does not know when \
         its objects were received; the bucket does"
    )))
}
