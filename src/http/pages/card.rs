//! An alert on a page: what it is, who has it, and the form that answers it.

use maud::{Markup, html};

use super::Visitor;
use super::layout::name;
use crate::domain::alert::life::{Claim, Escalation};
use crate::ingest::answers::{Answers, OpenAlert};
use crate::notify::AlertCard;

/// How long an alert can be snoozed, in minutes.
pub(super) const SNOOZES: [(i64, &str); 5] =
    [(30, "30 minutes"), (60, "1 hour"), (120, "2 hours"), (240, "4 hours"), (480, "8 hours")];

/// The alert with this number on the page.
pub(super) fn card(open: &OpenAlert, number: usize, answers: &Answers<'_>, visitor: &Visitor) -> Markup {
    let (life, card) = (&open.life, AlertCard::new(&open.life, &answers.rules, answers.now));
    html! {
        article {
            p.severity.(card.severity) { (card.severity) }
            h2 { (name(&card.title)) }
            p { (name(&card.location)) @if let Some(floor) = &card.floor { ", floor " (name(floor)) } }
            dl {
                @if let Some(measured) = &card.measured { dt { "Measured" } dd { (name(measured)) } }
                @for reason in &card.reasons { dt { "Reason" } dd { (name(reason)) } }
                dt { "Since" } dd { (card.since) " (" (card.duration) ")" }
                @if let Some(action) = &card.action { dt { "To do" } dd { (name(action)) } }
                @for note in &card.notes { dt { "Note" } dd { (name(note)) } }
            }
            @for line in status(open, &card, answers) { p.status { (line) } }
            @if !life.is_done() && !matches!(visitor, Visitor::ViewOnly) {
                (form(open, number, life.holder(answers.now).is_some(), visitor))
            }
            p { small { "Times are in " (name(&card.time_zone)) "." } }
        }
    }
}

/// Who has the alert, and what else people did about it.
fn status(open: &OpenAlert, card: &AlertCard, answers: &Answers<'_>) -> Vec<Markup> {
    let (life, at) = (&open.life, |at| card.moment(at));
    let by = |claim: &Claim| if claim.by.is_empty() { name("Somebody") } else { name(&claim.by) };
    let mut lines = Vec::new();
    if let Some(done) = life.last_done() {
        lines.push(html! { "Reported done at " (at(done)) ". It stays open until the sensor confirms it." });
    } else if let Some(found) = &life.contradiction {
        lines.push(html! { "It was reported done, but the sensor measured it again at " (at(found.at)) "." });
    }
    match life.holder(answers.now) {
        Some(claim) => {
            let hold = claim.hold;
            lines.push(
                html! { strong { (by(claim)) " has it" } " since " (at(hold.at)) ", until " (at(hold.until)) "." },
            );
        }
        None if !life.is_done() => lines.push(html! { strong { "Nobody has it." } }),
        None => {}
    }
    if let Some(claim) = life.snoozed.as_ref().filter(|claim| claim.hold.until > answers.now && !life.is_done()) {
        lines.push(html! { (by(claim)) " snoozed it: no reminder until " (at(claim.hold.until)) "." });
    }
    lines.extend(life.started.map(|started| html! { "People began at " (at(started)) "." }));
    lines.extend(life.escalated.iter().map(|Escalation { at: told, to }| {
        html! {
            @if to.is_empty() { "Nobody was on duty to be told at " (at(*told)) "." }
            @else { "Passed on to " (name(&to.join(", "))) " at " (at(*told)) "." }
        }
    }));
    lines
}

/// No field has a value that a robot could send as an answer: people write who they are, or were invited.
fn form(open: &OpenAlert, number: usize, is_held: bool, visitor: &Visitor) -> Markup {
    let (by, minutes) = (format!("by-{number}"), format!("minutes-{number}"));
    html! {
        form method="post" {
            input type="hidden" name="alert" value=(open.life.alert);
            @if matches!(visitor, Visitor::Anyone) {
                label for=(by) { "Your team or initials" }
                input id=(by) name="by" required maxlength="40" autocomplete="nickname";
            }
            div.row {
                @if !is_held { button.first name="action" value="take" { "I take it" } }
                button name="action" value="done" { "Done" }
            }
            label for=(minutes) { "Snooze for" }
            div.row {
                select id=(minutes) name="minutes" {
                    option value="" { "Choose…" }
                    @for (minutes, text) in SNOOZES { option value=(minutes) { (text) } }
                }
                button name="action" value="snooze" { "Snooze" }
            }
        }
    }
}
