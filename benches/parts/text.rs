//! Texts of readings of the vendor's device types, and push bodies.

use std::fmt::Write as _;

/// The text of reading number `number`, taken at `at`, in milliseconds since 1970.
pub(crate) fn text_at(number: usize, zone: usize, at: i64) -> String {
    let (kind, values) = match number % 8 {
        0 | 2 | 4 | 6 => ("UM", format!(r#"{{"count":{},"b":2950}}"#, number % 7)),
        1 => ("ODRDTR_BATT_V1", format!(r#"{{"amm":{},"rh":730,"temp":304,"tvoc":120}}"#, 100 + number % 180)),
        3 => ("SS", format!(r#"{{"p":"{}","d":30}}"#, 15 + number % 80)),
        5 => ("BIN", format!(r#"{{"p":{},"d":300}}"#, 15 + number % 80)),
        _ => (
            "FD",
            format!(
                r#"{{"rating":{},"reasons":{{"ID_1":{{"ID":"1","Name":"Wet floor","selector":1}}}}}}"#,
                1 + number % 3
            ),
        ),
    };
    format!(
        r#"{{"DevType":"SMARTCLEAN#{kind}","DEVID":"{kind}-{zone}","DASSOC":"f4:cf:a2:{zone:06}","Display":"Level {zone} sensor","PID":"tower-1","PropId":"prop-7","InsID":"washroom-{zone}","Region":"Asia/Singapore","unixT":{at},"time":"2026-09-01T08:00:00+0800","v":{values}}}"#
    )
}

/// The body of a push: an array of JSON texts, as the vendor sends it.
pub(crate) fn body(texts: &[String]) -> String {
    let mut body = String::from("[");
    for (index, text) in texts.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(body, "{comma}{}", serde_json::Value::from(text.as_str()));
    }
    body.push(']');
    body
}
