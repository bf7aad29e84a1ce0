//! Request smuggling: requests whose start or end is ambiguous never run a hidden request.

use smartclean_push::hosts::server::ServerLimits;

use crate::hostile::support::{InProcessServer, RawConnection, RawResponse, basic, exchange, push, reading};
use crate::support::body;

/// The hidden request: a push that would be stored.
fn hidden() -> Vec<u8> {
    push("", &body(&[reading(666)]))
}

/// The head of a push with these framing headers.
fn framed(lines: &str) -> String {
    format!("POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n{lines}\r\n", basic())
}

/// The last request: handled only if the connection is still open, which it closes.
const LAST: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// The responses to these bytes and to [`LAST`], and the number of objects that were stored.
fn answers(server: &InProcessServer, bytes: &[u8]) -> (Vec<RawResponse>, usize) {
    let before = server.stored();
    let mut raw = RawConnection::to(server.address);
    raw.send([bytes, LAST].concat());
    (std::iter::from_fn(|| raw.answer()).collect(), server.stored() - before)
}

/// Asserts the statuses of the responses, and that nothing was stored.
fn is_answered(server: &InProcessServer, statuses: &[u16], bytes: &[u8], what: &str) {
    let (answers, stored) = answers(server, bytes);
    let came: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((came.as_slice(), stored), (statuses, 0), "{what}");
}

#[test]
fn after_a_body_with_both_a_length_and_chunks_the_connection_closes() {
    let server = InProcessServer::start(ServerLimits::default());
    let lengths = ["Content-Length: 7\r\n", "Content-Length: 0\r\n", "Content-Length: 500\r\n", ""];
    for length in lengths {
        for lines in
            [format!("{length}Transfer-Encoding: chunked\r\n"), format!("Transfer-Encoding: chunked\r\n{length}")]
        {
            let bytes = [framed(&lines).as_bytes(), b"2\r\n[]\r\n0\r\n\r\n", &hidden()].concat();
            // By its chunks this is an empty push. By its length, no request or half a request follows.
            is_answered(&server, &[200], &bytes, &lines);
        }
    }
}

#[test]
fn a_chunked_body_is_accepted_and_a_connection_with_lengths_stays_open() {
    let server = InProcessServer::start(ServerLimits::default());
    let text = body(&[reading(1)]);
    let (one, other) = text.split_at(10);
    let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let chunks = [chunk(one), chunk(other), b"0\r\n\r\n".to_vec()].concat();
    let (came, stored) = answers(&server, &[framed("Transfer-Encoding: chunked\r\n").as_bytes(), &chunks].concat());
    assert_eq!((came.len(), came[0].json()["accepted"].as_u64(), stored), (1, Some(1), 1));
    assert!(came[0].head.to_lowercase().contains("connection: close"), "{}", came[0].head);
    let twice = hidden().repeat(2);
    let (came, stored) = answers(&server, &[twice, push("", &body(&[reading(2)]))].concat());
    assert_eq!((came.len(), stored), (4, 2), "of three pipelined pushes two differ");
}

#[test]
fn a_body_of_missing_or_ambiguous_length_is_rejected() {
    let server = InProcessServer::start(ServerLimits::default());
    for lines in [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked-ish",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        "Transfer-Encoding\u{0}: chunked",
        "Transfer\u{2d}Encoding\u{a0}: chunked",
        "Content-Length: 2\r\nContent-Length: 200",
        "Content-Length: 200\r\nContent-Length: 2",
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 0x2",
        "Content-Length: 2 2",
        "Content-Length: 2;",
        "Content-Length: two",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length : 2",
        " Content-Length: 2",
        "X-Before: y\r\n Content-Length: 2",
        "X-Before: y\r\n\tTransfer-Encoding: chunked",
        "X: a\rTransfer-Encoding: chunked",
        "X: a\u{0}b",
        "X y: z",
        "no colon",
        ": no name",
    ] {
        let bytes = [framed(&format!("{lines}\r\n")).as_bytes(), b"[]", &hidden()].concat();
        is_answered(&server, &[400], &bytes, lines);
    }
}

