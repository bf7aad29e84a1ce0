//! The fuzz properties (`test_support::properties`) without libFuzzer: for the committed seeds, for every input that a
//! fuzzer found, and for a fixed set of mutations of both.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::properties::{TARGETS, check};
use crate::support::unescaped;

fn fuzz() -> PathBuf {
    crate::support::repository().join("fuzz")
}

/// Returns the files in a folder of `fuzz/`, sorted by name; none if the folder does not exist.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(fuzz().join(folder)).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files: Vec<_> = paths.map(|path| (name(&path), std::fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    ["seeds", "found"].iter().flat_map(|kind| files(&format!("{kind}/{target}"))).collect()
}

/// Returns the tokens of a dictionary in libFuzzer's format: each line is a comment or `"token"`, with the escapes
/// `\\`, `\"` and `\xAB`.
fn tokens(target: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(fuzz().join(format!("dict/{target}.dict"))).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| token(line).unwrap_or_else(|| panic!("{target}: {line}"))).collect()
}

fn token(line: &str) -> Option<Vec<u8>> {
    unescaped(line.strip_prefix('"')?.strip_suffix('"')?)
}

#[test]
fn every_target_has_a_program_seeds_and_a_dictionary_and_every_folder_belongs_to_a_target() {
    let mut names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    // This target is built only with the function, but its folders are always there.
    names.insert("event".to_owned());
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &names {
        let program = fuzz().join(format!("targets/{}.rs", name.replace('-', "_")));
        assert!(std::fs::read_to_string(&program).unwrap().contains(&format!("check(\"{name}\", data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(files(&format!("seeds/{name}")).len() >= 5 && tokens(name).len() >= 5, "{name}");
    }
    for folder in ["seeds", "found"] {
        for entry in std::fs::read_dir(fuzz().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(names.contains(&name), "{folder}/{name} belongs to no target");
        }
    }
}

#[test]
fn properties_hold_for_every_seed_and_every_found_input() {
    for target in TARGETS {
        for (name, bytes) in corpus(target.name) {
            let outcome = catch_unwind(AssertUnwindSafe(|| check(target.name, &bytes)));
            assert!(outcome.is_ok(), "{}/{name}", target.name);
        }
    }
}

/// One mutation of an input. A location is a fraction of its length.
#[derive(Clone, Debug)]
enum Change {
    Alter(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    CutOff(Index),
    SpliceEnd(Index, Vec<u8>, Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |location: &Index, bytes: &[u8]| location.index(bytes.len() + 1);
        match self {
            // At the end of the input there is no byte to change.
            Self::Alter(location, change) => {
                let at = at(location, bytes);
                bytes[at..].iter_mut().take(1).for_each(|byte| *byte ^= change);
            }
            Self::Insert(location, token) => {
                drop(bytes.splice(at(location, bytes)..at(location, bytes), token.iter().copied()))
            }
            Self::Remove(location, length) => {
                let from = at(location, bytes);
                drop(bytes.drain(from..bytes.len().min(from + length)));
            }
            Self::Repeat(location, length, times) => {
                let from = at(location, bytes);
                let repeated = bytes[from..bytes.len().min(from + length)].repeat(*times);
                drop(bytes.splice(from..from, repeated));
            }
            Self::CutOff(location) => bytes.truncate(at(location, bytes)),
            Self::SpliceEnd(location, other, from) => {
                bytes.truncate(at(location, bytes));
                bytes.extend_from_slice(&other[at(from, other)..]);
            }
        }
    }
}

fn change(corpus: Vec<Vec<u8>>, tokens: Vec<Vec<u8>>) -> impl Strategy<Value = Change> {
    let location = any::<Index>;
    prop_oneof![
        2 => (location(), 0..8_u8).prop_map(|(location, bit)| Change::Alter(location, 1 << bit)),
        2 => (location(), any::<u8>()).prop_map(|(location, byte)| Change::Alter(location, byte)),
        4 => (location(), select(tokens)).prop_map(|(location, token)| Change::Insert(location, token)),
        1 => (location(), vec(any::<u8>(), 1..4)).prop_map(|(location, bytes)| Change::Insert(location, bytes)),
        2 => (location(), 1..40_usize).prop_map(|(location, length)| Change::Remove(location, length)),
        1 => (location(), 1..40_usize, 1..20_usize).prop_map(|(location, length, times)| Change::Repeat(location, length, times)),
        1 => location().prop_map(Change::CutOff),
        1 => (location(), select(corpus), location()).prop_map(|(location, other, from)| Change::SpliceEnd(location, other, from)),
    ]
}

/// Runs `cases` mutations, the same on every machine. A failing input is shrunk to the fewest changes that still fail.
fn check_mutations(target: &str, cases: u32) {
    let corpus: Vec<Vec<u8>> = corpus(target).into_iter().map(|(_, bytes)| bytes).collect();
    let changes = vec(change(corpus.clone(), tokens(target)), 1..6);
    let config = Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(8), ..Config::default() };
    let outcome = TestRunner::new(config).run(&(select(corpus), changes), |(mut bytes, changes)| {
        changes.iter().for_each(|change| change.apply(&mut bytes));
        let outcome = catch_unwind(AssertUnwindSafe(|| check(target, &bytes)));
        outcome.map_err(|_| TestCaseError::fail(format!("the property fails for \"{}\"", bytes.escape_ascii())))
    });
    outcome.unwrap_or_else(|fault| panic!("{target}: {fault}"));
}

/// One test for each target, so that they run in parallel. Slow targets have fewer cases.
macro_rules! mutations {
    ($($test:ident: $cases:literal of $target:literal)*) => {$(
        #[test]
        fn $test() {
            check_mutations($target, $cases);
        }
    )*};
}

mutations! {
    properties_hold_for_mutated_basic_headers: 1_000 of "basic-header"
    properties_hold_for_mutated_bearer_headers: 1_000 of "bearer-header"
    properties_hold_for_mutated_event_hub_bodies: 1_000 of "event-hub-body"
    properties_hold_for_mutated_matrix_events: 1_000 of "matrix-event"
    properties_hold_for_mutated_readings: 1_000 of "reading"
    properties_hold_for_mutated_rules: 200 of "rules"
    properties_hold_for_mutated_shared_access_signatures: 1_000 of "sas-header"
    properties_hold_for_mutated_bodies: 1_000 of "split"
    properties_hold_for_mutated_texts: 200 of "texts"
    properties_hold_for_mutated_token_forms: 1_000 of "token-form"
}

mutations! {
    properties_hold_for_mutated_events: 1_000 of "event"
}
