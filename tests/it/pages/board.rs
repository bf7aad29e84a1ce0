//! The board: what it shows to whom, and how it reloads.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::domain::alert::SuppressionReason;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::{Suppression, ZoneKey, ZoneState};
use smartclean_push::ingest::links::Role;
use smartclean_push::ingest::ports::{AttentionEntry, Commit, IndexEntry, StateStore as _};

use super::{HOSTS, Page, Pages, Sent};
use crate::support::{body, push_to, reading_with};

impl Pages {
    /// The board as an invited phone asks for it.
    async fn board(&self, token: &str, change: impl FnOnce(Sent) -> Sent) -> Page {
        let get = Sent { method: "GET", origin: None, content_type: None, ..self.post("/board", "") };
        self.send(&change(get.with_cookie(token))).await
    }

    /// Pushes a reading of the soap of now.
    async fn push(&self, percent: i32) {
        let now = Timestamp::now();
        let members = json!({ "DEVID": "soap", "unixT": now.as_millisecond() });
        let readings = body(&[reading_with("SS", &json!({ "p": percent }), &members)]);
        push_to(self.app.ingest(), readings, now).await.unwrap();
    }
}

#[tokio::test]
async fn the_board_shows_an_alert_until_it_is_over() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let phone = pages.invite(Role::View).await;
        let page = pages.board(&phone, |get| get).await;
        assert_eq!(page.status, 200, "{page:?}");
        for shown in [
            "<h1>What needs attention</h1>",
            "href=\"/board/z/zone?project=building\"",
            "Level 2 &lt;Washroom&gt;",
            "Soap low",
            "soap left: 4 %, 1 point under the limit of 5 %",
            "Nobody has it.",
            "The last push arrived at about",
            "Asia/Singapore",
        ] {
            assert!(page.body.contains(shown), "{host:?}: {shown}\n{}", page.body);
        }
        let (link, life) = (pages.link(60).await, pages.lives()[0].clone());
        pages.send(&pages.form(&link, &life, "action=take&by=JD")).await;
        let taken = pages.board(&phone, |get| get).await;
        assert!(
            taken.body.contains("<bdi>JD</bdi> has it") && !taken.body.contains("Nobody has it."),
            "{}",
            taken.body
        );
        pages.send(&pages.form(&link, &life, "action=done&by=JD")).await;
        let done = pages.board(&phone, |get| get).await;
        assert!(done.body.contains("Reported done at") && !done.body.contains("has it"), "{}", done.body);
        pages.push(80).await;
        let over = pages.board(&phone, |get| get).await;
        assert!(over.body.contains("No room needs attention.") && !over.body.contains("Soap low"), "{}", over.body);
    }
}

#[tokio::test]
async fn only_an_invited_phone_sees_the_board() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let before = pages.documents();
        let stranger = pages.get("/board").await;
        assert_eq!((stranger.status, stranger.body.contains("Soap low")), (403, false), "{stranger:?}");
        for token in ["", "AAAAAAAAAAAAAAAAAAAAAA", "short", "a;b"] {
            assert_eq!(pages.board(token, |get| get).await.status, 403, "{host:?} {token}");
        }
        let page = pages.send(&pages.post("/board", "action=clean")).await;
        assert_eq!((page.status, page.headers["allow"].as_str()), (405, "GET, HEAD"), "{host:?}");
        assert!(pages.documents() == before, "{host:?}");
        let phone = pages.invite(Role::Respond).await;
        assert_eq!(pages.board(&phone, |get| get).await.status, 200);
        let head = pages.board(&phone, |get| Sent { method: "HEAD", ..get }).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
    }
}

