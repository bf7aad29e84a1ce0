//! A line of a case: time, event and expected results.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use domain::device::{DEVICE_TYPES, DeviceType, Metric, short_name};
use domain::rules::nearest;

/// Names in a line that are no metrics.
const ENVELOPE: [&str; 5] = ["zone", "project", "property", "region", "received"];
/// Most readings of a line.
const MAX_SERIES: usize = 10_000;
/// The first moment of a case: 2026-11-23, a Monday.
const FIRST_DAY: Timestamp = Timestamp::constant(1_795_392_000, 0);

/// A line of a case.
#[derive(Clone, Debug)]
pub struct CaseLine {
    /// Its number in the file, from 1.
    pub number: usize,
    /// Time and event, as written.
    pub input: String,
    /// The results, as written.
    pub expected: String,
    /// Whether each result begins with its time.
    pub(super) is_series: bool,
    /// Its events, in order.
    pub(super) events: Vec<CaseEvent>,
}

/// An event of a line.
#[derive(Clone, Debug)]
pub(super) struct CaseEvent {
    pub(super) at: Timestamp,
    pub(super) kind: EventKind,
}

#[derive(Clone, Debug)]
pub(super) enum EventKind {
    /// The sweep of the minute; quiet if nothing arrives from anywhere.
    Sweep { is_quiet: bool },
    /// A cleaning that finished at `at`, and is reported now.
    Cleaned { at: Timestamp },
    /// An answer to the last open alert of a rule.
    Answered { rule: String, change: Answer },
    /// A push of one reading.
    Push { text: String, received: Timestamp },
}

/// What people do about an alert.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Done,
    /// For the `ack_for` of its rule.
    Taken,
    /// Until then.
    Snoozed(Timestamp),
}

impl CaseLine {
    pub(super) fn parse(number: usize, line: &str) -> Result<Self, String> {
        let (input, expected) = line.split_once("=>").unwrap_or((line, ""));
        let (start, rest) = time(input.trim())?;
        let (series, rest) = series(rest)?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let Some((verb, words)) = words.split_first() else {
            return Err("behind the time stands what happens, such as `SS#d1 p=4` or `sweep`".to_owned());
        };
        let (length, every) = series.unwrap_or((1, SignedDuration::ZERO));
        let mut events = Vec::new();
        for index in 0..length {
            let offset = every * i32::try_from(index).unwrap_or(i32::MAX);
            let at = start.checked_add(offset).map_err(|_| "it lasts too long".to_owned())?;
            let kind = match *verb {
                "sweep" | "sweep-quiet" if !words.is_empty() => return Err(format!("behind `{verb}` stands nothing")),
                "sweep" => Some(EventKind::Sweep { is_quiet: false }),
                "sweep-quiet" => Some(EventKind::Sweep { is_quiet: true }),
                "cleaned" => Some(EventKind::Cleaned { at: cleaned(words, at)? }),
                "done" | "taken" | "snoozed" => Some(answered(verb, words, at)?),
                _ => push(verb, words, at, (index, length))?,
            };
            events.extend(kind.map(|kind| CaseEvent { at, kind }));
        }
        let [input, expected] = [input, expected].map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(Self { number, input, expected, is_series: series.is_some(), events })
    }
}

/// Parses `10:00 …` or `+1d 10:00:30 …`. Returns the time and the rest.
fn time(text: &str) -> Result<(Timestamp, &str), String> {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let days = first.strip_prefix('+').and_then(|days| days.strip_suffix('d')?.parse::<u16>().ok());
    let Some(days) = days else { return Ok((moment(first)?, rest.trim_start())) };
    let (clock, rest) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest, ""));
    Ok((moment(clock)? + SignedDuration::from_hours(24 * i64::from(days)), rest.trim_start()))
}

/// A time on the first day of a case.
fn moment(clock: &str) -> Result<Timestamp, String> {
    format!("2026-11-23T{clock}Z")
        .parse()
        .map_err(|_| format!("a line begins with a time such as `10:00` or `+1d 10:00:30`, and not with `{clock}`"))
}

/// A time on the day of `at`.
fn same_day(at: Timestamp, clock: &str) -> Result<Timestamp, String> {
    Ok(moment(clock)? + SignedDuration::from_hours(24 * days_before(at)))
}

/// Days from the first one to the day of `at`.
fn days_before(at: Timestamp) -> i64 {
    at.duration_since(FIRST_DAY).as_hours() / 24
}

/// Parses nothing, or `at=10:00`: when a cleaning finished.
fn cleaned(words: &[&str], at: Timestamp) -> Result<Timestamp, String> {
    match words {
        [] => Ok(at),
        [word] if word.starts_with("at=") => same_day(at, &word["at=".len()..]),
        _ => Err("behind `cleaned` stands nothing, or when it was finished: `at=10:00`".to_owned()),
    }
}

