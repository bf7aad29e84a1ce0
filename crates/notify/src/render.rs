//! Renders one message as a text for each protocol.

use super::attributes::{MOST_VALUES, attributes};
use super::email::wrapped;
use super::facts::{AlertPhase, Facts};
use super::list::AlertList;
use super::notice;
use super::rendered::{LARGEST_EMAIL, LARGEST_JSON, Rendered, within};
use super::subject::marked;
use super::texts::Texts;
use domain::alert::Message;
use domain::rules::{Links, RuleSet};
use serde_json::Value;

/// Renders messages in one language.
pub struct Renderer<'n> {
    pub(super) texts: Texts<'n>,
}

/// In English, with the built-in texts and without names.
impl Default for Renderer<'_> {
    fn default() -> Self {
        Self { texts: Texts::english() }
    }
}

impl<'n> Renderer<'n> {
    /// Renders in `language`, with the names and texts of `rules`. A text that the language does not have is in English.
    #[must_use]
    pub fn new(rules: &'n RuleSet, language: &str) -> Self {
        Self { texts: Texts::new(language, rules) }
    }

    /// Renders `message`.
    ///
    /// # Panics
    /// If a firing message has no alerts. The engine never creates one.
    ///
    /// # Examples
    /// ```
    /// use domain::alert::{Message, notice::Notice};
    /// use notify::render::Renderer;
    ///
    /// let message = Message::Notice(Notice::NothingArrives { since: "2026-11-29T08:00:00Z".parse()? });
    /// let rendered = Renderer::default().render(&message);
    /// assert_eq!(rendered.subject, "[NOTICE] Nothing arrives");
    /// assert!(rendered.email.contains("since 2026-11-29 08:00 UTC"));
    /// # Ok::<(), jiff::Error>(())
    /// ```
    #[must_use]
    pub fn render(&self, message: &Message) -> Rendered {
        let texts = &self.texts;
        let id = || format!("{:.32}", message.id());
        match message {
            Message::Firing { alerts, blocked } => {
                let facts = Facts { more: *blocked, ..Facts::new(alerts, texts) };
                rendered(facts.first().id.to_string(), &facts)
            }
            Message::Reminder { alert, at, unheard_since } => {
                let facts = Facts::in_phase(alert, AlertPhase::Reminder(*at), texts);
                rendered(id(), &Facts { no_reading_since: *unheard_since, ..facts })
            }
            Message::Escalated { alert, at, step, raised, taken } => {
                let facts = Facts::in_phase(alert, AlertPhase::Escalated(*at), texts);
                rendered(id(), &facts.with_escalation(*step, *raised, taken.as_ref()))
            }
            Message::Resolved { alert, at } => {
                rendered(id(), &Facts::in_phase(alert, AlertPhase::Resolved(*at), texts))
            }
            Message::Suppressed { reason, alerts, more } => {
                let alerts = alerts.iter().map(|alert| Facts::suppressed(alert, texts)).collect();
                AlertList::new(texts, Some(*reason), alerts, *more).rendered(id())
            }
            Message::Notice(notice) => notice::rendered(notice, &id(), texts),
        }
    }

    /// `rendered` with a link to answer its alerts: at the end of the first paragraph of the email and of the default text, and as the
    /// member `link` of the JSON text; at the end of the SMS, which can then need a second part.
    #[must_use]
    pub fn with_link(&self, mut rendered: Rendered, link: &str, places: Links) -> Rendered {
        let (texts, answer) = (&self.texts, self.texts.answer(link));
        if places.email {
            let line = wrapped(&texts.email_answer(link));
            rendered.email = rendered.email.replacen("\n\n", &format!("\n\n{line}\n\n"), 1);
            rendered.html.answer = Some((texts.answer_button(), link.to_owned()));
            rendered.default = format!("{}\n{answer}", rendered.default);
            if let Ok(Value::Object(mut facts)) = serde_json::from_str(&rendered.json) {
                facts.insert("link".to_owned(), link.into());
                rendered.json = Value::Object(facts).to_string();
            }
        }
        if places.sms && rendered.goes_by_sms() {
            rendered.sms = format!("{} {answer}", rendered.sms);
        }
        rendered
    }

    /// `rendered` for email only, with the reason in the email, if it would go by SMS. `cause` is why the daily quota forbids it.
    #[must_use]
    pub fn without_sms(&self, mut rendered: Rendered, cause: SmsRefusal) -> Rendered {
        if !rendered.goes_by_sms() {
            return rendered;
        }
        let cause = match cause {
            SmsRefusal::QuotaReached => "quota-reached",
            SmsRefusal::QuotaUnknown => "quota-unknown",
        };
        rendered.email.push_str(&format!("\n{}\n", self.texts.no_sms(cause)));
        rendered.by_email_only()
    }
}

/// Why a message is not sent by SMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsRefusal {
    /// The daily quota is used up.
    QuotaReached,
    /// The daily quota could not be read.
    QuotaUnknown,
}

