//! Our own OAuth tokens: what `POST /oauth2/token` gives, and what comes back with a push.

use serde::{Deserialize, Serialize};

use super::credentials::Credentials;
use super::jwt::{self, Times, TokenError};

/// How long an access token lasts, in seconds. A password that is taken away stops working for new tokens at once, and
/// for those given before after as long.
pub const ACCESS_SECONDS: i64 = 900;
/// How long a refresh token lasts, in seconds: 90 days. Each use gives a new one.
const REFRESH_SECONDS: i64 = 90 * 86_400;
/// The one scope there is.
pub const SCOPE: &str = "push";
/// Who made a token, and whom it is for.
const OURSELVES: &str = "smartclean-push";
/// RFC 9068 §2.1. The kind is signed too, so that neither can be used as the other.
const ACCESS: &str = "at+jwt";
const REFRESH: &str = "refresh+jwt";

/// The two tokens that a client is given.
#[derive(Clone, Debug)]
pub struct Issued {
    /// For pushing.
    pub access: String,
    /// For the next pair.
    pub refresh: String,
}

#[derive(Debug, Serialize)]
struct Claims<'c> {
    iss: &'c str,
    sub: &'c str,
    aud: &'c str,
    scope: &'c str,
    iat: i64,
    exp: i64,
    jti: &'c str,
}

#[derive(Debug, Deserialize)]
struct Verified {
    iss: String,
    sub: String,
    aud: String,
    scope: String,
    #[serde(flatten)]
    times: Times,
}

impl Credentials {
    /// Tokens for `client`, made at `now` (Unix seconds). `id` names them and no others. `None` where there is no signing
    /// key, which only other credentials can change.
    #[must_use]
    pub fn issue(&self, client: &str, id: &str, now: i64) -> Option<Issued> {
        let key = self.signing_keys().first()?.expose().as_bytes();
        let token = |kind: &str, lasts: i64, jti: &str| {
            let (iss, aud) = (OURSELVES, OURSELVES);
            let claims = Claims { iss, sub: client, aud, scope: SCOPE, iat: now, exp: now + lasts, jti };
            jwt::signed(kind, &claims, key)
        };
        let access = token(ACCESS, ACCESS_SECONDS, &format!("{id}-a"))?;
        Some(Issued { access, refresh: token(REFRESH, REFRESH_SECONDS, &format!("{id}-r"))? })
    }

    /// The client that an access token of ours was given to, at `now` in Unix seconds.
    ///
    /// # Errors
    /// [`TokenError`] where it is not one, or no longer.
    pub fn check_access(&self, token: &str, now: i64) -> Result<String, TokenError> {
        self.check_token(ACCESS, token, now)
    }

    /// The client that a refresh token of ours was given to, at `now` in Unix seconds.
    ///
    /// # Errors
    /// [`TokenError`] where it is not one, or no longer.
    pub fn check_refresh(&self, token: &str, now: i64) -> Result<String, TokenError> {
        self.check_token(REFRESH, token, now)
    }

