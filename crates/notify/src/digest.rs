//! Digests: one message for many, used when more messages are due than a person or a topic can take.

use std::collections::HashSet;

use super::attributes::values;
use super::email::wrapped;
use super::facts::{AlertPhase, Facts};
use super::list::AlertList;
use super::render::Renderer;
use super::rendered::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered, json_size};
use super::texts::Texts;
use domain::alert::Message;
use domain::digest::Digest;

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
        let mut ids: Vec<Digest> = messages.iter().map(|message| message.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        let fields: Vec<&[u8]> =
            std::iter::once(b"digest".as_slice()).chain(ids.iter().map(|id| id.as_bytes().as_slice())).collect();
        let alerts = messages.iter().flat_map(|message| listed_alerts(message, texts)).collect();
        AlertList::new(texts, None, alerts, 0).rendered(format!("{:.32}", Digest::of_fields(&fields)))
    }

    /// Splits `messages` into consecutive groups that each fit into one [`digest`](Self::digest): into SNS, and with an email text
    /// of at most `largest` bytes. A message that is too large for any digest is alone in its group.
    #[must_use]
    pub fn grouped<'s, 'm>(&self, messages: &'s [&'m Message], largest: usize) -> Vec<&'s [&'m Message]> {
        let (mut groups, mut rest) = (Vec::new(), messages);
        while !rest.is_empty() {
            let mut budget = DigestBudget::new(largest);
            let fits =
                |message: &&&Message| listed_alerts(message, &self.texts).iter().all(|listed| budget.add(listed));
            let fitting = rest.iter().take_while(fits).count();
            let (group, others) = rest.split_at(fitting.max(1));
            groups.push(group);
            rest = others;
        }
        groups
    }
}

fn listed_alerts<'t>(message: &Message, texts: &'t Texts<'t>) -> Vec<Facts<'t>> {
    let (mut listed, more): (Vec<Facts<'_>>, usize) = match message {
        Message::Firing { alerts, blocked } => {
            (alerts.iter().map(|alert| Facts::of_list(alert, AlertPhase::Firing, texts)).collect(), *blocked)
        }
        Message::Reminder { alert, at, unheard_since } => {
            let facts = Facts::of_list(alert, AlertPhase::Reminder(*at), texts);
            (vec![Facts { no_reading_since: *unheard_since, ..facts }], 0)
        }
        Message::Escalated { alert, at, step, raised, taken } => {
            let facts = Facts::of_list(alert, AlertPhase::Escalated(*at), texts);
            (vec![facts.with_escalation(*step, *raised, taken.as_ref())], 0)
        }
        Message::Resolved { alert, at } => (vec![Facts::of_list(alert, AlertPhase::Resolved(*at), texts)], 0),
        Message::Suppressed { alerts, more, .. } => {
            (alerts.iter().map(|alert| Facts::suppressed(alert, texts)).collect(), *more)
        }
        // A notice is always sent alone.
        Message::Notice(_) => (Vec::new(), 0),
    };
    if let Some(last) = listed.last_mut() {
        last.more = more;
    }
    listed
}

/// The room that is left in a digest while alerts are added.
struct DigestBudget {
    /// The bytes of the email, of the JSON text and of the attributes.
    left: [usize; 3],
    /// The attribute values that are already in the digest.
    values: HashSet<(&'static str, String)>,
}

impl DigestBudget {
    /// An empty digest with an email text of at most `largest` bytes.
    fn new(largest: usize) -> Self {
        let email = largest.min(LARGEST_LIST_EMAIL).saturating_sub(FRAME);
        Self { left: [email, LARGEST_LIST_JSON - FRAME, LARGEST_ATTRIBUTES], values: HashSet::new() }
    }

    /// Adds an alert and returns whether it fits. After one that does not fit, the digest is full.
    fn add(&mut self, listed: &Facts<'_>) -> bool {
        let present = values(listed.first()).map(|(name, value)| (name, value.to_owned()));
        let new: Vec<_> = present.filter(|value| !self.values.contains(value)).collect();
        let email = json_size(&format!("{}\n", wrapped(&format!("- {}", listed.line(true)))));
        let json = json_size(&format!("{},", listed.digest_members()));
        let attributes = new.iter().map(|(_, value)| json_size(value) + 1).sum();
        self.values.extend(new);
        self.left.iter_mut().zip([email, json, attributes]).all(|(left, size)| {
            let fits = size <= *left;
            *left = left.saturating_sub(size);
            fits
        })
    }
}
