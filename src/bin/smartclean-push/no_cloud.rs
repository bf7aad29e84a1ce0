//! Stands in for `cloud.rs` in a build without AWS's code.

use std::collections::HashMap;

use history::lake::LakeStore;
use smartclean_push::ingest::ports::StateStore;

use crate::Failure;

/// Says how to get a command that opens `s3://bucket/prefix`.
pub(super) fn bucket(location: &str) -> Result<Box<dyn LakeStore>, Failure> {
    Err(Failure::usage(format!(
        "this build of the command uses no buckets. Build one that does, with cargo build --release --features s3, or copy \
         the objects here first: aws s3 sync {location} copy, and then name the folder copy. A copy does not know when its \
         objects were received; the bucket does"
    )))
}

/// Says how to get a command that opens a table of states.
pub(super) async fn table(_: &str) -> Result<(Box<dyn StateStore>, HashMap<String, u64>), Failure> {
    Err(Failure::usage(
        "this build of the command uses no tables. Build one that does: cargo build --release --features s3",
    ))
}
