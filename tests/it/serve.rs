//! The command `serve` as a process: its output and its files.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{self, PASSWORD, Server, USERNAME, alert_ids, basic, body, command, eventually, reading_with};

/// The files of a new data folder.
const UNUSED: [&str; 5] = ["alerts.ndjson", "credentials.json", "serve.lock", "state.db", "write.lock"];

/// `serve` on this data folder with generated credentials.
fn serve(data: &Path, arguments: &[&str]) -> Command {
    let mut command = support::serve(data);
    command.args(arguments).env_remove("PUSH_USERNAME").env_remove("PUSH_PASSWORD").env_remove("NO_COLOR");
    command
}

fn start(data: &Path, arguments: &[&str]) -> Server {
    Server::start(serve(data, arguments).stderr(Stdio::null()))
}

/// A call of curl in the printed command.
#[derive(Debug, Default)]
struct Call {
    url: String,
    user: Option<String>,
    headers: Vec<String>,
    body: String,
}

impl Call {
    fn read(words: &[u8]) -> Self {
        let mut call = Self::default();
        let mut words = words.split(|byte| *byte == 0).map(|word| String::from_utf8(word.to_owned()).unwrap());
        while let Some(word) = words.next() {
            match word.as_str() {
                "-s" | "" => {}
                "-u" => call.user = words.next(),
                "-H" => call.headers.extend(words.next()),
                "-d" => call.body = words.next().unwrap(),
                _ => call.url = word,
            }
        }
        call
    }

    /// Sends it, with the password in the credentials file.
    fn send(&self, server: &Server) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.post(&self.url);
        if let Some(username) = &self.user {
            request = request.header("Authorization", basic(username, &file_password(server)));
        }
        if self.url.ends_with("/oauth2/token") {
            request = request.header("Content-Type", "application/x-www-form-urlencoded");
        }
        for header in &self.headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let mut answer = request.send(self.body.as_bytes()).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }
}

/// The calls of the printed command, run by a shell. Each call prints `answer`.
fn calls(server: &Server, answer: &str) -> Vec<Call> {
    let line = server.welcome.lines().find(|line| line.contains("curl ") && line.contains(" -d ")).unwrap();
    let curl = r#"curl() { for word; do printf '%s\0' "$word"; done >&2; printf '\001' >&2; printf '%s' "$ANSWER"; }"#;
    let output = Command::new("sh").arg("-c").arg(format!("{curl}\n{line}")).env("ANSWER", answer).output().unwrap();
    let calls = output.stderr.split(|byte| *byte == 1).filter(|words| !words.is_empty());
    calls.map(Call::read).collect()
}

/// Runs the printed command without curl: its calls are sent from here.
fn paste(server: &Server) -> (u16, Value) {
    let mut calls_made = calls(server, "");
    if calls_made.len() > 1 {
        let (_, token) = calls_made[0].send(server);
        calls_made = calls(server, &token);
    }
    let (status, body) = calls_made.last().unwrap().send(server);
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// The password in the credentials file.
fn file_password(server: &Server) -> String {
    let line = server.welcome.lines().find_map(|line| line.strip_prefix("Credentials ")).unwrap();
    made_password(Path::new(line.trim()).parent().unwrap())
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// The generated password.
fn made_password(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("credentials.json")).unwrap();
    let made: Value = serde_json::from_str(&text).unwrap();
    made["password"].as_str().unwrap().to_owned()
}

fn push(url: &str, username: &str, password: &str, body: &[u8]) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.post(url).header("Authorization", basic(username, password)).send(body).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
}

/// The lines of `/metrics`.
fn metrics(server: &Server) -> Vec<String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.get(server.url().replace("/push", "/metrics"));
    let mut answer = request.header("Authorization", basic("smartclean", &file_password(server))).call().unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    answer.body_mut().read_to_string().unwrap().lines().map(str::to_owned).collect()
}

/// Without the temporary files of SQLite.
fn files(data: &Path) -> Vec<String> {
    support::files(data).into_iter().filter(|file| !file.starts_with("state.db-")).collect()
}

fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn the_printed_command_causes_an_alert_on_the_terminal_and_in_the_file() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), &[]);
    let (status, answer) = paste(&server);
    assert_eq!((status, &answer["accepted"], &answer["alerts"]), (200, &1.into(), &1.into()));
    let (code, terminal) = server.end();
    assert_eq!(code, Some(0));
    assert!(terminal.contains("ALERT [MEDIUM] Bad smell: Indoor Air Quality"), "{terminal}");
    assert!(!terminal.contains('\u{1b}'), "no colour if the output is not a terminal: {terminal:?}");
    let log = std::fs::read_to_string(data.path().join("alerts.ndjson")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["subject"], "[MEDIUM] Bad smell: Indoor Air Quality");
    let stored = files(data.path());
    assert_eq!(stored.iter().filter(|file| file.starts_with("raw/dt=")).count(), 1, "{stored:?}");
}

#[test]
fn metrics_are_collected_at_any_log_level() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(serve(data.path(), &[]).env("RUST_LOG", "off"));
    let counted = |lines: &[String], name: &str| {
        let name = format!("smartclean_push_{name} ");
        lines.iter().find_map(|line| line.strip_prefix(&name)).map(|value| value.parse::<f64>().unwrap())
    };
    let before = metrics(&server);
    assert_eq!(counted(&before, "pushes_total"), Some(0.0), "{before:?}");
    paste(&server);
    assert_eq!(push(&server.url(), "smartclean", "guessed", b"[]").0, 401);
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
fn generated_credentials_survive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let first = start(data.path(), &[]);
    let password = made_password(data.path());
    first.end();
    let second = start(data.path(), &[]);
    assert_eq!(made_password(data.path()), password);
    assert_eq!(paste(&second).0, 200);
}

#[test]
fn a_wrong_password_is_rejected_and_stores_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), &[]);
    assert_eq!(push(&server.url(), "smartclean", "wrong", b"[]").0, 401);
    assert_eq!(push(&server.url(), "smartclean", "wrong", b"no batch").0, 401);
    assert_eq!(files(data.path()), UNUSED);
}

#[test]
fn an_invalid_batch_is_rejected_and_stored() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), &[]);
    assert_eq!(push(&server.url(), "smartclean", &made_password(data.path()), b"[oops").0, 400);
    assert!(files(data.path()).iter().any(|file| file.starts_with("rejected/dt=")));
}

#[test]
fn only_unfinished_files_of_an_earlier_run_are_removed() {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("tmp")).unwrap();
    for name in [".smartclean-push-a1B2c3.unfinished", "thesis.tex"] {
        std::fs::write(data.path().join("tmp").join(name), b"{").unwrap();
    }
    let server = start(data.path(), &[]);
    let mut left = files(data.path());
    left.retain(|file| file.starts_with("tmp/"));
    assert_eq!(left, ["tmp/thesis.tex"]);
    drop(server);
}

#[test]
fn a_second_server_on_the_same_folder_fails_until_the_first_one_has_ended() {
    let data = tempfile::tempdir().unwrap();
    let first = start(data.path(), &[]);
    let unfinished = data.path().join("tmp/.smartclean-push-a1B2c3.unfinished");
    std::fs::write(&unfinished, b"{").unwrap();
    let second = serve(data.path(), &[]).output().unwrap();
    let error = failed(&second);
    assert!(error.contains(data.path().to_str().unwrap()) && error.contains("Stop it, or choose"), "{error}");
    assert!(second.stdout.is_empty() && unfinished.exists());
    assert_eq!(paste(&first).0, 200, "the first goes on");
    // Like kill -9: the process does not unlock anything.
    drop(first);
    let third = start(data.path(), &[]);
    assert!(!unfinished.exists());
    assert_eq!(paste(&third).0, 200);
}

