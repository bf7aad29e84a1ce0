//! Pages for people with a phone: a link in a message, an invitation, and the code on a door. They need no JavaScript.
//!
//! GET and HEAD change nothing, because programs open links. A POST needs the header `Origin` of this host, and what only a person
//! adds: the team or the initials, or the cookie of an invited phone. The header `Authorization` is ignored: credentials for pushes
//! open no page.

mod board;
mod card;
mod cookie;
mod door;
mod error;
mod invitation;
mod layout;
mod link;

use std::collections::HashMap;

use bytes::Bytes;
use http::header::{LOCATION, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};

pub(super) use self::board::BoardMemory;
use self::error::PageError;
use super::authenticator::sanitized_name;
use super::body::{RequestBody, content_type, declared_length, read_bounded};
use super::origin::reject_cross_origin;
use super::route::PageRoute;
use crate::domain::display::presentable;
use crate::domain::state::Channel;
use crate::ingest::answers::{AnswerAction, AnswerOutcome, Answers, OpenAlert};
use crate::ingest::links::{Invitation, Role};
use crate::ingest::ports::{RuleSource, StateStore, UnavailableError};
use crate::ingest::{PublicUrl, RequestInfo};
use crate::notify::AlertCard;

/// Largest form, in bytes.
const MAX_FORM: usize = 4 * 1024;
/// Longest team or initials, in characters.
const LONGEST_BY: usize = 40;

/// The pages alone, for a host without credentials, raw bucket and publisher.
pub struct Board {
    state: Box<dyn StateStore>,
    rules: Box<dyn RuleSource>,
    public_url: Option<PublicUrl>,
    memory: BoardMemory,
}

impl Board {
    /// The pages about the zones in this state store.
    pub fn new(state: Box<dyn StateStore>, rules: Box<dyn RuleSource>) -> Self {
        Self { state, rules, public_url: None, memory: BoardMemory::default() }
    }

    /// Sets the URL of this receiver, if it is not the one of requests.
    #[must_use]
    pub fn with_public_url(self, public_url: Option<PublicUrl>) -> Self {
        Self { public_url, ..self }
    }

    /// Handles one request. Errors are pages too.
    pub async fn handle(&self, request: Request<impl RequestBody>, context: RequestInfo) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        handle(&parts, body, &context, self.answers(context.received), &self.memory).await
    }

    async fn answers(&self, now: Timestamp) -> Result<Answers<'_>, UnavailableError> {
        let (rules, channels) = (self.rules.current(now).await?, vec![Channel::Sns]);
        Ok(Answers { state: &*self.state, rules, channels, public_url: self.public_url.clone(), now })
    }
}

/// Handles the request of a page.
pub(super) async fn handle<'a>(
    parts: &Parts,
    body: impl RequestBody,
    context: &RequestInfo,
    answers: impl Future<Output = Result<Answers<'a>, UnavailableError>>,
    memory: &BoardMemory,
) -> Response<Bytes> {
    let response = respond(parts, body, context, answers, memory).await;
    response.unwrap_or_else(|error| {
        if let PageError::Unavailable(error) = &error {
            tracing::error!(request_id = %context.request_id, error = %error.chain(), "page not available");
        }
        error.response()
    })
}

async fn respond<'a>(
    parts: &Parts,
    body: impl RequestBody,
    context: &RequestInfo,
    answers: impl Future<Output = Result<Answers<'a>, UnavailableError>>,
    memory: &BoardMemory,
) -> Result<Response<Bytes>, PageError> {
    let route = PageRoute::parse(parts).ok_or(PageError::NotFound)?;
    let body = match (&parts.method, &route) {
        (&Method::GET | &Method::HEAD, _) => None,
        (_, PageRoute::Board | PageRoute::Invitation { .. }) => return Err(PageError::MethodNotAllowed("GET, HEAD")),
        (&Method::POST, _) => Some(body),
        _ => return Err(PageError::MethodNotAllowed("GET, HEAD, POST")),
    };
    let answers = answers.await?;
    if body.is_some() {
        check_form(parts, answers.public_url.as_ref().map(PublicUrl::host))?;
    }
    let visit = async |answers| Visit::new(parts, context, answers, body.is_some()).await;
    match route {
        PageRoute::Board => board::respond(parts, &answers, memory).await,
        PageRoute::Invitation { token } => invitation::show(&answers, context, token).await,
        PageRoute::Link { token } => link::respond(&visit(answers).await?, token, body).await,
        PageRoute::Door { zone, project } => {
            door::respond(&visit(answers).await?, &zone, project.as_deref(), body).await
        }
    }
}

