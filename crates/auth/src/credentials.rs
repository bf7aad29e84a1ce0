//! Everybody who may push, as the operator's secret says it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::method::{AuthMethod, AuthMethods};
use super::password::{Password, PasswordError, is_verified_hash};
use super::secret::Secret;

/// Least bytes of a signing key: as many as the digest has that it keys (RFC 7518 §3.2).
pub const SIGNING_KEY_BYTES: usize = 32;

/// The signing key of a secret that is kept for it alone: `{"signing_key":"…"}`, or the key itself. A line break at the end
/// of that, which editors and `echo` add, is not part of the key.
#[must_use]
pub fn signing_key_of(text: &Secret) -> Secret {
    #[derive(Deserialize)]
    struct Document {
        signing_key: Secret,
    }
    let document = serde_json::from_str::<Document>(text.expose());
    document.map_or_else(|_| Secret::new(without_line_break(text.expose()).to_owned()), |document| document.signing_key)
}

fn without_line_break(text: &str) -> &str {
    text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(text)
}

/// One client that may push.
#[derive(Clone, Debug, Deserialize)]
pub struct Client {
    /// Its name; appears in logs. Its client id where it asks for tokens.
    pub username: String,
    /// Its password, or a hash of it: `$argon2id$…` or `$scrypt$…`.
    pub password: Secret,
}

impl Client {
    /// Whether a hash is kept in place of the password.
    #[must_use]
    pub fn has_hash(&self) -> bool {
        is_verified_hash(self.password.expose())
    }
}

/// Everybody who may push. Read from JSON: `{"clients":[{"username":"…","password":"…"}],"signing_key":"…",
/// "event_hub_keys":{"name":"key text"}}`, or the shorter `{"username":"…","password":"…"}` for one client. All but the
/// clients may be left out, and these as well where there are keys for the auth method event-hub.
#[derive(Clone, Default)]
pub struct Credentials {
    clients: Vec<Client>,
    /// In the clients' order.
    passwords: Vec<Password>,
    /// The first one signs.
    signing_keys: Vec<Secret>,
    event_hub_keys: Vec<(String, Secret)>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("clients", &self.clients).finish_non_exhaustive()
    }
}

/// Why a text is not credentials. Holds nothing of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// It is not JSON of the right shape.
    #[error(
        "the credentials are not JSON of the form {{\"username\":\"…\",\"password\":\"…\"}} \
         or {{\"clients\":[…]}} (line {line}, column {column})"
    )]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// It names nobody.
    #[error("the credentials name no client")]
    Empty,
    /// A name or password is empty.
    #[error("client {0} of the credentials has an empty username or password")]
    Blank(usize),
    /// A name has a colon, which Basic authentication cannot carry (RFC 7617 §2).
    #[error("client {0} of the credentials has a colon in its username, which Basic authentication cannot carry")]
    Colon(usize),
    /// A name, password or key has a control character (RFC 7617 §2 forbids them).
    #[error(
        "{what} of the credentials has the control character U+{:04X} as character {position}, which clients cannot send: \
         remove that character from the file or secret",
        *.character as u32
    )]
    Control {
        /// Where it is, such as "the password of client 2".
        what: String,
        /// Which one.
        character: char,
        /// Its position in the text, from 1.
        position: usize,
    },
    /// A password is a hash that cannot be used.
    #[error("client {0} of the credentials has {1}")]
    Password(usize, PasswordError),
    /// The signing key is too short to be one.
    #[error("the credentials' signing_key has {0} bytes; it must have at least {SIGNING_KEY_BYTES}, and be random")]
    SigningKey(usize),
    /// A name or key of `event_hub_keys` is empty.
    #[error("key {0} of the credentials' event_hub_keys has an empty name or text")]
    EventHubKey(usize),
}