#[tokio::test]
async fn an_unchanged_board_is_not_sent_again() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let phone = pages.invite(Role::View).await;
        let first = pages.board(&phone, |get| get).await;
        assert_eq!(first.headers["cache-control"], "private, no-cache");
        assert_eq!(first.headers["refresh"], "30");
        let known = Some(first.headers["etag"].clone());
        let second = pages.board(&phone, |get| Sent { known: known.clone(), ..get }).await;
        assert_eq!((second.status, second.body.as_str()), (304, ""), "{host:?}");
        assert_eq!(
            (&second.headers["etag"], &second.headers["refresh"]),
            (&first.headers["etag"], &first.headers["refresh"])
        );
        let (link, life) = (pages.link(60).await, pages.lives()[0].clone());
        pages.send(&pages.form(&link, &life, "action=take&by=JD")).await;
        let third = pages.board(&phone, |get| Sent { known, ..get }).await;
        assert_eq!(third.status, 200, "{host:?}");
        let still = pages.board(&phone, |get| Sent { path: "/board?reload=no".to_owned(), ..get }).await;
        assert!(!still.headers.contains_key("refresh") && still.body.contains("Reload by itself"), "{still:?}");
    }
}

#[tokio::test]
async fn the_board_is_json_for_programs() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let phone = pages.invite(Role::View).await;
        let page = pages.board(&phone, |get| Sent { accept: Some("application/json"), ..get }).await;
        assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "application/json"));
        let board: Value = serde_json::from_str(&page.body).unwrap();
        assert_eq!(board["zones"][0]["alerts"][0], pages.lives()[0]);
        assert_eq!(
            (&board["silent"], &board["devices"], &board["has_more"]),
            (&Value::Array(vec![]), &Value::Array(vec![]), &Value::Bool(false))
        );
        assert_eq!(board["newest"].as_array().unwrap().len(), 1);
        let page = pages.board(&phone, |get| Sent { accept: Some("text/html,application/json;q=0.9"), ..get }).await;
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    }
}

#[tokio::test]
async fn while_the_state_is_down_a_phone_sees_the_last_board_and_its_age() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let (known, new) = (pages.invite(Role::View).await, pages.invite(Role::View).await);
        assert_eq!(pages.board(&known, |get| get).await.status, 200);
        pages.state.set_broken(true);
        let page = pages.board(&known, |get| get).await;
        assert_eq!((page.status, page.headers.get("etag")), (503, None));
        assert!(
            page.body.contains("The state store does not answer.") && page.body.contains("Soap low"),
            "{}",
            page.body
        );
        // A phone that has not seen it before is not known to be invited.
        let page = pages.board(&new, |get| get).await;
        assert_eq!((page.status, page.body.contains("Soap low")), (503, false), "{host:?}");
        assert_eq!(pages.get("/board").await.status, 403);
        pages.state.set_broken(false);
        let page = pages.board(&known, |get| get).await;
        assert!(page.status == 200 && !page.body.contains("does not answer"), "{host:?}");
    }
}

#[tokio::test]
async fn alerts_that_wait_are_counted_on_the_board_and_at_the_door() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let phone = pages.invite(Role::Respond).await;
        let door = |get| Sent { path: "/board/z/zone?project=building".to_owned(), ..get };
        for page in [pages.board(&phone, |get| get).await, pages.board(&phone, door).await] {
            assert!(!page.body.contains("Alerts that wait"), "{host:?} {}", page.body);
        }
        let key = ZoneKey::zone("building", "zone").to_string();
        let document = pages.documents().remove(&key).unwrap();
        let mut state: ZoneState = serde_json::from_str(&document.body).unwrap();
        let (rules, until) = (RuleSet::pack(), pages.now + SignedDuration::from_hours(1));
        let alert = state.lives.open()[0].to_alert(rules.rule("soap-low").unwrap());
        state.suppressed.add(Suppression {
            alert,
            device: "soap".to_owned(),
            reason: SuppressionReason::Mute,
            until,
            to: Vec::new(),
            told: false,
            resolved_at: None,
            announced: false,
        });
        let index = IndexEntry { due: None, attention: AttentionEntry::of(&key, &state).unwrap() };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(pages.state.commit(&key, document.version, &text, index).await.unwrap(), Commit::Done);
        let page = pages.board(&phone, |get| get).await;
        assert!(page.body.contains("nobody is on duty: 1, in rooms: 1."), "{host:?} {}", page.body);
        assert!(page.body.contains("Alerts that wait: 1"), "{host:?} {}", page.body);
        let page = pages.board(&phone, door).await;
        assert!(page.body.contains("nobody is on duty: 1."), "{host:?} {}", page.body);
    }
}