/// Checks the headers of a form. Unlike a program that pushes, a browser always sends `Origin` with one.
fn check_form(parts: &Parts, public_host: Option<&str>) -> Result<(), PageError> {
    if content_type(&parts.headers).as_deref() != Some(mime::APPLICATION_WWW_FORM_URLENCODED.essence_str()) {
        return Err(PageError::MediaType);
    }
    if !parts.headers.contains_key(ORIGIN) {
        return Err(PageError::ForeignOrigin);
    }
    reject_cross_origin(parts, public_host)?;
    declared_length(&parts.headers, MAX_FORM)?;
    Ok(())
}

/// Who opens a page.
enum Visitor {
    /// Somebody whose phone was not invited.
    Anyone,
    /// A phone that answers for this team.
    Team(String),
    /// A phone that may only see alerts.
    ViewOnly,
}

impl From<Option<Invitation>> for Visitor {
    fn from(invitation: Option<Invitation>) -> Self {
        match invitation {
            None => Self::Anyone,
            Some(Invitation { role: Role::View, .. }) => Self::ViewOnly,
            Some(Invitation { role: Role::Respond, team, .. }) => Self::Team(team),
        }
    }
}

/// A request for a page.
struct Visit<'a> {
    parts: &'a Parts,
    context: &'a RequestInfo,
    answers: Answers<'a>,
    visitor: Visitor,
}

impl<'a> Visit<'a> {
    /// Reads who opens the page. An answer needs a visitor who may give one.
    async fn new(
        parts: &'a Parts,
        context: &'a RequestInfo,
        answers: Answers<'a>,
        is_answer: bool,
    ) -> Result<Self, PageError> {
        let invitation = match cookie::token(&parts.headers) {
            Some(token) => answers.invitation(token).await?,
            None => None,
        };
        let visitor = Visitor::from(invitation);
        if is_answer && matches!(visitor, Visitor::ViewOnly) {
            return Err(PageError::ViewOnly);
        }
        Ok(Self { parts, context, answers, visitor })
    }

    /// The form in the body.
    async fn form(&self, body: impl RequestBody) -> Result<PageForm, PageError> {
        PageForm::parse(&read_bounded(body, MAX_FORM).await?).ok_or(PageError::Form)
    }

    /// Records the answer of a form. An alert that is no longer open is left as it is: the page then says that it is over.
    async fn answer(&self, open: &[OpenAlert], form: &PageForm) -> Result<(), PageError> {
        let by = match &self.visitor {
            Visitor::Team(team) => team.clone(),
            Visitor::Anyone | Visitor::ViewOnly => form.sender().ok_or(PageError::NoName)?,
        };
        let (action, alert) = (form.action()?, form.get("alert").ok_or(PageError::Form)?);
        let Some(OpenAlert { zone, life }) = open.iter().find(|open| open.life.alert.to_string() == alert) else {
            return Ok(());
        };
        let outcome = self.answers.answer(zone, life.alert, action, &by).await?;
        let (request_id, zone, name) = (&self.context.request_id, sanitized_name(zone), sanitized_name(&by));
        tracing::info!(%request_id, zone, alert, ?action, by = name, ?outcome, "alert answered");
        if outcome == AnswerOutcome::TooMany {
            return Err(PageError::TooMany);
        }
        if let AnswerOutcome::HeldBy(claim) = outcome {
            let card = AlertCard::new(life, &self.answers.rules, self.answers.now);
            let (since, until) = (card.moment(claim.hold.at), card.moment(claim.hold.until));
            return Err(PageError::Held { by: claim.by, since, until });
        }
        Ok(())
    }

    /// Sends the browser to this page by GET, so that it does not send the form again when somebody reloads it.
    fn reload(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::SEE_OTHER;
        layout::add_headers(&mut response);
        let path = self.parts.uri.path_and_query().and_then(|path| HeaderValue::try_from(path.as_str()).ok());
        response.headers_mut().extend(path.map(|path| (LOCATION, path)));
        response
    }
}

/// The fields of a form. An empty field counts as missing.
struct PageForm(HashMap<String, String>);

impl PageForm {
    /// `None` if a field occurs twice.
    fn parse(body: &[u8]) -> Option<Self> {
        let mut fields = HashMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(fields))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The team or the initials; `None` if they are missing, invisible or too long.
    fn sender(&self) -> Option<String> {
        presentable(self.get("by")?).filter(|by| by.chars().count() <= LONGEST_BY)
    }

    fn action(&self) -> Result<AnswerAction, PageError> {
        match self.get("action") {
            Some("take") => Ok(AnswerAction::Take),
            Some("done") => Ok(AnswerAction::Done),
            Some("snooze") => {
                let minutes = self.get("minutes").and_then(|minutes| minutes.parse().ok());
                let known = card::SNOOZES.iter().find(|(known, _)| Some(*known) == minutes);
                let (minutes, _) = known.ok_or(PageError::NoLength)?;
                Ok(AnswerAction::Snooze(SignedDuration::from_mins(*minutes)))
            }
            _ => Err(PageError::Form),
        }
    }
}
