//! Injection into terminal output: of `serve`, and of every other command that reads data from others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use super::{FIELDS, assert_plain, feedback, payloads};
use crate::hostile::support::{ServeProcess, exchange, push};
use crate::support::{body, command, files};

/// The stored data and the output of `serve` after pushes with every payload in every field and as an invalid item.
pub(super) struct Attacked {
    /// The parent folder of `data`.
    pub(super) folder: PathBuf,
    shown: String,
}

impl Attacked {
    fn by(name: &str, payloads: &[String]) -> Self {
        // Each alert is printed separately.
        let apart = tempfile::tempdir().unwrap();
        let rules = apart.path().join("rules.toml");
        std::fs::write(&rules, "[rate_limit]\nburst = 30000\n").unwrap();
        let server = ServeProcess::start_with(&["--rules", rules.to_str().unwrap()]);
        for (number, payload) in payloads.iter().enumerate() {
            let feedback = |field: &&'static str| {
                // Each has its own device and zone, so that no block suppresses an alert.
                let own = format!("own-{number}-{field}");
                let others = ["DEVID", "InsID"].into_iter().filter(|name| name != field);
                let fields: Vec<_> =
                    [(*field, payload.as_str())].into_iter().chain(others.map(|name| (name, &*own))).collect();
                feedback(jiff::Timestamp::now(), &fields)
            };
            let mut items: Vec<String> = FIELDS.iter().map(feedback).collect();
            // Rejected items are stored as well.
            items.extend([payload.clone(), format!("{{\"{payload}"), format!("{{}}{payload}")]);
            assert_eq!(exchange(server.address, push("", &body(&items))).unwrap().status, 200);
            assert_eq!(exchange(server.address, push("", payload.as_bytes())).unwrap().status, 400);
        }
        let (stored, shown) = server.end();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&folder);
        copy(stored.path(), &folder);
        Self { folder, shown }
    }

    /// Returns a copy of the folder for a command that writes.
    pub(super) fn copied(&self) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        copy(&self.folder, folder.path());
        folder
    }
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        std::fs::create_dir_all(to.join(&file).parent().unwrap()).unwrap();
        std::fs::copy(from.join(&file), to.join(&file)).unwrap();
    }
}

/// Returns a folder with all payloads.
pub(super) static ATTACKED: LazyLock<Attacked> = LazyLock::new(|| {
    Attacked::by("hostile-attacked", &payloads().into_iter().map(|(_, payload)| payload).collect::<Vec<_>>())
});

/// Returns the same with harmless names.
pub(super) static PLAIN: LazyLock<Attacked> = LazyLock::new(|| {
    let names: Vec<String> = (0..payloads().len()).map(|number| format!("Washroom {number}")).collect();
    Attacked::by("hostile-plain", &names)
});

/// Asserts that an output has no control characters except line feeds and the colours of the command, and no hidden characters.
fn assert_shown_plain(shown: &str, what: &str) {
    shown.split('\n').for_each(|line| assert_plain(&without_colours(line), what));
}

/// Returns `line` without the escape sequences with a single number, which the styles of the command use.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        match part[digits..].strip_prefix('m').filter(|_| (1..=2).contains(&digits)) {
            Some(rest) => plain.push_str(rest),
            None => plain.extend(["\u{1b}[", part]),
        }
    }
    plain
}

#[test]
fn own_colours_differ_from_injected_ones() {
    assert_eq!(without_colours("\u{1b}[1m\u{1b}[31mALERT\u{1b}[0m x"), "ALERT x");
    for others in ["\u{1b}[31;5mx", "\u{1b}]0;x\u{7}", "\u{1b}[2J", "\u{1b}[m"] {
        assert_eq!(without_colours(others), others);
    }
}

/// Runs a command with the output of a terminal, because output to a file could be filtered.
fn on_a_terminal(arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env_remove("NO_COLOR").env("CLICOLOR_FORCE", "1");
    command
}

