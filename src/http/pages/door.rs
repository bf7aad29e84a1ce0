//! The page of the code on a door. The code names the room only, so people see and do nothing without an invitation.

use bytes::Bytes;
use http::{Response, StatusCode};
use maud::html;

use super::card::card;
use super::error::PageError;
use super::layout::{name, page};
use super::{Visit, Visitor};
use crate::domain::display::presentable;
use crate::http::authenticator::sanitized_name;
use crate::http::body::RequestBody;
use crate::ingest::answers::MOST_ALERTS;
use crate::notify;

/// Shows the open alerts of a zone, answers one of them, or records a cleaning.
pub(super) async fn respond(
    visit: &Visit<'_>,
    zone: &str,
    project: Option<&str>,
    body: Option<impl RequestBody>,
) -> Result<Response<Bytes>, PageError> {
    let Visit { answers, visitor, .. } = visit;
    if matches!(visitor, Visitor::Anyone) {
        return Err(PageError::NotInvited);
    }
    let found = answers.zone(zone, project).await?;
    if let Some(body) = body {
        let form = visit.form(body).await?;
        match (form.get("action"), visitor) {
            (Some("clean"), Visitor::Team(team)) => {
                let is_new = answers.clean_zone(&found, team).await?;
                let (request_id, zone, by) = (&visit.context.request_id, sanitized_name(zone), sanitized_name(team));
                tracing::info!(%request_id, zone, action = "clean", by, is_new, "cleaning recorded");
            }
            _ => visit.answer(&found.open, &form).await?,
        }
        return Ok(visit.reload());
    }
    let title = presentable(&found.name).unwrap_or_else(|| "This room".to_owned());
    let cleaned = found.cleaned.map(|at| notify::moment(&found.location, &answers.rules, at, answers.now));
    let (shown, more) = found.open.split_at(found.open.len().min(MOST_ALERTS));
    let content = html! {
        h1 { (name(&title)) }
        @if let Some(cleaned) = cleaned { p { "Last cleaned: " (cleaned) } }
        @if let Visitor::Team(team) = visitor {
            form method="post" {
                button.first name="action" value="clean" { "I have cleaned this room" }
                p.note { "It is recorded for " (name(team)) "." }
            }
        }
        @if shown.is_empty() { p { "No alert is open here." } }
        @for (number, open) in shown.iter().enumerate() { (card(open, number, answers, visitor)) }
        @if !more.is_empty() { p { (more.len()) " more alerts are open here." } }
    };
    Ok(page(StatusCode::OK, &title, &content))
}
