//! Unicode text in every field of a reading: the stored line, the messages, the state documents and the HTTP responses
//! are correct for any text.

use http::Request;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use smartclean_push::domain::display::presentable;
use smartclean_push::notify::rendered::Rendered;

use crate::properties::limits;
use crate::support::{PASSWORD, TestApp, USERNAME, basic, now};

/// Contents of JSON strings: several scripts, joined characters, direction marks, control characters, and unpaired
/// surrogates.
const TEXTS: [&str; 28] = [
    "三楼女厕所",
    "مرحاض السيدات",
    "\u{202b}שירותים\u{202c} \u{2067}x\u{2069} \u{200f}y",
    "e\u{301} n\u{303} Z\u{351}\u{36b}\u{343}",
    "क्षि กำ 각 \u{1100}\u{1161}\u{11a8}",
    "🚻",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦 👍🏽 🇸🇬🇲🇾 ❤\u{fe0f}\u{200d}🔥",
    "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "𐍈𝕏\u{10ffff}",
    "\u{200b}\u{200d}\u{2060}\u{ad}\u{fe0f}",
    "\u{301}",
    "\u{a0}\u{3000}\u{2003}",
    "\u{feff}x\u{feff}",
    "\u{fdd0}\u{ffff}\u{fffd}",
    "a\u{2028}b\u{2029}c\u{85}d",
    "İıßẞŉǅﬃ",
    r"\ud83d\udebb",
    r"\u0041\u030A",
    r"\ud800",
    r"\udc00\ud800",
    r"a\ud83db\ude00c",
    r"\ud83d\u0041",
    r"\u0000\u0007\u001b[31m\u009b31m\u007f",
    r"line\r\nWhere: elsewhere\n\nRule x",
    r#"\"quoted\" \\ \/ \u0022"#,
    "{location} {{value}} %s $x `y`",
    "  spaced \t out  ",
    "1e999",
];

/// The text fields of the envelope of a reading.
const FIELDS: [&str; 9] = ["Display", "DEVID", "ID", "DASSOC", "InsID", "PID", "PropId", "Region", "Name"];

/// Returns a reading that raises an alert, with `text` as the content of `field`.
fn reading(field: &str, text: &str) -> String {
    let member = |name: &str, usual: &str| {
        let text = if name == field { text.replace('\t', r"\t") } else { usual.to_owned() };
        format!("\"{name}\":\"{text}\"")
    };
    let mut members: Vec<String> = [
        ("Display", "Washroom 3"),
        ("InsID", "zone"),
        ("PID", "building"),
        ("PropId", "property"),
        ("Region", "Asia/Singapore"),
    ]
    .iter()
    .map(|(name, usual)| member(name, usual))
    .collect();
    members.push(match field {
        "ID" | "DASSOC" => member(field, ""),
        _ => member("DEVID", "device"),
    });
    let reasons = format!("{{\"ID_1\":{{{}}}}}", member("Name", "Wet floor"));
    let (values, at) = (format!("{{\"rating\":5,\"reasons\":{reasons}}}"), now().as_millisecond());
    format!("{{\"DevType\":\"SMARTCLEAN#FD\",{},\"unixT\":{at},\"v\":{values}}}", members.join(","))
}

/// Pushes one item and checks that it is accepted, stored unchanged, and sent in one message within the limits of all
/// channels.
async fn push_item(item: &str) -> (TestApp, Rendered) {
    let app = TestApp::new();
    let answer = app.push(serde_json::to_vec(&[item]).unwrap()).await;
    assert_eq!(
        (answer.status, &answer.body["accepted"], &answer.body["alerts"]),
        (200, &json!(1), &json!(1)),
        "{item}"
    );
    let lines = app.lines();
    assert_eq!((lines.len(), &lines[0].1[..]), (1, &[item.to_owned()][..]));
    let sent = app.publisher.sent();
    assert_eq!(sent.len(), 1, "{item}");
    limits::check(&sent[0]);
    (app, sent.into_iter().next().unwrap())
}

/// Decodes the content of a JSON string leniently: an unpaired surrogate becomes U+FFFD.
fn decode(text: &str) -> String {
    let units: Vec<u16> = match serde_json::from_str::<String>(&format!("\"{}\"", text.replace('\t', r"\t"))) {
        Ok(whole) => return whole,
        // Only escapes can be unpaired surrogates, and those texts are ASCII.
        Err(_) => escapes(text),
    };
    char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect()
}

