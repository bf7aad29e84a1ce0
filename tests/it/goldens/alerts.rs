//! Goldens of `alerts.ndjson`: the messages of simulated buildings, ingested live with a simulated clock.

use std::collections::BTreeSet;

use analysis::simulate::{Plan, Pushes};
use jiff::{SignedDuration, ZonedDateTime};
use serde_json::Value;
use smartclean_push::domain::rules::RuleSet;

use super::compare;
use crate::alert_ids::live_messages;

const SEEDS: u64 = 5;
/// Minutes between two pushes.
const EVERY: [i64; 2] = [1, 15];

/// The built-in rules with settings that cause every kind of message. Some limits are lower, so that readings of one
/// day cross them.
const RULES: &str = r#"
block = { device = "15m", zone = "5m" }
[rate_limit]
burst = 4
per_minute = 1
[[rule]]
id = "ammonia-lite"
at_least = { medium = 100, high = 200 }
reminder = "1h"
resolved = true
[[rule]]
id = "carbon-dioxide"
reminder = "1h"
resolved = true
[[rule]]
id = "toilet-paper-low"
below = 60
active = "08:00-20:00"
[[rule]]
id = "soap-low"
below = 60
active = "08:00-20:00"
reminder = "2h"
resolved = true
[[rule]]
id = "bin-full"
below = 80
active = "08:00-20:00"
[[rule]]
id = "silent"
after = "90m"
active = "06:00-22:00"
"#;

/// Returns the messages of a small building from an afternoon to the next day's noon, with every simulated fault.
async fn alerts(seed: u64, every: i64) -> String {
    let rules = RuleSet::parse("rules.toml", RULES).unwrap();
    let from: ZonedDateTime = "2026-09-01T15:30[Asia/Singapore]".parse().unwrap();
    let to = from.timestamp() + SignedDuration::from_hours(21);
    let plan = Plan { devices: 16, from, to, seed };
    let pushes = Pushes::new(&plan, SignedDuration::from_mins(every), "all".parse().unwrap());
    let pushes: Vec<_> = pushes.map(|push| (push.at, push.body.to_vec())).collect();
    live_messages(&rules, &pushes).await.iter().map(|message| format!("{}\n", message.record())).collect()
}

/// Returns the kind of message of a line of `alerts.ndjson`.
fn kind(line: &str) -> &'static str {
    let line: Value = serde_json::from_str(line).unwrap();
    let facts = &line["message"]["json"];
    match facts["kind"].as_str().unwrap() {
        "firing" if facts["reminder"] == true => "reminder",
        "firing" => "firing",
        "resolved" => "resolved",
        "digest" if facts["reason"].is_string() => "suppressed",
        "digest" => "digest",
        "notice" => "notice",
        other => panic!("{other}"),
    }
}

#[test]
fn simulated_buildings_cause_the_recorded_messages_of_every_kind() {
    let runs = (1..=SEEDS).flat_map(|seed| EVERY.map(|every| (seed, every)));
    let outputs: Vec<(String, String)> = std::thread::scope(|scope| {
        let run = |(seed, every)| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let name = format!("golden/alerts/seed-{seed}-every-{every}m.ndjson");
            (name, runtime.block_on(alerts(seed, every)))
        };
        let threads: Vec<_> = runs.map(|plan| scope.spawn(move || run(plan))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let kinds: BTreeSet<&str> = outputs.iter().flat_map(|(_, lines)| lines.lines().map(kind)).collect();
    assert_eq!(kinds, BTreeSet::from(["digest", "firing", "notice", "reminder", "resolved", "suppressed"]));
    compare(outputs);
}
