//! Secrets Manager: one secret that was rotated once, long ago.

use serde_json::json;

use super::{Answer, Asked, json_answer, json_refusal};
use crate::support::{PASSWORD, USERNAME};

const PASSWORD_BEFORE: &str = "the-one-before";

/// The secret.
#[derive(Debug, Default)]
pub(crate) struct Vault;

impl Vault {
    pub(super) fn perform(&self, asked: &Asked) -> Answer {
        let asked_for = asked.json();
        if asked.target() != "GetSecretValue" {
            return json_refusal(400, "InvalidRequestException");
        }
        let (password, version, stage) = match asked_for["VersionStage"].as_str() {
            None | Some("AWSCURRENT") => (PASSWORD, "2", "AWSCURRENT"),
            Some("AWSPREVIOUS") => (PASSWORD_BEFORE, "1", "AWSPREVIOUS"),
            Some(_) => return json_refusal(400, "ResourceNotFoundException"),
        };
        let text = json!({ "username": USERNAME, "password": password }).to_string();
        json_answer(
            200,
            &json!({
                "ARN": asked_for["SecretId"], "Name": "push", "VersionId": version.repeat(32), "SecretString": text,
                "VersionStages": [stage], "CreatedDate": 1_760_000_000.0,
            }),
        )
    }
}
