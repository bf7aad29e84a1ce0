//! The page of a link in a message: its alerts, each with a form.

use bytes::Bytes;
use http::{Response, StatusCode};
use maud::html;

use super::Visit;
use super::card::card;
use super::error::PageError;
use super::layout::page;
use crate::http::body::RequestBody;
use crate::ingest::answers::MOST_ALERTS;

/// Shows the alerts, or answers one of them.
pub(super) async fn respond(
    visit: &Visit<'_>,
    token: &str,
    body: Option<impl RequestBody>,
) -> Result<Response<Bytes>, PageError> {
    let link = visit.answers.link(token).await?.ok_or(PageError::UnknownLink)?;
    let open = visit.answers.open_alerts(&link.alerts).await?;
    if let Some(body) = body {
        visit.answer(&open, &visit.form(body).await?).await?;
        return Ok(visit.reload());
    }
    let shown = &link.alerts[..link.alerts.len().min(MOST_ALERTS)];
    let is_open = |alert| open.iter().any(|open| open.life.contains(alert));
    let (over, more) = (shown.iter().filter(|linked| !is_open(linked.alert)).count(), link.alerts.len() - shown.len());
    let title = match (open.len(), shown.len()) {
        (0, _) => "No open alert".to_owned(),
        (1, _) => "1 open alert".to_owned(),
        (open, _) => format!("{open} open alerts"),
    };
    let content = html! {
        h1 { (title) }
        @if open.is_empty() {
            p { "What this message was about is over, or was reported done. If the sensor measures it again, a new message follows." }
        }
        @for (number, open) in open.iter().enumerate() { (card(open, number, &visit.answers, &visit.visitor)) }
        @if !open.is_empty() && over > 0 { p { "No longer open: " (over) "." } }
        @if more > 0 { p { "The message has " (more) " more, which this page does not show." } }
    };
    Ok(page(StatusCode::OK, &title, &content))
}
