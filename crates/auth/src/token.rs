//! Our own OAuth tokens: issued by `POST /oauth2/token`, verified with each push.

use serde::Deserialize;
use serde_json::json;

use super::credentials::Credentials;
use super::jwt::{self, TokenError, TokenTimes};

/// Lifetime of an access token, in seconds. After a client is removed, its tokens work for at most this long.
pub const ACCESS_SECONDS: i64 = 900;
/// Lifetime of a refresh token, in seconds: 90 days. Each use gives a new one.
const REFRESH_SECONDS: i64 = 90 * 86_400;
/// The only scope.
pub const SCOPE: &str = "push";
/// The issuer and the audience of our tokens.
const ISSUER: &str = "smartclean-push";
/// RFC 9068 §2.1. The kind is signed, so that no token can be used as the other.
const ACCESS: &str = "at+jwt";
const REFRESH: &str = "refresh+jwt";

/// The tokens that a client gets. Not `Debug`, so that no log contains them.
#[derive(Clone)]
pub struct TokenPair {
    /// Authenticates pushes.
    pub access: String,
    /// Gets the next pair.
    pub refresh: String,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    scope: String,
    #[serde(flatten)]
    times: TokenTimes,
}

impl Credentials {
    /// Issues tokens to `client` at `now`, in Unix seconds. `id` must be unique. `None` if there is no signing key; a retry helps only
    /// after the operator adds one.
    ///
    /// # Examples
    /// ```
    /// use auth::Credentials;
    ///
    /// let json = r#"{"username":"u","password":"p","signing_key":"a-key-of-thirty-two-bytes-or-more"}"#;
    /// let credentials = Credentials::parse(json).unwrap();
    /// let tokens = credentials.issue_tokens("u", "id-1", 1_800_000_000).unwrap();
    /// assert_eq!(credentials.verify_access_token(&tokens.access, 1_800_000_060).unwrap(), "u");
    /// assert!(credentials.verify_access_token(&tokens.refresh, 1_800_000_060).is_err());
    /// ```
    #[must_use]
    pub fn issue_tokens(&self, client: &str, id: &str, now: i64) -> Option<TokenPair> {
        let key = self.signing_keys().first()?.expose().as_bytes();
        let token = |kind: &str, seconds: i64, suffix: &str| {
            let claims = json!({
                "iss": ISSUER, "sub": client, "aud": ISSUER, "scope": SCOPE,
                "iat": now, "exp": now + seconds, "jti": format!("{id}-{suffix}"),
            });
            jwt::sign(kind, &claims, key)
        };
        Some(TokenPair { access: token(ACCESS, ACCESS_SECONDS, "a")?, refresh: token(REFRESH, REFRESH_SECONDS, "r")? })
    }

    /// The client of an access token that is valid at `now`, in Unix seconds.
    ///
    /// # Errors
    /// [`TokenError`] if the token is not valid. A retry with the same token cannot help.
    pub fn verify_access_token(&self, token: &str, now: i64) -> Result<String, TokenError> {
        self.verify_token(ACCESS, token, now)
    }

    /// The client of a refresh token that is valid at `now`, in Unix seconds.
    ///
    /// # Errors
    /// [`TokenError`] if the token is not valid. A retry with the same token cannot help.
    pub fn verify_refresh_token(&self, token: &str, now: i64) -> Result<String, TokenError> {
        self.verify_token(REFRESH, token, now)
    }

