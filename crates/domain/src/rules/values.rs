//! Values of a rules file that are more than one word or number: hours, blocks, severities, limits and tests.

use jiff::{SignedDuration, civil};
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostics, Positioned, replace};
use super::document::{Document, TableReader, number, word};
use super::draft::{LimitDraft, SeveralDraft, TestDraft};
use super::{ActiveHours, Block, Join, LONGEST_BLOCK, Level};
use crate::breach::Comparison;
use crate::rate_limit::RateLimit;
use crate::severity::Severity;

/// How a value is compared with a limit: the key, and what editors say about it.
pub(super) const COMPARISONS: [(&str, Comparison, &str); 5] = [
    ("above", Comparison::Above, "Worse than this: value > limit."),
    ("at_least", Comparison::AtLeast, "This or worse: value ≥ limit."),
    ("below", Comparison::Below, "Worse than this: value < limit."),
    ("at_most", Comparison::AtMost, "This or worse: value ≤ limit."),
    ("deviates", Comparison::Deviates, "So many degrees or more away from the baseline."),
];

/// `[rate_limit]`: `burst`, `per_minute` and `sms_per_day`. The built-in rules do not set them.
pub(super) fn read_rate_limit(table: &mut TableReader<'_, '_>, diagnostics: &mut Diagnostics) -> RateLimit {
    let mut limit = RateLimit::default();
    table.tables("rate_limit", "a table of limits", diagnostics, |mut table, _, diagnostics| {
        // More than SNS takes of one account and region in a second helps nobody.
        for (key, wanted, least, known) in [
            ("burst", "messages at once, a whole number from 1 to 30,000", 1, &mut limit.burst),
            ("per_minute", "messages a minute, a whole number from 1 to 30,000", 1, &mut limit.per_minute),
            ("sms_per_day", "a whole number from 0 to 30,000", 0, &mut limit.sms_per_day),
        ] {
            replace(known, table.whole(key, wanted, least..=30_000, diagnostics));
        }
        table.finish(diagnostics);
        None::<()>
    });
    limit
}

/// `active = "07:00-22:00"`; all day is `"00:00-24:00"`, and nothing else begins when it ends.
pub(super) fn read_active(
    key: &'static str,
    table: &mut TableReader<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<Positioned<ActiveHours>> {
    let wanted = "hours of the day such as \"07:00-22:00\", which do not end when they begin";
    table.value(key, wanted, diagnostics, |value| {
        let (from, to) = value.as_str()?.split_once('-')?;
        let is_all_day = (from.trim(), to.trim()) == ("00:00", "24:00");
        let hours = ActiveHours { from: time_of_day(from)?, to: time_of_day(to)? };
        (is_all_day || hours.from != hours.to).then_some(hours)
    })
}

/// `restart_at = "06:00"`.
pub(super) fn read_time_of_day(
    key: &'static str,
    table: &mut TableReader<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<Positioned<civil::Time>> {
    table.value(key, "a time of day such as \"06:00\"", diagnostics, |value| time_of_day(value.as_str()?))
}

/// A time of day such as `06:00`; `24:00` is midnight.
fn time_of_day(text: &str) -> Option<civil::Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two_digits = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
    match (two_digits(hour)?, two_digits(minute)?) {
        (24, 0) => Some(civil::Time::midnight()),
        (hour, minute) => civil::Time::new(hour, minute, 0, 0).ok(),
    }
}

/// `block = "15m"`, `"none"`, or a table of `device`, `zone` and `rule`, each of which may be `"none"`.
pub(super) fn read_block(table: &mut TableReader<'_, '_>, diagnostics: &mut Diagnostics) -> Option<Positioned<Block>> {
    let wanted =
        "a time such as \"15m\", \"none\", or a table such as { device = \"15m\", zone = \"1h\" }, each at most 24h";
    table.value("block", wanted, diagnostics, |value| {
        let time = |value: &DeValue<'_>| match value.as_str()? {
            "none" => Some(SignedDuration::ZERO),
            text => text.parse().ok().filter(|time: &SignedDuration| time.is_positive() && *time <= LONGEST_BLOCK),
        };
        let Some(parts) = value.as_table().filter(|parts| !parts.is_empty()) else {
            return time(value).map(|time| Block { device: time, zone: time, rule: None });
        };
        let mut block = Block::default();
        for (name, value) in parts {
            let time = time(value.get_ref())?;
            match &**name.get_ref() {
                "device" => block.device = time,
                "zone" => block.zone = time,
                "rule" => block.rule = Some(time),
                _ => return None,
            }
        }
        Some(block)
    })
}

