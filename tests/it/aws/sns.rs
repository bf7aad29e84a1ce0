//! Messages to SNS.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::{Arc, Mutex};

use smartclean_push::adapters::aws::sns::SnsPublisher;
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::ingest::ports::{AlertPublisher as _, OutgoingMessage, Subscriptions};
use smartclean_push::notify::attributes::Attribute;
use smartclean_push::notify::email::HtmlEmail;
use smartclean_push::notify::rendered::Rendered;

use super::mock_service::{MockReply, MockService, ReceivedRequest};

const TOPIC: &str = "arn:aws:sns:ap-southeast-1:123456789012:alerts";

fn message(subject: &str) -> Rendered {
    Rendered {
        id: "id".into(),
        subject: subject.into(),
        ascii_subject: subject.replace(|c: char| !c.is_ascii(), "?"),
        default: "default".into(),
        email: "email".into(),
        html: HtmlEmail::default(),
        sms: "sms".into(),
        json: "{}".into(),
        attributes: vec![("severity", Attribute::One("medium".into()))],
        threads: Vec::new(),
    }
}

fn messages(subjects: impl IntoIterator<Item = String>) -> Vec<Rendered> {
    subjects.into_iter().map(|subject| message(&subject)).collect()
}

/// One message of a request: its members by name, such as `Id` and `Subject`.
type SnsEntry = BTreeMap<String, String>;

