//! The location of a reading, as shown to people.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::device::DeviceType;
use crate::display::{presentable, unlinked};
use crate::reading::{Reading, Source};
use crate::rules::names::{Named, Names};
use crate::time::LocalZone;

/// The location of a reading: learned names for people, ids for filters. A rules file can have better names for the ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The name of the device.
    pub display: Option<String>,
    /// The id of the device.
    pub device: Option<String>,
    /// The short name of the device type: `UM`.
    pub device_type: String,
    /// The id of the zone.
    pub zone: Option<String>,
    /// The name of the zone that a Matrix event has. It is shown and never matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
    /// The id of the project (building).
    pub project: Option<String>,
    /// The id of the property.
    pub property: Option<String>,
    /// The time zone.
    pub local_zone: LocalZone,
}

impl Location {
    /// The location of a reading. A time zone of its site in `names` wins over the one of the reading.
    #[must_use]
    pub fn of(reading: &Reading<'_>, names: &Names) -> Self {
        let learned = Self::new(&reading.source, reading.local_zone());
        Self { local_zone: learned.local_zone(names).clone(), ..learned }
    }

    /// The location with the names of `source`, each made [presentable].
    #[must_use]
    pub fn new(source: &Source<'_>, local_zone: LocalZone) -> Self {
        let own = |name: &Option<Cow<'_, str>>| name.as_deref().and_then(presentable);
        Self {
            display: own(&source.display),
            device: own(&source.device),
            device_type: presentable(&source.device_type).unwrap_or_default(),
            zone: own(&source.zone),
            zone_name: None,
            project: own(&source.project),
            property: own(&source.property),
            local_zone,
        }
    }

    /// The source with these names, for [`Rule::effective`](crate::rules::Rule::effective).
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        fn borrowed(name: &Option<String>) -> Option<Cow<'_, str>> {
            name.as_deref().map(Cow::Borrowed)
        }
        Source {
            device_type: Cow::Borrowed(&self.device_type),
            device: borrowed(&self.device),
            display: borrowed(&self.display),
            zone: borrowed(&self.zone),
            project: borrowed(&self.project),
            property: borrowed(&self.property),
            region: borrowed(&self.local_zone.region),
        }
    }

    /// The name of the device, else its id, else its type.
    #[must_use]
    pub fn name(&self) -> String {
        if let Some(display) = &self.display {
            return unlinked(display);
        }
        if let Some(device) = &self.device {
            return format!("device {}", unlinked(device));
        }
        match DeviceType::named(&self.device_type) {
            Some(device_type) => {
                let article = if device_type.title.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
                format!("{article} {} without a name", device_type.title)
            }
            None if self.device_type.is_empty() => "a device without a name".to_owned(),
            None => format!("a device of type {} without a name", self.device_type),
        }
    }

    /// What `names` has for the zone, unless it is for another site: two sites can have a zone of the same id.
    #[must_use]
    pub fn zone_in<'n>(&self, names: &'n Names) -> Option<&'n Named> {
        let declared = names.zones.get(self.zone.as_ref()?)?;
        let sites = declared.site.as_ref().zip(self.project.as_ref());
        sites.is_none_or(|(site, project)| site == project).then_some(declared)
    }

    /// What `names` has for the site: the one of the reading, else the one of its zone.
    #[must_use]
    pub fn site_in<'n>(&self, names: &'n Names) -> Option<&'n Named> {
        names.sites.get(self.project.as_ref().or_else(|| self.zone_in(names)?.site.as_ref())?)
    }

    /// The time zone: the declared one of the site, else the learned one.
    #[must_use]
    pub fn local_zone<'l>(&'l self, names: &'l Names) -> &'l LocalZone {
        self.site_in(names).and_then(|site| site.local_zone.as_ref()).unwrap_or(&self.local_zone)
    }

    /// The name of the zone: the declared one, else the learned one.
    #[must_use]
    pub fn zone_name<'l>(&'l self, names: &'l Names) -> Option<&'l str> {
        self.zone_in(names).and_then(|zone| zone.name.as_deref()).or(self.zone_name.as_deref())
    }

    /// The name of the device: the declared one, else the learned one.
    #[must_use]
    pub fn device_name<'l>(&'l self, names: &'l Names) -> Option<&'l str> {
        let declared = self.device.as_ref().and_then(|device| names.devices.get(device)?.name.as_deref());
        declared.or(self.display.as_deref())
    }

    /// The name of the zone, else its id.
    #[must_use]
    pub fn zone_label(&self) -> Option<&str> {
        self.zone_name.as_deref().or(self.zone.as_deref())
    }

    /// The title of the device type if it is documented, else its short name.
    #[must_use]
    pub fn device_title(&self) -> &str {
        match DeviceType::named(&self.device_type) {
            Some(device_type) => device_type.title,
            None if self.device_type.is_empty() => "device",
            None => &self.device_type,
        }
    }
}
