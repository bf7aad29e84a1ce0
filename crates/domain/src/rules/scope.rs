//! The lists of a scope as they are written: of a rule, an override, an audience or a mute.

use super::diagnostic::{Diagnostics, Positioned, nearest};
use super::document::TableReader;
use super::names::Names;
use super::{Mention, MentionKind, Scope};
use crate::device::{DEVICE_TYPES, DeviceType, short_name};

/// The lists of a scope and their keys, the widest first.
const SCOPES: [(MentionKind, &str); 5] = [
    (MentionKind::Type, "types"),
    (MentionKind::Property, "properties"),
    (MentionKind::Site, "sites"),
    (MentionKind::Zone, "zones"),
    (MentionKind::Device, "devices"),
];

/// The scope of a rule or an override: the lists of [`SCOPES`].
#[derive(Debug, Default)]
pub(super) struct ScopeDraft(pub(super) [Option<Vec<Positioned<String>>>; SCOPES.len()]);

impl ScopeDraft {
    /// Whether `table` has one of its lists, before they are read.
    pub(super) fn is_in(table: &TableReader<'_, '_>) -> bool {
        SCOPES.iter().any(|(_, key)| table.has(key))
    }

    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Self {
        Self(SCOPES.map(|(_, key)| table.texts(key)))
    }

    /// Replaces each name by its id. Reports unknown and ambiguous names.
    pub(super) fn resolve(&mut self, names: &Names, diagnostics: &mut Diagnostics) {
        for ((kind, _), list) in SCOPES.iter().zip(&mut self.0) {
            list.iter_mut().flatten().for_each(|name| names.resolve(*kind, name, diagnostics));
        }
    }

    pub(super) fn mentions(&self) -> impl Iterator<Item = Mention> {
        self.lists().flat_map(|(kind, ids)| ids.iter().map(move |id| Mention::new(kind, id)))
    }

    /// Each list with the kind of its ids. A list that is left out is empty.
    pub(super) fn lists(&self) -> impl Iterator<Item = (MentionKind, &[Positioned<String>])> {
        SCOPES.iter().zip(&self.0).map(|((kind, _), list)| (*kind, list.as_deref().unwrap_or_default()))
    }
}

/// The types by short name. A type that is not documented needs its provider: without one it is taken for a misspelling.
fn compile_types(written: &[Positioned<String>], diagnostics: &mut Diagnostics) -> Vec<String> {
    for Positioned { value: name, position } in written {
        if DeviceType::named(short_name(name)).is_none() && !name.contains('#') {
            let suggestion = nearest(name, DEVICE_TYPES.iter().map(|device_type| device_type.name))
                .unwrap_or_else(|| format!("if it exists, write it with its provider: \"SMARTCLEAN#{name}\""));
            diagnostics.suggest(position, format!("unknown device type `{name}`"), suggestion);
        }
    }
    written.iter().map(|name| short_name(&name.value).to_owned()).collect()
}

pub(super) fn compile_scope(ScopeDraft(lists): &ScopeDraft, diagnostics: &mut Diagnostics) -> Scope {
    let [types, properties, sites, zones, devices] = lists.each_ref().map(|list| list.as_deref().unwrap_or_default());
    let ids = |list: &[Positioned<String>]| list.iter().map(|id| id.value.clone()).collect();
    Scope {
        types: compile_types(types, diagnostics),
        properties: ids(properties),
        sites: ids(sites),
        zones: ids(zones),
        devices: ids(devices),
    }
}
