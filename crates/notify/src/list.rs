//! Several alerts in one message: a line for each, the highest severity first, and the number of alerts of each severity.

use std::cmp::Reverse;
use std::collections::HashSet;

use jiff::Timestamp;

use super::facts::{AlertPhase, Facts};
use super::gsm7::{as_gsm7, is_one_part};
use super::sentence::{LONGEST_SENTENCE, SentenceOptions};
use super::sms::cut_to_one_part;
use super::subject::{LONGEST_SUBJECT, ascii, marked};
use super::text::{Charset, cut_to_fit, cut_to_graphemes, utf16_units};
use super::texts::Texts;
use super::time::{date_and_time, moment, zone};
use domain::alert::{Alert, SuppressedAlert};
use domain::severity::Severity;

/// Longest line, in UTF-16 code units. Location and title come first and have at most 120 characters each.
const LONGEST_LINE: usize = 600;
/// Longest location and title in a sentence or an SMS that names several alerts, in graphemes.
pub(super) const SHORT_NAME: usize = 30;
/// Most alerts that a sentence names.
const MOST_NAMED: usize = 20;

/// One alert of a list. Always in the default wording: a template may omit the location or the values.
pub(super) struct ListedAlert<'t> {
    pub(super) facts: Facts<'t>,
    /// For a suppressed alert: the time at which it resolved, if it did.
    pub(super) resolved: Option<Timestamp>,
    /// Alerts that were suppressed with this one and are only counted.
    pub(super) more: usize,
    /// Whether the line names the time zone.
    has_zone: bool,
}

impl<'t> ListedAlert<'t> {
    pub(super) fn new(alert: &Alert, phase: AlertPhase, texts: &'t Texts<'t>) -> Self {
        let facts = Facts::in_phase(&Alert { template: None, ..alert.clone() }, phase, texts);
        Self { facts, resolved: None, more: 0, has_zone: true }
    }

    pub(super) fn suppressed(suppressed: &SuppressedAlert, texts: &'t Texts<'t>) -> Self {
        Self { resolved: suppressed.resolved_at, ..Self::new(&suppressed.alert, AlertPhase::Firing, texts) }
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
        let (texts, title) = (self.facts.texts, &self.facts.titles[0]);
        let mut location = self.facts.names.full();
        if self.has_zone {
            location += &format!(" ({})", zone(&self.alert().location, self.alert().at));
        }
        // Without a measured value, the sentence has the title.
        let head = match self.facts.phase {
            AlertPhase::Firing if !self.alert().breaches.is_empty() => texts.list_title(location.as_str(), title),
            _ => location,
        };
        let options = SentenceOptions { has_action: self.resolved.is_none(), ..SentenceOptions::full(&head) };
        let mut line = self.facts.sentence(&options);
        if let Some(resolved) = self.resolved {
            line = texts.list_resolved(line, self.facts.moment(resolved));
        }
        line = cut_to_fit(&line, Charset::Unicode.ellipsis(), LONGEST_LINE, utf16_units);
        if self.more > 0 { texts.list_suppressed(line, self.more) } else { line }
    }

    /// "Wet floor 13:59", after the location if the alerts have several.
    fn short(&self, with_location: bool) -> String {
        let shorten = |name: &str| cut_to_graphemes(name, "...", SHORT_NAME);
        let location = if with_location { format!("{}: ", shorten(&self.facts.location)) } else { String::new() };
        let alert = format!("{location}{} {}", shorten(&self.facts.titles[0]), self.facts.clock);
        let is_over = self.resolved.is_some() || self.severity().is_none();
        if is_over { self.facts.texts.list_over(alert) } else { alert }
    }
}

