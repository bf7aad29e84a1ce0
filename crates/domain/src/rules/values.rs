//! Values of a rules file that are more than one word or number: hours, blocks, severities, limits and tests.

use jiff::{SignedDuration, civil};
use toml::de::DeValue;

use super::diagnostic::{Diagnostics, Position, Positioned, overwrite};
use super::document::{SpannedValue, TableReader, number};
use super::{Block, Join, LONGEST_BLOCK, Level};
use crate::breach::Comparison;
use crate::rate_limit::RateLimit;
use crate::severity::Severity;

/// Longest id, in characters.
const LONGEST_ID: usize = 64;
/// Most steps of an escalation.
const MOST_STEPS: usize = 5;

pub(super) fn read_severity(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<Positioned<Severity>> {
    table.word(key, "severity", Severity::ALL, Severity::as_str)
}

pub(super) fn check_id(Positioned { value: id, position }: &Positioned<String>, diagnostics: &mut Diagnostics) {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    if !id.chars().all(is_allowed) || id.len() > LONGEST_ID {
        let message = format!("the id `{}` is not valid", id.escape_debug());
        let suggestion = format!("use at most {LONGEST_ID} of a-z, 0-9, `-`, `.` and `_`");
        diagnostics.suggest(position, message, suggestion);
    }
}

/// Reads `[rate_limit]`. The built-in rules do not set it.
pub(super) fn read_rate_limit(table: &mut TableReader<'_, '_>) -> RateLimit {
    let mut limit = RateLimit::default();
    table.tables("rate_limit", "a table of limits", |table, _| {
        // SNS accepts at most 30,000 messages a second from one account and region.
        for (key, wanted, least, known) in [
            ("burst", "messages at once, a whole number from 1 to 30,000", 1, &mut limit.burst),
            ("per_minute", "messages a minute, a whole number from 1 to 30,000", 1, &mut limit.per_minute),
            ("sms_per_day", "a whole number from 0 to 30,000", 0, &mut limit.sms_per_day),
        ] {
            overwrite(known, table.whole(key, wanted, least..=30_000));
        }
        None::<()>
    });
    limit
}

pub(super) fn read_count(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<Positioned<usize>> {
    Some(table.whole(key, "a whole number from 1 to 1,000", 1..=1_000)?.map(|count| count as usize))
}

/// Reads `restart_at = "06:00"`.
pub(super) fn read_time_of_day(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<Positioned<civil::Time>> {
    table.value(key, "a time of day such as \"06:00\"", |value| time_of_day(value.as_str()?))
}

/// A time of day such as `06:00`. `24:00` is midnight.
pub(super) fn time_of_day(text: &str) -> Option<civil::Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two_digits = |text: &str| (text.len() == 2).then(|| text.parse::<i8>().ok()).flatten();
    match (two_digits(hour)?, two_digits(minute)?) {
        (24, 0) => Some(civil::Time::midnight()),
        (hour, minute) => civil::Time::new(hour, minute, 0, 0).ok(),
    }
}

/// Reads `block = "15m"`, `"none"`, or a table of `device`, `zone` and `rule`, each of which may be `"none"`.
pub(super) fn read_block(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<Positioned<Block>> {
    let wanted =
        "a time such as \"15m\", \"none\", or a table such as { device = \"15m\", zone = \"1h\" }, each at most 24h";
    table.value(key, wanted, |value| {
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

/// A step of an escalation: who is told if nobody has answered an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationStep {
    /// When, after the alert was raised.
    pub after: SignedDuration,
    /// The id of the audience.
    pub to: String,
    /// The position of the id.
    pub position: Position,
}

/// Reads `escalate = [{ after = "15m", to = "supervisor" }]`.
pub(super) fn read_escalate(
    table: &mut TableReader<'_, '_>,
    key: &'static str,
) -> Option<Positioned<Vec<EscalationStep>>> {
    let steps = table.tables(key, "a step of an escalation", |table, position| {
        table.require("after", position, "add the time without an answer: after = \"15m\"");
        table.require("to", position, "add the id of an audience: to = \"supervisor\"");
        let (after, to) = (table.duration("after"), table.nonblank("to"));
        let (after, to) = (after?, to?);
        let step = EscalationStep { after: after.value, to: to.value, position: to.position };
        Some(Positioned { value: step, position: after.position })
    })?;
    if steps.value.len() > MOST_STEPS {
        let message = format!("an escalation has at most {MOST_STEPS} steps, not {}", steps.value.len());
        table.diagnostics.suggest(&steps.position, message, "leave out those that change nothing");
    }
    for pair in steps.value.windows(2).filter(|pair| pair[1].value.after <= pair[0].value.after) {
        let message = format!("this step comes after {:#}, not later than the one before it", pair[1].value.after);
        table.diagnostics.suggest(&pair[1].position, message, "write the steps in the order of their times");
    }
    Some(steps.map(|steps| steps.into_iter().map(|step| step.value).collect()))
}

/// `all = [...]` or `any = [...]`.
#[derive(Debug)]
pub(super) struct SeveralDraft {
    pub(super) join: Join,
    pub(super) tests: Vec<Positioned<TestDraft>>,
    pub(super) position: Position,
}

/// Reads `all = [...]` or `any = [...]`.
pub(super) fn read_several(join: Join, table: &mut TableReader<'_, '_>) -> Option<SeveralDraft> {
    let key = join.as_str();
    let Positioned { value: tests, position } = table.tables(key, "a test", |table, position| {
        Some(Positioned { value: TestDraft::read(table), position: position.clone() })
    })?;
    if tests.is_empty() {
        let message = format!("`{key}` has no test");
        table.diagnostics.suggest(&position, message, "write for example [{ metric = \"AreaP\", at_least = 5 }]");
    }
    Some(SeveralDraft { join, tests, position })
}

/// A metric and its limit.
#[derive(Debug, Default)]
pub(super) struct TestDraft {
    pub(super) metric: Option<Positioned<String>>,
    pub(super) unit: Option<Positioned<String>>,
    pub(super) limit: Option<LimitDraft>,
}

impl TestDraft {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Self {
        Self { metric: table.nonblank("metric"), unit: table.nonblank("unit"), limit: read_limit(table) }
    }
}

/// `at_least = 200`, or `at_least = { medium = 200, high = 500 }`.
#[derive(Debug)]
pub(super) struct LimitDraft {
    pub(super) comparison: Comparison,
    /// The limits; the mildest is first.
    pub(super) levels: Vec<Level>,
    pub(super) position: Position,
}

/// Reads the one limit of a test.
fn read_limit(table: &mut TableReader<'_, '_>) -> Option<LimitDraft> {
    let mut limit: Option<LimitDraft> = None;
    for comparison in Comparison::ALL {
        let key = comparison.as_str();
        let Some(value) = table.any(key) else { continue };
        if limit.is_some() {
            let message = format!("`{key}` beside another comparison");
            table.diagnostics.suggest(
                &value.position,
                message,
                "a test has one comparison; for two limits use `any` or two rules",
            );
            continue;
        }
        let levels = read_levels(table, key, &value);
        limit = Some(LimitDraft { comparison, levels, position: value.position });
    }
    limit
}

/// Reads `200`, or one limit for each severity. The mildest is first.
fn read_levels<'i>(table: &mut TableReader<'_, 'i>, key: &str, value: &Positioned<&SpannedValue<'i>>) -> Vec<Level> {
    if let Some(limit) = number(value.value.get_ref()) {
        return vec![Level { limit, severity: None }];
    }
    let limits = table.numbers(key, "a number, or a table", "{ medium = 200, high = 500 }", value);
    let level = |(name, limit)| {
        let severity = table.meaning(name, "severity", Severity::ALL, Severity::as_str)?.value;
        Some(Level { limit, severity: Some(severity) })
    };
    let mut levels: Vec<Level> = limits.into_iter().filter_map(level).collect();
    levels.sort_by_key(|level| level.severity);
    levels
}