#[test]
fn a_pending_push_of_an_earlier_run_is_evaluated_at_the_start() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), &[]);
    assert_eq!(paste(&server).1["alerts"], 1);
    server.end();
    // As if the process had ended after it stored the push: there is no state and no alert yet.
    for gone in ["state.db", "alerts.ndjson"] {
        std::fs::remove_file(data.path().join(gone)).unwrap();
    }
    std::fs::remove_dir_all(data.path().join("to-evaluate")).unwrap();
    std::fs::rename(data.path().join("metadata"), data.path().join("to-evaluate")).unwrap();
    let alerts = || std::fs::read_to_string(data.path().join("alerts.ndjson")).unwrap().lines().count();
    let is_noted = || files(data.path()).iter().any(|file| file.starts_with("metadata/raw/"));
    let server = start(data.path(), &[]);
    eventually("it is evaluated", is_noted);
    server.end();
    assert_eq!(alerts(), 1);
    start(data.path(), &[]).end();
    assert_eq!(alerts(), 1, "evaluated once");
}

#[test]
fn a_repeated_reading_is_deduplicated_even_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let alerts = || {
        let server = start(data.path(), &[]);
        let smell = reading_with("ODRDTR_BATT_V1", &json!({"amm": 270}), &json!({"unixT": now_ms()}));
        let text = std::fs::read_to_string(data.path().join("credentials.json")).unwrap();
        let made: Value = serde_json::from_str(&text).unwrap();
        push(&server.url(), "smartclean", made["password"].as_str().unwrap(), &body(&[smell])).1["alerts"].clone()
    };
    assert_eq!((alerts(), alerts()), (1.into(), 0.into()));
}

#[test]
fn an_interrupt_shuts_down_gracefully_even_with_an_idle_connection() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), &[]);
    let idle = std::net::TcpStream::connect(server.address).unwrap();
    let interrupted = Instant::now();
    let (code, _) = server.end();
    assert_eq!(code, Some(0));
    assert!(interrupted.elapsed() < Duration::from_secs(9), "an idle connection is not waited for");
    drop(idle);
}

#[test]
fn rules_of_the_user_extend_the_built_in_ones() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nid = \"ammonia-lite\"\nat_least = 271\nseverity = \"high\"\n").unwrap();
    let server = start(data.path(), &["--rules", rules.to_str().unwrap()]);
    let (status, answer) = paste(&server);
    assert_eq!((status, &answer["alerts"]), (200, &0.into()), "the line sends 270");
}

#[test]
fn an_edited_rules_file_is_reloaded_and_an_invalid_one_is_not() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, "").unwrap();
    let log = data.path().join("log");
    let mut serve = serve(data.path(), &["--rules", rules.to_str().unwrap()]);
    let server = Server::start(serve.stderr(File::create(&log).unwrap()));
    let mut number = 0;
    let mut alerts = || {
        number += 1;
        let envelope = json!({ "DEVID": number.to_string(), "InsID": number.to_string(), "unixT": now_ms() });
        let smell = reading_with("ODRDTR_BATT_V1", &json!({ "amm": 270 }), &envelope);
        push(&server.url(), "smartclean", &made_password(data.path()), &body(&[smell])).1["alerts"].as_u64().unwrap()
    };
    assert_eq!(alerts(), 1);
    std::fs::write(&rules, "[[rule]]\nid = \"ammonia-lite\"\nat_least = 271\nseverity = \"high\"\n").unwrap();
    eventually("the new limit is in force", || alerts() == 0);
    std::fs::write(&rules, "[[rule]]\nid = \"ammonia-lite\"\nat_laest = 200\n").unwrap();
    eventually("the rules are refused", || {
        alerts();
        std::fs::read_to_string(&log).unwrap().contains("new rules refused")
    });
    assert_eq!(alerts(), 0, "the rules before it stay in force");
}

#[test]
fn invalid_rules_are_rejected_with_every_diagnostic_and_nothing_starts() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nid = \"soap-low\"\nbelwo = 3\nseverity = \"hgih\"\n").unwrap();
    let output = serve(data.path(), &["--rules", rules.to_str().unwrap()]).output().unwrap();
    let error = failed(&output);
    assert!(
        error.contains("2 faults") && error.contains("did you mean `below`?") && error.contains(":4:12:"),
        "{error}"
    );
    assert_eq!(error.matches("did you mean `below`?").count(), 1, "each is printed once: {error}");
    assert!(output.stdout.is_empty());
}