    fn verify_token(&self, kind: &str, token: &str, now: i64) -> Result<String, TokenError> {
        let keys = self.signing_keys().iter().map(|key| key.expose().as_bytes());
        let claims: Claims = jwt::verify(token, kind, keys)?;
        if claims.iss != ISSUER {
            return Err(TokenError::Issuer);
        }
        if claims.aud != ISSUER {
            return Err(TokenError::Audience);
        }
        claims.times.verify(now)?;
        if claims.scope != SCOPE {
            return Err(TokenError::Scope);
        }
        // The client may have been removed since the token was issued.
        let is_known = self.clients().iter().any(|client| client.username == claims.sub);
        if is_known { Ok(claims.sub) } else { Err(TokenError::Client) }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn credentials(letter: &str) -> Credentials {
        let key = letter.repeat(32);
        Credentials::parse(&format!(r#"{{"username":"u","password":"p","signing_key":"{key}"}}"#)).unwrap()
    }

    fn part(token: &str, index: usize) -> Value {
        let part = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    /// A correctly signed token with these changes to the claims.
    fn signed(kind: &str, changes: &Value) -> String {
        let mut claims =
            json!({"iss": ISSUER, "sub": "u", "aud": ISSUER, "scope": SCOPE, "iat": NOW, "exp": NOW + 900});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        jwt::sign(kind, &claims, "k".repeat(32).as_bytes()).unwrap()
    }

    #[test]
    fn an_access_token_has_client_scope_and_expiry() {
        let issued = credentials("k").issue_tokens("u", "id", NOW).unwrap();
        assert_eq!(part(&issued.access, 0), json!({"typ": "at+jwt", "alg": "HS256"}));
        assert_eq!(
            part(&issued.access, 1),
            json!({"iss": ISSUER, "sub": "u", "aud": ISSUER, "scope": "push", "iat": NOW, "exp": NOW + 900, "jti": "id-a"})
        );
    }

    #[test]
    fn each_token_is_valid_for_its_own_use_until_it_expires() {
        let known = credentials("k");
        let issued = known.issue_tokens("u", "id", NOW).unwrap();
        assert_eq!(known.verify_access_token(&issued.access, NOW).unwrap(), "u");
        assert_eq!(known.verify_access_token(&issued.access, NOW + 959).unwrap(), "u");
        assert_eq!(known.verify_access_token(&issued.access, NOW + 960), Err(TokenError::Expired));
        assert_eq!(known.verify_access_token(&issued.access, NOW - 61), Err(TokenError::Early));
        assert_eq!(known.verify_refresh_token(&issued.refresh, NOW + 80 * 86_400).unwrap(), "u");
        assert_eq!(known.verify_access_token(&issued.refresh, NOW), Err(TokenError::Kind));
        assert_eq!(known.verify_refresh_token(&issued.access, NOW), Err(TokenError::Kind));
    }

    #[test]
    fn tokens_stay_valid_after_one_rotation_and_not_after_two() {
        let issued = credentials("1").issue_tokens("u", "id", NOW).unwrap();
        let once = credentials("2").with_previous(&credentials("1"));
        assert_eq!(once.verify_access_token(&issued.access, NOW).unwrap(), "u");
        assert_eq!(once.verify_refresh_token(&issued.refresh, NOW).unwrap(), "u");
        let twice = credentials("3").with_previous(&credentials("2"));
        assert_eq!(twice.verify_refresh_token(&issued.refresh, NOW), Err(TokenError::Signature));
        assert!(
            once.issue_tokens("u", "id", NOW).is_some_and(|new| twice.verify_access_token(&new.access, NOW).is_ok())
        );
    }

    #[test]
    fn each_wrong_claim_has_its_own_error() {
        let known = credentials("k");
        assert_eq!(known.verify_access_token(&signed(ACCESS, &json!({})), NOW).unwrap(), "u");
        for (changes, error) in [
            (json!({"iss": "somebody"}), TokenError::Issuer),
            (json!({"aud": "somebody"}), TokenError::Audience),
            (json!({"aud": [ISSUER]}), TokenError::Malformed),
            (json!({"exp": NOW - 60}), TokenError::Expired),
            (json!({"exp": null}), TokenError::Malformed),
            (json!({"exp": "9999999999"}), TokenError::Malformed),
            (json!({"nbf": NOW + 61}), TokenError::Early),
            (json!({"scope": "pull"}), TokenError::Scope),
            (json!({"sub": "gone"}), TokenError::Client),
        ] {
            assert_eq!(known.verify_access_token(&signed(ACCESS, &changes), NOW), Err(error), "{changes}");
        }
        assert_eq!(known.verify_access_token(&signed("JWT", &json!({})), NOW), Err(TokenError::Kind));
    }

    #[test]
    fn a_token_of_another_key_or_algorithm_is_rejected() {
        let known = credentials("k");
        let good = signed(ACCESS, &json!({}));
        let (message, signature) = good.rsplit_once('.').unwrap();
        let payload = message.split_once('.').unwrap().1;
        let with_header =
            |header: Value| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()));
        for (token, error) in [
            (with_header(json!({"alg": "none", "typ": ACCESS})), TokenError::Malformed),
            (with_header(json!({"alg": "HS512", "typ": ACCESS})), TokenError::Malformed),
            (with_header(json!({"alg": "RS256", "typ": ACCESS})), TokenError::Malformed),
            (with_header(json!({"alg": "HS256", "typ": ACCESS, "x": 1})), TokenError::Signature),
            (format!("{message}."), TokenError::Signature),
            (message.to_owned(), TokenError::Malformed),
            (good[..good.len() - 1].to_owned(), TokenError::Malformed),
            (good.replace('.', " "), TokenError::Malformed),
        ] {
            assert_eq!(known.verify_access_token(&token, NOW), Err(error), "{token}");
        }
        assert_eq!(credentials("x").verify_access_token(&good, NOW), Err(TokenError::Signature));
        let keyless = Credentials::parse(r#"{"username":"u","password":"p"}"#).unwrap();
        assert_eq!(keyless.verify_access_token(&good, NOW), Err(TokenError::Signature));
        assert!(keyless.issue_tokens("u", "id", NOW).is_none());
    }
}
