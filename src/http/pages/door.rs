//! The page of the code on a door. The code names the room only, so people see and do nothing without an invitation.

use bytes::Bytes;
use http::{Response, StatusCode};
use maud::html;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::card::card;
use super::error::PageError;
use super::layout::{name, page};
use super::{Visit, Visitor};
use crate::domain::display::presentable;
use crate::http::authenticator::sanitized_name;
use crate::http::body::RequestBody;
use crate::ingest::answers::{MOST_ALERTS, ZoneAlerts};
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
    // Two buildings can have a zone with the same id.
    if found.projects.len() > 1 {
        return Ok(choice(visit, zone, &found));
    }
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
        @if found.waiting > 0 {
            p { "Alerts that wait, because they are muted or blocked, or nobody is on duty: " (found.waiting) "." }
        }
        @for (number, open) in shown.iter().enumerate() { (card(open, number, answers, visitor)) }
        @if !more.is_empty() { p { (more.len()) " more alerts are open here." } }
    };
    Ok(page(StatusCode::OK, &title, &content))
}

/// The page that lists the buildings with this zone. It records nothing.
fn choice(visit: &Visit<'_>, zone: &str, found: &ZoneAlerts) -> Response<Bytes> {
    let names = &visit.answers.rules.names;
    let content = html! {
        h1 { "Which building?" }
        ul { @for project in found.projects.values() {
            li { a href=(door_path(zone, project)) { (name(names.site_name(project))) } }
        } }
    };
    page(StatusCode::OK, "Which building?", &content)
}

/// The path of the page of a zone.
pub(super) fn door_path(zone: &str, project: &str) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let project = if project.is_empty() { String::new() } else { format!("?project={}", encoded(project)) };
    format!("/board/z/{}{project}", encoded(zone))
}
