//! What an operator does with a table of states and the function may not: read all of it.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;

use super::{DynamoStore, NOT_READ};
use crate::adapters::aws::items::{Item, number, text};
use crate::adapters::aws::{patient, told};
use crate::ingest::ports::UnavailableError;

impl DynamoStore {
    /// Keeps them in `table`, for an operator. Region and credentials are found as AWS's own command line finds them.
    ///
    /// # Errors
    /// If no region is configured, or the system gives no certificates.
    pub async fn of_operator(table: String) -> std::io::Result<Self> {
        let loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
        Ok(Self::new(Client::new(&patient(loader).await?), table))
    }

    /// The versions of all documents, by key. Reads the whole table.
    ///
    /// # Errors
    /// [`UnavailableError`] if DynamoDB does not answer, or there is no such table.
    pub async fn versions(&self) -> Result<HashMap<String, u64>, UnavailableError> {
        let scan = self.client.scan().table_name(&self.table).consistent_read(true);
        // Items of the rate limiter have no version.
        let scan = scan.filter_expression("attribute_exists(#version)").projection_expression("pk, #version");
        let pages = scan.expression_attribute_names("#version", "version").into_paginator().items().send();
        let items = pages.collect::<Result<Vec<Item>, _>>().await.map_err(|fault| told(NOT_READ, &fault))?;
        let versions = items.into_iter().map(|mut item| Ok((text(&mut item, "pk")?, number(&item, "version")?)));
        versions.collect::<Result<_, String>>().map_err(|fault| UnavailableError::new(NOT_READ, fault))
    }
}
