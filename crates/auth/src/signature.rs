//! Shared access signatures of Azure Event Hubs ("Authenticate access to Event Hubs resources using shared access signatures"):
//! HMAC-SHA256 of the URL-encoded resource, a line break and the expiry, keyed with the text of the access key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use percent_encoding::percent_decode_str;

use super::credentials::{Credentials, SIGNING_KEY_BYTES};
use super::token::{LEEWAY, mac};

/// A shared access signature as a client sent it. Not `Debug`: with it, anyone can push until it expires.
#[derive(Clone)]
pub struct SharedAccessSignature {
    /// URL-encoded as the client did it: the signature is over this text.
    resource: String,
    signature: Vec<u8>,
    expiry: String,
    /// The name of the key, unverified.
    pub key_name: String,
}

impl SharedAccessSignature {
    /// Parses the `Authorization` header `SharedAccessSignature sr=…&sig=…&se=…&skn=…`, in any order; `None` if it is anything else,
    /// or if a field is missing or occurs twice.
    #[must_use]
    pub fn from_header(authorization: &str) -> Option<Self> {
        let (scheme, fields) = authorization.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("sharedaccesssignature") {
            return None;
        }
        let field = |name: &str| {
            let pairs = fields.trim().split('&').filter_map(|field| field.split_once('='));
            let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
            values.next().filter(|_| values.next().is_none())
        };
        Some(Self {
            resource: field("sr")?.to_owned(),
            signature: STANDARD.decode(percent_decoded(field("sig")?)?).ok()?,
            expiry: field("se")?.to_owned(),
            key_name: percent_decoded(field("skn")?)?,
        })
    }

    fn is_expired(&self, now: i64) -> bool {
        self.expiry.parse::<i64>().map_or(true, |expiry| now >= expiry.saturating_add(LEEWAY))
    }

    /// Whether the resource is the host and path of the request, or a prefix: the host, or the host with the hub. Scheme, port and
    /// case do not matter, because a proxy changes the first two.
    fn is_for(&self, host: &str, path: &str) -> bool {
        let Some(resource) = percent_decoded(&self.resource) else { return false };
        let resource = resource.to_lowercase();
        let resource = resource.split_once("://").map_or(resource.as_str(), |(_, rest)| rest);
        let (resource_host, resource_path) = resource.split_once('/').unwrap_or((resource, ""));
        let path = path.to_lowercase();
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        without_port(resource_host) == without_port(&host.to_lowercase())
            && !resource_host.is_empty()
            && resource_path.split('/').filter(|segment| !segment.is_empty()).all(|name| segments.next() == Some(name))
    }

    fn is_signed_by(&self, key: &str) -> bool {
        let mac = mac(key.as_bytes(), format!("{}\n{}", self.resource, self.expiry).as_bytes());
        // `verify_slice` takes constant time.
        mac.is_some_and(|mac| mac.verify_slice(&self.signature).is_ok())
    }
}

impl Credentials {
    /// Whether keys with the signature's name exist, and all are as long as a signing key must be. Nobody can guess such a key.
    #[must_use]
    pub fn has_long_key_for(&self, sent: &SharedAccessSignature) -> bool {
        let mut keys = self.keys_named(&sent.key_name).peekable();
        keys.peek().is_some() && keys.all(|key| key.len() >= SIGNING_KEY_BYTES)
    }

    /// The name of the key that signed `sent`, if the signature is for `host` and `path` and valid at `now`, in Unix seconds.
    #[must_use]
    pub fn verify_signature<'s>(
        &self,
        sent: &'s SharedAccessSignature,
        host: &str,
        path: &str,
        now: i64,
    ) -> Option<&'s str> {
        let is_signed =
            self.keys_named(&sent.key_name).fold(false, |is_signed, key| sent.is_signed_by(key) | is_signed);
        (is_signed && sent.is_for(host, path) && !sent.is_expired(now)).then_some(sent.key_name.as_str())
    }

    fn keys_named(&self, name: &str) -> impl Iterator<Item = &str> {
        self.event_hub_keys.iter().filter(move |(key_name, _)| key_name == name).map(|(_, key)| key.expose())
    }
}

