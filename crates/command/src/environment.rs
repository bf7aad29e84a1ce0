//! Reads credentials from the environment.

#![expect(clippy::disallowed_methods, reason = "the one file of the command that reads the environment")]

use smartclean_push::auth::{Client, Secret};

use crate::Failure;

/// The client of `PUSH_USERNAME` and `PUSH_PASSWORD`; `None` if neither is set.
pub(super) fn client() -> Result<Option<Client>, Failure> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("PUSH_USERNAME"), variable("PUSH_PASSWORD")) {
        (Some(username), Some(password)) => Ok(Some(Client { username, password: Secret::new(password) })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Failure::new("PUSH_USERNAME is set and PUSH_PASSWORD is not: set both or neither")),
        (None, Some(_)) => Err(Failure::new("PUSH_PASSWORD is set and PUSH_USERNAME is not: set both or neither")),
    }
}