#[test]
fn rules_that_were_accepted_before_a_typo_survive_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("my-rules.toml");
    let start = || start(data.path(), &["--rules", rules.to_str().unwrap()]);
    let mut number = 0;
    let mut alerts = |server: &Server| {
        number += 1;
        let envelope = json!({ "DEVID": number.to_string(), "InsID": number.to_string(), "unixT": now_ms() });
        let smell = reading_with("ODRDTR_BATT_V1", &json!({ "amm": 270 }), &envelope);
        push(&server.url(), "smartclean", &made_password(data.path()), &body(&[smell])).1["alerts"].as_u64().unwrap()
    };
    std::fs::write(&rules, "[[rule]]\nid = \"ammonia-lite\"\nat_least = 271\nseverity = \"high\"\n").unwrap();
    let server = start();
    assert!(server.welcome.contains("built in, with "), "{}", server.welcome);
    assert_eq!(alerts(&server), 0);
    server.end();
    std::fs::write(&rules, "[[rule]\n").unwrap();
    let server = start();
    assert!(server.welcome.contains("as they were accepted last"), "{}", server.welcome);
    assert_eq!(alerts(&server), 0, "the limit of the file before it was spoilt");
    server.end();
    std::fs::remove_file(&rules).unwrap();
    let output = serve(data.path(), &["--rules", rules.to_str().unwrap()]).output().unwrap();
    let error =
        format!("error: the rules file {} cannot be read: No such file or directory (os error 2)\n", rules.display());
    assert_eq!(failed(&output), error, "a file that is not there may be a wrong name");
    std::fs::write(&rules, "").unwrap();
    let server = start();
    assert_eq!(alerts(&server), 1, "the file is good again");
}

#[test]
fn an_unusable_argument_is_named_with_advice() {
    let data = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(&["serve", "--listen", &address, "--data"]).arg(data.path()).output().unwrap();
    assert!(failed(&output).contains("Choose another port"));
    let file = data.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let output = serve(&file, &[]).output().unwrap();
    assert!(failed(&output).contains("Choose another with --data"));
    let output = serve(data.path(), &["--credentials", "nowhere.json"]).output().unwrap();
    assert!(failed(&output).contains("nowhere.json"));
    let output = serve(data.path(), &[]).env("PUSH_USERNAME", "only").output().unwrap();
    assert!(failed(&output).contains("set both or neither"));
}

#[test]
fn the_printed_command_works_for_every_auth_method_that_has_one() {
    for auth_methods in ["basic", "oauth", "basic,oauth", "oauth,iot", "basic,event-hub", "oauth,event-hub"] {
        let data = tempfile::tempdir().unwrap();
        let credentials = data.path().join("credentials.json");
        let known = json!({"username": "smartclean", "password": "p'w \"$x", "event_hub_keys": {"send": "a2V5"},
            "signing_key": "a-key-of-thirty-two-bytes-or-more"});
        std::fs::write(&credentials, known.to_string()).unwrap();
        let server = start(data.path(), &["--auth", auth_methods, "--public-url", "https://push.example.com"]);
        let (status, answer) = paste(&server);
        assert_eq!((status, &answer["alerts"]), (200, &1.into()), "{auth_methods}: {}", server.welcome);
    }
}

#[test]
fn without_a_command_for_the_auth_method_the_output_explains_how_to_push() {
    let data = tempfile::tempdir().unwrap();
    let known = json!({"event_hub_keys": {"send": "a2V5"}});
    std::fs::write(data.path().join("credentials.json"), known.to_string()).unwrap();
    let server = start(data.path(), &["--auth", "event-hub", "--public-url", "https://push.example.com"]);
    let welcome = server.welcome.clone();
    assert!(welcome.contains("/push/messages\n") && welcome.contains("docs/connect.md"), "{welcome}");
    assert!(!welcome.contains("curl"), "{welcome}");
    server.end();
    let output = serve(data.path(), &["--auth", "basic,event-hub"]).output().unwrap();
    assert!(
        failed(&output).contains("the auth methods basic and oauth require a client"),
        "no client could push with basic"
    );
    let output = serve(data.path(), &["--auth", "event-hub"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("requires --public-url"));
}

/// A journal would store the output.
#[test]
fn a_password_is_printed_to_a_terminal_only() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let server = Server::start(serve(data.path(), &[]).stderr(File::create(&log).unwrap()));
    let file = data.path().join("credentials.json");
    let welcome = server.welcome.clone();
    assert!(welcome.contains(&format!("asks for the password: it is in {}", file.display())), "{welcome}");
    let (_, printed) = server.end();
    let printed = [welcome, printed, std::fs::read_to_string(&log).unwrap()].concat();
    assert!(!printed.contains(&made_password(data.path())), "{printed}");
}

