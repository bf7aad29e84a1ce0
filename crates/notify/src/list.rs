//! Many alerts in one message: a line for each, the worst first, and how many there are of each severity.

use std::cmp::Reverse;
use std::collections::HashSet;

use jiff::Timestamp;

use super::facts::{Facts, Stage};
use super::gsm7::{is_one_part, septets, with_plain_marks};
use super::sentence::Wording;
use super::sms::cut_to_one_part;
use super::subject::{LONGEST_SUBJECT, ascii, mark};
use super::text::{Letters, cut_to_fit, cut_to_graphemes, utf16_units};
use super::when::moment;
use domain::alert::{Alert, SuppressedAlert, Trigger};
use domain::severity::Severity;

/// Longest line, in UTF-16 code units. Location and title stand at its beginning and have at most 120 characters each.
const LONGEST_LINE: usize = 600;
/// Longest sentence of such a message, in UTF-16 code units.
const LONGEST_SENTENCE: usize = 800;
/// Most of a location's name and of a title where many are named in a line, in graphemes.
const NAME_KEEPS: usize = 30;
/// Most alerts that are named in a sentence.
const MOST_NAMED: usize = 20;

/// One alert in a list, told in the usual words: a rule's own would hide what is listed where.
pub(super) struct Entry {
    /// The alert and what has become of it.
    pub(super) facts: Facts,
    /// Since when it is over, where it was held back and is.
    pub(super) over: Option<Timestamp>,
    /// How many more were held back with it that nobody remembers by name.
    pub(super) more: usize,
}

impl Entry {
    pub(super) fn of(alert: &Alert, stage: Stage) -> Self {
        let facts = Facts::later(&Alert { template: None, ..alert.clone() }, stage);
        Self { facts, over: None, more: 0 }
    }

    pub(super) fn of_suppressed(one: &SuppressedAlert) -> Self {
        Self { over: one.resolved_at, ..Self::of(&one.alert, Stage::Raised) }
    }

    /// The alert, its names fit to be shown.
    pub(super) fn alert(&self) -> &Alert {
        self.facts.first()
    }

    /// How bad it is; `None` where it was raised before and is over now.
    pub(super) fn severity(&self) -> Option<Severity> {
        (!matches!(self.facts.stage, Stage::Over(_))).then_some(self.facts.severity)
    }

    /// "Washroom 3, Bad smell: ammonia 270 ppb (limit 200) at 13:59 (over since 14:02)".
    pub(super) fn line(&self) -> String {
        let (location, title) = (&self.facts.location, &self.facts.titles[0]);
        let alert = self.alert();
        let says_title = match alert.trigger {
            Trigger::NoData { .. } => title.eq_ignore_ascii_case("no data"),
            _ => alert.breaches.is_empty(),
        };
        let head = match self.facts.stage {
            Stage::Raised if !says_title => format!("{location}, {title}"),
            _ => location.clone(),
        };
        let mut line = self.facts.sentence(&Wording::whole(&head));
        if let Some(over) = self.over {
            line.push_str(&format!(" (over since {})", self.facts.moment(over)));
        }
        line = cut_to_fit(&line, Letters::Unicode.ellipsis(), LONGEST_LINE, utf16_units);
        if self.more > 0 {
            line.push_str(&format!(" (and {} more held back there)", self.more));
        }
        line
    }

    /// "Wet floor 13:59", with the location where it is not clear.
    pub(super) fn short(&self, with_location: bool) -> String {
        let keep = |name: &str| cut_to_graphemes(name, "...", NAME_KEEPS);
        let location = if with_location { format!("{}: ", keep(&self.facts.location)) } else { String::new() };
        let over = if self.over.is_some() || self.severity().is_none() { " (over)" } else { "" };
        format!("{location}{} {}{over}", keep(&self.facts.titles[0]), self.facts.clock)
    }
}

/// `entries`, what is over last, else the worst first and of one severity the earliest; times with a date where it is
/// not that of the newest.
pub(super) fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    let newest = newest(&entries);
    for entry in &mut entries {
        entry.facts.clock = moment(&entry.alert().location, entry.alert().at, newest);
    }
    entries.sort_by_key(|entry| (Reverse(entry.severity()), entry.facts.at(), entry.alert().id));
    entries
}

/// The newest moment that any of `entries` speaks of.
pub(super) fn newest(entries: &[Entry]) -> Timestamp {
    entries.iter().map(|entry| entry.facts.at()).max().unwrap_or_default()
}

