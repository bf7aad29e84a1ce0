//! Scopes: the lists of ids of a rule, an override, an audience or a mute.

use std::collections::BTreeMap;

use super::MentionKind;
use super::diagnostic::{Diagnostics, Positioned, nearest};
use super::document::TableReader;
use super::names::Names;
use crate::device::{DEVICE_TYPES, DeviceType, short_name};
use crate::reading::Source;

/// The lists of a scope and their keys.
const SCOPES: [(MentionKind, &str); 5] = [
    (MentionKind::Type, "types"),
    (MentionKind::Property, "properties"),
    (MentionKind::Site, "sites"),
    (MentionKind::Zone, "zones"),
    (MentionKind::Device, "devices"),
];

/// The readings that a rule or an override applies to: those whose source has a listed id of each kind that has a list. Types
/// are listed by short name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(pub BTreeMap<MentionKind, Vec<String>>);

impl Scope {
    /// Whether it contains the readings from `source`.
    #[must_use]
    pub fn contains(&self, source: &Source<'_>) -> bool {
        let has = |list: &[String], id: &str| list.iter().any(|listed| listed == id);
        self.0.iter().all(|(kind, list)| source.id(*kind).is_some_and(|id| has(list, id)))
    }

    /// The listed ids of this kind; empty for all.
    #[must_use]
    pub fn ids(&self, kind: MentionKind) -> &[String] {
        self.0.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// Whether a reading can be in both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let can_be = |one: &[String], other: &[String]| other.is_empty() || one.iter().any(|id| other.contains(id));
        self.0.iter().all(|(kind, list)| can_be(list, other.ids(*kind)))
    }

    /// Orders scopes: a device is narrower than a zone, then a site, a property, a type.
    pub(super) fn narrowness(&self) -> u8 {
        self.0.keys().map(|kind| 1 << *kind as u8).sum()
    }
}

/// A scope as it is written, with ids in place of names.
#[derive(Debug, Default)]
pub(super) struct ScopeDraft(pub(super) BTreeMap<MentionKind, Vec<Positioned<String>>>);

impl ScopeDraft {
    /// Whether `table` has one of its lists, before they are read.
    pub(super) fn is_in(table: &TableReader<'_, '_>) -> bool {
        SCOPES.iter().any(|(_, key)| table.has(key))
    }

    /// Reads the lists, and replaces each name by its id. Reports unknown and ambiguous names.
    pub(super) fn read(table: &mut TableReader<'_, '_>, names: &Names) -> Self {
        let lists = SCOPES.into_iter().filter_map(|(kind, key)| {
            let mut list = table.texts(key)?;
            for text in &mut list {
                names.resolve(kind, text, table.diagnostics);
                table.diagnostics.mention(kind, text);
            }
            Some((kind, list))
        });
        Self(lists.collect())
    }

    /// The scope without positions. A type that is not documented needs its provider: without one it is taken for a misspelling,
    /// and reported.
    pub(super) fn scope(&self, diagnostics: &mut Diagnostics) -> Scope {
        for Positioned { value: name, position } in self.0.get(&MentionKind::Type).into_iter().flatten() {
            if DeviceType::named(short_name(name)).is_none() && !name.contains('#') {
                let suggestion = nearest(name, DEVICE_TYPES.iter().map(|device_type| device_type.name))
                    .unwrap_or_else(|| format!("if it exists, write it with its provider: \"SMARTCLEAN#{name}\""));
                diagnostics.suggest(position, format!("unknown device type `{name}`"), suggestion);
            }
        }
        let id = |kind, id: &str| if kind == MentionKind::Type { short_name(id).to_owned() } else { id.to_owned() };
        let ids = |(kind, list): (&MentionKind, &Vec<Positioned<String>>)| {
            (*kind, list.iter().map(|written| id(*kind, &written.value)).collect())
        };
        Scope(self.0.iter().map(ids).collect())
    }
}