/// Sorts `alerts` by severity, the highest first and resolved notices last, then by time. Shows a date with each time that is on
/// another day than the newest, and the time zone if there are several.
pub(super) fn sorted(mut alerts: Vec<ListedAlert<'_>>) -> Vec<ListedAlert<'_>> {
    let newest = newest(&alerts);
    let zones: HashSet<_> = alerts.iter().map(|listed| zone(&listed.alert().location, listed.alert().at)).collect();
    for listed in &mut alerts {
        listed.has_zone = zones.len() > 1;
        listed.facts.clock = moment(listed.facts.texts, &listed.alert().location, listed.alert().at, newest);
    }
    alerts.sort_by_key(|listed| (Reverse(listed.severity()), listed.facts.at(), listed.alert().id));
    alerts
}

/// The newest time that any of `alerts` reports, with its date and time zone.
pub(super) fn newest_line(alerts: &[ListedAlert<'_>]) -> Option<String> {
    let newest = alerts.iter().max_by_key(|listed| listed.facts.at())?;
    let texts = newest.facts.texts;
    Some(texts.list_newest(date_and_time(texts, &newest.alert().location, newest.facts.at())))
}

/// The newest time that any of `alerts` reports.
pub(super) fn newest(alerts: &[ListedAlert<'_>]) -> Timestamp {
    alerts.iter().map(|listed| listed.facts.at()).max().unwrap_or_default()
}

/// The first location and the number of others.
pub(super) fn common_location(alerts: &[ListedAlert<'_>]) -> (String, usize) {
    let names: HashSet<&str> = alerts.iter().map(|listed| listed.facts.location.as_str()).collect();
    (alerts.first().map(|listed| listed.facts.location.clone()).unwrap_or_default(), names.len().saturating_sub(1))
}

/// The highest severity, or "ok" if all alerts are resolved.
pub(super) fn highest_mark(alerts: &[ListedAlert<'_>]) -> &'static str {
    alerts.iter().filter_map(ListedAlert::severity).max().map_or("ok", Severity::as_str)
}

/// The number of alerts: "37 alerts (4 high, 33 medium); 5 over".
pub(super) fn counted_by_severity(alerts: &[ListedAlert<'_>], texts: &Texts<'_>) -> String {
    let count = |severity| alerts.iter().filter(|listed| listed.severity() == severity).count();
    let by_severity: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .map(|severity| (count(Some(severity)), severity))
        .filter(|(count, _)| *count > 0)
        .map(|(count, severity)| texts.digest_severity(count, texts.severity(severity.as_str())))
        .collect();
    let over = count(None);
    let mut counts = match alerts.len() - over {
        0 => vec![texts.digest_all_over(over)],
        raised => vec![texts.digest_alerts(raised, by_severity.join(", "))],
    };
    if (1..alerts.len()).contains(&over) {
        counts.push(texts.digest_over(over));
    }
    let more: usize = alerts.iter().map(|listed| listed.more).sum();
    if more > 0 {
        counts.push(texts.digest_suppressed(more));
    }
    counts.join("; ")
}

/// The lines of `alerts`, grouped by severity under headings.
pub(super) fn groups(alerts: &[ListedAlert<'_>]) -> Vec<Vec<String>> {
    let by_severity = alerts.chunk_by(|one, next| one.severity() == next.severity());
    let group = |group: &[ListedAlert<'_>]| {
        let word = group[0].facts.texts.severity(group[0].severity().map_or("over", Severity::as_str));
        let mut letters = word.chars();
        let capital = letters.next().into_iter().flat_map(char::to_uppercase);
        let heading = format!("{} ({})", capital.chain(letters).collect::<String>(), group.len());
        let lines = group.iter().map(|listed| format!("- {}", listed.line()));
        std::iter::once(heading).chain(lines).collect()
    };
    by_severity.map(group).collect()
}

/// `head` followed by as many alerts as the sentence limit permits. The rest of `total` is counted.
pub(super) fn sentence(texts: &Texts<'_>, head: &str, names: &[String], total: usize) -> String {
    let text = with_names(texts, head, names, total);
    cut_to_fit(&text, Charset::Unicode.ellipsis(), LONGEST_SENTENCE, utf16_units)
}

/// The text of an SMS: `head` followed by as many alerts as fit into one part. The rest of `total` is counted.
pub(super) fn sms(texts: &Texts<'_>, head: &str, names: &[String], total: usize) -> String {
    let fitting = (0..=names.len())
        .rev()
        .map(|count| as_gsm7(with_names(texts, head, &names[..count], total)))
        .find(|text| is_one_part(text));
    fitting.unwrap_or_else(|| cut_to_one_part(&as_gsm7(head.to_owned())))
}

/// The first alerts in a few words each, after their locations if these differ.
pub(super) fn short_names(alerts: &[ListedAlert<'_>], with_location: bool) -> Vec<String> {
    alerts.iter().take(MOST_NAMED).map(|listed| listed.short(with_location)).collect()
}

fn with_names(texts: &Texts<'_>, head: &str, names: &[String], total: usize) -> String {
    if names.is_empty() {
        return head.to_owned();
    }
    let omitted = total.saturating_sub(names.len());
    let rest = if omitted > 0 { format!("; {}", texts.more(omitted)) } else { String::new() };
    format!("{head}: {}{rest}", names.join("; "))
}

/// The subject in Unicode and in English ASCII, with the number of alerts whole and the location shortened. `others` is the number
/// of other locations.
pub(super) fn subjects(
    texts: &Texts<'_>,
    mark: &str,
    alerts: impl Fn(&Texts<'_>) -> String,
    location: &str,
    others: usize,
) -> (String, String) {
    let subject = |texts: &Texts<'_>, location: &str, charset: Charset| {
        let of =
            |location: &str| marked(texts, mark, &texts.subject(alerts(texts), and_others(texts, location, others)));
        let width = LONGEST_SUBJECT.saturating_sub(utf16_units(&of("")));
        of(&cut_to_fit(location, charset.ellipsis(), width, utf16_units))
    };
    let ascii_subject = subject(&Texts::english(), &ascii(location), Charset::Gsm7);
    (subject(texts, location, Charset::Unicode), ascii_subject)
}

/// "Lobby and 2 more locations".
pub(super) fn and_others(texts: &Texts<'_>, location: &str, others: usize) -> String {
    if others == 0 { location.to_owned() } else { texts.list_locations(location, others) }
}
