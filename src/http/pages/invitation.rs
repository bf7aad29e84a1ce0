//! The page of an invitation: the phone that opens it answers for a team from then on.

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Response, StatusCode};
use maud::html;

use super::cookie;
use super::error::PageError;
use super::layout::{name, page};
use crate::domain::time::LocalZone;
use crate::ingest::RequestInfo;
use crate::ingest::answers::Answers;
use crate::ingest::links::Role;

/// Sets the cookie.
pub(super) async fn show(
    answers: &Answers<'_>,
    context: &RequestInfo,
    token: &str,
) -> Result<Response<Bytes>, PageError> {
    let invitation = answers.invitation(token).await?.ok_or(PageError::UnknownInvitation)?;
    if answers.public_url.as_ref().or(context.url.as_ref()).is_some_and(|url| !url.takes_cookies()) {
        return Err(PageError::NoHttps);
    }
    let until = LocalZone::default().local_time(invitation.expires).strftime("%-d %B %Y").to_string();
    let content = html! {
        h1 { "This phone is invited" }
        @match invitation.role {
            Role::Respond => {
                p { "It now answers for " strong { (name(&invitation.team)) } " until " (until) "." }
                p { "Scan the code on a door, or open the link of a message, to take an alert or to report that it is done." }
            }
            Role::View => {
                p { "It now sees alerts for " strong { (name(&invitation.team)) } " until " (until) "." }
                p { "Scan the code on a door to see the alerts of a room. It may not answer them." }
            }
        }
        p { a href="/board" { "See what needs attention" } }
        p.note { "If this is not your phone, ask your supervisor to withdraw the invitation." }
    };
    let mut response = page(StatusCode::OK, "This phone is invited", &content);
    response
        .headers_mut()
        .extend(cookie::set(token, invitation.expires, answers.now).map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}
