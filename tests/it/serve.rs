//! The command as its user meets it: a process, its output, its files.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const COMMAND: &str = env!("CARGO_BIN_EXE_smartclean-push");
/// What is in a data folder in which nothing was stored yet.
const UNUSED: [&str; 5] = ["alerts.ndjson", "credentials.json", "serve.lock", "state.db", "write.lock"];

/// A running `serve`, ended when the test ends however it ends.
struct Server {
    child: Child,
    welcome: String,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Server {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::of(&mut command(arguments), data)
    }

    fn of(command: &mut Command, data: &Path) -> Self {
        let mut child = command.arg("--data").arg(data).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut welcome = String::new();
        while !welcome.contains("Stop with Ctrl-C") {
            assert_ne!(stdout.read_line(&mut welcome).unwrap(), 0, "ended early: {welcome}");
        }
        Self { child, welcome, stdout }
    }

    fn curl_line(&self) -> &str {
        self.welcome.lines().find(|line| line.starts_with("curl ")).unwrap()
    }

    /// Runs the line that it prints, as a user pastes it. Needs no curl: a stand-in with the same words sends it.
    fn paste(&self) -> (u16, Value) {
        let script = format!("curl() {{ for word; do printf '%s\\0' \"$word\"; done; }}\n{}", self.curl_line());
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        let words: Vec<_> = output.stdout.split(|byte| *byte == 0).collect();
        let text = |index: usize| std::str::from_utf8(words[index]).unwrap().to_owned();
        let (username, password) = text(1).split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned())).unwrap();
        push(&text(2), &username, &password, words[6])
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    fn end(mut self) -> (Option<i32>, String) {
        self.signal("-TERM");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(COMMAND);
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments).stderr(Stdio::piped());
    command.env_remove("PUSH_USERNAME").env_remove("PUSH_PASSWORD");
    command
}

fn push(url: &str, username: &str, password: &str, body: &[u8]) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer =
        agent.post(url).header("Authorization", crate::support::basic(username, password)).send(body).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
}

/// What `/metrics` tells, line by line.
fn metrics(server: &Server) -> Vec<String> {
    let url = server.curl_line().split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    let user = server.curl_line().split('\'').nth(1).unwrap();
    let (username, password) = user.split_once(':').unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.get(url.replace("/push", "/metrics"));
    let mut answer = request.header("Authorization", crate::support::basic(username, password)).call().unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    answer.body_mut().read_to_string().unwrap().lines().map(str::to_owned).collect()
}

fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    // SQLite's own companions come and go.
    found.retain(|file| !file.starts_with("state.db-"));
    found.sort();
    found
}

fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_printed_line_makes_an_alert_on_the_terminal_and_in_the_file() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let (status, answer) = server.paste();
    assert_eq!((status, &answer["accepted"], &answer["alerts"]), (200, &1.into(), &1.into()));
    let (code, terminal) = server.end();
    assert_eq!(code, Some(0));
    assert!(terminal.contains("ALERT [MEDIUM] Bad smell: Indoor Air Quality"), "{terminal}");
    assert!(!terminal.contains('\u{1b}'), "no colour where it is no terminal: {terminal:?}");
    let log = std::fs::read_to_string(data.path().join("alerts.ndjson")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["subject"], "[MEDIUM] Bad smell: Indoor Air Quality");
    let stored = files(data.path());
    assert_eq!(stored.iter().filter(|file| file.starts_with("raw/dt=")).count(), 1, "{stored:?}");
}

#[test]
fn what_happens_is_counted_whatever_is_logged() {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(&[]);
    let server = Server::of(command.env("RUST_LOG", "off"), data.path());
    let counted = |lines: &[String], name: &str| {
        let name = format!("smartclean_push_{name} ");
        lines.iter().find_map(|line| line.strip_prefix(&name)).map(|value| value.parse::<f64>().unwrap())
    };
    let before = metrics(&server);
    assert_eq!(counted(&before, "pushes_total"), Some(0.0), "{before:?}");
    server.paste();
    let url = server.curl_line().split_whitespace().find(|word| word.starts_with("http://")).unwrap();
    assert_eq!(push(url, "smartclean", "guessed", b"[]").0, 401);
    let after = metrics(&server);
    for (name, value) in [
        ("pushes_total", 1.0),
        ("readings_accepted_total", 1.0),
        ("readings_rejected_total", 0.0),
        ("alerts_fired_total", 1.0),
        ("alerts_sent_total", 1.0),
        ("auth_failures_total", 1.0),
        ("push_ms_count", 1.0),
    ] {
        assert_eq!(counted(&after, name), Some(value), "{name}: {after:?}");
    }
}

