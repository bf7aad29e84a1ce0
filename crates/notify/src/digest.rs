//! Digests: one message for many, used when more messages are due than a person or a topic can take.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;

use super::attributes::{NAMES, attributes, values};
use super::email::{Email, wrapped};
use super::facts::AlertPhase;
use super::list::{
    ListedAlert, counted_by_severity, groups, highest_mark, newest_line, sentence, short_names, sms, sorted,
};
use super::payload::MessagePayload;
use super::render::Renderer;
use super::rendered::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered, json_size};
use super::subject::{LONGEST_SUBJECT, marked};
use super::text::{Charset, cut_to_fit, utf16_units};
use super::texts::Texts;
use domain::alert::Message;
use domain::digest::Digest;
use domain::severity::Severity;

/// Most bytes of all attribute values. SNS limits message and attributes together to 256 KB (API reference, Publish).
const LARGEST_ATTRIBUTES: usize = 64 * 1024;
/// Bytes of an email or of the JSON text that are reserved for headings, explanation and counts.
const FRAME: usize = 4 * 1024;

impl Renderer<'_> {
    /// Renders `messages` as one message with a line for each alert: location, values, limits and time, the highest severity
    /// first.
    ///
    /// The attributes hold every value of the alerts, so that each subscription filter still matches. The result fits into SNS if
    /// `messages` is one of the [groups](Self::grouped). Its id depends on the messages alone, not on their order.
    #[must_use]
    pub fn digest(&self, messages: &[&Message]) -> Rendered {
        let texts = &self.texts;
        let alerts = sorted(messages.iter().flat_map(|message| listed_alerts(message, texts)).collect());
        let mut ids: Vec<Digest> = messages.iter().map(|message| message.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        let fields: Vec<&[u8]> =
            std::iter::once(b"digest".as_slice()).chain(ids.iter().map(|id| id.as_bytes().as_slice())).collect();
        let (counted, mark) = (counted_by_severity(&alerts, texts), highest_mark(&alerts));
        let subject = |texts: &Texts| {
            let subject = marked(texts, mark, &counted_by_severity(&alerts, texts));
            cut_to_fit(&subject, Charset::Gsm7.ellipsis(), LONGEST_SUBJECT, utf16_units)
        };
        let (subject, ascii_subject) = (subject(texts), subject(&Texts::english()));
        let names = short_names(&alerts, true);
        let text = sentence(texts, &counted, &names, alerts.len());
        let mut blocks = vec![vec![texts.digest_explanation()]];
        blocks.extend(groups(&alerts));
        blocks.extend(newest_line(&alerts).map(|newest| vec![newest]));
        let (email, html) = Email::new(counted.clone(), blocks).into_parts(&subject, mark, texts);
        Rendered {
            id: format!("{:.32}", Digest::of_fields(&fields)),
            ascii_subject,
            default: marked(texts, mark, &text),
            email,
            html,
            sms: sms(texts, &counted, &names, alerts.len()),
            json: MessagePayload::list(None, [&subject, &text], &alerts, (usize::MAX, 0), DigestAlertPayload::new)
                .to_json(),
            attributes: attributes("digest", alerts.iter().map(ListedAlert::alert), usize::MAX),
            threads: Vec::new(),
            subject,
        }
    }

    /// Splits `messages` into consecutive groups that each fit into one [`digest`](Self::digest): into SNS, and with an email text
    /// of at most `largest` bytes. A message that is too large for any digest is alone in its group.
    #[must_use]
    pub fn grouped<'s, 'm>(&self, messages: &'s [&'m Message], largest: usize) -> Vec<&'s [&'m Message]> {
        let mut groups = Vec::new();
        let mut from = 0;
        let mut budget = DigestBudget::new(largest);
        for (index, message) in messages.iter().enumerate() {
            if !budget.add(message, &self.texts) {
                if from < index {
                    groups.push(&messages[from..index]);
                }
                from = index;
                budget = DigestBudget::new(largest);
                budget.add(message, &self.texts);
            }
        }
        if from < messages.len() {
            groups.push(&messages[from..]);
        }
        groups
    }
}

