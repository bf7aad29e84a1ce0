//! Which projects have a zone: a cleaning names a zone and no project.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::documents::{load, read, written};
use super::evaluator::{RETRIES, pause};
use super::ports::{Commit, Document, PROJECTS_OF, StateStore, UnavailableError};
use crate::domain::state::StateVersion;

/// Most zones that a process knows to be noted; then it begins anew.
const MOST_NOTED: usize = 20_000;

/// Most projects of a zone. A vendor has one or a few; whoever pushes could name any number.
const MOST_PROJECTS: usize = 1_000;

/// The projects that have a zone of one id.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Projects {
    v: StateVersion,
    projects: Vec<String>,
}

/// Zones, each with its project, that this process has noted: a zone without state has no document, and would be looked up
/// with every push.
#[derive(Debug, Default)]
pub(super) struct KnownProjects(Mutex<HashSet<(String, String)>>);

impl KnownProjects {
    /// Notes that `project` has a zone of this id, unless that was done before.
    pub(super) async fn note(&self, store: &dyn StateStore, zone: &str, project: &str) -> Result<(), UnavailableError> {
        let known = (zone.to_owned(), project.to_owned());
        if self.zones().contains(&known) {
            return Ok(());
        }
        note_project(store, zone, project).await?;
        let mut zones = self.zones();
        if zones.len() >= MOST_NOTED {
            zones.clear();
        }
        zones.insert(known);
        Ok(())
    }

    fn zones(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The document that lists the projects which have a zone of this id.
fn key(zone: &str) -> String {
    format!("{PROJECTS_OF}{zone}")
}

/// The projects that have a zone of this id, as far as readings have told.
pub(super) async fn known_projects(store: &dyn StateStore, zone: &str) -> Result<Vec<String>, UnavailableError> {
    Ok(load::<Projects>(store, &key(zone)).await?.0.projects)
}

/// Whether a document of this key lists projects.
pub(super) fn is_key(key: &str) -> bool {
    key.starts_with(PROJECTS_OF)
}

/// Notes every project that a document of another store lists.
pub(super) async fn restore_projects(store: &dyn StateStore, key: &str, body: &str) -> Result<(), UnavailableError> {
    let listed: Projects = read(key, &Document { body: Some(body.to_owned()), version: 0 })?;
    for project in listed.projects {
        note_project(store, key.strip_prefix(PROJECTS_OF).unwrap_or(key), &project).await?;
    }
    Ok(())
}

async fn note_project(store: &dyn StateStore, zone: &str, project: &str) -> Result<(), UnavailableError> {
    let key = key(zone);
    for attempt in 0..=RETRIES {
        let (mut known, document) = load::<Projects>(store, &key).await?;
        if known.projects.len() >= MOST_PROJECTS || known.projects.iter().any(|known| known == project) {
            return Ok(());
        }
        known.projects.push(project.to_owned());
        match store.commit(&key, document.version, &written(&known)?, None).await? {
            Commit::Done => return Ok(()),
            Commit::Lost => pause(attempt).await,
        }
    }
    Err(UnavailableError::new("a zone's project could not be noted", "others wrote it each time"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::local::sqlite::SqliteStore;

    #[tokio::test]
    async fn a_zone_has_its_first_thousand_projects_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        let projects: Vec<String> = (0..MOST_PROJECTS - 1).map(|number| number.to_string()).collect();
        let listed = written(&Projects { projects, ..Projects::default() }).unwrap();
        store.commit(&key("zone"), 0, &listed, None).await.unwrap();
        for project in ["last", "too many"] {
            note_project(&store, "zone", project).await.unwrap();
        }
        let known = known_projects(&store, "zone").await.unwrap();
        assert_eq!((known.len(), known.last().map(String::as_str)), (MOST_PROJECTS, Some("last")));
    }
}