#[test]
fn credentials_are_made_once_and_outlive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let first = Server::start(data.path(), &[]);
    let line = first.curl_line().split(" http").next().unwrap().to_owned();
    first.end();
    let second = Server::start(data.path(), &[]);
    assert!(second.curl_line().starts_with(&line), "{line}");
    assert_eq!(second.paste().0, 200);
}

#[test]
fn a_wrong_password_is_refused_and_stores_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let url = server.curl_line().split(' ').find(|word| word.starts_with("http://")).unwrap();
    assert_eq!(push(url, "smartclean", "wrong", b"[]").0, 401);
    assert_eq!(push(url, "smartclean", "wrong", b"no batch").0, 401);
    assert_eq!(files(data.path()), UNUSED);
}

#[test]
fn a_broken_batch_is_refused_and_kept() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let text = std::fs::read_to_string(data.path().join("credentials.json")).unwrap();
    let made: Value = serde_json::from_str(&text).unwrap();
    let url = server.curl_line().split(' ').find(|word| word.starts_with("http://")).unwrap();
    assert_eq!(push(url, "smartclean", made["password"].as_str().unwrap(), b"[oops").0, 400);
    assert!(files(data.path()).iter().any(|file| file.starts_with("rejected/dt=")));
}

#[test]
fn unfinished_files_of_an_earlier_run_are_removed_and_no_others() {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("tmp")).unwrap();
    for name in [".smartclean-push-a1B2c3.unfinished", "thesis.tex"] {
        std::fs::write(data.path().join("tmp").join(name), b"{").unwrap();
    }
    let server = Server::start(data.path(), &[]);
    let mut left = files(data.path());
    left.retain(|file| file.starts_with("tmp/"));
    assert_eq!(left, ["tmp/thesis.tex"]);
    drop(server);
}

#[test]
fn a_second_server_is_refused_and_changes_nothing_until_the_first_has_ended_however() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Server::start(data.path(), &[]);
    let unfinished = data.path().join("tmp/.smartclean-push-a1B2c3.unfinished");
    std::fs::write(&unfinished, b"{").unwrap();
    let second = command(&["--data"]).arg(data.path()).output().unwrap();
    let said = failed(&second);
    assert!(said.contains(data.path().to_str().unwrap()) && said.contains("Stop that one, or choose"), "{said}");
    assert!(second.stdout.is_empty() && unfinished.exists());
    assert_eq!(first.paste().0, 200, "the first goes on");
    // As by kill -9: nothing is unlocked by the process itself.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let third = Server::start(data.path(), &[]);
    assert!(!unfinished.exists());
    assert_eq!(third.paste().0, 200);
}

#[test]
fn a_push_that_an_earlier_run_stored_and_did_not_evaluate_is_evaluated_at_start() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    assert_eq!(server.paste().1["alerts"], 1);
    server.end();
    // As if the process had ended right after it stored the push: what it remembers and sent is not there yet.
    for gone in ["state.db", "alerts.ndjson"] {
        std::fs::remove_file(data.path().join(gone)).unwrap();
    }
    std::fs::remove_dir_all(data.path().join("to-evaluate")).unwrap();
    std::fs::rename(data.path().join("metadata"), data.path().join("to-evaluate")).unwrap();
    let alerts = || std::fs::read_to_string(data.path().join("alerts.ndjson")).unwrap().lines().count();
    let is_noted = || files(data.path()).iter().any(|file| file.starts_with("metadata/raw/"));
    let server = Server::start(data.path(), &[]);
    let began = Instant::now();
    while !is_noted() {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not evaluated");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.end();
    assert_eq!(alerts(), 1);
    Server::start(data.path(), &[]).end();
    assert_eq!(alerts(), 1, "evaluated once");
}

