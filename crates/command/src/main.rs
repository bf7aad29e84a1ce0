//! The command: `serve` on a laptop or a server, and the tools of an operator.
//!
//! Results go to standard output, everything else to standard error. The exit code is 0 for success, 1 for a failure or
//! found faults, 2 for wrong usage, and 130 after Ctrl-C.

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
mod failure;
mod invite;
mod output;
mod period;
mod qr;
mod replay;
mod rules;
mod serve;
mod simulate;
mod sla;
mod stop;
mod survey;
mod test;
mod test_alert;
mod who;
mod zones;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::failure::{Failure, OrFailure};

/// Receives SmartClean's data push, keeps every raw reading, and alerts when a limit is crossed.
#[derive(Debug, Parser)]
#[command(name = "smartclean-push", version, about, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeCommand),
    Simulate(simulate::SimulateCommand),
    Check(check::CheckCommand),
    Test(test::TestCommand),
    Backtest(backtest::BacktestCommand),
    Sla(sla::SlaCommand),
    Replay(replay::ReplayCommand),
    Cost(cost::CostCommand),
    Survey(survey::SurveyCommand),
    Zones(zones::ZonesCommand),
    Qr(qr::QrCommand),
    Invite(invite::InviteCommand),
    Compact(compact::CompactCommand),
    Completions(completions::CompletionsCommand),
    TestAlert(test_alert::TestAlertCommand),
    Who(who::WhoCommand),
}

fn main() -> ExitCode {
    // The files tell when a building is used, so only their owner can read them.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let result = match CommandLine::parse().command {
        Command::Serve(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Test(command) => command.run(),
        Command::Backtest(command) => command.run(),
        Command::Sla(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Cost(command) => command.run(),
        Command::Survey(command) => command.run(),
        Command::Zones(command) => command.run(),
        Command::Qr(command) => command.run(),
        Command::Invite(command) => command.run(),
        Command::Compact(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::TestAlert(command) => command.run(),
        Command::Who(command) => command.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(format_args!("error: {}", failure.message));
            ExitCode::from(failure.exit)
        }
    }
}