fn entries(request: &ReceivedRequest) -> Vec<SnsEntry> {
    let mut entries: BTreeMap<usize, SnsEntry> = BTreeMap::new();
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

/// The response of SNS. `verdict` returns for each entry that fails its code, and whether the sender is at fault.
fn batch_response(request: &ReceivedRequest, verdict: impl Fn(&SnsEntry) -> Option<(&'static str, bool)>) -> MockReply {
    let (mut successful, mut failed) = (String::new(), String::new());
    for entry in entries(request) {
        let id = &entry["Id"];
        match verdict(&entry) {
            None => successful += &format!("<member><Id>{id}</Id><MessageId>m</MessageId></member>"),
            Some((code, sender)) => {
                failed += &format!(
                    "<member><Id>{id}</Id><Code>{code}</Code><Message>injected</Message><SenderFault>{sender}</SenderFault></member>"
                );
            }
        }
    }
    MockReply::new(
        200,
        format!(
            "<PublishBatchResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishBatchResult>\
             <Successful>{successful}</Successful><Failed>{failed}</Failed></PublishBatchResult>\
             <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"
        ),
    )
}

fn refused(status: u16, code: &str) -> MockReply {
    MockReply::new(
        status,
        format!(
            "<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error><Type>Sender</Type>\
             <Code>{code}</Code><Message>injected</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ),
    )
}

/// The result for each message: `None`, or its error.
async fn publish(service: &MockService, messages: &[Rendered]) -> Vec<Option<String>> {
    let publisher = SnsPublisher { client: aws_sdk_sns::Client::new(&service.config().await), topic_arn: TOPIC.into() };
    let outgoing =
        |rendered: &Rendered| OutgoingMessage { rendered: rendered.clone(), to: Vec::new(), done: Vec::new() };
    let outcomes = publisher.publish(&RuleSet::default(), &messages.iter().map(outgoing).collect::<Vec<_>>()).await;
    outcomes.into_iter().map(|outcome| outcome.failure.map(|error| error.source().unwrap().to_string())).collect()
}

#[tokio::test]
async fn a_message_carries_its_texts_and_attributes() {
    let service = MockService::responding(|request, _| batch_response(request, |_| None)).await;
    let mut rendered = message("[MEDIUM] Bad smell: 厕所 3");
    rendered.attributes.push(("channel", Attribute::Many(vec!["email".into(), "sms".into(), String::new()])));
    rendered.attributes.push(("zone", Attribute::One(String::new())));
    rendered.attributes.push(("rule", Attribute::Many(Vec::new())));
    assert_eq!(publish(&service, &[rendered.clone()]).await, [None]);
    let [request] = service.requests().try_into().unwrap();
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
async fn many_messages_are_sent_in_batches_of_ten_with_limited_concurrency() {
    let service = MockService::responding(|request, _| batch_response(request, |_| None)).await;
    let messages = messages((0..95).map(|number| number.to_string()));
    assert_eq!(publish(&service, &messages).await, vec![None; 95]);
    let requests = service.requests();
    assert_eq!(requests.len(), 10);
    assert!(requests.iter().all(|request| entries(request).len() <= 10));
    let sent: BTreeSet<_> = requests.iter().flat_map(subjects).collect();
    assert_eq!(sent.len(), 95);
    assert!((2..=4).contains(&service.most_at_once()), "{}", service.most_at_once());
}

#[tokio::test]
async fn a_request_holds_at_most_256_kib() {
    let service = MockService::responding(|request, _| batch_response(request, |_| None)).await;
    let large = Rendered { email: "é".repeat(50_000), ..message("large") };
    assert_eq!(publish(&service, &vec![large; 5]).await, vec![None; 5]);
    for request in service.requests() {
        let total: usize = entries(&request).iter().map(|entry| entry["Message"].len() + entry["Subject"].len()).sum();
        assert!(total <= 256 * 1024, "{total}");
    }
    assert_eq!(service.requests().len(), 3);
}

#[tokio::test]
async fn no_messages_are_no_request() {
    let service = MockService::responding(|request, _| batch_response(request, |_| None)).await;
    assert!(publish(&service, &[]).await.is_empty());
    assert!(service.requests().is_empty());
}

#[tokio::test]
async fn an_entry_that_fails_at_the_service_is_retried_alone() {
    let service = MockService::responding(|request, before| {
        batch_response(request, |entry| (before == 0 && entry["Subject"] == "b").then_some(("InternalError", false)))
    })
    .await;
    let messages = messages(["a", "b", "c"].map(Into::into));
    assert_eq!(publish(&service, &messages).await, vec![None; 3]);
    assert_eq!(service.requests().iter().map(subjects).collect::<Vec<_>>(), [vec!["a", "b", "c"], vec!["b"]]);
}

#[tokio::test]
async fn an_entry_is_tried_three_times_and_affects_no_other() {
    let service = MockService::responding(|request, _| {
        batch_response(request, |entry| (entry["Subject"] == "b").then_some(("InternalError", false)))
    })
    .await;
    let results = publish(&service, &messages(["a", "b", "c"].map(Into::into))).await;
    assert_eq!(results, [None, Some("InternalError: injected".into()), None]);
    assert_eq!(service.requests().len(), 3);
}

#[tokio::test]
async fn an_invalid_entry_is_not_retried() {
    let verdict = |entry: &SnsEntry| match entry["Subject"].as_str() {
        // Another subject would not help.
        "é" => Some(("AuthorizationError", true)),
        "c" => Some(("InvalidParameter", true)),
        _ => None,
    };
    let service = MockService::responding(move |request, _| batch_response(request, verdict)).await;
    let results = publish(&service, &messages(["a", "é", "c"].map(Into::into))).await;
    let [None, Some(b), Some(c)] = &results[..] else { panic!("{results:?}") };
    assert!(b.starts_with("AuthorizationError") && c.starts_with("InvalidParameter"), "{results:?}");
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn a_refused_unicode_subject_is_retried_in_ascii() {
    let verdict = |entry: &SnsEntry| (!entry["Subject"].is_ascii()).then_some(("InvalidParameter", true));
    let service = MockService::responding(move |request, _| batch_response(request, verdict)).await;
    let messages = messages(["plain", "厕所 3", "Café"].map(Into::into));
    assert_eq!(publish(&service, &messages).await, vec![None; 3]);
    let sent: Vec<_> = service.requests().iter().map(subjects).collect();
    assert_eq!(sent, [vec!["plain", "厕所 3", "Café"], vec!["?? 3", "Caf?"]]);
}

#[tokio::test]
async fn a_request_refused_for_one_subject_affects_no_other_message() {
    let service = MockService::responding(|request, _| {
        if subjects(request).iter().any(|subject| !subject.is_ascii()) {
            return refused(400, "InvalidParameter");
        }
        batch_response(request, |_| None)
    })
    .await;
    let messages = messages(["plain", "厕所 3", "other"].map(Into::into));
    assert_eq!(publish(&service, &messages).await, vec![None; 3]);
    let all: Vec<_> = service.requests().iter().skip(1).flat_map(subjects).collect();
    assert_eq!(all.iter().filter(|subject| *subject == "plain").count(), 1);
    assert!(all.contains(&"?? 3".to_owned()), "{all:?}");
}

#[tokio::test]
async fn a_message_that_is_refused_in_any_form_is_an_error_and_the_others_are_sent() {
    let service = MockService::responding(|request, _| {
        if subjects(request).iter().any(|subject| subject.contains('3')) {
            return refused(400, "InvalidParameter");
        }
        batch_response(request, |_| None)
    })
    .await;
    let results = publish(&service, &messages(["plain", "厕所 3", "other"].map(Into::into))).await;
    let [None, Some(error), None] = &results[..] else { panic!("{results:?}") };
    assert!(error.contains("InvalidParameter"), "{error}");
    // The batch, then three single messages, then one in ASCII.
    assert_eq!(service.requests().len(), 5);
}

#[tokio::test]
async fn a_throttled_or_failed_request_is_retried() {
    for reply in [
        refused(429, "Throttled"),
        refused(400, "Throttling"),
        refused(400, "KMSThrottling"),
        refused(500, "InternalError"),
        MockReply::Reset,
    ] {
        let first = reply.clone();
        let service =
            MockService::responding(
                move |request, before| if before == 0 { first.clone() } else { batch_response(request, |_| None) },
            )
            .await;
        assert_eq!(publish(&service, &messages(["a".into()])).await, [None], "{reply:?}");
        assert_eq!(service.requests().len(), 2, "{reply:?}");
    }
}

#[tokio::test]
async fn a_forbidden_request_is_not_retried_and_fails_every_message() {
    let service = MockService::replying([refused(403, "AuthorizationError")]).await;
    let results = publish(&service, &messages(["a", "é"].map(Into::into))).await;
    assert!(results.iter().all(|result| result.as_ref().is_some_and(|error| error.contains("AuthorizationError"))));
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn an_entry_without_an_outcome_counts_as_not_sent() {
    let service = MockService::replying([MockReply::new(
        200,
        "<PublishBatchResponse><PublishBatchResult></PublishBatchResult></PublishBatchResponse>",
    )])
    .await;
    let results = publish(&service, &messages(["a".into()])).await;
    assert!(results[0].as_ref().is_some_and(|error| error.contains("no outcome")), "{results:?}");
}

#[tokio::test]
async fn messages_without_a_response_in_time_count_as_not_sent() {
    let service = MockService::responding(|request, _| {
        if subjects(request).contains(&"0".to_owned()) { MockReply::Silence } else { batch_response(request, |_| None) }
    })
    .await;
    let results = publish(&service, &messages((0..11).map(|number| number.to_string()))).await;
    assert!(results[..10].iter().all(Option::is_some), "{results:?}");
    assert_eq!(results[10], None);
}

#[tokio::test]
async fn connecting_publishes_nothing() {
    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let recorded = Arc::clone(&sizes);
    let service = MockService::responding(move |request, _| {
        recorded.lock().unwrap().push(entries(request).len());
        refused(400, "EmptyBatchRequest")
    })
    .await;
    SnsPublisher { client: aws_sdk_sns::Client::new(&service.config().await), topic_arn: TOPIC.into() }.connect().await;
    assert_eq!(*sizes.lock().unwrap(), [0]);
}

async fn subscriptions(reply: MockReply) -> Result<Option<Subscriptions>, String> {
    let service = MockService::replying([reply]).await;
    let publisher = SnsPublisher { client: aws_sdk_sns::Client::new(&service.config().await), topic_arn: TOPIC.into() };
    let counted = publisher.subscriptions().await.map_err(|error| error.chain());
    assert_eq!(service.requests()[0].form()["Action"], "GetTopicAttributes");
    counted
}

fn attributes(counts: &[(&str, &str)]) -> MockReply {
    let entry = |(key, value): &(&str, &str)| format!("<entry><key>{key}</key><value>{value}</value></entry>");
    let entries: String = counts.iter().map(entry).collect();
    MockReply::new(
        200,
        format!(
            "<GetTopicAttributesResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><GetTopicAttributesResult>\
             <Attributes>{entries}</Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>"
        ),
    )
}

#[tokio::test]
async fn confirmed_and_pending_subscriptions_are_counted() {
    let counts = [("SubscriptionsConfirmed", "2"), ("SubscriptionsPending", "1"), ("SubscriptionsDeleted", "7")];
    assert_eq!(subscriptions(attributes(&counts)).await, Ok(Some(Subscriptions { confirmed: 2, pending: 1 })));
}

/// The audiences of a topic with these subscriptions: ARN, or a text in place of it, and filter policy.
async fn subscribed_audiences(subscriptions: &'static [(&'static str, &'static str)]) -> Result<Vec<String>, String> {
    let service = MockService::responding(move |request, _| {
        let form = request.form();
        let wrapped = |action: &str, content: &str| {
            let namespace = "http://sns.amazonaws.com/doc/2010-03-31/";
            let (response, result) = (format!("{action}Response"), format!("{action}Result"));
            MockReply::new(
                200,
                format!("<{response} xmlns=\"{namespace}\"><{result}>{content}</{result}></{response}>"),
            )
        };
        if form["Action"] == "ListSubscriptionsByTopic" {
            // One subscription a page.
            let page = form.get("NextToken").map_or(0, |token| token.parse::<usize>().unwrap());
            let member = format!("<member><SubscriptionArn>{}</SubscriptionArn></member>", subscriptions[page].0);
            let is_last = page + 1 == subscriptions.len();
            let token = if is_last { String::new() } else { format!("<NextToken>{}</NextToken>", page + 1) };
            return wrapped("ListSubscriptionsByTopic", &format!("<Subscriptions>{member}</Subscriptions>{token}"));
        }
        let arn = form["SubscriptionArn"].as_str();
        let (_, policy) = subscriptions.iter().find(|(known, _)| *known == arn).unwrap();
        if *policy == "forbidden" {
            return refused(403, "AuthorizationError");
        }
        let entry = format!("<entry><key>FilterPolicy</key><value>{policy}</value></entry>");
        let entry = if policy.is_empty() { String::new() } else { entry };
        wrapped("GetSubscriptionAttributes", &format!("<Attributes>{entry}</Attributes>"))
    })
    .await;
    let publisher = SnsPublisher { client: aws_sdk_sns::Client::new(&service.config().await), topic_arn: TOPIC.into() };
    let audiences = publisher.subscribed_audiences().await.map_err(|error| error.chain())?;
    Ok(audiences.unwrap().into_iter().collect())
}

#[tokio::test]
async fn an_audience_is_subscribed_if_the_filter_of_a_confirmed_subscription_names_it() {
    let audiences = subscribed_audiences(&[
        ("arn:aws:sns:r:1:t:1", r#"{"channel":["email"],"to":["day",{"exists":false}]}"#),
        ("arn:aws:sns:r:1:t:2", r#"{"to":["night","day"]}"#),
        ("arn:aws:sns:r:1:t:3", ""),
        ("arn:aws:sns:r:1:t:4", r#"{"channel":["sms"]}"#),
        ("PendingConfirmation", r#"{"to":["pending"]}"#),
        ("Deleted", r#"{"to":["deleted"]}"#),
    ]);
    assert_eq!(audiences.await, Ok(vec!["day".to_owned(), "night".to_owned()]));
    let error = subscribed_audiences(&[("arn:aws:sns:r:1:t:1", "forbidden")]).await.unwrap_err();
    assert!(error.contains("did not list its subscriptions"), "{error}");
}

#[tokio::test]
async fn a_topic_without_counts_is_not_reported_as_empty() {
    assert_eq!(subscriptions(attributes(&[("SubscriptionsConfirmed", "2")])).await, Ok(None));
    let forbidden = subscriptions(refused(403, "AuthorizationError")).await.unwrap_err();
    assert!(forbidden.contains("did not return its subscriptions"), "{forbidden}");
}
