//! What the function is told by its environment. Nothing else in the crate reads the environment, but for the AWS SDK,
//! which reads the variables that are its own.

#![expect(clippy::disallowed_methods, reason = "the location where the environment is read")]

use std::fmt;

use http::Uri;
use http::uri::InvalidUri;

use crate::auth::AuthMethods;
use crate::telemetry::Verbosity;

/// Where the rules are, below the bucket's root, unless `RULES_KEY` says otherwise.
const DEFAULT_RULES_KEY: &str = "config/rules.toml";

/// How much is logged, as the process's environment has it.
#[must_use]
pub fn verbosity() -> Verbosity {
    Verbosity::from_lookup(|name| std::env::var(name).ok())
}

/// The name of the Lambda function that this process is a copy of; `None` where it is none.
#[must_use]
pub fn function_name() -> Option<String> {
    std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok().filter(|name| !name.is_empty())
}

/// Whether the process's environment says by whose certificates servers are known: `SSL_CERT_FILE` or `SSL_CERT_DIR`.
#[must_use]
pub fn names_certificates() -> bool {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(is_set)
}

/// Whether S3 is addressed as `host/bucket/key`, as the process's environment has it: see
/// [`FunctionConfig::s3_path_style`].
#[must_use]
pub fn s3_path_style_of_env() -> bool {
    s3_path_style(|name| std::env::var(name).ok())
}

fn s3_path_style(lookup: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name: &&str| lookup(name).is_some_and(|value| !value.trim().is_empty());
    ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].iter().any(is_set)
}

/// What the function needs to know to do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionConfig {
    /// `RAW_BUCKET`: the bucket that keeps every reading, and the rules.
    pub raw_bucket: String,
    /// `ALERT_TOPIC_ARN`: the topic that alerts are published to.
    pub alert_topic_arn: String,
    /// `CREDENTIALS_SECRET_ARN`: the secret that says who may push.
    pub credentials_secret_arn: String,
    /// `SIGNING_KEY_SECRET_ARN`: the secret that holds the key of our tokens, where the credentials do not.
    pub signing_key_secret_arn: Option<String>,
    /// `STATE_TABLE`: the table that keeps what is remembered from one push to the next.
    pub state_table: String,
    /// `RETRY_QUEUE_URL`: the queue that holds what the bucket does not take.
    pub retry_queue_url: String,
    /// `RULES_KEY`: the key of the rules file in the bucket.
    pub rules_key: String,
    /// `HEARTBEAT_URL`: the URL that a sweep calls, so that a service outside AWS notices if sweeps end.
    /// What is no URL counts as none: an optional service must not keep pushes out.
    pub heartbeat_url: Option<Uri>,
    /// `AUTH_METHODS`: the enabled auth methods, for example `basic,oauth`; the default is `basic`.
    pub auth_methods: AuthMethods,
    /// Whether S3 is addressed as `host/bucket/key`: true where `AWS_ENDPOINT_URL` or `AWS_ENDPOINT_URL_S3` sends its
    /// requests to another host. S3 itself takes that form at every endpoint; its stand-ins often take no other.
    pub s3_path_style: bool,
}

/// What the function that compacts needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactConfig {
    /// `RAW_BUCKET`: the bucket that keeps every reading.
    pub raw_bucket: String,
    /// As [`FunctionConfig::s3_path_style`].
    pub s3_path_style: bool,
}

impl CompactConfig {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// As for [`FunctionConfig::from_env`].
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads an environment that `lookup` knows.
    ///
    /// # Errors
    /// As for [`FunctionConfig::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut variables = Variables::new(lookup);
        let config =
            Self { raw_bucket: variables.required("RAW_BUCKET"), s3_path_style: s3_path_style(&variables.lookup) };
        variables.checked(config)
    }
}

/// Everything that is wrong with the environment, in one message that says what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigError {
    missing: Vec<&'static str>,
    wrong: Vec<String>,
}

/// The variables of an environment, and what is wrong with them so far.
struct Variables<L> {
    lookup: L,
    fault: ConfigError,
}

impl<L: Fn(&str) -> Option<String>> Variables<L> {
    fn new(lookup: L) -> Self {
        Self { lookup, fault: ConfigError::default() }
    }

    fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The value of a variable; an empty text if it is missing, which is then a fault.
    fn required(&mut self, name: &'static str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.fault.missing.push(name);
            String::new()
        })
    }

    /// What was read, if nothing is wrong with it.
    fn checked<C>(self, config: C) -> Result<C, ConfigError> {
        if self.fault == ConfigError::default() { Ok(config) } else { Err(self.fault) }
    }
}

