//! Bodies that are small when sent and large when decoded or parsed.

use std::time::{Duration, Instant};

use smartclean_push::domain::batch::MOST_ITEMS;
use smartclean_push::domain::reading::MOST_MEMBERS;
use smartclean_push::ingest::decode::MAX_DECODED;

use crate::hostile::support::{RegularClient, ServeProcess, exchange, print_measurements, push, reading};
use crate::support::{files, gzip};

const GZIP: &str = "Content-Encoding: gzip\r\n";
/// Memory limit for a push that decodes to 64 MiB of spaces, in MiB: the body, decoded, and its text.
const BLANK_MIB: u64 = 256;
/// Memory limit for a push with the most and shortest items, in MiB.
const ITEMS_MIB: u64 = 256;
/// Memory limit for a push with the most members, in MiB: the body, its text and the readings. The function has 512.
const MEMBERS_MIB: u64 = 400;

/// An empty batch of this many bytes.
fn spaced(length: usize) -> Vec<u8> {
    let mut body = vec![b' '; length];
    (body[0], body[length - 1]) = (b'[', b']');
    body
}

/// Sends `body` compressed while another client pushes, and asserts the memory limit. Returns the status.
fn handled_within(what: &str, body: &[u8], most_mib: u64) -> u16 {
    let server = ServeProcess::start();
    let packed = gzip(body);
    let regular_client = RegularClient::of(server.address);
    regular_client.pushes(2);
    let began = Instant::now();
    let answer = exchange(server.address, push(GZIP, &packed)).unwrap();
    let took = began.elapsed();
    regular_client.pushes(1);
    let longest = regular_client.longest_latency();
    print_measurements(&format!("{what}, {} bytes of gzip", packed.len()), &server, began, longest);
    assert!(server.peak_mib() < most_mib, "{what}: {} MiB", server.peak_mib());
    assert!(took < Duration::from_secs(45), "{what} took {took:?}");
    if answer.status == 413 {
        // The client is authenticated: the body is stored.
        assert_eq!(files(&server.data()).iter().filter(|file| file.starts_with("rejected/")).count(), 1, "{what}");
    }
    answer.status
}

#[test]
fn a_body_decodes_up_to_the_limit_and_one_byte_more_is_rejected_and_stored() {
    assert_eq!(handled_within("64 MiB unpacked", &spaced(MAX_DECODED), BLANK_MIB), 200);
    assert_eq!(handled_within("64 MiB and a byte unpacked", &spaced(MAX_DECODED + 1), BLANK_MIB), 413);
    assert_eq!(handled_within("512 MiB unpacked", &spaced(8 * MAX_DECODED), BLANK_MIB), 413);
}

#[test]
fn the_most_items_are_accepted_and_more_are_rejected_before_they_take_memory() {
    let items = |count: usize, item: &str| format!("[{}{item}]", format!("{item},").repeat(count - 1)).into_bytes();
    assert_eq!(handled_within("200,000 empty objects", &items(MOST_ITEMS, "{}"), ITEMS_MIB), 200);
    assert_eq!(handled_within("a million empty objects", &items(5 * MOST_ITEMS, "{}"), ITEMS_MIB), 413);
}

#[test]
fn a_hundred_thousand_gzip_members_are_one_body() {
    let parts = gzip(b" ").repeat(100_000);
    let packed = [gzip(b"["), parts, gzip(b"]")].concat();
    let server = ServeProcess::start();
    let regular_client = RegularClient::of(server.address);
    assert_eq!(exchange(server.address, push(GZIP, &packed)).unwrap().status, 200);
    regular_client.longest_latency();
}

