//! Response times by rule, zone, site, team, weekday, hour and week.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use super::times::{ResponseTimes, TimedAlert};
use domain::alert::life::AlertLife;
use domain::rules::names::Names;

/// Response times of groups of alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlaTable {
    /// What the alerts of a group have in common: `rule`, `zone`, `site`, `team`, `weekday`, `hour` or `week`.
    pub by: &'static str,
    /// The groups: those of time in order, others with the most alerts first.
    pub groups: Vec<SlaGroup>,
}

/// Response times of a group of alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlaGroup {
    /// The id: of the rule and so on, the number of the weekday from Monday = 1, the hour, or the ISO week.
    pub id: String,
    /// The name.
    pub name: String,
    /// The times.
    #[serde(flatten)]
    pub times: ResponseTimes,
}

pub(super) fn tables(alerts: &[TimedAlert], names: &Names) -> Vec<SlaTable> {
    let local = |life: &AlertLife| life.location.local_zone.local_time(life.raised);
    let all = [
        table("rule", alerts, |life| vec![[String::new(), life.rule.clone(), rule_name(life)]]),
        table("zone", alerts, |life| {
            let id = life.location.zone.as_ref().or(life.location.device.as_ref()).cloned().unwrap_or_default();
            vec![[site(life, names).unwrap_or_default().to_owned(), id, zone_name(life, names)]]
        }),
        table("site", alerts, |life| {
            let site = site(life, names);
            let name = site.map_or("no site", |site| names.site_name(site));
            vec![[String::new(), site.unwrap_or_default().to_owned(), name.to_owned()]]
        }),
        table("team", alerts, |life| {
            let team = |id: &str, name: &str| [String::new(), id.to_owned(), name.to_owned()];
            let everybody = life.to.is_empty().then(|| team("", "everybody"));
            life.to.iter().map(|id| team(id, id)).chain(everybody).collect()
        }),
        table("weekday", alerts, |life| {
            let local = local(life);
            let number = local.weekday().to_monday_one_offset().to_string();
            vec![[String::new(), number, local.strftime("%A").to_string()]]
        }),
        table("hour", alerts, |life| {
            let local = local(life);
            vec![[String::new(), local.strftime("%H").to_string(), local.strftime("%H:00").to_string()]]
        }),
        table("week", alerts, |life| {
            let local = local(life);
            vec![[String::new(), local.strftime("%G-W%V").to_string(), local.strftime("%G-W%V").to_string()]]
        }),
    ];
    all.into_iter().filter(|table| !table.groups.is_empty()).collect()
}

/// A table of the groups that `keys` returns for an alert, each as what distinguishes equal ids, the id, and the name.
fn table(by: &'static str, alerts: &[TimedAlert], keys: impl Fn(&AlertLife) -> Vec<[String; 3]>) -> SlaTable {
    let mut groups: BTreeMap<[String; 2], (String, Vec<&TimedAlert>)> = BTreeMap::new();
    for alert in alerts {
        for [prefix, id, name] in keys(&alert.life) {
            // The last name counts: names are learned over time.
            let group = groups.entry([prefix, id]).or_default();
            group.0 = name;
            group.1.push(alert);
        }
    }
    let groups = groups.into_iter();
    let mut groups: Vec<_> =
        groups.map(|([_, id], (name, alerts))| SlaGroup { id, name, times: ResponseTimes::of(&alerts) }).collect();
    if !matches!(by, "weekday" | "hour" | "week") {
        groups.sort_by_key(|group| Reverse(group.times.alerts));
    }
    SlaTable { by, groups }
}

fn rule_name(life: &AlertLife) -> String {
    if life.kind.lasts() { life.title.clone() } else { format!("{} (reported only)", life.title) }
}

/// The id of the site: that of its readings, else the one that `names` has for its zone.
pub(super) fn site<'a>(life: &'a AlertLife, names: &'a Names) -> Option<&'a str> {
    life.location.project.as_deref().or_else(|| names.site_of(life.location.zone.as_ref()?))
}

/// The name of the zone, else its id, behind the name of the site if that has one: "Tower A · Lobby".
pub(super) fn zone_name(life: &AlertLife, names: &Names) -> String {
    let zone = life.location.zone_name(names).or(life.location.zone.as_deref()).unwrap_or("no zone");
    match site(life, names).and_then(|site| names.sites.get(site)?.name.as_ref()) {
        Some(site) => format!("{site} · {zone}"),
        None => zone.to_owned(),
    }
}
