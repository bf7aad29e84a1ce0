//! The credentials of all clients, as the operator's secret or file contains them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::method::{AuthMethod, AuthMethods};
use super::password::{Password, is_supported_hash};
use super::secret::Secret;

/// Least length of a signing key, in bytes: that of the HMAC's digest (RFC 7518 §3.2).
pub(super) const SIGNING_KEY_BYTES: usize = 32;

/// Parses a secret that contains only a signing key: `{"signing_key":"…"}`, or the key itself. A line break at the end, which editors
/// and `echo` add, is not part of the key.
#[must_use]
pub fn parse_signing_key(text: &Secret) -> Secret {
    #[derive(Deserialize)]
    struct SigningKeyDocument {
        signing_key: Secret,
    }
    let text = text.expose();
    serde_json::from_str(text).map_or_else(
        |_| Secret::new(text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(text).to_owned()),
        |document: SigningKeyDocument| document.signing_key,
    )
}

/// A client that may push.
#[derive(Clone, Debug, Deserialize)]
pub struct Client {
    /// The name, which appears in logs. The client id in token requests.
    pub username: String,
    /// The password, or its hash: `$argon2id$…` or `$scrypt$…`.
    pub password: Secret,
}

impl Client {
    /// Whether the password is stored as a hash.
    #[must_use]
    pub fn has_hash(&self) -> bool {
        is_supported_hash(self.password.expose())
    }
}

/// The clients that may push, and the keys of tokens and signatures.
#[derive(Clone, Default)]
pub struct Credentials {
    clients: Vec<Client>,
    /// In the order of the clients.
    passwords: Vec<Password>,
    /// The first one signs.
    signing_keys: Vec<Secret>,
    /// The Event Hubs keys with their names. After a rotation a name can occur twice.
    pub(super) event_hub_keys: Vec<(String, Secret)>,
    /// Secrets that the rules name.
    secrets: BTreeMap<String, Secret>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("clients", &self.clients).finish_non_exhaustive()
    }
}

/// What is wrong with the credentials, as a sentence without any part of them. A retry cannot help: the operator has to correct the
/// file or secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CredentialsError(String);

impl Credentials {
    /// Parses `{"clients":[{"username":"…","password":"…"}],"signing_key":"…","event_hub_keys":{"name":"key text"},
    /// "secrets":{"name":"…"}}`, or `{"username":"…","password":"…"}` for one client. Clients are optional if there are Event Hubs keys; the other members are
    /// always optional.
    ///
    /// # Errors
    /// [`CredentialsError`] if the text is invalid. A retry cannot help.
    ///
    /// # Examples
    /// ```
    /// use auth::Credentials;
    ///
    /// let credentials = Credentials::parse(r#"{"username":"smartclean","password":"s3cret"}"#)?;
    /// assert_eq!(credentials.clients()[0].username, "smartclean");
    /// assert!(Credentials::parse("{}").unwrap_err().to_string().contains("name no client"));
    /// # Ok::<(), auth::CredentialsError>(())
    /// ```
    pub fn parse(json: &str) -> Result<Self, CredentialsError> {
        #[derive(Deserialize)]
        struct CredentialsDocument {
            #[serde(default)]
            clients: Vec<Client>,
            username: Option<String>,
            password: Option<Secret>,
            signing_key: Option<Secret>,
            #[serde(default)]
            event_hub_keys: BTreeMap<String, Secret>,
            #[serde(default)]
            secrets: BTreeMap<String, Secret>,
        }
        let shape = |line, column| {
            CredentialsError(format!(
                "the credentials are not JSON of the form {{\"username\":\"…\",\"password\":\"…\"}} or \
                 {{\"clients\":[…]}} (line {line}, column {column})"
            ))
        };
        let document: CredentialsDocument =
            serde_json::from_str(json).map_err(|error| shape(error.line(), error.column()))?;
        let mut clients = document.clients;
        match (document.username, document.password) {
            (Some(username), Some(password)) => clients.push(Client { username, password }),
            (None, None) => {}
            _ => return Err(shape(1, 1)),
        }
        let event_hub_keys: Vec<_> = document.event_hub_keys.into_iter().collect();
        for (number, (name, key)) in (1..).zip(&event_hub_keys) {
            if name.is_empty() || key.expose().is_empty() {
                return invalid(format!("key {number} of the credentials' event_hub_keys has an empty name or text"));
            }
            reject_control(name, || format!("the name of key {number} in event_hub_keys"))?;
            reject_control(key.expose(), || format!("the text of key {number} in event_hub_keys"))?;
        }
        if clients.is_empty() && event_hub_keys.is_empty() {
            return invalid("the credentials name no client: add one with username and password");
        }
        let credentials = Self { event_hub_keys, secrets: document.secrets, ..Self::from_clients(clients)? };
        credentials.with_signing_keys(document.signing_key)
    }

