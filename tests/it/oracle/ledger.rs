//! The pushes, the expected effect of each reading, and the responses.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// People per reading of a counter in a crowd, and the limit of the alert.
pub(crate) const CROWD: u32 = 10;
pub(crate) const LIMIT: u32 = 30;
/// The project of every zone.
pub(crate) const PROJECT: &str = "building";

/// The effect of a stored reading by the built-in rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// One alert of this rule, however often the reading is pushed or evaluated.
    Alert { rule: &'static str },
    /// One alert of this rule or none, because the receiver's clock is wrong.
    OptionalAlert { rule: &'static str },
    /// Counts people in the zone, once; at [`LIMIT`] an alert, and the count starts again.
    People { count: u32 },
    /// Nothing.
    Nothing,
}

/// A reading and its effect.
#[derive(Clone, Debug)]
pub(crate) struct LedgerReading {
    /// The text that is sent.
    pub(crate) text: String,
    pub(crate) zone: String,
    pub(crate) device: String,
    pub(crate) effect: Effect,
}

/// A push, which may be sent several times.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    /// Describes the push in objections.
    pub(crate) about: String,
    pub(crate) body: Vec<u8>,
    /// The batch id: the beginning of the body's SHA-256.
    pub(crate) batch: String,
    /// Its readings, in order.
    pub(crate) items: Vec<LedgerReading>,
    /// Its rejected items, in order; the whole body if it is not a batch.
    pub(crate) rejected: Vec<String>,
    pub(crate) is_batch: bool,
}

/// One response.
#[derive(Clone, Debug)]
pub(crate) struct RecordedResponse {
    /// Index of the push.
    pub(crate) push: usize,
    /// `None` without a response.
    pub(crate) status: Option<u16>,
    pub(crate) body: Value,
    /// Whether all items were in the store or in the queue at that time.
    pub(crate) is_safe: bool,
}

impl RecordedResponse {
    /// Whether it acknowledges the push: 200, and 400, which promises to store the body.
    pub(crate) fn acknowledges(&self) -> bool {
        matches!(self.status, Some(200 | 400))
    }
}

/// All pushes and responses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) pushes: Vec<Push>,
    pub(crate) responses: Vec<RecordedResponse>,
}

/// The clock of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceiverClock {
    /// Correct within minutes.
    Correct,
    /// Hours ahead: all readings are too old to alert, unless another copy of the function evaluates them first.
    Ahead,
    /// Hours behind: all readings are from the future, and count as current.
    Behind,
}

/// Creates pushes with zones of their own, except for the zones where people are counted.
#[derive(Debug)]
pub(crate) struct Producer {
    about: String,
    clock: ReceiverClock,
    /// The time of all people counts: the same one, so that their order does not matter.
    counted_at: Timestamp,
    count: usize,
    last: Option<LedgerReading>,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

impl Producer {
    pub(crate) fn new(about: &str) -> Self {
        Self::with_clock(about, ReceiverClock::Correct)
    }

    pub(crate) fn with_clock(about: &str, clock: ReceiverClock) -> Self {
        Self { about: about.to_owned(), clock, counted_at: Timestamp::now(), count: 0, last: None }
    }

