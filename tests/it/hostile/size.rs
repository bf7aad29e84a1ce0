//! Requests at the size limits and above; bodies of many items, or with deep nesting.

use std::time::{Duration, Instant};

use serde_json::json;
use smartclean_push::hosts::server::{LARGEST_HEAD, MOST_HEADERS, ServerLimits};
use smartclean_push::ingest::decode::MAX_ENCODED;

use crate::hostile::support::{
    InProcessServer, PATIENCE, RawConnection, RegularClient, ServeProcess, basic, exchange, print_measurements, push,
    reading,
};
use crate::support::{body, files};

/// A request whose line and headers have this many bytes, in this many headers.
fn head_of(bytes: usize, headers: usize) -> Vec<u8> {
    let mut head = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n", basic());
    (3..headers).for_each(|number| head.push_str(&format!("X-{number}: y\r\n")));
    head.push_str("X: ");
    head.push_str(&"a".repeat(bytes - head.len() - "\r\n\r\n".len()));
    head.push_str("\r\n\r\n");
    assert_eq!(head.len(), bytes);
    head.into_bytes()
}

#[test]
fn headers_are_accepted_up_to_the_limit() {
    let server = ServeProcess::start();
    for (bytes, headers, status) in [
        (LARGEST_HEAD, 4, 200),
        (LARGEST_HEAD + 1, 4, 431),
        (LARGEST_HEAD * 10, 4, 431),
        (8_192, MOST_HEADERS, 200),
        (8_192, MOST_HEADERS + 1, 431),
    ] {
        let answer = exchange(server.address, head_of(bytes, headers)).unwrap();
        assert_eq!(answer.status, status, "{bytes} bytes in {headers} headers: {}", answer.head);
    }
}

#[test]
fn endless_headers_and_lines_close_the_connection() {
    let server = InProcessServer::start(ServerLimits::default());
    for begun in ["GET /health HTTP/1.1\r\nX: ", "GET /", "", "GET /health HTTP/1.1\r\n"] {
        let mut raw = RawConnection::to(server.address);
        raw.send(begun);
        let (part, mut sent) = (if begun.ends_with("1.1\r\n") { "X: y\r\n" } else { "a" }.repeat(8 * 1024), 0);
        while raw.send(&part) && sent < 64 << 20 {
            sent += part.len();
        }
        // The rest is in the buffers of the system.
        assert!(sent < 16 << 20, "{begun:?}: {sent} bytes were accepted");
        assert!(raw.is_closed());
    }
}

#[test]
fn a_body_is_accepted_up_to_the_limit_and_a_larger_one_is_rejected_before_it_is_sent() {
    let server = ServeProcess::start();
    let regular_client = RegularClient::of(server.address);
    let whole = |length: usize| {
        let mut whole = vec![b' '; length];
        (whole[0], whole[length - 1]) = (b'[', b']');
        whole
    };
    let answer = exchange(server.address, push("", &whole(MAX_ENCODED))).unwrap();
    assert_eq!((answer.status, answer.json()["received"].as_u64()), (200, Some(0)));
    let head = format!(
        "POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {}\r\n\r\n",
        basic(),
        MAX_ENCODED + 1
    );
    assert_eq!(exchange(server.address, head).unwrap().status, 413);
    regular_client.longest_latency();
}

#[test]
fn chunks_are_accepted_up_to_the_limit() {
    let server = ServeProcess::start();
    let regular_client = RegularClient::of(server.address);
    let began = Instant::now();
    let head =
        format!("POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nTransfer-Encoding: chunked\r\n\r\n", basic());
    const CHUNK: usize = 64 * 1024;
    let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
    let blank = chunk(&" ".repeat(CHUNK));
    let mut taken = RawConnection::to(server.address);
    assert!(taken.send(&head) && taken.send(chunk("[")));
    (1..MAX_ENCODED / CHUNK).for_each(|_| assert!(taken.send(&blank)));
    assert!(taken.send(chunk("]")) && taken.send("0\r\n\r\n"));
    assert_eq!(taken.answer().unwrap().status, 200);

    let mut endless = RawConnection::to(server.address);
    endless.stream.set_nonblocking(false).unwrap();
    assert!(endless.send(&head));
    let mut sent = 0;
    while endless.send(&blank) && sent < 20 * MAX_ENCODED {
        sent += CHUNK;
    }
    // Read up to the limit, then discarded up to another limit, so that the client gets the response.
    assert!(sent < 4 * MAX_ENCODED, "{sent} bytes were accepted");
    print_measurements("chunks without end", &server, began, regular_client.longest_latency());
}

#[test]
fn long_chunk_extensions_and_endless_trailers_close_the_connection() {
    let server = InProcessServer::start(ServerLimits::default());
    let head =
        format!("POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nTransfer-Encoding: chunked\r\n\r\n", basic());
    for (begun, part) in [
        ("2\r\n[]\r\n0\r\n", "X-Trailer: y\r\n".repeat(4_096)),
        ("2;a=", "a".repeat(64 * 1024)),
        ("", format!("1;{}\r\n \r\n", "a".repeat(4_096)).repeat(16)),
    ] {
        let mut raw = RawConnection::to(server.address);
        raw.send(&head);
        raw.send(begun);
        let mut sent = 0;
        while raw.send(&part) && sent < 64 << 20 {
            sent += part.len();
        }
        assert!(sent < 16 << 20, "{begun:?}: {sent} bytes were accepted");
    }
}