/// What to call the location of all of them: its name, or the first's and how many others there are.
pub(super) fn common_location(entries: &[Entry]) -> (String, usize) {
    let names: HashSet<&str> = entries.iter().map(|entry| entry.facts.location.as_str()).collect();
    (entries.first().map(|entry| entry.facts.location.clone()).unwrap_or_default(), names.len().saturating_sub(1))
}

/// What the subject and the default text begin with: the worst severity's mark.
pub(super) fn worst_mark(entries: &[Entry]) -> String {
    entries.iter().filter_map(Entry::severity).max().map_or_else(|| "[OK] ".to_owned(), mark)
}

/// How many there are: "37 alerts: 4 high, 33 medium; 5 over".
pub(super) fn counted(entries: &[Entry]) -> String {
    let of = |severity| entries.iter().filter(|entry| entry.severity() == severity).count();
    let by_severity: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .map(|severity| (of(Some(severity)), severity))
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| format!("{count} {severity}"))
        .collect();
    let over = of(None);
    let more: usize = entries.iter().map(|entry| entry.more).sum();
    let mut told = match entries.len() - over {
        0 => format!("{} over", alerts(over)),
        raised if over > 0 => format!("{}: {}; {over} over", alerts(raised), by_severity.join(", ")),
        raised => format!("{}: {}", alerts(raised), by_severity.join(", ")),
    };
    if more > 0 {
        told.push_str(&format!("; {more} more held back"));
    }
    told
}

/// "1 alert", "3 alerts".
pub(super) fn alerts(count: usize) -> String {
    format!("{count} {}", if count == 1 { "alert" } else { "alerts" })
}

/// The lines of `entries`, grouped by severity under headings.
pub(super) fn groups(entries: &[Entry]) -> Vec<Vec<String>> {
    let by_severity = entries.chunk_by(|one, next| one.severity() == next.severity());
    let group = |group: &[Entry]| {
        let name = group[0].severity().map_or("over", Severity::as_str);
        let mut heading = name[..1].to_uppercase();
        heading.push_str(&format!("{} ({})", &name[1..], group.len()));
        let lines = group.iter().map(|entry| format!("- {}", entry.line()));
        std::iter::once(heading).chain(lines).collect()
    };
    by_severity.map(group).collect()
}

/// `head`, and as many alerts behind it as make a sentence of reasonable length; the rest of `total` is counted.
pub(super) fn sentence(head: &str, entries: &[Entry], with_location: bool, total: usize) -> String {
    let text = naming(head, &shorts(entries, with_location), total);
    cut_to_fit(&text, Letters::Unicode.ellipsis(), LONGEST_SENTENCE, utf16_units)
}

/// The text of an SMS: `head`, and as many alerts behind it as one part takes; the rest of `total` is counted.
pub(super) fn sms(head: &str, entries: &[Entry], with_location: bool, total: usize) -> String {
    let shorts = shorts(entries, with_location);
    let written = |text: String| {
        let plain = with_plain_marks(&text);
        if septets(&plain).is_some() { plain } else { text }
    };
    let fitting = (0..=shorts.len())
        .rev()
        .map(|named| written(naming(head, &shorts[..named], total)))
        .find(|text| is_one_part(text));
    fitting.unwrap_or_else(|| cut_to_one_part(&written(head.to_owned())))
}

fn shorts(entries: &[Entry], with_location: bool) -> Vec<String> {
    entries.iter().take(MOST_NAMED).map(|entry| entry.short(with_location)).collect()
}

fn naming(head: &str, shorts: &[String], total: usize) -> String {
    let mut named = shorts.to_vec();
    if shorts.is_empty() {
        return head.to_owned();
    }
    if total > shorts.len() {
        named.push(format!("+{} more", total - shorts.len()));
    }
    format!("{head}: {}", named.join("; "))
}

/// The subject in Unicode and in ASCII: what is counted stays, the location is shortened. `others` is how many locations there
/// are beside it.
pub(super) fn subjects(counted: &str, location: &str, others: usize) -> (String, String) {
    let others = and_others(others);
    let of = |location: &str, letters: Letters| {
        let room = LONGEST_SUBJECT.saturating_sub(utf16_units(counted) + utf16_units(&others) + ": ".len());
        format!("{counted}: {}{others}", cut_to_fit(location, letters.ellipsis(), room, utf16_units))
    };
    (of(location, Letters::Unicode), of(&ascii(location), Letters::Plain))
}

/// " and 2 more locations" behind a location, where there are others.
pub(super) fn and_others(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => " and 1 more location".to_owned(),
        _ => format!(" and {others} more locations"),
    }
}
