//! The environment variables of the program. Only this module reads the environment, except for the AWS SDK, which reads its own
//! variables.

#![expect(clippy::disallowed_methods, reason = "the module that reads the environment")]

use http::Uri;
use http::uri::InvalidUri;

use crate::auth::AuthMethods;
use crate::ingest::{PublicUrl, PublicUrlError};
use crate::telemetry::Verbosity;

/// The log level.
#[must_use]
pub fn verbosity() -> Verbosity {
    Verbosity::from_lookup(|name| std::env::var(name).ok())
}

/// Whether the environment sets trusted certificates: `SSL_CERT_FILE` or `SSL_CERT_DIR`.
#[must_use]
pub fn names_certificates() -> bool {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(is_set)
}

/// The configuration of the function that receives pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionConfig {
    /// `RAW_BUCKET`: the bucket of the archive and of the rules.
    pub raw_bucket: String,
    /// `ALERT_TOPIC_ARN`: the topic of alerts.
    pub alert_topic_arn: String,
    /// `CREDENTIALS_SECRET_ARN`: the secret with the credentials of clients.
    pub credentials_secret_arn: String,
    /// `SIGNING_KEY_SECRET_ARN`: the secret with the signing key of tokens, if the credentials have none.
    pub signing_key_secret_arn: Option<String>,
    /// `STATE_TABLE`: the table of state documents.
    pub state_table: String,
    /// `RETRY_QUEUE_URL`: the queue for objects that could not be stored.
    pub retry_queue_url: String,
    /// `FIREHOSE_STREAM`: the name of the stream that takes pushes before the bucket does.
    pub firehose_stream: Option<String>,
    /// `HEARTBEAT_URL`: the URL that each sweep calls while messages are delivered, so that an external service notices if sweeps stop. An invalid one is
    /// ignored: an optional service must not stop pushes.
    pub heartbeat_url: Option<Uri>,
    /// `PUBLIC_URL`: the URL of this receiver for links in messages; without it, the one of the last accepted push. An invalid one is
    /// ignored, as an invalid `HEARTBEAT_URL`.
    pub public_url: Option<PublicUrl>,
    /// `AUTH_METHODS`: the enabled auth methods, for example `basic,oauth`. The default is `basic`.
    pub auth_methods: AuthMethods,
}

/// The configuration of the function that serves pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardConfig {
    /// `RAW_BUCKET`: the bucket of the rules.
    pub raw_bucket: String,
    /// `STATE_TABLE`: the table of state documents.
    pub state_table: String,
    /// `PUBLIC_URL`: the URL of the receiver, if it is not the one that the gateway sees. An invalid one is ignored.
    pub public_url: Option<PublicUrl>,
}

impl BoardConfig {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// See [`FunctionConfig::from_env`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut variables = Variables { lookup, errors: Vec::new() };
        let config = Self {
            raw_bucket: variables.required("RAW_BUCKET"),
            state_table: variables.required("STATE_TABLE"),
            public_url: variables.public_url("PUBLIC_URL"),
        };
        variables.checked(config)
    }
}

/// The bucket of the archive, for the compaction function: `RAW_BUCKET`.
///
/// # Errors
/// See [`FunctionConfig::from_env`].
pub fn raw_bucket() -> Result<String, ConfigError> {
    raw_bucket_from(|name| std::env::var(name).ok())
}

fn raw_bucket_from(lookup: impl Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let mut variables = Variables { lookup, errors: Vec::new() };
    let raw_bucket = variables.required("RAW_BUCKET");
    variables.checked(raw_bucket)
}

/// The environment is invalid. Has one sentence for each variable. A retry cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; template.yaml sets all variables: deploy the stack again, or set them by hand", .0.join("; "))]
pub struct ConfigError(Vec<String>);

