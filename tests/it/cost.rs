//! `cost`, run as a shell runs it, and `docs/scale.md`, which quotes its output.

use std::io::Write as _;
use std::path::Path;
use std::process::Output;

use analysis::cost::{assumptions, workload};
use analysis::words::count;
use serde_json::Value;
use smartclean_push::domain::archive::{Metadata, Object, unpack};
use smartclean_push::domain::batch::BatchId;
use smartclean_push::domain::buffered::to_record;
use smartclean_push::domain::reading::Reading;

use crate::support::command;

fn run(arguments: &str) -> Output {
    command(&arguments.split_whitespace().collect::<Vec<_>>()).output().unwrap()
}

fn output_of(arguments: &str) -> String {
    let Output { status, stdout, stderr } = run(arguments);
    assert!(status.success() && stderr.is_empty(), "{arguments}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

fn total(devices: &str, batch: &str) -> f64 {
    let text = output_of(&format!("cost --devices {devices} --interval 5m --batch {batch} --format json"));
    serde_json::from_str::<Value>(&text).unwrap()["total"].as_f64().unwrap()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(crate::support::repository().join(name)).unwrap()
}

/// On the page, the output follows its command. One command is only an example of the usage and has no output.
#[test]
fn every_table_on_the_scale_page_is_the_output_of_its_command() {
    let page = page("docs/scale.md");
    let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
    let mut tables = 0;
    for pair in blocks.windows(2) {
        let (Some(command), Some(text)) =
            (pair[0].strip_prefix("sh\nsmartclean-push "), pair[1].strip_prefix("text\n"))
        else {
            continue;
        };
        assert_eq!(output_of(command), text, "{command}: run `make tables` to update the page");
        tables += 1;
    }
    assert_eq!(tables, 3, "number of tables found on the page");
}

#[test]
fn the_summary_of_the_scale_page_has_the_totals_of_the_command() {
    let page = page("docs/scale.md");
    for devices in [1_000, 100_000, 10_000_000] {
        let columns = ["1", "1 --delivery buffered", "25", "25 --delivery buffered", "500"];
        let cells = columns.map(|batch| count(total(&devices.to_string(), batch).round() as u64));
        let row = page.lines().find(|line| line.starts_with(&format!("| {} | ", count(devices)))).unwrap();
        assert!(row.ends_with(&format!(" | {} |", cells.join(" | "))), "{row}, expected {cells:?}: run `make tables`");
    }
}

#[test]
fn the_total_in_json_is_the_sum_of_the_lines() {
    let bill: Value =
        serde_json::from_str(&output_of("cost --devices 1000 --interval 5m --batch 1 --format json")).unwrap();
    assert_eq!((&bill["region"], &bill["free_tier"]), (&"ap-southeast-1".into(), &false.into()));
    let lines = bill["lines"].as_array().unwrap();
    let cost = |line: &Value| line["cost"].as_f64().unwrap();
    let most = lines.iter().max_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap();
    assert_eq!((&most["service"], &most["what"]), (&"S3".into(), &"objects written".into()));
    assert!((lines.iter().map(cost).sum::<f64>() - bill["total"].as_f64().unwrap()).abs() < 1e-6);
}

#[test]
fn unconfirmed_prices_are_marked_and_explained() {
    let text = output_of("cost --devices 1000 --interval 5m");
    assert!(text.contains("1.25 a million*") && text.contains("5.00 a million ") && text.contains("\n* of this size"));
    let checked = output_of("cost --devices 1000 --interval 5m --explain");
    assert!(checked.contains("Where each price was checked") && checked.contains("not found published"));
    assert!(!text.contains("https://"), "{text}");
    let explained = output_of("cost --devices 1000 --interval 5m --explain");
    assert!(explained.starts_with(&text) && explained.contains("https://aws.amazon.com/s3/pricing/"));
}

#[test]
fn region_free_tier_and_options_change_the_bill() {
    let total = |more: &str| -> f64 {
        let text = output_of(&format!("cost --devices 1000 --interval 5m --format json {more}"));
        serde_json::from_str::<Value>(&text).unwrap()["total"].as_f64().unwrap()
    };
    let is = total("");
    for cheaper in
        ["--region us-east-1", "--free-tier", "--emails 0", "--changing 0", "--months-kept 1", "--push-ms 10"]
    {
        assert!(total(cheaper) < is, "{cheaper}");
    }
    for dearer in ["--sms 1", "--devices-per-zone 20", "--messages-per-device-month 20", "--changing 100"] {
        assert!(total(dearer) > is, "{dearer}");
    }
    assert!(total("--batch 1 --delivery buffered") < total("--batch 1") / 2.0);
    assert!(total("--lake --scanned-gb 1000") > total("--lake") && total("--lake") > is);
    assert_eq!(total("--batch 25 --region ap-southeast-1"), is, "the default values, stated explicitly");
}

#[test]
fn invalid_arguments_exit_with_2_and_the_error_has_the_expected_value() {
    let fine = "cost --devices 1 --interval 1s";
    assert!(run(fine).status.success());
    for (wrong, expected) in [
        ("cost --devices 0 --interval 5m", "1..="),
        ("cost --devices 1 --interval 0s", "30s, 5m or 1h"),
        ("cost --devices 1 --interval 5", "30s, 5m or 1h"),
        ("cost --devices 1 --interval 5m --batch 0", "1..=7000"),
        ("cost --devices 1 --interval 5m --batch 7001", "1..=7000"),
        ("cost --devices 1 --interval 5m --devices-per-zone 0", "1..=500"),
        ("cost --devices 1 --interval 5m --changing 101", "from 0 to 100"),
        ("cost --devices 1 --interval 5m --messages-per-device-month=-1", "from 0 to 100000"),
        ("cost --devices 1 --interval 5m --region mars", "us-east-1"),
        ("cost --devices 1 --interval 5m --scanned-gb 5", "--lake"),
        ("cost --devices 1 --interval 5m --delivery slow", "direct, buffered"),
        ("cost --devices 1", "--interval"),
        ("cost --interval 5m", "--devices"),
    ] {
        let Output { status, stdout, stderr } = run(wrong);
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.len()), (Some(2), 0), "{wrong}");
        assert!(error.contains(expected), "{wrong}: {error}");
    }
}

