//! Auth methods, and the set of enabled ones.

use std::fmt;
use std::str::FromStr;

domain::words! {
    /// How a client authenticates.
    pub enum AuthMethod {
        /// Basic authentication, RFC 7617.
        Basic = "basic",
        /// Bearer tokens (RFC 6750) that `POST /oauth2/token` issues.
        Oauth = "oauth",
        /// The send call of Azure Event Hubs, with its shared access signature.
        EventHub = "event-hub",
        /// Messages on an AWS IoT topic. A topic rule invokes the function; no HTTP is involved.
        Iot = "iot",
    }
}

/// The enabled auth methods, at least one. The default is Basic alone.
///
/// # Examples
/// ```
/// use auth::{AuthMethod, AuthMethods};
///
/// let methods: AuthMethods = "oauth,event-hub".parse()?;
/// assert!(methods.contains(AuthMethod::Oauth) && !methods.contains(AuthMethod::Basic));
/// # Ok::<(), auth::AuthMethodsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthMethods(u8);

/// The list of auth methods is empty or has an unknown name. A retry cannot help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}: use basic, oauth, event-hub or iot, separated by commas")]
pub struct AuthMethodsError(String);

impl AuthMethods {
    /// Enables these auth methods and no others.
    #[must_use]
    pub fn new(methods: &[AuthMethod]) -> Self {
        Self(methods.iter().fold(0, |bits, method| bits | 1 << *method as u8))
    }

    /// Whether clients can push with a password or a token.
    #[must_use]
    pub fn takes_pushes(self) -> bool {
        self.contains(AuthMethod::Basic) || self.contains(AuthMethod::Oauth)
    }

    /// Whether `method` is enabled.
    #[must_use]
    pub fn contains(self, method: AuthMethod) -> bool {
        self.0 & 1 << method as u8 != 0
    }
}

impl Default for AuthMethods {
    fn default() -> Self {
        Self::new(&[AuthMethod::Basic])
    }
}

impl FromStr for AuthMethods {
    type Err = AuthMethodsError;

    /// Reads a list such as `basic,oauth`. Case, spaces around a name, and naming one twice do not matter.
    fn from_str(list: &str) -> Result<Self, AuthMethodsError> {
        let mut methods = Vec::new();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let known = AuthMethod::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(name));
            methods.push(known.ok_or_else(|| AuthMethodsError(format!("unknown auth method \"{name}\"")))?);
        }
        if methods.is_empty() {
            return Err(AuthMethodsError("the list of auth methods is empty".to_owned()));
        }
        Ok(Self::new(&methods))
    }
}

impl fmt::Display for AuthMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let enabled: Vec<_> =
            AuthMethod::ALL.into_iter().filter(|method| self.contains(*method)).map(AuthMethod::as_str).collect();
        f.write_str(&enabled.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_enables_exactly_the_methods_that_it_names() {
        for (list, enabled) in [
            ("basic", "basic"),
            ("oauth,basic", "basic,oauth"),
            (" Event-Hub , IOT,", "event-hub,iot"),
            ("basic,oauth,event-hub,iot", "basic,oauth,event-hub,iot"),
            ("oauth,oauth", "oauth"),
        ] {
            assert_eq!(list.parse::<AuthMethods>().unwrap().to_string(), enabled);
        }
        assert_eq!(AuthMethods::default().to_string(), "basic");
    }

    #[test]
    fn an_unknown_name_is_reported_with_the_known_ones() {
        let message = "basic,oauht".parse::<AuthMethods>().unwrap_err().to_string();
        assert!(message.contains("\"oauht\"") && message.contains("basic, oauth, event-hub or iot"), "{message}");
        for empty in ["", " , "] {
            let message = empty.parse::<AuthMethods>().unwrap_err().to_string();
            assert!(message.starts_with("the list of auth methods is empty: use basic"), "{message}");
        }
        assert!("eventhub".parse::<AuthMethods>().is_err());
    }
}
