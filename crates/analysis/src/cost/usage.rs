//! From a workload to what is billed of it, by how the function works. Beside each amount stands how it comes about.

use super::assumptions::{
    ALARMS, ANSWER, CALL_LOG, DASHBOARDS, INDEX, LOG_KEPT, LOOK_MS, LOOKED_AT_TOGETHER, MEMORY, MESSAGES_A_MINUTE,
    METRICS, OBJECT, POLLS, PUSH_LOG, READING_MS, REMEMBERED, SENT, SWEEP_MS, TEXTS_A_DAY, stored,
};
use super::prices::{self, Price};
use super::workload::{MONTH, Workload};

/// Bytes of a GB, as AWS bills it.
const GB: f64 = 1_073_741_824.0;
/// KB of a GB.
const KB_OF_GB: f64 = 1_048_576.0;
/// The gateway counts a request for each started 512 KB.
const METERED: f64 = 512.0 * 1_024.0;
/// DynamoDB reads 4 KB for a unit.
const READ_UNIT: f64 = 4.0;
/// Minutes of a month; in each, what is due is looked for.
const MINUTES: f64 = MONTH / 60.0;
/// Five minutes: how often a process looks at the credentials, and notes that something arrives.
const FIVE_MINUTES: f64 = MONTH / 300.0;
/// Days of a month.
const DAYS: f64 = MONTH / 86_400.0;

/// What is used in a month of something that has a price.
pub(super) struct Used {
    pub(super) price: &'static Price,
    pub(super) amount: f64,
    /// How it comes about.
    pub(super) how: &'static str,
}

/// Everything that is billed.
pub(super) fn usage(workload: &Workload) -> Vec<Used> {
    let of = Traffic::of(workload);
    let groups = [of.way_in(), of.kept(), of.remembered(), of.told(), of.watched()];
    groups.into_iter().flatten().map(|(price, amount, how)| Used { price, amount, how }).collect()
}

type Row = (&'static Price, f64, &'static str);

/// What several lines are made of, a month.
struct Traffic<'w> {
    workload: &'w Workload,
    readings: f64,
    pushes: f64,
    /// Calls of the function for the second look at what is stored.
    looks: f64,
    /// Zones that a push is about.
    zones: f64,
    /// Milliseconds that the function works.
    ms: f64,
    /// Processes that are warm at a time.
    processes: f64,
    /// Messages that go out.
    messages: f64,
}

impl<'w> Traffic<'w> {
    fn of(workload: &'w Workload) -> Self {
        let pushes = workload.pushes();
        let batch = f64::from(workload.batch);
        // The queue waits up to a minute for ten; where fewer come in a minute, they are looked at each minute.
        let looks = (pushes / LOOKED_AT_TOGETHER.value).max(pushes.min(MINUTES));
        let each = workload.push_ms + LOOK_MS.value + 2.0 * READING_MS.value * batch;
        let ms = pushes * each + MINUTES * SWEEP_MS.value;
        Self {
            workload,
            readings: workload.readings(),
            pushes,
            looks,
            // As if no two readings of a push were from the same zone, as long as there are zones.
            zones: batch.min(workload.zones()),
            ms,
            processes: (ms / 1_000.0 / MONTH).ceil().max(1.0),
            messages: workload.messages().min(MESSAGES_A_MINUTE.value * MINUTES),
        }
    }

    fn way_in(&self) -> Vec<Row> {
        let metered = (SENT.value * f64::from(self.workload.batch) / METERED).ceil();
        let time = self.ms / 1_000.0 * MEMORY.value;
        vec![
            (&prices::GATEWAY_REQUESTS, self.pushes * metered, "a push, for each started 512 KB of it"),
            (&prices::DATA_OUT, self.pushes * ANSWER.value / GB, "the answer to each push"),
            (&prices::INVOCATIONS, self.pushes + self.looks + MINUTES, "each push, the second looks, a sweep a minute"),
            (&prices::COMPUTE, time, "time of these, at the function's memory"),
        ]
    }

    fn kept(&self) -> Vec<Row> {
        let month = self.readings * stored(self.workload.batch) + self.pushes * OBJECT.value;
        let kept = month * f64::from(self.workload.months_kept) / GB;
        let queued = self.pushes + 2.0 * self.looks + MINUTES * POLLS.value;
        let read = self.pushes + self.processes * MINUTES;
        vec![
            (&prices::PUTS, self.pushes, "one object a push"),
            (&prices::GETS, read, "each object once, for the second look; the rules, each minute and process"),
            (&prices::KEPT, kept, "compressed readings of all months that are kept"),
            (
                &prices::QUEUE_REQUESTS,
                queued,
                "a notice a push; fetching and deleting of ten; Lambda's looks when it is empty",
            ),
        ]
    }

    fn remembered(&self) -> Vec<Row> {
        let Workload { devices_per_zone, changing_percent, .. } = *self.workload;
        let size = REMEMBERED.value * f64::from(devices_per_zone);
        let write = size.max(1.0) + INDEX.value;
        let changes = (self.readings * changing_percent / 100.0).min(self.pushes * self.zones);
        // Each message takes a token of the rate limit and is counted for the SMS of the day, whether anybody gets SMS or not.
        // When it is sent, its zone is read and written once more.
        let writes = changes * write + self.messages * (2.0 + write) + self.processes * FIVE_MINUTES;
        let read = (size / READ_UNIT).ceil();
        // A sweep reads one item, and four empty parts of the index at half a unit.
        let reads = 2.0 * self.pushes * self.zones * read + MINUTES * 3.0 + self.messages * read;
        let kept = self.workload.zones() * size / KB_OF_GB;
        vec![
            (
                &prices::WRITES,
                writes,
                "zones that change, with the index; for a message its zone, the rate limit and the SMS of the day; that \
                 something arrives, each 5 minutes",
            ),
            (&prices::READS, reads, "the zones of a push, twice; sweeps; messages"),
            (&prices::REMEMBERED, kept, "an item a zone"),
        ]
    }

    fn told(&self) -> Vec<Row> {
        let Workload { emails, phones, .. } = *self.workload;
        let texts = self.messages.min(TEXTS_A_DAY.value * DAYS);
        vec![
            (&prices::PUBLISHES, self.messages, "of alerts, at most ten a minute; more share digests"),
            (&prices::EMAILS, self.messages * f64::from(emails), "each to each address"),
            (&prices::TEXTS, texts * f64::from(phones), "each to each telephone, at most a hundred a day"),
        ]
    }

    fn watched(&self) -> Vec<Row> {
        let logged = (self.pushes * PUSH_LOG.value + (self.looks + MINUTES) * CALL_LOG.value) / GB;
        vec![
            (&prices::LOGS, logged, "lines of each push, second look and sweep"),
            (&prices::LOGS_KEPT, logged * LOG_KEPT.value / 100.0, "those of the last 30 days, compressed"),
            (&prices::METRICS, METRICS.value, "numbers of the dashboard and the alarms"),
            (&prices::ALARMS, ALARMS.value, "in the template"),
            (&prices::DASHBOARDS, DASHBOARDS.value, "in the template"),
            (&prices::SECRET, 1.0, "the credentials"),
            (&prices::SECRET_READS, self.processes * 2.0 * FIVE_MINUTES, "two versions, each 5 minutes and process"),
        ]
    }
}
