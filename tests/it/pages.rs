//! The pages for people, through the local server and through the board function.

mod board;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::state::{ZoneKey, ZoneState};
use smartclean_push::hosts::server::{self, ServerLimits};
use smartclean_push::http::{App, Board};
use smartclean_push::ingest::links::{
    INVITATION, Invitation, LinkedAlert, LinkedAlerts, Role, Token, create_invitation, create_link,
};
use smartclean_push::ingest::ports::{AttentionEntry, Commit, IndexEntry, StateDocument, StateStore, UnavailableError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::memory::{MemoryDocument, MemoryState};
use crate::support::{PASSWORD, Server, USERNAME, World, basic, body, eventually, push_to, reading_with, serve};

const RULES: &str = "block = \"none\"\n[[zone]]\nid = \"zone\"\nname = \"Level 2 <Washroom>\"\nfloor = \"2\"\n\
                     [[rule]]\nid = \"soap-low\"\naction = \"Refill the soap\"\n";

/// What serves the pages.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Host {
    /// The local server.
    Server,
    /// The board function, behind an HTTP API.
    Function,
}

const HOSTS: [Host; 2] = [Host::Server, Host::Function];

/// Both hosts with one state store.
struct Pages {
    host: Host,
    app: Arc<App>,
    board: Board,
    state: MemoryState,
    loses_answer: Arc<AtomicBool>,
    authority: String,
    now: Timestamp,
}

/// A store that takes a moment to answer, so that two requests at once read the same version.
struct SlowState {
    state: MemoryState,
    /// Whether its answer to the next write is lost.
    loses_answer: Arc<AtomicBool>,
}

#[async_trait]
impl StateStore for SlowState {
    async fn load(&self, keys: &[String]) -> Result<Vec<StateDocument>, UnavailableError> {
        let loaded = self.state.load(keys).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        loaded
    }

    async fn commit(&self, key: &str, version: u64, body: &str, index: IndexEntry) -> Result<Commit, UnavailableError> {
        let committed = self.state.commit(key, version, body, index).await;
        if self.loses_answer.swap(false, Ordering::Relaxed) {
            return Err(UnavailableError::new("the state store did not respond", "its answer was lost"));
        }
        committed
    }

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<String>, UnavailableError> {
        self.state.due(now, most).await
    }

    async fn attention(&self, most: usize) -> Result<Vec<AttentionEntry>, UnavailableError> {
        self.state.attention(most).await
    }
}

/// The answer to a request.
#[derive(Debug)]
struct Page {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

/// A request, by default of a browser that sends a form of this host.
#[derive(Clone, Debug)]
struct Sent {
    method: &'static str,
    path: String,
    origin: Option<String>,
    content_type: Option<&'static str>,
    cookie: Option<String>,
    accept: Option<&'static str>,
    known: Option<String>,
    body: String,
}

impl Pages {
    /// The pages about one alert of each of these devices of one zone, by this name.
    async fn with_devices(host: Host, devices: &[&str], display: &str) -> Self {
        let rules = RuleSet::parse("rules.toml", RULES).unwrap();
        let (state, loses_answer) = (MemoryState::default(), Arc::new(AtomicBool::new(false)));
        let slow = || SlowState { state: state.clone(), loses_answer: Arc::clone(&loses_answer) };
        let world = World::new().with_rules(rules.clone()).with_state(slow());
        let app = Arc::new(world.app().with_pages());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = match host {
            Host::Server => listener.local_addr().unwrap().to_string(),
            Host::Function => "board.example".to_owned(),
        };
        let (served, now) = (Arc::clone(&app), Timestamp::now());
        tokio::spawn(server::serve(served, listener, ServerLimits::default(), std::future::pending()));
        let reading = |device: &&str| {
            let members = json!({ "DEVID": device, "Display": display, "unixT": now.as_millisecond() });
            reading_with("SS", &json!({ "p": 4 }), &members)
        };
        push_to(app.ingest(), body(&devices.iter().map(reading).collect::<Vec<_>>()), now).await.unwrap();
        let board = Board::new(Box::new(slow()), Box::new(Arc::new(rules)));
        Self { host, app, board, state, loses_answer, authority, now }
    }