#[test]
fn assumptions_agree_with_the_template_and_the_default_rate_limit() {
    let template = page("template.yaml");
    let memory = format!("MemorySize: {}\n", assumptions::MEMORY.value * 1_024.0);
    let together = format!("BatchSize: {}\n", assumptions::LOOKED_AT_TOGETHER.value);
    let of_pages = format!("MemorySize: {}\n", assumptions::PAGE_MEMORY.value * 1_024.0);
    for line in [&memory, &of_pages, &together, "Schedule: rate(1 minute)\n", "MaximumBatchingWindowInSeconds: 60\n"] {
        assert!(template.contains(line), "{line}");
    }
    let limit = smartclean_push::domain::rate_limit::RateLimit::default();
    assert_eq!(f64::from(limit.per_minute), assumptions::MESSAGES_A_MINUTE.value);
    assert_eq!(f64::from(limit.sms_per_day), assumptions::TEXTS_A_DAY.value);
}

/// Returns the lines of all objects in a folder, in the order of the object names.
fn lines(folder: &Path) -> Vec<String> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let of = |path: &Path| match path.is_dir() {
        true => lines(path),
        false => unpack(&std::fs::read(path).unwrap()).unwrap().lines().map(str::to_owned).collect(),
    };
    paths.iter().flat_map(|path| of(path)).collect()
}

/// Returns the stored bytes per reading if each object has `batch` consecutive readings.
fn stored_size(lines: &[String], batch: usize) -> f64 {
    let metadata =
        Metadata { received: jiff::Timestamp::UNIX_EPOCH, request_id: "r".into(), source: "s".into(), lines: 0 };
    let sizes: Vec<usize> = lines
        .chunks_exact(batch)
        .step_by(1 + lines.len() / batch / 100)
        .map(|lines| {
            let readings: Vec<_> = lines.iter().map(|line| Reading::read(line).unwrap()).collect();
            Object::of_readings(BatchId::of(b""), &readings, metadata.clone()).bytes.len()
        })
        .collect();
    sizes.iter().sum::<usize>() as f64 / (sizes.len() * batch) as f64
}

