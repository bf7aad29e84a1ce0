//! Rules and credentials that are known at the start and never change.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::auth::Credentials;
use crate::domain::rules::RuleSet;
use crate::ingest::ports::{CredentialSource, RuleSource, Unavailable};

/// Rules that never change.
#[derive(Clone, Debug)]
pub struct FixedRules(pub Arc<RuleSet>);

#[async_trait]
impl RuleSource for FixedRules {
    async fn current(&self, _now: Timestamp) -> Arc<RuleSet> {
        Arc::clone(&self.0)
    }
}

/// Credentials that never change.
#[derive(Clone, Debug)]
pub struct FixedCredentials(pub Arc<Credentials>);

#[async_trait]
impl CredentialSource for FixedCredentials {
    async fn current(&self, _now: Timestamp) -> Result<Arc<Credentials>, Unavailable> {
        Ok(Arc::clone(&self.0))
    }

    async fn refreshed(&self, _now: Timestamp) -> Option<Arc<Credentials>> {
        None
    }
}
