//! What is pushed, what each reading of it has to come to, and what was answered.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// People whom a counter in a crowd reports at a time, and at how many the alert is.
pub(crate) const CROWD: u32 = 10;
pub(crate) const LIMIT: u32 = 30;
/// The project of every zone.
pub(crate) const PROJECT: &str = "building";

/// What a reading has to come to once it is stored, by the built-in rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// An alert of this rule: one, however often it is pushed or evaluated.
    Alert { rule: &'static str },
    /// An alert of this rule or none, because the clock that it was received by is wrong.
    PerhapsAlert { rule: &'static str },
    /// So many people more in the zone, once; at [`LIMIT`] an alert, and it starts again.
    People { count: u32 },
    /// Nothing.
    Nothing,
}

/// A reading and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// As it is sent.
    pub(crate) text: String,
    pub(crate) zone: String,
    pub(crate) device: String,
    pub(crate) means: Means,
}

/// A push as it is sent, however often.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    /// What it is to show, for people.
    pub(crate) about: String,
    pub(crate) body: Vec<u8>,
    /// The batch's identity: the beginning of the body's SHA-256.
    pub(crate) batch: String,
    /// Its readings, in order.
    pub(crate) items: Vec<Item>,
    /// Its items that are no readings, in order; the whole body where it is no batch.
    pub(crate) bad: Vec<String>,
    pub(crate) is_batch: bool,
}

/// What was answered, each time.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Index of the push.
    pub(crate) push: usize,
    /// `None` where no answer came.
    pub(crate) status: Option<u16>,
    pub(crate) body: Value,
    /// Whether all of it was in the store or in the queue at that moment.
    pub(crate) is_safe: bool,
}

impl Answer {
    /// Whether the receiver has taken it upon itself: 200, and 400 of a body that it promises to keep.
    pub(crate) fn obliges(&self) -> bool {
        matches!(self.status, Some(200 | 400))
    }
}

/// Everything that was pushed and answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) pushes: Vec<Push>,
    pub(crate) answers: Vec<Answer>,
}

/// By which clock a push is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceivedBy {
    /// One that is right within minutes.
    Right,
    /// One that is hours ahead: everything is too old to alert, unless another copy of the function takes it first.
    Ahead,
    /// One that is hours behind: everything is from the future, and taken to be from now.
    Behind,
}