fn escapes(text: &str) -> Vec<u16> {
    let mut units = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match rest.strip_prefix(r"\u") {
            Some(digits) => {
                units.push(u16::from_str_radix(&digits[..4], 16).unwrap());
                rest = &digits[4..];
            }
            None => {
                units.extend(first.encode_utf16(&mut [0; 2]).iter());
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    units
}

#[tokio::test]
async fn any_text_in_any_field_is_stored_unchanged_and_sent_within_the_limits() {
    let (_, plain) = push_item(&reading("", "")).await;
    for field in FIELDS {
        for text in TEXTS {
            let (app, sent) = push_item(&reading(field, text)).await;
            // A text cannot add a paragraph, or a line that looks like a line of the message.
            assert_eq!(
                sent.email.matches("\n\n").count(),
                plain.email.matches("\n\n").count(),
                "{field} {text}: {}",
                sent.email
            );
            let ours = ["Where: ", "When: ", "Device: ", "Rule: "];
            let lines =
                |email: &str| email.lines().filter(|line| ours.iter().any(|ours| line.starts_with(ours))).count();
            assert_eq!(lines(&sent.email), lines(&plain.email), "{field} {text}: {}", sent.email);
            // The state document is valid JSON, and there is one for the zone.
            let documents = app.state.documents();
            let zones = documents.iter().filter(|(key, _)| key.starts_with("zone/") || key.starts_with("device/"));
            let zones: Vec<_> = zones.collect();
            assert_eq!(zones.len(), 1, "{field} {text}");
            serde_json::from_str::<Value>(&zones[0].1.body).unwrap();
            let facts: Value = serde_json::from_str(&sent.json).unwrap();
            let shown = presentable(&decode(text));
            let actual = match field {
                "Display" => &facts["location"]["display"],
                "DEVID" | "ID" | "DASSOC" => &facts["location"]["device"],
                "InsID" => &facts["location"]["zone"],
                "PID" => &facts["location"]["project"],
                "PropId" => &facts["location"]["property"],
                _ => continue,
            };
            let is_hidden = field == "Display"
                && actual.is_null()
                && shown.as_deref().is_some_and(|shown| shown.chars().all(|c| !c.is_alphanumeric()));
            assert!(actual.as_str() == shown.as_deref() || is_hidden, "{field} {text}: {actual}, expected {shown:?}");
        }
    }
}

#[tokio::test]
async fn a_zone_with_any_name_can_be_reported_as_cleaned_by_request_and_by_event() {
    for text in TEXTS.into_iter().filter(|text| !decode(text).trim().is_empty()) {
        let (app, _) = push_item(&reading("InsID", text)).await;
        let path = format!("/zones/{}/cleaned", utf8_percent_encode(&decode(text), NON_ALPHANUMERIC));
        let request = Request::post(path).header("authorization", basic(USERNAME, PASSWORD));
        let answer = app.send(request.body(Full::default()).unwrap()).await;
        assert_eq!((answer.status, &answer.body["zones"]), (200, &json!(1)), "{text}: {answer:?}");

        let (text, at) = (text.replace('\t', r"\t"), now().as_second());
        let event = format!(
            r#"{{"RoutingKey":"matrix.{text}","Event":"{text}","UnixTimeInt":{at},"Meta":{{"Zone":"{text}","ZoneName":"{text}","Name":"{text}","AEnd":{at}}}}}"#
        );
        let answer = app.push(format!("[{event}]")).await;
        assert_eq!((answer.status, &answer.body["accepted"]), (200, &json!(1)), "{text}: {answer:?}");
        let state = app.state.documents();
        let cleaned = state.values().filter(|document| document.body.contains("\"cleaned\"")).count();
        assert_eq!(cleaned, 1, "{text}: {:?}", state.keys());
    }
}

#[tokio::test]
async fn a_device_type_with_any_name_is_stored_and_raises_no_alert() {
    for text in TEXTS {
        let app = TestApp::new();
        let item = format!("{{\"DevType\":\"{}\",\"v\":{{\"x\":1}}}}", text.replace('\t', r"\t"));
        let answer = app.push(serde_json::to_vec(&[&item]).unwrap()).await;
        assert_eq!((answer.status, &answer.body["accepted"]), (200, &json!(1)), "{text}");
        assert_eq!(app.lines()[0].1, [item]);
    }
}

#[tokio::test]
async fn a_long_text_is_never_cut_within_a_character() {
    // Lengths around the limits of an SMS part (70), the subject (99) and a name (120), minus the text before the name.
    for length in (20..40).chain(60..80).chain(100..124) {
        for joined in ["𐍈", "🚻", "👩\u{200d}👩\u{200d}👧", "🇸🇬", "e\u{301}\u{302}", "각", "👍🏽", "क्षि"]
        {
            let name = format!("{}{}", "x".repeat(length), joined.repeat(20));
            for field in ["Display", "Name"] {
                let (_, sent) = push_item(&reading(field, &name)).await;
                let facts: Value = serde_json::from_str(&sent.json).unwrap();
                let shown = match field {
                    "Display" => facts["location"]["display"].as_str().unwrap(),
                    _ => facts["alerts"][0]["reasons"][0].as_str().unwrap(),
                };
                assert!(limits::begins(shown, &name), "{shown:?} breaks {name:?}");
                if field == "Display" {
                    let subject = sent.subject.strip_prefix("[MEDIUM] Bad feedback: ").unwrap();
                    let begin = subject.strip_suffix('…').unwrap_or(subject);
                    assert!(limits::begins(begin, &name), "{subject:?} breaks {name:?}");
                }
            }
        }
    }
}
