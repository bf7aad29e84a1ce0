//! Azure Event Hubs' shared access signatures, as Microsoft publishes the recipe ("Authenticate access to Event Hubs
//! resources using shared access signatures"): HMAC-SHA256 over the URL-encoded resource, a line break, and the expiry,
//! keyed with the access key's text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use percent_encoding::percent_decode_str;

use super::credentials::{Credentials, SIGNING_KEY_BYTES};
use super::jwt::{LEEWAY, mac};

/// A signature as it was sent.
#[derive(Clone)]
pub struct SharedAccess {
    /// The resource, URL-encoded as the sender did it, since that is what is signed.
    resource: String,
    signature: Vec<u8>,
    expiry: String,
    /// The name of the key.
    pub key_name: String,
}

impl fmt::Debug for SharedAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedAccess").field("key_name", &self.key_name).finish_non_exhaustive()
    }
}

impl SharedAccess {
    /// Takes an `Authorization` header's `SharedAccessSignature sr=…&sig=…&se=…&skn=…` apart, in any order; `None` where
    /// it is something else, or has a part twice or not at all.
    #[must_use]
    pub fn of_header(authorization: &str) -> Option<Self> {
        let (scheme, fields) = authorization.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("sharedaccesssignature") {
            return None;
        }
        let field = |name: &str| {
            let mut found =
                fields.trim().split('&').filter_map(|field| field.split_once('=')).filter(|(key, _)| *key == name);
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Some(value),
                _ => None,
            }
        };
        Some(Self {
            resource: field("sr")?.to_owned(),
            signature: STANDARD.decode(decoded(field("sig")?)?).ok()?,
            expiry: field("se")?.to_owned(),
            key_name: decoded(field("skn")?)?,
        })
    }

    /// Whether its time is over at `now`, in Unix seconds.
    fn is_over(&self, now: i64) -> bool {
        self.expiry.parse::<i64>().map_or(true, |expiry| now >= expiry.saturating_add(LEEWAY))
    }

    /// Whether its resource is what was asked for, or what that is part of: the host, or the host with the hub. Scheme,
    /// port and the letters' case do not matter, since a proxy in front changes the first two.
    fn is_for(&self, host: &str, path: &str) -> bool {
        let Some(resource) = decoded(&self.resource) else { return false };
        let resource = resource.to_lowercase();
        let resource = resource.split_once("://").map_or(resource.as_str(), |(_, rest)| rest);
        let (resource_host, resource_path) = resource.split_once('/').unwrap_or((resource, ""));
        let asked = path.to_lowercase();
        let mut asked = asked.split('/').filter(|part| !part.is_empty());
        without_port(resource_host) == without_port(&host.to_lowercase())
            && !resource_host.is_empty()
            && resource_path.split('/').filter(|part| !part.is_empty()).all(|part| asked.next() == Some(part))
    }

    fn is_signed_by(&self, key: &str) -> bool {
        let signed = mac(key.as_bytes(), format!("{}\n{}", self.resource, self.expiry).as_bytes());
        // In constant time.
        signed.is_some_and(|signed| signed.verify_slice(&self.signature).is_ok())
    }
}

impl Credentials {
    /// Whether there are keys of the name that it is signed with, each as long as a signing key has to be: nobody guesses them.
    #[must_use]
    pub fn has_long_key_of(&self, sent: &SharedAccess) -> bool {
        let mut named = self.event_hub_keys().iter().filter(|(name, _)| *name == sent.key_name).peekable();
        named.peek().is_some() && named.all(|(_, key)| key.expose().len() >= SIGNING_KEY_BYTES)
    }

