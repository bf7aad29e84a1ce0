//! What holds of whatever anybody sends, one file for each thing that reads it.
//!
//! A target takes any bytes and panics where something does not hold. libFuzzer calls it with millions of them (`make
//! fuzz`), the project's own tests with the committed ones and with mutations of those (tests/it/corpus). What a target
//! compares with is written a second time here, in the plainest way, and never taken from the code that it is about.

mod basic_header;
mod bearer_header;
#[cfg(feature = "function")]
mod event;
mod event_hub_body;
pub mod json;
pub mod limits;
mod matrix_event;
#[path = "../../tests/it/support/memory.rs"]
pub mod memory;
mod reading;
mod rules;
mod sas_header;
mod split;
mod texts;
mod token_form;
mod world;

/// One thing that reads what somebody sends.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the fuzz target, and of the folders of its seeds and findings.
    pub name: &'static str,
    /// Panics where something does not hold of these bytes.
    pub check: fn(&[u8]),
}

/// All of them.
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
/// Where there is none, and where something does not hold.
pub fn check(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
    (target.check)(data);
}
