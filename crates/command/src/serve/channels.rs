//! The channels of `serve`: what it checks before it starts, and how it describes them.

use std::path::Path;

use smartclean_push::auth::{Credentials, WebhookKey};
use smartclean_push::domain::rules::RuleSet;

/// Fails if the rules name a secret that the credentials do not have. `file` is where they come from.
pub(super) fn check_secrets(rules: &RuleSet, credentials: &Credentials, file: &str) -> Result<(), String> {
    let password = rules.email.iter().filter_map(|email| email.login.as_ref()).map(|(_, secret)| secret);
    for name in password.chain(rules.webhook.iter().map(|webhook| &webhook.secret)) {
        if credentials.secret(name).is_none() {
            return Err(format!(
                "the rules name the secret \"{name}\", which {file} does not have. Add it there: \"secrets\": {{\"{name}\": \"…\"}}"
            ));
        }
    }
    let key = rules.webhook.as_ref().and_then(|webhook| credentials.secret(&webhook.secret));
    if let (Some(webhook), Some(None)) = (&rules.webhook, key.map(WebhookKey::parse)) {
        return Err(format!(
            "the secret \"{}\" in {file} cannot sign a webhook. Write whsec_ and Base64 of 16 bytes or more, such as the output \
             of: echo whsec_$(openssl rand -base64 32)",
            webhook.secret
        ));
    }
    Ok(())
}

/// Who is told, for the text at the start.
pub(super) fn describe(rules: &RuleSet, data: &Path) -> String {
    let email = rules.email.iter().map(|email| format!("email by {} to {}", email.host, email.to.join(", ")));
    let webhook = rules.webhook.iter().map(|webhook| format!("webhook at {}", webhook.origin()));
    let channels: Vec<String> = email.chain(webhook).collect();
    let log = data.join("alerts.ndjson");
    if channels.is_empty() {
        format!("{} alone, so nobody is notified; see \"Own server\" in docs/operate.md", log.display())
    } else {
        format!("{}; {}", channels.join("; "), log.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> RuleSet {
        RuleSet::parse("rules.toml", text).unwrap()
    }

    const BOTH: &str = "[email]\nsmtp = \"smtp://mail.example.com\"\nfrom = \"a@example.com\"\nusername = \"a\"\npassword = \"smtp\"\n\
                        to = [\"b@example.com\", \"c@example.com\"]\n[webhook]\nurl = \"https://hooks.example.com/secret\"\nsecret = \"hook\"\n";

    #[test]
    fn every_secret_that_the_rules_name_must_be_there_and_usable() {
        let check = |rules: &RuleSet, secrets: &str| {
            let json = format!(r#"{{"username":"u","password":"p","secrets":{{{secrets}}}}}"#);
            check_secrets(rules, &Credentials::parse(&json).unwrap(), "c.json")
        };
        let both = rules(BOTH);
        let key = r#""hook":"whsec_plJ3nmyCDGBKInavdOK15jsl""#;
        assert_eq!(check(&rules(""), ""), Ok(()));
        assert_eq!(check(&both, &format!(r#""smtp":"hunter2",{key}"#)), Ok(()));
        for (secrets, expected) in [
            (key.to_owned(), "the rules name the secret \"smtp\", which c.json does not have"),
            (r#""smtp":"hunter2""#.to_owned(), "the rules name the secret \"hook\", which c.json does not have"),
            (r#""smtp":"hunter2","hook":"hunter2""#.to_owned(), "the secret \"hook\" in c.json cannot sign a webhook"),
        ] {
            let error = check(&both, &secrets).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_text_at_the_start_says_who_is_told_without_secrets() {
        let both = describe(&rules(BOTH), Path::new("data"));
        let expected = "email by mail.example.com to b@example.com, c@example.com; webhook at https://hooks.example.com; \
                        data/alerts.ndjson";
        assert_eq!(both, expected);
        assert!(describe(&rules(""), Path::new("data")).starts_with("data/alerts.ndjson alone, so nobody is notified"));
    }
}
