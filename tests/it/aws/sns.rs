//! Messages to SNS.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::{Arc, Mutex};

use smartclean_push::adapters::aws::sns::SnsPublisher;
use smartclean_push::ingest::ports::{AlertPublisher as _, Subscriptions};
use smartclean_push::notify::attributes::Attribute;
use smartclean_push::notify::render::Rendered;

use super::stand_in::{ReceivedRequest, Reply, StandIn};

const TOPIC: &str = "arn:aws:sns:ap-southeast-1:123456789012:alerts";

fn message(subject: &str) -> Rendered {
    Rendered {
        id: "id".into(),
        subject: subject.into(),
        ascii_subject: subject.replace(|c: char| !c.is_ascii(), "?"),
        default: "default".into(),
        email: "email".into(),
        sms: "sms".into(),
        json: "{}".into(),
        attributes: vec![("severity", Attribute::One("medium".into()))],
    }
}

fn messages(subjects: impl IntoIterator<Item = String>) -> Vec<Rendered> {
    subjects.into_iter().map(|subject| message(&subject)).collect()
}

/// One entry of a request: its members by name, `Id` and `Subject` among them.
type Entry = BTreeMap<String, String>;

fn entries(request: &ReceivedRequest) -> Vec<Entry> {
    let mut entries: BTreeMap<usize, Entry> = BTreeMap::new();
    for (name, value) in request.form() {
        if let Some((number, member)) =
            name.strip_prefix("PublishBatchRequestEntries.member.").and_then(|rest| rest.split_once('.'))
        {
            entries.entry(number.parse().unwrap()).or_default().insert(member.to_owned(), value);
        }
    }
    entries.into_values().collect()
}

fn subjects(request: &ReceivedRequest) -> Vec<String> {
    entries(request).into_iter().map(|entry| entry["Subject"].clone()).collect()
}