    async fn new(host: Host) -> Self {
        Self::with_devices(host, &["soap"], "Soap by the door").await
    }

    /// The open alerts as the zone state has them.
    fn lives(&self) -> Vec<Value> {
        let key = ZoneKey::zone("building", "zone").to_string();
        let state: ZoneState = serde_json::from_str(&self.documents()[&key].body).unwrap();
        state.lives.open().iter().map(|life| serde_json::to_value(life).unwrap()).collect()
    }

    fn documents(&self) -> BTreeMap<String, MemoryDocument> {
        self.state.documents()
    }

    /// The path of a link about all open alerts, or about these, until then.
    async fn link(&self, minutes: i64) -> String {
        let key = ZoneKey::zone("building", "zone").to_string();
        let linked = |life: Value| LinkedAlert {
            zone: key.clone(),
            alert: serde_json::from_value(life["alert"].clone()).unwrap(),
        };
        let expires = self.now + SignedDuration::from_mins(minutes);
        let link = LinkedAlerts { expires, alerts: self.lives().into_iter().map(linked).collect() };
        let token = Token::random().unwrap();
        self.state
            .commit(&token.key("link/"), 0, &serde_json::to_string(&link).unwrap(), IndexEntry::default())
            .await
            .unwrap();
        format!("/board/a/{}", token.expose())
    }

    /// The token of an invitation.
    async fn invite(&self, role: Role) -> String {
        let expires = self.now + SignedDuration::from_hours(24 * 90);
        let invitation = Invitation { team: "Team A".to_owned(), role, created: self.now, expires };
        create_invitation(&self.state, &invitation).await.unwrap().expose()
    }

    /// A form for one alert.
    fn form(&self, path: &str, life: &Value, fields: &str) -> Sent {
        let alert = &life["alert"].as_str().unwrap()[..32];
        self.post(path, &format!("alert={alert}&{fields}"))
    }

