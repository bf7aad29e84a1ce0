//! The functions as processes without their environment. `tests/it` runs the push function against the fake AWS.

use std::process::Command;

/// Whether the log of this function, which cannot start, names a variable as missing.
fn names_as_missing(function: &str) -> impl Fn(&&str) -> bool {
    let log = Command::new(function).env_clear().output().map(|output| {
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    });
    let log = log.unwrap_or_default();
    move |variable| log.contains(&format!("the environment variable {variable} is not set"))
}

#[test]
fn a_function_without_its_environment_names_each_missing_variable() {
    let is_missing = names_as_missing(env!("CARGO_BIN_EXE_push-function"));
    for variable in ["RAW_BUCKET", "ALERT_TOPIC_ARN", "CREDENTIALS_SECRET_ARN", "STATE_TABLE", "RETRY_QUEUE_URL"] {
        assert!(is_missing(&variable), "{variable}");
    }
    assert!(!is_missing(&"HEARTBEAT_URL"), "an optional variable");
}

#[test]
fn the_function_of_the_pages_needs_the_table_and_the_bucket_of_the_rules() {
    let is_missing = names_as_missing(env!("CARGO_BIN_EXE_board-function"));
    assert!(["RAW_BUCKET", "STATE_TABLE"].iter().all(&is_missing));
    assert!(!["ALERT_TOPIC_ARN", "CREDENTIALS_SECRET_ARN", "RETRY_QUEUE_URL"].iter().any(&is_missing));
}
