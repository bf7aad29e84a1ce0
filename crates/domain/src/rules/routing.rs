//! Who is told about an alert now, and who later: decided by mutes, active hours, audiences and their duty.

use jiff::Timestamp;

use super::{Audience, EscalationStep, RuleSet, Settings};
use crate::alert::SuppressionReason;
use crate::alert::life::AlertLife;
use crate::location::Location;
use crate::severity::Severity;

/// Who is told about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// The ids of the audiences that are told now, empty for everybody. `None` if nobody is told now.
    pub now: Option<Vec<String>>,
    /// Who is told later.
    pub later: Vec<Wait>,
}

/// Why, until when and for whom an alert is suppressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Why.
    pub reason: SuppressionReason,
    /// Until when.
    pub until: Timestamp,
    /// The ids of the audiences that wait; empty for all.
    pub to: Vec<String>,
}

impl Routing {
    /// When somebody is told; `None` if somebody is told now.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.later.iter().map(|wait| wait.until).min().filter(|_| self.now.is_none())
    }
}

impl RuleSet {
    /// Routes an alert of `rule` with this severity at `location`. A mute and the active hours in `settings` suppress it for
    /// everybody. Otherwise each audience that matches is told, or the first one on duty along its chain of `else`; without one,
    /// the audience waits for its own next duty. If no audience matches, everybody is told.
    ///
    /// Only the audiences `among` are told, if one of them still matches. Without `settings`, the rule is no longer in force.
    #[must_use]
    pub fn route(
        &self,
        rule: &str,
        severity: Severity,
        location: &Location,
        settings: Option<&Settings>,
        among: &[String],
        now: Timestamp,
    ) -> Routing {
        let zone = self.local_zone(location);
        if let Some((reason, until)) = self.silenced(rule, location, settings, now) {
            return Routing { now: None, later: vec![Wait { reason, until, to: among.to_vec() }] };
        }
        let matches = |audience: &&Audience| audience.matches(rule, severity, location);
        let mut matching: Vec<&Audience> = self.audiences.iter().filter(matches).collect();
        if matching.iter().any(|audience| among.contains(&audience.id)) {
            matching.retain(|audience| among.contains(&audience.id));
        }
        let (mut told, mut later) = (Vec::new(), Vec::new());
        for audience in matching {
            match self.chain(audience).find(|other| other.is_on_duty(zone, now)) {
                // Two chains can end at the same audience.
                Some(on_duty) if told.contains(&on_duty.id) => {}
                Some(on_duty) => told.push(on_duty.id.clone()),
                None => {
                    let (until, to) = (audience.next_duty(zone, now), vec![audience.id.clone()]);
                    later.push(Wait { reason: SuppressionReason::Duty, until, to });
                }
            }
        }
        told.sort();
        Routing { now: (later.is_empty() || !told.is_empty()).then_some(told), later }
    }

    /// Why and until when nobody is told about alerts of `rule` at `location`: a mute, or the active hours in `settings`.
    fn silenced(
        &self,
        rule: &str,
        location: &Location,
        settings: Option<&Settings>,
        now: Timestamp,
    ) -> Option<(SuppressionReason, Timestamp)> {
        let zone = self.local_zone(location);
        let mute = self.mute(rule, location, now).map(|(_, end)| (SuppressionReason::Mute, end));
        let hours = settings.and_then(|settings| settings.active.as_ref()).filter(|active| !active.contain(now, zone));
        mute.or_else(|| hours.map(|active| (SuppressionReason::Hours, active.next(now, zone))))
    }

    /// The first of these steps of an escalation that has somebody to tell now, and whom: its audience, or the first one on duty
    /// along the chain of `else`.
    ///
    /// # Errors
    /// When the first of them has somebody: a mute or the active hours in `settings` suppress the alert, or nobody is on duty.
    pub(crate) fn escalate(
        &self,
        steps: &[EscalationStep],
        life: &AlertLife,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<(usize, String), Timestamp> {
        let zone = self.local_zone(&life.location);
        if let Some((_, until)) = self.silenced(&life.rule, &life.location, Some(settings), now) {
            return Err(until);
        }
        let chain = |step: &EscalationStep| self.audience(&step.to).into_iter().flat_map(|first| self.chain(first));
        let on_duty = |step| chain(step).find(|audience| audience.is_on_duty(zone, now));
        let told = steps.iter().enumerate().find_map(|(index, step)| Some((index, on_duty(step)?.id.clone())));
        let duties = || steps.iter().flat_map(chain).map(|audience| audience.next_duty(zone, now));
        told.ok_or_else(|| duties().min().unwrap_or(now))
    }
}
