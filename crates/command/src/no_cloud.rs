//! Replaces `cloud.rs` in a build without AWS code.

use history::lake::LakeStore;

use crate::Failure;
use crate::replay::table::StateTable;

/// Fails, and says how to read a bucket.
pub(super) fn bucket(location: &str) -> Result<Box<dyn LakeStore>, Failure> {
    Err(Failure::usage(format!(
        "this build of the command cannot read buckets. Install one that can: make install. Or copy the objects: \
         aws s3 sync {location} copy, and name the folder `copy`. The copy loses the times of receipt"
    )))
}

/// Fails, and says how to open a table.
pub(super) async fn table(_: &str) -> Result<StateTable, Failure> {
    Err(Failure::usage("this build of the command cannot use tables. Install one that can: make install"))
}
