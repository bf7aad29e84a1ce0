//! Names of sites, zones and devices. Rules, flags and requests can use them in place of ids.
//!
//! Only a rules file declares names. A pushed text such as `Display` is shown and never matched, so it cannot change which
//! rule applies.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::tz::{self, TimeZone};

use super::MentionKind;
use super::diagnostic::{Diagnostics, Positioned, nearest};
use super::document::TableReader;
use crate::time::LocalZone;

/// Longest name, in characters. A subject of 100 characters has room for it and for the severity.
pub const LONGEST_NAME: usize = 80;
/// Longest note, in characters.
const LONGEST_NOTE: usize = 200;
/// Longest floor, in characters.
const LONGEST_FLOOR: usize = 20;

/// What a rules file declares, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `[[site]]`, by `PID`.
    pub sites: BTreeMap<String, Named>,
    /// `[[zone]]`, by `InsID`.
    pub zones: BTreeMap<String, Named>,
    /// `[[device]]`, by `DEVID`.
    pub devices: BTreeMap<String, Named>,
    /// The ids that have a name. A zone also has its [full name](Self::full_name).
    ids_by_name: BTreeMap<(MentionKind, String), BTreeSet<String>>,
}

/// A declared site, zone or device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The name. Sites have different ones, as do the zones of a site. Devices can have the same.
    pub name: Option<String>,
    /// A note for cleaners.
    pub note: Option<String>,
    /// The time zone of a site. It wins over the one that readings carry.
    pub local_zone: Option<LocalZone>,
    /// The id of a zone's site.
    pub site: Option<String>,
    /// The floor of a zone.
    pub floor: Option<String>,
}

/// Why a text has no single id. A retry does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct NameError {
    /// What is wrong, with the text.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
    /// Whether several ids have the name. Otherwise none has.
    pub is_ambiguous: bool,
}

impl Names {
    /// The id that `text` means: an id, a name, or a zone with its site, `Tower A · Level 2`. If nothing of `kind` is declared,
    /// `text` is the id.
    ///
    /// # Errors
    /// [`NameError`] if no declared id has the name, or several have.
    ///
    /// # Examples
    /// ```
    /// use domain::rules::{MentionKind, RuleSet};
    /// let names = RuleSet::parse("rules.toml", "[[zone]]\nid = \"2f31\"\nname = \"Lobby\"")?.names;
    /// assert_eq!(names.id(MentionKind::Zone, "Lobby"), Ok("2f31"));
    /// assert_eq!(names.id(MentionKind::Site, "Lobby"), Ok("Lobby"));
    /// let error = names.id(MentionKind::Zone, "Loby").unwrap_err();
    /// assert_eq!(error.to_string(), "no [[zone]] has the id or name `Loby`; did you mean `Lobby`?");
    /// # Ok::<(), Vec<domain::rules::Diagnostic>>(())
    /// ```
    pub fn id<'t>(&'t self, kind: MentionKind, text: &'t str) -> Result<&'t str, NameError> {
        let declared = match kind {
            MentionKind::Site => &self.sites,
            MentionKind::Zone => &self.zones,
            MentionKind::Device => &self.devices,
            MentionKind::Type | MentionKind::Property => return Ok(text),
        };
        // An id means itself, even if it is also the name of another one.
        if declared.is_empty() || declared.contains_key(text) {
            return Ok(text);
        }
        let ids: Vec<_> = self.ids_by_name.get(&(kind, text.to_owned())).into_iter().flatten().collect();
        let noun = kind.as_str();
        let (message, remedy) = match ids.as_slice() {
            [id] => return Ok(id),
            [] => {
                let names = self.ids_by_name.keys().filter(|(of, _)| *of == kind).map(|(_, name)| name);
                let otherwise = || format!("declare it in a [[{noun}]] with its id: `smartclean-push zones` lists ids");
                let remedy = nearest(text, declared.keys().chain(names).map(String::as_str)).unwrap_or_else(otherwise);
                (format!("no [[{noun}]] has the id or name `{text}`"), remedy)
            }
            several => {
                let unique = |id: &&String| self.full_name(&declared[*id]).unwrap_or_else(|| (*id).clone());
                let unique: Vec<_> = several.iter().map(|id| format!("`{}`", unique(id))).collect();
                (
                    format!("`{text}` is the name of {} {noun}s", several.len()),
                    format!("write one of {}", unique.join(", ")),
                )
            }
        };
        Err(NameError { message, remedy, is_ambiguous: !ids.is_empty() })
    }

    /// Whether another zone than `zone` has this name.
    #[must_use]
    pub fn is_of_other_zone(&self, name: &str, zone: Option<&str>) -> bool {
        let ids = self.ids_by_name.get(&(MentionKind::Zone, name.to_owned()));
        ids.into_iter().flatten().any(|id| Some(id.as_str()) != zone)
    }

    /// The name of a zone with its site: `Tower A · Level 2`.
    fn full_name(&self, named: &Named) -> Option<String> {
        Some(format!("{} · {}", self.site_name(named.site.as_ref()?), named.name.as_ref()?))
    }