/// Asserts that both outputs of a command are plain. Returns its exit code.
fn assert_output_plain(output: &Output, what: &str) -> Option<i32> {
    for bytes in [&output.stdout, &output.stderr] {
        assert_shown_plain(std::str::from_utf8(bytes).unwrap(), what);
    }
    output.status.code()
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    on_a_terminal(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn no_value_changes_the_two_lines_of_an_alert_on_the_terminal() {
    for attacked in [&PLAIN, &ATTACKED] {
        assert_shown_plain(&attacked.shown, "serve");
        assert!(attacked.shown.contains("\u{1b}[1m"), "the output has colours, as on a terminal");
        let alerts = without_colours(&attacked.shown);
        let lines: Vec<&str> = alerts.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines.len() >= 2 * payloads().len(), "{alerts}");
        for two in lines.chunks(2) {
            assert!(two[0].starts_with("ALERT [") && two[1].starts_with("      "), "{two:?}");
            assert!(!two[1].trim_start().starts_with("ALERT"), "{two:?}");
        }
    }
}

#[test]
fn commands_that_read_the_archive_sanitize_it() {
    let folder = ATTACKED.copied();
    std::fs::write(folder.path().join("rules.toml"), "[[rule]]\nid = \"bad-feedback\"\nat_least = 5\n").unwrap();
    for arguments in [
        &["backtest", "--from", "data", "--rules", "rules.toml", "--against", "built-in"][..],
        &["sla", "--from", "data", "--rules", "rules.toml"],
        &["replay", "rejected", "--from", "data", "--into", "data"],
        &["replay", "raw", "--from", "data", "--state", "again.db"],
        &["compact", "--data", "data", "--before", "2100-01-01"],
    ] {
        let output = run(folder.path(), arguments);
        assert_eq!(assert_output_plain(&output, arguments[0]), Some(0), "{arguments:?}: {output:?}");
        assert!(output.stdout.len() > 50, "{output:?}");
    }
}

#[test]
fn commands_that_read_a_file_sanitize_its_errors() {
    let folder = tempfile::tempdir().unwrap();
    for (attempt, payload) in commanding() {
        let quoted = toml_text(&payload);
        for (name, text) in [
            ("rules.toml", format!("[[rule]]\nid = {quoted}\nseverity = {quoted}\n{quoted} = 1\n")),
            ("rules.toml", format!("[[rule]]\nid = \"x\"\ntitle = {quoted}\nmessage = {quoted}\nmetric = {quoted}\n")),
            ("rules.toml", format!("[[rule]]\nid = \"soap-low\"\nbelow = {payload}\n")),
            ("cases.toml", format!("[[case]]\nname = {quoted}\nrun = {quoted}\n")),
            (
                "cases.toml",
                format!("[[case]]\nname = \"x\"\nrun = \"\"\"\n10:00 UM count={}\n\"\"\"\n", payload.replace('"', "")),
            ),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
            let verb = if name == "rules.toml" { "check" } else { "test" };
            let output = run(folder.path(), &[verb, name]);
            assert_eq!(assert_output_plain(&output, &format!("{attempt}, {verb}")), Some(1), "{output:?}");
        }
        std::fs::create_dir_all(folder.path().join("data/raw")).unwrap();
        let entry = serde_json::json!({
            "at": "2026-11-01T00:00:00Z", "batch": payload, "is_batch": true, "readings": 1, "rejections": 0,
            "object": payload, "text": "0".repeat(64), "status": 200,
        });
        for (line, shown) in [(entry.to_string(), "FAULT "), (payload, "line 1 is not one of a ledger")] {
            std::fs::write(folder.path().join("ledger.ndjson"), line + "\n").unwrap();
            let output = run(folder.path(), &["simulate", "--verify", "data", "--ledger", "ledger.ndjson"]);
            assert_eq!(assert_output_plain(&output, &format!("{attempt}, verify")), Some(1), "{output:?}");
            let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(printed.contains(shown), "{attempt}: {printed}");
        }
    }
}

/// Returns the payloads with an effect on a terminal that are short enough for an argument or a file name.
fn commanding() -> Vec<(&'static str, String)> {
    let of_a_terminal =
        ["a line of the terminal", "colours", "a title of the window", "controls of one byte", "letters back to front"];
    let all: Vec<_> = payloads().into_iter().filter(|(attempt, _)| of_a_terminal.contains(attempt)).collect();
    assert_eq!(all.len(), of_a_terminal.len());
    all
}

/// Returns a text as a TOML string.
fn toml_text(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| if c.is_control() || matches!(c, '"' | '\\') { format!("\\u{:04x}", c as u32) } else { c.to_string() })
        .collect();
    format!("\"{escaped}\"")
}

/// Starts an endpoint that answers each request with these bytes.
fn endpoint(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/push", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                let lower = line.to_lowercase();
                length = lower.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
                line.clear();
            }
            let mut sent = vec![0; length];
            let _ = reader.read_exact(&mut sent).and_then(|()| reader.get_mut().write_all(&answer));
        }
    });
    url
}

#[test]
fn commands_that_push_sanitize_the_response() {
    let folder = tempfile::tempdir().unwrap();
    for (attempt, payload) in commanding() {
        for status in ["200 OK", "418 Teapot"] {
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", payload.len());
            let url = endpoint([head.as_bytes(), payload.as_bytes()].concat());
            let tested = run(folder.path(), &["test-alert", &url]);
            assert_eq!(assert_output_plain(&tested, &format!("{attempt}, test-alert")), Some(1), "{tested:?}");
            let arguments = ["simulate", "--url", &url, "--devices", "1", "--days", "0.01", "--connections", "1"];
            assert_output_plain(&run(folder.path(), &arguments), &format!("{attempt}, simulate"));
        }
    }
}

#[test]
fn file_names_and_arguments_are_sanitized() {
    let folder = tempfile::tempdir().unwrap();
    for (attempt, payload) in commanding() {
        let name = payload.replace('/', "_");
        for arguments in [
            &["check", &name][..],
            &["test", &name],
            &["backtest", "--from", &name],
            &["replay", "rejected", "--from", &name],
            &["compact", "--data", &name],
            &["simulate", "--verify", &name, "--ledger", &name],
            &["simulate", "--url", &name],
            &["serve", "--listen", "127.0.0.1:0", "--rules", &name],
            &["test-alert", &name],
        ] {
            let output = run(folder.path(), arguments);
            assert_output_plain(&output, &format!("{attempt}: {arguments:?}"));
            assert_ne!(output.status.code(), Some(0), "{attempt}: {arguments:?}");
        }
    }
}
