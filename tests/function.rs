//! The functions as processes without their environment. `tests/it` runs the push function against the fake AWS.

use std::process::Command;

/// The log of a function that cannot start.
fn log_of(function: &str) -> String {
    let output = Command::new(function).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_function_without_its_environment_names_each_missing_variable() {
    let log = log_of(env!("CARGO_BIN_EXE_push-function"));
    for variable in ["RAW_BUCKET", "ALERT_TOPIC_ARN", "CREDENTIALS_SECRET_ARN", "STATE_TABLE", "RETRY_QUEUE_URL"] {
        assert!(log.contains(&format!("the environment variable {variable} is not set")), "{log}");
    }
    assert!(!log.contains("HEARTBEAT_URL"), "an optional variable: {log}");
}

#[test]
fn the_function_of_the_pages_needs_the_table_and_the_bucket_of_the_rules() {
    let log = log_of(env!("CARGO_BIN_EXE_board-function"));
    let named = |name: &&str| log.contains(&format!("the environment variable {name} is not set"));
    assert!(["RAW_BUCKET", "STATE_TABLE"].iter().all(named), "{log}");
    assert!(!["ALERT_TOPIC_ARN", "CREDENTIALS_SECRET_ARN", "RETRY_QUEUE_URL"].iter().any(named), "{log}");
}