/// Memory limit for a push of ten megabytes of readings, in MiB.
const MOST_MIB: u64 = 256;
/// Time limit of these pushes, in seconds: about a hundred times that of an optimized build on an idle machine.
const LONGEST: Duration = Duration::from_secs(45);

/// Pushes `body` while another client pushes, and asserts these limits. Returns the response.
fn handled_within(what: &str, body: &[u8], most_mib: u64) -> (u16, serde_json::Value) {
    let server = ServeProcess::start();
    let regular_client = RegularClient::of(server.address);
    regular_client.pushes(2);
    let began = Instant::now();
    let answer = exchange(server.address, push("", body)).unwrap();
    let took = began.elapsed();
    regular_client.pushes(1);
    let longest = regular_client.longest_latency();
    assert!(took < LONGEST && took < PATIENCE, "{what} took {took:?}");
    assert!(server.peak_mib() < most_mib, "{what}: {} MiB", server.peak_mib());
    let stored = files(&server.data()).into_iter().any(|file| file.starts_with("raw") || file.starts_with("rejected"));
    assert!(stored, "{what}: nothing that arrived is lost");
    print_measurements(what, &server, began, longest);
    (answer.status, answer.json())
}

#[test]
fn a_hundred_thousand_tiny_items_are_accepted() {
    let items = vec!["{}".to_owned(); 100_000];
    let (status, answer) = handled_within("100,000 items of two bytes", &body(&items), MOST_MIB);
    assert_eq!((status, answer["accepted"].as_u64(), answer["rejected"].as_u64()), (200, Some(100_000), Some(0)));
    let items = vec!["x".to_owned(); 100_000];
    let (status, answer) = handled_within("100,000 items that are none", &body(&items), MOST_MIB);
    assert_eq!((status, answer["accepted"].as_u64(), answer["rejected"].as_u64()), (200, Some(0), Some(100_000)));
}

#[test]
fn one_item_of_six_megabytes_is_accepted() {
    let text = json!({"DevType": "SMARTCLEAN#UM", "Display": "x".repeat(6_000_000), "v": {"count": 31}}).to_string();
    let (status, answer) = handled_within("one item of 6 MB", &body(&[text]), MOST_MIB);
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(1)));
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    const DEEP: usize = 100_000;
    let nested = |open: &str, middle: &str, close: &str| open.repeat(DEEP) + middle + &close.repeat(DEEP);
    let item = format!(r#"{{"v":{}}}"#, nested(r#"{"a":"#, "1", "}"));
    for (what, body, status, accepted) in [
        ("an item 100,000 deep in objects", body(std::slice::from_ref(&item)), 200, Some(1)),
        ("the same, and no string", format!("[{item}]").into_bytes(), 200, Some(1)),
        ("an item 100,000 deep in arrays", body(&[format!(r#"{{"v":{}}}"#, nested("[", "", "]"))]), 200, Some(1)),
        ("a body 100,000 deep in arrays", nested("[", "", "]").into_bytes(), 200, Some(0)),
        ("a body that is never closed", "[".repeat(DEEP).into_bytes(), 400, None),
        ("an item that is never closed", body(&[r#"{"v":"#.repeat(DEEP)]), 200, Some(0)),
    ] {
        let (answered, answer) = handled_within(what, &body, MOST_MIB);
        assert_eq!((answered, answer["accepted"].as_u64()), (status, accepted), "{what}");
    }
}

#[test]
fn ten_thousand_zones_in_one_push_are_accepted_and_evaluated() {
    let readings: Vec<String> = (0..10_000).map(reading).collect();
    let (status, answer) = handled_within("10,000 zones in one push", &body(&readings), MOST_MIB);
    assert_eq!((status, answer["accepted"].as_u64()), (200, Some(10_000)));
}

#[test]
fn a_push_that_takes_long_to_evaluate_delays_neither_responses_nor_the_next_start() {
    let server = ServeProcess::start();
    let readings: Vec<String> = (0..20_000).map(reading).collect();
    assert_eq!(exchange(server.address, push("", &body(&readings))).unwrap().status, 200);
    let is_left = !files(&server.data().join("to-evaluate")).is_empty();
    let server = server.killed_and_started();
    // It listens before it has evaluated pending pushes, which take at least five seconds.
    let began = Instant::now();
    assert_eq!(exchange(server.address, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap().status, 200);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let again = exchange(server.address, push("", &body(&[reading(1)]))).unwrap();
    assert_eq!((again.status, again.json()["accepted"].as_u64()), (200, Some(1)));
    // On a fast machine no push is pending.
    assert!(!is_left || String::from_utf8_lossy(&server.log()).contains("evaluating pending push"));
}
