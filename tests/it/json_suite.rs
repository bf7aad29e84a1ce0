//! JSONTestSuite (tests/data/json-suite): each case as the body of a push, as an item in either form, and as a value, a
//! name and a number inside an item.

use serde_json::Value;
use smartclean_push::domain::batch::{BatchError, Items};
use smartclean_push::domain::reading::Reading;

use crate::properties::json::{elements, is_object};
use crate::support::{TestApp, unescaped};

/// What a parser must do with a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Accept,
    Refuse,
    Choose,
}

struct Case {
    name: String,
    kind: Kind,
    bytes: Vec<u8>,
    /// The expected outcome as a body and as a value, if the suite leaves the choice to the parser.
    chosen: Option<(String, String)>,
}

impl Case {
    fn read(line: &str) -> Self {
        let parts: Vec<&str> = line.split('\t').collect();
        let [name, times, text, rest @ ..] = &parts[..] else { panic!("{line}") };
        let kind = match &name[..2] {
            "y_" => Kind::Accept,
            "n_" => Kind::Refuse,
            "i_" => Kind::Choose,
            _ => panic!("{line}"),
        };
        let chosen = match rest {
            [body, value, why] if kind == Kind::Choose && why.len() > 20 => Some((body.to_string(), value.to_string())),
            [] if kind != Kind::Choose => None,
            _ => panic!("{line}"),
        };
        Self { name: name.to_string(), kind, bytes: unescaped(text).unwrap().repeat(times.parse().unwrap()), chosen }
    }

    /// Returns the case as text if it is UTF-8.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }

    /// Returns the text between the brackets if the case is an array.
    fn content(&self) -> Option<&str> {
        self.text()?.trim().strip_prefix('[')?.strip_suffix(']')
    }

    /// Returns whether a reading may have the case as a value.
    fn is_a_value(&self) -> bool {
        match &self.chosen {
            Some((_, value)) => value == "reading",
            None => self.kind == Kind::Accept,
        }
    }
}

fn cases() -> Vec<Case> {
    let table = include_str!("../data/json-suite/cases.tsv");
    table.lines().filter(|line| !line.starts_with('#')).map(Case::read).collect()
}

/// Returns the readings of a batch and the number of rejected items, or `None` if the body is not a batch.
fn decode(body: &[u8]) -> Option<(Vec<String>, usize)> {
    let items = Items::split(body).ok()?;
    let batch = items.read();
    Some((batch.readings.iter().map(|reading| reading.text.to_owned()).collect(), batch.rejections.len()))
}

/// Returns a text as a line of the stored object.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[test]
fn the_suite_is_complete() {
    let of = |kind| cases().iter().filter(|case| case.kind == kind).count();
    assert_eq!((of(Kind::Accept), of(Kind::Refuse), of(Kind::Choose)), (95, 188, 35));
}

#[test]
fn a_case_as_a_body_is_a_batch_if_it_is_an_array() {
    for case in cases() {
        let split = Items::split(&case.bytes);
        let outcome = match &split {
            Ok(_) => "batch",
            Err(BatchError::Utf8(_)) => "no UTF-8",
            Err(BatchError::Shape) => "no array",
            Err(BatchError::Json(_)) => "no JSON",
            Err(other) => panic!("{}: {other}", case.name),
        };
        let expected: &[&str] = match (case.kind, &case.chosen) {
            (Kind::Choose, Some((body, _))) => &[body],
            (Kind::Accept, _) if case.text().unwrap().trim_start().starts_with('[') => &["batch"],
            (Kind::Accept, _) => &["no array"],
            _ => &["no UTF-8", "no JSON"],
        };
        assert!(expected.contains(&outcome), "{}: {outcome}", case.name);
        if let Ok(items) = split {
            assert_eq!(items.len(), elements(case.text().unwrap().trim_start_matches('\u{feff}')).unwrap().len());
        }
    }
}

#[tokio::test]
async fn a_case_as_a_body_is_refused_and_stored_unchanged_if_it_is_not_a_batch() {
    for case in cases() {
        let app = TestApp::new();
        let answer = app.push(case.bytes.clone()).await;
        let is_batch = Items::split(&case.bytes).is_ok();
        assert_eq!(answer.status, if is_batch { 200 } else { 400 }, "{}: {answer:?}", case.name);
        if is_batch {
            continue;
        }
        let lines = app.lines();
        assert_eq!((lines.len(), lines[0].1.len()), (1, 1), "{}", case.name);
        let rejection: Value = serde_json::from_str(&lines[0].1[0]).unwrap();
        match case.text() {
            Some(text) => assert_eq!(rejection["raw"], text, "{}", case.name),
            None => assert!(rejection["raw_base64"].is_string(), "{}", case.name),
        }
    }
}

