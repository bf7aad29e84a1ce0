//! The credentials that the environment may hold.

#![expect(clippy::disallowed_methods, reason = "the location where the environment is read")]

use smartclean_push::auth::{Client, Secret};

use crate::Failure;

/// The variable that holds the username.
const USERNAME: &str = "PUSH_USERNAME";
/// The variable that holds the password.
const PASSWORD: &str = "PUSH_PASSWORD";

/// The client of `PUSH_USERNAME` and `PUSH_PASSWORD`; `None` where neither is set.
pub(super) fn client() -> Result<Option<Client>, Failure> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable(USERNAME), variable(PASSWORD)) {
        (Some(username), Some(password)) => Ok(Some(Client { username, password: Secret::new(password) })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Failure::new(format!("{USERNAME} is set and {PASSWORD} is not: set both or neither"))),
        (None, Some(_)) => Err(Failure::new(format!("{PASSWORD} is set and {USERNAME} is not: set both or neither"))),
    }
}
