//! Whose time counts: the machine's, or that which the readings tell.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, MutexGuard};

use crate::domain::reading::Reading;

/// Whose time pushes are received by. Who may push is always judged by the machine's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The machine's: a push is received when it comes, and somebody outside calls for a [sweep](super::Ingest::sweep).
    #[default]
    Wall,
    /// The readings' own, for history that is pushed again: a push is received at its newest reading, and never before an
    /// earlier push. What is due is done as that time passes whole minutes, so that nobody else sweeps.
    Readings,
}

/// The clock while it runs.
#[derive(Debug, Default)]
pub(super) enum Running {
    #[default]
    Wall,
    /// Locked for as long as a push is at it: side by side, an earlier one could find its time gone.
    Readings(Mutex<Told>),
}

/// What the readings have told of the time.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// When the last push was received; `None` before the first.
    present: Option<Timestamp>,
    /// The minute of the last sweep.
    swept: Option<Timestamp>,
}

/// The turn of one push: while it lasts, no other push changes the time.
#[derive(Debug)]
pub(super) struct Turn<'c> {
    wall: Timestamp,
    told: Option<MutexGuard<'c, Told>>,
}

impl From<Clock> for Running {
    fn from(clock: Clock) -> Self {
        match clock {
            Clock::Wall => Self::Wall,
            Clock::Readings => Self::Readings(Mutex::default()),
        }
    }
}

impl Running {
    /// Waits for the turn of what came at `wall`, the machine's time. By that clock nobody waits.
    pub(super) async fn turn(&self, wall: Timestamp) -> Turn<'_> {
        let told = match self {
            Self::Wall => None,
            Self::Readings(told) => Some(told.lock().await),
        };
        Turn { wall, told }
    }

    /// When it is, for a push that was received at `received` and is evaluated after all at `wall`.
    pub(super) fn afterwards(&self, received: Timestamp, wall: Timestamp) -> Timestamp {
        match self {
            Self::Wall => wall,
            Self::Readings(_) => received,
        }
    }
}

impl Turn<'_> {
    /// When it is. Before any reading has told, the machine's time.
    pub(super) fn present(&self) -> Timestamp {
        self.told.as_ref().and_then(|told| told.present).unwrap_or(self.wall)
    }

    /// Moves the clock on to `newest`, where that is ahead; it never goes back.
    pub(super) fn advance(&mut self, newest: Option<Timestamp>) {
        if let Some(told) = &mut self.told {
            told.present = told.present.max(newest);
        }
    }

    /// The minute at which what is due is to be done before these readings are judged: the last whole one before all of
    /// them, where there was no sweep since.
    pub(super) fn sweep_due(&self, readings: &[Reading<'_>]) -> Option<Timestamp> {
        let told = self.told.as_ref()?;
        let oldest = readings.iter().filter_map(|reading| reading.time).min()?;
        let minute = whole_minute(oldest);
        told.swept.is_none_or(|swept| minute > swept).then_some(minute)
    }

    /// Notes that what was due at `minute` is done.
    pub(super) fn swept(&mut self, minute: Timestamp) {
        if let Some(told) = &mut self.told {
            told.swept = told.swept.max(Some(minute));
        }
    }
}

/// The last whole minute at or before `at`.
pub(super) fn whole_minute(at: Timestamp) -> Timestamp {
    let over = at.as_millisecond().rem_euclid(60_000);
    at.checked_sub(SignedDuration::from_millis(over)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2024-05-01T{text}Z").parse().unwrap()
    }

    fn reading(text: &str) -> String {
        format!(r#"{{"unixT":{}}}"#, at(text).as_millisecond())
    }

    #[tokio::test]
    async fn the_readings_clock_moves_on_and_never_back() {
        let clock = Running::from(Clock::Readings);
        let wall = at("23:00:00");
        assert_eq!(clock.turn(wall).await.present(), wall, "nothing has told yet");
        for (newest, present) in [(Some("10:00:00"), "10:00:00"), (Some("09:00:00"), "10:00:00"), (None, "10:00:00")] {
            let mut turn = clock.turn(wall).await;
            turn.advance(newest.map(at));
            assert_eq!(turn.present(), at(present));
        }
    }

    #[tokio::test]
    async fn the_walls_clock_is_moved_by_nobody() {
        let clock = Running::from(Clock::Wall);
        let mut turn = clock.turn(at("23:00:00")).await;
        turn.advance(Some(at("10:00:00")));
        let text = reading("10:00:00");
        assert_eq!(turn.present(), at("23:00:00"));
        assert_eq!(turn.sweep_due(&[Reading::read(&text).unwrap()]), None);
    }

    #[tokio::test]
    async fn a_sweep_is_due_once_a_minute_before_the_oldest_reading() {
        let clock = Running::from(Clock::Readings);
        let mut turn = clock.turn(at("23:00:00")).await;
        let texts = [reading("10:07:59"), reading("10:05:01"), "{}".to_owned()];
        let readings: Vec<_> = texts.iter().map(|text| Reading::read(text).unwrap()).collect();
        assert_eq!(turn.sweep_due(&readings), Some(at("10:05:00")));
        turn.swept(at("10:05:00"));
        assert_eq!(turn.sweep_due(&readings), None);
        assert_eq!(turn.sweep_due(&readings[..1]), Some(at("10:07:00")));
        assert_eq!(turn.sweep_due(&readings[2..]), None, "it tells no time");
    }

    #[test]
    fn a_whole_minute_is_its_own() {
        assert_eq!(whole_minute(at("10:05:00")), at("10:05:00"));
        assert_eq!(whole_minute(at("10:05:59.999")), at("10:05:00"));
    }
}