    fn post(&self, path: &str, body: &str) -> Sent {
        let scheme = if self.host == Host::Server { "http" } else { "https" };
        Sent {
            method: "POST",
            path: path.to_owned(),
            origin: Some(format!("{scheme}://{}", self.authority)),
            content_type: Some("application/x-www-form-urlencoded"),
            cookie: None,
            accept: None,
            known: None,
            body: body.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Page {
        self.send(&Sent { method: "GET", origin: None, content_type: None, ..self.post(path, "") }).await
    }

    async fn send(&self, sent: &Sent) -> Page {
        let headers = [
            ("Origin", sent.origin.as_deref()),
            ("Content-Type", sent.content_type),
            ("Accept", sent.accept),
            ("If-None-Match", sent.known.as_deref()),
            ("Authorization", Some("Basic c21hcnRjbGVhbjpzM2NyZXQtUGE1NQ==")),
        ];
        let headers: Vec<_> = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        match self.host {
            Host::Server => self.send_to_server(sent, &headers).await,
            Host::Function => self.invoke(sent, &headers).await,
        }
    }

    async fn send_to_server(&self, sent: &Sent, headers: &[(&str, &str)]) -> Page {
        let Sent { method, path, cookie, body, .. } = sent;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.authority);
        let cookie = cookie.as_deref().map(|cookie| ("Cookie", cookie));
        headers.iter().copied().chain(cookie).for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(&self.authority).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let headers = head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
        Page {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: body.to_owned(),
        }
    }

    async fn invoke(&self, sent: &Sent, headers: &[(&str, &str)]) -> Page {
        let headers: BTreeMap<String, &str> =
            headers.iter().map(|(name, value)| (name.to_lowercase(), *value)).collect();
        let (path, query) = sent.path.split_once('?').unwrap_or((&sent.path, ""));
        let mut event = json!({
            "version": "2.0", "rawPath": path, "rawQueryString": query, "headers": headers,
            "body": STANDARD.encode(&sent.body), "isBase64Encoded": true,
            "requestContext": {
                "http": { "method": sent.method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7" },
                "requestId": "id", "stage": "$default", "timeEpoch": 0, "domainName": self.authority,
            },
        });
        if let Some(cookie) = &sent.cookie {
            event["cookies"] = json!(cookie.split("; ").collect::<Vec<_>>());
        }
        let answer = self.board.handle_event(event.to_string().as_bytes(), "invocation", Timestamp::now()).await;
        let answer = serde_json::to_value(answer.unwrap()).unwrap();
        let headers = answer["headers"].as_object().unwrap().iter();
        let mut headers: BTreeMap<String, String> =
            headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        headers.extend(
            answer["cookies"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|cookie| ("set-cookie".to_owned(), cookie.as_str().unwrap().to_owned())),
        );
        // API Gateway drops the body of a response to HEAD, as the server does.
        let body = if sent.method == "HEAD" { "" } else { answer["body"].as_str().unwrap() };
        Page { status: answer["statusCode"].as_u64().unwrap().try_into().unwrap(), headers, body: body.to_owned() }
    }
}

impl Sent {
    fn with_cookie(mut self, token: &str) -> Self {
        self.cookie = Some(format!("other=1; __Host-smartclean={token}"));
        self
    }
}

#[tokio::test]
async fn a_link_shows_what_is_wrong_and_what_to_do() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let page = pages.get(&pages.link(60).await).await;
        assert_eq!(page.status, 200, "{page:?}");
        for shown in [
            "<h1>1 open alert</h1>",
            "Soap low",
            "Level 2 &lt;Washroom&gt; · Soap by the door",
            ", floor <bdi>2</bdi>",
            "soap left: 4 %, 1 point under the limit of 5 %",
            "Refill the soap",
            "Nobody has it.",
            "Asia/Singapore",
        ] {
            assert!(page.body.contains(shown), "{host:?}: {shown}\n{}", page.body);
        }
    }
}

/// A program that opens every link and sends every form as it is.
#[tokio::test]
async fn a_robot_changes_nothing() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let (link, life) = (pages.link(60).await, pages.lives()[0].clone());
        let invitation = format!("/board/i/{}", pages.invite(Role::Respond).await);
        let before = pages.documents();
        let door = "/board/z/zone?project=building".to_owned();
        for path in [&link, &invitation, &door] {
            for method in ["HEAD", "GET", "GET"] {
                let page = pages.send(&Sent { method, ..pages.post(path, "") }).await;
                assert_eq!(page.status, if path == &door { 403 } else { 200 }, "{host:?} {method} {path}");
                assert_eq!(page.body.is_empty(), method == "HEAD");
            }
        }
        for fields in
            ["action=take&by=", "action=done", "action=snooze&by=%20%E2%80%AE&minutes=60", "action=take&minutes="]
        {
            let page = pages.send(&pages.form(&link, &life, fields)).await;
            assert_eq!(page.status, 400, "{host:?} {fields}");
            assert!(page.body.contains("<h1>Write your team or initials</h1>"), "{}", page.body);
        }
        let sent = pages.form(&link, &life, "action=take&by=JD");
        let foreign = Some("https://other.example".to_owned());
        for (sent, status) in [
            (Sent { origin: None, ..sent.clone() }, 403),
            (Sent { origin: foreign, ..sent.clone() }, 403),
            (Sent { origin: Some("null".to_owned()), ..sent.clone() }, 403),
            (Sent { content_type: None, ..sent.clone() }, 415),
            (Sent { content_type: Some("text/plain"), ..sent.clone() }, 415),
            (Sent { content_type: Some("application/json"), ..sent.clone() }, 415),
            (Sent { body: format!("{}{}", sent.body, "x".repeat(4 * 1024)), ..sent.clone() }, 413),
            (Sent { body: sent.body.replace("JD", &"x".repeat(41)), ..sent.clone() }, 400),
            (Sent { body: format!("{}&by=KL", sent.body), ..sent.clone() }, 400),
            (Sent { body: "action=take&by=JD".to_owned(), ..sent.clone() }, 400),
            (Sent { body: sent.body.replace("take", "steal"), ..sent.clone() }, 400),
            (pages.form(&link, &life, "action=snooze&by=JD"), 400),
            (pages.form(&link, &life, "action=snooze&by=JD&minutes=31"), 400),
            (Sent { path: invitation.clone(), ..sent.clone() }, 405),
            (Sent { method: "PUT", ..sent.clone() }, 405),
            (Sent { path: door.clone(), ..sent.clone() }, 403),
            (pages.post(&door, "action=clean"), 403),
        ] {
            let page = pages.send(&sent).await;
            assert_eq!(page.status, status, "{host:?} {sent:?}");
            assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        }
        assert!(pages.documents() == before, "{host:?}");
        assert_eq!(pages.send(&sent).await.status, 303, "{host:?}: a person");
        assert!(pages.documents() != before);
    }
}

