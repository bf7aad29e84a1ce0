//! One line of a case: when, what, and what it makes.

use jiff::civil::{DateTime, Time, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use domain::device::{DEVICE_TYPES, DeviceType, Metric, short_name};
use domain::rules::nearest;

/// Names that are no metrics.
const ENVELOPE: [&str; 5] = ["zone", "project", "property", "region", "received"];
/// Most readings of one line.
const LONGEST_SERIES: usize = 10_000;

/// One line of a case.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Its number in the file, from 1.
    pub(super) line: usize,
    /// When and what, as it is written.
    pub(super) what: String,
    /// What it makes, as it is written.
    pub(super) expected: String,
    /// Whether what is made is told with its time.
    pub(super) is_series: bool,
    /// What happens, in its order.
    pub(super) events: Vec<Event>,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: Timestamp,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// The minute's tick; whether anything arrives from anywhere.
    Sweep { is_quiet: bool },
    /// A cleaning that was finished at `at`, of which is heard now.
    Cleaned { at: Timestamp },
    /// A push of one reading.
    Push { text: String, received: Timestamp },
}

impl Step {
    pub(super) fn parse(number: usize, line: &str) -> Result<Self, String> {
        let (what, expected) = line.split_once("=>").unwrap_or((line, ""));
        let (start, rest) = time(what.trim())?;
        let (series, rest) = series(rest)?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let Some((verb, words)) = words.split_first() else {
            return Err("behind the time stands what happens, such as `SS#d1 p=4` or `sweep`".to_owned());
        };
        let (count, every) = series.unwrap_or((1, SignedDuration::ZERO));
        let mut events = Vec::new();
        for index in 0..count {
            let turn = i32::try_from(index).unwrap_or(i32::MAX);
            let at = start.checked_add(every * turn).map_err(|_| "it lasts too long".to_owned())?;
            let what = match *verb {
                "sweep" | "sweep-quiet" if !words.is_empty() => {
                    return Err(format!("behind `{verb}` stands nothing"));
                }
                "sweep" => Some(What::Sweep { is_quiet: false }),
                "sweep-quiet" => Some(What::Sweep { is_quiet: true }),
                "cleaned" => Some(What::Cleaned { at: cleaned(words, at)? }),
                _ => push(verb, words, at, Turn { index, count })?,
            };
            events.extend(what.map(|what| Event { at, what }));
        }
        let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { line: number, what, expected, is_series: series.is_some(), events })
    }
}

/// `10:00 …` or `+1d 10:00:30 …`, and the rest.
fn time(text: &str) -> Result<(Timestamp, &str), String> {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let days = first.strip_prefix('+').and_then(|days| days.strip_suffix('d')?.parse::<u16>().ok());
    let Some(days) = days else { return Ok((moment(first)?, rest.trim_start())) };
    let (clock, rest) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest, ""));
    Ok((moment(clock)? + SignedDuration::from_hours(24 * i64::from(days)), rest.trim_start()))
}

/// A time of the day on which all cases begin.
fn moment(clock: &str) -> Result<Timestamp, String> {
    let time: Time = clock
        .parse()
        .map_err(|_| format!("a line begins with a time such as `10:00` or `+1d 10:00:30`, and not with `{clock}`"))?;
    TimeZone::UTC.to_timestamp(first_day().with().time(time).build().unwrap_or(first_day())).map_err(|e| e.to_string())
}

/// A time of the day of `at`.
fn same_day(at: Timestamp, clock: &str) -> Result<Timestamp, String> {
    let midnight = |at: Timestamp| at.to_zoned_datetime(TimeZone::UTC).date().to_datetime(Time::midnight());
    let days = midnight(at).duration_since(first_day());
    Ok(moment(clock)? + days)
}

/// Nothing, or `at=10:00`: when a cleaning was finished.
fn cleaned(words: &[&str], at: Timestamp) -> Result<Timestamp, String> {
    match words {
        [] => Ok(at),
        [word] if word.starts_with("at=") => same_day(at, &word["at=".len()..]),
        _ => Err("behind `cleaned` stands nothing, or when it was finished: `at=10:00`".to_owned()),
    }
}