impl Credentials {
    /// Reads credentials from their JSON.
    ///
    /// # Errors
    /// [`CredentialsError`] where the text is something else. Only other text can help.
    pub fn parse(json: &str) -> Result<Self, CredentialsError> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(default)]
            clients: Vec<Client>,
            username: Option<String>,
            password: Option<Secret>,
            signing_key: Option<Secret>,
            #[serde(default)]
            event_hub_keys: BTreeMap<String, Secret>,
        }
        let shape = |line, column| CredentialsError::Shape { line, column };
        let document: Document = serde_json::from_str(json).map_err(|fault| shape(fault.line(), fault.column()))?;
        let mut clients = document.clients;
        match (document.username, document.password) {
            (Some(username), Some(password)) => clients.push(Client { username, password }),
            (None, None) => {}
            _ => return Err(shape(1, 1)),
        }
        let event_hub_keys: Vec<_> = document.event_hub_keys.into_iter().collect();
        for (index, (name, key)) in event_hub_keys.iter().enumerate() {
            let number = index + 1;
            if name.is_empty() || key.expose().is_empty() {
                return Err(CredentialsError::EventHubKey(number));
            }
            without_control(name, || format!("the name of key {number} in event_hub_keys"))?;
            without_control(key.expose(), || format!("the text of key {number} in event_hub_keys"))?;
        }
        if clients.is_empty() && event_hub_keys.is_empty() {
            return Err(CredentialsError::Empty);
        }
        let credentials = Self { event_hub_keys, ..Self::checked(clients)? };
        credentials.with_signing_keys(document.signing_key)
    }

    /// Credentials of these clients.
    ///
    /// # Errors
    /// [`CredentialsError`] where there is none, or one that Basic authentication cannot carry, or one whose password is
    /// a hash that cannot be used.
    pub fn of(clients: Vec<Client>) -> Result<Self, CredentialsError> {
        if clients.is_empty() { Err(CredentialsError::Empty) } else { Self::checked(clients) }
    }

    fn checked(clients: Vec<Client>) -> Result<Self, CredentialsError> {
        let mut passwords = Vec::with_capacity(clients.len());
        for (index, client) in clients.iter().enumerate() {
            if client.username.is_empty() || client.password.expose().is_empty() {
                return Err(CredentialsError::Blank(index + 1));
            }
            if client.username.contains(':') {
                return Err(CredentialsError::Colon(index + 1));
            }
            without_control(&client.username, || format!("the username of client {}", index + 1))?;
            without_control(client.password.expose(), || format!("the password of client {}", index + 1))?;
            let password = Password::read(&client.password);
            passwords.push(password.map_err(|fault| CredentialsError::Password(index + 1, fault))?);
        }
        Ok(Self { clients, passwords, signing_keys: Vec::new(), event_hub_keys: Vec::new() })
    }

    /// The same with these signing keys before its own, the newest first.
    ///
    /// # Errors
    /// [`CredentialsError::SigningKey`] if one is too short, [`CredentialsError::Control`] if one has a control character.
    pub fn with_signing_keys(mut self, keys: impl IntoIterator<Item = Secret>) -> Result<Self, CredentialsError> {
        let keys: Vec<_> = keys.into_iter().collect();
        if let Some(short) = keys.iter().map(|key| key.expose().len()).find(|length| *length < SIGNING_KEY_BYTES) {
            return Err(CredentialsError::SigningKey(short));
        }
        for key in &keys {
            without_control(key.expose(), || "the signing_key".to_owned())?;
        }
        self.signing_keys.splice(..0, keys);
        Ok(self)
    }

    /// The same, with everything in force beside it that was before a rotation: clients, signing keys and Event Hubs'
    /// keys. What signs stays the newest key.
    #[must_use]
    pub fn beside(mut self, previous: &Self) -> Self {
        self.clients.extend_from_slice(&previous.clients);
        self.passwords.extend_from_slice(&previous.passwords);
        self.signing_keys.extend_from_slice(&previous.signing_keys);
        self.event_hub_keys.extend_from_slice(&previous.event_hub_keys);
        self
    }

    /// The clients.
    #[must_use]
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// The keys that our tokens may be signed with, the one that signs first. None where none was given.
    #[must_use]
    pub fn signing_keys(&self) -> &[Secret] {
        &self.signing_keys
    }

    /// Event Hubs' keys with their names. A name may be there twice, after a rotation.
    #[must_use]
    pub fn event_hub_keys(&self) -> &[(String, Secret)] {
        &self.event_hub_keys
    }

    /// Names the credential that an enabled auth method requires and that is missing; `None` if all are there.
    #[must_use]
    pub fn lacks(&self, auth_methods: AuthMethods) -> Option<&'static str> {
        if self.clients.is_empty() && auth_methods.takes_pushes() {
            Some("the auth methods basic and oauth require a client, with username and password")
        } else if auth_methods.contains(AuthMethod::Oauth) && self.signing_keys.is_empty() {
            Some("the auth method oauth requires a signing_key of at least 32 random bytes")
        } else if auth_methods.contains(AuthMethod::EventHub) && self.event_hub_keys.is_empty() {
            Some("the auth method event-hub requires event_hub_keys")
        } else {
            None
        }
    }

    /// Each client with what its password is compared with.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Client, &Password)> {
        self.clients.iter().zip(&self.passwords)
    }
}

