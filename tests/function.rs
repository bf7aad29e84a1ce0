//! The push function as a process without its environment. `tests/it` runs it against the fake AWS.

use std::process::Command;

#[test]
fn a_function_without_its_environment_names_each_missing_variable() {
    let output = Command::new(env!("CARGO_BIN_EXE_push-function")).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    for variable in ["RAW_BUCKET", "ALERT_TOPIC_ARN", "CREDENTIALS_SECRET_ARN", "STATE_TABLE", "RETRY_QUEUE_URL"] {
        assert!(log.contains(&format!("the environment variable {variable} is not set")), "{log}");
    }
    assert!(!log.contains("HEARTBEAT_URL"), "an optional variable: {log}");
}