#[test]
fn the_same_smell_again_is_known_and_silent_also_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let alerts = || {
        let server = Server::start(data.path(), &[]);
        let smell = crate::support::reading_with(
            "ODRDTR_BATT_V1",
            &serde_json::json!({"amm": 270}),
            &serde_json::json!({"unixT": jiff::Timestamp::now().as_millisecond()}),
        );
        let text = std::fs::read_to_string(data.path().join("credentials.json")).unwrap();
        let made: Value = serde_json::from_str(&text).unwrap();
        let url = server.curl_line().split(' ').find(|word| word.starts_with("http://")).unwrap();
        push(url, "smartclean", made["password"].as_str().unwrap(), &crate::support::body(&[smell])).1["alerts"].clone()
    };
    assert_eq!((alerts(), alerts()), (1.into(), 0.into()));
}

#[test]
fn an_interrupt_ends_it_gracefully_also_with_an_idle_connection() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let address = server.curl_line().split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let idle = std::net::TcpStream::connect(address).unwrap();
    let asked = Instant::now();
    let (code, _) = server.end();
    assert_eq!(code, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(9), "an idle connection is not waited for");
    drop(idle);
}

#[test]
fn a_users_rules_are_laid_over_the_built_in_ones() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nid = \"ammonia-lite\"\nat_least = 271\nseverity = \"high\"\n").unwrap();
    let server = Server::start(data.path(), &["--rules", rules.to_str().unwrap()]);
    let (status, answer) = server.paste();
    assert_eq!((status, &answer["alerts"]), (200, &0.into()), "the line sends 270");
}

#[test]
fn an_edited_rules_file_counts_and_a_broken_one_does_not() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, "").unwrap();
    let server = Server::start(data.path(), &["--rules", rules.to_str().unwrap()]);
    let alerts = |pause| {
        std::thread::sleep(Duration::from_millis(pause));
        server.paste().1["alerts"].as_u64().unwrap()
    };
    assert_eq!(alerts(0), 1);
    std::fs::write(&rules, "[[rule]]\nid = \"ammonia-lite\"\nat_least = 271\nseverity = \"high\"\n").unwrap();
    assert_eq!(alerts(2100), 0);
    std::fs::write(&rules, "[[rule]]\nid = \"ammonia-lite\"\nat_laest = 200\n").unwrap();
    assert_eq!(alerts(2100), 0, "the rules before it stay in force");
}

#[test]
fn broken_rules_are_refused_with_every_fault_and_nothing_starts() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nid = \"soap-low\"\nbelwo = 3\nseverity = \"hgih\"\n").unwrap();
    let output = command(&["--rules", rules.to_str().unwrap()]).arg("--data").arg(data.path()).output().unwrap();
    let said = failed(&output);
    assert!(said.contains("2 faults") && said.contains("did you mean `below`?") && said.contains(":4:12:"), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_cannot_be_used_is_named_with_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output =
        Command::new(COMMAND).args(["serve", "--listen", &address, "--data"]).arg(data.path()).output().unwrap();
    assert!(failed(&output).contains("Choose another port"));
    let file = data.path().join("credentials.json");
    let output = command(&["--data", file.to_str().unwrap()]).output().unwrap();
    assert!(failed(&output).contains("Choose another with --data"));
    let output = command(&["--credentials", "nowhere.json", "--data"]).arg(data.path()).output().unwrap();
    assert!(failed(&output).contains("nowhere.json"));
    let output = command(&["--data"]).arg(data.path()).env("PUSH_USERNAME", "only").output().unwrap();
    assert!(failed(&output).contains("set both or neither"));
}