/// Makes pushes about one matter, each in zones of its own but for the zones where people are counted.
#[derive(Debug)]
pub(crate) struct Producer {
    about: String,
    received_by: ReceivedBy,
    /// When all people are counted: by one moment, so that no order matters.
    counted_at: Timestamp,
    made: usize,
    last: Option<Item>,
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
        Self::received_by(about, ReceivedBy::Right)
    }

    pub(crate) fn received_by(about: &str, received_by: ReceivedBy) -> Self {
        Self { about: about.to_owned(), received_by, counted_at: Timestamp::now(), made: 0, last: None }
    }

    /// The next push, of things that happen about now.
    pub(crate) fn push(&mut self) -> Push {
        let now = Timestamp::now();
        let number = self.made;
        self.made += 1;
        let before = |seconds| now - SignedDuration::from_secs(seconds);
        let mut items = vec![
            self.item(
                "air",
                "ODRDTR_BATT_V1",
                &json!({ "amm": 270, "aqi": 10 }),
                before(9),
                self.alert("ammonia-lite"),
            ),
            // The second one is held back by the first, and told when the block is over.
            self.item("supplies", "SS", &json!({ "p": 4 }), before(8), self.alert("soap-low")),
            self.item("supplies", "BIN", &json!({ "p": 4 }), before(7), self.alert("bin-full")),
            self.item("climate", "TH", &json!({ "t": 21 }), before(6), Means::Nothing),
            self.item("good-air", "ODRDTR_BATT_V1", &json!({ "amm": 199, "aqi": 10 }), before(5), Means::Nothing),
        ];
        if self.received_by != ReceivedBy::Ahead {
            let people = self.people(number, "few", "UM", 1);
            let crowd = self.people(number, "crowd", "PPLCTR", CROWD);
            // Twice in one push, and once more in the next one: a pusher may cut its batches anew.
            items.extend([people.clone(), crowd.clone(), crowd]);
            items.extend(self.last.replace(people));
        }
        if self.received_by == ReceivedBy::Right {
            // Broken long before it came.
            items.push(self.item("stale", "SS", &json!({ "p": 1 }), before(2 * 3_600), Means::Nothing));
        }
        if number % 3 == 1 {
            // From a device whose clock is days ahead.
            let future = before(-3 * 86_400);
            items.push(self.item(
                "early",
                "ODRDTR_BATT_V1",
                &json!({ "amm": 600 }),
                future,
                self.alert("ammonia-lite"),
            ));
        }
        let bad = if number.is_multiple_of(2) { vec![format!("{{broken {} {number}", self.about)] } else { Vec::new() };
        Push::of(format!("{} {number}", self.about), items, bad)
    }

    /// A body that is no batch.
    pub(crate) fn no_batch(&mut self) -> Push {
        let text = format!("no batch, {} {}", self.about, self.made);
        self.made += 1;
        let body = text.clone().into_bytes();
        let batch = sha256(&body)[..32].to_owned();
        Push { about: text.clone(), body, batch, items: Vec::new(), bad: vec![text], is_batch: false }
    }

    fn alert(&self, rule: &'static str) -> Means {
        match self.received_by {
            ReceivedBy::Right | ReceivedBy::Behind => Means::Alert { rule },
            ReceivedBy::Ahead => Means::PerhapsAlert { rule },
        }
    }

    fn people(&self, number: usize, zone: &str, device_type: &str, count: u32) -> Item {
        let zone = format!("{} {zone}", self.about);
        let note = json!({ "note": number });
        reading(&zone, device_type, &json!({ "count": count }), self.counted_at, &note, Means::People { count })
    }

    fn item(&self, zone: &str, device_type: &str, values: &Value, at: Timestamp, means: Means) -> Item {
        let zone = format!("{} {} {zone}", self.about, self.made);
        reading(&zone, device_type, values, at, &json!({}), means)
    }
}

fn reading(zone: &str, device_type: &str, values: &Value, at: Timestamp, further: &Value, means: Means) -> Item {
    let device = format!("{device_type} of {zone}");
    let mut reading = json!({
        "DevType": format!("SMARTCLEAN#{device_type}"), "DEVID": device, "Display": device, "PID": PROJECT, "InsID": zone,
        "Region": "Asia/Singapore", "unixT": at.as_millisecond(), "v": values,
    });
    for (name, value) in further.as_object().unwrap() {
        reading[name] = value.clone();
    }
    Item { text: reading.to_string(), zone: zone.to_owned(), device, means }
}

impl Push {
    fn of(about: String, items: Vec<Item>, bad: Vec<String>) -> Self {
        let texts: Vec<&str> =
            items.iter().map(|item| item.text.as_str()).chain(bad.iter().map(String::as_str)).collect();
        let body = serde_json::to_vec(&texts).unwrap();
        let batch = sha256(&body)[..32].to_owned();
        Self { about, body, batch, items, bad, is_batch: true }
    }

    /// Texts that an object of its readings holds, in order.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.items.iter().map(|item| item.text.as_str()).collect()
    }
}

impl Ledger {
    /// Enters a push, before it is sent. Its index.
    pub(crate) fn enter(&mut self, push: Push) -> usize {
        self.pushes.push(push);
        self.pushes.len() - 1
    }

    /// Pushes that the receiver has taken upon itself.
    pub(crate) fn obliged(&self) -> BTreeSet<usize> {
        self.answers.iter().filter(|answer| answer.obliges()).map(|answer| answer.push).collect()
    }

    /// How often each of these was answered with `status`.
    pub(crate) fn answered(&self, pushes: &[usize], status: Option<u16>) -> usize {
        self.answers.iter().filter(|answer| pushes.contains(&answer.push) && answer.status == status).count()
    }
}
