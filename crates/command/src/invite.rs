//! `invite`: invites the phones of a team to answer alerts, lists invitations and revokes them.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use qrcode::render::{svg, unicode::Dense1x2};
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::domain::display::{is_hidden, line};
use smartclean_push::ingest::links::{INVITATION, Invitation, Role, create_invitation};
use smartclean_push::ingest::ports::{Commit, IndexEntry, StateDocument, StateStore, UnavailableError};
use smartclean_push::ingest::{PublicUrl, PublicUrlError};
use tokio::runtime::Runtime;

use crate::columns::columns;
use crate::output::{note, print};
use crate::qr::qr_code;
use crate::replay::table::StateTable;
use crate::stop::runtime;
use crate::{Failure, OrFailure as _, cloud};

/// Digits of an invitation's id, which are the first of the digest of its token.
const ID_DIGITS: usize = 8;
/// Longest name of a team, in characters, as on pages.
const LONGEST_TEAM: usize = 40;

/// Invite the phones of a team to answer alerts, and revoke invitations
///
/// Prints a link and its QR code once. A phone that opens the link answers for the team until the invitation ends. Each phone
/// that has the link is invited: send it to the team only. Revoke the invitation if a phone is lost.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push invite --team \"Night shift\" --role respond --url https://push.example.com --state data/state.db
  smartclean-push invite --team Security --role view --days 7 --url https://push.example.com --state dynamodb://my-table
  smartclean-push invite --list --state data/state.db
  smartclean-push invite --revoke 1f2e3d4c --state data/state.db

`serve` may run meanwhile. The table of a deployed stack is its resource StateTable.")]
pub(super) struct InviteCommand {
    /// The team for which its phones answer, as pages show it
    #[arg(long, value_parser = team, requires_all = ["role", "url"], required_unless_present_any = ["list", "revoke"])]
    team: Option<String>,
    /// What its phones may do
    #[arg(long, value_enum, requires = "team")]
    role: Option<InvitedRole>,
    /// Days until the invitation ends
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i64).range(1..=90))]
    days: i64,
    /// The URL at which phones reach the receiver, without a path
    #[arg(long, value_name = "URL", requires = "team", value_parser = phone_url)]
    url: Option<PublicUrl>,
    /// Also write the QR code to this file, as SVG
    #[arg(long, value_name = "FILE", requires = "team")]
    svg: Option<PathBuf>,
    /// List the invitations in force
    #[arg(long, conflicts_with_all = ["team", "revoke"])]
    list: bool,
    /// End an invitation at once, by its id in the list
    #[arg(long, value_name = "ID", conflicts_with = "team")]
    revoke: Option<String>,
    /// The state of the receiver: the file state.db of a data folder, or dynamodb://table
    #[arg(long, value_name = "STATE")]
    state: String,
}

/// Parses a URL for phones, which keep the cookie of an invitation only over HTTPS.
pub(super) fn phone_url(text: &str) -> Result<PublicUrl, String> {
    let url: PublicUrl = text.parse().map_err(|error: PublicUrlError| error.to_string())?;
    let remedy =
        "phones keep an invitation only over HTTPS: write https://, and put a TLS proxy in front of the server";
    if url.takes_cookies() { Ok(url) } else { Err(remedy.to_owned()) }
}

/// What an invited phone may do.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum InvitedRole {
    /// See alerts
    View,
    /// See alerts, and answer them
    Respond,
}

/// An invitation in force.
struct StoredInvitation {
    key: String,
    version: u64,
    invitation: Invitation,
}

impl InviteCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = runtime(1)?;
        let (store, keys) = open(&self.state, &runtime)?;
        let now = Timestamp::now();
        let invitations = || runtime.block_on(in_force(&*store, &keys, now));
        match (&self.revoke, self.team, self.role, self.url) {
            (Some(id), ..) => runtime.block_on(revoke(&*store, invitations()?, id, now)),
            (None, Some(team), Some(role), Some(url)) => {
                let role = match role {
                    InvitedRole::View => Role::View,
                    InvitedRole::Respond => Role::Respond,
                };
                let expires = now + SignedDuration::from_hours(self.days * 24);
                let invitation = Invitation { team, role, created: now, expires };
                let token = runtime.block_on(create_invitation(&*store, &invitation))?;
                let link = format!("{url}/board/i/{}", token.expose());
                report(&invitation, &token.key(INVITATION), &link, self.svg.as_deref())
            }
            _ => {
                list(&invitations()?);
                Ok(())
            }
        }
    }
}

/// Parses the name of a team.
fn team(text: &str) -> Result<String, &'static str> {
    let team = text.trim();
    let is_presentable = (1..=LONGEST_TEAM).contains(&team.chars().count()) && !team.contains(is_hidden);
    is_presentable.then(|| team.to_owned()).ok_or("write 1 to 40 visible characters")
}