#[test]
fn open_doors_need_their_keys_and_made_credentials_have_the_one_for_tokens() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &["--doors", "basic,oauth"]);
    assert_eq!(server.paste().0, 200);
    server.end();
    let output = command(&["--doors", "event-hub", "--data"]).arg(data.path()).output().unwrap();
    assert!(failed(&output).contains("event_hub_keys"));
    let mut nameless = command(&["--doors", "basic,oauth", "--data"]);
    let output = nameless.arg(data.path()).env("PUSH_USERNAME", "u").env("PUSH_PASSWORD", "p").output().unwrap();
    assert!(failed(&output).contains("signing_key of at least 32"));
    let output = command(&["--doors", "bsic", "--data"]).arg(data.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is no door \"bsic\""));
}

#[test]
fn wrong_usage_is_two_and_help_has_examples() {
    assert_eq!(Command::new(COMMAND).arg("serv").output().unwrap().status.code(), Some(2));
    let help = Command::new(COMMAND).args(["serve", "--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("Examples:"));
}

#[test]
fn a_test_alert_goes_all_the_way() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]);
    let text = std::fs::read_to_string(data.path().join("credentials.json")).unwrap();
    let made: Value = serde_json::from_str(&text).unwrap();
    let url = server.curl_line().split(' ').find(|word| word.starts_with("http://")).unwrap().to_owned();
    let send = |url: &str, password: &str| {
        let mut command = Command::new(COMMAND);
        command.args(["test-alert", url]).env("PUSH_USERNAME", "smartclean").env("PUSH_PASSWORD", password);
        command.output().unwrap()
    };
    let password = made["password"].as_str().unwrap();
    let output = send(&url, password);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(failed(&send(&url, "wrong")).contains("401"));
    assert!(failed(&send(&url.replace("/push", "/pull"), password)).contains("ends in /push"));
    assert!(server.end().1.contains("this is a test, nothing is wrong"));
    assert!(failed(&send(&url, password)).contains("does not answer"));
}

/// Facts and kind of each message in the log.
fn log(data: &Path) -> Vec<Value> {
    let log = std::fs::read_to_string(data.join("alerts.ndjson")).unwrap_or_default();
    log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"]["json"].clone()).collect()
}

#[test]
fn a_storm_is_a_burst_and_then_one_digest_and_what_is_critical_is_not_in_it() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nid = \"spill\"\nseverity = \"critical\"\n").unwrap();
    let arguments = ["--rules", rules.to_str().unwrap()];
    let (username, password) = (crate::support::USERNAME, crate::support::PASSWORD);
    let start = || {
        let mut command = command(&arguments);
        command.env("PUSH_USERNAME", username).env("PUSH_PASSWORD", password);
        Server::of(&mut command, data.path())
    };
    let server = start();
    let url = server.curl_line().split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    let send = |device_type: &str, values: Value, zone: &str| {
        let now = jiff::Timestamp::now().as_millisecond();
        let envelope = serde_json::json!({ "InsID": zone, "DEVID": zone, "unixT": now });
        let text = crate::support::reading_with(device_type, &values, &envelope);
        let (status, answer) = push(&url, username, password, &crate::support::body(&[text]));
        assert_eq!((status, &answer["alerts"]), (200, &1.into()), "{answer}");
    };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let send = &send;
            scope.spawn(move || {
                (0..5).for_each(|number| send("SS", serde_json::json!({ "p": 3 }), &format!("{thread} {number}")));
            });
        }
    });
    let began = Instant::now();
    send("WD", serde_json::json!({ "value": 1, "AreaP": 20 }), "critical");
    assert!(began.elapsed() < Duration::from_secs(2));
    let sent = log(data.path());
    assert_eq!(sent.last().unwrap()["severity"], "critical");
    assert!(sent.len() <= 10 && sent.iter().all(|message| message["kind"] == "firing"), "{sent:?}");
    drop(server);
    // It sweeps when it starts.
    let server = start();
    let deadline = Instant::now() + Duration::from_secs(20);
    while log(data.path()).iter().all(|message| message["kind"] == "firing") && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(server);
    let mut named: Vec<String> = log(data.path()).iter().flat_map(crate::support::alert_ids).collect();
    assert_eq!(named.len(), 41, "each is named once");
    named.sort();
    named.dedup();
    assert_eq!(named.len(), 41);
    assert!(log(data.path()).iter().all(|message| message["kind"] != "digest" || message["alerts"][1].is_object()));
}
