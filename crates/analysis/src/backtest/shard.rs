//! A share of the zones, for one core at a time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;

use super::arrivals::Arrivals;
use super::device::Histograms;
use super::hearing::Visit;
use super::zone::{Rules, Zone};
use domain::cleaning::Cleaning;
use domain::reading::Reading;
use domain::state::ZoneKey;

/// Which of `shards` a reading belongs to.
pub(super) fn of(reading: &Reading<'_>, shards: usize) -> usize {
    let source = &reading.source;
    of_name(source.zone.as_deref().or(source.device.as_deref()).unwrap_or_default(), shards)
}

/// Which of `shards` a zone of this id belongs to. Zones of one id are together, because a cleaning names no project.
pub(super) fn of_name(name: &str, shards: usize) -> usize {
    // Fixed keys: the same zone goes to the same share in every run.
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    #[expect(clippy::cast_possible_truncation, reason = "any part of a hash is as good")]
    let hash = hasher.finish() as usize;
    hash % shards
}

/// What a push brought of a share of the zones.
#[derive(Debug)]
pub(super) struct Portion<'t> {
    /// The push's number among those that are taken together.
    pub(super) push: usize,
    /// When the push was first received.
    pub(super) received: Timestamp,
    pub(super) readings: Vec<&'t Reading<'t>>,
    pub(super) cleanings: Vec<&'t Cleaning>,
}

/// A share of the zones.
#[derive(Debug)]
pub(super) struct Shard<'r> {
    rules: Rules<'r>,
    pub(super) zones: Vec<Zone<'r>>,
    by_key: HashMap<ZoneKey<'static>, usize>,
    /// The zones of an id, one for each project.
    by_name: HashMap<String, Vec<usize>>,
    pub(super) histograms: Histograms,
}

impl<'r> Shard<'r> {
    pub(super) fn new(rules: Rules<'r>) -> Self {
        Self {
            rules,
            zones: Vec::new(),
            by_key: HashMap::new(),
            by_name: HashMap::new(),
            histograms: Histograms::new(),
        }
    }

    /// Takes what pushes brought, in the order in which they were received, each zone by itself. `since` is the first moment
    /// that readings of this history can be from.
    pub(super) fn take(&mut self, portions: &[Portion<'_>], arrivals: &Arrivals, since: Timestamp) {
        let mut visits: Vec<Vec<Visit<'_>>> = Vec::new();
        for Portion { push, received, readings, cleanings } in portions {
            for reading in readings {
                let zone = self.zone(ZoneKey::of(&reading.source));
                visit(&mut visits, zone, *push, *received).readings.push(reading);
            }
            for cleaning in cleanings {
                for zone in self.by_name.get(&cleaning.zone).into_iter().flatten() {
                    visit(&mut visits, *zone, *push, *received).cleanings.push(cleaning.at);
                }
            }
        }
        for (zone, visits) in self.zones.iter_mut().zip(&visits) {
            visits.iter().for_each(|visit| zone.take(visit, arrivals, since, &mut self.histograms));
        }
    }

    fn zone(&mut self, key: ZoneKey<'_>) -> usize {
        if let Some(zone) = self.by_key.get(&key) {
            return *zone;
        }
        let index = self.zones.len();
        self.zones.push(Zone::new(self.rules));
        if let ZoneKey::Zone { zone, .. } = &key {
            self.by_name.entry(zone.clone().into_owned()).or_default().push(index);
        }
        self.by_key.insert(key.into_owned(), index);
        index
    }
}

/// The visit of push number `push` in a zone; it is the zone's last one, or begins now.
fn visit<'v, 't>(
    visits: &'v mut Vec<Vec<Visit<'t>>>,
    zone: usize,
    push: usize,
    received: Timestamp,
) -> &'v mut Visit<'t> {
    if visits.len() <= zone {
        visits.resize_with(zone + 1, Vec::new);
    }
    let of_zone = &mut visits[zone];
    if of_zone.last().is_none_or(|visit| visit.push != push) {
        of_zone.push(Visit { push, received, cleanings: Vec::new(), readings: Vec::new() });
    }
    let last = of_zone.len() - 1;
    &mut of_zone[last]
}
