//! Buckets and tables in AWS, by whatever AWS's own command line is logged in with.

use std::collections::HashMap;

use history::lake::LakeStore;
use smartclean_push::adapters::aws::archive::S3Archive;
use smartclean_push::adapters::aws::dynamodb::DynamoStore;
use smartclean_push::config;
use smartclean_push::ingest::ports::StateStore;

use crate::Failure;

/// Opens `s3://bucket/prefix`.
pub(super) fn bucket(location: &str) -> Result<Box<dyn LakeStore>, Failure> {
    Ok(Box::new(S3Archive::open(location, config::s3_path_style_of_env())?))
}

/// Opens a table of states, and lists the versions of its documents.
pub(super) async fn table(name: &str) -> Result<(Box<dyn StateStore>, HashMap<String, u64>), Failure> {
    let unusable = |why: String| {
        Failure::new(format!(
            "dynamodb://{name} cannot be used: {why}. Are the table's name and AWS_REGION right, and may the profile \
             dynamodb:Scan, BatchGetItem and PutItem there?"
        ))
    };
    let store = DynamoStore::of_operator(name.to_owned()).await.map_err(|fault| unusable(fault.to_string()))?;
    let versions = store.versions().await.map_err(|fault| unusable(fault.chain()))?;
    Ok((Box::new(store), versions))
}
