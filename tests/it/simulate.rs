//! `simulate` against the real server, and `simulate --verify`, which compares the stored readings with the ledger.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use history::Archive;
use serde_json::Value;
use smartclean_push::adapters::local::FolderArchive;
use smartclean_push::domain::archive::unpack;
use smartclean_push::domain::reading::Reading;

use crate::support::{CommandOutput, PASSWORD, Server, command, eventually, paths, run, serve};

/// A server and a working directory. Both are removed when the test ends, also if it fails.
struct Site {
    _server: Server,
    folder: tempfile::TempDir,
    url: String,
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut serve = serve(&folder.path().join("data"));
        let server = Server::start(serve.current_dir(folder.path()).stderr(Stdio::null()));
        Self { folder, url: server.url(), _server: server }
    }

    fn simulate(&self, arguments: &[&str]) -> CommandOutput {
        run(self.folder.path(), &[&["simulate", "--url", &self.url], arguments].concat())
    }

    fn verify(&self) -> CommandOutput {
        run(self.folder.path(), &["simulate", "--verify", "data"])
    }

    fn raw(&self) -> Vec<PathBuf> {
        paths(&self.folder.path().join("data/raw"))
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("simulate-ledger.ndjson")
    }
}

const SMALL: [&str; 4] = ["--devices", "20", "--days", "0.15"];

#[test]
fn with_all_faults_every_acknowledged_reading_is_stored_once() {
    let site = Site::start();
    // A fixed time, so that the three hours have readings at any time of day.
    let simulated = site.simulate(&[&SMALL[..], &["--faults", "all", "--from", "2026-10-05T11:00"]].concat());
    assert_eq!(simulated.exit, Some(0), "{simulated:?}");
    let verified = site.verify();
    assert_eq!(verified.exit, Some(0), "{verified:?}");
    assert!(verified.out.contains("Verified: "), "{}", verified.out);

    let gone = site.raw().swap_remove(3);
    let bytes = fs::read(&gone).unwrap();
    fs::remove_file(&gone).unwrap();
    let lost = site.verify();
    let name = gone.file_name().unwrap().to_str().unwrap();
    assert_eq!(lost.exit, Some(1));
    assert!(lost.out.contains(name) && lost.out.contains("is missing"), "{}", lost.out);

    fs::write(&gone, &bytes).unwrap();
    assert_eq!(site.verify().exit, Some(0));
    let hour = site.raw().last().unwrap().parent().unwrap().to_owned();
    let copy =
        if hour == gone.parent().unwrap() { site.raw()[0].parent().unwrap().join(name) } else { hour.join(name) };
    fs::write(&copy, &bytes).unwrap();
    let twice = site.verify();
    assert_eq!(twice.exit, Some(1));
    assert!(twice.out.contains("stored twice: ") && twice.out.contains(name), "{}", twice.out);
}

#[test]
fn a_ledger_that_differs_from_the_stored_readings_is_not_verified() {
    let site = Site::start();
    assert_eq!(site.simulate(&SMALL).exit, Some(0));
    assert_eq!(site.verify().exit, Some(0));
    let text = fs::read_to_string(site.ledger()).unwrap();
    let entries = || text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entry = entries().find(|entry| entry["object"].is_string()).unwrap();
    let (object, digest) = (entry["object"].as_str().unwrap(), entry["text"].as_str().unwrap());
    fs::write(site.ledger(), text.replace(digest, &"0".repeat(64))).unwrap();
    let verified = site.verify();
    assert_eq!(verified.exit, Some(1));
    assert!(verified.out.contains(&format!("FAULT {object} has ")), "{}", verified.out);
    fs::write(site.ledger(), &text[..text.len() - 9]).unwrap();
    let halved = site.verify();
    assert_eq!(halved.exit, Some(1));
    assert!(halved.err.contains("is not one of a ledger"), "{}", halved.err);
    fs::write(site.ledger(), text.replace("\"counts\":", "\"answer\":")).unwrap();
    let older = site.verify();
    assert!(older.exit == Some(1) && older.err.contains("is not one of a ledger"), "{}", older.err);
    fs::write(site.ledger(), "").unwrap();
    let empty = site.verify();
    assert_eq!((empty.exit, empty.out.contains("Verified")), (Some(1), false), "{}", empty.out);
    assert!(empty.err.contains("has no push, so nothing can be verified"), "{}", empty.err);
}