#[test]
fn an_unambiguous_length_is_accepted_in_every_valid_spelling() {
    let server = InProcessServer::start(ServerLimits::default());
    let chunked = b"2\r\n[]\r\n0\r\n\r\n".as_slice();
    for (lines, body) in [
        ("Content-Length: 2", b"[]".as_slice()),
        ("content-length:2", b"[]"),
        ("CONTENT-LENGTH: \t 2 \t", b"[]"),
        ("Content-Length: 002", b"[]"),
        // The same value twice is unambiguous (RFC 9112 §6.3).
        ("Content-Length: 2\r\nContent-Length: 2", b"[]"),
        ("Transfer-Encoding: chunked", chunked),
        ("transfer-encoding:\tCHUNKED", chunked),
        ("Transfer-Encoding: chunked", b"00002;a=b\r\n[]\r\n0;c\r\nX: y\r\n\r\n"),
        // A line feed alone ends a line (RFC 9112 §2.2).
        ("X: y\nContent-Length: 2", b"[]"),
    ] {
        let bytes = [framed(&format!("{lines}\r\n")).as_bytes(), body].concat();
        // After chunks nothing else is parsed.
        let statuses: &[u16] = if lines.to_lowercase().contains("chunked") { &[200] } else { &[200, 200] };
        is_answered(&server, statuses, &bytes, lines);
    }
}

#[test]
fn ambiguous_chunks_close_the_connection() {
    let server = InProcessServer::start(ServerLimits::default());
    for chunks in [
        "0x2\r\n[]\r\n0\r\n\r\n",
        "+2\r\n[]\r\n0\r\n\r\n",
        "-2\r\n[]\r\n0\r\n\r\n",
        "\r\n[]\r\n0\r\n\r\n",
        "two\r\n[]\r\n0\r\n\r\n",
        "10000000000000002\r\n[]\r\n0\r\n\r\n",
        "2\n[]\r\n0\r\n\r\n",
        "2\r\n[]0\r\n\r\n",
        "2\r\n[]\n0\r\n\r\n",
        "2\r\n[] \r\n0\r\n\r\n",
        "2;a=\n\r\n[]\r\n0\r\n\r\n",
        "2 2\r\n[]\r\n0\r\n\r\n",
    ] {
        let bytes = [framed("Transfer-Encoding: chunked\r\n").as_bytes(), chunks.as_bytes(), &hidden()].concat();
        is_answered(&server, &[400], &bytes, chunks);
    }
}

#[test]
fn invalid_request_lines_are_rejected() {
    let server = InProcessServer::start(ServerLimits::default());
    for line in [
        "POST /push HTTP/1.0\r\nTransfer-Encoding: chunked",
        "POST /push HTTP/3.0",
        "PRI * HTTP/2.0",
        "POST /push http/1.1",
        "POST  /push HTTP/1.1",
        "POST /push\u{b}HTTP/1.1",
        "POST /pu sh HTTP/1.1",
        "POST /push",
        "/push",
        "\u{16}\u{3}\u{1}\u{2}",
    ] {
        let bytes = [format!("{line}\r\nHost: x\r\nAuthorization: {}\r\n\r\n", basic()).as_bytes(), &hidden()].concat();
        is_answered(&server, &[400], &bytes, line);
    }
}

/// An empty push with this method and target.
fn to(method: &str, target: &str, more: &str) -> Vec<u8> {
    let authorization = basic();
    let lines = format!("Host: x\r\nAuthorization: {authorization}\r\nConnection: close\r\n{more}Content-Length: 2");
    format!("{method} {target} HTTP/1.1\r\n{lines}\r\n\r\n[]").into_bytes()
}

