//! `zones`: the ids and names of everything that has sent readings.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;

use clap::Args;
use history::Inventory;
use jiff::Timestamp;
use serde::Serialize;
use smartclean_push::domain::display::lines;
use smartclean_push::domain::location::Location;
use smartclean_push::domain::rules::names::LONGEST_NAME;

use crate::columns::columns;
use crate::output::OutputFormat;
use crate::{Failure, archive, period};

/// List the sites, zones and devices that have sent readings: ids, names and when each was last heard
///
/// Names are those that SmartClean pushes: `Display` of a device, `ZoneName` of a finished task in a zone. Rules match no
/// pushed name. With --toml, the command writes tables for a rules file, whose names rules match.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push zones --from data
  smartclean-push zones --from data --toml >> rules.toml
  smartclean-push zones --from s3://my-readings --since 2026-11-01 --format json | jq '.[] | .zone'")]
pub(super) struct ZonesCommand {
    /// Stored readings: the data folder of `serve`, or s3://bucket
    #[arg(long, value_name = "FOLDER|s3://…")]
    from: String,
    #[command(flatten)]
    period: period::PeriodArguments,
    /// Write [[site]], [[zone]] and [[device]] tables to paste into a rules file
    #[arg(long, conflicts_with = "format")]
    toml: bool,
    /// Format of the results. JSON is an array with an object for each device
    #[arg(long, value_enum, default_value_t)]
    format: OutputFormat,
}

/// A device that has sent readings. Ordered by site, zone and device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct SeenDevice {
    site: Option<String>,
    zone: Option<String>,
    zone_name: Option<String>,
    device: Option<String>,
    device_type: String,
    display: Option<String>,
    last_heard: Timestamp,
}

impl ZonesCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let inventory = Inventory::read(&*archive::open(&self.from)?, &self.period.read()?)?;
        let mut devices: Vec<_> = inventory.devices().map(SeenDevice::new).collect();
        devices.sort();
        if self.toml {
            crate::output::print_results(tables(&devices))?;
        } else {
            self.format.print(&devices, |devices| lines(&listing(devices)))?;
        }
        archive::fail_if_damaged(&inventory.damaged)
    }
}

impl SeenDevice {
    fn new((location, last_heard): (Location, Timestamp)) -> Self {
        let Location { display, device, device_type, zone, zone_name, project: site, .. } = location;
        Self { site, zone, zone_name, device, device_type, display, last_heard }
    }
}

/// A line for each site, zone and device.
fn listing(devices: &[SeenDevice]) -> String {
    let row = |indent: &str, kind: &str, id: &Option<String>, name: &Option<String>| {
        let id = id.as_deref().map_or_else(|| format!("no {kind}"), |id| format!("{kind} {id}"));
        vec![format!("{indent}{id}"), name.clone().unwrap_or_default()]
    };
    let mut rows = Vec::new();
    for site in devices.chunk_by(|one, next| one.site == next.site) {
        rows.push(row("", "site", &site[0].site, &None));
        for zone in site.chunk_by(|one, next| one.zone == next.zone) {
            rows.push(row("  ", "zone", &zone[0].zone, &zone[0].zone_name));
            rows.extend(zone.iter().map(|device| {
                let heard = device.last_heard.strftime("%Y-%m-%d %H:%M UTC").to_string();
                let more = [device.device_type.clone(), heard];
                row("    ", "device", &device.device, &device.display).into_iter().chain(more).collect()
            }));
        }
    }
    columns(&rows)
}

/// The tables of a rules file.
fn tables(devices: &[SeenDevice]) -> String {
    let mut text = String::new();
    let sites: BTreeSet<_> = devices.iter().filter_map(|device| device.site.as_ref()).collect();
    for site in sites {
        table(&mut text, "site", site, None, "readings carry no name of a site");
    }
    let mut zones: BTreeMap<&String, Vec<&SeenDevice>> = BTreeMap::new();
    for device in devices {
        if let Some(zone) = &device.zone {
            zones.entry(zone).or_default().push(device);
        }
    }
    let mut taken = HashSet::new();
    for (zone, devices) in zones {
        // An id in several sites has no single one.
        let site = devices[0].site.as_ref().filter(|_| devices.iter().all(|device| device.site == devices[0].site));
        match &devices[0].zone_name {
            Some(name) if !taken.insert((site, name)) => {
                table(&mut text, "zone", zone, None, "another zone has the pushed name");
            }
            name => table(&mut text, "zone", zone, name.as_deref(), "no finished task has named it"),
        }
        if let Some(site) = site {
            let _ = writeln!(text, "site = {}", quoted(site));
        }
    }
    let mut ids = HashSet::new();
    for SeenDevice { device, display, .. } in devices {
        if let Some(device) = device.as_ref().filter(|device| ids.insert(*device)) {
            table(&mut text, "device", device, display.as_deref(), "its readings carry no name");
        }
    }
    text
}