fn first_day() -> DateTime {
    date(2026, 11, 23).at(0, 0, 0, 0)
}

/// How a moment is told: as it would be written.
pub(super) fn told(at: Timestamp) -> String {
    let local = at.to_zoned_datetime(TimeZone::UTC);
    let days = local.date().duration_since(first_day().date()).as_hours() / 24;
    let days = if days > 0 { format!("+{days}d ") } else { String::new() };
    let clock = if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
    format!("{days}{}", local.strftime(clock))
}

/// How many, and how far apart.
type Series = (usize, SignedDuration);

/// `5x1m: …`: how many, how far apart, and the rest.
fn series(text: &str) -> Result<(Option<Series>, &str), String> {
    let Some((head, rest)) = text.split_once(": ").filter(|(head, _)| !head.contains(char::is_whitespace)) else {
        return Ok((None, text));
    };
    let read = || {
        let (count, every) = head.split_once('x')?;
        let every: SignedDuration = every.parse().ok()?;
        Some((count.parse().ok()?, every)).filter(|(count, _)| (1..=LONGEST_SERIES).contains(count))
    };
    match read() {
        Some(series) => Ok((Some(series), rest.trim_start())),
        None => Err(format!("`{head}:` is no series: it is written `5x1m:`, of 1 to {LONGEST_SERIES}")),
    }
}

/// Which of how many.
#[derive(Clone, Copy)]
struct Turn {
    index: usize,
    count: usize,
}

/// `SS#d1 p=4 zone=z2`; `None` where all of it is missing.
fn push(verb: &str, words: &[&str], at: Timestamp, turn: Turn) -> Result<Option<What>, String> {
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
            _ => match number(value, turn).and_then(|number| is_sent(documented, name).map(|()| number))? {
                Some(number) => drop(values.insert(name.to_owned(), json!(number))),
                None => is_missing = true,
            },
        }
    }
    if is_missing && values.is_empty() {
        return Ok(None);
    }
    reading["v"] = Value::Object(values);
    Ok(Some(What::Push { text: reading.to_string(), received }))
}

/// What is documented of a type; nothing of one that is named with another provider.
fn documented(device_type: &str) -> Result<Option<&'static DeviceType>, String> {
    let known = DeviceType::named(short_name(device_type));
    if known.is_some() || device_type.contains('#') {
        return Ok(known);
    }
    let other = || format!("a type of another provider is written with it and its device: `ACME#{device_type}#d1`");
    let meant = nearest(device_type, DEVICE_TYPES.iter().map(|known| known.name)).unwrap_or_else(other);
    Err(format!("unknown device type `{device_type}`; {meant}"))
}

/// Whether a type sends a metric of that name.
fn is_sent(documented: Option<&DeviceType>, name: &str) -> Result<(), String> {
    let Some(device_type) = documented else { return Ok(()) };
    let sent = || device_type.metrics.iter().flat_map(Metric::sent_as).copied();
    if sent().any(|sent| sent == name) {
        return Ok(());
    }
    let known = device_type.metric(name).map(|metric| format!("it sends it as `{}`", metric.sent_as().join("` or `")));
    let meant = known.or_else(|| nearest(name, sent().chain(ENVELOPE)));
    let meant = meant.unwrap_or_else(|| format!("it sends {}", sent().collect::<Vec<_>>().join(", ")));
    Err(format!("{} sends no `{name}`; {meant}", device_type.name))
}

