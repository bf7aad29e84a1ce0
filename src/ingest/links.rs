//! Links in messages and invitations: random tokens, of which the state store keeps only the digest.
//!
//! Whoever has a token can use it until it expires. Deleting its document revokes it.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::ports::{Commit, IndexEntry, LINK, StateStore, UnavailableError, within};
use super::public_url::KnownUrl;
use super::state_documents::{load, to_json};
use crate::domain::alert::AlertId;
use crate::domain::digest::Digest;
use crate::domain::rules::Links;

/// Key prefix of invitations.
pub const INVITATION: &str = "invite/";

/// Time limit for storing the links of the messages of a push. As long as it may take to count its SMS, beside which that is done.
pub const LINK_TIMEOUT: Duration = Duration::from_secs(1);

/// A random token of 16 bytes. Its `Debug` output is `Token(..)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 16]);

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// [`UnavailableError`] if the operating system has no random numbers; a retry can help.
    pub fn random() -> Result<Self, UnavailableError> {
        let mut bytes = [0; 16];
        let failed = |error| UnavailableError::new("the operating system has no random numbers", error);
        getrandom::fill(&mut bytes).map_err(failed)?;
        Ok(Self(bytes))
    }

    /// Parses the 22 characters of [`Self::expose`]. `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The token as text, 22 characters that are safe in a URL. It must not be stored or logged.
    #[must_use]
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The key of its state document: `prefix` and the SHA-256 of its text.
    #[must_use]
    pub fn key(&self, prefix: &str) -> String {
        format!("{prefix}{}", Digest::of(self.expose().as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The alerts that the link of a message is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedAlerts {
    /// When the link expires.
    pub expires: Timestamp,
    /// The alerts, in the order of the message.
    pub alerts: Vec<LinkedAlert>,
}

/// An alert of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedAlert {
    /// The key of the zone state.
    pub zone: String,
    /// The id of the alert.
    pub alert: AlertId,
}

/// What an invited phone may do, and for which team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The name of the team, as pages show it.
    pub team: String,
    /// What it may do.
    pub role: Role,
    /// When it was created.
    pub created: Timestamp,
    /// When it expires. A store deletes it 90 days after it was created.
    pub expires: Timestamp,
}

/// What an invited phone may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See alerts.
    View,
    /// See alerts and answer them.
    Respond,
}

/// The alerts of a link. `None` if `token` is malformed, unknown, expired or revoked.
///
/// # Errors
/// [`UnavailableError`] if the state store does not answer; a retry can help.
pub async fn find_link(
    store: &dyn StateStore,
    token: &str,
    now: Timestamp,
) -> Result<Option<LinkedAlerts>, UnavailableError> {
    let found = find::<LinkedAlerts>(store, LINK, token).await?;
    Ok(found.filter(|link| now < link.expires))
}

/// The invitation of a phone. `None` if `token` is malformed, unknown, expired or revoked.
///
/// # Errors
/// [`UnavailableError`] if the state store does not answer; a retry can help.
pub async fn find_invitation(
    store: &dyn StateStore,
    token: &str,
    now: Timestamp,
) -> Result<Option<Invitation>, UnavailableError> {
    let found = find::<Invitation>(store, INVITATION, token).await?;
    Ok(found.filter(|invitation| now < invitation.expires))
}

/// Stores an invitation. Returns its token, which is stored nowhere.
///
/// # Errors
/// [`UnavailableError`] if the state store did not confirm. A retry creates another token.
pub async fn create_invitation(store: &dyn StateStore, invitation: &Invitation) -> Result<Token, UnavailableError> {
    create(store, INVITATION, invitation).await
}

/// Stores the alerts of a link. Returns its token, which is stored nowhere.
///
/// # Errors
/// [`UnavailableError`] if the state store did not confirm. A retry creates another token.
pub async fn create_link(store: &dyn StateStore, link: &LinkedAlerts) -> Result<Token, UnavailableError> {
    create(store, LINK, link).await
}