/// The variables of an environment, and the errors in them so far.
struct Variables<L> {
    lookup: L,
    errors: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Variables<L> {
    fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The value of a variable. A missing one is an error, and empty here.
    fn required(&mut self, name: &'static str) -> String {
        let value = self.optional(name);
        self.errors.extend(value.is_none().then(|| format!("the environment variable {name} is not set")));
        value.unwrap_or_default()
    }

    /// The URL of this receiver in a variable; `None` if it is invalid.
    fn public_url(&self, name: &'static str) -> Option<PublicUrl> {
        let url = self.optional(name)?;
        let log = |error: &PublicUrlError| {
            tracing::error!(%error, name, url, "URL not valid, links have the host of the last push");
        };
        url.parse().inspect_err(log).ok()
    }

    fn checked<C>(self, config: C) -> Result<C, ConfigError> {
        if self.errors.is_empty() { Ok(config) } else { Err(ConfigError(self.errors)) }
    }
}

impl FunctionConfig {
    /// `METRICS_NAMESPACE`: the namespace of the metrics in CloudWatch. Without it the log has no metrics.
    #[must_use]
    pub fn metrics_namespace() -> Option<String> {
        std::env::var("METRICS_NAMESPACE").ok().filter(|name| !name.is_empty())
    }

    /// Reads the environment of the process.
    ///
    /// # Errors
    /// [`ConfigError`] with every variable that is missing or invalid. A retry cannot help.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables by `lookup`. An empty variable counts as missing, because templates set empty texts for absent parameters.
    ///
    /// # Errors
    /// See [`Self::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut variables = Variables { lookup, errors: Vec::new() };
        let heartbeat_url = variables.optional("HEARTBEAT_URL").and_then(|url| {
            // Without the value: a path can be a secret.
            let log = |error: &InvalidUri| tracing::error!(%error, "HEARTBEAT_URL is not a URL, no heartbeat is sent");
            url.parse::<Uri>().inspect_err(log).ok()
        });
        let public_url = variables.public_url("PUBLIC_URL");
        let auth_methods = variables.optional("AUTH_METHODS").map_or(Ok(AuthMethods::default()), |list| list.parse());
        let config = Self {
            raw_bucket: variables.required("RAW_BUCKET"),
            alert_topic_arn: variables.required("ALERT_TOPIC_ARN"),
            credentials_secret_arn: variables.required("CREDENTIALS_SECRET_ARN"),
            signing_key_secret_arn: variables.optional("SIGNING_KEY_SECRET_ARN"),
            state_table: variables.required("STATE_TABLE"),
            retry_queue_url: variables.required("RETRY_QUEUE_URL"),
            firehose_stream: variables.optional("FIREHOSE_STREAM"),
            heartbeat_url,
            public_url,
            auth_methods: auth_methods.clone().unwrap_or_default(),
        };
        variables.errors.extend(config.invalid_topic());
        variables.errors.extend(auth_methods.err().map(|error| format!("AUTH_METHODS: {error}")));
        variables.checked(config)
    }

