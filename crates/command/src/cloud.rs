//! Opens buckets and tables in AWS with the credentials of AWS's own command line.

use history::lake::LakeStore;
use smartclean_push::adapters::aws::archive::S3Archive;
use smartclean_push::adapters::aws::dynamodb::DynamoStore;

use crate::Failure;
use crate::replay::table::StateTable;

/// Opens `s3://bucket/prefix`.
pub(super) fn bucket(location: &str) -> Result<Box<dyn LakeStore>, Failure> {
    Ok(Box::new(S3Archive::open(location)?))
}

/// Opens a state table, and lists the versions of its documents.
pub(super) async fn table(name: &str) -> Result<StateTable, Failure> {
    let unusable = |error: String| {
        Failure::new(format!("dynamodb://{name} cannot be used: {error}")).with_remedy(
            "Check the name of the table and AWS_REGION. The profile requires dynamodb:Scan, BatchGetItem, PutItem and \
             PartiQLUpdate",
        )
    };
    let store = DynamoStore::of_operator(name.to_owned()).await.map_err(|error| unusable(error.to_string()))?;
    let versions = store.versions().await.map_err(|error| unusable(error.chain()))?;
    Ok(StateTable { store: Box::new(store), versions })
}