/// SNS's answer where `verdict` says for each entry what it failed with: code and whether that is the sender's fault.
fn answer(request: &ReceivedRequest, verdict: impl Fn(&Entry) -> Option<(&'static str, bool)>) -> Reply {
    let (mut successful, mut failed) = (String::new(), String::new());
    for entry in entries(request) {
        let id = &entry["Id"];
        match verdict(&entry) {
            None => successful += &format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>"),
            Some((code, sender)) => {
                failed += &format!(
                    "<member><Id>{id}</Id><Code>{code}</Code><Message>told to</Message><SenderFault>{sender}</SenderFault></member>"
                );
            }
        }
    }
    Reply::new(
        200,
        format!(
            "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
             <Successful>{successful}</Successful><Failed>{failed}</Failed></PublishBatchResult>\
             <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"
        ),
    )
}

fn refused(status: u16, code: &str) -> Reply {
    Reply::new(
        status,
        format!(
            "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>told to</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ),
    )
}

/// What came of each message: nothing, or the fault.
async fn publish(stand_in: &StandIn, messages: &[Rendered]) -> Vec<Option<String>> {
    let publisher = SnsPublisher::new(aws_sdk_sns::Client::new(&stand_in.config().await), TOPIC.into());
    let results = publisher.publish(messages).await;
    results.into_iter().map(|result| result.err().map(|fault| fault.source().unwrap().to_string())).collect()
}

#[tokio::test]
async fn a_message_carries_its_texts_and_attributes() {
    let stand_in = StandIn::answering(|request, _| answer(request, |_| None)).await;
    let mut rendered = message("[MEDIUM] Bad smell: 厕所 3");
    rendered.attributes.push(("channel", Attribute::Many(vec!["email".into(), "sms".into(), String::new()])));
    rendered.attributes.push(("zone", Attribute::One(String::new())));
    rendered.attributes.push(("rule", Attribute::Many(Vec::new())));
    assert_eq!(publish(&stand_in, &[rendered.clone()]).await, [None]);
    let [request] = stand_in.seen().try_into().unwrap();
    assert_eq!(request.form()["TopicArn"], TOPIC);
    let [entry] = entries(&request).try_into().unwrap();
    assert_eq!(entry["Subject"], rendered.subject);
    assert_eq!(entry["Message"], rendered.sns_message());
    assert_eq!(entry["MessageStructure"], "json");
    let attributes: BTreeSet<_> = (1..=4)
        .filter_map(|number| {
            let member = |rest: &str| entry.get(&format!("MessageAttributes.entry.{number}.{rest}")).cloned();
            Some((member("Name")?, member("Value.DataType")?, member("Value.StringValue")?))
        })
        .collect();
    let expected = [
        ("AWS.SNS.SMS.SMSType", "String", "Transactional"),
        ("channel", "String.Array", r#"["email","sms"]"#),
        ("severity", "String", "medium"),
    ];
    assert_eq!(attributes, expected.map(|(a, b, c)| (a.into(), b.into(), c.into())).into());
}

#[tokio::test]
async fn many_messages_go_in_tens_and_not_all_at_once() {
    let stand_in = StandIn::answering(|request, _| answer(request, |_| None)).await;
    let messages = messages((0..95).map(|number| number.to_string()));
    assert_eq!(publish(&stand_in, &messages).await, vec![None; 95]);
    let requests = stand_in.seen();
    assert_eq!(requests.len(), 10);
    assert!(requests.iter().all(|request| entries(request).len() <= 10));
    let sent: BTreeSet<_> = requests.iter().flat_map(subjects).collect();
    assert_eq!(sent.len(), 95);
    assert!((2..=4).contains(&stand_in.most_at_once()), "{}", stand_in.most_at_once());
}

#[tokio::test]
async fn a_request_holds_at_most_256_kib() {
    let stand_in = StandIn::answering(|request, _| answer(request, |_| None)).await;
    let large = Rendered { email: "é".repeat(50_000), ..message("large") };
    assert_eq!(publish(&stand_in, &vec![large; 5]).await, vec![None; 5]);
    for request in stand_in.seen() {
        let total: usize = entries(&request).iter().map(|entry| entry["Message"].len() + entry["Subject"].len()).sum();
        assert!(total <= 256 * 1024, "{total}");
    }
    assert_eq!(stand_in.seen().len(), 3);
}

#[tokio::test]
async fn no_messages_are_no_request() {
    let stand_in = StandIn::answering(|request, _| answer(request, |_| None)).await;
    assert!(publish(&stand_in, &[]).await.is_empty());
    assert!(stand_in.seen().is_empty());
}

#[tokio::test]
async fn an_entry_that_the_service_failed_to_take_is_sent_again_alone() {
    let stand_in = StandIn::answering(|request, before| {
        answer(request, |entry| (before == 0 && entry["Subject"] == "b").then_some(("InternalError", false)))
    })
    .await;
    let messages = messages(["a", "b", "c"].map(Into::into));
    assert_eq!(publish(&stand_in, &messages).await, vec![None; 3]);
    assert_eq!(stand_in.seen().iter().map(subjects).collect::<Vec<_>>(), [vec!["a", "b", "c"], vec!["b"]]);
}

#[tokio::test]
async fn an_entry_that_always_fails_is_given_up_after_three_times_and_costs_no_other() {
    let stand_in = StandIn::answering(|request, _| {
        answer(request, |entry| (entry["Subject"] == "b").then_some(("InternalError", false)))
    })
    .await;
    let results = publish(&stand_in, &messages(["a", "b", "c"].map(Into::into))).await;
    assert_eq!(results, [None, Some("InternalError: told to".into()), None]);
    assert_eq!(stand_in.seen().len(), 3);
}

#[tokio::test]
async fn an_entry_at_fault_itself_is_not_sent_again() {
    let verdict = |entry: &Entry| match entry["Subject"].as_str() {
        // Another subject would not help this one.
        "é" => Some(("AuthorizationError", true)),
        "c" => Some(("InvalidParameter", true)),
        _ => None,
    };
    let stand_in = StandIn::answering(move |request, _| answer(request, verdict)).await;
    let results = publish(&stand_in, &messages(["a", "é", "c"].map(Into::into))).await;
    let [None, Some(b), Some(c)] = &results[..] else { panic!("{results:?}") };
    assert!(b.starts_with("AuthorizationError") && c.starts_with("InvalidParameter"), "{results:?}");
    assert_eq!(stand_in.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_unicode_subject_is_sent_again_in_ascii() {
    let verdict = |entry: &Entry| (!entry["Subject"].is_ascii()).then_some(("InvalidParameter", true));
    let stand_in = StandIn::answering(move |request, _| answer(request, verdict)).await;
    let messages = messages(["plain", "厕所 3", "Café"].map(Into::into));
    assert_eq!(publish(&stand_in, &messages).await, vec![None; 3]);
    let sent: Vec<_> = stand_in.seen().iter().map(subjects).collect();
    assert_eq!(sent, [vec!["plain", "厕所 3", "Café"], vec!["?? 3", "Caf?"]]);
}

#[tokio::test]
async fn a_request_refused_for_one_subject_costs_no_other_message() {
    let stand_in = StandIn::answering(|request, _| {
        if subjects(request).iter().any(|subject| !subject.is_ascii()) {
            return refused(400, "InvalidParameter");
        }
        answer(request, |_| None)
    })
    .await;
    let messages = messages(["plain", "厕所 3", "other"].map(Into::into));
    assert_eq!(publish(&stand_in, &messages).await, vec![None; 3]);
    let all: Vec<_> = stand_in.seen().iter().skip(1).flat_map(subjects).collect();
    assert_eq!(all.iter().filter(|subject| *subject == "plain").count(), 1);
    assert!(all.contains(&"?? 3".to_owned()), "{all:?}");
}

#[tokio::test]
async fn a_message_that_is_refused_in_any_form_is_told_and_the_others_pass() {
    let stand_in = StandIn::answering(|request, _| {
        if subjects(request).iter().any(|subject| subject.contains('3')) {
            return refused(400, "InvalidParameter");
        }
        answer(request, |_| None)
    })
    .await;
    let results = publish(&stand_in, &messages(["plain", "厕所 3", "other"].map(Into::into))).await;
    let [None, Some(fault), None] = &results[..] else { panic!("{results:?}") };
    assert!(fault.contains("InvalidParameter"), "{fault}");
    // All together, three alone, one of them in ASCII.
    assert_eq!(stand_in.seen().len(), 5);
}

#[tokio::test]
async fn a_throttled_or_broken_request_is_made_again() {
    for reply in [
        refused(429, "Throttled"),
        refused(400, "Throttling"),
        refused(400, "KMSThrottling"),
        refused(500, "InternalError"),
        Reply::Reset,
    ] {
        let first = reply.clone();
        let stand_in = StandIn::answering(
            move |request, before| if before == 0 { first.clone() } else { answer(request, |_| None) },
        )
        .await;
        assert_eq!(publish(&stand_in, &messages(["a".into()])).await, [None], "{reply:?}");
        assert_eq!(stand_in.seen().len(), 2, "{reply:?}");
    }
}

#[tokio::test]
async fn a_forbidden_request_is_not_made_again_and_every_message_says_so() {
    let stand_in = StandIn::replying([refused(403, "AuthorizationError")]).await;
    let results = publish(&stand_in, &messages(["a", "é"].map(Into::into))).await;
    assert!(results.iter().all(|result| result.as_ref().is_some_and(|fault| fault.contains("AuthorizationError"))));
    assert_eq!(stand_in.seen().len(), 1);
}

#[tokio::test]
async fn an_entry_without_an_outcome_counts_as_not_sent() {
    let stand_in = StandIn::replying([Reply::new(
        200,
        "<PublishBatchResponse><PublishBatchResult></PublishBatchResult></PublishBatchResponse>",
    )])
    .await;
    let results = publish(&stand_in, &messages(["a".into()])).await;
    assert!(results[0].as_ref().is_some_and(|fault| fault.contains("no outcome")), "{results:?}");
}

#[tokio::test]
async fn what_is_not_answered_in_time_counts_as_not_sent_and_the_rest_as_sent() {
    let stand_in = StandIn::answering(|request, _| {
        if subjects(request).contains(&"0".to_owned()) { Reply::Silence } else { answer(request, |_| None) }
    })
    .await;
    let results = publish(&stand_in, &messages((0..11).map(|number| number.to_string()))).await;
    assert!(results[..10].iter().all(Option::is_some), "{results:?}");
    assert_eq!(results[10], None);
}

#[tokio::test]
async fn connecting_publishes_nothing() {
    let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let stand_in = StandIn::answering(move |request, _| {
        seen.lock().unwrap().push(entries(request).len());
        refused(400, "EmptyBatchRequest")
    })
    .await;
    SnsPublisher::new(aws_sdk_sns::Client::new(&stand_in.config().await), TOPIC.into()).connect().await;
    assert_eq!(*asked.lock().unwrap(), [0]);
}

async fn subscriptions(reply: Reply) -> Result<Option<Subscriptions>, String> {
    let stand_in = StandIn::replying([reply]).await;
    let publisher = SnsPublisher::new(aws_sdk_sns::Client::new(&stand_in.config().await), TOPIC.into());
    let counted = publisher.subscriptions().await.map_err(|fault| fault.chain());
    assert_eq!(stand_in.seen()[0].form()["Action"], "GetTopicAttributes");
    counted
}

fn attributes(counts: &[(&str, &str)]) -> Reply {
    let entry = |(key, value): &(&str, &str)| format!("<entry><key>{key}</key><value>{value}</value></entry>");
    let entries: String = counts.iter().map(entry).collect();
    Reply::new(
        200,
        format!(
            "<GetTopicAttributesResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><GetTopicAttributesResult>\
             <Attributes>{entries}</Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>"
        ),
    )
}

#[tokio::test]
async fn those_who_confirmed_are_told_from_those_who_did_not() {
    let counts = [("SubscriptionsConfirmed", "2"), ("SubscriptionsPending", "1"), ("SubscriptionsDeleted", "7")];
    assert_eq!(subscriptions(attributes(&counts)).await, Ok(Some(Subscriptions { confirmed: 2, pending: 1 })));
}

#[tokio::test]
async fn a_topic_that_does_not_say_who_subscribed_is_not_taken_for_an_empty_one() {
    assert_eq!(subscriptions(attributes(&[("SubscriptionsConfirmed", "2")])).await, Ok(None));
    let forbidden = subscriptions(refused(403, "AuthorizationError")).await.unwrap_err();
    assert!(forbidden.contains("did not return its subscriptions"), "{forbidden}");
}
