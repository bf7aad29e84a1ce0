use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn in_singapore(workload: &Workload) -> Bill {
    Bill::of(workload, Region::Singapore, false)
}

/// The command's defaults but for two messages a device and month, so that what is calculated by hand does not depend on what
/// is measured.
fn of(devices: u32, batch: u32) -> Workload {
    Workload {
        devices: devices.into(),
        interval: minutes(5),
        batch: batch.into(),
        devices_per_zone: 5.0,
        changing_percent: 7.0,
        messages_per_device_month: 2.0,
        emails: 1.0,
        phones: 0.0,
        months_kept: 12.0,
        push_ms: 80.0,
        delivery: RawDelivery::Direct,
        lake_scanned_gb: None,
    }
}

fn assert_costs(bill: &Bill, by_hand: &[(&str, &str, f64)]) {
    assert_eq!(bill.lines.len(), by_hand.len());
    for (service, what, cost) in by_hand {
        let line = bill.lines.iter().find(|line| line.item.service == *service && line.item.what == *what);
        let line = line.unwrap_or_else(|| panic!("no line {service}, {what}"));
        assert!((line.cost - cost).abs() < 5e-6, "{service}, {what}: {} and not {cost}", line.cost);
    }
    let total: f64 = by_hand.iter().map(|(_, _, cost)| cost).sum();
    assert!((bill.total - total).abs() < 1e-4, "{} and not {total}", bill.total);
}

/// 1,000 devices, a reading every 5 minutes, 25 readings in a push, by hand. A month is 730 h = 43,800 min = 2,628,000 s.
///
/// - readings: 1,000 × 2,628,000 ÷ 300 = 8,760,000; pushes: ÷ 25 = 350,400, which is 8 a minute
/// - second looks: 8 a minute are fewer than ten, so one a minute: 43,800
/// - zones: 1,000 ÷ 5 = 200, of which a push is about 25; an item has 5 × 0.5 = 2.5 KB
/// - time: a push 80 + 25 × 0.1 = 82.5 ms, its second look 30 + 25 × 0.1 = 32.5 ms, together 115 ms × 350,400 = 40,296 s;
///   sweeps 60 ms × 43,800 = 2,628 s; in all 42,924 s, so one process is enough
/// - pages: 20 × 730 ÷ 24 = 608.333 views of the board; each of 2,000 messages is opened, answered twice, and loads again after each
///   answer: 10,000; in all 10,608.333, of 30 ms at 0.25 GB
/// - open alerts: 2,000 × 2 h ÷ 730 h × 0.7 KB = 3.835616 KB, which is 0.019178 KB a zone
#[test]
fn a_thousand_devices_with_25_readings_in_a_push_cost_what_they_do_by_hand() {
    let bill = in_singapore(&of(1_000, 25));
    assert_eq!((bill.readings, bill.pushes), (8_760_000.0, 350_400.0));
    assert_costs(
        &bill,
        &[
            // 25 × 650 bytes are less than 512 KB: 350,400 + 10,608.333 pages × $1.25 a million.
            ("API Gateway", "requests", 0.451_26),
            // 350,400 × 600 bytes = 210,240,000 ÷ 1,073,741,824 = 0.195801 GB × $0.12.
            ("Data transfer", "GB of answers", 0.023_496),
            // 350,400 pushes + 43,800 looks + 43,800 sweeps + 10,608.333 pages = 448,608.333 × $0.20 a million.
            ("Lambda", "calls", 0.089_722),
            // 42,924 s × 0.5 GB + 10,608.333 × 0.03 s × 0.25 GB = 21,541.5625 × $13.3334 a million.
            ("Lambda", "GB-seconds", 0.287_222),
            // 350,400 pushes, 2 × 2,000 archived alerts and as many answers × $5 a million.
            ("Data Firehose", "GB taken", 0.0),
            ("S3", "objects written", 1.792),
            // 350,400 + 43,800 looks at the rules + 10,608.333 of pages = 404,808.333 × $0.40 a million.
            ("S3", "objects read", 0.161_923),
            // 8,760,000 × 112 + 350,400 × 200 = 1,051,200,000 bytes a month × 12 = 11.748075 GB × $0.025.
            ("S3", "GB kept", 0.293_702),
            // 350,400 + 2 × 43,800 + 15 × 43,800 = 1,095,000 × $0.40 a million.
            ("SQS", "requests", 0.438),
            // A write of a zone is 2.5 + 0.5 + 0.019178 = 3.019178. 7 % of 8,760,000 = 613,200 of them = 1,851,360;
            // 2,000 messages × (3 + 5 + (3 + 4) × 3.019178) = 58,268.493; 43,800 ÷ 5 = 8,760.
            // Together 1,918,388.493 × $0.7115 a million.
            ("DynamoDB", "write units", 1.364_933),
            // 2 × 350,400 × 25 = 17,520,000; 3 × 43,800 = 131,400; 2,000 messages × (2 + 3 + 3 × 2 + 2 × 4) = 38,000;
            // 608.333 views × (2 + 8 × 0.5) = 3,650. Together 17,693,050 × $0.1425 a million.
            ("DynamoDB", "read units", 2.521_260),
            // 200 × 2.5 KB + 2 × 3.835616 KB = 507.671 ÷ 1,048,576 = 0.000484 GB × $0.513.
            ("DynamoDB", "GB kept and restorable", 0.000_248),
            // 1,000 × 2 = 2,000 × $0.50 a million.
            ("SNS", "messages", 0.001),
            // 2,000 × one address × $0.02 a thousand.
            ("SNS", "emails", 0.04),
            ("SNS", "SMS to Singapore", 0.0),
            // 350,400 × 650 = 227,760,000 bytes = 0.212118 GB × $0.70.
            ("CloudWatch", "GB of log lines", 0.148_483),
            // 15 % of it = 0.031818 GB × $0.03.
            ("CloudWatch", "GB of log lines kept", 0.000_955),
            // 12 × $0.30.
            ("CloudWatch", "metrics", 3.6),
            // 10 × $0.10.
            ("CloudWatch", "metrics of alarms", 1.0),
            ("CloudWatch", "dashboards", 3.0),
            ("Secrets Manager", "secrets", 0.4),
            // 2 × 43,800 ÷ 5 = 17,520 × $5 a million.
            ("Secrets Manager", "reads", 0.0876),
            ("Athena", "GB scanned", 0.0),
        ],
    );
}

