//! The AWS adapters against a mock service, which speaks the wire formats of AWS and fails on demand.

mod archive;
mod board;
#[cfg(target_os = "linux")]
mod connections;
mod dynamodb;
mod firehose;
mod mock_service;
mod reads;
mod s3;
mod sns;
mod sqs;
