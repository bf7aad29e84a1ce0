//! `qr` and `invite`, run as a shell runs them.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use smartclean_push::adapters::local::sqlite::SqliteStore;
use smartclean_push::ingest::links::{Invitation, Role, find_invitation};

use crate::support::{CommandOutput, documents, run, serve};

const URL: &str = "https://push.example.com";

const ZONES: &str = r#"
[[site]]
id = "a"
name = "Tower <A>"
[[site]]
id = "b 2"
name = "Tower B"
[[zone]]
id = "z1"
name = "Washroom"
site = "a"
floor = "2"
[[zone]]
id = "z/2?ü"
name = "Lobby & bar"
site = "b 2"
[[zone]]
id = "z3"
"#;

/// Runs `qr` with a rules file and further arguments.
fn qr(rules: &str, arguments: &[&str]) -> CommandOutput {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), rules).unwrap();
    run(folder.path(), &[&["qr", "--rules", "rules.toml", "--url", URL], arguments].concat())
}

/// The texts of the elements of a sheet that begin with `tag`.
fn texts<'s>(sheet: &'s str, tag: &str) -> Vec<&'s str> {
    sheet.split(tag).skip(1).map(|rest| rest.split("</").next().unwrap()).collect()
}

#[test]
fn a_sheet_has_a_code_for_each_declared_zone_grouped_by_site() {
    let sheet = qr(ZONES, &[]);
    assert_eq!((sheet.exit, sheet.err.as_str()), (Some(0), ""));
    assert_eq!(texts(&sheet.out, "<h1><bdi>"), ["QR codes of zones", "Tower &lt;A&gt;", "Tower B"]);
    assert_eq!(texts(&sheet.out, "<h2><bdi>"), ["z3", "Washroom", "Lobby &amp; bar"]);
    assert_eq!(
        texts(&sheet.out, "<p class=\"url\">"),
        [
            "https://push.example.com/board/z/z3",
            "https://push.example.com/board/z/z1?project=a",
            "https://push.example.com/board/z/z%2F2%3F%C3%BC?project=b%202",
        ]
    );
    // A card alone has the site too.
    assert_eq!(texts(&sheet.out, "<p><bdi>"), ["Tower &lt;A&gt;", "Tower B"]);
    assert_eq!(texts(&sheet.out, "<p>Floor <bdi>"), ["2"]);
    assert_eq!(sheet.out.matches("<svg").count(), 3);
    assert!(!sheet.out.contains("<?xml"), "HTML has no XML declaration");
    let loads = ["<script", "<link", "<img", "src=", "@import", "url("];
    assert!(!loads.iter().any(|load| sheet.out.contains(load)), "it loads nothing");
}

#[test]
fn a_sheet_of_one_site_has_its_zones_only() {
    for site in ["Tower B", "b 2"] {
        assert_eq!(texts(&qr(ZONES, &["--site", site]).out, "<h2><bdi>"), ["Lobby &amp; bar"]);
    }
    let misspelled = qr(ZONES, &["--site", "Tower D"]);
    assert_eq!((misspelled.exit, misspelled.out.as_str()), (Some(2), ""));
    assert!(misspelled.err.contains("--site: no [[site]] has the id or name `Tower D`"), "{}", misspelled.err);
}

#[test]
fn a_sheet_without_zones_is_refused_with_what_to_add() {
    for (rules, arguments, missing) in [
        ("", &[][..], "rules.toml declares no [[zone]]. "),
        ("[[site]]\nid = \"a\"\n[[zone]]\nid = \"z\"\n", &["--site", "a"], "no [[zone]] with the site `a`. "),
    ] {
        let refused = qr(rules, arguments);
        assert_eq!((refused.exit, refused.out.as_str()), (Some(2), ""));
        let error = refused.err;
        assert!(error.contains(missing) && error.contains("`smartclean-push zones --toml`"), "{error}");
    }
    let too_long = qr(&format!("[[zone]]\nid = \"{}\"\n", "z".repeat(3_000)), &[]);
    assert_eq!(too_long.exit, Some(2), "{}", too_long.err);
}

#[test]
fn a_sheet_goes_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), ZONES).unwrap();
    let ran = run(folder.path(), &["qr", "--rules", "rules.toml", "--url", URL, "--output", "doors.html"]);
    assert_eq!((ran.exit, ran.out.as_str()), (Some(0), ""));
    assert_eq!(ran.err, "The sheet with 3 QR codes is in doors.html\n");
    assert_eq!(fs::read_to_string(folder.path().join("doors.html")).unwrap(), qr(ZONES, &[]).out);
}

/// A folder with an empty state.
fn state() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    SqliteStore::open(&folder.path().join("state.db")).unwrap();
    folder
}

/// Runs `invite` on the state of a folder.
fn invite(folder: &Path, arguments: &[&str]) -> CommandOutput {
    run(folder, &[&["invite", "--state", "state.db"], arguments].concat())
}