impl FunctionConfig {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`ConfigError`] names every variable that is missing or cannot be right. Only another deployment can help.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads an environment that `lookup` knows. A variable that is empty counts as missing, since a template that has
    /// nothing to say often says it with an empty text.
    ///
    /// # Errors
    /// As for [`Self::from_env`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut variables = Variables::new(lookup);
        let heartbeat_url = variables.optional("HEARTBEAT_URL").and_then(|url| {
            let wrong =
                |error: &InvalidUri| tracing::error!(url, %error, "HEARTBEAT_URL is not a URL: no sweep calls it");
            url.parse::<Uri>().inspect_err(wrong).ok()
        });
        let auth_methods = variables.optional("AUTH_METHODS").map_or(Ok(AuthMethods::default()), |list| list.parse());
        let config = Self {
            raw_bucket: variables.required("RAW_BUCKET"),
            alert_topic_arn: variables.required("ALERT_TOPIC_ARN"),
            credentials_secret_arn: variables.required("CREDENTIALS_SECRET_ARN"),
            signing_key_secret_arn: variables.optional("SIGNING_KEY_SECRET_ARN"),
            state_table: variables.required("STATE_TABLE"),
            retry_queue_url: variables.required("RETRY_QUEUE_URL"),
            rules_key: variables.optional("RULES_KEY").unwrap_or_else(|| DEFAULT_RULES_KEY.to_owned()),
            heartbeat_url,
            auth_methods: auth_methods.clone().unwrap_or_default(),
            s3_path_style: s3_path_style(&variables.lookup),
        };
        variables.fault.wrong.extend(config.wrong_topic());
        variables.fault.wrong.extend(auth_methods.err().map(|fault| format!("AUTH_METHODS: {fault}")));
        variables.checked(config)
    }

    fn wrong_topic(&self) -> Option<String> {
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

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sentences = Vec::new();
        if !self.missing.is_empty() {
            let s = if self.missing.len() == 1 { "" } else { "s" };
            sentences.push(format!("the environment variable{s} {} must be set", self.missing.join(", ")));
        }
        sentences.extend(self.wrong.iter().cloned());
        write!(
            f,
            "{}; template.yaml sets all of them: deploy the stack again, or set them by hand",
            sentences.join("; ")
        )
    }
}

impl std::error::Error for ConfigError {}

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
            let found = changes.iter().chain(&COMPLETE).find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        FunctionConfig::from_lookup(lookup).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_five_names_are_enough() {
        let config = read(&[]).unwrap();
        assert_eq!(config.raw_bucket, "readings");
        assert_eq!(config.rules_key, "config/rules.toml");
        assert!(!config.s3_path_style);
    }

    #[test]
    fn the_rules_may_be_elsewhere() {
        assert_eq!(read(&[("RULES_KEY", "config/night.toml")]).unwrap().rules_key, "config/night.toml");
        assert_eq!(read(&[("RULES_KEY", " ")]).unwrap().rules_key, "config/rules.toml");
    }

    #[test]
    fn doors_are_basic_alone_unless_a_list_says_otherwise() {
        assert_eq!(read(&[]).unwrap().auth_methods.to_string(), "basic");
        assert_eq!(read(&[("AUTH_METHODS", "")]).unwrap().auth_methods.to_string(), "basic");
        assert_eq!(read(&[("AUTH_METHODS", "oauth, basic")]).unwrap().auth_methods.to_string(), "basic,oauth");
        assert_eq!(
            read(&[("AUTH_METHODS", "iot")]).unwrap().auth_methods.to_string(),
            "iot",
            "AWS IoT hands readings to the function"
        );
        let message = read(&[("AUTH_METHODS", "basic,oauht")]).unwrap_err();
        assert!(message.contains("AUTH_METHODS: unknown auth method \"oauht\""), "{message}");
    }

    #[test]
    fn the_heartbeat_is_a_url_or_none() {
        let url = "https://hc-ping.com/0123";
        assert_eq!(read(&[("HEARTBEAT_URL", url)]).unwrap().heartbeat_url, Some(Uri::from_static(url)));
        assert_eq!(read(&[("HEARTBEAT_URL", "")]).unwrap().heartbeat_url, None);
        for wrong in ["not a url", "https://hc-ping.com/<uuid>", "https:///x"] {
            assert_eq!(
                read(&[("HEARTBEAT_URL", wrong)]).unwrap().heartbeat_url,
                None,
                "{wrong}: pushes are taken all the same"
            );
        }
    }

    #[test]
    fn another_endpoint_is_addressed_by_path() {
        assert!(read(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")]).unwrap().s3_path_style);
        assert!(read(&[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4566")]).unwrap().s3_path_style);
        assert!(!read(&[("AWS_ENDPOINT_URL", "")]).unwrap().s3_path_style);
        assert!(!read(&[("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:4566")]).unwrap().s3_path_style);
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let message = read(&[("RAW_BUCKET", ""), ("CREDENTIALS_SECRET_ARN", " ")]).unwrap_err();
        assert!(message.contains("variables RAW_BUCKET, CREDENTIALS_SECRET_ARN must be set"), "{message}");
        assert!(!message.contains("ALERT_TOPIC_ARN"), "{message}");
    }

    #[test]
    fn one_that_is_missing_and_one_that_is_wrong_are_named_together() {
        let message = read(&[("RAW_BUCKET", ""), ("ALERT_TOPIC_ARN", "alerts")]).unwrap_err();
        assert!(message.contains("variable RAW_BUCKET must be set; ALERT_TOPIC_ARN is \"alerts\""), "{message}");
    }

    #[test]
    fn the_function_that_compacts_needs_a_bucket() {
        let bucket = |name: &str| (name == "RAW_BUCKET").then(|| "readings".to_owned());
        assert_eq!(CompactConfig::from_lookup(bucket).unwrap().raw_bucket, "readings");
        assert!(CompactConfig::from_lookup(|_| None).unwrap_err().to_string().contains("RAW_BUCKET must be set"));
    }

    #[test]
    fn a_topic_that_cannot_reach_people_is_refused() {
        let fifo = "arn:aws:sns:ap-southeast-1:123456789012:alerts.fifo";
        assert!(read(&[("ALERT_TOPIC_ARN", fifo)]).unwrap_err().contains("does not deliver to email or SMS"));
    }
}