#[test]
fn a_path_is_not_normalized() {
    let server = InProcessServer::start(ServerLimits::default());
    for (method, target, status) in [
        ("POST", "/push", 200),
        ("POST", "/push?a=/../b", 200),
        // The absolute form of requests to a proxy (RFC 9112 §3.2.2).
        ("POST", "http://x/push", 200),
        ("POST", "/%70ush", 404),
        ("POST", "/push%00", 404),
        ("POST", "/push%2f", 404),
        ("POST", "/push/", 404),
        ("POST", "//push", 404),
        ("POST", "/./push", 404),
        ("POST", "/x/../push", 404),
        ("POST", "/PUSH", 404),
        ("POST", "/push;x", 404),
        ("POST", "/zones/..%2f..%2fpush/cleaned", 404),
        ("POST", "/zones/%00/cleaned", 404),
        ("POST", "/zones/%ff%fe/cleaned", 404),
        ("POST", "/zones//cleaned", 404),
        ("POST", "/zones/a/b/cleaned", 404),
        ("GET", "/push", 405),
        ("OPTIONS", "*", 404),
        ("CONNECT", "x:443", 404),
        ("post", "/push", 405),
        ("TRACE", "/push", 405),
    ] {
        let answer = exchange(server.address, to(method, target, "")).unwrap();
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
        assert!(!answer.body.contains("x:443") && !answer.body.contains(".."), "{answer:?}");
    }
}