    /// The name of the key that signed it, where it is for `host` and `path` and still holds at `now`, in Unix seconds.
    #[must_use]
    pub fn check_signature<'s>(&self, sent: &'s SharedAccess, host: &str, path: &str, now: i64) -> Option<&'s str> {
        let named = self.event_hub_keys().iter().filter(|(name, _)| *name == sent.key_name);
        let is_signed = named.fold(false, |is_signed, (_, key)| sent.is_signed_by(key.expose()) | is_signed);
        (is_signed && sent.is_for(host, path) && !sent.is_over(now)).then_some(sent.key_name.as_str())
    }
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _};
    use sha2::Sha256;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const HOST: &str = "push.example.com";
    const PATH: &str = "/washrooms/messages";

    fn credentials() -> Credentials {
        Credentials::parse(r#"{"event_hub_keys":{"send":"c2VjcmV0IGtleQ==","other":"x"}}"#).unwrap()
    }

    /// Microsoft's recipe, word by word: what Python's `urllib.parse.quote_plus`, `hmac` and `base64` make of it.
    fn token(resource: &str, key_name: &str, key: &str, expiry: i64) -> String {
        let quoted =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let resource = quoted(resource);
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        let signed = mac.chain_update(format!("{resource}\n{expiry}")).finalize().into_bytes();
        let signature = quoted(&STANDARD.encode(signed));
        format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={key_name}")
    }

    fn lets_in(token: &str) -> bool {
        SharedAccess::of_header(token)
            .is_some_and(|sent| credentials().check_signature(&sent, HOST, PATH, NOW).is_some())
    }

    #[test]
    fn a_signature_made_elsewhere_is_the_same() {
        // python3: base64.b64encode(hmac.new(b"c2VjcmV0IGtleQ==", b"https%3A%2F%2Fpush.example.com%2Fwashrooms\n1800000600", "sha256").digest())
        let sent = SharedAccess::of_header(PYTHON).unwrap();
        assert_eq!(credentials().check_signature(&sent, HOST, PATH, NOW), Some("send"));
    }

    const PYTHON: &str = "SharedAccessSignature sr=https%3A%2F%2Fpush.example.com%2Fwashrooms&sig=gsr0eZ6ERtFrPC4IE42UUV8%2BqNGF2bMcVvh8%2FUhOwc8%3D&se=1800000600&skn=send";

    #[test]
    fn a_signature_for_the_hub_or_its_host_lets_in_whatever_its_scheme() {
        for resource in [
            "https://push.example.com/washrooms",
            "sb://push.example.com/washrooms",
            "sb://PUSH.example.com/Washrooms/",
            "push.example.com/washrooms/messages",
            "https://push.example.com:443/washrooms",
            "https://push.example.com/",
            "push.example.com",
        ] {
            assert!(lets_in(&token(resource, "send", "c2VjcmV0IGtleQ==", NOW + 600)), "{resource}");
        }
    }

    #[test]
    fn a_signature_for_something_else_does_not() {
        for resource in [
            "https://push.example.com/wash",
            "https://push.example.com/washrooms2",
            "https://push.example.com/washrooms/messages/more",
            "https://push.example.com/other",
            "https://push.example.co",
            "https://evil.example.com/washrooms",
            "/washrooms",
            "",
        ] {
            assert!(!lets_in(&token(resource, "send", "c2VjcmV0IGtleQ==", NOW + 600)), "{resource}");
        }
    }

    #[test]
    fn wrong_keys_and_names_and_times_do_not() {
        let resource = "https://push.example.com/washrooms";
        let good = token(resource, "send", "c2VjcmV0IGtleQ==", NOW + 600);
        assert!(lets_in(&good));
        assert!(lets_in(&token(resource, "send", "c2VjcmV0IGtleQ==", NOW - 59)));
        for wrong in [
            token(resource, "send", "c2VjcmV0IGtleQ==", NOW - 60),
            // The key's bytes, where the recipe takes its text.
            token(resource, "send", "secret key", NOW + 600),
            token(resource, "other", "c2VjcmV0IGtleQ==", NOW + 600),
            token(resource, "unknown", "c2VjcmV0IGtleQ==", NOW + 600),
            good.replace("se=1800000600", "se=1800009999"),
            good.replace("washrooms", "Washrooms"),
            good.replace("&skn=send", ""),
            format!("{good}&se=1800009999"),
            good.replace("SharedAccessSignature", "Bearer"),
            "SharedAccessSignature".into(),
            "SharedAccessSignature sr=&sig=&se=&skn=".into(),
        ] {
            assert!(!lets_in(&wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_that_a_rotation_did_not_change_is_in_force_twice_and_lets_in() {
        let sent = SharedAccess::of_header(PYTHON).unwrap();
        let both = credentials().beside(&credentials());
        assert_eq!(both.check_signature(&sent, HOST, PATH, NOW), Some("send"));
    }

    #[test]
    fn only_a_port_is_taken_off_a_host() {
        let is_for = |resource: &str, host: &str| {
            let sent = SharedAccess::of_header(&token(resource, "send", "c2VjcmV0IGtleQ==", NOW + 600)).unwrap();
            sent.is_for(host, PATH)
        };
        assert!(is_for("https://[2001:db8::1]:443/washrooms", "[2001:db8::1]"));
        assert!(!is_for("https://[2001:db8::1]/washrooms", "[2001:db8::2]"));
        assert!(!is_for("https://push.example.com:x/washrooms", "push.example.com:y"));
    }

    #[test]
    fn a_signature_that_was_sent_is_not_printed() {
        let printed = format!("{:?}", SharedAccess::of_header(PYTHON).unwrap());
        assert_eq!(printed, r#"SharedAccess { key_name: "send", .. }"#);
    }
}
