//! The list of alerts that were suppressed, for their reason.

use super::attributes::attributes;
use super::email::laid_out;
use super::list::{Entry, and_others, common_location, groups, newest, sentence, sms, sorted, subjects, worst_mark};
use super::payload::{DatedPayload, ListPayload};
use super::render::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered, within};
use super::text::{cut_to_graphemes, date_and_time, ids};
use domain::alert::{SuppressedAlert, SuppressionReason};
use domain::location::Location;

/// Most values of one attribute: more than are suppressed by name.
const MOST_VALUES: usize = 64;
/// Most of the location's name in an SMS, in graphemes.
const LOCATION_KEEPS: usize = 30;

/// The message that lists `alerts`; `more` is how many there were beside them.
pub(super) fn rendered(id: String, reason: SuppressionReason, alerts: &[SuppressedAlert], more: usize) -> Rendered {
    let entries = sorted(alerts.iter().map(Entry::of_suppressed).collect());
    let total = entries.len() + more;
    let (location, others) = common_location(&entries);
    let mark = worst_mark(&entries);
    let Words { counted, when, why } = Words::of(reason, total);
    let (subject, ascii_subject) = subjects(&format!("{mark}{counted}"), &location, others);
    let head = |location: &str, why: &str| format!("{location}{}: {counted}{why}", and_others(others));
    let text = sentence(&head(&location, when), &entries, others > 0, total);
    let short_location = cut_to_graphemes(&location, "...", LOCATION_KEEPS);
    Rendered {
        id,
        ascii_subject,
        default: format!("{mark}{text}"),
        email: within(LARGEST_LIST_EMAIL, |most| email(&entries, more, most, [&head(&location, ""), why])),
        sms: sms(&head(&short_location, ""), &entries, others > 0, total),
        json: within(LARGEST_LIST_JSON, |most| {
            let of = |entry| DatedPayload::of(entry, most);
            ListPayload::json(Some(reason), [&subject, &text], &entries, (most, more), of)
        }),
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
    let mut blocks = vec![vec![head.to_owned()], vec![why.to_owned()]];
    blocks.extend(groups(listed));
    let left_out = more + entries.len() - listed.len();
    if left_out > 0 {
        blocks.push(vec![format!("And {left_out} more.")]);
    }
    if let Some(entry) = entries.first() {
        let location = &entry.alert().location;
        let newest = format!("Newest: {}", date_and_time(location, newest(entries)));
        // Of several devices none stands for all.
        let of_none = Location { device: None, ..location.clone() };
        blocks.push(std::iter::once(newest).chain(ids(&of_none)).collect());
    }
    blocks.push(listed.iter().map(|entry| format!("Alert id: {}", entry.alert().id)).collect());
    format!("{}\n", laid_out(&blocks))
}