/// Opens a state. Returns its store, and the keys of all invitations in it.
fn open(state: &str, runtime: &Runtime) -> Result<(Box<dyn StateStore>, Vec<String>), Failure> {
    let (store, keys): (Box<dyn StateStore>, Vec<_>) = match state.strip_prefix("dynamodb://") {
        Some(table) => {
            let StateTable { store, versions } = runtime.block_on(cloud::table(table))?;
            (store, versions.into_keys().collect())
        }
        None if !Path::new(state).is_file() => {
            let message = format!("{state} is no file. Name the file state.db of the data folder of `serve`");
            return Err(Failure::usage(message));
        }
        None => {
            let store = SqliteStore::open(Path::new(state)).or_failure(state)?;
            let documents = runtime.block_on(store.documents())?;
            (Box::new(store), documents.into_iter().map(|document| document.key).collect())
        }
    };
    Ok((store, keys.into_iter().filter(|key| key.starts_with(INVITATION)).collect()))
}

/// The invitations of these keys that have not ended, the newest first.
async fn in_force(
    store: &dyn StateStore,
    keys: &[String],
    now: Timestamp,
) -> Result<Vec<StoredInvitation>, UnavailableError> {
    let documents = store.load(keys).await?;
    let invitations = keys.iter().zip(documents).filter_map(|(key, StateDocument { body, version })| {
        let invitation: Invitation = serde_json::from_str(&body?).ok()?;
        Some(StoredInvitation { key: key.clone(), version, invitation })
    });
    let mut invitations: Vec<_> = invitations.filter(|stored| now < stored.invitation.expires).collect();
    invitations.sort_by_key(|stored| std::cmp::Reverse(stored.invitation.created));
    Ok(invitations)
}

/// The id of an invitation, from the key of its document.
fn id_of(key: &str) -> &str {
    key.get(INVITATION.len()..INVITATION.len() + ID_DIGITS).unwrap_or(key)
}

/// Prints a new invitation, and writes its QR code.
fn report(invitation: &Invitation, key: &str, link: &str, svg: Option<&Path>) -> Result<(), Failure> {
    let code = qr_code(link).or_failure("the QR code cannot be written")?;
    if let Some(path) = svg {
        let image = code.render::<svg::Color<'_>>().build();
        std::fs::write(path, image).or_failure(format_args!("{} cannot be written", path.display()))?;
    }
    let ends = invitation.expires.strftime("%Y-%m-%d %H:%M UTC");
    print(format_args!("Link    {link}\nTeam    {}\nEnds    {ends}\nID      {}\n", invitation.team, id_of(key)));
    // Black on white in every terminal: a phone may not read it otherwise.
    for row in code.render::<Dense1x2>().build().lines() {
        print(format_args!("\u{1b}[30;107m{row}\u{1b}[0m\n"));
    }
    note(
        "The link is not shown again. Send it to the team only: each phone that opens it is invited, and sees the board at /board.",
    );
    Ok(())
}

fn list(invitations: &[StoredInvitation]) {
    let header = ["ID", "TEAM", "ROLE", "CREATED", "ENDS"].map(str::to_owned).to_vec();
    let rows = invitations.iter().map(|StoredInvitation { key, invitation, .. }| {
        let role = match invitation.role {
            Role::View => "view",
            Role::Respond => "respond",
        };
        let day = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
        vec![
            id_of(key).to_owned(),
            line(&invitation.team),
            role.to_owned(),
            day(invitation.created),
            day(invitation.expires),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    if invitations.is_empty() {
        note("No invitation is in force.");
    } else {
        print(columns(&rows));
    }
}

/// Ends an invitation: its document stays until the store deletes it, as one that has ended.
async fn revoke(
    store: &dyn StateStore,
    invitations: Vec<StoredInvitation>,
    id: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut found = invitations.into_iter().filter(|stored| id_of(&stored.key) == id);
    let (Some(stored), None) = (found.next(), found.next()) else {
        return Err(Failure::usage(format!("no invitation in force has the id {id:?}; --list prints the ids")));
    };
    let revoked = Invitation { expires: now, ..stored.invitation };
    let body = serde_json::to_string(&revoked).or_failure("the invitation cannot be written")?;
    match store.commit(&stored.key, stored.version, &body, IndexEntry::default()).await? {
        Commit::Done => {
            print(format_args!("Revoked the invitation {id} of {}: it no longer opens a page\n", line(&revoked.team)));
            Ok(())
        }
        Commit::Lost => Err(Failure::new("something else changed the invitation meanwhile. Run the command again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_team_has_1_to_40_visible_characters() {
        assert_eq!(team(" Night shift ").as_deref(), Ok("Night shift"));
        assert!(team(&"夜".repeat(40)).is_ok());
        for wrong in ["", "  ", &"x".repeat(41), "a\u{202e}b", "a\nb"] {
            assert!(team(wrong).is_err(), "{wrong:?}");
        }
    }
}
