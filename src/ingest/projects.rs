//! Records which projects have a zone, because a cleaning event names a zone without its project.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::CleaningError;
use super::ports::{PROJECTS_OF, StateDocument, StateStore, UnavailableError};
use super::state_documents::{RETRIES, change, load, read};
use crate::domain::rules::MentionKind;
use crate::domain::rules::names::{NameError, Names};
use crate::domain::state::StateVersion;

/// Maximum number of recorded zones in the memory of a process; the memory is then cleared.
const MAX_RECORDED_ZONES: usize = 20_000;

/// Maximum number of projects of a zone. Real zones have one or a few; a client could send any number.
const MAX_PROJECTS: usize = 1_000;

/// The projects that have a zone with one id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Projects {
    v: StateVersion,
    projects: Vec<String>,
}

/// Zones and projects that this process has recorded. It saves a lookup per push for zones without state.
#[derive(Debug, Default)]
pub(super) struct KnownProjects(Mutex<HashSet<(String, String)>>);

impl KnownProjects {
    /// Records that `project` has a zone with this id, unless this process has done so before.
    pub(super) async fn record(
        &self,
        store: &dyn StateStore,
        zone: &str,
        project: &str,
    ) -> Result<(), UnavailableError> {
        let known = (zone.to_owned(), project.to_owned());
        if self.zones().contains(&known) {
            return Ok(());
        }
        record_project(store, zone, project).await?;
        let mut zones = self.zones();
        if zones.len() >= MAX_RECORDED_ZONES {
            zones.clear();
        }
        zones.insert(known);
        Ok(())
    }

    fn zones(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A zone that people name by its id, or by its name in the rules in force. An id without a declaration is known from its readings.
pub(super) struct NamedZone<'t> {
    pub(super) id: &'t str,
    /// A zone of another site can have the same id. A name means the declared one.
    pub(super) project: Option<&'t str>,
    /// Why no declared zone is meant.
    error: Option<NameError>,
}

impl<'t> NamedZone<'t> {
    /// # Errors
    /// [`CleaningError::Name`] if several zones have the name. A retry cannot help.
    pub(super) fn find(names: &'t Names, zone: &'t str, project: Option<&'t str>) -> Result<Self, CleaningError> {
        let (id, error) = match names.id(MentionKind::Zone, zone) {
            Ok(id) => (id, None),
            Err(error) if error.is_ambiguous => return Err(error.into()),
            Err(error) => (zone, Some(error)),
        };
        let site = || names.site_of(id).filter(|_| id != zone);
        let project = project.map(|project| names.id(MentionKind::Site, project).unwrap_or(project)).or_else(site);
        Ok(Self { id, project, error })
    }

    /// The error if no reading has come from it.
    pub(super) fn unknown(self) -> CleaningError {
        self.error.map_or(CleaningError::UnknownZone, CleaningError::Name)
    }
}

/// Key of the document that lists the projects of a zone.
fn key(zone: &str) -> String {
    format!("{PROJECTS_OF}{zone}")
}

/// The projects in which readings have named this zone.
pub(super) async fn known_projects(store: &dyn StateStore, zone: &str) -> Result<Vec<String>, UnavailableError> {
    Ok(load::<Projects>(store, &key(zone)).await?.0.projects)
}

/// Whether the document with this key lists projects.
pub(super) fn is_key(key: &str) -> bool {
    key.starts_with(PROJECTS_OF)
}

/// Records every project that a document of another store lists.
pub(super) async fn restore_projects(store: &dyn StateStore, key: &str, body: &str) -> Result<(), UnavailableError> {
    let listed: Projects = read(key, &StateDocument { body: Some(body.to_owned()), version: 0 })?;
    for project in listed.projects {
        record_project(store, key.strip_prefix(PROJECTS_OF).unwrap_or(key), &project).await?;
    }
    Ok(())
}

async fn record_project(store: &dyn StateStore, zone: &str, project: &str) -> Result<(), UnavailableError> {
    let add = |Projects { projects, .. }: &mut Projects| {
        if projects.len() < MAX_PROJECTS && !projects.iter().any(|known| known == project) {
            projects.push(project.to_owned());
        }
    };
    change(store, &key(zone), RETRIES, add).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::local::sqlite::SqliteStore;
    use crate::ingest::ports::IndexEntry;
    use crate::ingest::state_documents::to_json;

    #[tokio::test]
    async fn a_zone_has_its_first_thousand_projects_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let projects: Vec<String> = (0..MAX_PROJECTS - 1).map(|number| number.to_string()).collect();
        let listed = to_json(&Projects { projects, ..Projects::default() }).unwrap();
        store.commit(&key("zone"), 0, &listed, IndexEntry::default()).await.unwrap();
        for project in ["last", "too many"] {
            record_project(&store, "zone", project).await.unwrap();
        }
        let known = known_projects(&store, "zone").await.unwrap();
        assert_eq!((known.len(), known.last().map(String::as_str)), (MAX_PROJECTS, Some("last")));
    }
}