    fn check_token(&self, kind: &str, token: &str, now: i64) -> Result<String, TokenError> {
        let keys = self.signing_keys().iter().map(|key| key.expose().as_bytes());
        let claims: Verified = jwt::verified(token, kind, keys)?;
        if claims.iss != OURSELVES {
            return Err(TokenError::Issuer);
        }
        if claims.aud != OURSELVES {
            return Err(TokenError::Audience);
        }
        claims.times.check(now)?;
        if claims.scope != SCOPE {
            return Err(TokenError::Scope);
        }
        // Whoever is no client any more has no use for a token.
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

    /// A token that says this, rightly signed.
    fn signed(kind: &str, changes: &Value) -> String {
        let mut claims =
            json!({"iss": OURSELVES, "sub": "u", "aud": OURSELVES, "scope": SCOPE, "iat": NOW, "exp": NOW + 900});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        jwt::signed(kind, &claims, "k".repeat(32).as_bytes()).unwrap()
    }

    #[test]
    fn an_access_token_says_who_for_what_and_how_long() {
        let issued = credentials("k").issue("u", "id", NOW).unwrap();
        assert_eq!(part(&issued.access, 0), json!({"typ": "at+jwt", "alg": "HS256"}));
        assert_eq!(
            part(&issued.access, 1),
            json!({"iss": OURSELVES, "sub": "u", "aud": OURSELVES, "scope": "push", "iat": NOW, "exp": NOW + 900, "jti": "id-a"})
        );
    }

    #[test]
    fn each_token_is_good_for_its_own_use_until_it_ends() {
        let known = credentials("k");
        let issued = known.issue("u", "id", NOW).unwrap();
        assert_eq!(known.check_access(&issued.access, NOW).unwrap(), "u");
        assert_eq!(known.check_access(&issued.access, NOW + 959).unwrap(), "u");
        assert_eq!(known.check_access(&issued.access, NOW + 960), Err(TokenError::Expired));
        assert_eq!(known.check_access(&issued.access, NOW - 61), Err(TokenError::Early));
        assert_eq!(known.check_refresh(&issued.refresh, NOW + 80 * 86_400).unwrap(), "u");
        assert_eq!(known.check_access(&issued.refresh, NOW), Err(TokenError::Kind));
        assert_eq!(known.check_refresh(&issued.access, NOW), Err(TokenError::Kind));
    }

    #[test]
    fn tokens_outlive_one_rotation_and_not_two() {
        let issued = credentials("1").issue("u", "id", NOW).unwrap();
        let once = credentials("2").beside(&credentials("1"));
        assert_eq!(once.check_access(&issued.access, NOW).unwrap(), "u");
        assert_eq!(once.check_refresh(&issued.refresh, NOW).unwrap(), "u");
        let twice = credentials("3").beside(&credentials("2"));
        assert_eq!(twice.check_refresh(&issued.refresh, NOW), Err(TokenError::Signature));
        assert!(once.issue("u", "id", NOW).is_some_and(|new| twice.check_access(&new.access, NOW).is_ok()));
    }

    #[test]
    fn every_wrong_claim_is_refused_by_its_name() {
        let known = credentials("k");
        assert_eq!(known.check_access(&signed(ACCESS, &json!({})), NOW).unwrap(), "u");
        for (changes, fault) in [
            (json!({"iss": "somebody"}), TokenError::Issuer),
            (json!({"aud": "somebody"}), TokenError::Audience),
            (json!({"aud": [OURSELVES]}), TokenError::Malformed),
            (json!({"exp": NOW - 60}), TokenError::Expired),
            (json!({"exp": null}), TokenError::Malformed),
            (json!({"exp": "9999999999"}), TokenError::Malformed),
            (json!({"nbf": NOW + 61}), TokenError::Early),
            (json!({"scope": "pull"}), TokenError::Scope),
            (json!({"sub": "gone"}), TokenError::Client),
        ] {
            assert_eq!(known.check_access(&signed(ACCESS, &changes), NOW), Err(fault), "{changes}");
        }
        assert_eq!(known.check_access(&signed("JWT", &json!({})), NOW), Err(TokenError::Kind));
    }

    #[test]
    fn what_is_not_signed_by_our_key_with_our_algorithm_is_refused() {
        let known = credentials("k");
        let good = signed(ACCESS, &json!({}));
        let (message, signature) = good.rsplit_once('.').unwrap();
        let payload = message.split_once('.').unwrap().1;
        let with_header =
            |header: Value| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()));
        for (token, fault) in [
            (with_header(json!({"alg": "none", "typ": ACCESS})), TokenError::Malformed),
            (with_header(json!({"alg": "HS512", "typ": ACCESS})), TokenError::Malformed),
            (with_header(json!({"alg": "RS256", "typ": ACCESS})), TokenError::Malformed),
            (with_header(json!({"alg": "HS256", "typ": ACCESS, "x": 1})), TokenError::Signature),
            (format!("{message}."), TokenError::Signature),
            (message.to_owned(), TokenError::Malformed),
            (good[..good.len() - 1].to_owned(), TokenError::Malformed),
            (good.replace('.', " "), TokenError::Malformed),
        ] {
            assert_eq!(known.check_access(&token, NOW), Err(fault), "{token}");
        }
        assert_eq!(credentials("x").check_access(&good, NOW), Err(TokenError::Signature));
        let keyless = Credentials::parse(r#"{"username":"u","password":"p"}"#).unwrap();
        assert_eq!(keyless.check_access(&good, NOW), Err(TokenError::Signature));
        assert!(keyless.issue("u", "id", NOW).is_none());
    }
}
