//! Several alerts in one message: a line for each, the highest severity first, and the number of alerts of each severity.

use std::cmp::Reverse;
use std::collections::HashSet;

use jiff::Timestamp;

use super::facts::{AlertPhase, Facts};
use super::gsm7::{as_gsm7, is_one_part};
use super::sentence::{LONGEST_SENTENCE, SentenceOptions};
use super::sms::cut_to_one_part;
use super::subject::{LONGEST_SUBJECT, ascii, mark};
use super::text::{Charset, counted, cut_to_fit, cut_to_graphemes, utf16_units};
use super::time::moment;
use domain::alert::{Alert, SuppressedAlert, Trigger};
use domain::severity::Severity;

/// Longest line, in UTF-16 code units. Location and title come first and have at most 120 characters each.
const LONGEST_LINE: usize = 600;
/// Longest location and title in a sentence or an SMS that names several alerts, in graphemes.
pub(super) const SHORT_NAME: usize = 30;
/// Most alerts that a sentence names.
const MOST_NAMED: usize = 20;

/// One alert of a list. Always in the default wording: a template may omit the location or the values.
pub(super) struct ListedAlert {
    pub(super) facts: Facts,
    /// For a suppressed alert: the time at which it resolved, if it did.
    pub(super) resolved: Option<Timestamp>,
    /// Alerts that were suppressed with this one and are only counted.
    pub(super) more: usize,
}

impl ListedAlert {
    pub(super) fn new(alert: &Alert, phase: AlertPhase) -> Self {
        let facts = Facts::in_phase(&Alert { template: None, ..alert.clone() }, phase);
        Self { facts, resolved: None, more: 0 }
    }

    pub(super) fn suppressed(suppressed: &SuppressedAlert) -> Self {
        Self { resolved: suppressed.resolved_at, ..Self::new(&suppressed.alert, AlertPhase::Firing) }
    }

    /// The alert, sanitized for display.
    pub(super) fn alert(&self) -> &Alert {
        self.facts.first()
    }

    /// The severity; `None` for a resolved notice.
    pub(super) fn severity(&self) -> Option<Severity> {
        (!matches!(self.facts.phase, AlertPhase::Resolved(_))).then_some(self.facts.severity)
    }

    /// "Washroom 3, Bad smell: ammonia 270 ppb (limit 200) at 13:59 (over since 14:02)".
    pub(super) fn line(&self) -> String {
        let (location, title) = (&self.facts.location, &self.facts.titles[0]);
        let alert = self.alert();
        let has_title_in_sentence = match alert.trigger {
            Trigger::NoData { .. } => title.eq_ignore_ascii_case("no data"),
            _ => alert.breaches.is_empty(),
        };
        let head = match self.facts.phase {
            AlertPhase::Firing if !has_title_in_sentence => format!("{location}, {title}"),
            _ => location.clone(),
        };
        let mut line = self.facts.sentence(&SentenceOptions::full(&head));
        if let Some(resolved) = self.resolved {
            line.push_str(&format!(" (over since {})", self.facts.moment(resolved)));
        }
        line = cut_to_fit(&line, Charset::Unicode.ellipsis(), LONGEST_LINE, utf16_units);
        if self.more > 0 {
            line.push_str(&format!(" (and {} more suppressed there)", self.more));
        }
        line
    }

    /// "Wet floor 13:59", after the location if the alerts have several.
    fn short(&self, with_location: bool) -> String {
        let shorten = |name: &str| cut_to_graphemes(name, "...", SHORT_NAME);
        let location = if with_location { format!("{}: ", shorten(&self.facts.location)) } else { String::new() };
        let over = if self.resolved.is_some() || self.severity().is_none() { " (over)" } else { "" };
        format!("{location}{} {}{over}", shorten(&self.facts.titles[0]), self.facts.clock)
    }
}

/// Sorts `alerts` by severity, the highest first and resolved notices last, then by time. Shows a date with each time that is on
/// another day than the newest.
pub(super) fn sorted(mut alerts: Vec<ListedAlert>) -> Vec<ListedAlert> {
    let newest = newest(&alerts);
    for listed in &mut alerts {
        listed.facts.clock = moment(&listed.alert().location, listed.alert().at, newest);
    }
    alerts.sort_by_key(|listed| (Reverse(listed.severity()), listed.facts.at(), listed.alert().id));
    alerts
}

/// The newest time that any of `alerts` reports.
pub(super) fn newest(alerts: &[ListedAlert]) -> Timestamp {
    alerts.iter().map(|listed| listed.facts.at()).max().unwrap_or_default()
}