fn listed_alerts<'t>(message: &Message, texts: &'t Texts<'t>) -> Vec<ListedAlert<'t>> {
    let (mut listed, more): (Vec<ListedAlert<'_>>, usize) = match message {
        Message::Firing { alerts, blocked } => {
            (alerts.iter().map(|alert| ListedAlert::new(alert, AlertPhase::Firing, texts)).collect(), *blocked)
        }
        Message::Reminder { alert, at, unheard_since } => {
            let mut listed = ListedAlert::new(alert, AlertPhase::Reminder(*at), texts);
            listed.facts.no_reading_since = *unheard_since;
            (vec![listed], 0)
        }
        Message::Resolved { alert, at } => (vec![ListedAlert::new(alert, AlertPhase::Resolved(*at), texts)], 0),
        Message::Suppressed { alerts, more, .. } => {
            (alerts.iter().map(|alert| ListedAlert::suppressed(alert, texts)).collect(), *more)
        }
        // A notice is always sent alone.
        Message::Notice(_) => (Vec::new(), 0),
    };
    if let Some(last) = listed.last_mut() {
        last.more = more;
    }
    listed
}

/// The bytes that are left in a digest while messages are added.
struct DigestBudget {
    email: usize,
    json: usize,
    attributes: usize,
    /// The attribute values that are already in the digest.
    values: HashSet<(&'static str, String)>,
}

impl DigestBudget {
    /// An empty digest with an email text of at most `largest` bytes.
    fn new(largest: usize) -> Self {
        Self {
            email: largest.min(LARGEST_LIST_EMAIL).saturating_sub(FRAME),
            json: LARGEST_LIST_JSON - FRAME,
            attributes: LARGEST_ATTRIBUTES,
            values: HashSet::new(),
        }
    }

    /// Adds `message` and returns whether it fits. After one that does not fit, the digest is full.
    fn add(&mut self, message: &Message, texts: &Texts<'_>) -> bool {
        listed_alerts(message, texts).iter().all(|listed| self.add_alert(listed))
    }

    fn add_alert(&mut self, listed: &ListedAlert<'_>) -> bool {
        let present = NAMES.into_iter().zip(values(listed.alert()));
        let present = present.filter_map(|(name, value)| Some((name, value?.to_owned())));
        let new: Vec<_> = present.filter(|value| !self.values.contains(value)).collect();
        let json = serde_json::to_string(&DigestAlertPayload::new(listed)).unwrap_or_default();
        let line = wrapped(&format!("- {}", listed.line()));
        let left = self.email.checked_sub(json_size(&format!("{line}\n"))).and_then(|email| {
            let json = self.json.checked_sub(json_size(&format!("{json},")))?;
            let attributes = new.iter().map(|(_, value)| json_size(value) + 1).sum();
            Some((email, json, self.attributes.checked_sub(attributes)?))
        });
        self.values.extend(new);
        (self.email, self.json, self.attributes) = left.unwrap_or_default();
        left.is_some()
    }
}

/// One alert of a digest. The archive has the readings.
#[derive(Default, Serialize)]
struct DigestAlertPayload<'a> {
    id: String,
    /// `resolved`; absent for a firing alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reminder: bool,
    rule: &'a str,
    severity: Severity,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
}

impl<'a> DigestAlertPayload<'a> {
    fn new(listed: &'a ListedAlert<'_>) -> Self {
        let alert = listed.alert();
        let resolved = match listed.facts.phase {
            AlertPhase::Resolved(at) => Some(at),
            AlertPhase::Firing | AlertPhase::Reminder(_) => None,
        };
        Self {
            id: alert.id.to_string(),
            kind: resolved.map(|_| "resolved"),
            reminder: matches!(listed.facts.phase, AlertPhase::Reminder(_)),
            rule: &alert.rule,
            severity: alert.severity,
            at: alert.at,
            over: resolved.or(listed.resolved),
            device: alert.location.device.as_deref(),
            zone: alert.location.zone.as_deref(),
        }
    }
}
