//! Rule cases: files with events and exactly the alerts that they cause.
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
//! Each line of `run` has a time, an event, and after `=>` exactly the results. Without `=>` there must be none.
//!
//! | line | event |
//! |---|---|
//! | `10:00 SS#d1 p=4` | a push of one reading, of device `d1` (else `d`) of type `SS`, received when it was taken |
//! | `10:00 ACME#BIN#b1 x=4` | one of a type that is not documented, with its provider; it may send whatever it likes |
//! | `+1d 10:00:30 …` | a day later; all times are UTC |
//! | `10:00 5x1m: SS p=10..60` | five of them, a minute apart: 10, 22.5, 35, 47.5, 60; each result begins with its time |
//! | `10:00 3x1m: SS p=10,_,4` | their values one by one; `_` is missing, and a reading without any value is not sent |
//! | `zone=` `project=` `property=` `region=` | its location; the defaults are `z`, `p`, none, UTC |
//! | `received=10:30` | when it was received, if it is late |
//! | `reasons=Smell,Wet_floor` | the reasons of a feedback |
//! | the same line again | the same reading, repeated |
//! | `sweep` | the sweep of the minute: blocks end, hours begin, reminders and no-data alerts are due; `sweep-quiet` while nothing arrives |
//! | `cleaned` | a finished cleaning of every zone; `cleaned at=10:00` if it finished before the line's time |
//! | `taken soap-low` | somebody takes the last open alert of this rule in every zone; `done soap-low`; `snoozed soap-low until=11:00` |
//!
//! Results: `firing`, `reminder`, `escalated`, `resolved`, `released` (alerts that were suppressed, in one message), `blocked` and
//! `suppressed` (by a block, for another reason), `duplicate`, `late`, `stale`, `early`, `implausible`. A message for audiences
//! ends with them: `firing medium soap-low 4 to day-team`.
//!
//! ```
//! use analysis::cases::CaseFile;
//! use domain::rules::RuleSet;
//! let text = "[[case]]\nname = \"low soap\"\nrun = \"10:00 SS p=4 => firing medium soap-low 4\"\n";
//! let file = CaseFile::parse("cases.toml", text).unwrap();
//! assert!(file.cases[0].run(RuleSet::pack()).is_empty());
//! ```

mod file;
mod line;
mod runner;

pub use self::file::{Case, CaseFile};
pub use self::line::CaseLine;
