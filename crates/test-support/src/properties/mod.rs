//! Properties that hold for any input, one file per parser.
//!
//! A target takes arbitrary bytes and panics if a property is violated. libFuzzer calls it with millions of inputs (`make fuzz`), the
//! project's tests call it with the committed inputs and mutations of them (`tests/it/corpus.rs`). A target compares with a second,
//! simpler implementation in this folder, and never with the code under test.

mod basic_header;
mod bearer_header;
#[cfg(feature = "function")]
mod event;
mod event_hub_body;
pub mod json;
pub mod limits;
mod matrix_event;
mod reading;
mod rules;
mod sas_header;
mod split;
mod texts;
mod token_form;
mod world;

/// A parser of untrusted input.
#[derive(Clone, Copy, Debug)]
pub struct FuzzTarget {
    /// The name of the fuzz target, and of the folders of its seeds and findings.
    pub name: &'static str,
    /// Panics if these bytes violate a property.
    pub check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[FuzzTarget] = &[
    FuzzTarget { name: "basic-header", check: basic_header::check },
    FuzzTarget { name: "bearer-header", check: bearer_header::check },
    #[cfg(feature = "function")]
    FuzzTarget { name: "event", check: event::check },
    FuzzTarget { name: "event-hub-body", check: event_hub_body::check },
    FuzzTarget { name: "matrix-event", check: matrix_event::check },
    FuzzTarget { name: "reading", check: reading::check },
    FuzzTarget { name: "rules", check: rules::check },
    FuzzTarget { name: "sas-header", check: sas_header::check },
    FuzzTarget { name: "split", check: split::check },
    FuzzTarget { name: "texts", check: texts::check },
    FuzzTarget { name: "token-form", check: token_form::check },
];

/// Runs the target of this name.
///
/// # Panics
/// If there is no such target, or a property is violated.
pub fn check(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
    (target.check)(data);
}