fn percent_decoded(text: &str) -> Option<String> {
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

    /// A token by Microsoft's recipe, as Python's `urllib.parse.quote_plus`, `hmac` and `base64` create it.
    fn token(resource: &str, key_name: &str, key: &str, expiry: i64) -> String {
        let quoted =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let resource = quoted(resource);
        let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
        let signed = mac.chain_update(format!("{resource}\n{expiry}")).finalize().into_bytes();
        let signature = quoted(&STANDARD.encode(signed));
        format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={key_name}")
    }

    fn is_verified(token: &str) -> bool {
        SharedAccessSignature::from_header(token)
            .is_some_and(|sent| credentials().verify_signature(&sent, HOST, PATH, NOW).is_some())
    }

    #[test]
    fn a_signature_by_python_is_verified() {
        // python3: base64.b64encode(hmac.new(b"c2VjcmV0IGtleQ==", b"https%3A%2F%2Fpush.example.com%2Fwashrooms\n1800000600", "sha256").digest())
        let sent = SharedAccessSignature::from_header(PYTHON).unwrap();
        assert_eq!(credentials().verify_signature(&sent, HOST, PATH, NOW), Some("send"));
    }

    const PYTHON: &str = "SharedAccessSignature sr=https%3A%2F%2Fpush.example.com%2Fwashrooms&sig=gsr0eZ6ERtFrPC4IE42UUV8%2BqNGF2bMcVvh8%2FUhOwc8%3D&se=1800000600&skn=send";

    #[test]
    fn a_signature_for_the_hub_or_its_host_is_verified_with_any_scheme() {
        for resource in [
            "https://push.example.com/washrooms",
            "sb://push.example.com/washrooms",
            "sb://PUSH.example.com/Washrooms/",
            "push.example.com/washrooms/messages",
            "https://push.example.com:443/washrooms",
            "https://push.example.com/",
            "push.example.com",
        ] {
            assert!(is_verified(&token(resource, "send", "c2VjcmV0IGtleQ==", NOW + 600)), "{resource}");
        }
    }

    #[test]
    fn a_signature_for_another_resource_is_rejected() {
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
            assert!(!is_verified(&token(resource, "send", "c2VjcmV0IGtleQ==", NOW + 600)), "{resource}");
        }
    }

    #[test]
    fn wrong_keys_names_and_times_are_rejected() {
        let resource = "https://push.example.com/washrooms";
        let good = token(resource, "send", "c2VjcmV0IGtleQ==", NOW + 600);
        assert!(is_verified(&good));
        assert!(is_verified(&token(resource, "send", "c2VjcmV0IGtleQ==", NOW - 59)));
        for wrong in [
            token(resource, "send", "c2VjcmV0IGtleQ==", NOW - 60),
            // The decoded key; the recipe uses its text.
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
            assert!(!is_verified(&wrong), "{wrong}");
        }
    }

    #[test]
    fn a_key_that_a_rotation_did_not_change_is_still_verified() {
        let sent = SharedAccessSignature::from_header(PYTHON).unwrap();
        let both = credentials().with_previous(&credentials());
        assert_eq!(both.verify_signature(&sent, HOST, PATH, NOW), Some("send"));
    }

    #[test]
    fn only_a_port_is_removed_from_a_host() {
        let is_for = |resource: &str, host: &str| {
            let sent =
                SharedAccessSignature::from_header(&token(resource, "send", "c2VjcmV0IGtleQ==", NOW + 600)).unwrap();
            sent.is_for(host, PATH)
        };
        assert!(is_for("https://[2001:db8::1]:443/washrooms", "[2001:db8::1]"));
        assert!(!is_for("https://[2001:db8::1]/washrooms", "[2001:db8::2]"));
        assert!(!is_for("https://push.example.com:x/washrooms", "push.example.com:y"));
    }
}