    /// The next push, with current readings.
    pub(crate) fn push(&mut self) -> Push {
        let now = Timestamp::now();
        let number = self.count;
        self.count += 1;
        let before = |seconds| now - SignedDuration::from_secs(seconds);
        let mut items = vec![
            self.item(
                "air",
                "ODRDTR_BATT_V1",
                &json!({ "amm": 270, "aqi": 10 }),
                before(9),
                self.alert("ammonia-lite"),
            ),
            // The second one is suppressed by the block of the first, and sent when the block ends.
            self.item("supplies", "SS", &json!({ "p": 4 }), before(8), self.alert("soap-low")),
            self.item("supplies", "BIN", &json!({ "p": 4 }), before(7), self.alert("bin-full")),
            self.item("climate", "TH", &json!({ "t": 21 }), before(6), Effect::Nothing),
            self.item("good-air", "ODRDTR_BATT_V1", &json!({ "amm": 199, "aqi": 10 }), before(5), Effect::Nothing),
        ];
        if self.clock != ReceiverClock::Ahead {
            let people = self.people(number, "few", "UM", 1);
            let crowd = self.people(number, "crowd", "PPLCTR", CROWD);
            // Twice in one push, and again in the next one: a client may split its batches differently.
            items.extend([people.clone(), crowd.clone(), crowd]);
            items.extend(self.last.replace(people));
        }
        if self.clock == ReceiverClock::Correct {
            // Too old to alert.
            items.push(self.item("stale", "SS", &json!({ "p": 1 }), before(2 * 3_600), Effect::Nothing));
        }
        if number % 3 == 1 {
            // The device's clock is days ahead.
            let future = before(-3 * 86_400);
            items.push(self.item(
                "early",
                "ODRDTR_BATT_V1",
                &json!({ "amm": 600 }),
                future,
                self.alert("ammonia-lite"),
            ));
        }
        let rejected =
            if number.is_multiple_of(2) { vec![format!("{{broken {} {number}", self.about)] } else { Vec::new() };
        Push::of(format!("{} {number}", self.about), items, rejected)
    }

    /// A body that is not a batch.
    pub(crate) fn invalid_body(&mut self) -> Push {
        let text = format!("not a batch, {} {}", self.about, self.count);
        self.count += 1;
        let body = text.clone().into_bytes();
        let batch = sha256(&body)[..32].to_owned();
        Push { about: text.clone(), body, batch, items: Vec::new(), rejected: vec![text], is_batch: false }
    }

    fn alert(&self, rule: &'static str) -> Effect {
        match self.clock {
            ReceiverClock::Correct | ReceiverClock::Behind => Effect::Alert { rule },
            ReceiverClock::Ahead => Effect::OptionalAlert { rule },
        }
    }

    fn people(&self, number: usize, zone: &str, device_type: &str, count: u32) -> LedgerReading {
        let zone = format!("{} {zone}", self.about);
        let note = json!({ "note": number });
        reading(&zone, device_type, &json!({ "count": count }), self.counted_at, &note, Effect::People { count })
    }

    fn item(&self, zone: &str, device_type: &str, values: &Value, at: Timestamp, effect: Effect) -> LedgerReading {
        let zone = format!("{} {} {zone}", self.about, self.count);
        reading(&zone, device_type, values, at, &json!({}), effect)
    }
}

fn reading(
    zone: &str,
    device_type: &str,
    values: &Value,
    at: Timestamp,
    further: &Value,
    effect: Effect,
) -> LedgerReading {
    let device = format!("{device_type} of {zone}");
    let mut reading = json!({
        "DevType": format!("SMARTCLEAN#{device_type}"), "DEVID": device, "Display": device, "PID": PROJECT, "InsID": zone,
        "Region": "Asia/Singapore", "unixT": at.as_millisecond(), "v": values,
    });
    for (name, value) in further.as_object().unwrap() {
        reading[name] = value.clone();
    }
    LedgerReading { text: reading.to_string(), zone: zone.to_owned(), device, effect }
}

impl Push {
    fn of(about: String, items: Vec<LedgerReading>, rejected: Vec<String>) -> Self {
        let texts: Vec<&str> =
            items.iter().map(|item| item.text.as_str()).chain(rejected.iter().map(String::as_str)).collect();
        let body = serde_json::to_vec(&texts).unwrap();
        let batch = sha256(&body)[..32].to_owned();
        Self { about, body, batch, items, rejected, is_batch: true }
    }

    /// The lines of the object with its readings, in order.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.text.as_str()).collect()
    }
}

impl Ledger {
    /// Adds a push before it is sent, and returns its index.
    pub(crate) fn add(&mut self, push: Push) -> usize {
        self.pushes.push(push);
        self.pushes.len() - 1
    }

    /// The pushes that the receiver acknowledged.
    pub(crate) fn acknowledged(&self) -> BTreeSet<usize> {
        self.responses.iter().filter(|response| response.acknowledges()).map(|response| response.push).collect()
    }

    /// The number of responses to these pushes with `status`.
    pub(crate) fn count_status(&self, pushes: &[usize], status: Option<u16>) -> usize {
        self.responses.iter().filter(|response| pushes.contains(&response.push) && response.status == status).count()
    }
}