/// An item with this many members of five bytes in `v`.
fn members(count: usize) -> String {
    format!(r#"{{"v":{{{}"":1}}}}"#, r#""":1,"#.repeat(count - 1))
}

#[test]
fn an_item_of_too_many_members_is_rejected_and_the_others_are_accepted() {
    let server = ServeProcess::start();
    let pushed = format!("[{},{},{}]", members(MOST_MEMBERS), members(1_000_000), reading(1));
    let answer = exchange(server.address, push(GZIP, &gzip(pushed.as_bytes()))).unwrap();
    let count = |name: &str| answer.json()[name].as_u64().unwrap();
    assert_eq!((answer.status, count("accepted"), count("rejected")), (200, 2, 1));
    assert_eq!(files(&server.data()).iter().filter(|file| file.starts_with("rejected/")).count(), 1);
}

#[test]
fn an_item_of_a_million_members_takes_limited_memory() {
    let body = format!("[{}]", members(1_000_000));
    assert_eq!(handled_within("one item of a million members", body.as_bytes(), BLANK_MIB / 2), 200);
    // Members outside `v` are not kept in memory.
    for location in ["{}", r#"{"a":{}}"#, r#"{"v":{"reasons":{}}}"#, r#"{"RoutingKey":"matrix.x","Meta":{}}"#] {
        let million = format!("{{{}\"\":1}}", r#""":1,"#.repeat(1_000_000));
        let body = format!("[{}]", location.replace("{}", &million));
        assert_eq!(handled_within("a million members elsewhere", body.as_bytes(), BLANK_MIB / 2), 200);
    }
}

#[test]
#[ignore = "takes minutes where it is not optimised; `make hostile` runs it"]
fn the_worst_push_takes_limited_memory() {
    let items = |item: &str| format!("[{}{item}]", format!("{item},").repeat(MAX_DECODED / (item.len() + 1) - 1));
    assert_eq!(handled_within("22 million empty objects", items("{}").as_bytes(), ITEMS_MIB), 413);
    assert_eq!(handled_within("33 million numbers", items("7").as_bytes(), ITEMS_MIB), 413);
    let most = format!("[{}]", members((MAX_DECODED - 20) / 5));
    assert_eq!(handled_within("one item of 13 million members", most.as_bytes(), MEMBERS_MIB), 200);
    // Items with the most members each, and the most items.
    for (count, what) in [(MOST_MEMBERS, "13 million members, 4,096 in an item"), (70, "70 members in each item")] {
        assert_eq!(handled_within(what, items(&members(count)).as_bytes(), MEMBERS_MIB), 200);
    }
    // In JSON each is an escape of six bytes.
    let controls = "\u{1}".repeat(MAX_DECODED);
    assert_eq!(handled_within("64 MiB of control characters", controls.as_bytes(), BLANK_MIB), 400);
    let nested = format!("[{}{}]", "[".repeat(MAX_DECODED / 2 - 1), "]".repeat(MAX_DECODED / 2 - 1));
    assert_eq!(handled_within("nested 33 million deep", nested.as_bytes(), MEMBERS_MIB), 200);
}

#[test]
fn ten_bombs_at_once_wait_for_permits_and_other_clients_are_served() {
    let server = ServeProcess::start();
    let packed = gzip(&spaced(MAX_DECODED));
    let regular_client = RegularClient::of(server.address);
    let began = Instant::now();
    let address = server.address;
    let senders: Vec<_> = (0..10_u8)
        .map(|number| {
            // Different bodies, so that none is a repetition.
            let packed = [gzip(&vec![b' '; usize::from(number) + 1]), packed.clone()].concat();
            std::thread::spawn(move || exchange(address, push(GZIP, &packed)).unwrap().status)
        })
        .collect();
    let statuses: Vec<u16> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    // Each is one byte too large, or there was no permit in time.
    assert!(statuses.iter().all(|status| [413, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&413), "{statuses:?}");
    let longest = regular_client.longest_latency();
    print_measurements("ten bombs of 64 MiB at once", &server, began, longest);
    assert!(server.peak_mib() < 2 * BLANK_MIB, "{} MiB", server.peak_mib());
}