#[cfg(unix)]
#[test]
fn files_are_readable_by_their_owner_only_and_readable_credentials_cause_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    let credentials = data.join("credentials.json");
    let start = || {
        let mut serve = serve(&data, &[]);
        let server = Server::start(serve.stderr(File::create(&log).unwrap()));
        assert_eq!(paste(&server).0, 200);
        server.end();
        std::fs::read_to_string(&log).unwrap()
    };
    assert!(!start().contains("chmod"), "it has made the file");
    let mut looked_at = vec![data.clone()];
    while let Some(path) = looked_at.pop() {
        let metadata = std::fs::metadata(&path).unwrap();
        let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", path.display());
        if metadata.is_dir() {
            looked_at.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    for mode in [0o640, 0o604] {
        std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = start();
        assert!(error.contains(&format!("chmod 600 {}", credentials.display())), "{error}");
    }
}

#[test]
fn iot_alone_and_credentials_with_control_characters_are_rejected() {
    let data = tempfile::tempdir().unwrap();
    let output = serve(data.path(), &["--auth", "iot"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Add basic, oauth or event-hub"));
    let file = data.path().join("mine.json");
    let refused = |text: &str| {
        std::fs::write(&file, text).unwrap();
        failed(&serve(data.path(), &["--credentials", file.to_str().unwrap()]).output().unwrap())
    };
    let error = refused(r#"{"username":"smartclean","password":"s3cret\n"}"#);
    assert!(
        error.contains("mine.json: the password of client 1") && error.contains("U+000A as character 7"),
        "{error}"
    );
    assert!(error.contains("remove that character") && !error.contains("s3cret"), "{error}");
    let mut by_environment = serve(data.path(), &[]);
    let output = by_environment.env("PUSH_USERNAME", "u\t").env("PUSH_PASSWORD", "p").output().unwrap();
    assert!(failed(&output).contains("the username of client 1 of the credentials has the control character U+0009"));
}

#[test]
fn an_unusable_state_is_named_with_advice_and_is_not_changed() {
    let data = tempfile::tempdir().unwrap();
    let state = data.path().join("state.db");
    let server = start(data.path(), &[]);
    assert_eq!(paste(&server).0, 200);
    server.end();
    let whole = std::fs::read(&state).unwrap();
    let random: Vec<u8> = (0..20_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for damaged in [&random[..], &whole[..whole.len() - 4_096], &whole[..50]] {
        std::fs::write(&state, damaged).unwrap();
        let output = serve(data.path(), &[]).output().unwrap();
        let error = failed(&output);
        for part in
            ["state.db: it is damaged: ", "Stored readings are safe.", "away", "messages that wait in it are lost"]
        {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(output.stdout.is_empty());
        assert_eq!(std::fs::read(&state).unwrap(), damaged);
        // The advice works.
        std::fs::remove_file(&state).unwrap();
        let line = error.split("start again: smartclean-push ").nth(1).unwrap().trim();
        let replayed = command(&line.split(' ').collect::<Vec<_>>()).output().unwrap();
        assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
        let server = start(data.path(), &[]);
        assert!(!support::documents(&state).is_empty(), "it knows the zone of the reading again");
        server.end();
    }
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    let error = failed(&serve(data.path(), &[]).output().unwrap());
    assert!(error.contains("state.db: it cannot be opened: ") && error.contains("nothing was changed"), "{error}");
    assert!(
        error.contains("has to be a file that this user can read and write") && !error.contains("damaged"),
        "{error}"
    );
}

#[test]
fn each_auth_method_requires_its_credentials_and_generated_ones_have_a_signing_key() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), &["--auth", "basic,oauth"]);
    assert_eq!(paste(&server).0, 200);
    server.end();
    let output = serve(data.path(), &["--auth", "event-hub"]).output().unwrap();
    assert!(failed(&output).contains("event_hub_keys"));
    let mut nameless = serve(data.path(), &["--auth", "basic,oauth"]);
    let output = nameless.env("PUSH_USERNAME", "u").env("PUSH_PASSWORD", "p").output().unwrap();
    assert!(failed(&output).contains("signing_key of at least 32"));
    let output = serve(data.path(), &["--auth", "bsic"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("unknown auth method \"bsic\""));
}

#[test]
fn wrong_usage_exits_with_2_and_help_has_examples() {
    assert_eq!(command(&["serv"]).output().unwrap().status.code(), Some(2));
    let help = command(&["serve", "--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("Examples:"));
}

#[test]
fn a_test_alert_passes_every_step() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), &[]);
    let (url, password) = (server.url(), made_password(data.path()));
    let send =
        |url: &str, password: &str| command(&["test-alert", url]).env("PUSH_PASSWORD", password).output().unwrap();
    let output = send(&url, &password);
    assert_eq!(output.stdout, b"log: written\n");
    let nobody =
        "error: the alert is in the log alone, so nobody is notified; add [email] or [webhook] to the rules file";
    assert!(failed(&output).starts_with(nobody), "{output:?}");
    let alerts = std::fs::read_to_string(data.path().join("alerts.ndjson")).unwrap();
    let alert: Value = serde_json::from_str(alerts.lines().next().unwrap()).unwrap();
    assert_eq!(alert["attributes"]["channel"], json!(["email", "sms"]), "the command promises both");
    assert_eq!(send(&url, &password).stdout, b"log: written\n", "a second test raises an alert again");
    assert!(failed(&send(&url, "wrong")).contains("401"));
    assert!(failed(&send(&url.replace("/push", "/pull"), &password)).contains("ends in /push"));
    assert!(server.end().1.contains("this is a test, nothing is wrong"));
    assert!(failed(&send(&url, &password)).contains("does not answer"));
}

/// Facts and kind of each message in the log.
fn log(data: &Path) -> Vec<Value> {
    let log = std::fs::read_to_string(data.join("alerts.ndjson")).unwrap_or_default();
    log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["message"]["json"].clone()).collect()
}

#[test]
fn many_alerts_are_a_burst_then_one_digest_without_critical_ones() {
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nid = \"spill\"\nseverity = \"critical\"\n").unwrap();
    let start = || Server::start(support::serve(data.path()).arg("--rules").arg(&rules).stderr(Stdio::null()));
    let server = start();
    let url = server.url();
    let send = |device_type: &str, values: Value, zone: &str| {
        let now = now_ms();
        let envelope = json!({ "InsID": zone, "DEVID": zone, "unixT": now });
        let text = reading_with(device_type, &values, &envelope);
        let (status, answer) = push(&url, USERNAME, PASSWORD, &body(&[text]));
        assert_eq!((status, &answer["alerts"]), (200, &1.into()), "{answer}");
    };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let send = &send;
            scope.spawn(move || {
                (0..5).for_each(|number| send("SS", json!({ "p": 3 }), &format!("{thread} {number}")));
            });
        }
    });
    let began = Instant::now();
    send("WD", json!({ "value": 1, "AreaP": 20 }), "critical");
    assert!(began.elapsed() < Duration::from_secs(2));
    let sent = log(data.path());
    assert_eq!(sent.last().unwrap()["severity"], "critical");
    assert!(sent.len() <= 10 && sent.iter().all(|message| message["kind"] == "firing"), "{sent:?}");
    drop(server);
    // It sweeps at the start.
    let server = start();
    eventually("a digest is sent", || log(data.path()).iter().any(|message| message["kind"] == "digest"));
    drop(server);
    let mut named: Vec<String> = log(data.path()).iter().flat_map(alert_ids).collect();
    assert_eq!(named.len(), 41, "each is named once");
    named.sort();
    named.dedup();
    assert_eq!(named.len(), 41);
    assert!(log(data.path()).iter().all(|message| message["kind"] != "digest" || message["alerts"][1].is_object()));
}

