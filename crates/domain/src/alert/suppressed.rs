//! The list of alerts that were suppressed, for their reason.

use jiff::Timestamp;
use serde::Serialize;

use super::attributes::attributes;
use super::email::wrapped;
use super::facts::Stage;
use super::list::{Entry, and_others, common_place, groups, newest, sentence, sms, sorted, subjects, worst_mark};
use super::payload::{AlertPayload, PlacePayload, SCHEMA};
use super::render::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered, within};
use super::text::{cut_to_graphemes, date_and_time};
use super::{SuppressedAlert, SuppressionReason};
use crate::severity::Severity;

/// Most values of one attribute: more than are suppressed by name.
const MOST_VALUES: usize = 64;
/// Most of the place's name in an SMS, in graphemes.
const PLACE_KEEPS: usize = 30;

#[derive(Serialize)]
struct SuppressedPayload<'a> {
    schema: &'static str,
    kind: &'static str,
    /// Why the alerts were suppressed.
    reason: SuppressionReason,
    /// The worst of the alerts'.
    severity: Severity,
    subject: &'a str,
    text: &'a str,
    /// Event time of the newest, RFC 3339 in UTC.
    at: Timestamp,
    /// The worst first.
    alerts: Vec<EntryPayload<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    alerts_left_out: usize,
}

#[derive(Serialize)]
struct EntryPayload<'a> {
    #[serde(flatten)]
    alert: AlertPayload<'a>,
    at: Timestamp,
    /// Since when it is over; absent where it lasts, or where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Timestamp>,
    place: PlacePayload<'a>,
}

/// The message that lists `alerts`; `more` is how many there were beside them.
pub(super) fn rendered(id: String, reason: SuppressionReason, alerts: &[SuppressedAlert], more: usize) -> Rendered {
    let of = |one: &SuppressedAlert| Entry { over: one.over, ..Entry::of(&one.alert, Stage::Raised) };
    let entries = sorted(alerts.iter().map(of).collect());
    let total = entries.len() + more;
    let (place, others) = common_place(&entries);
    let mark = worst_mark(&entries);
    let Words { counted, when, why } = Words::of(reason, total);
    let (subject, ascii_subject) = subjects(&format!("{mark}{counted}"), &place, others);
    let head = |place: &str, why: &str| format!("{place}{}: {counted}{why}", and_others(others));
    let text = sentence(&head(&place, when), &entries, others > 0, total);
    let short_place = cut_to_graphemes(&place, "...", PLACE_KEEPS);
    Rendered {
        id,
        ascii_subject,
        default: format!("{mark}{text}"),
        email: within(LARGEST_LIST_EMAIL, |most| email(&entries, more, most, [&head(&place, ""), why])),
        sms: sms(&head(&short_place, ""), &entries, others > 0, total),
        json: within(LARGEST_LIST_JSON, |most| json(reason, &entries, more, most, [&subject, &text])),
        attributes: attributes("digest", entries.iter().map(Entry::alert), MOST_VALUES),
        subject,
    }
}

/// What a reason is called.
struct Words {
    /// "3 more alerts".
    counted: String,
    /// What follows that in a sentence.
    when: &'static str,
    /// A sentence of its own.
    why: &'static str,
}

impl Words {
    fn of(reason: SuppressionReason, total: usize) -> Self {
        let alerts = if total == 1 { "alert" } else { "alerts" };
        match reason {
            SuppressionReason::Block => Self {
                counted: format!("{total} more {alerts}"),
                when: " while alerts of this zone were blocked",
                why: "Raised while alerts of this zone were blocked, because one had just been sent.",
            },
            SuppressionReason::Hours => Self {
                counted: format!("{total} {alerts}"),
                when: " outside active hours",
                why: "Raised outside the active hours of their rules.",
            },
        }
    }
}

fn email(entries: &[Entry], more: usize, most: usize, [head, why]: [&str; 2]) -> String {
    let listed = &entries[..entries.len().min(most)];
    let newest_at = newest(entries);
    let mut blocks = vec![vec![head.to_owned()], vec![why.to_owned()]];
    blocks.extend(groups(listed));
    let left_out = more + entries.len() - listed.len();
    if left_out > 0 {
        blocks.push(vec![format!("And {left_out} more.")]);
    }
    if let Some(entry) = entries.first() {
        let place = &entry.alert().place;
        let ids = [("Zone id", &place.zone), ("Project id", &place.project), ("Property id", &place.property)];
        let mut lines = vec![format!("Newest: {}", date_and_time(place, newest_at))];
        lines.extend(ids.into_iter().filter_map(|(name, id)| id.as_ref().map(|id| format!("{name}: {id}"))));
        blocks.push(lines);
    }
    blocks.push(listed.iter().map(|entry| format!("Alert id: {}", entry.alert().id)).collect());
    let block = |lines: &Vec<String>| lines.iter().map(|line| wrapped(line, "  ")).collect::<Vec<_>>().join("\n");
    format!("{}\n", blocks.iter().map(block).collect::<Vec<_>>().join("\n\n"))
}

fn json(reason: SuppressionReason, entries: &[Entry], more: usize, most: usize, [subject, text]: [&str; 2]) -> String {
    let payload = SuppressedPayload {
        schema: SCHEMA,
        kind: "digest",
        reason,
        severity: entries.iter().filter_map(Entry::severity).max().unwrap_or(Severity::Low),
        subject,
        text,
        at: newest(entries),
        alerts: entries.iter().take(most).map(|entry| EntryPayload::of(entry, most)).collect(),
        alerts_left_out: more + entries.len().saturating_sub(most),
    };
    // Texts, numbers and lists of them: there is nothing that JSON could refuse.
    serde_json::to_string(&payload).unwrap_or_default()
}

impl<'a> EntryPayload<'a> {
    fn of(entry: &'a Entry, most: usize) -> Self {
        let alert = entry.alert();
        Self {
            alert: AlertPayload::of(alert, most),
            at: alert.at,
            over: entry.over,
            place: PlacePayload::of(&alert.place, &entry.facts.place, alert.at),
        }
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