/// Most threads of a message. A header of an email holds them.
const MOST_THREADS: usize = 10;

fn rendered(id: String, facts: &Facts<'_>) -> Rendered {
    let subject = facts.subject();
    let sentence = facts.full_sentence();
    let email = within(LARGEST_EMAIL, |max| facts.email(&sentence, max));
    let (email, html) = email.into_parts(&subject, facts.mark(), facts.texts);
    let ids = facts.alerts.iter().map(|alert| alert.id.to_string());
    Rendered {
        threads: ids.filter(|alert| *alert != id).take(MOST_THREADS).collect(),
        id,
        ascii_subject: facts.ascii_subject(),
        default: marked(facts.texts, facts.mark(), &sentence),
        email,
        html,
        sms: facts.sms(),
        json: within(LARGEST_JSON, |max| facts.json(&subject, &sentence, max)),
        attributes: attributes(facts.kind(), facts.alerts.iter(), MOST_VALUES),
        subject,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::attributes::Attribute;
    use crate::fixtures::{bad_feedback, bad_smell_at, stale_and_dusty_air};
    use domain::alert::Alert;
    use domain::location::Location;

    fn rendered(alerts: &[Alert]) -> Rendered {
        Renderer::default().render(&Message::Firing { alerts: alerts.to_vec(), blocked: 0 })
    }

    fn attribute(rendered: &Rendered, name: &str) -> Option<Attribute> {
        rendered.attributes.iter().find(|(attribute, _)| *attribute == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_json_has_all_facts() {
        let expected = json!({
            "schema": "smartclean-push/alert/1",
            "kind": "firing",
            "severity": "medium",
            "subject": "[MEDIUM] Bad feedback: Gents L1",
            "text": "Gents L1: rating 5 (limit 4) at 13:59: No soap",
            "at": "2022-06-01T05:59:45.904Z",
            "local_time": "2022-06-01T13:59:45.904+08:00",
            "location": {
                "name": "Gents L1", "device_name": "Gents L1", "display": "Gents L1", "device": "device01", "device_type": "FD",
                "device_title": "feedback tablet", "zone": "zone01", "project": "project01", "property": "property01",
                "time_zone": "Asia/Singapore",
            },
            "alerts": [{
                "id": "edbbb2d942ec287200aa75986438b43a",
                "rule": "bad-feedback",
                "title": "Bad feedback",
                "severity": "medium",
                "reading": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "breaches": [{ "metric": "rating", "label": "rating", "value": 5, "comparison": "at_least", "limit": 4 }],
                "reasons": ["No soap"],
            }],
        });
        let json: Value = serde_json::from_str(&rendered(&[bad_feedback("Gents L1", &["No soap"])]).json).unwrap();
        assert_eq!(json, expected);
    }

    #[test]
    fn the_json_omits_unknown_values() {
        let mut alert = bad_smell_at("");
        alert.location = Location::default();
        let json = rendered(&[alert]).json;
        assert!(!json.contains("null") && !json.contains("\"\""), "{json}");
        for absent in [
            "display",
            "\"device\":",
            "device_type",
            "zone",
            "project",
            "property",
            "local_time",
            "reasons",
            "left_out",
        ] {
            assert!(!json.contains(absent), "{absent}: {json}");
        }
    }

    #[test]
    fn attributes_have_one_value_or_a_list_and_never_an_empty_one() {
        let one = rendered(&[bad_smell_at("Lobby")]);
        let names: Vec<&str> = one.attributes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["kind", "severity", "rule", "device_type", "project", "zone", "channel"]);
        assert_eq!(attribute(&one, "severity"), Some(Attribute::One("medium".into())));
        assert_eq!(attribute(&one, "kind"), Some(Attribute::One("firing".into())));
        assert_eq!(attribute(&one, "device_type"), Some(Attribute::One("ODRDTR_BATT_V1".into())));
        assert_eq!(attribute(&one, "channel"), Some(Attribute::Many(vec!["email".into(), "sms".into()])));

        let two = rendered(&stale_and_dusty_air("Lobby"));
        assert_eq!(attribute(&two, "severity"), Some(Attribute::Many(vec!["high".into(), "medium".into()])));
        assert_eq!(attribute(&two, "rule"), Some(Attribute::Many(vec!["carbon-dioxide".into(), "fine-dust".into()])));
        assert_eq!(attribute(&two, "zone"), Some(Attribute::One("zone01".into())));

        let mut nowhere = bad_smell_at("Lobby");
        nowhere.location = Location::default();
        let nowhere = rendered(&[nowhere]);
        for absent in ["device_type", "project", "zone"] {
            assert_eq!(attribute(&nowhere, absent), None, "{absent}");
        }
    }

    #[test]
    fn a_link_is_in_the_texts_that_an_audience_wants() {
        const LINK: &str = "https://push.example.com/board/a/-_v7-_v7-_v7-_v7-_v7-w";
        let (renderer, plain) = (Renderer::default(), rendered(&[bad_smell_at("http://evil.example <a href=x>")]));
        let with = |email, sms| renderer.with_link(plain.clone(), LINK, Links { email, sms });
        let both = with(true, true);
        let (head, rest) = plain.email.split_once("\n\n").unwrap();
        assert_eq!(both.email, format!("{head}\n\nAnswer (I take it, done, snooze):\n{LINK}\n\n{rest}"));
        assert_eq!(both.default, format!("{}\nAnswer: {LINK}", plain.default));
        assert_eq!(both.sms, format!("{} Answer: {LINK}", plain.sms));
        let mut facts: Value = serde_json::from_str(&both.json).unwrap();
        assert_eq!(facts.as_object_mut().unwrap().remove("link"), Some(LINK.into()));
        assert_eq!(facts.to_string(), plain.json);
        let page = both.html.page();
        assert_eq!((page.matches("<a ").count(), page.matches(" href=\"").count()), (1, 1), "{page}");
        assert!(page.contains(&format!("<a href=\"{LINK}\"")), "{page}");
        assert!(page.contains(">Answer: I take it, done, snooze</a>"), "{page}");

        let email = with(true, false);
        assert_eq!((&email.email, &email.json, &email.html), (&both.email, &both.json, &both.html));
        assert_eq!(email.sms, plain.sms);
        assert_eq!(with(false, true), Rendered { sms: both.sms, ..plain.clone() });
        assert_eq!(with(false, false), plain);
        let no_sms = renderer.with_link(plain.clone().by_email_only(), LINK, Links { email: true, sms: true });
        assert_eq!(no_sms.sms, plain.sms, "nobody gets it");
    }

    #[test]
    fn the_email_and_the_json_count_blocked_alerts() {
        let with_blocked =
            |blocked| Renderer::default().render(&Message::Firing { alerts: vec![bad_smell_at("Lobby")], blocked });
        let (none, one, two) = (with_blocked(0), with_blocked(1), with_blocked(2));
        assert!(one.email.contains("\n\n1 more alert of this zone was blocked before it.\n\n"), "{}", one.email);
        assert!(two.email.contains("2 more alerts of this zone were blocked before it."), "{}", two.email);
        assert!(two.json.contains("\"blocked_before\":2"), "{}", two.json);
        assert!(!none.email.contains("blocked") && !none.json.contains("blocked"));
        assert_eq!((&none.sms, &none.subject, &none.id), (&two.sms, &two.subject, &two.id));
    }

    #[test]
    fn messages_about_an_alert_have_it_as_their_id_or_as_a_thread() {
        let alerts = stale_and_dusty_air("Lobby");
        let firing = rendered(&alerts);
        assert_eq!((&firing.id, &firing.threads), (&alerts[0].id.to_string(), &vec![alerts[1].id.to_string()]));
        for alert in alerts {
            let message = Message::Resolved { alert: Box::new(alert.clone()), at: alert.at };
            let resolved = Renderer::default().render(&message);
            assert_eq!(resolved.threads, [alert.id.to_string()]);
            assert_ne!(resolved.threads[0], resolved.id);
        }
    }

    #[test]
    fn the_sns_message_has_a_text_for_each_protocol() {
        let rendered = rendered(&[bad_smell_at("Lobby \"3\"")]);
        let message: Map<String, Value> = serde_json::from_str(&rendered.sns_message()).unwrap();
        let expected = [
            ("default", &rendered.default),
            ("email", &rendered.email),
            ("email-json", &rendered.json),
            ("http", &rendered.json),
            ("https", &rendered.json),
            ("lambda", &rendered.json),
            ("sms", &rendered.sms),
            ("sqs", &rendered.json),
        ];
        assert_eq!(message.len(), expected.len());
        for (protocol, text) in expected {
            assert_eq!(message[protocol].as_str(), Some(text.as_str()), "{protocol}");
        }
    }

    #[test]
    fn the_record_has_every_text_and_the_json_as_an_object() {
        let rendered = rendered(&stale_and_dusty_air("Lobby"));
        let record = rendered.record();
        assert_eq!(record["id"], rendered.id);
        assert_eq!(record["subject"], rendered.subject);
        assert_eq!(record["ascii_subject"], rendered.ascii_subject);
        assert_eq!(record["message"]["sms"], rendered.sms);
        assert_eq!(record["message"]["email"], rendered.email);
        assert_eq!(record["message"]["default"], rendered.default);
        assert_eq!(record["message"]["json"]["alerts"][1]["rule"], "fine-dust");
        assert_eq!(record["attributes"]["kind"], "firing");
        assert_eq!(record["attributes"]["severity"], json!(["high", "medium"]));
        assert!(!record.to_string().contains('\n'), "a record is one line");
    }
}
