//! Password guessing: what guesses cost the receiver, and whether the response time reveals anything.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use jiff::SignedDuration;
use smartclean_push::adapters::cached_credentials::{CachedCredentials, CredentialReader, StoredCredentials};
use smartclean_push::auth::{Client, Credentials, Login, LoginCheck, Secret};
use smartclean_push::http::{App, Authenticator};
use smartclean_push::ingest::RequestInfo;
use smartclean_push::ingest::ports::UnavailableError;

use crate::support::{PASSWORD, USERNAME, World, basic, now};

/// A credential reader that counts its reads.
#[derive(Clone, Debug, Default)]
struct Counted(Arc<AtomicUsize>);

impl CredentialReader for Counted {
    async fn read(&self) -> Result<StoredCredentials, UnavailableError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let text = format!(r#"{{"username":"{USERNAME}","password":"{PASSWORD}"}}"#);
        Ok(StoredCredentials::new("1".into(), Secret::new(text)))
    }
}

fn guarded() -> (App, Counted) {
    let counted = Counted::default();
    (
        World::new().with_authenticator(Authenticator::new(Box::new(CachedCredentials::new(counted.clone())))).app(),
        counted,
    )
}

/// Pushes with a password from an address, `later` milliseconds after the start. Returns the status.
async fn push(app: &App, password: &str, source: String, later: i64) -> u16 {
    let request = Request::post("/push").header("authorization", basic(USERNAME, password));
    let received = now() + SignedDuration::from_millis(later);
    let context = RequestInfo { request_id: "r".into(), source, received, verified_client: None, url: None };
    app.handle(request.body(Full::new(Bytes::from_static(b"[]"))).unwrap(), context).await.status().as_u16()
}

#[tokio::test]
async fn ten_thousand_guesses_cost_few_reads_of_the_secret_and_do_not_lock_out_the_client() {
    let (app, counted) = guarded();
    for guess in 0..10_000 {
        // One every 6 ms for a minute, each from another address.
        let source = format!("203.0.{}.{}", guess / 250, guess % 250);
        assert_eq!(push(&app, &format!("guess-{guess}"), source, guess * 6).await, 401);
        if guess % 1_000 == 0 {
            assert_eq!(push(&app, PASSWORD, "198.51.100.1".into(), guess * 6).await, 200);
        }
    }
    let reads = counted.0.load(Ordering::Relaxed);
    assert!((2..=7).contains(&reads), "{reads} reads, expected one at the start and one every ten seconds");
}

/// Behind a proxy, the attacker and the real client have the same address.
#[tokio::test]
async fn ten_thousand_guesses_from_one_address_do_not_lock_out_a_verified_client() {
    let (app, counted) = guarded();
    let proxy = || "192.0.2.1".to_owned();
    assert_eq!(push(&app, PASSWORD, proxy(), 0).await, 200);
    let mut statuses = BTreeMap::new();
    for guess in 0..10_000 {
        *statuses.entry(push(&app, &format!("guess-{guess}"), proxy(), guess).await).or_insert(0) += 1;
        if guess % 100 == 0 {
            assert_eq!(push(&app, PASSWORD, proxy(), guess).await, 200, "after {guess} guesses");
        }
    }
    let unauthorized = statuses[&401];
    assert!((20..40).contains(&unauthorized), "guesses that were verified: {statuses:?}");
    assert_eq!(statuses[&429], 10_000 - unauthorized);
    assert!(counted.0.load(Ordering::Relaxed) <= 3);
}

#[tokio::test]
async fn a_valid_password_that_was_never_verified_is_subject_to_the_limit_for_guesses() {
    let (app, _) = guarded();
    let proxy = || "192.0.2.1".to_owned();
    for guess in 0..20 {
        assert_eq!(push(&app, &format!("guess-{guess}"), proxy(), guess).await, 401);
    }
    assert_eq!(push(&app, PASSWORD, proxy(), 20).await, 429);
    assert_eq!(
        push(&app, PASSWORD, "192.0.2.2".into(), 20).await,
        200,
        "a client from another network is verified at once"
    );
    assert_eq!(push(&app, PASSWORD, proxy(), 20).await, 200, "after that, the password is known to be valid");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let other = Request::post("/push").header("authorization", basic("other", PASSWORD));
    let context =
        RequestInfo { request_id: "r".into(), source: proxy(), received: now(), verified_client: None, url: None };
    let answer = app.handle(other.body(Full::new(Bytes::new())).unwrap(), context.clone()).await;
    assert_eq!(answer.status(), 401, "after three seconds, one more password is verified");
    let other = Request::post("/push").header("authorization", basic("other", PASSWORD));
    let answer = app.handle(other.body(Full::new(Bytes::new())).unwrap(), context).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "3"));
}

