//! The names of a location: of its site, zone and device.

use super::texts::Texts;
use domain::display::unlinked;
use domain::location::Location;
use domain::rules::names::Named;

/// The names of a location as they are shown. Those of a rules file come before learned ones.
pub(super) struct LocationNames {
    pub(super) site: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) device: Option<String>,
    /// The floor of the zone.
    pub(super) floor: Option<String>,
    /// The notes of site, zone and device, for cleaners.
    pub(super) notes: Vec<String>,
    /// The name in sentences: of the zone, after its site if another zone has the same name; else of the device, else the id or
    /// the type of the device.
    pub(super) short: String,
}

impl LocationNames {
    pub(super) fn new(location: &Location, texts: &Texts<'_>) -> Self {
        let (site, zone) = (location.site_in(texts.names), location.zone_in(texts.names));
        let device = location.device.as_ref().and_then(|device| texts.names.devices.get(device));
        let name = |named: Option<&Named>, learned: &Option<String>| {
            named.and_then(|named| named.name.clone()).or_else(|| learned.as_deref().map(unlinked))
        };
        let declared = [site, zone, device].into_iter().flatten();
        let (zone_name, device_name) = (name(zone, &location.zone_name), name(device, &location.display));
        let site_name = name(site, &None);
        let unique_zone = zone_name.as_ref().map(|zone| match &site_name {
            Some(site) if texts.names.is_of_other_zone(zone, location.zone.as_deref()) => format!("{site} · {zone}"),
            _ => zone.clone(),
        });
        let short = unique_zone.or_else(|| device_name.clone()).unwrap_or_else(|| match &location.device {
            Some(device) => texts.device_id(unlinked(device)),
            None => texts.unnamed_device(texts.device(location.device_title())),
        });
        Self {
            site: site_name,
            zone: zone_name,
            device: device_name,
            floor: zone.and_then(|zone| zone.floor.clone()),
            notes: declared.filter_map(|named| named.note.clone()).collect(),
            short,
        }
    }

    /// All names: "Tower A · Level 2 Male Washroom · Soap by the door".
    pub(super) fn full(&self) -> String {
        let last = self.device.as_ref().or(self.zone.is_none().then_some(&self.short));
        [self.site.as_ref(), self.zone.as_ref(), last].into_iter().flatten().cloned().collect::<Vec<_>>().join(" · ")
    }
}
