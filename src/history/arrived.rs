//! Readings of stored objects in the order in which they happened, each once.

use std::collections::HashSet;

use jiff::Timestamp;
use rayon::prelude::*;

use super::{Lines, Round};
use crate::domain::engine::counts_at;
use crate::domain::reading::{Reading, ReadingId};

/// A reading with the moments that matter.
#[derive(Debug)]
pub struct Arrived<'t> {
    /// The moment as of which it counts.
    pub at: Timestamp,
    /// When it was first received; where that is not known, `at`.
    pub received: Timestamp,
    /// Its turn in the order of events: `at`, but for a finished cleaning the oldest reading that came with it, because
    /// what was measured up to a cleaning is over, whichever of them is read first.
    pub turn: Timestamp,
    /// The reading.
    pub reading: Reading<'t>,
}

/// A reading that was read too early: its turn comes with a later round.
#[derive(Clone, Debug)]
struct Carried {
    received: Timestamp,
    turn: Timestamp,
    text: String,
}

/// What was found that has no place in the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Copies of a reading that is there.
    pub duplicates: u64,
    /// Readings without a usable time, of which it is not known when they were received either.
    pub undated: u64,
    /// Lines that are no reading.
    pub unreadable: u64,
}

/// Keeps what its turn has not come for yet, from one round to the next.
#[derive(Debug, Default)]
pub struct Order {
    carried: Vec<Carried>,
}

