//! Many messages in one: what would have been sent, where more is to be sent than a person or a topic can take.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::attributes::{NAMES, attributes, values};
use super::email::{laid_out, wrapped};
use super::facts::Stage;
use super::list::{Entry, counted, groups, sentence, sms, sorted, worst_mark};
use super::payload::{ListPayload, as_shown};
use super::render::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered};
use super::subject::LONGEST_SUBJECT;
use super::text::{Letters, cut_to_fit, utf16_units};
use domain::alert::{AlertId, Message};
use domain::digest::Digest;
use domain::severity::Severity;

/// Most that the values of all attributes take, in bytes. With the message they stay below the 256 KB that SNS takes
/// (API reference, Publish: message and attributes together).
const LARGEST_ATTRIBUTES: usize = 64 * 1024;
/// What headings, the explanation and the counts take of an email or of the JSON, in bytes.
const FRAME: usize = 4 * 1024;

/// One message that names every alert of `messages`: location, what, value and time in a line each, the worst first. Its
/// attributes have every value of its alerts, so that no filter misses one. It fits SNS if `messages` are one of the [groups](grouped).
///
/// The same messages make the same digest with the same id, whatever their order.
#[must_use]
pub fn digest(messages: &[&Message]) -> Rendered {
    let entries = sorted(messages.iter().flat_map(|message| entries(message)).collect());
    let mut ids: Vec<Digest> = messages.iter().map(|message| message.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    let fields: Vec<&[u8]> =
        std::iter::once(b"digest".as_slice()).chain(ids.iter().map(|id| id.as_bytes().as_slice())).collect();
    let (counted, mark) = (counted(&entries), worst_mark(&entries));
    let subject = cut_to_fit(&format!("{mark}{counted}"), Letters::Plain.ellipsis(), LONGEST_SUBJECT, utf16_units);
    let head = counted.replacen(": ", ", ", 1);
    let text = sentence(&head, &entries, true, entries.len());
    Rendered {
        id: format!("{:.32}", Digest::of_fields(&fields)),
        default: format!("{mark}{text}"),
        email: email(&entries, &counted),
        sms: sms(&head, &entries, true, entries.len()),
        json: ListPayload::json(None, [&subject, &text], &entries, (usize::MAX, 0), EntryPayload::of),
        attributes: attributes("digest", entries.iter().map(Entry::alert), usize::MAX),
        ascii_subject: subject.clone(),
        subject,
    }
}

fn entries(message: &Message) -> Vec<Entry> {
    let (mut entries, more): (Vec<Entry>, usize) = match message {
        Message::Firing { alerts, blocked } => {
            (alerts.iter().map(|alert| Entry::of(alert, Stage::Raised)).collect(), *blocked)
        }
        Message::Reminder { alert, at, unheard_since } => {
            let mut entry = Entry::of(alert, Stage::Still(*at));
            entry.facts.unheard_since = *unheard_since;
            (vec![entry], 0)
        }
        Message::Resolved { alert, at } => (vec![Entry::of(alert, Stage::Over(*at))], 0),
        Message::Suppressed { alerts, more, .. } => (alerts.iter().map(Entry::of_suppressed).collect(), *more),
        // Never one of many: it is sent by itself.
        Message::Notice(_) => (Vec::new(), 0),
    };
    if let Some(last) = entries.last_mut() {
        last.more = more;
    }
    entries
}

/// Cuts `messages` into groups, in their order, each of as many as one digest names in full: with an email text of at most
/// `largest` bytes, and within what SNS takes. A message with too many alerts for any digest is alone in its group.
#[must_use]
pub fn grouped<'s, 'm>(messages: &'s [&'m Message], largest: usize) -> Vec<&'s [&'m Message]> {
    let mut groups = Vec::new();
    let mut from = 0;
    let mut room = Room::of(largest);
    for (index, message) in messages.iter().enumerate() {
        if !room.take(message) {
            if from < index {
                groups.push(&messages[from..index]);
            }
            from = index;
            room = Room::of(largest);
            room.take(message);
        }
    }
    if from < messages.len() {
        groups.push(&messages[from..]);
    }
    groups
}

/// What is left of a digest's size while messages are put into it.
struct Room {
    email: usize,
    json: usize,
    attributes: usize,
    values: HashSet<(&'static str, String)>,
}

impl Room {
    /// A digest with nothing in it yet, whose email text may have `largest` bytes.
    fn of(largest: usize) -> Self {
        Self {
            email: largest.min(LARGEST_LIST_EMAIL).saturating_sub(FRAME),
            json: LARGEST_LIST_JSON - FRAME,
            attributes: LARGEST_ATTRIBUTES,
            values: HashSet::new(),
        }
    }

    /// Puts `message` in, if there is room for all of its alerts. If there is not, this digest is complete.
    fn take(&mut self, message: &Message) -> bool {
        entries(message).iter().all(|entry| self.take_entry(entry))
    }

    fn take_entry(&mut self, entry: &Entry) -> bool {
        let of_alert = NAMES.into_iter().zip(values(entry.alert()));
        let of_alert = of_alert.filter_map(|(name, value)| Some((name, value?.to_owned())));
        let new: Vec<_> = of_alert.filter(|value| !self.values.contains(value)).collect();
        let json = serde_json::to_string(&EntryPayload::of(entry)).unwrap_or_default();
        let fits = take(&mut self.email, in_json(&format!("{}\n", line(entry))))
            && take(&mut self.json, in_json(&format!("{json},")))
            && take(&mut self.attributes, new.iter().map(|(_, value)| in_json(value) + 1).sum());
        self.values.extend(new);
        fits
    }
}

/// Takes `size` off `room`, if it is there.
fn take(room: &mut usize, size: usize) -> bool {
    let left = room.checked_sub(size);
    *room = left.unwrap_or(*room);
    left.is_some()
}

/// Bytes of `text` as a string in JSON.
fn in_json(text: &str) -> usize {
    Value::from(text).to_string().len()
}

fn line(entry: &Entry) -> String {
    wrapped(&format!("- {}", entry.line()), "  ")
}

fn email(entries: &[Entry], head: &str) -> String {
    let why = "More came at once than is sent one by one, so one message names them all.";
    let mut blocks = vec![vec![head.to_owned()], vec![why.to_owned()]];
    blocks.extend(groups(entries));
    format!("{}\n", laid_out(&blocks))
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
            device: alert.location.device.as_deref(),
            zone: alert.location.zone.as_deref(),
        }
    }
}
