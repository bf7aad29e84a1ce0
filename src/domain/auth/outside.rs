//! Tokens of an outside issuer: what they must say, and whose keys they must be signed with.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::jwt::{self, Signed, Times, TokenFault};

/// Most keys that are kept of an issuer; those in use have two to ten.
const MOST_KEYS: usize = 64;

/// An issuer that is trusted, and what its tokens must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its address, which its tokens name as `iss`, to the letter.
    pub issuer: String,
    /// Us: what its tokens name as `aud`; or the client id, in Cognito's machine tokens, which have no `aud`.
    pub audience: String,
    /// A scope that its tokens must have, where that is asked for.
    pub scope: Option<String>,
}

/// Why an issuer cannot be trusted. Only another configuration can help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutsideFault {
    /// Its address is not one that can be asked safely.
    #[error("the issuer \"{0}\" is not an https:// address (http:// is for this machine alone: localhost, 127.0.0.1)")]
    Address(String),
    /// Tokens for anybody would be taken.
    #[error("an issuer is named and no audience: say what its tokens name as `aud`, or the client id of Cognito's")]
    Audience,
    /// Nobody issues for this audience.
    #[error("an audience or a scope is named and no issuer")]
    Issuer,
}

/// The public keys of an issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Jwk>);

impl Outside {
    /// Trusts `issuer` for tokens to `audience`; `None` where nothing is named.
    ///
    /// # Errors
    /// [`OutsideFault`] where something is missing, or the issuer cannot be asked safely.
    pub fn new(
        issuer: Option<String>,
        audience: Option<String>,
        scope: Option<String>,
    ) -> Result<Option<Self>, OutsideFault> {
        match (issuer, audience) {
            (Some(issuer), Some(audience)) => {
                let is_safe = is_safe(&issuer);
                if is_safe { Ok(Some(Self { issuer, audience, scope })) } else { Err(OutsideFault::Address(issuer)) }
            }
            (Some(_), None) => Err(OutsideFault::Audience),
            (None, None) if scope.is_none() => Ok(None),
            (None, _) => Err(OutsideFault::Issuer),
        }
    }

    /// The client that a token was given to, at `now` in Unix seconds. `is_signed` computes whether a signature is right.
    ///
    /// # Errors
    /// [`TokenFault`]; where it is [`TokenFault::Key`], newer keys can help.
    pub fn check(
        &self,
        token: &str,
        keys: &KeySet,
        is_signed: impl FnOnce(&Signed<'_>) -> bool,
        now: i64,
    ) -> Result<String, TokenFault> {
        #[derive(Deserialize)]
        struct Told {
            iss: String,
            #[serde(default)]
            aud: Value,
            token_use: Option<String>,
            client_id: Option<String>,
            azp: Option<String>,
            sub: Option<String>,
            #[serde(default)]
            scope: Value,
            #[serde(default)]
            scp: Value,
            #[serde(flatten)]
            times: Times,
        }
        let header = jwt::header(token)?;
        let key = keys.find(header.kid.as_deref(), header.alg)?;
        let told: Told = jwt::verified_by(token, &key, header.alg, is_signed)?;
        if told.iss != self.issuer {
            return Err(TokenFault::Issuer);
        }
        told.times.check(now)?;
        // Cognito says what a token is for; its identity tokens are for the client, not for us.
        if told.token_use.as_deref().is_some_and(|used| used != "access") {
            return Err(TokenFault::Kind);
        }
        let is_for_us = match (&told.aud, told.token_use.as_deref()) {
            (Value::Null, Some("access")) => told.client_id.as_ref() == Some(&self.audience),
            (aud, _) => words(aud).any(|audience| audience == self.audience),
        };
        if !is_for_us {
            return Err(TokenFault::Audience);
        }
        let mut scopes = words(&told.scope).chain(words(&told.scp)).flat_map(str::split_ascii_whitespace);
        if self.scope.as_deref().is_some_and(|asked| !scopes.any(|scope| scope == asked)) {
            return Err(TokenFault::Scope);
        }
        Ok(told.client_id.or(told.azp).or(told.sub).unwrap_or_default())
    }
}

/// A text, or the texts of a list.
fn words(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    value.as_str().into_iter().chain(list)
}

/// Whether an address may be asked for keys: over TLS, or on this machine.
#[must_use]
pub fn is_safe(address: &str) -> bool {
    if let Some(rest) = address.strip_prefix("https://") {
        return !rest.is_empty() && !rest.starts_with('/');
    }
    let Some(rest) = address.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

impl KeySet {
    /// Reads a set (RFC 7517 §5). Keys of other kinds, or for another use than signing, are passed over; `None` where it
    /// is no set.
    #[must_use]
    pub fn parse(json: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_str(json).ok()?;
        let keys = document.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let signing = keys.filter(|key| matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature)));
        Some(Self(signing.take(MOST_KEYS).collect()))
    }