/// Stores links side by side. Returns the URL of each in its place; `None` without a link, and if it could not be stored: then the
/// message goes out without one.
pub(super) async fn create_links(
    store: &dyn StateStore,
    known: Option<&KnownUrl>,
    links: Vec<Option<(LinkedAlerts, Links)>>,
) -> Vec<Option<(String, Links)>> {
    let none = links.iter().map(|_| None).collect();
    let Some(known) = known.filter(|_| links.iter().any(Option::is_some)) else { return none };
    let create = async {
        let Some(url) = known.get(store).await? else { return Ok(none.clone()) };
        let create = links.iter().map(async |link| {
            let (link, places) = link.as_ref()?;
            let token = create_link(store, link).await.inspect_err(log_failure).ok()?;
            Some((format!("{url}/board/a/{}", token.expose()), *places))
        });
        Ok(join_all(create).await)
    };
    let created = within(LINK_TIMEOUT, "links were not stored in time", create).await;
    created.inspect_err(log_failure).unwrap_or(none)
}

fn log_failure(error: &UnavailableError) {
    tracing::warn!(error = %error.chain(), "link not stored, the message goes out without it");
}

async fn find<T: DeserializeOwned>(
    store: &dyn StateStore,
    prefix: &str,
    token: &str,
) -> Result<Option<T>, UnavailableError> {
    let Some(token) = Token::parse(token) else { return Ok(None) };
    Ok(load::<Option<T>>(store, &token.key(prefix)).await?.0)
}

async fn create(store: &dyn StateStore, prefix: &str, value: &impl Serialize) -> Result<Token, UnavailableError> {
    let (token, body) = (Token::random()?, to_json(value)?);
    match store.commit(&token.key(prefix), 0, &body, IndexEntry::default()).await? {
        Commit::Done => Ok(token),
        Commit::Lost => Err(UnavailableError::new("the token was not stored", "it exists already")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::local::sqlite::SqliteStore;

    fn store() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
        (folder, store)
    }

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn link() -> LinkedAlerts {
        let alert = AlertId::of_silence("rule", "device", seconds(7));
        LinkedAlerts { expires: seconds(100), alerts: vec![LinkedAlert { zone: "zone/1:a/b".to_owned(), alert }] }
    }

    #[test]
    fn a_token_has_22_characters_and_only_they_are_read() {
        let token = Token([0xFB; 16]);
        let text = token.expose();
        assert_eq!(text, "-_v7-_v7-_v7-_v7-_v7-w");
        assert_eq!(Token::parse(&text), Some(token.clone()));
        let longer = format!("{text}AA");
        // The last one has the same 16 bytes and other spare bits.
        for wrong in
            ["", &text[..21], &longer, "-_v7-_v7-_v7-_v7-_v7-w==", "+/v7-_v7-_v7-_v7-_v7-w", "-_v7-_v7-_v7-_v7-_v7-x"]
        {
            assert_eq!(Token::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert_ne!(Token::random().unwrap(), Token::random().unwrap());
    }

    #[tokio::test]
    async fn a_link_is_found_by_its_token_until_it_expires() {
        let (_folder, store) = store();
        let token = create_link(&store, &link()).await.unwrap().expose();
        let find = async |token: &str, now| find_link(&store, token, seconds(now)).await.unwrap();
        assert_eq!(find(&token, 99).await, Some(link()));
        assert_eq!(find(&token, 100).await, None, "expired");
        let other = Token::random().unwrap().expose();
        for wrong in [&other, "", &token[..21], "../../etc/passwd"] {
            assert_eq!(find(wrong, 99).await, None, "{wrong}");
        }
        assert_eq!(find_invitation(&store, &token, seconds(99)).await.unwrap(), None, "it invites nobody");
    }

    #[tokio::test]
    async fn an_invitation_is_found_by_its_token_until_it_expires() {
        let (_folder, store) = store();
        let invitation =
            Invitation { team: "Team A".to_owned(), role: Role::Respond, created: seconds(0), expires: seconds(100) };
        let token = create_invitation(&store, &invitation).await.unwrap().expose();
        assert_eq!(find_invitation(&store, &token, seconds(99)).await.unwrap(), Some(invitation));
        assert_eq!(find_invitation(&store, &token, seconds(100)).await.unwrap(), None);
        assert_eq!(find_link(&store, &token, seconds(99)).await.unwrap(), None, "it is no link");
    }

    #[tokio::test]
    async fn the_store_has_the_digest_of_a_token_and_not_the_token() {
        let (_folder, store) = store();
        let token = create_link(&store, &link()).await.unwrap();
        let documents = store.documents().await.unwrap();
        let digest = Digest::of(token.expose().as_bytes());
        assert_eq!(documents.iter().map(|document| &document.key).collect::<Vec<_>>(), [&format!("link/{digest}")]);
        assert!(!documents[0].body.contains(&token.expose()), "{}", documents[0].body);
        assert!(Role::View < Role::Respond);
    }
}