#[test]
fn the_state_of_an_idle_zone_is_evicted_after_90_days_unless_it_has_firing_or_suppressed_alerts() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path(), &[]);
    let send = |device_type: &str, values: Value, zone: &str| {
        let text =
            reading_with(device_type, &values, &json!({ "InsID": zone, "DEVID": device_type, "unixT": now_ms() }));
        let (status, _) = push(&server.url(), "smartclean", &made_password(data.path()), &body(&[text]));
        assert_eq!(status, 200);
    };
    send("UM", json!({ "count": 1 }), "idle");
    send("ODRDTR_BATT_V1", json!({ "amm": 270 }), "firing");
    for device_type in ["SS", "BIN"] {
        send(device_type, json!({ "p": 3 }), "suppressed");
    }
    let zones = || {
        let documents = support::documents(&data.path().join("state.db")).into_iter();
        let zones =
            documents.filter_map(|document| Some(document.key.strip_prefix("zone/")?.rsplit('/').next()?.to_owned()));
        zones.collect::<Vec<_>>()
    };
    assert_eq!(zones(), ["firing", "idle", "suppressed"]);
    let connection = rusqlite::Connection::open(data.path().join("state.db")).unwrap();
    // As if no reading had come for 91 days.
    let aged = connection.execute("UPDATE documents SET expires = expires - 91", []).unwrap();
    assert!(aged >= 3);
    send("UM", json!({ "count": 1 }), "new");
    assert_eq!(zones(), ["firing", "new", "suppressed"]);
    send("UM", json!({ "count": 1 }), "idle");
    assert_eq!(zones(), ["firing", "idle", "new", "suppressed"], "the state of the zone starts again");
}