/// Invites a team. Returns the output, the token of the link, and the id.
fn invited(folder: &Path, team: &str, role: &str, days: &str) -> (CommandOutput, String, String) {
    let ran = invite(folder, &["--team", team, "--role", role, "--days", days, "--url", URL]);
    assert_eq!(ran.exit, Some(0), "{}", ran.err);
    let after = |label: &str| ran.out.lines().find_map(|line| line.strip_prefix(label)).unwrap().trim().to_owned();
    let token = after("Link").strip_prefix("https://push.example.com/board/i/").unwrap().to_owned();
    let id = after("ID");
    (ran, token, id)
}

/// The invitation that the receiver finds by a token, now or after so many days.
fn found(folder: &Path, token: &str, days: i64) -> Option<Invitation> {
    let store = SqliteStore::open(&folder.join("state.db")).unwrap();
    let at = Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    tokio::runtime::Runtime::new().unwrap().block_on(find_invitation(&store, token, at)).unwrap()
}

#[test]
fn an_invitation_is_printed_once_and_found_by_its_link_until_it_ends() {
    let folder = state();
    let (ran, token, id) = invited(folder.path(), "Night shift", "respond", "7");
    let invitation = found(folder.path(), &token, 0).unwrap();
    assert_eq!((invitation.team.as_str(), invitation.role), ("Night shift", Role::Respond));
    assert!(found(folder.path(), &token, 6).is_some() && found(folder.path(), &token, 7).is_none());
    assert!(ran.out.contains("\u{2588}\u{2580}") && !ran.out.contains('\u{1b}'), "no colours in a pipe: {}", ran.out);

    invited(folder.path(), "Security", "view", "90");
    let listed = invite(folder.path(), &["--list"]);
    assert_eq!((listed.exit, listed.out.lines().count()), (Some(0), 3));
    let row = |team: &str| listed.out.lines().find(|line| line.contains(team)).unwrap();
    assert!(row("Night shift").contains(&id) && row("Night shift").contains(" respond "), "{}", listed.out);
    assert!(row("Security").contains(" view "), "{}", listed.out);
    let stored = documents(&folder.path().join("state.db"));
    assert!(stored.iter().all(|document| !document.key.contains(&token) && !document.body.contains(&token)));
    assert!(!listed.out.contains(&token) && stored.len() == 2);
}

#[test]
fn a_revoked_invitation_has_ended_and_the_others_have_not() {
    let folder = state();
    let (_, lost, id) = invited(folder.path(), "Lost phone", "respond", "90");
    let (_, kept, _) = invited(folder.path(), "Night shift", "respond", "90");
    for unknown in ["", "00000000", "Lost phone", &id[..7]] {
        let refused = invite(folder.path(), &["--revoke", unknown]);
        assert_eq!(refused.exit, Some(2), "{unknown:?}: {}", refused.err);
    }
    assert!(found(folder.path(), &lost, 0).is_some());
    let revoked = invite(folder.path(), &["--revoke", &id]);
    assert_eq!((revoked.exit, revoked.err.as_str()), (Some(0), ""));
    assert!(found(folder.path(), &lost, 0).is_none() && found(folder.path(), &kept, 0).is_some());
    let listed = invite(folder.path(), &["--list"]).out;
    assert!(!listed.contains("Lost phone") && listed.contains("Night shift"), "{listed}");
    assert_eq!(invite(folder.path(), &["--revoke", &id]).exit, Some(2), "it has ended");
}

#[test]
fn a_url_where_phones_keep_no_invitation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    SqliteStore::open(&folder.path().join("state.db")).unwrap();
    let at = |url: &str| invite(folder.path(), &["--team", "A", "--role", "view", "--url", url]);
    let refused = at("http://10.0.0.5:8080");
    assert_eq!(refused.exit, Some(2));
    assert!(refused.err.contains("only over HTTPS"), "{}", refused.err);
    assert_eq!(at("http://127.0.0.1:8080").exit, Some(0), "a browser on this machine keeps it");
}

#[test]
fn an_invitation_is_created_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = crate::support::Server::start(&mut serve(folder.path()));
    let (_, token, _) = invited(folder.path(), "Night shift", "respond", "90");
    assert!(found(folder.path(), &token, 0).is_some());
    drop(server);
}

#[test]
fn a_wrong_invitation_is_refused_and_nothing_is_stored() {
    let folder = state();
    let complete = ["--team", "Night shift", "--role", "respond", "--url", URL];
    for wrong in [
        &[][..],
        &complete[..2],
        &complete[..4],
        &[&complete[..], &["--days", "0"]].concat(),
        &[&complete[..], &["--days", "91"]].concat(),
        &[&complete[..], &["--list"]].concat(),
        &[&complete[..], &["--revoke", "1f2e3d4c"]].concat(),
        &["--team", "", "--role", "respond", "--url", URL],
        &["--team", "a\u{202e}b", "--role", "respond", "--url", URL],
        &["--team", "Night shift", "--role", "admin", "--url", URL],
        &["--team", "Night shift", "--role", "respond", "--url", "push.example.com"],
    ] {
        assert_eq!(invite(folder.path(), wrong).exit, Some(2), "{wrong:?}");
    }
    assert_eq!(documents(&folder.path().join("state.db")), []);
    let missing = run(folder.path(), &["invite", "--list", "--state", "missing.db"]);
    assert_eq!((missing.exit, folder.path().join("missing.db").exists()), (Some(2), false), "{}", missing.err);
}
