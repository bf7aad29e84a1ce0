//! The site: buildings, their zones, and the devices in them, under names that people there use.

use domain::digest::Digest;

use super::devices::Kind;
use super::rhythm::Use;

/// A zone.
#[derive(Clone, Debug)]
pub(super) struct ZoneSite {
    /// Its id, 32 hex digits.
    pub(super) id: String,
    /// Its name.
    pub(super) name: String,
    /// Which building it is in, from 0.
    pub(super) building: usize,
    /// What it is used for.
    pub(super) use_: Use,
}

/// A device.
#[derive(Clone, Debug)]
pub(super) struct DeviceSite {
    /// What it is.
    pub(super) kind: Kind,
    /// Which zone it is in, from 0.
    pub(super) zone: usize,
    /// Its slot's id, 32 hex digits.
    pub(super) id: String,
    /// The physical device's id.
    pub(super) physical: String,
    /// Its name.
    pub(super) name: String,
}

/// Everything that stands still.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    /// The ids of the buildings.
    pub(super) buildings: Vec<String>,
    /// The zones.
    pub(super) zones: Vec<ZoneSite>,
    /// The devices.
    pub(super) devices: Vec<DeviceSite>,
}

/// A device of a zone: what it is, and what it is called after the zone's name.
type Member = (Kind, &'static str);

/// What a level holds: the zones, their names after the level's, and their devices. The first sixteen devices of a site
/// are of sixteen types, so that a small one shows all of them.
const LEVEL: &[(&str, Use, &[Member])] = &[
    (
        "Male Washroom",
        Use::Washroom,
        &[
            (Kind::AirLite, "Ammonia"),
            (Kind::Um, "Usage"),
            (Kind::Soap, "Soap"),
            (Kind::ToiletRoll, "Toilet Roll"),
            (Kind::PaperTowel, "Paper Towel"),
            (Kind::Bin, "Bin"),
            (Kind::Feedback, "Feedback"),
            (Kind::Spill, "Floor"),
            (Kind::CubicleMinew, "Cubicle 1"),
        ],
    ),
    ("Sky Garden", Use::Garden, &[(Kind::Tilt, "Rain Tree")]),
    (
        "Meeting Room",
        Use::MeetingRoom,
        &[(Kind::AirTenInOne, "Air"), (Kind::Desk, "Table"), (Kind::Climate, "Climate")],
    ),
    (
        "Female Washroom",
        Use::Washroom,
        &[
            (Kind::Air, "Air"),
            (Kind::Counter, "Door"),
            (Kind::CubicleScm, "Cubicle 1"),
            (Kind::ToiletRoll, "Toilet Roll 1"),
            (Kind::Soap, "Soap"),
            (Kind::PaperTowel, "Paper Towel"),
            (Kind::Bin, "Bin"),
            (Kind::AirLite, "Ammonia"),
            (Kind::Feedback, "Feedback"),
        ],
    ),
    ("Lift Lobby", Use::Lobby, &[(Kind::Counter, "Entrance"), (Kind::Climate, "Climate"), (Kind::Bin, "Bin")]),
];
/// Levels of a building.
const LEVELS: usize = 5;
const BUILDINGS: [&str; 6] =
    ["Harbour House", "Orchard Court", "Jalan Besar Centre", "Marina Exchange", "Tampines Hub", "Bukit Plaza"];

impl Site {
    /// A site of that many devices.
    pub(super) fn of(devices: usize, seed: u64) -> Self {
        let mut site = Self::default();
        for level in 0.. {
            for (zone, use_, members) in LEVEL {
                if site.devices.len() >= devices {
                    return site;
                }
                site.add_zone(seed, level, zone, *use_, &members[..members.len().min(devices - site.devices.len())]);
            }
        }
        site
    }

    fn add_zone(&mut self, seed: u64, level: usize, zone: &str, use_: Use, members: &[Member]) {
        let building = level / LEVELS;
        let building_name = match BUILDINGS.get(building) {
            Some(name) => (*name).to_owned(),
            None => format!("{} {}", BUILDINGS[building % BUILDINGS.len()], 1 + building / BUILDINGS.len()),
        };
        if self.buildings.len() == building {
            self.buildings.push(id(seed, &[&building_name]));
        }
        let name = format!("Level {} {zone}", 1 + level % LEVELS);
        for (kind, device) in members {
            let id = id(seed, &[&building_name, &name, device]);
            let physical = format!("24E1{}", id[..12].to_uppercase());
            self.devices.push(DeviceSite {
                kind: *kind,
                zone: self.zones.len(),
                physical,
                id,
                name: format!("{name} {device}"),
            });
        }
        self.zones.push(ZoneSite { id: id(seed, &[&building_name, &name]), name, building, use_ });
    }
}

/// An id of 32 hex digits, like the vendor's, made of the names of what it identifies.
pub(super) fn id(seed: u64, names: &[&str]) -> String {
    let seed = seed.to_be_bytes();
    let mut fields: Vec<&[u8]> = vec![&seed];
    fields.extend(names.iter().map(|name| name.as_bytes()));
    format!("{:.32}", Digest::of_fields(&fields))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_site_has_exactly_as_many_devices_as_asked_for_and_each_its_own_id() {
        for devices in [1, 16, 50, 333] {
            let site = Site::of(devices, 1);
            let ids: BTreeSet<_> = site.devices.iter().map(|device| &device.id).collect();
            assert_eq!((site.devices.len(), ids.len()), (devices, devices));
        }
        let buildings: BTreeSet<_> = Site::of(3_000, 1).buildings.into_iter().collect();
        assert_eq!(buildings.len(), 3_000usize.div_ceil(25 * LEVELS));
    }

    #[test]
    fn the_first_sixteen_devices_are_of_all_types() {
        let types: BTreeSet<_> = Site::of(16, 1).devices.iter().map(|device| device.kind.type_name()).collect();
        assert_eq!(types.len(), 16);
    }

    #[test]
    fn a_device_is_named_by_where_it_is() {
        let site = Site::of(50, 1);
        assert_eq!(site.devices[0].name, "Level 1 Male Washroom Ammonia");
        assert_eq!(site.devices[25].name, "Level 2 Male Washroom Ammonia");
    }
}
