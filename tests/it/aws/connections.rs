//! Connections to AWS, as Linux sees them.

use std::time::Duration;

use aws_sdk_sqs::Client;

use super::stand_in::{Reply, StandIn};

/// Local address and timer of each established connection to `endpoint`, from `/proc/net/tcp`.
fn connections(endpoint: &str) -> Vec<(String, String)> {
    let port: u16 = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let established = rows.filter(|row| row[2].ends_with(&format!(":{port:04X}")) && row[3] == "01");
    established.map(|row| (row[1].to_owned(), row[5].to_owned())).collect()
}

#[tokio::test]
async fn a_silent_connection_is_asked_for_by_tcp_and_not_used_again_after_twenty_seconds() {
    let stand_in = StandIn::replying([Reply::new(200, "{}").with("content-type", "application/x-amz-json-1.0")]).await;
    let client = Client::new(&stand_in.config().await);
    client.list_queues().send().await.unwrap();
    let first = connections(stand_in.endpoint());
    let [(_, timer)] = first.as_slice() else { panic!("{first:?}") };
    assert!(timer.starts_with("02:"), "{timer} is no timer of keep-alive");
    client.list_queues().send().await.unwrap();
    assert_eq!(connections(stand_in.endpoint())[0].0, first[0].0, "used again at once");
    tokio::time::sleep(Duration::from_secs(21)).await;
    client.list_queues().send().await.unwrap();
    let later = connections(stand_in.endpoint());
    assert!(later.iter().any(|(address, _)| *address != first[0].0), "{later:?}");
}
