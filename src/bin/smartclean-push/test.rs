//! `test`: rule cases, run.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use analysis::cases::{Case, CaseFile, Mismatch};
use clap::Args;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use smartclean_push::domain::rules::RuleSet;
use smartclean_push::domain::{display, utf8};

use crate::{Failure, rules};

/// Run rule cases: readings with times, and exactly the alerts they make
///
/// A case file says what happens when and what that makes; a failed case shows what was expected and what was got. The
/// exit code is 1 where a case failed.
#[derive(Debug, Args)]
#[command(after_help = "Example of a case file:
  [[case]]
  name = \"a bin that fills up is reported once\"
  run = \"\"\"
  10:00 BIN#b1 p=50
  10:10 5x10m: BIN#b1 p=30..2      => 10:40 firing medium bin-full 9
  \"\"\"

Examples:
  smartclean-push test cases.toml
  smartclean-push test --rules rules.toml tests/ --junit report.xml")]
pub(super) struct Test {
    /// Case files, or folders of them (*.toml)
    #[arg(value_name = "CASES", required = true)]
    cases: Vec<PathBuf>,
    /// Rules for every case that has none of its own, in place of the built-in ones and of what the case file names
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Write the results as JUnit XML as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// A case file that was run.
struct Ran {
    name: String,
    cases: Vec<(Case, Vec<Mismatch>)>,
}

impl Test {
    pub(super) fn run(self) -> Result<(), Failure> {
        let files = self.files()?;
        let ran = files.iter().map(|path| self.run_file(path)).collect::<Result<Vec<_>, _>>()?;
        let (mut told, mut cases, mut failed) = (String::new(), 0, 0);
        for file in &ran {
            let failed_here = file.cases.iter().filter(|(_, mismatches)| !mismatches.is_empty()).count();
            // Writing to a String cannot fail.
            let _ = writeln!(told, "{}: {}, {failed_here} failed", file.name, counted(file.cases.len()));
            file.cases.iter().for_each(|(case, mismatches)| told.push_str(&failure(&file.name, case, mismatches)));
            cases += file.cases.len();
            failed += failed_here;
        }
        let _ = write!(anstream::stdout(), "{}", display::lines(&told));
        if let Some(path) = &self.junit {
            let cannot = |fault: &dyn std::fmt::Display| {
                Failure::usage(format!("{} cannot be written: {fault}", path.display()))
            };
            let report = report(&ran).to_string().map_err(|fault| cannot(&fault))?;
            std::fs::write(path, report).map_err(|fault| cannot(&fault))?;
        }
        match (cases, failed) {
            (0, _) => Err(Failure::usage("there is no case in these files")),
            (_, 0) => Ok(()),
            (cases, failed) => Err(Failure::new(format!("{failed} of {} failed", counted(cases)))),
        }
    }

    /// The files, those of a folder in the order of their names.
    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut files = Vec::new();
        for path in &self.cases {
            if !path.is_dir() {
                files.push(path.clone());
                continue;
            }
            let cannot = |fault: std::io::Error| Failure::usage(format!("{} cannot be read: {fault}", path.display()));
            let entries = std::fs::read_dir(path).map_err(cannot)?.collect::<Result<Vec<_>, _>>().map_err(cannot)?;
            let mut inside: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
            inside.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
            inside.sort();
            files.extend(inside);
        }
        Ok(files)
    }

    fn run_file(&self, path: &Path) -> Result<Ran, Failure> {
        let name = path.display().to_string();
        let bytes = rules::read(path)?;
        let text = utf8::text(&bytes).map_err(|fault| Failure::new(format!("{name}: {fault}")))?;
        let file = CaseFile::parse(&name, text).map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            Failure::new(format!("{name} is no case file:\n{}", faults.join("\n")))
        })?;
        let beside = |rules: &String| path.parent().unwrap_or(Path::new("")).join(rules);
        let common = match self.rules.clone().or(file.rules_file.as_ref().map(beside)) {
            Some(path) => rules::of_file(&path)?,
            None => RuleSet::pack(),
        };
        let mut cases = Vec::new();
        for case in file.cases {
            let rules = match &case.rules {
                Some(text) => rules::parsed(&format!("{name}, the rules of \"{}\"", case.name), text.as_bytes())?,
                None => common.clone(),
            };
            let mismatches = case.run(rules);
            cases.push((case, mismatches));
        }
        Ok(Ran { name, cases })
    }
}

fn counted(cases: usize) -> String {
    if cases == 1 { "1 case".to_owned() } else { format!("{cases} cases") }
}

/// What is wrong with a case, expected and got one below the other; nothing where it holds.
fn failure(file: &str, case: &Case, mismatches: &[Mismatch]) -> String {
    let mut told = String::new();
    if !mismatches.is_empty() {
        let _ = writeln!(told, "\nFAILED {file}:{}: {}", case.line, case.name);
    }
    for Mismatch { line, what, expected, got } in mismatches {
        let nothing = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
        let (expected, got) = (nothing(expected), nothing(got));
        let _ = writeln!(told, "  line {line}: {what}\n    expected  {expected}\n    got       {got}");
    }
    told
}

fn report(ran: &[Ran]) -> Report {
    let mut report = Report::new("smartclean-push");
    for file in ran {
        let mut suite = TestSuite::new(file.name.as_str());
        for (case, mismatches) in &file.cases {
            let mut status = TestCaseStatus::success();
            if !mismatches.is_empty() {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(format!("{} lines are wrong", mismatches.len()));
                status.set_description(failure(&file.name, case, mismatches));
            }
            suite.add_test_case(TestCase::new(case.name.as_str(), status));
        }
        report.add_test_suite(suite);
    }
    report
}