    /// Credentials of these clients.
    ///
    /// # Errors
    /// [`CredentialsError`] if a name or password is invalid. A retry cannot help.
    pub fn from_clients(clients: Vec<Client>) -> Result<Self, CredentialsError> {
        let mut passwords = Vec::with_capacity(clients.len());
        for (number, client) in (1..).zip(&clients) {
            if client.username.is_empty() || client.password.expose().is_empty() {
                return invalid(format!("client {number} of the credentials has an empty username or password"));
            }
            // RFC 7617 §2.
            if client.username.contains(':') {
                return invalid(format!(
                    "client {number} of the credentials has a colon in its username, which Basic authentication cannot carry"
                ));
            }
            reject_control(&client.username, || format!("the username of client {number}"))?;
            reject_control(client.password.expose(), || format!("the password of client {number}"))?;
            match Password::parse(&client.password) {
                Ok(password) => passwords.push(password),
                Err(error) => return invalid(format!("client {number} of the credentials has {error}")),
            }
        }
        Ok(Self { clients, passwords, ..Self::default() })
    }

    /// Adds signing keys before the present ones, the newest first.
    ///
    /// # Errors
    /// [`CredentialsError`] if a key is too short or has a control character. A retry cannot help.
    pub fn with_signing_keys(mut self, keys: impl IntoIterator<Item = Secret>) -> Result<Self, CredentialsError> {
        let keys: Vec<_> = keys.into_iter().collect();
        if let Some(short) = keys.iter().map(|key| key.expose().len()).find(|length| *length < SIGNING_KEY_BYTES) {
            return invalid(format!(
                "the credentials' signing_key has {short} bytes; it must have at least {SIGNING_KEY_BYTES}, and be random"
            ));
        }
        for key in &keys {
            reject_control(key.expose(), || "the signing_key".to_owned())?;
        }
        self.signing_keys.splice(..0, keys);
        Ok(self)
    }

    /// Adds the clients and keys from before a rotation, which stay valid for a time. The newest key still signs.
    #[must_use]
    pub fn with_previous(mut self, previous: &Self) -> Self {
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

    /// The keys that verify our tokens. The first one signs.
    #[must_use]
    pub fn signing_keys(&self) -> &[Secret] {
        &self.signing_keys
    }

    /// A secret that the rules name, such as the password of an SMTP server.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)
    }

    /// The credential that an enabled auth method requires and that is missing, as a sentence; `None` if there is none.
    #[must_use]
    pub fn missing_for(&self, auth_methods: AuthMethods) -> Option<&'static str> {
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

    pub(super) fn clients_with_passwords(&self) -> impl Iterator<Item = (&Client, &Password)> {
        self.clients.iter().zip(&self.passwords)
    }
}

fn invalid<T>(text: impl Into<String>) -> Result<T, CredentialsError> {
    Err(CredentialsError(text.into()))
}

