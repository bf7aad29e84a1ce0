//! The command: `serve` on a laptop or a server of one's own, and what an operator needs beside it.
//!
//! Results go to standard output, everything else to standard error. The exit code is 0 for "fine", 1 for "found faults"
//! and 2 for "wrong usage".

mod archive;
mod backtest;
mod check;
#[cfg_attr(not(feature = "s3"), path = "no_cloud.rs")]
mod cloud;
mod columns;
mod compact;
mod completions;
mod cost;
mod endpoint;
mod environment;
mod period;
mod progress;
mod replay;
mod rules;
mod schema;
mod serve;
mod simulate;
mod stop;
mod survey;
mod test;
mod test_alert;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use smartclean_push::domain::display;

/// Receives SmartClean's data push, keeps every raw reading, and alerts when a limit is crossed.
#[derive(Debug, Parser)]
#[command(name = "smartclean-push", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Serve),
    Simulate(simulate::Simulate),
    Check(check::Check),
    Test(test::Test),
    Backtest(backtest::Backtest),
    Replay(replay::Replay),
    Cost(cost::Cost),
    Survey(survey::SurveyOf),
    Compact(compact::Compact),
    Schema(schema::Schema),
    Completions(completions::Completions),
    TestAlert(test_alert::TestAlert),
}

/// Why a verb ended without its result: what happened, and what to do about it.
#[derive(Debug)]
struct Failure {
    what: String,
    exit: u8,
}

impl Failure {
    /// Diagnostics were found, or something did not work.
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), exit: 1 }
    }

    /// The command cannot be meant so.
    fn usage(what: impl Into<String>) -> Self {
        Self { what: what.into(), exit: 2 }
    }
}

fn main() -> ExitCode {
    // What is written says when a building is used: it is for its owner alone.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let done = match Arguments::parse().verb {
        Verb::Serve(serve) => serve.run(),
        Verb::Simulate(simulate) => simulate.run(),
        Verb::Check(check) => check.run(),
        Verb::Test(test) => test.run(),
        Verb::Backtest(backtest) => backtest.run(),
        Verb::Replay(replay) => replay.run(),
        Verb::Cost(cost) => cost.run(),
        Verb::Survey(survey) => survey.run(),
        Verb::Compact(compact) => compact.run(),
        Verb::Schema(schema) => schema.run(),
        Verb::Completions(completions) => completions.run(),
        Verb::TestAlert(test_alert) => test_alert.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { what, exit }) => {
            // Nobody to tell is no reason to fail differently.
            let _ = writeln!(anstream::stderr(), "error: {}", display::lines(&what));
            ExitCode::from(exit)
        }
    }
}