/// The same, each reading in a push of its own.
///
/// - pushes: 8,760,000, which is 200 a minute; second looks: a tenth, 876,000
/// - time: 80 + 0.1 + 30 + 0.1 = 110.2 ms × 8,760,000 = 965,352 s; with the sweeps' 2,628 s it is 967,980 s
#[test]
fn a_thousand_devices_with_a_push_for_each_reading_cost_what_they_do_by_hand() {
    let bill = in_singapore(&of(1_000, 1));
    assert_costs(
        &bill,
        &[
            // 8,760,000 + 10,608.333 × $1.25 a million.
            ("API Gateway", "requests", 10.963_26),
            // 8,760,000 × 600 bytes = 4.895032 GB × $0.12.
            ("Data transfer", "GB of answers", 0.587_404),
            // 8,760,000 + 876,000 + 43,800 + 10,608.333 = 9,690,408.333 × $0.20 a million.
            ("Lambda", "calls", 1.938_082),
            // 967,980 s × 0.5 GB + 79.5625 = 484,069.5625 × $13.3334 a million.
            ("Lambda", "GB-seconds", 6.454_293),
            // 8,768,000 × $5 a million.
            ("Data Firehose", "GB taken", 0.0),
            ("S3", "objects written", 43.84),
            // 8,760,000 + 43,800 + 10,608.333 = 8,814,408.333 × $0.40 a million.
            ("S3", "objects read", 3.525_763),
            // 8,760,000 × (402 + 200) × 12 = 63,282,240,000 bytes = 58.936178 GB × $0.025.
            ("S3", "GB kept", 1.473_404),
            // 8,760,000 + 2 × 876,000 + 657,000 = 11,169,000 × $0.40 a million.
            ("SQS", "requests", 4.4676),
            // As with 25 in a push: as many readings change something.
            ("DynamoDB", "write units", 1.364_933),
            // 2 × 8,760,000 × 1, and the rest as with 25.
            ("DynamoDB", "read units", 2.521_260),
            ("DynamoDB", "GB kept and restorable", 0.000_248),
            ("SNS", "messages", 0.001),
            ("SNS", "emails", 0.04),
            ("SNS", "SMS to Singapore", 0.0),
            // 8,760,000 × 650 = 5,694,000,000 bytes = 5.302951 GB × $0.70.
            ("CloudWatch", "GB of log lines", 3.712_066),
            // 15 % of it = 0.795443 GB × $0.03.
            ("CloudWatch", "GB of log lines kept", 0.023_863),
            ("CloudWatch", "metrics", 3.6),
            ("CloudWatch", "metrics of alarms", 1.0),
            ("CloudWatch", "dashboards", 3.0),
            ("Secrets Manager", "secrets", 0.4),
            ("Secrets Manager", "reads", 0.0876),
            ("Athena", "GB scanned", 0.0),
        ],
    );
    let item = bill.dominating().unwrap().item;
    assert_eq!((&*item.service, &*item.what), ("S3", "objects written"));
}