/// RFC 7617 §2 permits no control character.
fn reject_control(text: &str, field: impl FnOnce() -> String) -> Result<(), CredentialsError> {
    let Some((position, character)) = (1..).zip(text.chars()).find(|(_, character)| character.is_control()) else {
        return Ok(());
    };
    invalid(format!(
        "{} of the credentials has the control character U+{:04X} as character {position}, which clients cannot send: remove \
         that character from the file or secret",
        field(),
        character as u32
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &str) -> String {
        Credentials::parse(json).unwrap_err().to_string()
    }

    fn control(field: &str, character: char, position: usize) -> String {
        let character = character as u32;
        format!("{field} of the credentials has the control character U+{character:04X} as character {position}, ")
    }

    #[test]
    fn invalid_credentials_are_rejected_without_repeating_them() {
        for (json, expected) in [
            ("{}", "the credentials name no client"),
            (r#"{"clients":[]}"#, "the credentials name no client"),
            (r#"{"username":"a","password":""}"#, "client 1 of the credentials has an empty username or password"),
            (r#"{"username":"a:b","password":"c"}"#, "client 1 of the credentials has a colon in its username"),
            (r#"{"username":"hunter2"}"#, "the credentials are not JSON of the form "),
        ] {
            let error = error(json);
            assert!(error.starts_with(expected) && !error.contains("hunter2"), "{error}");
        }
        assert!(!error(r#"{"username":"a","password":7hunter2}"#).contains("hunter2"));
    }

    #[test]
    fn errors_of_keys_and_hashes_name_them_without_repeating_them() {
        let key =
            |length: usize| format!(r#"{{"username":"a","password":"b","signing_key":"{}"}}"#, "k".repeat(length));
        assert!(error(&key(31)).starts_with("the credentials' signing_key has 31 bytes"));
        assert!(Credentials::parse(&key(32)).is_ok());
        let empty = error(r#"{"username":"a","password":"b","event_hub_keys":{"send":""}}"#);
        assert_eq!(empty, "key 1 of the credentials' event_hub_keys has an empty name or text");
        let hashed =
            error(r#"{"clients":[{"username":"a","password":"b"},{"username":"c","password":"$argon2id$x"}]}"#);
        assert!(hashed.starts_with("client 2 of the credentials has an incomplete password hash"));
    }

    #[test]
    fn a_control_character_is_rejected_with_its_position_and_other_characters_are_accepted() {
        let key = "k".repeat(32);
        for (json, field, character, position) in [
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
            assert!(error(&json).starts_with(&control(field, character, position)), "{json}");
        }
        let message = error(r#"{"username":"a","password":"hunter2\n"}"#);
        assert_eq!(
            message,
            "the password of client 1 of the credentials has the control character U+000A as character 8, which clients \
             cannot send: remove that character from the file or secret"
        );
        let accepted = r#"{"username":" smart clean é\u200b","password":" pass word \u00a0 "}"#;
        assert_eq!(Credentials::parse(accepted).unwrap().clients()[0].password.expose(), " pass word \u{a0} ");
    }

    #[test]
    fn secrets_have_names() {
        let known = Credentials::parse(r#"{"username":"u","password":"p","secrets":{"smtp":"hunter2"}}"#).unwrap();
        assert_eq!(known.secret("smtp").unwrap().expose(), "hunter2");
        assert!(known.secret("webhook").is_none());
    }

    #[test]
    fn event_hub_keys_need_no_client() {
        let known = Credentials::parse(r#"{"event_hub_keys":{"send":"a2V5"}}"#).unwrap();
        assert!(known.clients().is_empty());
        assert_eq!(known.event_hub_keys[0].0, "send");
    }

    #[test]
    fn credentials_from_before_a_rotation_stay_valid_and_do_not_sign() {
        let parsed = |letter: &str| {
            let key = letter.repeat(32);
            let json = format!(
                r#"{{"username":"u","password":"{letter}","signing_key":"{key}","event_hub_keys":{{"send":"{letter}"}}}}"#
            );
            Credentials::parse(&json).unwrap()
        };
        let both = parsed("n").with_previous(&parsed("o"));
        let passwords: Vec<_> = both.clients().iter().map(|client| client.password.expose()).collect();
        assert_eq!(passwords, ["n", "o"]);
        assert_eq!(both.signing_keys()[0].expose(), "n".repeat(32));
        assert_eq!((both.signing_keys().len(), both.event_hub_keys.len()), (2, 2));
        let own = both.with_signing_keys([Secret::new("x".repeat(32))]).unwrap();
        assert_eq!((own.signing_keys()[0].expose(), own.signing_keys().len()), ("x".repeat(32).as_str(), 3));
    }

    #[test]
    fn a_signing_key_is_plain_text_or_json() {
        for text in [r#"{"signing_key":"a key"}"#, "{\"signing_key\":\"a key\"}\n\n", "a key", "a key\n", "a key\r\n"] {
            assert_eq!(parse_signing_key(&Secret::new(text.into())).expose(), "a key");
        }
    }

    #[test]
    fn exactly_one_line_break_is_removed_from_a_signing_key() {
        let key = format!(" {} ", "k".repeat(32));
        let read = |end: &str| {
            let key = parse_signing_key(&Secret::new(format!("{key}{end}")));
            Credentials::default().with_signing_keys([key]).map(|known| known.signing_keys()[0].expose().to_owned())
        };
        for end in ["", "\n", "\r\n"] {
            assert_eq!(read(end).unwrap(), key, "spaces belong to the key: {end:?}");
        }
        for (end, character) in [("\n\n", '\n'), ("\r\n\n", '\r'), ("\n\r\n", '\n'), ("\r", '\r'), ("\t", '\t')] {
            let error = read(end).unwrap_err().to_string();
            assert!(error.starts_with(&control("the signing_key", character, 35)), "{end:?}: {error}");
        }
    }

    #[test]
    fn each_auth_method_requires_its_credentials() {
        let bare = Credentials::parse(r#"{"username":"u","password":"p"}"#).unwrap();
        let is_missing = |auth_methods: &str| bare.missing_for(auth_methods.parse().unwrap()).is_some();
        assert!(!is_missing("basic,iot"));
        assert!(is_missing("oauth") && is_missing("basic,event-hub"));
        let nobody = Credentials::parse(
            r#"{"event_hub_keys":{"send":"a2V5"},"signing_key":"a-key-of-thirty-two-bytes-or-more"}"#,
        )
        .unwrap();
        let is_missing = |auth_methods: &str| nobody.missing_for(auth_methods.parse().unwrap()).is_some();
        assert!(!is_missing("event-hub,iot"));
        assert!(is_missing("basic,event-hub") && is_missing("oauth"));
    }

    #[test]
    fn credentials_do_not_print_secrets() {
        let json = r#"{"username":"u","password":"hunter2","signing_key":"hunter2-hunter2-hunter2-hunter2-h",
                       "event_hub_keys":{"send":"hunter2"}}"#;
        let printed = format!("{:?}", Credentials::parse(json).unwrap());
        assert_eq!(printed, r#"Credentials { clients: [Client { username: "u", password: Secret(..) }], .. }"#);
    }
}