#[tokio::test]
async fn of_two_people_at_once_one_has_the_alert_and_the_other_is_told_who() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let (link, life) = (pages.link(60).await, pages.lives()[0].clone());
        let [one, other] = ["JD", "KL"].map(|by| pages.form(&link, &life, &format!("action=take&by={by}")));
        let (one, other) = tokio::join!(pages.send(&one), pages.send(&other));
        let (loser, winner) = if one.status == 303 { (other, "JD") } else { (one, "KL") };
        assert_eq!(loser.status, 409, "{host:?}");
        assert!(loser.body.contains(&format!("<bdi>{winner}</bdi> has it since ")), "{}", loser.body);
        let taken = &pages.lives()[0]["taken"];
        assert_eq!(taken["by"], winner);
        let time = |name: &str| taken[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert_eq!(time("until").duration_since(time("at")), SignedDuration::from_mins(30));
        let page = pages.get(&link).await;
        assert!(page.body.contains(&format!("<strong><bdi>{winner}</bdi> has it</strong>")), "{}", page.body);
        assert!(!page.body.contains("I take it") && page.body.contains("Done"), "{}", page.body);
    }
}

#[tokio::test]
async fn a_repeated_answer_changes_nothing() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let (link, life) = (pages.link(60).await, pages.lives()[0].clone());
        for (fields, member) in [
            ("action=take&by=JD", "taken"),
            ("action=snooze&by=KL&minutes=60", "snoozed"),
            ("action=done&by=JD", "done"),
        ] {
            let form = pages.form(&link, &life, fields);
            let (before, first) = (pages.documents(), pages.send(&form).await);
            assert_eq!((first.status, &first.headers["location"]), (303, &link), "{host:?} {fields}");
            let after = pages.documents();
            assert!(after != before, "{host:?} {fields}");
            assert!(!pages.lives()[0][member].is_null(), "{host:?} {fields}");
            assert_eq!(pages.send(&form).await.status, 303);
            assert!(pages.documents() == after, "{host:?} {fields}");
        }
        let page = pages.get(&link).await;
        assert!(page.body.contains("Reported done at ") && !page.body.contains("<form"), "{}", page.body);
    }
}

#[tokio::test]
async fn an_answer_is_about_one_alert_and_an_alert_that_is_over_stays_over() {
    for host in HOSTS {
        let pages = Pages::with_devices(host, &["one", "two"], "Soap").await;
        let (link, lives) = (pages.link(60).await, pages.lives());
        assert_eq!(lives.len(), 2);
        assert_eq!(pages.send(&pages.form(&link, &lives[0], "action=done&by=JD")).await.status, 303);
        let after = pages.lives();
        assert_eq!((after[0]["done"].is_null(), &after[1]), (false, &lives[1]), "{host:?}");
        // The sensor measures that it is over.
        let later = Timestamp::now();
        let members = json!({ "DEVID": "one", "Display": "Soap", "unixT": later.as_millisecond() + 1 });
        push_to(pages.app.ingest(), body(&[reading_with("SS", &json!({ "p": 90 }), &members)]), later).await.unwrap();
        assert_eq!(pages.lives().len(), 1);
        let before = pages.documents();
        assert_eq!(pages.send(&pages.form(&link, &lives[0], "action=take&by=JD")).await.status, 303);
        assert!(pages.documents() == before);
        let page = pages.get(&link).await;
        assert!(page.body.contains("1 open alert") && page.body.contains("No longer open: 1."), "{}", page.body);
    }
}

