//! The words of a message, one text for each way it can arrive.
//!
//! They are made when a message is sent, from facts alone: the same message always has the same words.

use serde_json::{Map, Value, json};

use super::attributes::{Attribute, EMAIL, SMS, channel};
use super::facts::{Facts, Stage};
use super::{notice, suppressed};
use domain::alert::{Alert, Message};
use domain::display::presentable;

/// Most that [`Rendered::sns_message`] can be, in bytes. SNS takes 256 KB (262,144 bytes) for message and attributes,
/// of one message and of a whole batch.
pub const LARGEST_SNS_MESSAGE: usize = 160 * 1024;

/// A message ready to be sent: one text for each protocol, and the attributes that subscriptions filter on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its identity: that of its first alert where alerts are raised, else the message's own; the same cause has the
    /// same.
    pub id: String,
    /// Subject of an email: Unicode, under 100 characters, no control character.
    pub subject: String,
    /// The same in ASCII, for a service that refuses the other.
    pub ascii_subject: String,
    /// What the protocols without a text of their own get, and the terminal.
    pub default: String,
    /// The text of an email.
    pub email: String,
    /// The text of an SMS: one part.
    pub sms: String,
    /// The facts as JSON, for programs: queues, functions, webhooks.
    pub json: String,
    /// Message attributes, absent ones left out.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// Makes the words of `message`.
///
/// # Panics
/// Where a message of alerts that are raised has none, which the engine never makes.
#[must_use]
pub fn render(message: &Message) -> Rendered {
    let id = || format!("{:.32}", message.id());
    match message {
        Message::Firing { alerts, blocked } => firing(alerts, *blocked),
        Message::Reminder { alert, at, unheard_since } => {
            of_facts(id(), &Facts { unheard_since: *unheard_since, ..Facts::later(alert, Stage::Still(*at)) })
        }
        Message::Resolved { alert, at } => of_facts(id(), &Facts::later(alert, Stage::Over(*at))),
        Message::Suppressed { reason, alerts, more } => suppressed::rendered(id(), *reason, alerts, *more),
        Message::Notice(about) => notice::rendered(about, &id()),
    }
}

fn firing(alerts: &[Alert], blocked: usize) -> Rendered {
    let facts = Facts { blocked, ..Facts::of(alerts) };
    of_facts(facts.first().id.to_string(), &facts)
}

fn of_facts(id: String, facts: &Facts) -> Rendered {
    let subject = facts.subject();
    let sentence = facts.whole_sentence();
    Rendered {
        id,
        ascii_subject: facts.ascii_subject(),
        default: format!("{}{sentence}", facts.mark()),
        email: within(LARGEST_EMAIL, |most| facts.email(&sentence, most)),
        sms: facts.sms(),
        json: within(LARGEST_JSON, |most| facts.json(&subject, &sentence, most)),
        attributes: facts.attributes(),
        subject,
    }
}

/// Most that the JSON text takes as a string in the SNS message, in bytes. It is in there five times.
const LARGEST_JSON: usize = 24 * 1024;
/// Most that the email takes as a string in the SNS message, in bytes.
const LARGEST_EMAIL: usize = 24 * 1024;
/// Most that the email of many alerts takes as a string in the SNS message, in bytes.
pub(super) const LARGEST_LIST_EMAIL: usize = 80 * 1024;
/// Most that the JSON text of many alerts takes as a string in the SNS message, in bytes. It is in there once.
pub(super) const LARGEST_LIST_JSON: usize = 104 * 1024;
/// How many items of each list a text tries to name. With one of each, names of the longest kind stay far below either
/// bound.
const LIST_LENGTHS: [usize; 7] = [128, 64, 32, 16, 8, 4, 1];

/// The text with the longest lists that stays within `largest` bytes once it is a string in JSON.
pub(super) fn within(largest: usize, text: impl Fn(usize) -> String) -> String {
    let mut shortest = String::new();
    for most in LIST_LENGTHS {
        shortest = text(most);
        if Value::from(shortest.as_str()).to_string().len() <= largest {
            break;
        }
    }
    shortest
}

