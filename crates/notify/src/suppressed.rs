//! The list of alerts that were suppressed for one reason, sent when the suppression ends.

use super::attributes::{MOST_VALUES, attributes};
use super::email::laid_out;
use super::list::{
    ListedAlert, SHORT_NAME, and_others, common_location, groups, highest_mark, newest, sentence, sms, sorted, subjects,
};
use super::payload::{AlertPayload, MessagePayload};
use super::rendered::{LARGEST_LIST_EMAIL, LARGEST_LIST_JSON, Rendered, within};
use super::text::{counted, cut_to_graphemes, date_and_time, ids};
use domain::alert::{SuppressedAlert, SuppressionReason};
use domain::location::Location;

/// Renders the list of `alerts`. `more` is the number of further alerts that are only counted.
pub(super) fn rendered(id: String, reason: SuppressionReason, alerts: &[SuppressedAlert], more: usize) -> Rendered {
    let alerts = sorted(alerts.iter().map(ListedAlert::suppressed).collect());
    let total = alerts.len() + more;
    let (location, others) = common_location(&alerts);
    let mark = highest_mark(&alerts);
    let (noun, during, explanation) = match reason {
        SuppressionReason::Block => (
            "more alert",
            " while alerts of this zone were blocked",
            "Raised while alerts of this zone were blocked, because one had just been sent.",
        ),
        SuppressionReason::Hours => {
            ("alert", " outside active hours", "Raised outside the active hours of their rules.")
        }
    };
    let counted = counted(total, noun);
    let (subject, ascii_subject) = subjects(&format!("{mark}{counted}"), &location, others);
    let head = |location: &str, during: &str| format!("{location}{}: {counted}{during}", and_others(others));
    let text = sentence(&head(&location, during), &alerts, others > 0, total);
    let short_location = cut_to_graphemes(&location, "...", SHORT_NAME);
    Rendered {
        id,
        ascii_subject,
        default: format!("{mark}{text}"),
        email: within(LARGEST_LIST_EMAIL, |max| email(&alerts, more, max, [&head(&location, ""), explanation])),
        sms: sms(&head(&short_location, ""), &alerts, others > 0, total),
        json: within(LARGEST_LIST_JSON, |max| {
            let payload = |listed| AlertPayload::listed(listed, max);
            MessagePayload::list(Some(reason), [&subject, &text], &alerts, (max, more), payload).to_json()
        }),
        attributes: attributes("digest", alerts.iter().map(ListedAlert::alert), MOST_VALUES),
        subject,
    }
}

fn email(alerts: &[ListedAlert], more: usize, max: usize, [head, explanation]: [&str; 2]) -> String {
    let listed = &alerts[..alerts.len().min(max)];
    let mut blocks = vec![vec![head.to_owned()], vec![explanation.to_owned()]];
    blocks.extend(groups(listed));
    let omitted = more + alerts.len() - listed.len();
    if omitted > 0 {
        blocks.push(vec![format!("And {omitted} more.")]);
    }
    if let Some(first) = alerts.first() {
        let location = &first.alert().location;
        let newest = format!("Newest: {}", date_and_time(location, newest(alerts)));
        // The alerts are of several devices: no device id stands for all.
        let zone = Location { device: None, ..location.clone() };
        blocks.push(std::iter::once(newest).chain(ids(&zone)).collect());
    }
    blocks.push(listed.iter().map(|listed| format!("Alert id: {}", listed.alert().id)).collect());
    format!("{}\n", laid_out(&blocks))
}