impl Order {
    /// Gives the readings whose turn comes with `round` to `take`, each once, in the order in which they happened.
    pub fn of<R>(&mut self, round: &Round, take: impl FnOnce(Vec<Arrived<'_>>, Counts) -> R) -> R {
        let carried = std::mem::take(&mut self.carried);
        let (mut arrived, mut counts) = read_all(&round.objects);
        arrived.extend(carried.iter().filter_map(Carried::arrived));
        let (mut now, later): (Vec<_>, Vec<_>) = arrived.into_iter().partition(|arrived| arrived.turn < round.complete);
        self.carried = later.iter().map(Carried::from).collect();
        // Stable, so that readings of one moment stay in the order in which they were sent.
        now.par_sort_by_key(|arrived| (arrived.turn, arrived.reading.cleaning.is_none(), arrived.received));
        counts.duplicates = without_copies(&mut now);
        take(now, counts)
    }
}

fn read_all(objects: &[Lines]) -> (Vec<Arrived<'_>>, Counts) {
    let read: Vec<(Vec<Arrived<'_>>, Counts)> = objects.par_iter().map(read).collect();
    let mut counts = Counts::default();
    let mut arrived = Vec::with_capacity(read.iter().map(|(arrived, _)| arrived.len()).sum());
    for (some, counted) in read {
        arrived.extend(some);
        counts.undated += counted.undated;
        counts.unreadable += counted.unreadable;
    }
    (arrived, counts)
}

fn read(lines: &Lines) -> (Vec<Arrived<'_>>, Counts) {
    let mut counts = Counts::default();
    let mut arrived = Vec::new();
    for line in lines.text.lines() {
        let Ok(reading) = Reading::read(line) else {
            counts.unreadable += 1;
            continue;
        };
        let Some(received) = lines.received.or(reading.time) else {
            counts.undated += 1;
            continue;
        };
        let at = counts_at(reading.time, received);
        arrived.push(Arrived { at, received, turn: at, reading });
    }
    if let Some(oldest) = arrived.iter().map(|arrived| arrived.at).min() {
        let cleanings = arrived.iter_mut().filter(|arrived| arrived.reading.cleaning.is_some());
        cleanings.for_each(|cleaning| cleaning.turn = oldest);
    }
    (arrived, counts)
}

/// Takes out copies: the same text has the same time, so that they lie together. How many there were.
fn without_copies(arrived: &mut Vec<Arrived<'_>>) -> u64 {
    let before = arrived.len();
    let mut moment = None;
    let mut there: HashSet<ReadingId> = HashSet::new();
    arrived.retain(|arrived| {
        if moment != Some(arrived.turn) {
            moment = Some(arrived.turn);
            there.clear();
        }
        there.insert(arrived.reading.id())
    });
    (before - arrived.len()) as u64
}

impl Carried {
    fn arrived(&self) -> Option<Arrived<'_>> {
        // It was read before.
        let reading = Reading::read(&self.text).ok()?;
        let at = counts_at(reading.time, self.received);
        Some(Arrived { at, received: self.received, turn: self.turn, reading })
    }
}

impl From<&Arrived<'_>> for Carried {
    fn from(arrived: &Arrived<'_>) -> Self {
        Self { received: arrived.received, turn: arrived.turn, text: arrived.reading.text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: &str) -> Timestamp {
        format!("2026-11-23T{clock}:00Z").parse().unwrap()
    }

    fn lines(received: Option<&str>, readings: &[&str]) -> Lines {
        let reading = |clock: &&str| {
            let (clock, device) = clock.split_once(' ').unwrap_or((clock, "d"));
            format!("{{\"DEVID\":\"{device}\",\"unixT\":{}}}\n", at(clock).as_second())
        };
        Lines { received: received.map(at), text: readings.iter().map(reading).collect() }
    }

    fn turns(order: &mut Order, objects: Vec<Lines>, complete: &str) -> (Vec<String>, Counts) {
        let round = Round { objects, hours: 1, complete: at(complete) };
        order.of(&round, |arrived, counts| {
            let told = |arrived: &Arrived<'_>| arrived.turn.strftime("%H:%M").to_string();
            (arrived.iter().map(told).collect(), counts)
        })
    }

    #[test]
    fn readings_of_several_pushes_come_in_order_each_once() {
        let objects = vec![lines(None, &["10:05", "10:01"]), lines(None, &["10:03", "10:01"])];
        let (turns, counts) = turns(&mut Order::default(), objects, "12:00");
        assert_eq!(turns, ["10:01", "10:03", "10:05"]);
        assert_eq!(counts.duplicates, 1);
    }

    #[test]
    fn two_devices_at_the_same_moment_are_two() {
        let (turns, counts) = turns(&mut Order::default(), vec![lines(None, &["10:01 a", "10:01 b"])], "12:00");
        assert_eq!((turns.len(), counts.duplicates), (2, 0));
    }

    #[test]
    fn what_is_read_too_early_comes_with_its_own_round() {
        let mut order = Order::default();
        assert_eq!(turns(&mut order, vec![lines(None, &["10:59", "11:00"])], "11:00").0, ["10:59"]);
        assert_eq!(turns(&mut order, vec![lines(None, &["11:30", "10:58"])], "12:00").0, ["10:58", "11:00", "11:30"]);
    }

    #[test]
    fn a_reading_from_the_future_counts_when_it_was_received() {
        assert_eq!(turns(&mut Order::default(), vec![lines(Some("10:00"), &["11:00"])], "12:00").0, ["10:00"]);
        assert_eq!(turns(&mut Order::default(), vec![lines(Some("10:58"), &["11:00"])], "12:00").0, ["11:00"]);
    }

    #[test]
    fn what_has_no_time_counts_when_it_was_received_and_not_at_all_where_that_is_unknown() {
        let text = |received| Lines { received, text: "{}\nnot json\n".to_owned() };
        let (seen, counts) = turns(&mut Order::default(), vec![text(Some(at("10:00")))], "12:00");
        assert_eq!((seen, counts.undated, counts.unreadable), (vec!["10:00".to_owned()], 0, 1));
        let (seen, counts) = turns(&mut Order::default(), vec![text(None)], "12:00");
        assert_eq!((seen, counts.undated, counts.unreadable), (Vec::new(), 1, 1));
    }

    #[test]
    fn a_cleaning_comes_before_what_was_pushed_with_it() {
        let mut object = lines(None, &["10:10", "10:50"]);
        let cleaned = at("10:30").as_second();
        object.text += &format!(
            "{{\"RoutingKey\":\"matrix.a.b.c.d\",\"UnixTimeInt\":{cleaned},\"Meta\":{{\"Zone\":\"z\",\"AEnd\":{cleaned}}}}}\n"
        );
        let round = Round { objects: vec![object], hours: 1, complete: at("12:00") };
        Order::default().of(&round, |arrived, _| {
            let is_cleaning: Vec<_> = arrived.iter().map(|arrived| arrived.reading.cleaning.is_some()).collect();
            assert_eq!(is_cleaning, [true, false, false]);
            assert_eq!((arrived[0].turn, arrived[0].at), (at("10:10"), at("10:30")));
        });
    }
}
