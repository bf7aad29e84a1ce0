//! The board: what needs attention now. It reloads by itself, and is JSON for programs.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFRESH, VARY};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::cookie;
use super::door::door_path;
use super::error::PageError;
use super::layout::{add_headers, name, page};
use crate::domain::alert::life::AlertLife;
use crate::domain::digest::Digest;
use crate::domain::state::{Attention, ZoneKey};
use crate::ingest::answers::Answers;
use crate::ingest::board::BoardView;
use crate::ingest::links::{INVITATION, Invitation, Token};
use crate::ingest::ports::UnavailableError;
use crate::notify::{AlertCard, moment};

/// Seconds until the page reloads. A change is on the board within this time after the state has it.
const RELOAD_SECONDS: HeaderValue = HeaderValue::from_static("30");
/// Most phones that see the last view while the state store is down.
const MOST_PHONES: usize = 1_000;
/// How long a phone sees it after it was last known to be invited.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

/// The last view of this process, for the phones that have seen the board, while the state store is down.
#[derive(Default)]
pub(in crate::http) struct BoardMemory(Mutex<Option<LastView>>);

struct LastView {
    view: BoardView,
    at: Timestamp,
    /// Until when each phone may see it, by the key of its invitation.
    phones: HashMap<String, Timestamp>,
}

impl BoardMemory {
    fn remember(&self, phone: String, invitation: &Invitation, view: &BoardView, now: Timestamp) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut phones = last.take().map(|last| last.phones).unwrap_or_default();
        phones.retain(|_, until| *until > now);
        if phones.len() < MOST_PHONES {
            let until = now.checked_add(REMEMBERED).unwrap_or(now);
            phones.insert(phone, until.min(invitation.expires));
        }
        *last = Some(LastView { view: view.clone(), at: now, phones });
    }

    fn recall(&self, phone: &str, now: Timestamp) -> Option<BoardView> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| last.phones.get(phone).is_some_and(|until| *until > now))?;
        Some(BoardView { outdated: Some(last.at), ..last.view.clone() })
    }

    fn forget(&self, phone: &str) {
        if let Some(last) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            last.phones.remove(phone);
        }
    }
}

/// Shows the board to an invited phone.
pub(super) async fn respond(
    parts: &Parts,
    answers: &Answers<'_>,
    memory: &BoardMemory,
) -> Result<Response<Bytes>, PageError> {
    let token = cookie::token(&parts.headers).ok_or(PageError::NotInvited)?;
    let phone = Token::parse(token).ok_or(PageError::NotInvited)?.key(INVITATION);
    match read(answers, token).await {
        Ok(Some((invitation, view))) => {
            memory.remember(phone, &invitation, &view, answers.now);
            Ok(unless_known(parts, response(parts, &view, answers)?))
        }
        Ok(None) => {
            memory.forget(&phone);
            Err(PageError::NotInvited)
        }
        Err(error) => match memory.recall(&phone, answers.now) {
            Some(view) => {
                tracing::error!(error = %error.chain(), "board not read, the last one is shown");
                response(parts, &view, answers)
            }
            None => Err(error.into()),
        },
    }
}

/// The board; `None` for a phone that is not invited.
async fn read(answers: &Answers<'_>, token: &str) -> Result<Option<(Invitation, BoardView)>, UnavailableError> {
    match answers.invitation(token).await? {
        Some(invitation) => Ok(Some((invitation, answers.board().await?))),
        None => Ok(None),
    }
}

/// The view as a page or as JSON.
fn response(parts: &Parts, view: &BoardView, answers: &Answers<'_>) -> Result<Response<Bytes>, PageError> {
    let status = if view.outdated.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let reloads = parts.uri.query() != Some("reload=no");
    let accept = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut response = if accept.contains("application/json") && !accept.contains("text/html") {
        let json = serde_json::to_vec(view).map_err(|error| UnavailableError::new("the board is no JSON", error))?;
        let mut response = Response::new(Bytes::from(json));
        *response.status_mut() = status;
        add_headers(&mut response);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    } else {
        page(status, "What needs attention", &BoardPage { view, answers }.content(reloads))
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept, Cookie"));
    // The browser keeps it, and asks whether it has changed.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.extend(reloads.then_some((REFRESH, RELOAD_SECONDS)));
    Ok(response)
}

/// The response, or without its body if the browser has it already.
fn unless_known(parts: &Parts, mut response: Response<Bytes>) -> Response<Bytes> {
    let tag = format!("\"{:.32}\"", Digest::of(response.body()));
    let known = parts.headers.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    let is_known = known.flat_map(|tags| tags.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag);
    response.headers_mut().extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Bytes::new();
        response.headers_mut().remove(CONTENT_TYPE);
    }
    response
}

/// A view in words. Its times are local and its text changes only with what it shows, so that an unchanged page is not sent again.
struct BoardPage<'v> {
    view: &'v BoardView,
    answers: &'v Answers<'v>,
}

