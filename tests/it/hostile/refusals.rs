//! Rejections while the client is still sending: it gets the response.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use smartclean_push::hosts::server::ServerLimits;

use crate::hostile::support::{InProcessServer, basic};

/// Sends a whole body of `length` bytes in parts, then reads. Returns the status line.
fn status_after(
    address: SocketAddr,
    path: &str,
    authorization: &str,
    length: usize,
    part: usize,
    pause: Duration,
) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    let mut sent = 0;
    while sent < length {
        let now = part.min(length - sent);
        if let Err(fault) = stream.write_all(&vec![b' '; now]) {
            return format!("{fault} after {sent} bytes");
        }
        sent += now;
        std::thread::sleep(pause);
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).map_or_else(|fault| fault.to_string(), |()| String::from_utf8_lossy(&answer).into())
}

#[test]
fn a_client_that_is_still_sending_gets_the_status_of_an_early_rejection() {
    let server = InProcessServer::start(ServerLimits::default());
    let (right, wrong) = (basic(), "Basic eDp5".to_owned());
    let slowly = (2_000, 500, Duration::from_millis(100));
    let much = (8 << 20, 64 << 10, Duration::ZERO);
    for (path, authorization, status) in [("/push", &wrong, "401"), ("/nowhere", &right, "404")] {
        for (length, part, pause) in [slowly, much] {
            let status_line = status_after(server.address, path, authorization, length, part, pause);
            assert_eq!(status_line, format!("HTTP/1.1 {status}"), "{path}, {length} bytes");
        }
    }
    let status_line = status_after(server.address, "/push", &right, 11_000_000, 64 << 10, Duration::ZERO);
    assert_eq!(status_line, "HTTP/1.1 413");
    let status_line = status_after(server.address, "/push", &right, 2_000, 500, Duration::from_millis(100));
    assert_eq!(status_line, "HTTP/1.1 400", "spaces are no batch");
}

#[test]
fn a_rejected_client_that_never_ends_is_disconnected() {
    let within = Duration::from_secs(1);
    let server = InProcessServer::start(ServerLimits { body_timeout: within, ..ServerLimits::default() });
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n ").unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 404"));
    assert!((within..within * 10).contains(&began.elapsed()), "{:?}", began.elapsed());
}