/// # Errors
/// [`CredentialsError::Control`] with the first control character of `text`, which is `what` of the credentials.
fn without_control(text: &str, what: impl FnOnce() -> String) -> Result<(), CredentialsError> {
    match text.chars().zip(1..).find(|(character, _)| character.is_control()) {
        Some((character, position)) => Err(CredentialsError::Control { what: what(), character, position }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(json: &str) -> CredentialsError {
        Credentials::parse(json).unwrap_err()
    }

    #[test]
    fn what_names_nobody_is_refused_without_repeating_it() {
        assert_eq!(fault("{}"), CredentialsError::Empty);
        assert_eq!(fault(r#"{"clients":[]}"#), CredentialsError::Empty);
        assert_eq!(fault(r#"{"username":"a","password":""}"#), CredentialsError::Blank(1));
        assert_eq!(fault(r#"{"username":"a:b","password":"c"}"#), CredentialsError::Colon(1));
        assert!(matches!(fault(r#"{"username":"hunter2"}"#), CredentialsError::Shape { .. }));
        assert!(!fault(r#"{"username":"a","password":7hunter2}"#).to_string().contains("hunter2"));
    }

    #[test]
    fn faults_of_keys_and_hashes_say_which_and_nothing_of_them() {
        let key =
            |length: usize| format!(r#"{{"username":"a","password":"b","signing_key":"{}"}}"#, "k".repeat(length));
        assert_eq!(fault(&key(31)), CredentialsError::SigningKey(31));
        assert!(Credentials::parse(&key(32)).is_ok());
        assert_eq!(
            fault(r#"{"username":"a","password":"b","event_hub_keys":{"send":""}}"#),
            CredentialsError::EventHubKey(1)
        );
        let hashed =
            fault(r#"{"clients":[{"username":"a","password":"b"},{"username":"c","password":"$argon2id$x"}]}"#);
        assert_eq!(hashed, CredentialsError::Password(2, PasswordError::Malformed));
        assert!(hashed.to_string().starts_with("client 2 of the credentials has a password hash that is not whole"));
    }

    #[test]
    fn a_control_character_is_refused_with_its_place_and_nothing_else_is() {
        let key = "k".repeat(32);
        for (json, what, character, position) in [
            (r#"{"username":"a\u0000b","password":"c"}"#.to_owned(), "the username of client 1", '\0', 2),
            (r#"{"username":"a","password":"hunter2\n"}"#.to_owned(), "the password of client 1", '\n', 8),
            (
                r#"{"clients":[{"username":"a","password":"é\u0085"}]}"#.to_owned(),
                "the password of client 1",
                '\u{85}',
                2,
            ),
            (format!(r#"{{"username":"a","password":"b","signing_key":"{key}\t"}}"#), "the signing_key", '\t', 33),
            (
                r#"{"event_hub_keys":{"a":"b","se\u007fnd":"c"}}"#.to_owned(),
                "the name of key 2 in event_hub_keys",
                '\u{7f}',
                3,
            ),
            (r#"{"event_hub_keys":{"send":"a2V5\r"}}"#.to_owned(), "the text of key 1 in event_hub_keys", '\r', 5),
        ] {
            assert_eq!(
                fault(&json),
                CredentialsError::Control { what: what.to_owned(), character, position },
                "{json}"
            );
        }
        let said = fault(r#"{"username":"a","password":"hunter2\n"}"#).to_string();
        assert_eq!(
            said,
            "the password of client 1 of the credentials has the control character U+000A as character 8, which clients \
             cannot send: remove that character from the file or secret"
        );
        let kept = r#"{"username":" smart clean é\u200b","password":" pass word \u00a0 "}"#;
        assert_eq!(Credentials::parse(kept).unwrap().clients()[0].password.expose(), " pass word \u{a0} ");
    }

    #[test]
    fn keys_for_event_hubs_door_need_no_client() {
        let known = Credentials::parse(r#"{"event_hub_keys":{"send":"a2V5"}}"#).unwrap();
        assert!(known.clients().is_empty());
        assert_eq!(known.event_hub_keys()[0].0, "send");
    }

    #[test]
    fn what_was_before_a_rotation_is_in_force_beside_and_does_not_sign() {
        let of = |letter: &str| {
            let key = letter.repeat(32);
            let json = format!(
                r#"{{"username":"u","password":"{letter}","signing_key":"{key}","event_hub_keys":{{"send":"{letter}"}}}}"#
            );
            Credentials::parse(&json).unwrap()
        };
        let both = of("n").beside(&of("o"));
        let passwords: Vec<_> = both.clients().iter().map(|client| client.password.expose()).collect();
        assert_eq!(passwords, ["n", "o"]);
        assert_eq!(both.signing_keys()[0].expose(), "n".repeat(32));
        assert_eq!((both.signing_keys().len(), both.event_hub_keys().len()), (2, 2));
        let own = both.with_signing_keys([Secret::new("x".repeat(32))]).unwrap();
        assert_eq!((own.signing_keys()[0].expose(), own.signing_keys().len()), ("x".repeat(32).as_str(), 3));
    }

    #[test]
    fn a_signing_key_of_its_own_secret_stands_alone_or_in_json() {
        for text in [r#"{"signing_key":"a key"}"#, "{\"signing_key\":\"a key\"}\n\n", "a key", "a key\n", "a key\r\n"] {
            assert_eq!(signing_key_of(&Secret::new(text.into())).expose(), "a key");
        }
    }

    #[test]
    fn of_a_signing_key_exactly_one_line_break_is_cut_off() {
        let key = format!(" {} ", "k".repeat(32));
        let read = |end: &str| {
            let key = signing_key_of(&Secret::new(format!("{key}{end}")));
            Credentials::default().with_signing_keys([key]).map(|known| known.signing_keys()[0].expose().to_owned())
        };
        for end in ["", "\n", "\r\n"] {
            assert_eq!(read(end).unwrap(), key, "spaces are part of it: {end:?}");
        }
        for (end, character) in [("\n\n", '\n'), ("\r\n\n", '\r'), ("\n\r\n", '\n'), ("\r", '\r'), ("\t", '\t')] {
            let what = "the signing_key".to_owned();
            assert_eq!(read(end).unwrap_err(), CredentialsError::Control { what, character, position: 35 }, "{end:?}");
        }
    }

    #[test]
    fn an_open_door_needs_its_keys() {
        let bare = Credentials::parse(r#"{"username":"u","password":"p"}"#).unwrap();
        let lacks = |auth_methods: &str| bare.lacks(auth_methods.parse().unwrap()).is_some();
        assert!(!lacks("basic,iot"));
        assert!(lacks("oauth") && lacks("basic,event-hub"));
        let nobody = Credentials::parse(
            r#"{"event_hub_keys":{"send":"a2V5"},"signing_key":"a-key-of-thirty-two-bytes-or-more"}"#,
        )
        .unwrap();
        let lacks = |auth_methods: &str| nobody.lacks(auth_methods.parse().unwrap()).is_some();
        assert!(!lacks("event-hub,iot"));
        assert!(lacks("basic,event-hub") && lacks("oauth"));
    }

    #[test]
    fn a_secret_does_not_print() {
        let json = r#"{"username":"u","password":"hunter2","signing_key":"hunter2-hunter2-hunter2-hunter2-h",
                       "event_hub_keys":{"send":"hunter2"}}"#;
        let printed = format!("{:?}", Credentials::parse(json).unwrap());
        assert_eq!(printed, r#"Credentials { clients: [Client { username: "u", password: Secret(..) }], .. }"#);
    }
}