impl BoardPage<'_> {
    fn content(&self, reloads: bool) -> Markup {
        let BoardView { zones, has_more, silent, devices, more_devices, waiting, waiting_zones, newest, .. } =
            self.view;
        let BoardView { mutes, unsent, last_push, outdated, .. } = self.view;
        html! {
            h1 { "What needs attention" }
            @if let Some(at) = *outdated {
                p.status role="alert" {
                    strong { "The state store does not answer." } " This is as of " (self.moment(at)) ", "
                    (crate::notify::duration(self.answers.now.duration_since(at))) " ago. Tell your operator if it stays so."
                }
            }
            @for (channel, failed) in unsent {
                p.status {
                    strong { "Messages are not sent: " } (failed.messages) " over the channel " (channel) ", the first since "
                    (self.moment(failed.since)) "."
                }
            }
            @if zones.is_empty() { p { "No room needs attention." } }
            @for zone in zones { (self.zone(zone)) }
            @if *has_more { p { "More rooms need attention. This page shows the most urgent ones." } }
            (self.list("Silent sensors", silent))
            (self.list("Batteries and signals", devices))
            @if *waiting > 0 {
                p { "Alerts that wait, because they are muted or blocked, or nobody is on duty: " (waiting) ", in rooms: " (waiting_zones) "." }
            }
            @if *more_devices > 0 { p { "And " (more_devices) " more of these." } }
            @if !newest.is_empty() {
                details { summary { "The newest alerts" } (self.rows(newest)) }
            }
            h2 { "The receiver" }
            p {
                @match last_push {
                    Some(at) => { "The last push arrived at about " (self.moment(*at)) "." }
                    None => { "No push has arrived yet." }
                }
            }
            @for mute in mutes {
                p { "Muted until " (mute.until) ": " (name(&mute.what)) " (" (name(&mute.reason)) ")." }
            }
            p.note {
                "Times of a room are local. The others are in " (name(&self.time_zone())) ". "
                @if reloads { "This page reloads every 30 seconds. " a href="?reload=no" { "Stop reloading" } }
                @else { a href="?" { "Reload by itself" } }
            }
        }
    }

    fn zone(&self, Attention { zone, alerts, more, waiting, .. }: &Attention) -> Markup {
        let Some(first) = alerts.first() else { return html! {} };
        let (location, names) = (&first.location, &self.answers.rules.names);
        let title =
            location.zone_name(names).or(location.zone.as_deref()).map_or_else(|| location.name(), str::to_owned);
        html! {
            article {
                h2 {
                    @match door(zone) {
                        Some(path) => { a href=(path) { (name(&title)) } }
                        None => { (name(&title)) }
                    }
                }
                @for life in alerts { (self.alert(life)) }
                @if *more > 0 { p { "And " (more) " more." } }
                @if *waiting > 0 { p.note { "Alerts that wait: " (waiting) } }
            }
        }
    }

    fn alert(&self, life: &AlertLife) -> Markup {
        let card = self.card(life);
        html! {
            p.severity.(card.severity) { (card.severity) }
            h3 { (name(&card.title)) }
            p {
                (name(&card.location)) @for fact in card.measured.iter().chain(&card.reasons) { ", " (name(fact)) }
                ", since " (card.since) "."
            }
            p.status {
                @match (life.holder(self.answers.now), life.last_done()) {
                    (Some(claim), _) => {
                        strong { (name(&claim.by)) " has it" } " until " (card.moment(claim.hold.until)) "."
                    }
                    (None, Some(at)) => { "Reported done at " (card.moment(at)) "." }
                    _ if life.started.is_some() => { "People have begun." }
                    _ => { strong { "Nobody has it." } }
                }
                @if let Some(until) = life.snoozed_until(self.answers.now) { " Snoozed until " (card.moment(until)) "." }
                @for told in life.escalated.iter().filter(|told| !told.to.is_empty()) {
                    " Passed on to " (name(&told.to.join(", "))) " at " (card.moment(told.at)) "."
                }
            }
        }
    }

    /// A section of alerts about devices.
    fn list(&self, title: &str, alerts: &[AlertLife]) -> Markup {
        html! { @if !alerts.is_empty() { h2 { (title) " (" (alerts.len()) ")" } (self.rows(alerts)) } }
    }

    fn rows(&self, alerts: &[AlertLife]) -> Markup {
        html! {
            ul { @for card in alerts.iter().map(|life| self.card(life)) {
                li {
                    (name(&card.title)) ": " (name(&card.location))
                    @if let Some(measured) = &card.measured { ", " (name(measured)) } ", since " (card.since)
                }
            } }
        }
    }

    fn card(&self, life: &AlertLife) -> AlertCard {
        AlertCard::new(life, &self.answers.rules, self.answers.now)
    }

    /// The local time of the site of the newest alert that has one, as most receivers have one time zone.
    fn moment(&self, at: Timestamp) -> String {
        let location = self.local().map(|life| life.location.clone()).unwrap_or_default();
        moment(&location, &self.answers.rules, at, self.answers.now)
    }

    fn time_zone(&self) -> String {
        self.local().map_or_else(|| "UTC".to_owned(), |life| self.card(life).time_zone)
    }

    /// The newest alert that is in a room: a test alert is in none.
    fn local(&self) -> Option<&AlertLife> {
        self.view.newest.iter().find(|life| life.location.zone.is_some())
    }
}

/// The path of the page of the zone with this key; `None` for a device without a zone.
fn door(zone: &str) -> Option<String> {
    let ZoneKey { project, id, .. } = ZoneKey::parse(zone).filter(|key| key.is_zone && !key.id.is_empty())?;
    Some(door_path(&id, &project))
}
