//! Authentication: Basic (RFC 7617), OAuth tokens (RFC 6749) and the shared access signatures of Azure Event Hubs. Also signs calls of
//! the webhook. All functions are pure: they depend on the credentials, on the request and on the time that they are given.
//!
//! Secrets are compared by SHA-256 digest or HMAC in constant time, so that the duration says nothing about a guess.

mod basic;
mod credentials;
mod method;
mod password;
mod secret;
mod signature;
mod token;
mod webhook;

pub use self::basic::{HashCheck, Login, LoginCheck};
pub use self::credentials::{Client, Credentials, CredentialsError, parse_signing_key};
pub use self::method::{AuthMethod, AuthMethods, AuthMethodsError};
pub use self::secret::Secret;
pub use self::signature::SharedAccessSignature;
pub use self::token::{ACCESS_SECONDS, SCOPE, TokenError, TokenPair};
pub use self::webhook::WebhookKey;

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// Fails to compile if one of the types is `Debug`: then both implementations apply, and the call is ambiguous.
    #[test]
    fn types_that_contain_credentials_are_not_debug() {
        trait NotDebug<Marker> {
            fn check() {}
        }
        struct IsDebug;
        impl<T: ?Sized> NotDebug<()> for T {}
        impl<T: ?Sized + Debug> NotDebug<IsDebug> for T {}
        <SharedAccessSignature as NotDebug<_>>::check();
        <HashCheck as NotDebug<_>>::check();
        <LoginCheck<'_> as NotDebug<_>>::check();
        <TokenPair as NotDebug<_>>::check();
    }
}
