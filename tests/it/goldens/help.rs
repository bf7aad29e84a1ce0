//! Golden of `--help` of every command.

use std::process::{Command, Stdio};

use super::compare;

/// Returns the `--help` of a command and of all its subcommands, each after a line with the command.
fn help(command: &[&str]) -> String {
    let mut run = Command::new(env!("CARGO_BIN_EXE_smartclean-push"));
    // If a stream is a terminal, the help has its width.
    run.args(command).arg("--help").env("COLUMNS", "100").stdin(Stdio::null());
    let output = run.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{command:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let listed = text.split("\nCommands:\n").nth(1).unwrap_or_default().lines();
    let names = listed.take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split_whitespace().next());
    let below: String = names.filter(|name| *name != "help").map(|name| help(&[command, &[name]].concat())).collect();
    format!("$ {}\n{text}\n{below}", [&["smartclean-push"], command, &["--help"]].concat().join(" "))
}

#[test]
fn every_command_has_the_recorded_help() {
    let help = help(&[]);
    for command in ["serve", "replay raw", "test-alert"] {
        assert!(help.contains(&format!("$ smartclean-push {command} --help\n")), "{command} is missing");
    }
    compare([("golden/help.txt".to_owned(), help)]);
}
