//! `who`: who is told about an alert, when and why.

use std::path::PathBuf;

use clap::Args;
use jiff::civil::{DateTime, Time};
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};
use smartclean_push::domain::alert::SuppressionReason;
use smartclean_push::domain::location::Location;
use smartclean_push::domain::rules::names::NameError;
use smartclean_push::domain::rules::{EscalationStep, MentionKind, Routing, Rule, RuleSet, Wait, nearest};
use smartclean_push::domain::severity::Severity;
use smartclean_push::domain::time::LocalZone;
use smartclean_push::notify::duration;

use crate::output::print;
use crate::{Failure, OrFailure as _, rules};

/// Explain who is told about an alert, when and why
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push who --rules rules.toml --alert spill --zone \"Level 2 Male Washroom\"
  smartclean-push who --rules rules.toml --alert spill --at \"Sat 23:10\" --severity high")]
pub(super) struct WhoCommand {
    /// The rules file
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// The id of the rule that raises the alert
    #[arg(long, value_name = "RULE")]
    alert: String,
    /// The zone, by name or id
    #[arg(long)]
    zone: Option<String>,
    /// The site, by name or id; by default the one of the zone
    #[arg(long)]
    site: Option<String>,
    /// When, in the time of the site: 23:10, Sat 23:10 or 2026-12-24 23:10; by default now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The severity; by default each one that the rule has
    #[arg(long, value_parser = |word: &str| Severity::named(word).ok_or("it is low, medium, high or critical"))]
    severity: Option<Severity>,
}

impl WhoCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let rules = rules::load(Some(&self.rules))?;
        let rule = rules.rule(&self.alert).ok_or_else(|| {
            let hint = nearest(&self.alert, rules.rules.iter().map(|rule| rule.id.as_str())).unwrap_or_default();
            Failure::usage(format!("no rule has the id `{}`; {hint}", self.alert))
        })?;
        let id = |kind, text: &Option<String>| -> Result<Option<String>, NameError> {
            text.as_ref().map(|text| rules.names.id(kind, text).map(str::to_owned)).transpose()
        };
        let zone = id(MentionKind::Zone, &self.zone).or_usage("--zone")?;
        let of_zone = zone.as_ref().and_then(|zone| rules.names.zones.get(zone)?.site.clone());
        let location = Location {
            project: id(MentionKind::Site, &self.site).or_usage("--site")?.or(of_zone),
            zone,
            device_type: rule.scope.ids(MentionKind::Type).first().cloned().unwrap_or_default(),
            ..Location::default()
        };
        let local = rules.local_zone(&location);
        let at = match &self.at {
            None => Timestamp::now(),
            Some(text) => moment(text, Timestamp::now(), local).ok_or_else(|| {
                Failure::usage(format!("--at {text:?} is no time; write 23:10, \"Sat 23:10\" or \"2026-12-24 23:10\""))
            })?,
        };
        let severities = self.severity.map_or_else(|| rule.severities(), |severity| [severity].into());
        let texts = severities.into_iter().map(|severity| explained(&rules, rule, severity, &location, at));
        print(texts.collect::<String>());
        Ok(())
    }
}

/// The next time of day, the next time on a day of the week, or a date and time, in `zone`.
fn moment(text: &str, now: Timestamp, zone: &LocalZone) -> Option<Timestamp> {
    let local = zone.local_time(now);
    if let Ok(at) = text.parse::<DateTime>() {
        return at.to_zoned_datetime(local.time_zone().clone()).ok().map(|at| at.timestamp());
    }
    let (day, time) = text.rsplit_once(' ').map_or((None, text), |(day, time)| (Some(day), time));
    let time = Time::strptime("%H:%M", time).ok()?;
    let mut times = local
        .date()
        .series(1.day())
        .take(9)
        .filter_map(|date| date.to_datetime(time).to_zoned_datetime(local.time_zone().clone()).ok());
    let is_day = |at: &ZonedDateTime| day.is_none_or(|day| at.strftime("%a").to_string() == day);
    times.find(|at| at.timestamp() >= now && is_day(at)).map(|at| at.timestamp())
}