/// The same, buffered: what differs from one object a push.
///
/// - a record: 250 + 650 = 900 bytes, billed as 5 KB; a day's 28.8 million bytes a day are far below 5 MB in five minutes, so
///   that an object has five minutes: 8,760 objects, and as many second looks
/// - time: 8,760,000 × (80 + 2 × 0.1) ms + 8,760 × 30 ms + 43,800 × 60 ms = 705,442.8 s
#[test]
fn a_thousand_devices_with_buffered_pushes_cost_what_they_do_by_hand() {
    let direct = in_singapore(&of(1_000, 1));
    let buffered = in_singapore(&Workload { delivery: RawDelivery::Buffered, ..of(1_000, 1) });
    let by_hand = [
        // 8,760,000 + 8,760 + 43,800 + 10,608.333 = 8,823,168.333 × $0.20 a million.
        ("Lambda", "calls", 1.764_634),
        // 705,442.8 s × 0.5 GB + 79.5625 = 352,800.9625 × $13.3334 a million.
        ("Lambda", "GB-seconds", 4.704_036),
        // 8,760,000 × 5,120 bytes = 41.770935 GB × $0.036.
        ("Data Firehose", "GB taken", 1.503_754),
        // 16,760 × $5 a million.
        ("S3", "objects written", 0.0838),
        // 8,760 + 43,800 + 10,608.333 = 63,168.333 × $0.40 a million.
        ("S3", "objects read", 0.025_267),
        // (8,760,000 × (50 + 64) + 8,760 × 200) × 12 = 12,004,704,000 bytes = 11.180252 GB × $0.025.
        ("S3", "GB kept", 0.279_506),
        // 8,760 + 2 × 8,760 + 657,000 = 683,280 × $0.40 a million.
        ("SQS", "requests", 0.273_312),
        // 8,760,000 + 8,760 × 200 = 10,512,000; 131,400; 41,650. Together 10,685,050 × $0.1425 a million.
        ("DynamoDB", "read units", 1.522_620),
        // 11 × $0.10.
        ("CloudWatch", "metrics of alarms", 1.1),
    ];
    for (one, other) in direct.lines.iter().zip(&buffered.lines) {
        let expected =
            by_hand.iter().find(|(service, what, _)| (*service, *what) == (&one.item.service, &one.item.what));
        let expected = expected.map_or(one.cost, |(_, _, cost)| *cost);
        assert!((other.cost - expected).abs() < 5e-6, "{}: {} and not {expected}", one.item.what, other.cost);
    }
}

#[test]
fn a_push_larger_than_a_record_is_an_object_of_its_own() {
    // 250 + 1,574 × 650 = 1,023,350 bytes; with 1,575, 1,024,000 are just a record; 1,576 are too many.
    let taken =
        |batch| cost_of(&in_singapore(&Workload { delivery: RawDelivery::Buffered, ..of(1_000, batch) }), "GB taken");
    assert!(taken(1_575) > 0.0 && taken(1_576) == 0.0);
}

#[test]
fn the_lake_costs_its_compaction_files_alarm_and_queries() {
    let with_lake = |delivery| Workload { delivery, lake_scanned_gb: Some(100.0), ..of(1_000, 1) };
    let bill = in_singapore(&with_lake(RawDelivery::Direct));
    let added = |what| cost_of(&bill, what) - cost_of(&in_singapore(&of(1_000, 1)), what);
    // 100 GB ÷ 1,024 × $5; each object once more; 8,760,000 × (0.5 + 0.05) ms × 2 GB = 9,636 × $13.3334 a million.
    for (what, cost) in
        [("GB scanned", 0.488_281), ("objects read", 3.504), ("GB-seconds", 0.128_481), ("metrics of alarms", 0.1)]
    {
        assert!((added(what) - cost).abs() < 5e-6, "{what}: {} and not {cost}", added(what));
    }
    let buffered = in_singapore(&with_lake(RawDelivery::Buffered));
    assert!(cost_of(&buffered, "objects read") < 0.03, "few objects to compact");
}

fn cost_of(bill: &Bill, what: &str) -> f64 {
    bill.lines.iter().find(|line| line.item.what == what).unwrap().cost
}