    /// The name of a site, else its id.
    #[must_use]
    pub fn site_name<'n>(&'n self, id: &'n str) -> &'n str {
        self.name(MentionKind::Site, id)
    }

    /// The name that is declared for an id of this kind, else the id.
    #[must_use]
    pub fn name<'n>(&'n self, kind: MentionKind, id: &'n str) -> &'n str {
        let declared = match kind {
            MentionKind::Site => &self.sites,
            MentionKind::Zone => &self.zones,
            MentionKind::Device => &self.devices,
            MentionKind::Type | MentionKind::Property => return id,
        };
        declared.get(id).and_then(|named| named.name.as_deref()).unwrap_or(id)
    }

    /// The id of the site in which a zone is declared.
    #[must_use]
    pub fn site_of(&self, zone: &str) -> Option<&str> {
        self.zones.get(zone)?.site.as_deref()
    }

    /// Reads `[[site]]`, `[[zone]]` and `[[device]]`, in this order. Reports an id or a name that is declared twice, and an unknown
    /// site.
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Self {
        use MentionKind::{Device, Site, Zone};
        let (mut names, mut lines) = (Self::default(), HashMap::new());
        for (kind, noun, field) in [(Site, "a site", "PID"), (Zone, "a zone", "InsID"), (Device, "a device", "DEVID")] {
            table.tables(kind.as_str(), noun, |table, position| {
                let remedy = format!("the `{field}` of its readings: `smartclean-push zones` lists ids");
                table.require("id", position, &remedy);
                let (id, name) = (table.nonblank("id"), table.line("name", "a name", LONGEST_NAME));
                let named = Named::read(kind, table, &names);
                names.declare(kind, id?, name, named, &mut lines, table.diagnostics);
                Some(())
            });
        }
        names
    }

    fn declare(
        &mut self,
        kind: MentionKind,
        id: Positioned<String>,
        name: Option<Positioned<String>>,
        named: Named,
        lines: &mut HashMap<(MentionKind, &str, String, Option<String>), usize>,
        diagnostics: &mut Diagnostics,
    ) {
        diagnostics.mention(kind, &id);
        // Devices have no site: each washroom can have a "Soap by the door".
        let unique_name = name.as_ref().filter(|_| kind != MentionKind::Device);
        for (word, text, site) in [("id", Some(&id), &None), ("name", unique_name, &named.site)] {
            let Some(Positioned { value, position }) = text else { continue };
            if let Some(line) = lines.insert((kind, word, value.clone(), site.clone()), position.line) {
                let message = format!("the {word} `{value}` is taken by the {} in line {line}", kind.as_str());
                let remedy = match (word, kind) {
                    ("id", _) => "join the two tables",
                    (_, MentionKind::Zone) => "give one of them another name, or each the `site` that it is in",
                    _ => "give one of them another name",
                };
                diagnostics.suggest(position, message, remedy);
            }
        }
        let named = Named { name: name.map(|name| name.value), ..named };
        for name in [named.name.clone(), self.full_name(&named)].into_iter().flatten() {
            self.ids_by_name.entry((kind, name)).or_default().insert(id.value.clone());
        }
        let declared = match kind {
            MentionKind::Site => &mut self.sites,
            MentionKind::Zone => &mut self.zones,
            _ => &mut self.devices,
        };
        declared.insert(id.value, named);
    }

    /// Replaces a name in a rules file by its id. Reports an unknown and an ambiguous name.
    pub(super) fn resolve(&self, kind: MentionKind, text: &mut Positioned<String>, diagnostics: &mut Diagnostics) {
        match self.id(kind, &text.value).map(str::to_owned) {
            Ok(id) => text.value = id,
            Err(error) => diagnostics.suggest(&text.position, error.message, error.remedy),
        }
    }
}

impl Named {
    /// Reads the members but the name.
    fn read(kind: MentionKind, table: &mut TableReader<'_, '_>, names: &Names) -> Self {
        let mut named = Self::default();
        match kind {
            MentionKind::Site => named.local_zone = read_time_zone(table),
            MentionKind::Zone => {
                named.site = table.nonblank("site").map(|mut site| {
                    names.resolve(MentionKind::Site, &mut site, table.diagnostics);
                    site.value
                });
                named.floor = table.line("floor", "a floor", LONGEST_FLOOR).map(|floor| floor.value);
            }
            _ => {}
        }
        named.note = table.line("note", "a note", LONGEST_NOTE).map(|note| note.value);
        named
    }
}

fn read_time_zone(table: &mut TableReader<'_, '_>) -> Option<LocalZone> {
    let Positioned { value: region, position } = table.nonblank("time_zone")?;
    if TimeZone::get(&region).is_err() {
        let known: Vec<_> = tz::db().available().collect();
        let suggestion = nearest(&region, known.iter().map(|name| name.as_str()));
        let suggestion = suggestion.unwrap_or_else(|| "write an IANA name such as \"Asia/Singapore\"".to_owned());
        table.diagnostics.suggest(&position, format!("unknown time zone `{region}`"), suggestion);
    }
    Some(LocalZone { region: Some(region), offset_seconds: None })
}
