//! What a receiver would have stored, written straight into a folder.

use std::io::{self, Write};
use std::path::Path;

use rayon::prelude::*;
use smartclean_push::adapters::files::MadeFolder;
use smartclean_push::domain::archive::Object;
use smartclean_push::simulate::{Answer, Entry, Plan, Push, Pushes, Reply, objects};

use super::ledger_file::LedgerFile;
use super::progress::Progress;
use crate::Failure;
use crate::stop::{INTERRUPTED, Stop};

/// Pushes that are packed at a time.
const AT_A_TIME: usize = 64;

pub(super) fn run(out: &Path, plan: &Plan, pushes: Pushes, ledger: Option<&Path>) -> Result<(), Failure> {
    let made = MadeFolder::create(out).map_err(|fault| match fault.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(format!(
            "{} already holds readings: {fault}. Name a folder that is new or empty",
            out.display()
        )),
        _ => Failure::new(format!("{} cannot be made: {fault}", out.display())),
    })?;
    let ledger = ledger.map(LedgerFile::open).transpose()?;
    let (stop, progress) = (Stop::listening()?, Progress::of(plan));
    let mut numbered = (1..).zip(pushes);
    let (mut pushed, mut readings, mut kept) = (0, 0, 0);
    loop {
        let some: Vec<(u64, Push)> = numbered.by_ref().take(AT_A_TIME).collect();
        let Some((_, last)) = some.last() else { break };
        if stop.is_asked() {
            progress.end();
            let what = format!("interrupted; {} holds the pushes until then", out.display());
            return Err(Failure { what, exit: INTERRUPTED });
        }
        for (number, push) in &some {
            note(ledger.as_ref(), plan, *number, push)?;
        }
        let stored = some.par_iter().map(|(number, push)| put(&made, *number, push)).collect::<io::Result<Vec<_>>>();
        let stored = stored.map_err(|fault| Failure::new(format!("{}: {fault}", out.display())))?;
        pushed += some.len();
        readings += stored.iter().map(|(lines, _)| lines).sum::<u64>();
        kept += stored.iter().map(|(_, objects)| objects).sum::<usize>();
        progress.reached(last.at, readings);
    }
    progress.end();
    let _ = writeln!(
        anstream::stdout(),
        "{pushed} pushes, {readings} readings and {kept} objects from {} to {} in {}, in {:.1} s ({} readings a second)",
        plan.from,
        plan.to,
        out.display(),
        progress.seconds(),
        progress.rate(readings),
    );
    Ok(())
}

/// Keeps a push. How many readings and objects it has.
fn put(made: &MadeFolder, number: u64, push: &Push) -> io::Result<(u64, usize)> {
    let objects = objects(push, number);
    objects.iter().try_for_each(|object| made.put(object))?;
    let is_raw = |object: &&Object| object.key.is_evaluated();
    let lines = objects.iter().filter(is_raw).map(|object| object.metadata.lines as u64).sum();
    Ok((lines, objects.len()))
}

/// Notes a push with the answer that a receiver would have given.
fn note(ledger: Option<&LedgerFile>, plan: &Plan, number: u64, push: &Push) -> Result<(), Failure> {
    let Some(ledger) = ledger else { return Ok(()) };
    let entry = Entry::of(plan.from.as_millisecond(), number, push.at, &push.body);
    let (accepted, rejected) = (entry.ids.len(), entry.bad);
    let answer = Answer { received: accepted + rejected, accepted, rejected, ..Answer::default() };
    let status = if entry.is_batch { 200 } else { 400 };
    let answer = entry.is_batch.then_some(answer);
    ledger.add(&entry)?;
    ledger.add(&Reply { run: entry.run, push: number, status: Some(status), answer, error: None })
}