#[tokio::test]
async fn other_tokens_open_nothing() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let (link, expired, invitation) = (pages.link(60).await, pages.link(0).await, pages.invite(Role::View).await);
        let form = pages.form(&link, &pages.lives()[0], "action=take&by=JD");
        let unknown = Token::random().unwrap().expose();
        let before = pages.documents();
        for path in [
            expired,
            link[..link.len() - 1].to_owned(),
            format!("{link}A"),
            format!("{link}%3D"),
            format!("/board/a/{unknown}"),
            format!("/board/a/{invitation}"),
            link.replace("/a/", "/i/"),
            format!("/board/i/{unknown}"),
            "/board/a/".to_owned(),
            format!("{link}/"),
            "/board/x/y".to_owned(),
        ] {
            let page = pages.get(&path).await;
            assert_eq!((page.status, page.headers.get("set-cookie")), (404, None), "{host:?} {path}");
            assert_eq!(page.headers["content-type"], "text/html; charset=utf-8", "{host:?} {path}");
            let posted = pages.send(&Sent { path: path.clone(), ..form.clone() }).await;
            assert_eq!(posted.status, if path.contains("/i/") { 405 } else { 404 }, "{host:?} {path}");
        }
        assert!(pages.documents() == before);
        assert_eq!(pages.get(&link).await.status, 200);
    }
}

#[tokio::test]
async fn an_invited_phone_answers_for_its_team() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let token = pages.invite(Role::Respond).await;
        let page = pages.get(&format!("/board/i/{token}")).await;
        assert!(page.status == 200 && page.body.contains("<bdi>Team A</bdi>"), "{}", page.body);
        let cookie = &page.headers["set-cookie"];
        let (name, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(name, format!("__Host-smartclean={token}"));
        let (age, others) = attributes.split_once("; ").unwrap();
        assert_eq!(others, "Path=/; Secure; HttpOnly; SameSite=Lax");
        let age: i64 = age.strip_prefix("Max-Age=").unwrap().parse().unwrap();
        assert!((90 * 86_400 - 60..=90 * 86_400).contains(&age), "{age}");

        // Names in the rules mean their zone.
        for door in ["/board/z/zone?project=building", "/board/z/Level%202%20%3CWashroom%3E"] {
            let shown = Sent { method: "GET", origin: None, ..pages.post(door, "") }.with_cookie(&token);
            let page = pages.send(&shown).await;
            assert!(page.body.contains("I have cleaned this room") && page.body.contains("I take it"), "{}", page.body);
            assert!(page.body.contains("<title>Level 2 &lt;Washroom&gt;</title>"), "{}", page.body);
            assert!(!page.body.contains("name=\"by\""), "{}", page.body);
        }
        let door = "/board/z/zone?project=building";
        let taken = pages.send(&pages.form(door, &pages.lives()[0], "action=take").with_cookie(&token)).await;
        assert_eq!((taken.status, taken.headers["location"].as_str()), (303, door), "{host:?}");
        assert_eq!(pages.lives()[0]["taken"]["by"], "Team A");
        let clean = pages.post(door, "action=clean").with_cookie(&token);
        assert_eq!(pages.send(&clean).await.status, 303);
        assert!(!pages.lives()[0]["done"].is_null());
        let before = pages.documents();
        assert_eq!(pages.send(&clean).await.status, 303);
        assert!(pages.documents() == before, "a repeated cleaning changes nothing");
        let state = &before[&ZoneKey::zone("building", "zone").to_string()].body;
        let state: Value = serde_json::from_str(state).unwrap();
        let responses = state["lives"]["facts"]["responses"].as_array().unwrap();
        assert_eq!(responses.last().unwrap()["by"], "Team A");

        for elsewhere in
            ["/board/z/elsewhere", "/board/z/a/b", "/board/z/a%2Fb", "/board/z/", "/board/z/zone?project=other"]
        {
            let page = pages.send(&pages.post(elsewhere, "action=clean").with_cookie(&token)).await;
            assert!(page.status == 404 && page.body.contains("This room is not known"), "{elsewhere}: {}", page.body);
        }
        assert_eq!(pages.get(door).await.status, 403, "another phone");
        let unknown = Sent { method: "GET", ..pages.post(door, "") }.with_cookie(&Token::random().unwrap().expose());
        assert_eq!(pages.send(&unknown).await.status, 403, "an unknown or revoked invitation");
    }
}