#[test]
fn text_messages_cost_by_telephone_up_to_a_hundred_a_day() {
    let texts = |devices, phones| cost_of(&in_singapore(&Workload { phones, ..of(devices, 25) }), "SMS to Singapore");
    // 2,000 messages × $0.045, and twice that.
    assert!((texts(1_000, 1.0) - 90.0).abs() < 1e-9 && (texts(1_000, 2.0) - 180.0).abs() < 1e-9);
    // 100 × 30.41667 days × $0.045.
    assert!((texts(10_000, 1.0) - 136.875).abs() < 1e-9 && (texts(1_000_000, 1.0) - 136.875).abs() < 1e-9);
}

#[test]
fn messages_are_at_most_ten_a_minute() {
    let messages = |devices| {
        let bill = in_singapore(&of(devices, 25));
        bill.lines.iter().find(|line| line.item.what == "messages").unwrap().amount
    };
    // 10 × 43,800 = 438,000 are 219,000 devices with two each.
    assert_eq!([218_999, 219_000, 10_000_000].map(messages), [437_998.0, 438_000.0, 438_000.0]);
}

#[test]
fn a_push_of_more_than_512_kb_counts_twice_at_the_gateway() {
    // 806 × 650 = 523,900 bytes; 807 × 650 = 524,550 are more than 524,288.
    let requests = |batch| {
        let bill = in_singapore(&of(1_000, batch));
        (bill.lines.iter().find(|line| line.item.what == "requests").unwrap().amount / bill.pushes).floor()
    };
    assert_eq!((requests(806), requests(807)), (1.0, 2.0));
}

#[test]
fn what_aws_gives_away_is_taken_off_once_and_never_makes_a_line_negative() {
    let workload = of(1_000, 1);
    let (all, less) = (in_singapore(&workload), Bill::of(&workload, Region::Singapore, true));
    // Of calls a million, of ours 9,690,408.333 − 1,000,000 are left.
    assert!((cost_of(&less, "calls") - 1.738_081_667).abs() < 1e-9);
    // Ten metrics of twelve; the one dashboard is among the three.
    assert_eq!((cost_of(&less, "metrics"), cost_of(&less, "dashboards")), (0.6, 0.0));
    assert_eq!(cost_of(&less, "objects written"), cost_of(&all, "objects written"), "free in the first year only");
    assert!(less.lines.iter().all(|line| line.cost >= 0.0) && less.total < all.total);
}

#[test]
fn services_are_all_of_the_bill_the_dearest_first() {
    let bill = in_singapore(&of(1_000, 1));
    let services = bill.services();
    assert_eq!(services[0].0, "S3");
    assert!(services.is_sorted_by(|(_, a), (_, b)| a >= b));
    assert!((services.iter().map(|(_, cost)| cost).sum::<f64>() - bill.total).abs() < 1e-9);
}

#[test]
fn each_item_of_the_price_table_has_an_amount_and_each_amount_an_item() {
    let amounts = Month::of(&of(1_000, 25)).amounts.map(|(service, what, _)| (service, what));
    let items: Vec<_> = items().iter().map(|item| (&*item.service, &*item.what)).collect();
    assert_eq!(items, amounts);
}

proptest! {
    #[test]
    fn more_is_never_cheaper_and_a_push_twice_as_large_never_dearer(
        devices in 1_u32..50_000_000,
        more in 1_u32..1_000_000,
        seconds in 1_i64..86_400,
        batch in 1_u32..=3_500,
        virginia: bool,
        free_tier: bool,
    ) {
        let region = if virginia { Region::Virginia } else { Region::Singapore };
        let base = Workload { phones: 1.0, interval: SignedDuration::from_secs(seconds), ..of(devices, batch) };
        let total = |workload: Workload| Bill::of(&workload, region, free_tier).total;
        let is = total(base);
        // Amounts are sums of fractions.
        let (at_least, at_most) = (is * (1.0 - 1e-9), is * (1.0 + 1e-9));
        prop_assert!(is.is_finite() && is > 0.0);
        let dearer = [
            Workload { devices: f64::from(devices + more), ..base },
            Workload { messages_per_device_month: 13.0, ..base },
            Workload { emails: 2.0, phones: 2.0, months_kept: 13.0, ..base },
        ];
        let cheaper = [Workload { batch: f64::from(2 * batch), ..base }, Workload { interval: base.interval * 2, ..base }];
        prop_assert_eq!(dearer.map(|workload| total(workload) >= at_least), [true; 3]);
        prop_assert_eq!(cheaper.map(|workload| total(workload) <= at_most), [true; 2]);
    }
}
