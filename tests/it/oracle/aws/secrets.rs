//! Secrets Manager: one secret, rotated once, long ago.

use serde_json::json;

use super::{AwsRequest, AwsResponse, json_refusal, json_response};
use crate::support::{PASSWORD, USERNAME};

const PREVIOUS_PASSWORD: &str = "the-previous-one";

/// The secret.
#[derive(Debug, Default)]
pub(crate) struct FakeSecrets;

impl FakeSecrets {
    pub(super) fn perform(&self, request: &AwsRequest) -> AwsResponse {
        let parameters = request.json();
        if request.target() != "GetSecretValue" {
            return json_refusal(400, "InvalidRequestException");
        }
        let (password, version, stage) = match parameters["VersionStage"].as_str() {
            None | Some("AWSCURRENT") => (PASSWORD, "2", "AWSCURRENT"),
            Some("AWSPREVIOUS") => (PREVIOUS_PASSWORD, "1", "AWSPREVIOUS"),
            Some(_) => return json_refusal(400, "ResourceNotFoundException"),
        };
        let text = json!({ "username": USERNAME, "password": password }).to_string();
        json_response(
            200,
            &json!({
                "ARN": parameters["SecretId"], "Name": "push", "VersionId": version.repeat(32), "SecretString": text,
                "VersionStages": [stage], "CreatedDate": 1_760_000_000.0,
            }),
        )
    }
}