/// Returns the stored bytes per reading if a buffered object has all of these readings, `batch` in a push.
fn buffered_size(lines: &[String], batch: usize) -> f64 {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for (index, lines) in lines.chunks(batch).enumerate() {
        let readings: Vec<_> = lines.iter().map(|line| Reading::read(line).unwrap()).collect();
        let received =
            readings[0].time.unwrap_or_default() + jiff::SignedDuration::from_millis(37 * index as i64 % 4_001);
        let id = BatchId::of(lines.concat().as_bytes());
        let request_id = id.to_string()[..16].to_owned();
        let metadata = Metadata { received, request_id, source: format!("203.0.113.{}", index % 4), lines: 0 };
        encoder.write_all(&to_record(&Object::of_readings(id, &readings, metadata)).unwrap()).unwrap();
    }
    encoder.finish().unwrap().len() as f64 / lines.len() as f64
}

/// Returns the bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let size = |entry: std::fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => size(&entry.path()),
        false => entry.metadata().unwrap().len(),
    };
    std::fs::read_dir(folder).unwrap().map(|entry| size(entry.unwrap())).sum()
}

#[test]
fn assumed_sizes_agree_with_measured_ones() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    output_of(&format!("simulate --out {} --devices 100 --days 1 --from 2026-11-01", data.display()));
    let lines = lines(&data.join("raw"));
    assert!(lines.len() > 5_000, "{} readings", lines.len());
    let is_near = |measured: f64, expected: f64| (measured / expected - 1.0).abs() < 0.15;
    for (batch, expected) in assumptions::STORED {
        let measured = stored_size(&lines, batch as usize);
        assert!(is_near(measured, expected), "{batch} readings in an object: {measured}, expected {expected}");
    }
    // What the pushes of five minutes and 1,000 devices are, one reading in each.
    let buffered = |batch: usize| buffered_size(&lines[..1_000 * batch.min(5)], batch);
    for batch in [1, 5] {
        let expected = assumptions::BUFFERED_READING.value + assumptions::BUFFERED_PUSH.value / batch as f64;
        let measured = buffered(batch);
        assert!(is_near(measured, expected), "{batch} readings in a record: {measured}, expected {expected}");
    }
    output_of(&format!("compact --data {} --before 2026-11-03", data.display()));
    let row = size(&data.join("lake")) as f64 / lines.len() as f64;
    assert!(is_near(row, assumptions::ROW.value), "{row} bytes per row");
    let escaped = |line: &String| serde_json::to_string(line).unwrap().len() + 1;
    let sent = lines.iter().map(escaped).sum::<usize>() as f64 / lines.len() as f64;
    assert!(is_near(sent, assumptions::SENT.value), "{sent} bytes per reading in a push");
}

/// Runs the commands that the assumption refers to.
#[test]
fn the_assumed_number_of_messages_agrees_with_a_simulation() {
    let (devices, days) = (100, 7);
    let folder = tempfile::tempdir().unwrap();
    let (history, state) = (folder.path().join("history"), folder.path().join("state.db"));
    output_of(&format!("simulate --out {} --devices {devices} --days {days} --from 2026-10-01", history.display()));
    let replay = format!("replay raw --from {} --state {} --alerts", history.display(), state.display());
    assert!(run(&replay).status.success());
    let log = std::fs::read_to_string(folder.path().join("alerts.ndjson")).unwrap();
    let messages: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let low = messages.iter().filter(|message| message["attributes"]["severity"] == "low").count();
    assert!(
        low * 20 < messages.len(),
        "{low} of {} messages have severity low: too many to ignore for SMS",
        messages.len()
    );
    let month = workload::MONTH / 86_400.0;
    let measured = messages.len() as f64 / f64::from(devices) * month / f64::from(days);
    let expected = assumptions::MESSAGES.value;
    assert!((measured / expected - 1.0).abs() < 0.05, "{measured} messages per device and month, expected {expected}");
}

#[test]
fn the_bill_counts_as_many_alarms_as_the_template_has() {
    let template = page("template.yaml");
    let deployed = template.matches("Type: AWS::CloudWatch::Alarm\n    Condition: HasAlarms\n").count();
    assert_eq!(count(deployed as u64), format!("{}", assumptions::ALARMS.value));
}