/// Parses the rule behind `done` and `taken`, and the rule and the end behind `snoozed`: `snoozed soap-low until=11:00`.
fn answered(verb: &str, words: &[&str], at: Timestamp) -> Result<EventKind, String> {
    let (rule, change) = match (verb, words) {
        ("done", [rule]) => (rule, Answer::Done),
        ("taken", [rule]) => (rule, Answer::Taken),
        ("snoozed", [rule, until]) if until.starts_with("until=") => {
            (rule, Answer::Snoozed(same_day(at, &until["until=".len()..])?))
        }
        _ => return Err("an answer is `done soap-low`, `taken soap-low` or `snoozed soap-low until=11:00`".to_owned()),
    };
    Ok(EventKind::Answered { rule: (*rule).to_owned(), change })
}

/// Formats a time as a line has it.
pub(super) fn format_time(at: Timestamp) -> String {
    let days = match days_before(at) {
        0 => String::new(),
        days => format!("+{days}d "),
    };
    let clock = if at.as_second() % 60 == 0 { "%H:%M" } else { "%H:%M:%S" };
    format!("{days}{}", at.strftime(clock))
}

/// Length and interval of a series.
type SeriesLength = (usize, SignedDuration);

/// Parses `5x1m: …`. Returns the series, if there is one, and the rest.
fn series(text: &str) -> Result<(Option<SeriesLength>, &str), String> {
    let Some((head, rest)) = text.split_once(": ").filter(|(head, _)| !head.contains(char::is_whitespace)) else {
        return Ok((None, text));
    };
    let parsed = head.split_once('x').and_then(|(length, every)| Some((length.parse().ok()?, every.parse().ok()?)));
    match parsed.filter(|(length, _)| (1..=MAX_SERIES).contains(length)) {
        Some(series) => Ok((Some(series), rest.trim_start())),
        None => Err(format!("`{head}:` is no series: it is written `5x1m:`, of 1 to {MAX_SERIES}")),
    }
}

/// Parses `SS#d1 p=4 zone=z2`, the reading of a series at this index, of so many. Returns `None` if all values are missing.
fn push(verb: &str, words: &[&str], at: Timestamp, position: (usize, usize)) -> Result<Option<EventKind>, String> {
    let (device_type, device) = verb.rsplit_once('#').unwrap_or((verb, "d"));
    let documented = documented(device_type)?;
    let mut reading = json!({
        "DevType": device_type, "DEVID": device, "Display": device, "InsID": "z", "PID": "p", "Region": "UTC",
        "unixT": at.as_millisecond(),
    });
    let (mut values, mut received, mut is_missing) = (Map::new(), at, false);
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is not of the form `name=value`"))?;
        match name {
            "zone" => reading["InsID"] = value.into(),
            "project" => reading["PID"] = value.into(),
            "property" => reading["PropId"] = value.into(),
            "region" => reading["Region"] = value.into(),
            "received" => received = same_day(at, value)?,
            "reasons" if documented.is_none_or(|known| known.name == "FD") => {
                let reasons = value.split(',').map(|name| (name.to_owned(), json!({"Name": name, "selector": 1})));
                values.insert(name.to_owned(), Value::Object(reasons.collect()));
            }
            _ => match number(value, position).and_then(|number| check_metric(documented, name).map(|()| number))? {
                Some(number) => drop(values.insert(name.to_owned(), json!(number))),
                None => is_missing = true,
            },
        }
    }
    if is_missing && values.is_empty() {
        return Ok(None);
    }
    reading["v"] = Value::Object(values);
    Ok(Some(EventKind::Push { text: reading.to_string(), received }))
}

/// The documented type of that name; `None` for a type of another provider.
fn documented(device_type: &str) -> Result<Option<&'static DeviceType>, String> {
    let known = DeviceType::named(short_name(device_type));
    if known.is_some() || device_type.contains('#') {
        return Ok(known);
    }
    let other = || format!("a type of another provider is written with it and its device: `ACME#{device_type}#d1`");
    let hint = nearest(device_type, DEVICE_TYPES.iter().map(|known| known.name)).unwrap_or_else(other);
    Err(format!("unknown device type `{device_type}`; {hint}"))
}

/// Fails if a documented type does not send a metric.
fn check_metric(documented: Option<&DeviceType>, name: &str) -> Result<(), String> {
    let Some(device_type) = documented else { return Ok(()) };
    let sent = || device_type.metrics.iter().flat_map(Metric::sent_as).copied();
    if sent().any(|sent| sent == name) {
        return Ok(());
    }
    let renamed =
        device_type.metric(name).map(|metric| format!("it sends it as `{}`", metric.sent_as().join("` or `")));
    let hint = renamed.or_else(|| nearest(name, sent().chain(ENVELOPE)));
    let hint = hint.unwrap_or_else(|| format!("it sends {}", sent().collect::<Vec<_>>().join(", ")));
    Err(format!("{} sends no `{name}`; {hint}", device_type.name))
}