#[test]
fn a_case_as_an_item_in_a_string_is_a_reading_if_it_is_one_object() {
    for case in cases() {
        let Some(text) = case.text() else { continue };
        let body = serde_json::to_vec(&[text]).unwrap();
        let (readings, rejected) = decode(&body).unwrap();
        let is_object = text.trim_start().starts_with('{');
        if case.kind == Kind::Accept && is_object || case.name == "i_object_key_lone_2nd_surrogate" {
            assert_eq!((readings, rejected), (vec![line(text)], 0), "{}", case.name);
        } else {
            assert_eq!((readings.len(), rejected), (0, 1), "{}", case.name);
            let items = Items::split(&body).unwrap();
            assert_eq!(*items.read().rejections[0].raw, *case.bytes, "{}", case.name);
        }
    }
}

#[test]
fn a_case_as_a_bare_item_is_a_reading_if_it_is_one_object() {
    for case in cases() {
        let decoded = decode(&[b"[", &case.bytes[..], b"]"].concat());
        match (case.kind, case.text()) {
            (Kind::Accept, Some(text)) if text.trim_start().starts_with('{') => {
                assert_eq!(decoded, Some((vec![line(text.trim())], 0)), "{}", case.name);
            }
            (Kind::Accept, Some(text)) => {
                // The content of a string is decoded as an item.
                let inner: Option<String> = serde_json::from_str(text).ok();
                let readings: Vec<String> = inner.into_iter().filter(|inner| is_object(inner)).collect();
                let rejected = 1 - readings.len();
                assert_eq!(decoded, Some((readings, rejected)), "{}", case.name);
            }
            // An empty case between "[" and "]" is the empty array.
            (Kind::Refuse, _) => assert!(decoded.is_none_or(|(readings, _)| readings.is_empty()), "{}", case.name),
            _ if case.text().is_none() => assert_eq!(decoded, None, "{}", case.name),
            _ => {
                let readings = usize::from(case.name == "i_object_key_lone_2nd_surrogate");
                let found = decoded.map_or(0, |(readings, _)| readings.len());
                assert_eq!(found, readings, "{}", case.name);
            }
        }
    }
}

#[test]
fn a_case_as_a_value_makes_a_reading_valid_or_invalid_as_the_suite_expects() {
    for case in cases() {
        let Some(text) = case.text() else { continue };
        for reading in [format!("{{\"Display\":{text}}}"), format!("{{\"v\":{{\"x\":{text}}},\"Display\":1}}")] {
            let read = Reading::read(&reading);
            assert_eq!(read.is_ok(), case.is_a_value(), "{}: {reading:.100}", case.name);
            if let Ok(read) = read {
                read.metrics().iter().for_each(|(_, value)| assert!(value.is_finite(), "{}", case.name));
            }
        }
    }
}

#[test]
fn a_string_as_a_name_makes_a_reading_valid_or_invalid_as_the_suite_expects() {
    let mut names = 0;
    for case in cases() {
        let Some(name) = case.content().filter(|content| content.trim_start().starts_with('"')) else { continue };
        if case.kind == Kind::Accept && serde_json::from_str::<String>(name).is_err() {
            continue; // Several elements.
        }
        for reading in [format!("{{{name}:1}}"), format!("{{\"v\":{{{name}:1}}}}")] {
            assert_eq!(Reading::read(&reading).is_ok(), case.is_a_value(), "{}: {reading}", case.name);
        }
        names += 1;
    }
    assert!(names > 70, "only {names} cases are a string in an array");
}

#[test]
fn a_number_as_a_metric_has_the_value_that_rust_parses_or_is_refused() {
    let mut numbers = 0;
    for case in cases() {
        let Some(number) = case.content().filter(|_| case.name[1..].starts_with("_number")) else { continue };
        let reading = format!("{{\"DevType\":\"ACME\",\"v\":{{\"x\":{number}}}}}");
        let measured = Reading::read(&reading).ok().map(|read| read.metric("x").map(|quantity| quantity.value));
        let expected = case.is_a_value().then(|| number.trim().parse::<f64>().ok().filter(|number| number.is_finite()));
        assert_eq!(measured, expected, "{}", case.name);
        numbers += 1;
    }
    assert!(numbers > 70, "only {numbers} cases are a number in an array");
}