    /// Whether there is a key of that id. A token that names none is not worth asking for newer keys.
    #[must_use]
    pub fn knows(&self, kid: Option<&str>) -> bool {
        kid.is_none_or(|kid| self.0.iter().any(|key| key.common.key_id.as_deref() == Some(kid)))
    }

    fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey, TokenFault> {
        let fits = |key: &&Jwk| {
            let is_kind = match (&key.algorithm, algorithm) {
                (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512) => true,
                (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
                (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
                _ => false,
            };
            let algorithm = format!("{algorithm:?}");
            is_kind && key.common.key_algorithm.is_none_or(|stated| stated.to_string() == algorithm)
        };
        let is_named = |key: &&Jwk| kid.is_none() || key.common.key_id.as_deref() == kid;
        let mut found = self.0.iter().filter(is_named).filter(fits);
        match (found.next(), found.next()) {
            // Of several keys a token without an id names none.
            (Some(key), None) => DecodingKey::from_jwk(key).map_err(|_| TokenFault::Key),
            _ if self.knows(kid) => Err(TokenFault::Malformed),
            _ => Err(TokenFault::Key),
        }
    }
}

/// The key id that a token names, where it names one. Nothing of it is proven.
#[must_use]
pub fn key_id_of(token: &str) -> Option<String> {
    jwt::header(token).ok()?.kid
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// An issuer whose signature is a word: what it signs with is not what these tests are about.
    struct Issuer;

    const SIGNATURE: &[u8] = b"signed";

    impl Issuer {
        fn keys() -> KeySet {
            // RFC 7515 appendix A.3.
            let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
            let key = json!({"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "x": x, "y": y});
            KeySet::parse(&json!({"keys": [key, {"kty": "new"}]}).to_string()).unwrap()
        }

        fn sign(header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(SIGNATURE))
        }

        fn has_signed(signed: &Signed<'_>) -> bool {
            signed.algorithm == Algorithm::ES256 && signed.signature == SIGNATURE
        }
    }

    fn outside(scope: Option<&str>) -> Outside {
        let issuer = Some("https://issuer.example".to_owned());
        Outside::new(issuer, Some("us".into()), scope.map(Into::into)).unwrap().unwrap()
    }

    fn claims(changes: &Value) -> Value {
        let mut claims =
            json!({"iss": "https://issuer.example", "aud": "us", "sub": "vendor", "exp": NOW + 600, "iat": NOW});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    #[test]
    fn every_claim_has_to_be_right() {
        let header = json!({"alg": "ES256", "kid": "1"});
        let check = |changes: Value, scope| {
            outside(scope).check(&Issuer::sign(&header, &claims(&changes)), &Issuer::keys(), Issuer::has_signed, NOW)
        };
        assert_eq!(check(json!({}), None).unwrap(), "vendor");
        assert_eq!(check(json!({"aud": ["other", "us"], "azp": "client"}), None).unwrap(), "client");
        for (changes, fault) in [
            (json!({"iss": "https://issuer.example/"}), TokenFault::Issuer),
            (json!({"aud": "other"}), TokenFault::Audience),
            (json!({"aud": null}), TokenFault::Audience),
            (json!({"aud": [], "client_id": "us"}), TokenFault::Audience),
            (json!({"exp": NOW - 60}), TokenFault::Expired),
            (json!({"nbf": NOW + 61}), TokenFault::Early),
            (json!({"iat": NOW + 61}), TokenFault::Early),
            (json!({"exp": null}), TokenFault::Malformed),
        ] {
            assert_eq!(check(changes.clone(), None), Err(fault), "{changes}");
        }
        for (changes, is_enough) in [
            (json!({"scope": "read push/write"}), true),
            (json!({"scp": ["push/write"]}), true),
            (json!({"scope": "push"}), false),
            (json!({}), false),
        ] {
            let expected = if is_enough { Ok("vendor".to_owned()) } else { Err(TokenFault::Scope) };
            assert_eq!(check(changes.clone(), Some("push/write")), expected, "{changes}");
        }
    }

    #[test]
    fn cognitos_machine_tokens_have_a_client_id_for_an_audience() {
        let check = |used: &str, client: &str, aud: Value| {
            let claims = claims(&json!({"aud": aud, "token_use": used, "client_id": client, "scope": "push/write"}));
            outside(Some("push/write")).check(
                &Issuer::sign(&json!({"alg": "ES256", "kid": "1"}), &claims),
                &Issuer::keys(),
                Issuer::has_signed,
                NOW,
            )
        };
        assert_eq!(check("access", "us", Value::Null).unwrap(), "us");
        assert_eq!(check("access", "other", Value::Null), Err(TokenFault::Audience));
        assert_eq!(check("id", "us", Value::Null), Err(TokenFault::Kind));
        assert_eq!(check("id", "us", json!("us")), Err(TokenFault::Kind));
    }

    #[test]
    fn an_issuer_is_asked_over_tls_or_on_this_machine() {
        for safe in ["https://a.example", "http://localhost:4566/pool", "http://127.0.0.1", "http://[::1]:80/x"] {
            assert!(is_safe(safe), "{safe}");
        }
        for unsafe_ in
            ["http://a.example", "http://localhost.evil", "http://127.0.0.1@evil", "https://", "ftp://localhost", ""]
        {
            assert!(!is_safe(unsafe_), "{unsafe_}");
        }
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(Outside::new(None, None, None), Ok(None));
        assert_eq!(Outside::new(some("https://a"), None, None), Err(OutsideFault::Audience));
        assert_eq!(Outside::new(None, some("us"), None), Err(OutsideFault::Issuer));
        assert!(matches!(Outside::new(some("http://a"), some("us"), None), Err(OutsideFault::Address(_))));
    }

    #[test]
    fn a_key_is_found_by_its_id_and_only_for_what_it_is_made_for() {
        let ec = |kid: &str, curve: &str| json!({"kty": "EC", "crv": curve, "kid": kid, "x": "AQAB", "y": "AQAB"});
        let rsa = |kid: &str| json!({"kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB"});
        let mut stated = rsa("4");
        stated["alg"] = "RS512".into();
        let keys = json!({"keys": [ec("1", "P-256"), rsa("2"), ec("3", "P-384"), stated]});
        let keys = KeySet::parse(&keys.to_string()).unwrap();
        assert!(keys.knows(Some("1")) && keys.knows(Some("4")) && keys.knows(None));
        assert!(!keys.knows(Some("5")) && !keys.knows(Some("")));
        let find = |kid, algorithm| keys.find(kid, algorithm).map(drop);
        use Algorithm::{ES256, ES384, RS256, RS384, RS512};
        for (kid, algorithm) in [
            (Some("1"), ES256),
            (Some("2"), RS256),
            (Some("2"), RS384),
            (Some("2"), RS512),
            (Some("3"), ES384),
            (Some("4"), RS512),
            (None, ES256),
            (None, ES384),
            (None, RS256),
        ] {
            assert_eq!(find(kid, algorithm), Ok(()), "{kid:?} {algorithm:?}");
        }
        for (kid, algorithm) in [
            (Some("1"), ES384),
            (Some("1"), RS256),
            (Some("2"), ES256),
            (Some("3"), ES256),
            (Some("4"), RS256),
            (Some("1"), Algorithm::HS256),
            // Two could be meant.
            (None, RS512),
        ] {
            assert_eq!(find(kid, algorithm), Err(TokenFault::Malformed), "{kid:?} {algorithm:?}");
        }
        assert_eq!(find(Some("5"), ES256), Err(TokenFault::Key), "newer keys may have it");
    }

    #[test]
    fn a_token_names_its_key_or_none() {
        let named = |header: Value| key_id_of(&Issuer::sign(&header, &claims(&json!({}))));
        assert_eq!(named(json!({"alg": "ES256", "kid": "k1"})), Some("k1".to_owned()));
        assert_eq!(named(json!({"alg": "ES256"})), None);
        assert_eq!(key_id_of("no token"), None);
    }
}