#[test]
fn after_an_interrupt_the_ledger_has_whole_lines_and_can_be_verified() {
    let site = Site::start();
    let mut long = command(&["simulate", "--url", &site.url, "--days", "300"]);
    long.current_dir(site.folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = long.spawn().unwrap();
    let lines = || fs::read_to_string(site.ledger()).map_or(0, |text| text.lines().count());
    eventually("some pushes are sent", || lines() >= 40);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let exit = child.wait().unwrap().code();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(exit, Some(130), "{err}");
    assert!(out.contains(" readings in ") && err.contains("interrupted"), "{out}{err}");
    let text = fs::read_to_string(site.ledger()).unwrap();
    assert!(text.ends_with('\n'), "{text}");
    let statuses = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].clone());
    assert!(statuses.into_iter().all(|status| status == 200), "the response of every push was awaited: {text}");
    assert_eq!(site.verify().exit, Some(0));
}

#[test]
fn a_wrong_password_path_or_address_causes_an_error_with_a_remedy() {
    let site = Site::start();
    let simulate = |url: &str, password: &str| {
        let mut command = command(&["simulate", "--url", url, "--devices", "16"]);
        CommandOutput::from(command.env("PUSH_PASSWORD", password).current_dir(site.folder.path()).output().unwrap())
    };
    let wrong = simulate(&site.url, "wrong");
    assert_eq!((wrong.exit, wrong.err.contains("PUSH_PASSWORD")), (Some(1), true), "{wrong:?}");
    let elsewhere = simulate(&site.url.replace("/push", "/pull"), PASSWORD);
    assert_eq!((elsewhere.exit, elsewhere.err.contains("ends in /push")), (Some(1), true), "{elsewhere:?}");
    let unreachable = simulate("http://127.0.0.1:9/push", PASSWORD);
    assert_eq!((unreachable.exit, unreachable.err.contains("does not answer")), (Some(1), true), "{unreachable:?}");
    assert_eq!(site.verify().exit, Some(2), "nothing was stored, so there is no folder raw/");
}

/// The time of a request, and its body.
type SeenRequest = (Instant, Vec<u8>);

/// An endpoint that answers its first requests with 503 and all others with 200 and an empty object.
struct Busy {
    url: String,
    seen: Arc<Mutex<Vec<SeenRequest>>>,
}

impl Busy {
    fn start(busy: usize, retry_after: u64) -> Self {
        Self::answering(busy, &format!("503 Service UnavailableError\r\nRetry-After: {retry_after}"))
    }

    /// Refuses the first `busy` requests with this status line and these headers.
    fn answering(busy: usize, refusal: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/push", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (recorded, refusal) = (Arc::clone(&seen), refusal.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let body = request_body(stream.as_ref().unwrap());
                let count = {
                    let mut recorded = recorded.lock().unwrap();
                    recorded.push((Instant::now(), body));
                    recorded.len()
                };
                let head = match count <= busy {
                    true => refusal.as_str(),
                    false => "200 OK",
                };
                let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
                stream.unwrap().write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { url, seen }
    }
}

fn request_body(stream: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}

const MINUTES: [&str; 6] = ["--devices", "16", "--days", "0.003", "--from", "2026-10-05T12:00"];

#[test]
fn a_push_to_a_busy_endpoint_is_retried_after_its_retry_after() {
    let folder = tempfile::tempdir().unwrap();
    let busy = Busy::start(1, 1);
    let simulated = run(folder.path(), &[&["simulate", "--url", &busy.url], &MINUTES[..]].concat());
    assert_eq!(simulated.exit, Some(0), "{simulated:?}");
    let bodies = busy.seen.lock().unwrap();
    let (first, refused) = &bodies[0];
    let (again, _) = bodies[1..].iter().find(|(_, body)| body == refused).unwrap();
    assert!(again.duration_since(*first) >= Duration::from_millis(950));
    assert_eq!(bodies.iter().filter(|(_, body)| body == refused).count(), 2);
    // The answers of the endpoint have no counts, and `--verify` reports that.
    fs::create_dir_all(folder.path().join("data/raw")).unwrap();
    let verified = run(folder.path(), &["simulate", "--verify", "data"]);
    assert_eq!(
        (verified.exit, verified.out.contains("its answer counts 0 items, 0 good and 0 bad")),
        (Some(1), true),
        "{verified:?}"
    );
}