#[tokio::test]
async fn a_phone_that_may_only_see_alerts_changes_nothing() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let (link, life, token) = (pages.link(60).await, pages.lives()[0].clone(), pages.invite(Role::View).await);
        let before = pages.documents();
        let door = "/board/z/zone";
        for form in [
            pages.form(door, &life, "action=take"),
            pages.form(door, &life, "action=done&by=JD"),
            pages.post(door, "action=clean"),
            pages.form(&link, &life, "action=take&by=JD"),
        ] {
            let page = pages.send(&form.with_cookie(&token)).await;
            assert_eq!(page.status, 403, "{host:?}");
            assert!(page.body.contains("This phone may only see alerts"), "{}", page.body);
        }
        assert!(pages.documents() == before);
        for path in [door, &link] {
            let page = pages.send(&Sent { method: "GET", ..pages.post(path, "") }.with_cookie(&token)).await;
            assert!(page.body.contains("Soap low") && !page.body.contains("<form"), "{}", page.body);
        }
        assert!(pages.documents().keys().any(|key| key.starts_with(INVITATION)));
    }
}

#[tokio::test]
async fn names_are_text_without_direction_marks_and_short() {
    let display = format!("<script>alert(1)</script>\u{202e}gnp\u{2066}{}", "x".repeat(10_000));
    for host in HOSTS {
        let pages = Pages::with_devices(host, &["soap"], &display).await;
        let link = pages.link(60).await;
        let by = "%3Cscript%3E%E2%80%AEx";
        assert_eq!(
            pages.send(&pages.form(&link, &pages.lives()[0], &format!("action=take&by={by}"))).await.status,
            303
        );
        let page = pages.get(&link).await.body;
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(page.contains("<bdi>&lt;script&gt; x</bdi> has it"), "{page}");
        assert!(!page.contains("<script") && !page.contains(['\u{202e}', '\u{2066}']), "{page}");
        assert!(!page.contains(&"x".repeat(120)), "{page}");
    }
}

#[tokio::test]
async fn without_the_state_store_the_page_says_so_and_an_answer_can_be_sent_again() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let (link, token) = (pages.link(60).await, pages.invite(Role::Respond).await);
        let (before, form) = (pages.documents(), pages.form(&link, &pages.lives()[0], "action=take&by=JD"));
        let clean = pages.post("/board/z/zone", "action=clean").with_cookie(&token);
        pages.state.set_broken(true);
        let get = Sent { method: "GET", ..form.clone() };
        for sent in [get, form.clone(), form.clone().with_cookie(&token), clean] {
            let page = pages.send(&sent).await;
            assert_eq!((page.status, page.headers["retry-after"].as_str()), (503, "60"), "{host:?}");
            assert!(page.body.contains("No answer is recorded until this page shows it."), "{}", page.body);
        }
        pages.state.set_broken(false);
        assert!(pages.documents() == before);
        pages.state.lose_next(3);
        assert_eq!(pages.send(&form).await.status, 303, "lost races are retried");
        assert_eq!(pages.lives()[0]["taken"]["by"], "JD");
        // As if the process were killed after the write.
        pages.loses_answer.store(true, Ordering::Relaxed);
        let done = pages.form(&link, &pages.lives()[0], "action=done&by=JD");
        assert_eq!(pages.send(&done).await.status, 503);
        let after = pages.documents();
        assert_eq!(pages.send(&done).await.status, 303);
        assert!(pages.documents() == after && !pages.lives()[0]["done"].is_null());
    }
}

