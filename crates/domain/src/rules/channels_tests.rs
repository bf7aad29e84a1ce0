//! `[email]` and `[webhook]`.

use std::collections::BTreeMap;

use super::RuleSet;
use super::channels::{Email, Webhook};

fn email(smtp: &str) -> Result<Email, Vec<String>> {
    let text =
        format!("[email]\nsmtp = \"{smtp}\"\nfrom = \"SmartClean <a@example.com>\"\nto = [\"me@example.com\"]\n");
    read(&text).map(|rules| rules.email.unwrap())
}

fn webhook(url: &str) -> Result<Webhook, Vec<String>> {
    let text = format!("[webhook]\nurl = \"{url}\"\nsecret = \"hook\"\n");
    read(&text).map(|rules| rules.webhook.unwrap())
}

fn read(text: &str) -> Result<RuleSet, Vec<String>> {
    RuleSet::parse("r", text).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn without_the_tables_there_are_no_channels() {
    let rules = read("").unwrap();
    assert_eq!((rules.email, rules.webhook), (None, None));
}

#[test]
fn a_server_is_a_host_with_a_port_and_a_kind_of_tls() {
    for (smtp, host, port, is_implicit_tls) in [
        ("smtp://mail.example.com:587", "mail.example.com", 587, false),
        ("smtp://mail.example.com", "mail.example.com", 587, false),
        ("smtps://mail.example.com", "mail.example.com", 465, true),
        ("smtps://10.0.0.7:2465", "10.0.0.7", 2465, true),
        ("smtp://[::1]:25", "::1", 25, false),
        ("smtp://[::1]", "::1", 587, false),
    ] {
        let read = email(smtp).unwrap();
        assert_eq!((read.host.as_str(), read.port, read.is_implicit_tls), (host, port, is_implicit_tls), "{smtp}");
    }
    for smtp in [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://host:0",
        "smtp://host:70000",
        "smtp://a b",
        "smtp://alerts:hunter2@mail.example.com",
        "smtp://mail.example.com/path",
        "smtp://::1",
    ] {
        let [error] = email(smtp).unwrap_err().try_into().unwrap();
        assert!(error.starts_with("r:2:8: `smtp` is not a URL that can be used; write smtp://HOST"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_webhook_is_https_without_login_and_not_link_local() {
    for url in [
        "https://hooks.example.com/smartclean?token=1",
        "https://localhost:8443",
        "https://127.0.0.1/",
        "https://[::1]:9/x",
        "https://10.1.2.3/a#b",
    ] {
        assert_eq!(webhook(url).unwrap().url, url);
    }
    for url in [
        "http://hooks.example.com",
        "https://",
        "https://u:hunter2@hooks.example.com/",
        "https://169.254.169.254/latest",
        "https://[fe80::1]/",
        "https://0.0.0.0/",
        "https://[::]/",
        "https://[::ffff:169.254.169.254]/",
        "https://a b/",
        "https://hooks.example.com/ö",
    ] {
        let [error] = webhook(url).unwrap_err().try_into().unwrap();
        assert!(error.starts_with("r:2:7: `url` is not a URL that can be used; write https://HOST/PATH"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_origin_of_a_webhook_has_no_part_that_can_be_a_secret() {
    for rest in ["", "/", "/hunter2", "?key=hunter2", "#hunter2", "?to=/hunter2", "/a/hunter2?key=hunter2#hunter2"] {
        let url = format!("https://example.com:8443{rest}");
        assert_eq!(webhook(&url).unwrap().origin(), "https://example.com:8443", "{url}");
    }
}

#[test]
fn a_password_is_the_name_of_a_secret_and_needs_a_username() {
    let with = |lines: &str| read(&format!("[email]\nsmtp = \"smtp://h\"\nfrom = \"a@b\"\nto = \"c@d\"\n{lines}"));
    let rules = with("username = \"alerts\"\npassword = \"smtp\"").unwrap();
    assert_eq!(rules.email.unwrap().login, Some(("alerts".to_owned(), "smtp".to_owned())));
    for alone in ["username = \"alerts\"", "password = \"smtp\""] {
        assert!(with(alone).unwrap_err()[0].contains("belong together; write both, or none"));
    }
}

/// The addresses of these audiences, with their languages.
fn addresses<'r>(rules: &'r RuleSet, to: &[&str]) -> BTreeMap<&'r str, &'r str> {
    rules.email_recipients(&to.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
}

#[test]
fn an_address_has_the_language_of_its_first_audience_and_those_of_the_channel_the_shared_one() {
    let with = |others: &str| {
        let email = "[email]\nsmtp = \"smtp://h\"\nfrom = \"a@b\"\nto = \"ops@d\"\n";
        let day = "[[audience]]\nid = \"day\"\nlanguage = \"zh-Hans\"\nemails = [\"day@d\", \"both@d\"]\n";
        read(&format!("{email}{day}{others}")).unwrap()
    };
    let rules = with("[[audience]]\nid = \"night\"\nemails = [\"both@d\", \"night@d\"]\n");
    let expected = [("both@d", "zh-Hans"), ("day@d", "zh-Hans"), ("night@d", "en")];
    assert_eq!(addresses(&rules, &["night", "day"]), BTreeMap::from(expected));
    assert_eq!(addresses(&rules, &["night"])["both@d"], "en");
    assert_eq!(addresses(&rules, &[]), BTreeMap::from([("ops@d", "en")]));
    assert_eq!(addresses(&with(""), &[]), BTreeMap::from([("ops@d", "zh-Hans")]), "all audiences share it");
}

#[test]
fn an_audience_with_addresses_is_told_by_email_and_the_others_are_those_of_the_channel() {
    let audience = |id: &str, emails: &str| format!("[[audience]]\nid = \"{id}\"\nemails = [{emails}]\n");
    let text = "[email]\nsmtp = \"smtp://h\"\nfrom = \"a@b\"\nto = \"ops@d\"\n".to_owned()
        + &audience("day", "\"day@d\", \"both@d\"")
        + &audience("night", "\"both@d\"")
        + "[[audience]]\nid = \"board\"\n";
    let rules = read(&text).unwrap();
    let recipients = |to: &[&str]| addresses(&rules, to).into_keys().collect::<Vec<_>>();
    assert_eq!(recipients(&[]), ["ops@d"], "notices, and messages to everybody");
    assert_eq!(recipients(&["day"]), ["both@d", "day@d"]);
    assert_eq!(recipients(&["day", "night"]), ["both@d", "day@d"], "each once");
    assert_eq!(recipients(&["board"]), ["ops@d"], "nobody else would be told");
    assert_eq!(recipients(&["removed"]), ["ops@d"]);
    assert!(read("").unwrap().email_recipients(&[]).is_empty());
}
