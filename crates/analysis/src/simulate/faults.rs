//! Faults between sensors and receiver, on purpose.

use std::str::FromStr;

use super::rng::SeededRng;

/// The faults of a simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// A push is sent again.
    pub duplicates: bool,
    /// Readings arrive late, by up to hours.
    pub late: bool,
    /// Readings within a push, and pushes, change their order.
    pub reordered: bool,
    /// Some items are no reading, and some bodies no batch.
    pub bad: bool,
    /// Readings are sent again in other pushes.
    pub rebatch: bool,
}

impl FromStr for Faults {
    type Err = String;

    /// Parses names separated by commas, or `all`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for name in text.split(',').map(str::trim) {
            match name {
                "duplicates" => faults.duplicates = true,
                "late" => faults.late = true,
                "reordered" => faults.reordered = true,
                "bad" => faults.bad = true,
                "rebatch" => faults.rebatch = true,
                "all" => faults = Self { duplicates: true, late: true, reordered: true, bad: true, rebatch: true },
                unknown => {
                    return Err(format!(
                        "there is no fault \"{unknown}\"; there are duplicates, late, reordered, bad, rebatch and all"
                    ));
                }
            }
        }
        Ok(faults)
    }
}

/// Elements of a batch that are no reading: not JSON, cut off, of the wrong type, not Unicode.
const NO_READINGS: [&str; 7] =
    [r#""{oops}""#, r#""{\"DevType\":\"SMARTCLEAN#UM\",\"v\":{\"cou""#, "7", "null", "[1]", r#""\ud800""#, r#""""#];

/// An element of a batch that is bad. Some are JSON objects without ids or with members of the wrong types; these must be stored
/// as readings.
pub(super) fn bad_element(rng: &mut SeededRng) -> String {
    let number = rng.below(1_000_000_000);
    match rng.below(NO_READINGS.len() + 2) {
        7 => format!(r#""{{\"v\":{{\"p\":{number}}}}}""#),
        8 => format!(r#""{{\"DevType\":5,\"DEVID\":{{\"a\":{number}}},\"unixT\":\"soon\",\"v\":[],\"t\":null}}""#),
        index => NO_READINGS[index].to_owned(),
    }
}

/// A body that is no batch: no array, cut off, no JSON, not UTF-8. Each one is different, so that each is stored by itself.
pub(super) fn bad_body(rng: &mut SeededRng) -> Vec<u8> {
    let number = rng.below(1_000_000_000);
    match rng.below(4) {
        0 => format!(r#"{{"readings":[],"number":{number}}}"#).into_bytes(),
        1 => format!(r#"["{{\"number\":{number}"#).into_bytes(),
        2 => format!("<html><body>Bad gateway {number}</body></html>").into_bytes(),
        _ => [format!("[\"{number} ").as_bytes(), b"\xff\"]"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::batch::Items;

    #[test]
    fn faults_are_named_one_by_one_or_all_at_once() {
        let one: Faults = "late, bad".parse().unwrap();
        assert_eq!(one, Faults { late: true, bad: true, ..Faults::default() });
        assert_eq!("duplicates,late,reordered,bad,rebatch".parse::<Faults>(), "all".parse());
    }

    #[test]
    fn the_error_of_an_unknown_fault_lists_the_known_ones() {
        let error = "lat".parse::<Faults>().unwrap_err();
        assert_eq!(error, "there is no fault \"lat\"; there are duplicates, late, reordered, bad, rebatch and all");
    }

    #[test]
    fn a_bad_body_is_no_batch_and_a_bad_element_leaves_the_batch_readable() {
        let mut rng = SeededRng::new(1, &[]);
        assert!((0..200).all(|_| Items::split(&bad_body(&mut rng)).is_err()));
        assert!((0..200).all(|_| Items::split(format!("[{}]", bad_element(&mut rng)).as_bytes()).is_ok()));
    }
}
