//! Injection into the logs of the server and of the function, and into metrics.

use super::{assert_plain, feedback, payloads};
use crate::hostile::support::{RawResponse, ServeProcess, basic, exchange, push};
use crate::support::body;

/// A payload, encoded for a target or a header.
fn encoded(payload: &str) -> String {
    payload.bytes().take(300).map(|byte| format!("%{byte:02x}")).collect()
}

/// Sends the payload in every field, with and without valid credentials.
fn send_everywhere(server: &ServeProcess, payload: &str) -> Vec<RawResponse> {
    use base64::Engine as _;
    let guess = base64::engine::general_purpose::STANDARD.encode(format!("{payload}:{payload}"));
    let now = jiff::Timestamp::now();
    let in_zone = feedback(now, &[("InsID", payload), ("PID", payload), ("DEVID", payload)]);
    let zone = encoded(payload);
    let bare: String = payload.chars().filter(|c| !c.is_control()).take(300).collect();
    [
        push("", &body(&[in_zone])),
        push("", payload.as_bytes()),
        push("", &body(&[payload.to_owned()])),
        push("Content-Encoding: gzip\r\n", payload.as_bytes()),
        format!("POST /push HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {guess}\r\nContent-Length: 0\r\n\r\n").into(),
        format!("POST /push HTTP/1.1\r\nHost: {bare}\r\nAuthorization: {bare}\r\nUser-Agent: {bare}\r\n\r\n").into(),
        format!("POST /{zone} HTTP/1.1\r\nHost: x\r\n\r\n").into(),
        format!("POST /zones/{zone}/cleaned?project={zone} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: 0\r\n\r\n", basic()).into(),
    ]
    .into_iter()
    // Hyper responds to invalid HTTP with 400.
    .filter_map(|bytes: Vec<u8>| (bytes.len() < 30_000 || bytes.starts_with(b"POST /push")).then(|| exchange(server.address, bytes)))
    .flatten()
    .collect()
}

#[test]
fn no_input_adds_a_line_to_the_server_log() {
    let server = ServeProcess::start();
    for (attempt, payload) in payloads() {
        let before = server.log().len();
        let answers = send_everywhere(&server, &payload);
        assert!(answers.len() >= 6, "{attempt}: {answers:?}");
        for answer in answers {
            assert!(!answer.body.contains("evil") && !answer.head.contains("vil"), "{attempt}: {answer:?}");
            answer.body.split('\n').for_each(|line| assert_plain(line, attempt));
        }
        let log = server.log()[before..].to_vec();
        let log = String::from_utf8(log).unwrap();
        for line in log.lines() {
            assert_plain(line, attempt);
            // "2026-11-23T10:00:00.000000Z  INFO ..."
            let is_own = line.len() > 28 && line.as_bytes()[10] == b'T' && line[20..30].contains("Z ");
            assert!(is_own, "{attempt}: {line}");
            assert!(!line.starts_with("2026-01-01"), "{attempt}: {line}");
            assert!(line.len() < 4_096, "{attempt}: a line of {} bytes", line.len());
        }
    }
}

/// The names of all metrics, with labels.
fn series(server: &ServeProcess) -> Vec<String> {
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {}\r\n\r\n", basic());
    let page = exchange(server.address, request).unwrap().body;
    page.lines().map(|line| line.rsplit_once(' ').map_or(line, |(name, _)| name).to_owned()).collect()
}

#[test]
fn no_input_changes_the_names_of_metrics() {
    let server = ServeProcess::start();
    let before = series(&server);
    assert!(before.iter().any(|name| name.contains("{le=")) && before.last().unwrap().starts_with('#'), "{before:?}");
    for (_, payload) in payloads() {
        send_everywhere(&server, &payload);
    }
    assert_eq!(series(&server), before);
}

mod function {
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use smartclean_push::sources::Envelope;
    use smartclean_push::telemetry::{self, Verbosity};

    use super::super::is_hidden;
    use super::{encoded, feedback, payloads};
    use crate::hostile::support::basic;
    use crate::support::{World, body, process};

    /// An event of an HTTP API with these values.
    fn event(path: &str, headers: &Value, body: &str) -> String {
        json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
            "requestContext": {"http": {"method": "POST", "path": path, "sourceIp": "203.0.113.7"}, "requestId": "id"},
            "body": body, "isBase64Encoded": false,
        })
        .to_string()
    }

    /// The event of a push whose token API Gateway has verified, for a client of this name.
    fn verified(client: &str, body: &str) -> String {
        let mut event: Value = serde_json::from_str(&event("/push/jwt", &json!({}), body)).unwrap();
        event["requestContext"]["authorizer"] = json!({"jwt": {"claims": {"sub": client}, "scopes": null}});
        event.to_string()
    }

    /// In a process of its own, because a process has one log.
    #[tokio::test]
    #[ignore = "a part of the test that starts it"]
    async fn function_that_logs() {
        telemetry::function::start(Verbosity::from_lookup(|_| Some("trace".into())), Some("f".into()));
        let app = World::new().app();
        for (_, payload) in payloads() {
            let in_zone = feedback(Timestamp::now(), &[("InsID", &payload), ("PID", &payload)]);
            let readings = String::from_utf8(body(&[in_zone, payload.clone()])).unwrap();
            let bare: String = payload.chars().filter(|c| !c.is_control()).collect();
            for event in [
                event("/push", &json!({"authorization": basic()}), &readings),
                event("/push", &json!({"authorization": basic(), "x": bare}), &payload),
                event("/push", &json!({"authorization": format!("Basic {payload}")}), ""),
                event(&payload, &json!({"authorization": bare}), ""),
                verified(&payload, &readings),
                event(&format!("/zones/{}/cleaned", encoded(&payload)), &json!({"authorization": basic()}), ""),
            ] {
                let _ = app.handle_api_event(&Envelope::parse(&event).unwrap(), "invocation", Timestamp::now()).await;
            }
        }
    }

    #[test]
    fn no_input_adds_lines_or_fields_to_the_function_log() {
        let output = process(module_path!(), "function_that_logs").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("\"level\":")).collect();
        assert!(lines.len() > payloads().len(), "{text}");
        for line in lines {
            // The output of the test may precede it on the same line.
            let line = &line[line.find("{\"").unwrap()..];
            let object: Value = serde_json::from_str(line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
            let members = object.as_object().unwrap();
            assert!(!members.keys().any(|name| name.contains("evil")), "{line}");
            assert!(["INFO", "WARN", "ERROR", "DEBUG", "TRACE"].contains(&object["level"].as_str().unwrap()), "{line}");
            // JSON may contain hidden characters, but no line breaks.
            assert!(!line.chars().any(|c| c.is_control()), "{line}");
            assert!(line.len() < 8_192, "a line of {} bytes", line.len());
            let shown = object["client"].as_str().unwrap_or_default();
            assert!(!shown.chars().any(is_hidden), "{line}");
        }
    }
}
