//! Reads the whole table: for an operator, because the function's role does not permit it.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;

use super::{DynamoStore, NOT_READ};
use crate::adapters::aws::items::{TableItem, number, text};
use crate::adapters::aws::{bulk_config, unavailable};
use crate::ingest::ports::UnavailableError;

impl DynamoStore {
    /// Opens `table` for an operator. Finds region and credentials as the AWS CLI does.
    ///
    /// # Errors
    /// If no region is configured, or the machine has no certificates.
    pub async fn of_operator(table: String) -> std::io::Result<Self> {
        let loader = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12());
        Ok(Self::new(Client::new(&bulk_config(loader).await?), table))
    }

    /// The versions of all documents, by key. Reads the whole table.
    ///
    /// # Errors
    /// [`UnavailableError`] if DynamoDB does not respond, or there is no such table.
    pub async fn versions(&self) -> Result<HashMap<String, u64>, UnavailableError> {
        let scan = self.client.scan().table_name(&self.table).consistent_read(true);
        let scan = scan.projection_expression("pk, #version");
        let pages = scan.expression_attribute_names("#version", "version").into_paginator().items().send();
        let items =
            pages.collect::<Result<Vec<TableItem>, _>>().await.map_err(|error| unavailable(NOT_READ, &error))?;
        let versions = items.into_iter().map(|mut item| Ok((text(&mut item, "pk")?, number(&item, "version")?)));
        versions.collect::<Result<_, String>>().map_err(|error| UnavailableError::new(NOT_READ, error))
    }
}
