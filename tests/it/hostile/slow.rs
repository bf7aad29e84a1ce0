//! Slow clients: with headers, bodies, reading responses, and disconnecting.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use smartclean_push::auth::{AuthMethod, AuthMethods};
use smartclean_push::hosts::server::ServerLimits;
use smartclean_push::ingest::decode::MAX_DECODED;

use crate::hostile::support::{
    ANSWERED_WITHIN, InProcessServer, PATIENCE, PIECES, RawConnection, RegularClient, ServeProcess, basic, exchange,
    print_measurements, push, reading,
};
use crate::support::body;

/// Timeouts short enough for a test, and long enough for a busy machine.
const HEADERS_WITHIN: Duration = Duration::from_secs(1);
const BODY_WITHIN: Duration = Duration::from_millis(1_500);
/// How much later a busy machine may close a connection.
const LATENESS: Duration = Duration::from_secs(5);

fn limits() -> ServerLimits {
    ServerLimits { header_timeout: HEADERS_WITHIN, body_timeout: BODY_WITHIN, ..ServerLimits::default() }
}

/// Headers without an end.
const BEGUN: &str = "POST /push HTTP/1.1\r\nHost: x\r\nX-Slow: ";

/// The head of a push with a body of this many bytes.
fn head(length: usize) -> String {
    format!("POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {length}\r\n\r\n", basic())
}

#[test]
fn headers_after_the_timeout_close_the_connection_and_slow_ones_in_time_are_handled() {
    let server = InProcessServer::start(limits());
    let regular_client = RegularClient::of(server.address);
    let slow = push("X-Slow: but not too slow\r\n", &body(&[reading(1)]));
    let mut in_time = RawConnection::to(server.address);
    assert!(in_time.trickle(&slow, HEADERS_WITHIN / 4 / PIECES));
    assert_eq!(in_time.answer().unwrap().status, 200);

    let mut too_slow = RawConnection::to(server.address);
    let began = Instant::now();
    assert!(too_slow.send(BEGUN));
    // A byte now and then does not restart the timeout.
    while too_slow.trickle(b"a", HEADERS_WITHIN / 8) && began.elapsed() < HEADERS_WITHIN + LATENESS {}
    let took = began.elapsed();
    assert!(too_slow.is_closed() && (HEADERS_WITHIN..HEADERS_WITHIN + LATENESS).contains(&took), "{took:?}");
    regular_client.longest_latency();
}

#[test]
fn an_idle_connection_is_closed_before_and_after_a_request() {
    let server = InProcessServer::start(limits());
    for requests in 0..2 {
        let mut idle = RawConnection::to(server.address);
        for _ in 0..requests {
            assert!(idle.send(push("", b"[]")));
            assert_eq!(idle.answer().unwrap().status, 200);
            std::thread::sleep(HEADERS_WITHIN / 4);
            assert!(idle.send(push("", b"[]")), "it may be idle for a while");
            assert_eq!(idle.answer().unwrap().status, 200);
        }
        let began = Instant::now();
        assert!(idle.is_closed() && began.elapsed() < HEADERS_WITHIN + LATENESS, "{:?}", began.elapsed());
    }
}

#[test]
fn a_body_after_the_timeout_is_rejected_and_a_slow_one_in_time_is_accepted() {
    let server = InProcessServer::start(limits());
    let regular_client = RegularClient::of(server.address);
    let readings = body(&[reading(1)]);
    let mut in_time = RawConnection::to(server.address);
    assert!(in_time.send(head(readings.len())));
    assert!(in_time.trickle(&readings, BODY_WITHIN / 4 / PIECES));
    assert_eq!(in_time.answer().unwrap().json()["accepted"], 1);

    let mut too_slow = RawConnection::to(server.address);
    let began = Instant::now();
    assert!(too_slow.send(head(1_000)) && too_slow.send("["));
    while began.elapsed() < BODY_WITHIN * 3 / 4 {
        assert!(too_slow.trickle(b" ", BODY_WITHIN / 8));
    }
    let answer = too_slow.answer().unwrap();
    let took = began.elapsed();
    assert_eq!(answer.status, 408, "{answer:?}");
    assert!((BODY_WITHIN..BODY_WITHIN + LATENESS).contains(&took), "{took:?}");
    assert!(too_slow.is_closed(), "bytes after the timeout are not parsed as a request");
    regular_client.longest_latency();
    assert!(server.end() == 0);
}

#[test]
fn a_token_request_has_the_same_body_timeout() {
    let server = InProcessServer::start_with(limits(), AuthMethods::new(&[AuthMethod::Basic, AuthMethod::Oauth]));
    let mut anybody = RawConnection::to(server.address);
    let began = Instant::now();
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ngrant_type=";
    assert!(anybody.send(format!("POST /oauth2/token HTTP/1.1\r\nHost: x\r\n{form}")));
    assert_eq!(anybody.answer().unwrap().status, 408);
    assert!(began.elapsed() < BODY_WITHIN + LATENESS);
}

#[test]
fn an_unauthenticated_client_is_rejected_before_its_body_arrives() {
    let server = InProcessServer::start(limits());
    let mut stranger = RawConnection::to(server.address);
    assert!(stranger.send("POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"));
    let began = Instant::now();
    assert_eq!(stranger.answer().unwrap().status, 401);
    assert!(began.elapsed() < ANSWERED_WITHIN);
}

