//! Connections to AWS, as Linux lists them.

use std::time::Duration;

use aws_sdk_sqs::Client;

use super::mock_service::{MockReply, MockService};

/// Local address and timer of each established connection to `endpoint`, from `/proc/net/tcp`.
fn connections(endpoint: &str) -> Vec<(String, String)> {
    let port: u16 = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let established = rows.filter(|row| row[2].ends_with(&format!(":{port:04X}")) && row[3] == "01");
    established.map(|row| (row[1].to_owned(), row[5].to_owned())).collect()
}

#[tokio::test]
async fn an_idle_connection_sends_keep_alives_and_is_closed_after_twenty_seconds() {
    let service =
        MockService::replying([MockReply::new(200, "{}").with("content-type", "application/x-amz-json-1.0")]).await;
    let client = Client::new(&service.config().await);
    client.list_queues().send().await.unwrap();
    let first = connections(service.endpoint());
    let [(_, timer)] = first.as_slice() else { panic!("{first:?}") };
    assert!(timer.starts_with("02:"), "{timer} is not a keep-alive timer");
    client.list_queues().send().await.unwrap();
    assert_eq!(connections(service.endpoint())[0].0, first[0].0, "reused immediately");
    tokio::time::sleep(Duration::from_secs(21)).await;
    client.list_queues().send().await.unwrap();
    let later = connections(service.endpoint());
    assert!(later.iter().any(|(address, _)| *address != first[0].0), "{later:?}");
}
