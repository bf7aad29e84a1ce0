//! The list of alerts that were suppressed for one reason, sent when the suppression ends.

use super::attributes::{MOST_VALUES, attributes};
use super::email::Email;
use super::list::{
    ListedAlert, SHORT_NAME, and_others, common_location, groups, highest_mark, newest_line, sentence, short_names,
    sms, sorted, subjects,
};
use super::payload::{AlertPayload, MessagePayload};
use super::rendered::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered, within};
use super::subject::marked;
use super::text::{cut_to_graphemes, ids};
use super::texts::Texts;
use domain::alert::{SuppressedAlert, SuppressionReason};
use domain::location::Location;

/// Renders the list of `alerts`. `more` is the number of further alerts that are only counted.
pub(super) fn rendered(
    texts: &Texts<'_>,
    id: String,
    reason: SuppressionReason,
    alerts: &[SuppressedAlert],
    more: usize,
) -> Rendered {
    let alerts = sorted(alerts.iter().map(|alert| ListedAlert::suppressed(alert, texts)).collect());
    let total = alerts.len() + more;
    let (location, others) = common_location(&alerts);
    let mark = highest_mark(&alerts);
    let counted = |texts: &Texts| texts.list_alerts(reason.as_str(), total);
    let (subject, ascii_subject) = subjects(texts, mark, counted, &location, others);
    let names = short_names(&alerts, others > 0);
    let head = |location: &str| texts.list_head(and_others(texts, location, others), counted(texts));
    let text = texts.list_sentence(reason.as_str(), and_others(texts, &location, others), counted(texts));
    let text = sentence(texts, &text, &names, total);
    let email = within(LARGEST_LIST_EMAIL, |max| email(texts, reason, &alerts, [max, more], head(&location)));
    let (email, html) = email.into_parts(&subject, mark, texts);
    Rendered {
        id,
        ascii_subject,
        default: marked(texts, mark, &text),
        email,
        html,
        sms: sms(texts, &head(&cut_to_graphemes(&location, "...", SHORT_NAME)), &names, total),
        json: within(LARGEST_LIST_JSON, |max| {
            let payload = |listed| AlertPayload::listed(listed, max);
            MessagePayload::list(Some(reason), [&subject, &text], &alerts, (max, more), payload).to_json()
        }),
        attributes: attributes("digest", alerts.iter().map(ListedAlert::alert), MOST_VALUES),
        threads: Vec::new(),
        subject,
    }
}

fn email(
    texts: &Texts<'_>,
    reason: SuppressionReason,
    alerts: &[ListedAlert<'_>],
    [max, more]: [usize; 2],
    head: String,
) -> Email {
    let listed = &alerts[..alerts.len().min(max)];
    let mut blocks = vec![vec![texts.list_explanation(reason.as_str())]];
    blocks.extend(groups(listed));
    let omitted = more + alerts.len() - listed.len();
    if omitted > 0 {
        blocks.push(vec![texts.and_more(omitted)]);
    }
    if let Some(first) = alerts.first() {
        let location = &first.alert().location;
        // The alerts are of several devices: no device id stands for all.
        let zone = Location { device: None, ..location.clone() };
        blocks.push(newest_line(alerts).into_iter().chain(ids(&zone, texts)).collect());
    }
    blocks.push(listed.iter().map(|listed| texts.email_id("alert", listed.alert().id.to_string())).collect());
    Email::new(head, blocks)
}