#[test]
fn silent_connections_over_the_limit_delay_others_by_at_most_the_header_timeout() {
    const LIMIT: usize = 16;
    let server = InProcessServer::start(ServerLimits { connections: LIMIT, ..limits() });
    let began = Instant::now();
    // As many as the limit, and as many more as leave one connection free after the first ones are closed.
    let mut silent: Vec<RawConnection> = (1..2 * LIMIT).map(|_| RawConnection::to(server.address)).collect();
    for raw in silent.iter_mut().step_by(2) {
        raw.send(BEGUN);
    }
    let regular_client = RegularClient::of(server.address);
    regular_client.pushes(1);
    assert!(began.elapsed() >= HEADERS_WITHIN, "there were more connections than the limit");
    regular_client.pushes(20);
    let longest = regular_client.longest_latency();
    assert!(longest < HEADERS_WITHIN + LATENESS, "{longest:?}");
}

#[test]
fn a_connection_in_use_stays_open_however_many_others_wait() {
    const LIMIT: usize = 4;
    let server =
        InProcessServer::start(ServerLimits { connections: LIMIT, header_timeout: ANSWERED_WITHIN * 10, ..limits() });
    let mut kept = RawConnection::to(server.address);
    let others: Vec<RawConnection> = (0..2 * LIMIT).map(|_| RawConnection::to(server.address)).collect();
    for number in 0..20 {
        assert!(kept.send(push("", &body(&[reading(number)]))));
        assert_eq!(kept.answer().unwrap().status, 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(others);
}

#[test]
fn a_client_that_reads_no_response_is_disconnected_and_delays_no_other_client() {
    let server = InProcessServer::start(limits());
    let regular_client = RegularClient::of(server.address);
    let mut deaf = RawConnection::to(server.address);
    let requests = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    let (began, mut sent) = (Instant::now(), 0);
    while deaf.send(&requests) {
        sent += requests.len();
        assert!(sent < 256 << 20, "requests are accepted without limit, and their responses buffered");
    }
    assert!(began.elapsed() < PATIENCE / 2, "it was not cut off");
    regular_client.pushes(10);
    regular_client.longest_latency();
}

#[test]
fn a_stalled_large_body_delays_large_ones_for_a_limited_time_and_small_ones_not_at_all() {
    const PERMIT_WITHIN: Duration = Duration::from_millis(400);
    let server = InProcessServer::start_with_body_budget(limits(), MAX_DECODED, PERMIT_WITHIN);
    let regular_client = RegularClient::of(server.address);
    // It may decode to the whole budget.
    let packed = head(100_000).replacen("\r\n", "\r\nContent-Encoding: gzip\r\n", 1);
    let mut stopped = RawConnection::to(server.address);
    assert!(stopped.send(packed) && stopped.send(vec![0; 50_000]));
    std::thread::sleep(BODY_WITHIN / 4);
    let large = [b"[".as_slice(), &vec![b' '; 128 * 1024], b"]"].concat();
    let began = Instant::now();
    let refused = exchange(server.address, push("", &large)).unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.head.to_lowercase().contains("retry-after: ") && began.elapsed() >= PERMIT_WITHIN, "{refused:?}");
    assert_eq!(stopped.answer().unwrap().status, 408);
    assert_eq!(exchange(server.address, push("", &large)).unwrap().status, 200, "the permit is given back");
    regular_client.longest_latency();
}

#[test]
fn shutdown_does_not_wait_for_stalled_clients() {
    let server = InProcessServer::start(ServerLimits { shutdown_timeout: Duration::from_secs(1), ..limits() });
    let [mut silent, mut begun, mut half] = [(); 3].map(|()| RawConnection::to(server.address));
    assert!(silent.send("") && begun.send(BEGUN) && half.send(head(100)));
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    assert!(server.end() <= 3);
    assert!(began.elapsed() < Duration::from_secs(1) + LATENESS);
}

#[test]
fn a_request_on_an_open_connection_is_answered_after_shutdown_begins() {
    let server = InProcessServer::start(ServerLimits { linger: LATENESS, ..ServerLimits::default() });
    let address = server.address;
    let [mut unused, mut used] = [(); 2].map(|()| RawConnection::to(address));
    assert!(used.send(push("", b"[]")));
    assert_eq!(used.answer().unwrap().status, 200);
    let ending = std::thread::spawn(move || server.end());
    while TcpStream::connect(address).is_ok() {}
    for connection in [&mut unused, &mut used] {
        assert!(connection.send(push("", &body(&[reading(1)]))));
        let answer = connection.answer().unwrap();
        assert_eq!(
            (answer.status, answer.head.to_lowercase().contains("connection: close")),
            (200, true),
            "{answer:?}"
        );
        assert!(connection.is_closed());
    }
    assert_eq!(ending.join().unwrap(), 0);
}

/// Memory limit with all 512 connections in use, in MiB: their buffers, and the program.
const MOST_MIB: u64 = 128;

#[test]
fn six_hundred_connections_without_complete_headers_close_in_time_and_take_little_memory() {
    let served = ServeProcess::start();
    let began = Instant::now();
    let mut silent: Vec<RawConnection> = (0..600).map(|_| RawConnection::to(served.address)).collect();
    let most = "a".repeat(30 * 1024);
    for raw in &mut silent {
        raw.send(BEGUN);
        raw.send(&most);
    }
    let pushed = Instant::now();
    assert_eq!(exchange(served.address, push("", &body(&[reading(1)]))).unwrap().status, 200);
    let longest = pushed.elapsed();
    assert!(longest < ServerLimits::default().header_timeout + LATENESS, "{longest:?}");
    assert!(served.peak_mib() < MOST_MIB, "{} MiB", served.peak_mib());
    print_measurements("600 connections with 30 KiB of headers each and no end", &served, began, longest);
}