/// Adds the beginning of a table. Without a usable name, a comment has the reason.
fn table(text: &mut String, kind: &str, id: &str, name: Option<&str>, reason: &str) {
    let _ = writeln!(text, "\n[[{kind}]]\nid = {}", quoted(id));
    let _ = match name {
        Some(name) if name.chars().count() > LONGEST_NAME => {
            writeln!(text, "# name = \"\"  # the pushed name has more than {LONGEST_NAME} characters")
        }
        Some(name) => writeln!(text, "name = {}", quoted(name)),
        None => writeln!(text, "# name = \"\"  # {reason}"),
    };
}

/// A text as TOML has it: the escapes of JSON are those of TOML. Names and ids have no other control characters.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use smartclean_push::domain::rules::{MentionKind, RuleSet};

    use super::*;

    fn seen(site: &str, zone: &str, zone_name: &str, device: &str, display: &str) -> SeenDevice {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        SeenDevice {
            site: some(site),
            zone: some(zone),
            zone_name: some(zone_name),
            device: some(device),
            device_type: "SS".to_owned(),
            display: some(display),
            last_heard: "2026-11-29T10:00:30Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_tables_are_valid_and_have_each_id_and_each_usable_name() {
        let long = "x".repeat(LONGEST_NAME + 1);
        let devices = [
            seen("s1", "z1", "Wash \"room\" \\ 厕所", "d1", "Soap"),
            seen("s1", "z1", "Wash \"room\" \\ 厕所", "d2", "Soap"),
            seen("s1", "z2", "Wash \"room\" \\ 厕所", "d3", &long),
            seen("s2", "z3", "Wash \"room\" \\ 厕所", "d1", "Soap"),
            seen("s2", "z4", "", "d4", ""),
            seen("s1", "z5", "Shared id", "d5", "Lamp"),
            seen("s2", "z5", "Shared id", "d5", "Lamp"),
            seen("", "", "", "", "Without an id"),
        ];
        let text = tables(&devices);
        let names = RuleSet::parse("rules.toml", &text).unwrap_or_else(|errors| panic!("{errors:#?}\n{text}")).names;
        let name = |zone: &str| names.zones[zone].name.as_deref();
        assert_eq!(names.sites.keys().collect::<Vec<_>>(), ["s1", "s2"]);
        assert_eq!(
            ["z1", "z2", "z3", "z4", "z5"].map(name),
            [Some("Wash \"room\" \\ 厕所"), None, Some("Wash \"room\" \\ 厕所"), None, Some("Shared id")]
        );
        assert_eq!((names.zones["z1"].site.as_deref(), &names.zones["z5"].site), (Some("s1"), &None));
        assert_eq!(names.devices.keys().collect::<Vec<_>>(), ["d1", "d2", "d3", "d4", "d5"]);
        assert_eq!((names.devices["d2"].name.as_deref(), &names.devices["d3"].name), (Some("Soap"), &None));
        assert!(text.contains("# name = \"\"  # another zone has the pushed name"), "{text}");
        assert_eq!(names.id(MentionKind::Zone, "s2 · Wash \"room\" \\ 厕所"), Ok("z3"));
    }

    #[test]
    fn the_listing_groups_devices_by_site_and_zone() {
        let devices =
            [seen("s1", "z1", "Lobby", "d1", "Soap"), seen("s1", "z1", "Lobby", "d2", ""), seen("", "", "", "d3", "")];
        let expected = "\
site s1
  zone z1      Lobby
    device d1  Soap   SS  2026-11-29 10:00 UTC
    device d2         SS  2026-11-29 10:00 UTC
no site
  no zone
    device d3         SS  2026-11-29 10:00 UTC
";
        assert_eq!(listing(&devices), expected);
    }
}