impl Rendered {
    /// What SNS takes as the message where its structure is `json`: an object of one text for each protocol, at most
    /// [`LARGEST_SNS_MESSAGE`] bytes. Where five copies of the JSON text would be more than that, it is there once, as
    /// the default: every protocol without a text of its own gets it.
    #[must_use]
    pub fn sns_message(&self) -> String {
        let whole = json!({
            "default": self.default,
            "email": self.email,
            "email-json": self.json,
            "sms": self.sms,
            "sqs": self.json,
            "lambda": self.json,
            "http": self.json,
            "https": self.json,
        })
        .to_string();
        if whole.len() <= LARGEST_SNS_MESSAGE {
            return whole;
        }
        json!({ "default": self.json, "email": self.email, "sms": self.sms }).to_string()
    }

    /// Whether it goes out by SMS: its `channel` has `sms`.
    #[must_use]
    pub fn goes_by_sms(&self) -> bool {
        self.attributes.iter().any(is_by_sms)
    }

    /// The same message without SMS: its `channel` leaves `sms` out.
    #[must_use]
    pub fn by_email_only(mut self) -> Self {
        if let Some(attribute) = self.attributes.iter_mut().find(|attribute| is_by_sms(attribute)) {
            *attribute = channel(&[EMAIL]);
        }
        self
    }

    /// The same message without SMS, for a reason that the email states. Nothing changes if it was not to go by SMS.
    #[must_use]
    pub fn without_sms(mut self, reason: &str) -> Self {
        if !self.goes_by_sms() {
            return self;
        }
        let reason = presentable(reason).map(|reason| format!(": {reason}")).unwrap_or_default();
        self.email.push_str(&format!("\nNot sent by SMS{reason}.\n"));
        self.by_email_only()
    }

    /// The message as one line of `alerts.ndjson`: every text that SNS would get, the one for programs as an object.
    #[must_use]
    pub fn record(&self) -> Value {
        let attributes: Map<String, Value> = self
            .attributes
            .iter()
            .map(|(name, attribute)| {
                let value = match attribute {
                    Attribute::One(value) => Value::from(value.as_str()),
                    Attribute::Many(values) => Value::from(values.as_slice()),
                };
                ((*name).to_owned(), value)
            })
            .collect();
        let facts = serde_json::from_str(&self.json).unwrap_or_else(|_| Value::from(self.json.as_str()));
        json!({
            "id": self.id,
            "subject": self.subject,
            "ascii_subject": self.ascii_subject,
            "message": { "default": self.default, "email": self.email, "sms": self.sms, "json": facts },
            "attributes": attributes,
        })
    }
}

fn is_by_sms(attribute: &(&str, Attribute)) -> bool {
    match attribute {
        ("channel", Attribute::Many(channels)) => channels.iter().any(|channel| channel == SMS),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{bad_feedback, bad_smell_at, stale_and_dusty_air};
    use domain::location::Location;

    fn rendered(alerts: &[Alert]) -> Rendered {
        render(&Message::Firing { alerts: alerts.to_vec(), blocked: 0 })
    }

    fn attribute(rendered: &Rendered, name: &str) -> Option<Attribute> {
        rendered.attributes.iter().find(|(attribute, _)| *attribute == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn programs_get_the_facts() {
        let expected = json!({
            "schema": "smartclean-push/alert/1",
            "kind": "firing",
            "severity": "medium",
            "subject": "[MEDIUM] Bad feedback: Gents L1",
            "text": "Gents L1: rating 5 (limit 4): No soap at 13:59",
            "at": "2022-06-01T05:59:45.904Z",
            "local_time": "2022-06-01T13:59:45.904+08:00",
            "location": {
                "name": "Gents L1", "display": "Gents L1", "device": "device01", "device_type": "FD",
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
    fn programs_are_spared_what_is_not_known() {
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
    fn filters_see_one_value_or_each_of_several_and_never_an_empty_one() {
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
    fn what_was_blocked_before_is_counted_where_there_is_room() {
        let of = |blocked| render(&Message::Firing { alerts: vec![bad_smell_at("Lobby")], blocked });
        let (none, one, two) = (of(0), of(1), of(2));
        assert!(one.email.contains("\n\n1 more alert of this zone was blocked before it.\n\n"), "{}", one.email);
        assert!(two.email.contains("2 more alerts of this zone were blocked before it."), "{}", two.email);
        assert!(two.json.contains("\"blocked_before\":2"), "{}", two.json);
        assert!(!none.email.contains("blocked") && !none.json.contains("blocked"));
        assert_eq!((&none.sms, &none.subject, &none.id), (&two.sms, &two.subject, &two.id));
    }

    #[test]
    fn sns_gets_a_text_for_each_protocol() {
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
    fn the_record_has_every_text_and_the_facts_as_an_object() {
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
