//! What goes wrong between sensors and receiver, on purpose.

use std::str::FromStr;
use std::sync::Arc;

use super::dice::Dice;
use super::gateway::Item;

/// Which faults are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A push is sent again.
    pub duplicates: bool,
    /// Readings are held back, for up to hours.
    pub late: bool,
    /// Readings within a push, and pushes, change places.
    pub reordered: bool,
    /// Items that are no reading, and bodies that are no batch.
    pub bad: bool,
    /// Readings that were sent come again, cut into other pushes.
    pub rebatch: bool,
}

impl Faults {
    /// Their names, in the order of the fields.
    pub const NAMES: [&str; 5] = ["duplicates", "late", "reordered", "bad", "rebatch"];
}

/// A fault that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no fault \"{0}\"; there are {names} and all", names = Faults::NAMES.join(", "))]
pub struct UnknownFault(String);

impl FromStr for Faults {
    type Err = UnknownFault;

    /// Names with commas between them, or `all`.
    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let mut faults = Self::default();
        for name in text.split(',').map(str::trim) {
            match name {
                "duplicates" => faults.duplicates = true,
                "late" => faults.late = true,
                "reordered" => faults.reordered = true,
                "bad" => faults.bad = true,
                "rebatch" => faults.rebatch = true,
                "all" => faults = Self { duplicates: true, late: true, reordered: true, bad: true, rebatch: true },
                unknown => return Err(UnknownFault(unknown.to_owned())),
            }
        }
        Ok(faults)
    }
}

/// JSON values that are no reading, as elements of a batch: not JSON inside, cut off, of the wrong kind, not Unicode.
const NO_READINGS: [&str; 7] =
    [r#""{oops}""#, r#""{\"DevType\":\"SMARTCLEAN#UM\",\"v\":{\"cou""#, "7", "null", "[1]", r#""\ud800""#, r#""""#];

/// Something broken for a batch. Some of it is a JSON object all the same, and has to be kept as a reading is: without any
/// id, or with members of the wrong kinds.
pub(super) fn bad_item(dice: &mut Dice) -> Item {
    let number = dice.below(1_000_000_000);
    match dice.below(NO_READINGS.len() + 2) {
        7 => Item::Reading(format!(r#"{{"v":{{"p":{number}}}}}"#).into()),
        8 => {
            let text = format!(r#"{{"DevType":5,"DEVID":{{"a":{number}}},"unixT":"soon","v":[],"t":null}}"#);
            Item::Reading(text.into())
        }
        index => Item::Bare(NO_READINGS[index].into()),
    }
}

/// A body that is no batch: no array, cut off, no JSON, not UTF-8. Each is another, so that each is kept by itself.
pub(super) fn bad_body(dice: &mut Dice) -> Arc<[u8]> {
    let number = dice.below(1_000_000_000);
    let mut body = match dice.below(4) {
        0 => format!(r#"{{"readings":[],"number":{number}}}"#),
        1 => format!(r#"["{{\"number\":{number}"#),
        2 => format!("<html><body>Bad gateway {number}</body></html>"),
        _ => format!("[\"{number} "),
    }
    .into_bytes();
    if body.ends_with(b" ") {
        body.extend(b"\xff\"]");
    }
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::batch::Items;

    #[test]
    fn faults_are_named_one_by_one_or_all_at_once() {
        let one: Faults = "late, bad".parse().unwrap();
        assert_eq!(one, Faults { late: true, bad: true, ..Faults::default() });
        let all: Faults = "all".parse().unwrap();
        assert_eq!(Faults::NAMES.join(",").parse(), Ok(all));
    }

    #[test]
    fn an_unknown_fault_is_answered_with_the_known_ones() {
        let told = "lat".parse::<Faults>().unwrap_err().to_string();
        assert_eq!(told, "there is no fault \"lat\"; there are duplicates, late, reordered, bad, rebatch and all");
    }

    #[test]
    fn a_bad_body_is_never_a_batch() {
        let mut dice = Dice::new(1, 1);
        assert!((0..200).all(|_| Items::split(&bad_body(&mut dice)).is_err()));
    }
}