/// The first location and the number of others.
pub(super) fn common_location(alerts: &[ListedAlert]) -> (String, usize) {
    let names: HashSet<&str> = alerts.iter().map(|listed| listed.facts.location.as_str()).collect();
    (alerts.first().map(|listed| listed.facts.location.clone()).unwrap_or_default(), names.len().saturating_sub(1))
}

/// The prefix of the subject and of the default text: the mark of the highest severity.
pub(super) fn highest_mark(alerts: &[ListedAlert]) -> String {
    alerts.iter().filter_map(ListedAlert::severity).max().map_or_else(|| "[OK] ".to_owned(), mark)
}

/// The number of alerts: "37 alerts: 4 high, 33 medium; 5 over".
pub(super) fn counted_by_severity(alerts: &[ListedAlert]) -> String {
    let count = |severity| alerts.iter().filter(|listed| listed.severity() == severity).count();
    let by_severity: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .map(|severity| (count(Some(severity)), severity))
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| format!("{count} {severity}"))
        .collect();
    let over = count(None);
    let mut text = match alerts.len() - over {
        0 => format!("{} over", counted(over, "alert")),
        raised if over > 0 => format!("{}: {}; {over} over", counted(raised, "alert"), by_severity.join(", ")),
        raised => format!("{}: {}", counted(raised, "alert"), by_severity.join(", ")),
    };
    let more: usize = alerts.iter().map(|listed| listed.more).sum();
    if more > 0 {
        text.push_str(&format!("; {more} more suppressed"));
    }
    text
}

/// The lines of `alerts`, grouped by severity under headings.
pub(super) fn groups(alerts: &[ListedAlert]) -> Vec<Vec<String>> {
    let by_severity = alerts.chunk_by(|one, next| one.severity() == next.severity());
    let group = |group: &[ListedAlert]| {
        let name = group[0].severity().map_or("over", Severity::as_str);
        let heading = format!("{}{} ({})", name[..1].to_uppercase(), &name[1..], group.len());
        let lines = group.iter().map(|listed| format!("- {}", listed.line()));
        std::iter::once(heading).chain(lines).collect()
    };
    by_severity.map(group).collect()
}

/// `head` followed by as many alerts as the sentence limit permits. The rest of `total` is counted.
pub(super) fn sentence(head: &str, alerts: &[ListedAlert], with_location: bool, total: usize) -> String {
    let text = with_names(head, &short_names(alerts, with_location), total);
    cut_to_fit(&text, Charset::Unicode.ellipsis(), LONGEST_SENTENCE, utf16_units)
}

/// The text of an SMS: `head` followed by as many alerts as fit into one part. The rest of `total` is counted.
pub(super) fn sms(head: &str, alerts: &[ListedAlert], with_location: bool, total: usize) -> String {
    let names = short_names(alerts, with_location);
    let fitting = (0..=names.len())
        .rev()
        .map(|count| as_gsm7(with_names(head, &names[..count], total)))
        .find(|text| is_one_part(text));
    fitting.unwrap_or_else(|| cut_to_one_part(&as_gsm7(head.to_owned())))
}

fn short_names(alerts: &[ListedAlert], with_location: bool) -> Vec<String> {
    alerts.iter().take(MOST_NAMED).map(|listed| listed.short(with_location)).collect()
}

fn with_names(head: &str, names: &[String], total: usize) -> String {
    if names.is_empty() {
        return head.to_owned();
    }
    let omitted = total.saturating_sub(names.len());
    let rest = if omitted > 0 { format!("; +{omitted} more") } else { String::new() };
    format!("{head}: {}{rest}", names.join("; "))
}

/// The subject in Unicode and in ASCII. `head` stays whole, the location is shortened. `others` is the number of other locations.
pub(super) fn subjects(head: &str, location: &str, others: usize) -> (String, String) {
    let others = and_others(others);
    let subject = |location: &str, charset: Charset| {
        let width = LONGEST_SUBJECT.saturating_sub(utf16_units(head) + utf16_units(&others) + ": ".len());
        format!("{head}: {}{others}", cut_to_fit(location, charset.ellipsis(), width, utf16_units))
    };
    (subject(location, Charset::Unicode), subject(&ascii(location), Charset::Gsm7))
}

/// " and 2 more locations"; empty if there are none.
pub(super) fn and_others(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" and {}", counted(others, "more location")) }
}