/// The severities by their words.
pub(super) fn severities() -> [(&'static str, Severity); 4] {
    Severity::ALL.map(|severity| (severity.as_str(), severity))
}

/// `all = [...]` or `any = [...]`.
pub(super) fn read_several(
    join: Join,
    table: &mut TableReader<'_, '_>,
    diagnostics: &mut Diagnostics,
) -> Option<SeveralDraft> {
    let key = join.as_str();
    let Positioned { value: tests, position } =
        table.tables(key, "a test", diagnostics, |mut table, position, diagnostics| {
            let test = TestDraft::read(&mut table, diagnostics);
            table.finish(diagnostics);
            Some(Positioned { value: test, position })
        })?;
    if tests.is_empty() {
        let message = format!("`{key}` has no test");
        diagnostics.suggest(&position, message, "write for example [{ metric = \"AreaP\", at_least = 5 }]");
    }
    Some(SeveralDraft { join, tests, position })
}

impl TestDraft {
    pub(super) fn read(table: &mut TableReader<'_, '_>, diagnostics: &mut Diagnostics) -> Self {
        Self {
            metric: table.string("metric", diagnostics),
            unit: table.string("unit", diagnostics),
            limit: read_limit(table, diagnostics),
        }
    }
}

fn read_limit(table: &mut TableReader<'_, '_>, diagnostics: &mut Diagnostics) -> Option<LimitDraft> {
    let document = table.document();
    let mut found: Option<LimitDraft> = None;
    for (key, comparison, _) in COMPARISONS {
        let Some(value) = table.any(key) else { continue };
        let position = document.position(value);
        if found.is_some() {
            let message = format!("`{key}` beside another comparison");
            diagnostics.suggest(&position, message, "a test has one; for two limits use `any` or two rules");
            continue;
        }
        let levels = read_levels(document, key, value, diagnostics);
        found = Some(LimitDraft { key, comparison, levels, position });
    }
    found
}

/// `at_least = 200`, or one limit for each severity.
fn read_levels<'i>(
    document: &Document<'i>,
    key: &str,
    value: &Spanned<DeValue<'i>>,
    diagnostics: &mut Diagnostics,
) -> Vec<Level> {
    if let Some(limit) = number(value.get_ref()) {
        return vec![Level { limit, severity: None }];
    }
    let Some(table) = value.get_ref().as_table() else {
        let needed = format!("`{key}` is a number, or a table such as {{ medium = 200, high = 500 }}");
        document.wrong(&needed, value, diagnostics);
        return Vec::new();
    };
    if table.is_empty() {
        let message = format!("`{key}` has no limit");
        diagnostics.suggest(&document.position(value), message, "write a number, or one for each severity");
    }
    let mut levels = Vec::new();
    for (name, value) in table {
        let name = document.at(name, name.get_ref().to_string());
        let severity = word(name, "severity", severities(), diagnostics).map(|severity| severity.value);
        let limit = number(value.get_ref());
        if limit.is_none() {
            document.wrong("a limit is a number", value, diagnostics);
        }
        levels.extend(limit.filter(|_| severity.is_some()).map(|limit| Level { limit, severity }));
    }
    levels.sort_by_key(|level| level.severity);
    levels
}
