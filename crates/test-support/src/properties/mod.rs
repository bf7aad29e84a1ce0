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
pub struct Target {
    /// The name of the fuzz target, and of the folders of its seeds and findings.
    pub name: &'static str,
    /// Panics if these bytes violate a property.
    pub check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "basic-header", check: basic_header::check },
    Target { name: "bearer-header", check: bearer_header::check },
    #[cfg(feature = "function")]
    Target { name: "event", check: event::check },
    Target { name: "event-hub-body", check: event_hub_body::check },
    Target { name: "matrix-event", check: matrix_event::check },
    Target { name: "reading", check: reading::check },
    Target { name: "rules", check: rules::check },
    Target { name: "sas-header", check: sas_header::check },
    Target { name: "split", check: split::check },
    Target { name: "texts", check: texts::check },
    Target { name: "token-form", check: token_form::check },
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