#[test]
fn sixty_concurrent_alerts_stay_within_rate_limit_and_sms_quota_and_none_is_lost() {
    const BURST: usize = 30;
    const QUOTA: usize = 10;
    let data = tempfile::tempdir().unwrap();
    let rules = data.path().join("rules.toml");
    let limit = format!("[rate_limit]\nburst = {BURST}\nper_minute = 1\nsms_per_day = {QUOTA}\n");
    std::fs::write(&rules, limit).unwrap();
    let start = || Server::start(support::serve(data.path()).arg("--rules").arg(&rules).stderr(Stdio::null()));
    let server = start();
    let url = server.url();
    std::thread::scope(|scope| {
        for number in 0..60 {
            let url = &url;
            scope.spawn(move || {
                let envelope = json!({ "InsID": number.to_string(), "DEVID": number.to_string(), "unixT": now_ms() });
                let text = reading_with("SS", &json!({ "p": 3 }), &envelope);
                let (status, answer) = push(url, USERNAME, PASSWORD, &body(&[text]));
                assert_eq!((status, &answer["alerts"]), (200, &1.into()), "{answer}");
            });
        }
    });
    let lines = || std::fs::read_to_string(data.path().join("alerts.ndjson")).unwrap();
    let by_sms = || {
        let log = lines();
        let channels =
            log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["attributes"]["channel"].clone());
        channels.filter(|channel| channel.as_array().unwrap().contains(&"sms".into())).count()
    };
    // On a slow computer, a push that does not learn in time whether its SMS was counted sends none, and says so.
    let assert_quota = || {
        let unknown = lines().lines().filter(|line| line.contains("quota could not be read")).count();
        assert!(by_sms() <= QUOTA && by_sms() + unknown >= QUOTA, "{} SMS, {unknown} unknown", by_sms());
    };
    assert!((QUOTA + 1..=BURST).contains(&log(data.path()).len()), "{}", log(data.path()).len());
    assert_quota();
    drop(server);
    // It sweeps at the start. The rest of the burst suffices for a digest.
    let server = start();
    let named = || log(data.path()).iter().flat_map(alert_ids).collect::<Vec<_>>();
    eventually("the rest is named", || named().len() >= 60);
    drop(server);
    let mut named = named();
    assert_eq!(named.len(), 60, "each once");
    named.sort();
    named.dedup();
    assert_eq!(named.len(), 60);
    assert_quota(); // A digest counts as well.
    assert!(log(data.path()).len() <= BURST + 1);
}