    fn invalid_topic(&self) -> Option<String> {
        let arn = &self.alert_topic_arn;
        if arn.is_empty() {
            None
        } else if !arn.starts_with("arn:") {
            Some(format!("ALERT_TOPIC_ARN is \"{arn}\", which is not the ARN of a topic (arn:aws:sns:…)"))
        } else if arn.ends_with(".fifo") {
            Some(format!("ALERT_TOPIC_ARN is \"{arn}\": a FIFO topic does not deliver to email or SMS"))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: [(&str, &str); 5] = [
        ("RAW_BUCKET", "readings"),
        ("ALERT_TOPIC_ARN", "arn:aws:sns:ap-southeast-1:123456789012:alerts"),
        ("CREDENTIALS_SECRET_ARN", "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:push-AbCdEf"),
        ("STATE_TABLE", "state"),
        ("RETRY_QUEUE_URL", "https://sqs.ap-southeast-1.amazonaws.com/123456789012/retry"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<FunctionConfig, String> {
        let lookup = |name: &str| {
            let value = changes.iter().chain(&COMPLETE).find(|(key, _)| *key == name);
            value.map(|(_, value)| (*value).to_owned())
        };
        FunctionConfig::from_lookup(lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn the_five_required_variables_are_enough() {
        let config = read(&[]).unwrap();
        assert_eq!(config.raw_bucket, "readings");
    }

    #[test]
    fn the_default_auth_method_is_basic() {
        assert_eq!(read(&[]).unwrap().auth_methods.to_string(), "basic");
        assert_eq!(read(&[("AUTH_METHODS", "")]).unwrap().auth_methods.to_string(), "basic");
        assert_eq!(read(&[("AUTH_METHODS", "oauth, basic")]).unwrap().auth_methods.to_string(), "basic,oauth");
        assert_eq!(
            read(&[("AUTH_METHODS", "iot")]).unwrap().auth_methods.to_string(),
            "iot",
            "AWS IoT needs no other method"
        );
        let message = read(&[("AUTH_METHODS", "basic,oauht")]).unwrap_err();
        assert!(message.contains("AUTH_METHODS: unknown auth method \"oauht\""), "{message}");
    }

    #[test]
    fn an_empty_stream_is_none() {
        assert_eq!(read(&[]).unwrap().firehose_stream, None);
        assert_eq!(read(&[("FIREHOSE_STREAM", "")]).unwrap().firehose_stream, None);
        assert_eq!(read(&[("FIREHOSE_STREAM", "pushes")]).unwrap().firehose_stream.as_deref(), Some("pushes"));
    }

    #[test]
    fn an_invalid_heartbeat_url_is_ignored() {
        let url = "https://hc-ping.com/0123";
        assert_eq!(read(&[("HEARTBEAT_URL", url)]).unwrap().heartbeat_url, Some(Uri::from_static(url)));
        assert_eq!(read(&[("HEARTBEAT_URL", "")]).unwrap().heartbeat_url, None);
        for wrong in ["not a url", "https://hc-ping.com/<uuid>", "https:///x"] {
            assert_eq!(read(&[("HEARTBEAT_URL", wrong)]).unwrap().heartbeat_url, None, "{wrong}: the function starts");
        }
    }

    #[test]
    fn an_invalid_public_url_is_ignored() {
        let url = |url: &str| read(&[("PUBLIC_URL", url)]).unwrap().public_url.map(|url| url.to_string());
        assert_eq!(url("https://push.example.com").as_deref(), Some("https://push.example.com"));
        for wrong in ["", "push.example.com", "https://push.example.com/push"] {
            assert_eq!(url(wrong), None, "{wrong}: the function starts");
        }
    }

    #[test]
    fn all_missing_variables_are_reported_together() {
        let message = read(&[("RAW_BUCKET", ""), ("CREDENTIALS_SECRET_ARN", " ")]).unwrap_err();
        assert!(
            message.contains("RAW_BUCKET is not set; the environment variable CREDENTIALS_SECRET_ARN is not set"),
            "{message}"
        );
        assert!(!message.contains("ALERT_TOPIC_ARN"), "{message}");
    }

    #[test]
    fn missing_and_invalid_variables_are_reported_together() {
        let message = read(&[("RAW_BUCKET", ""), ("ALERT_TOPIC_ARN", "alerts")]).unwrap_err();
        assert!(message.contains("RAW_BUCKET is not set; ALERT_TOPIC_ARN is \"alerts\""), "{message}");
    }

    #[test]
    fn the_compaction_function_requires_a_bucket() {
        let bucket = |name: &str| (name == "RAW_BUCKET").then(|| "readings".to_owned());
        assert_eq!(raw_bucket_from(bucket).unwrap(), "readings");
        assert!(raw_bucket_from(|_| None).unwrap_err().to_string().contains("RAW_BUCKET is not set"));
    }

    #[test]
    fn the_board_function_requires_a_bucket_and_a_table() {
        let lookup = |name: &str| ["RAW_BUCKET", "STATE_TABLE"].contains(&name).then(|| name.to_lowercase());
        let expected =
            BoardConfig { raw_bucket: "raw_bucket".into(), state_table: "state_table".into(), public_url: None };
        assert_eq!(BoardConfig::from_lookup(lookup), Ok(expected));
        let message = BoardConfig::from_lookup(|_| None).unwrap_err().to_string();
        assert!(
            message.contains("RAW_BUCKET is not set; the environment variable STATE_TABLE is not set"),
            "{message}"
        );
    }

    #[test]
    fn a_fifo_topic_is_rejected() {
        let fifo = "arn:aws:sns:ap-southeast-1:123456789012:alerts.fifo";
        assert!(read(&[("ALERT_TOPIC_ARN", fifo)]).unwrap_err().contains("does not deliver to email or SMS"));
    }
}
