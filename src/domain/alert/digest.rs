//! Many messages in one: what would have been sent, where more is to be sent than a person or a topic can take.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::attributes::{attributes, values};
use super::email::wrapped;
use super::facts::Stage;
use super::list::{Entry, counted, groups, newest, sentence, sms, sorted, worst_mark};
use super::payload::SCHEMA;
use super::render::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered};
use super::subject::LONGEST_SUBJECT;
use super::text::{Letters, cut_to_fit, utf16_units};
use super::{AlertId, Message};
use crate::domain::digest::Digest;
use crate::domain::severity::Severity;

/// Most that the values of all attributes take, in bytes. With the message they stay below the 256 KB that SNS takes
/// (API reference, Publish: message and attributes together).
const LARGEST_ATTRIBUTES: usize = 64 * 1024;
/// What headings, the explanation and the counts take of an email or of the JSON, in bytes.
const FRAME: usize = 4 * 1024;

/// One message, in as many parts as its size asks for, that names every alert of `messages`: place, what, value and
/// time in a line each, the worst first. An email text of a part is at most `largest` bytes as far as one alert a part
/// allows, and every part fits SNS with its attributes. A part's attributes have every value of its alerts, so that no
/// filter misses one. Empty where there are no messages.
///
/// The same messages make the same parts with the same ids, whatever their order.
#[must_use]
pub fn digest(messages: &[&Message], largest: usize) -> Vec<Rendered> {
    let entries = sorted(messages.iter().flat_map(|message| entries(message)).collect());
    let mut ids: Vec<Digest> = messages.iter().map(|message| message.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    let fields: Vec<&[u8]> =
        std::iter::once(b"digest".as_slice()).chain(ids.iter().map(|id| id.as_bytes().as_slice())).collect();
    let whole = Whole { id: Digest::of_fields(&fields), counted: counted(&entries), mark: worst_mark(&entries) };
    let parts = split(&entries, largest);
    parts.iter().enumerate().map(|(index, part)| whole.part(part, index + 1, parts.len())).collect()
}

fn entries(message: &Message) -> Vec<Entry> {
    match message {
        Message::Firing { alerts, blocked } => {
            let mut entries: Vec<Entry> = alerts.iter().map(|alert| Entry::of(alert, Stage::Raised)).collect();
            entries.iter_mut().rev().take(1).for_each(|last| last.more = *blocked);
            entries
        }
        Message::Reminder { alert, at, unheard_since } => {
            let mut entry = Entry::of(alert, Stage::Still(*at));
            entry.facts.unheard_since = *unheard_since;
            vec![entry]
        }
        Message::Resolved { alert, at } => vec![Entry::of(alert, Stage::Over(*at))],
        Message::Suppressed { alerts, more, .. } => {
            let of = |one: &super::SuppressedAlert| Entry { over: one.over, ..Entry::of(&one.alert, Stage::Raised) };
            let mut entries: Vec<Entry> = alerts.iter().map(of).collect();
            entries.iter_mut().rev().take(1).for_each(|last| last.more = *more);
            entries
        }
        // Never one of many: it is sent by itself.
        Message::Notice(_) => Vec::new(),
    }
}

/// Cuts `entries` where a part's email, JSON or attributes would be too large. A part has at least one.
fn split(entries: &[Entry], largest: usize) -> Vec<&[Entry]> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut used = Used::default();
    for (index, entry) in entries.iter().enumerate() {
        if !used.take(entry, largest) {
            parts.push(&entries[from..index]);
            from = index;
            used = Used::default();
            used.take(entry, largest);
        }
    }
    if from < entries.len() {
        parts.push(&entries[from..]);
    }
    parts
}

/// What a part takes so far, in bytes as they are in the SNS message.
#[derive(Default)]
struct Used<'e> {
    entries: usize,
    email: usize,
    json: usize,
    attributes: usize,
    values: HashSet<(&'static str, &'e str)>,
}

impl<'e> Used<'e> {
    /// Adds `entry`; whether there was room for it. The first always goes in.
    fn take(&mut self, entry: &'e Entry, largest: usize) -> bool {
        let of_attributes = values(entry.alert()).into_iter().filter_map(|(name, value)| Some((name, value?)));
        let new: Vec<_> = of_attributes.filter(|value| !self.values.contains(value)).collect();
        self.email += in_json(&format!("{}\n", line(entry)));
        self.json += in_json(&format!("{},", serde_json::to_string(&EntryPayload::of(entry)).unwrap_or_default()));
        self.attributes += new.iter().map(|(_, value)| in_json(value) + 1).sum::<usize>();
        self.values.extend(new);
        self.entries += 1;
        let email = largest.min(LARGEST_LIST_EMAIL).saturating_sub(FRAME);
        let fits =
            self.email <= email && self.json <= LARGEST_LIST_JSON - FRAME && self.attributes <= LARGEST_ATTRIBUTES;
        fits || self.entries == 1
    }
}