#[tokio::test]
async fn every_page_has_the_headers_of_pages() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let link = pages.link(60).await;
        let form = pages.form(&link, &pages.lives()[0], "action=take&by=JD");
        for page in [
            pages.get(&link).await,
            pages.get("/board/z/zone").await,
            pages.get("/board/a/x").await,
            pages.send(&form).await,
        ] {
            for (name, value) in [
                ("cache-control", "no-store"),
                ("content-type", "text/html; charset=utf-8"),
                ("referrer-policy", "same-origin"),
                ("x-content-type-options", "nosniff"),
                ("x-robots-tag", "noindex"),
            ] {
                assert_eq!(page.headers[name], value, "{host:?} {name}");
            }
            let policy = &page.headers["content-security-policy"];
            let (style, others) =
                policy.strip_prefix("default-src 'none'; style-src 'sha256-").unwrap().split_once("'; ").unwrap();
            assert_eq!(others, "form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
            if let Some((_, rest)) = page.body.split_once("<style>") {
                let text = rest.split_once("</style>").unwrap().0;
                let digest = smartclean_push::domain::digest::Digest::of(text.as_bytes());
                assert_eq!(style, STANDARD.encode(digest.as_bytes()), "the hash of the style");
            }
            for absent in ["<script", "src=", "style=", "<link", "http://", "https://"] {
                assert!(!page.body.contains(absent), "{absent}: {}", page.body);
            }
        }
    }
}

#[tokio::test]
async fn a_host_without_pages_has_none() {
    let app = World::new().start();
    let request = http::Request::get("/board/z/zone").body(http_body_util::Full::default()).unwrap();
    assert_eq!(app.send(request).await.status, 404);
}

/// The log of `serve` when a phone is invited and answers.
#[test]
fn the_log_has_answers_and_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let server = Server::start(serve(&data).stderr(std::fs::File::create(&log).unwrap()));
    let members = json!({ "unixT": Timestamp::now().as_millisecond() });
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let pushed = agent.post(server.url()).header("Authorization", basic(USERNAME, PASSWORD));
    pushed.send(&body(&[reading_with("SS", &json!({ "p": 4 }), &members)])[..]).unwrap();
    let alerts = || std::fs::read_to_string(data.join("alerts.ndjson")).unwrap_or_default();
    eventually("the alert is sent", || alerts().contains("/board/a/"));
    let token = alerts().split("/board/a/").nth(1).unwrap()[..22].to_owned();
    let alert = alerts().split("\"id\":\"").nth(1).unwrap()[..32].to_owned();
    let (host, cookie) = (server.address.to_string(), Token::random().unwrap().expose());
    let page = format!("http://{host}/board/a/{token}");
    let answer = |form: &str| {
        let request = agent.post(&page).header("Origin", format!("http://{host}"));
        let request = request.header("Cookie", format!("__Host-smartclean={cookie}"));
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        request.send(form).unwrap().status().as_u16()
    };
    assert_eq!(agent.get(&page).call().unwrap().status().as_u16(), 200);
    assert_eq!(answer(&format!("alert={alert}&action=take&by=J%0A2026-01-01%1b[31mD")), 303);
    assert_eq!(answer(&format!("alert={alert}&action=take&by=KL")), 409);
    assert_eq!(answer("alert=&action=take"), 400);
    let (code, shown) = server.end();
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(code, Some(0));
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("alert answered")).collect();
    assert!(lines.len() == 2 && lines[0].contains(r#"by="J 2026-01-01 [31mD" outcome=Recorded"#), "{log}");
    assert!(lines[1].contains(&alert) && lines[1].contains("HeldBy"), "{log}");
    assert!(!log.contains(&token) && !log.contains(&cookie), "{log}");
    assert!(!shown.contains(&cookie));
}

#[tokio::test]
async fn an_answer_about_a_device_without_a_zone_names_the_device() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let text = format!(
            r#"{{"DevType":"SMARTCLEAN#SS","DEVID":"alone","PID":"building","unixT":{},"v":{{"p":3}}}}"#,
            pages.now.as_millisecond()
        );
        push_to(pages.app.ingest(), body(&[text]), pages.now).await.unwrap();
        let key = ZoneKey { is_zone: false, project: "building".into(), id: "alone".into() }.to_string();
        let state = || serde_json::from_str::<ZoneState>(&pages.documents()[&key].body).unwrap();
        let alert = state().lives.open()[0].alert;
        let expires = pages.now + SignedDuration::from_mins(60);
        let link = LinkedAlerts { expires, alerts: vec![LinkedAlert { zone: key.clone(), alert }] };
        let path = format!("/board/a/{}", create_link(&pages.state, &link).await.unwrap().expose());
        let page = pages.send(&pages.post(&path, &format!("alert={alert}&action=done&by=JD"))).await;
        assert_eq!(page.status, 303, "{host:?} {page:?}");
        let responses = state().lives.facts().responses.clone();
        assert_eq!(
            (responses[0].response.zone.as_str(), responses[0].response.project.as_deref()),
            ("alone", Some("building"))
        );
    }
}