#[test]
fn an_endpoint_that_stays_busy_fails_the_run_and_no_push_counts_as_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let busy = Busy::start(usize::MAX, 0);
    let simulated = run(folder.path(), &[&["simulate", "--url", &busy.url], &MINUTES[..]].concat());
    assert_eq!(
        (simulated.exit, simulated.err.contains("answered 503, also at attempt 6")),
        (Some(1), true),
        "{simulated:?}"
    );
    fs::create_dir_all(folder.path().join("data/raw")).unwrap();
    let verified = run(folder.path(), &["simulate", "--verify", "data"]);
    let error = "acknowledged no push of the ledger simulate-ledger.ndjson, so nothing can be verified. Refused: ";
    assert_eq!((verified.exit, verified.err.contains(error)), (Some(1), true), "{verified:?}");
    assert!(!verified.out.contains("Verified"), "{verified:?}");
}

#[test]
fn refused_pushes_are_counted_by_status_and_fail_the_run() {
    for (status, refused_count) in
        [("401 Unauthorized", 1), ("413 Payload Too Large", 2), ("429 Too Many Requests\r\nRetry-After: 0", 1)]
    {
        let folder = tempfile::tempdir().unwrap();
        // A push that is refused with 429 is retried up to five times.
        let busy = Busy::answering(if status.starts_with("429") { usize::MAX } else { refused_count }, status);
        let arguments = ["simulate", "--url", &busy.url, "--connections", "1"];
        let simulated = run(folder.path(), &[&arguments[..], &MINUTES[..]].concat());
        let code = &status[..3];
        assert_eq!(simulated.exit, Some(1), "{simulated:?}");
        assert!(
            simulated.out.contains(&format!("{refused_count} pushes refused, 0 without an answer")),
            "{simulated:?}"
        );
        assert!(simulated.err.contains(code), "{simulated:?}");
        if code == "413" {
            let error = "pushes were refused, and nothing of them was stored: 2 with 413";
            assert!(simulated.err.contains(error), "{simulated:?}");
            assert!(busy.seen.lock().unwrap().len() > 2, "the other pushes are sent");
        }
    }
}

#[test]
fn out_creates_a_data_folder_that_can_be_read_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let simulate = |arguments: &[&str]| run(folder.path(), &[&["simulate"], arguments].concat());
    let arguments =
        [&SMALL[..], &["--out", "made", "--faults", "all", "--from", "2026-10-05T11:00", "--push-every", "1m"]];
    let made = simulate(&[&arguments.concat()[..], &["--ledger", "ledger"]].concat());
    assert_eq!(made.exit, Some(0), "{made:?}");
    let verified = simulate(&["--verify", "made", "--ledger", "ledger"]);
    assert_eq!(verified.exit, Some(0), "{verified:?}");

    let archive = FolderArchive::open(&folder.path().join("made")).unwrap();
    let (mut readings, mut undated, mut is_late) = (0, 0, false);
    for day in archive.folders("raw/").unwrap() {
        for hour in archive.folders(&day).unwrap() {
            for object in archive.read(&archive.keys(&hour).unwrap()).unwrap() {
                let (text, received) = (unpack(&object.bytes).unwrap(), object.received.unwrap());
                readings += text.lines().count();
                let ages = text.lines().filter_map(|line| Reading::read(line).unwrap().time);
                is_late |= ages.map(|at| received.duration_since(at)).any(|age| age.as_hours() >= 1);
            }
        }
    }
    for object in archive.read(&archive.keys("raw-undated/").unwrap()).unwrap() {
        undated += unpack(&object.bytes).unwrap().lines().count();
    }
    assert!(is_late, "the fault `late` is simulated");
    // A repeated push is one object.
    let counted: usize = made.out.split(" readings").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(readings + undated <= counted && readings > 300, "{readings} of {counted}");
    let again = simulate(&["--out", "made"]);
    assert_eq!((again.exit, again.err.contains("already holds readings")), (Some(2), true), "{again:?}");
}

#[test]
fn invalid_arguments_are_refused_and_the_error_has_the_expected_value() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, error) in [
        (&["--devices", "5"][..], "--url"),
        (&["--out", "x", "--faults", "lat"], "there are duplicates, late, reordered, bad, rebatch and all"),
        (&["--out", "x", "--days", "0"], "days are a number above 0"),
        (&["--out", "x", "--from", "soon"], "--from soon: a time is written"),
        (&["--out", "x", "--region", "Asia/Atlantis"], "Asia/Singapore"),
        (&["--out", "x", "--url", "http://127.0.0.1:9/push"], "cannot be used with"),
        (&["--verify", "x", "--ledger", "none"], "the ledger none cannot be read"),
    ] {
        let refused = run(folder.path(), &[&["simulate"], arguments].concat());
        assert_eq!((refused.exit, refused.err.contains(error)), (Some(2), true), "{refused:?}");
    }
}
