//! The line that `serve` prints: it pushes a reading that raises an alert.

use std::net::SocketAddr;

use smartclean_push::auth::{AuthMethod, AuthMethods, Credentials};

/// A line for any POSIX shell, with a sentence before it. The line computes its time when it runs, so that its reading is fresh.
/// It computes a new device, so that it raises an alert each time.
///
/// `kept_in` names the place of the credentials. Without `shows_password`, curl asks for the password.
pub(super) fn try_it(
    address: SocketAddr,
    auth_methods: AuthMethods,
    credentials: &Credentials,
    kept_in: &str,
    shows_password: bool,
) -> String {
    let url = base_url(address);
    let Some(client) = credentials.clients().first().filter(|_| auth_methods.takes_pushes()) else {
        return "To try it: each call needs a signature of its own. \"Azure Event Hubs\" in docs/connect.md has a line that makes \
                one."
            .to_owned();
    };
    let (user, asks) = match (client.has_hash(), shows_password) {
        (true, _) => (client.username.clone(), format!(" curl asks for the password, of which {kept_in} has a hash.")),
        (false, false) => (client.username.clone(), format!(" curl asks for the password: it is in {kept_in}.")),
        (false, true) => (format!("{}:{}", client.username, client.password.expose()), String::new()),
    };
    let user = quoted(&user);
    let line = if auth_methods.contains(AuthMethod::Basic) {
        format!("curl -u {user} {}", push(&url))
    } else {
        let token = format!("curl -s -u {user} {url}/oauth2/token -d grant_type=client_credentials");
        let push = push(&url);
        format!(
            r#"TOKEN=$({token} | sed 's/.*"access_token":"\([^"]*\)".*/\1/') && curl -H "Authorization: Bearer $TOKEN" {push}"#
        )
    };
    format!("Try it: this pushes a reading that raises an alert. Paste it into another terminal.{asks}\n\n{line}")
}

/// The URL of the server for clients on this machine.
fn base_url(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
        _ => format!("http://{address}"),
    }
}

/// The arguments of curl that push the reading.
fn push(url: &str) -> String {
    let reading = r#"{\"DevType\":\"SMARTCLEAN#ODRDTR_BATT_V1\",\"DEVID\":\"demo-'$(date +%s)'\",\"Display\":\"Indoor Air Quality\",\"PID\":\"demo-building\",\"InsID\":\"demo-'$(date +%s)'\",\"Region\":\"Asia/Singapore\",\"unixT\":'$(date +%s)',\"v\":{\"amm\":270,\"aqi\":103,\"rh\":730,\"temp\":304}}"#;
    format!("{url}/push -H 'Content-Type: application/json' -d '[\"{reading}\"]'")
}

/// Quotes `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// argon2's own test vector.
    const HASH: &str = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    fn printed(auth_methods: &str, password: &str, shows_password: bool) -> String {
        let json = serde_json::json!({ "username": "u", "password": password, "event_hub_keys": { "send": "a2V5" } });
        let credentials = Credentials::parse(&json.to_string()).unwrap();
        try_it("0.0.0.0:8080".parse().unwrap(), auth_methods.parse().unwrap(), &credentials, "the-file", shows_password)
    }

    /// The arguments that the shell passes to each curl of a text. The first one of two prints a token.
    fn curl_arguments(text: &str) -> Vec<Vec<String>> {
        let line = text.lines().last().unwrap();
        let curl = r#"curl() { for word; do printf '%s\n' "$word"; done >&2; echo >&2; echo '{"scope":"push","access_token":"t0k.en","expires_in":900}'; }"#;
        let output = std::process::Command::new("sh").arg("-c").arg(format!("{curl}\n{line}")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let words = String::from_utf8(output.stderr).unwrap();
        words.trim_end().split("\n\n").map(|call| call.lines().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn the_printed_line_pushes_a_batch_when_a_shell_runs_it() {
        for auth_methods in ["basic", "basic,oauth", "basic,event-hub", "basic,oauth,event-hub,iot"] {
            let calls = curl_arguments(&printed(auth_methods, "p'w $c", true));
            assert_eq!(calls.len(), 1, "{auth_methods}");
            assert_eq!(calls[0][..3], ["-u", "u:p'w $c", "http://127.0.0.1:8080/push"]);
            let items: Vec<String> = serde_json::from_str(calls[0].last().unwrap()).unwrap();
            let reading: serde_json::Value = serde_json::from_str(&items[0]).unwrap();
            assert!(reading["unixT"].as_i64().unwrap() > 1_700_000_000);
        }
    }

    #[test]
    fn without_basic_the_line_gets_a_token_first() {
        for auth_methods in ["oauth", "oauth,event-hub"] {
            let calls = curl_arguments(&printed(auth_methods, "p'w", true));
            assert_eq!(calls[0][..4], ["-s", "-u", "u:p'w", "http://127.0.0.1:8080/oauth2/token"], "{auth_methods}");
            assert_eq!(
                calls[1][..3],
                ["-H", "Authorization: Bearer t0k.en", "http://127.0.0.1:8080/push"],
                "{auth_methods}"
            );
        }
    }

    #[test]
    fn curl_asks_for_a_password_that_is_secret_or_hashed() {
        for auth_methods in ["basic", "oauth"] {
            let text = printed(auth_methods, "hunter2", false);
            assert!(!text.contains("hunter2") && text.contains("the password: it is in the-file"), "{text}");
            assert!(curl_arguments(&text)[0].contains(&"u".to_owned()), "{text}");
            for shows_password in [true, false] {
                let text = printed(auth_methods, HASH, shows_password);
                assert!(!text.contains("argon2") && text.contains("of which the-file has a hash"), "{text}");
            }
        }
    }

    #[test]
    fn with_event_hub_alone_the_text_names_the_docs_and_has_no_curl() {
        let text = printed("event-hub", "hunter2", true);
        assert!(text.contains("docs/connect.md") && !text.contains("curl"), "{text}");
    }
}