#[tokio::test]
async fn answers_of_the_public_host_are_accepted_although_a_proxy_changes_the_header_host() {
    let pages = Pages::new(Host::Function).await;
    let url = || Some("https://alerts.example.com".parse().unwrap());
    let board = Board::new(Box::new(pages.state.clone()), Box::new(Arc::new(RuleSet::pack())));
    let pages = Pages { board: board.with_public_url(url()), ..pages };
    let (link, life) = (pages.link(60).await, pages.lives()[0].clone());
    let form = pages.form(&link, &life, "action=take&by=JD");
    let origin = |origin: &str| Sent { origin: Some(origin.to_owned()), ..form.clone() };
    assert_eq!(pages.send(&origin("https://other.example.com")).await.status, 403);
    assert_eq!(pages.send(&origin("https://alerts.example.com")).await.status, 303);
    assert_eq!(pages.send(&form).await.status, 303, "its own host as well");
}

#[tokio::test]
async fn a_phone_is_invited_only_where_its_browser_keeps_the_cookie() {
    let pages = Pages::new(Host::Function).await;
    for (url, status) in [("http://10.0.0.5:8080", 403), ("https://10.0.0.5", 200), ("http://127.0.0.1:8080", 200)] {
        let board = Board::new(Box::new(pages.state.clone()), Box::new(Arc::new(RuleSet::pack())));
        let path = format!("/board/i/{}", pages.invite(Role::Respond).await);
        let board = board.with_public_url(Some(url.parse().unwrap()));
        let event = json!({
            "version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "isBase64Encoded": false,
            "requestContext": {
                "http": { "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7" },
                "requestId": "id", "stage": "$default", "timeEpoch": 0, "domainName": "board.example",
            },
        });
        let answer = board.handle_event(event.to_string().as_bytes(), "invocation", Timestamp::now()).await.unwrap();
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(answer["statusCode"], status, "{url}");
        assert_eq!(answer["cookies"].as_array().is_some_and(|cookies| !cookies.is_empty()), status == 200, "{url}");
    }
}

#[tokio::test]
async fn a_code_without_a_building_records_nothing_if_several_have_the_room() {
    for host in HOSTS {
        let pages = Pages::new(host).await;
        let members = json!({ "DEVID": "other", "PID": "annex", "unixT": pages.now.as_millisecond() });
        push_to(pages.app.ingest(), body(&[reading_with("SS", &json!({ "p": 4 }), &members)]), pages.now)
            .await
            .unwrap();
        let token = pages.invite(Role::Respond).await;
        let before = pages.documents();
        let post = pages.send(&pages.post("/board/z/zone", "action=clean").with_cookie(&token)).await;
        assert!(post.body.contains("<h1>Which building?</h1>"), "{host:?} {post:?}");
        assert!(post.body.contains("href=\"/board/z/zone?project=annex\""), "{}", post.body);
        assert!(pages.documents() == before, "{host:?}");
        let one = pages.post("/board/z/zone?project=annex", "action=clean").with_cookie(&token);
        assert_eq!(pages.send(&one).await.status, 303);
    }
}