fn explained(rules: &RuleSet, rule: &Rule, severity: Severity, location: &Location, at: Timestamp) -> String {
    let local = rules.local_zone(location);
    let shown = |at: Timestamp| local.local_time(at).strftime("%a %Y-%m-%d %H:%M %Z").to_string();
    let mut lines = vec![format!("{} ({severity}) on {}:", rule.id, shown(at))];
    let Some(settings) = rule.effective(&location.source()) else {
        return format!("{}\n  nobody: the rule does not apply there\n", lines.concat());
    };
    let Routing { now, later } = rules.route(&rule.id, severity, location, Some(&settings), &[], at);
    if now.as_ref().is_some_and(Vec::is_empty) {
        lines.push("everybody: no audience matches".to_owned());
    }
    for audience in now.iter().flatten().filter_map(|id| rules.audience(id)) {
        let emails =
            if audience.emails.is_empty() { String::new() } else { format!(": {}", audience.emails.join(", ")) };
        let why = if audience.matches(&rule.id, severity, location) { "" } else { " in place of another audience" };
        lines.push(format!("{} at once{why}{emails}", audience.id));
    }
    for Wait { reason, until, to } in later {
        let until = shown(until);
        lines.push(match rules.mute(&rule.id, location, at) {
            Some((mute, _)) => format!("nobody until {until}: muted ({}), {}", mute.reason, mute.position),
            None if reason == SuppressionReason::Duty => {
                format!("{} on {until}: nobody is on duty before", to.concat())
            }
            None => format!("nobody until {until}: outside the active hours of the rule"),
        });
    }
    for EscalationStep { after, to, .. } in &settings.escalate {
        lines.push(format!("{to} after {} if nobody answers", duration(*after)));
    }
    lines.join("\n  ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
[[site]]
id = "p"
name = "Tower A"
time_zone = "Asia/Singapore"
[[zone]]
id = "z"
name = "Level 2"
site = "Tower A"
[[audience]]
id = "day"
rules = ["spill"]
on_duty = "07:00-15:00"
else = "boss"
emails = ["day@example.com"]
[[audience]]
id = "boss"
severity = "critical"
[[audience]]
id = "soap"
rules = ["soap-low"]
on_duty = "Mon-Fri 07:00-15:00"
[[rule]]
id = "toilet-paper-low"
escalate = [{ after = "15m", to = "day" }, { after = "90m", to = "boss" }]
[[mute]]
rules = ["bin-full"]
until = "2026-12-24"
reason = "renovation"
"#;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The explanation of an alert on Saturday, 2026-11-28, in Singapore.
    fn explanation(alert: &str, clock: &str) -> String {
        let rules = RuleSet::parse("rules.toml", RULES).unwrap();
        let rule = rules.rule(alert).unwrap();
        let location = Location {
            zone: Some("z".to_owned()),
            project: Some("p".to_owned()),
            device_type: rule.scope.ids(MentionKind::Type)[0].clone(),
            ..Location::default()
        };
        let severity = rule.severities().into_iter().next().unwrap();
        explained(&rules, rule, severity, &location, at(&format!("2026-11-28T{clock}:00+08:00")))
    }

    #[test]
    fn an_alert_is_explained_with_audience_time_and_reason() {
        let day = "spill (high) on Sat 2026-11-28 08:00 +08:\n  day at once: day@example.com\n";
        assert_eq!(explanation("spill", "08:00"), day);
        let night = "spill (high) on Sat 2026-11-28 23:10 +08:\n  boss at once in place of another audience\n";
        assert_eq!(explanation("spill", "23:10"), night);
        let soap = "soap-low (medium) on Sat 2026-11-28 08:00 +08:\n  soap on Mon 2026-11-30 07:00 +08: nobody is on duty before\n";
        assert_eq!(explanation("soap-low", "08:00"), soap);
        assert!(
            explanation("bin-full", "08:00")
                .contains("nobody until Thu 2026-12-24 00:00 +08: muted (renovation), rules.toml:")
        );
        let escalated = "everybody: no audience matches\n  day after 15 min if nobody answers\n  boss after 1 h 30 min if nobody answers\n";
        assert!(explanation("toilet-paper-low", "08:00").ends_with(escalated));
    }

    #[test]
    fn a_time_is_the_next_one_in_the_time_of_the_site() {
        let singapore = LocalZone { region: Some("Asia/Singapore".to_owned()), offset_seconds: None };
        // Saturday, 23:00.
        let now = at("2026-11-28T23:00:00+08:00");
        for (text, expected) in [
            ("23:10", "2026-11-28T23:10:00+08:00"),
            ("22:00", "2026-11-29T22:00:00+08:00"),
            ("Sat 23:10", "2026-11-28T23:10:00+08:00"),
            ("Sat 22:10", "2026-12-05T22:10:00+08:00"),
            ("2026-12-24 07:00", "2026-12-24T07:00:00+08:00"),
        ] {
            assert_eq!(moment(text, now, &singapore), Some(at(expected)), "{text}");
        }
        for text in ["", "Sat", "25:00", "Saturday 10:00", "now"] {
            assert_eq!(moment(text, now, &singapore), None, "{text}");
        }
    }
}
