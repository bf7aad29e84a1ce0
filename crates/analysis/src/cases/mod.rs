//! Rule cases: what happens when, and exactly which alerts it makes, as files that people write.
//!
//! ```toml
//! rules_file = "my-rules.toml"        # for every case that has no rules of its own; else the built-in ones
//!
//! [[case]]
//! name = "a bin that fills up is reported once"
//! rules = 'block = "none"'            # laid over the built-in ones
//! run = """
//! 10:00 BIN#b1 p=50
//! 10:10 5x10m: BIN#b1 p=30..2         => 10:40 firing medium bin-full 9
//! """
//! ```
//! Each line of `run` is a time, what happens, and behind `=>` exactly what that makes; nothing where nothing stands there.
//!
//! | it says | that happens |
//! |---|---|
//! | `10:00 SS#d1 p=4` | a push of one reading, of device `d1` (else `d`) of type `SS`, received when it was taken |
//! | `10:00 ACME#BIN#b1 x=4` | one of a type that is not documented, with its provider; it may send whatever it likes |
//! | `+1d 10:00:30 …` | a day later; all times are UTC |
//! | `10:00 5x1m: SS p=10..60` | five of them, a minute apart: 10, 22.5, 35, 47.5, 60; what they make has the time in front |
//! | `10:00 3x1m: SS p=10,_,4` | their values one by one; `_` is missing, and a reading of which all is missing does not come |
//! | `zone=` `project=` `property=` `region=` | where it is: else `z`, `p`, nothing, UTC |
//! | `received=10:30` | when it came, where it is late |
//! | `reasons=Smell,Wet_floor` | the reasons of a feedback |
//! | the same line again | the same reading, repeated |
//! | `sweep` | the minute's tick: blocks end, hours begin, reminders and silences come due; `sweep-quiet` while nothing arrives |
//! | `cleaned` | a finished cleaning of every zone; `cleaned at=10:00` if it was finished before the line's time |
//!
//! What that makes: `firing`, `reminder`, `resolved`, `released` (alerts that were suppressed, in one message), `blocked` and
//! `suppressed` (by a block, by hours), `duplicate`, `late`, `stale`, `early`, `implausible`.

mod file;
mod step;
mod world;

use std::fmt;

pub use self::file::{Case, CaseFile};
use self::step::Step;
use self::world::World;
use domain::rules::RuleSet;

/// Something in a case file that is none of the above. Prints as `cases.toml:12: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseError {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// A line that made something else than it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The line's number in the file, from 1.
    pub line: usize,
    /// What happened.
    pub what: String,
    /// What it should have made.
    pub expected: String,
    /// What it made.
    pub got: String,
}

impl Case {
    /// Runs the case under `rules`, from nothing remembered. The lines that are wrong; none where it holds.
    #[must_use]
    pub fn run(&self, rules: RuleSet) -> Vec<Mismatch> {
        let mut world = World::new(rules);
        let mismatch = |step: &Step, got: String| {
            let (line, what, expected) = (step.line, step.what.clone(), step.expected.clone());
            (got != expected).then_some(Mismatch { line, what, expected, got })
        };
        self.steps.iter().filter_map(|step| mismatch(step, world.take(step))).collect()
    }
}