/// Bytes of `text` as a string in JSON.
fn in_json(text: &str) -> usize {
    Value::from(text).to_string().len()
}

fn line(entry: &Entry) -> String {
    wrapped(&format!("- {}", entry.line()), "  ")
}

/// What all parts say.
struct Whole {
    id: Digest,
    counted: String,
    mark: String,
}

impl Whole {
    fn part(&self, entries: &[Entry], number: usize, of: usize) -> Rendered {
        let of_parts = if of > 1 { format!(" (part {number} of {of})") } else { String::new() };
        let Self { counted, mark, .. } = self;
        let room = LONGEST_SUBJECT - utf16_units(&of_parts);
        let subject = cut_to_fit(&format!("{mark}{counted}"), Letters::Plain.ellipsis(), room, utf16_units);
        let subject = format!("{subject}{of_parts}");
        let head = format!("{counted}{of_parts}");
        let text = sentence(&head.replacen(": ", ", ", 1), entries, true, entries.len());
        let id = Digest::of_fields(&[self.id.as_bytes(), &(number as u64).to_be_bytes()]);
        Rendered {
            id: format!("{id:.32}"),
            default: format!("{mark}{text}"),
            email: email(entries, &head),
            sms: sms(&head.replacen(": ", ", ", 1), entries, true, entries.len()),
            json: json(entries, [&subject, &text], [number, of]),
            attributes: attributes("digest", entries.iter().map(Entry::alert), usize::MAX),
            ascii_subject: subject.clone(),
            subject,
        }
    }
}

fn email(entries: &[Entry], head: &str) -> String {
    let why = "More came at once than is sent one by one, so one message names them all.";
    let mut blocks = vec![vec![head.to_owned()], vec![why.to_owned()]];
    blocks.extend(groups(entries));
    let block = |lines: &Vec<String>| lines.iter().map(|line| wrapped(line, "  ")).collect::<Vec<_>>().join("\n");
    format!("{}\n", blocks.iter().map(block).collect::<Vec<_>>().join("\n\n"))
}

#[derive(Serialize)]
struct DigestPayload<'a> {
    schema: &'static str,
    kind: &'static str,
    /// The worst of the alerts'.
    severity: Severity,
    subject: &'a str,
    text: &'a str,
    /// The newest moment that any of them speaks of, RFC 3339 in UTC.
    at: Timestamp,
    part: usize,
    parts: usize,
    /// The worst first; every one of this part.
    alerts: Vec<EntryPayload<'a>>,
}

/// One alert: enough to know what it is about and where. The readings themselves are in the raw store.
#[derive(Serialize)]
struct EntryPayload<'a> {
    #[serde(serialize_with = "as_shown")]
    id: AlertId,
    /// `resolved`; absent where it is firing.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reminder: bool,
    rule: &'a str,
    severity: Severity,
    /// When it was raised.
    at: Timestamp,
    /// Since when it is over, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
}

impl<'a> EntryPayload<'a> {
    fn of(entry: &'a Entry) -> Self {
        let alert = entry.alert();
        let over = match entry.facts.stage {
            Stage::Over(at) => Some(at),
            Stage::Raised | Stage::Still(_) => None,
        };
        Self {
            id: alert.id,
            kind: over.is_some().then_some("resolved"),
            reminder: matches!(entry.facts.stage, Stage::Still(_)),
            rule: &alert.rule,
            severity: alert.severity,
            at: alert.at,
            over: over.or(entry.over),
            device: alert.place.device.as_deref(),
            zone: alert.place.zone.as_deref(),
        }
    }
}

fn json(entries: &[Entry], [subject, text]: [&str; 2], [part, parts]: [usize; 2]) -> String {
    let severity = entries.iter().map(|entry| entry.alert().severity).max().unwrap_or(Severity::Low);
    let alerts = entries.iter().map(EntryPayload::of).collect();
    let at = newest(entries);
    let payload = DigestPayload { schema: SCHEMA, kind: "digest", severity, subject, text, at, part, parts, alerts };
    // Texts, numbers and lists of them: there is nothing that JSON could refuse.
    serde_json::to_string(&payload).unwrap_or_default()
}

/// Writes the id as every other text has it, 32 hex digits.
fn as_shown<S: serde::Serializer>(id: &AlertId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