/// Returns a hash of "password" that is about as slow as permitted.
fn slow_hash() -> String {
    let slow = argon2::Argon2::from(argon2::Params::new(64 << 10, 6, 1, None).unwrap());
    argon2::PasswordHasher::hash_password_with_salt(&slow, b"password", b"somesalt").unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forty_connections_that_guess_at_a_slow_hash_do_not_delay_the_real_client() {
    let client = Client { username: USERNAME.into(), password: Secret::new(slow_hash()) };
    let credentials = Arc::new(Credentials::from_clients(vec![client]).unwrap());
    let app = Arc::new(World::new().with_authenticator(Authenticator::new(Box::new(credentials))).app());
    let checked = Arc::new(AtomicUsize::new(0));
    let guessers = (0..40).map(|number| {
        let (app, checked) = (Arc::clone(&app), Arc::clone(&checked));
        tokio::spawn(async move {
            let status = push(&app, &format!("guess {number}"), "203.0.113.7".into(), 0).await;
            checked.fetch_add(usize::from(status == 401), Ordering::Relaxed);
        })
    });
    let guessers: Vec<_> = guessers.collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(push(&app, "password", "198.51.100.1".into(), 0).await, 200);
    // Verifying takes some tenths of a second, and two run at a time.
    let before = checked.load(Ordering::Relaxed);
    assert!(before < 8, "{before} guesses were verified before the client");
    assert_eq!(push(&app, "password", "203.0.113.7".into(), 0).await, 200);
    let before = checked.load(Ordering::Relaxed);
    assert!(before < 10, "{before} guesses were verified before a known password from the same address");
    guessers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Returns the anonymous memory of this process in bytes, without the pages of the program file.
#[cfg(target_os = "linux")]
fn anonymous_memory() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    anonymous.trim().trim_end_matches(" kB").parse::<i64>().unwrap() * 1024
}

/// Runs in its own process, so that only its memory is measured.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "child process of memory_does_not_grow_with_the_number_of_guesses"]
async fn guessing_process() {
    let (app, _) = guarded();
    let mut before = 0;
    for guess in 0..20_000_i64 {
        // The first ten thousand fill the caches.
        if guess == 10_000 {
            before = anonymous_memory();
        }
        let source = format!("2001:db8:{:x}::1", guess);
        push(&app, &format!("guess-{guess}"), source, guess * 6).await;
    }
    let grown = anonymous_memory() - before;
    assert!(grown < 512 * 1024, "{grown} more bytes after 10,000 more guesses");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_number_of_guesses() {
    let output = crate::support::process(module_path!(), "guessing_process").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Length of the password. It is long enough to measure a comparison that stops at the first wrong character.
const LENGTH: usize = 4096;
/// Comparisons in a sample.
const SAMPLE: u32 = 10;
/// Samples of each kind.
const SAMPLES: usize = 400;

/// Returns how much longer `near` takes than `far`, as a fraction. Compares the lower quartiles of alternating samples,
/// because other load only makes a sample longer.
fn longer(mut far: impl FnMut(), mut near: impl FnMut()) -> f64 {
    let sample = |work: &mut dyn FnMut()| {
        let started = Instant::now();
        (0..SAMPLE).for_each(|_| work());
        started.elapsed()
    };
    let (mut of_far, mut of_near): (Vec<Duration>, Vec<Duration>) =
        (0..SAMPLES).map(|_| (sample(&mut far), sample(&mut near))).unzip();
    of_far.sort_unstable();
    of_near.sort_unstable();
    of_near[SAMPLES / 4].as_secs_f64() / of_far[SAMPLES / 4].as_secs_f64() - 1.0
}

/// Returns a guess that is wrong in the first character and one that is wrong in the last.
fn guesses(password: &str) -> [String; 2] {
    [format!("x{}", &password[1..]), format!("{}x", &password[..LENGTH - 1])]
}

#[test]
fn the_duration_does_not_depend_on_how_close_a_guess_is() {
    let password = "p".repeat(LENGTH);
    let client = Client { username: USERNAME.into(), password: Secret::new(password.clone()) };
    let known = Credentials::from_clients(vec![client]).unwrap();
    let [far, near] = guesses(&password).map(|guess| Login { username: USERNAME.into(), password: Secret::new(guess) });
    let verify = |login: &Login| assert!(matches!(known.verify_login(black_box(login)), LoginCheck::Rejected));
    // Noise can look like a leak in one measurement. A real leak is visible in each of them.
    let differences: Vec<f64> = (0..5).map(|_| longer(|| verify(&far), || verify(&near))).collect();
    assert!(differences.iter().any(|longer| longer.abs() < 0.02), "{differences:?}");
}

#[test]
fn the_measurement_detects_a_comparison_that_stops_at_the_first_difference() {
    let password = "p".repeat(LENGTH);
    let [far, near] = guesses(&password);
    let compare = |guess: &str| {
        let pairs = black_box(guess).bytes().zip(password.bytes());
        assert!(!pairs.into_iter().all(|(a, b)| black_box(a) == b));
    };
    let differences: Vec<f64> = (0..5).map(|_| longer(|| compare(&far), || compare(&near))).collect();
    assert!(differences.iter().all(|longer| *longer > 0.5), "{differences:?}");
}