#[test]
fn headers_for_proxies_and_browsers_change_nothing() {
    let server = InProcessServer::start(ServerLimits::default());
    for (method, path, more, status) in [
        ("GET", "/push", "X-HTTP-Method-Override: POST\r\n", 405),
        ("POST", "/pull", "X-Original-URL: /push\r\nX-Rewrite-URL: /push\r\n", 404),
        ("POST", "/push", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", 200),
        ("POST", "/push", "Expect: 100-continue\r\n", 200),
        ("POST", "/push", "Content-Encoding: gzip\r\nContent-Encoding: identity\r\n", 415),
        ("POST", "/push", "Content-Encoding: gzip, gzip\r\n", 415),
    ] {
        assert_eq!(exchange(server.address, to(method, path, more)).unwrap().status, status, "{more}");
    }
}

#[test]
fn a_cross_origin_request_is_rejected_even_with_valid_credentials() {
    let auth_methods = "basic,oauth,event-hub".parse().unwrap();
    let server = InProcessServer::start_with(ServerLimits::default(), auth_methods);
    let authorizations = [format!("Authorization: {}\r\n", basic()), "Authorization: Basic eDp5\r\n".to_owned()];
    for path in ["/push", "/push/jwt", "/zones/z/cleaned", "/oauth2/token", "/hub/messages"] {
        for page in [
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "Origin: https://evil.example\r\n",
            "Origin: null\r\n",
            "Origin: http://x:8080\r\nSec-Fetch-Site: same-site\r\n",
        ] {
            // The response does not depend on the password.
            let answers = authorizations.each_ref().map(|authorization| {
                let lines = format!("Host: x\r\nConnection: close\r\n{authorization}{page}Content-Length: 2");
                exchange(server.address, format!("POST {path} HTTP/1.1\r\n{lines}\r\n\r\n[]")).unwrap()
            });
            for answer in answers {
                assert_eq!(answer.status, 403, "{path} {page}");
                assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
                let detail = answer.json()["detail"].as_str().unwrap().to_owned();
                assert!(detail.contains("another origin") && detail.contains("from a program"), "{detail}");
            }
        }
    }
    let evil = "Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n";
    let reading = body(&[reading(1)]);
    assert_eq!(exchange(server.address, push(evil, &reading)).unwrap().status, 403);
    assert_eq!(server.stored(), 0);
    // Pages may call what has no side effects. Pages of this host and programs may call everything.
    assert_eq!(exchange(server.address, to("GET", "/health", evil)).unwrap().status, 200);
    let own = "Origin: http://x\r\nSec-Fetch-Site: same-origin\r\n";
    for (number, headers) in ["", own, "Sec-Fetch-Site: none\r\n"].into_iter().enumerate() {
        let readings = body(&vec![super::support::reading(1); number + 1]);
        assert_eq!(exchange(server.address, push(headers, &readings)).unwrap().status, 200, "{headers}");
    }
    assert_eq!(server.stored(), 3);
}

#[test]
fn credentials_come_once_and_before_the_body() {
    let server = InProcessServer::start(ServerLimits::default());
    let right = format!("Authorization: {}\r\n", basic());
    let wrong = "Authorization: Basic eDp5\r\n";
    let trailing = format!("2\r\n[]\r\n0\r\n{right}\r\n");
    for (lines, body, status) in [
        (right.clone() + "Content-Length: 2\r\n", "[]", 200),
        (format!("{right}{wrong}Content-Length: 2\r\n"), "[]", 401),
        (format!("{wrong}{right}Content-Length: 2\r\n"), "[]", 401),
        (format!("{right}{right}Content-Length: 2\r\n"), "[]", 401),
        ("Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n".to_owned(), &trailing, 401),
        (format!("X: y\r\nProxy-{right}Content-Length: 2\r\n"), "[]", 401),
        (right.replace("Basic ", "Basic\t") + "Content-Length: 2\r\n", "[]", 401),
    ] {
        let head = format!("POST /push HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
        assert_eq!(exchange(server.address, head + body).unwrap().status, status, "{lines}");
    }
}

#[test]
fn a_rejected_request_gets_no_100_continue() {
    let server = InProcessServer::start(ServerLimits::default());
    for (authorization, length, status) in [("", 9_000_000, 401), (&*basic(), 12_000_000, 413)] {
        let mut raw = RawConnection::to(server.address);
        let head =
            format!("POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nExpect: 100-continue\r\n");
        assert!(raw.send(head + &format!("Content-Length: {length}\r\n\r\n")));
        let mut first = [0; 12];
        std::io::Read::read_exact(&mut raw.stream, &mut first).unwrap();
        assert_eq!(first, *format!("HTTP/1.1 {status}").as_bytes(), "and no 100 before it");
    }
}

#[test]
fn a_request_requires_exactly_one_host_header() {
    let server = InProcessServer::start(ServerLimits::default());
    let authorization = basic();
    let status = |version: &str, hosts: &str| {
        let head = format!("POST /push HTTP/{version}\r\n{hosts}Authorization: {authorization}\r\n");
        exchange(server.address, head + "Connection: close\r\nContent-Length: 2\r\n\r\n[]").unwrap()
    };
    for hosts in ["", "Host: x\r\nHost: x\r\n", "Host: x\r\nHost: y\r\n"] {
        let answer = status("1.1", hosts);
        assert_eq!(answer.status, 400, "{hosts:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("exactly one Host header"), "{answer:?}");
    }
    for (version, hosts) in [("1.1", "Host: x\r\n"), ("1.1", "Host:\r\n"), ("1.0", ""), ("1.0", "Host: x\r\n")] {
        assert_eq!(status(version, hosts).status, 200, "{version} {hosts:?}");
    }
}

/// curl waits a second for `100 Continue`, then sends the body.
#[test]
fn a_client_that_expects_100_continue_gets_the_rejection_even_if_it_sends_the_body() {
    let server = InProcessServer::start(ServerLimits::default());
    let (right, wrong) = (basic(), "Basic eDp5".to_owned());
    for (authorization, framing, status) in [
        (&wrong, "Content-Length: 8000000", 401),
        (&wrong, "Transfer-Encoding: chunked", 401),
        (&right, "Content-Length: 12000000", 413),
        (&right, "Transfer-Encoding: chunked", 413),
    ] {
        let mut raw = RawConnection::to(server.address);
        let head = format!("POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n{framing}\r\n");
        assert!(raw.send(head + "Expect: 100-continue\r\n\r\n"));
        let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
        let sent = (0..if status == 401 { 122 } else { 183 }).all(|_| raw.send(&chunk));
        assert!(sent, "{framing} {status}: the connection was reset");
        assert_eq!(raw.answer().map(|answer| answer.status), Some(status), "{framing}");
    }
}

#[test]
fn pipelined_pushes_are_handled_in_order() {
    const PUSHES: usize = 200;
    let server = InProcessServer::start(ServerLimits::default());
    let bytes: Vec<u8> = (0..PUSHES).flat_map(|number| push("", &body(&vec![reading(1); number]))).collect();
    let mut raw = RawConnection::to(server.address);
    let sender = std::thread::spawn({
        let mut stream = raw.stream.try_clone().unwrap();
        move || std::io::Write::write_all(&mut stream, &bytes).unwrap()
    });
    for number in 0..PUSHES {
        assert_eq!(raw.answer().unwrap().json()["received"], number);
    }
    sender.join().unwrap();
}
