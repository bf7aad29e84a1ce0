//! Where a reading comes from, by the names that people and filters know.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::device::DeviceType;
use crate::display::{presentable, unlinked};
use crate::reading::{Reading, Source};
use crate::time::LocalZone;

/// Where a reading comes from, for people and for filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The device's human name.
    pub display: Option<String>,
    /// The device's id.
    pub device: Option<String>,
    /// The device's type, short: `UM`.
    pub device_type: String,
    /// The zone's id.
    pub zone: Option<String>,
    /// The project's (building's) id.
    pub project: Option<String>,
    /// The property's id.
    pub property: Option<String>,
    /// Local time there.
    pub local_zone: LocalZone,
}

impl Location {
    /// The location that a reading names.
    #[must_use]
    pub fn of(reading: &Reading<'_>) -> Self {
        Self::new(&reading.source, reading.local_zone())
    }

    /// The location of these names, made fit to be shown.
    #[must_use]
    pub fn new(source: &Source<'_>, local_zone: LocalZone) -> Self {
        let own = |name: &Option<Cow<'_, str>>| name.as_deref().and_then(presentable);
        Self {
            display: own(&source.display),
            device: own(&source.device),
            device_type: presentable(&source.device_type).unwrap_or_default(),
            zone: own(&source.zone),
            project: own(&source.project),
            property: own(&source.property),
            local_zone,
        }
    }

    /// The names again, for asking which rules apply here.
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

    /// What to call it: the name that people gave the device, else its id, else what kind of device it is.
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

    /// What kind of device it is: in words where the type is documented, else the type's name.
    #[must_use]
    pub fn device_title(&self) -> &str {
        match DeviceType::named(&self.device_type) {
            Some(device_type) => device_type.title,
            None if self.device_type.is_empty() => "device",
            None => &self.device_type,
        }
    }
}