/// Parses `4`, `10..60` or `10,_,4`. Returns the value at this index, of so many; `None` if it is missing.
fn number(text: &str, (index, length): (usize, usize)) -> Result<Option<f64>, String> {
    let parse = |text: &str| text.parse::<f64>().map_err(|_| format!("`{text}` is not a number"));
    if let Some((from, to)) = text.split_once("..") {
        let (from, to) = (parse(from)?, parse(to)?);
        return Ok(Some(from + (to - from) * (index as f64 / (length - 1).max(1) as f64)));
    }
    let values: Vec<&str> = text.split(',').collect();
    match values.len() {
        1 => parse(text).map(Some),
        many if many == length && values[index] == "_" => Ok(None),
        many if many == length => parse(values[index]).map(Some),
        many => Err(format!("`{text}` has {many} values for a series of {length}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> CaseLine {
        CaseLine::parse(1, line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The times and the values of `p` of a line's readings.
    fn values(line: &str) -> Vec<(String, Option<f64>)> {
        let of = |event: &CaseEvent| match &event.kind {
            EventKind::Push { text, .. } => {
                let reading: Value = serde_json::from_str(text).unwrap();
                (format_time(event.at), reading["v"]["p"].as_f64())
            }
            other => panic!("{other:?}"),
        };
        parse(line).events.iter().map(of).collect()
    }

    #[test]
    fn a_series_rises_evenly_to_its_last_value() {
        let expected = [("10:00", 10.0), ("10:01", 22.5), ("10:02", 35.0), ("10:03", 47.5), ("10:04", 60.0)];
        let expected = expected.map(|(at, value)| (at.to_owned(), Some(value)));
        assert_eq!(values("10:00 5x1m: SS p=10..60"), expected);
        assert_eq!(values("10:00 1x1m: SS p=10..60"), [("10:00".to_owned(), Some(10.0))]);
    }

    #[test]
    fn a_cleaning_finished_at_its_time_on_the_day_of_its_line() {
        let finished = |line: &str| match parse(line).events[0].kind {
            EventKind::Cleaned { at } => format_time(at),
            ref other => panic!("{other:?}"),
        };
        assert_eq!(finished("10:05 cleaned"), "10:05");
        assert_eq!(finished("10:05 cleaned at=10:00"), "10:00");
        assert_eq!(finished("+1d 10:05 cleaned at=10:00:30"), "+1d 10:00:30");
    }

    #[test]
    fn missing_values_are_left_out_and_a_reading_without_values_is_not_sent() {
        assert_eq!(values("23:59:30 3x1m: SS p=4,_,5").len(), 2);
        let both = values("23:59:30 3x1m: SS p=4,_,5 d=1");
        let expected = [("23:59:30", Some(4.0)), ("+1d 00:00:30", None), ("+1d 00:01:30", Some(5.0))];
        assert_eq!(both, expected.map(|(at, value)| (at.to_owned(), value)));
    }

    #[test]
    fn a_type_of_another_provider_sends_any_metric() {
        for (line, device_type, device) in [
            ("10:00 ACME#BIN#b1 x=1 reasons=a", "ACME#BIN", "b1"),
            ("10:00 SMARTCLEAN#SS#d p=1", "SMARTCLEAN#SS", "d"),
            ("10:00 SMARTCLEAN-PUSH#TEST#d test=1", "SMARTCLEAN-PUSH#TEST", "d"),
            ("10:00 OCCDESK occ=1 batt=3", "OCCDESK", "d"),
            ("10:00 ODRDTR_10_IN_1#a pm_25=1", "ODRDTR_10_IN_1", "a"),
        ] {
            let EventKind::Push { text, .. } = &parse(line).events[0].kind else { panic!("{line}") };
            let reading: Value = serde_json::from_str(text).unwrap();
            assert_eq!((&reading["DevType"], &reading["DEVID"]), (&device_type.into(), &device.into()), "{line}");
        }
    }

    #[test]
    fn lines_that_cannot_be_parsed_are_refused() {
        for (line, why) in [
            ("SS p=4", "begins with a time"),
            ("10:00", "what happens"),
            ("10:00 SS p", "name=value"),
            ("10:00 SS p=four", "not a number"),
            ("10:00 SS p=1,2", "2 values for a series of 1"),
            ("10:00 3x1m: SS p=1,2", "2 values for a series of 3"),
            ("10:00 0x1m: SS p=1", "no series"),
            ("10:00 3xsoon: SS p=1", "no series"),
            ("10:00 99999999x1m: SS p=1", "no series"),
            ("10:00 sweep now", "stands nothing"),
            ("10:00 cleaned 09:50", "`at=10:00`"),
            ("10:00 cleaned at=soon", "not with `soon`"),
            ("10:00 SS p=1 received=later", "not with `later`"),
            ("10:00 SS q=3", "SS sends no `q`; it sends p, d"),
            ("10:00 UM cuont=3", "UM sends no `cuont`; did you mean `count`?"),
            ("10:00 SS p=3 zoen=x", "x` is not a number"),
            ("10:00 SS p=3 zoen=1", "did you mean `zone`?"),
            ("10:00 SS reasons=1", "SS sends no `reasons`"),
            ("10:00 OCCDESK occupied=1", "it sends it as `occ`"),
            ("10:00 FOO x=1", "`ACME#FOO#d1`"),
            ("10:00 FOO#d x=1", "unknown device type `FOO`"),
            ("10:00 SSS p=1", "did you mean `SS`?"),
            ("10:00 ACME#BIN x=1", "unknown device type `ACME`"),
        ] {
            let error = CaseLine::parse(1, line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}
