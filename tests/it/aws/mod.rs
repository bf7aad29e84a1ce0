//! The AWS adapters against a stand-in that speaks the services' wire formats and fails when told to.

mod archive;
#[cfg(target_os = "linux")]
mod connections;
mod dynamodb;
mod reads;
mod s3;
mod sns;
mod sqs;
mod stand_in;