/// `4`, `10..60`, or `10,_,4`: the value whose turn it is; `None` where it is missing.
fn number(text: &str, turn: Turn) -> Result<Option<f64>, String> {
    let parse = |text: &str| text.parse::<f64>().map_err(|_| format!("`{text}` is not a number"));
    if let Some((from, to)) = text.split_once("..") {
        let (from, to) = (parse(from)?, parse(to)?);
        #[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
        let part = if turn.count > 1 { turn.index as f64 / (turn.count - 1) as f64 } else { 0.0 };
        return Ok(Some(from + (to - from) * part));
    }
    let values: Vec<&str> = text.split(',').collect();
    match values.len() {
        1 => Ok(Some(parse(text)?)),
        many if many == turn.count => match values[turn.index] {
            "_" => Ok(None),
            value => parse(value).map(Some),
        },
        many => Err(format!("`{text}` has {many} values for a series of {}", turn.count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(line: &str) -> Step {
        Step::parse(1, line).unwrap_or_else(|fault| panic!("{line}: {fault}"))
    }

    /// The times and the values of `p` of a line's readings.
    fn values(line: &str) -> Vec<(String, Option<f64>)> {
        let of = |event: &Event| match &event.what {
            What::Push { text, .. } => {
                let reading: Value = serde_json::from_str(text).unwrap();
                (told(event.at), reading["v"]["p"].as_f64())
            }
            other => panic!("{other:?}"),
        };
        step(line).events.iter().map(of).collect()
    }

    #[test]
    fn a_series_rises_evenly_and_ends_where_it_says() {
        let expected = [("10:00", 10.0), ("10:01", 22.5), ("10:02", 35.0), ("10:03", 47.5), ("10:04", 60.0)];
        let expected = expected.map(|(at, value)| (at.to_owned(), Some(value)));
        assert_eq!(values("10:00 5x1m: SS p=10..60"), expected);
        assert_eq!(values("10:00 1x1m: SS p=10..60"), [("10:00".to_owned(), Some(10.0))]);
    }

    #[test]
    fn a_cleaning_was_finished_when_it_says_on_the_day_of_its_line() {
        let finished = |line: &str| match step(line).events[0].what {
            What::Cleaned { at } => told(at),
            ref other => panic!("{other:?}"),
        };
        assert_eq!(finished("10:05 cleaned"), "10:05");
        assert_eq!(finished("10:05 cleaned at=10:00"), "10:00");
        assert_eq!(finished("+1d 10:05 cleaned at=10:00:30"), "+1d 10:00:30");
    }

    #[test]
    fn what_is_missing_of_a_reading_is_left_out_and_a_reading_of_which_all_is_does_not_come() {
        assert_eq!(values("23:59:30 3x1m: SS p=4,_,5").len(), 2);
        let both = values("23:59:30 3x1m: SS p=4,_,5 d=1");
        let expected = [("23:59:30", Some(4.0)), ("+1d 00:00:30", None), ("+1d 00:01:30", Some(5.0))];
        assert_eq!(both, expected.map(|(at, value)| (at.to_owned(), value)));
    }

    #[test]
    fn a_type_of_another_provider_sends_whatever_it_likes() {
        for (line, device_type, device) in [
            ("10:00 ACME#BIN#b1 x=1 reasons=a", "ACME#BIN", "b1"),
            ("10:00 SMARTCLEAN#SS#d p=1", "SMARTCLEAN#SS", "d"),
            ("10:00 SMARTCLEAN-PUSH#TEST#d test=1", "SMARTCLEAN-PUSH#TEST", "d"),
            ("10:00 OCCDESK occ=1 batt=3", "OCCDESK", "d"),
            ("10:00 ODRDTR_10_IN_1#a pm_25=1", "ODRDTR_10_IN_1", "a"),
        ] {
            let What::Push { text, .. } = &step(line).events[0].what else { panic!("{line}") };
            let reading: Value = serde_json::from_str(text).unwrap();
            assert_eq!((&reading["DevType"], &reading["DEVID"]), (&device_type.into(), &device.into()), "{line}");
        }
    }

    #[test]
    fn lines_that_say_nothing_that_can_happen_are_refused() {
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
            let fault = Step::parse(1, line).unwrap_err();
            assert!(fault.contains(why), "{line}: {fault}");
        }
    }
}
