//! Faults between sensors and receiver, on purpose.

use std::str::FromStr;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

const NAMES: [&str; 5] = ["duplicates", "late", "reordered", "bad", "rebatch"];

/// The faults of a simulation, each on or off, in the order of their names:
///
/// - `duplicates`: a push is sent again
/// - `late`: readings arrive late, by up to hours
/// - `reordered`: readings within a push, and pushes, change their order
/// - `bad`: some items are no reading, and some bodies no batch
/// - `rebatch`: readings are sent again in other pushes
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub(super) [bool; 5]);

impl FromStr for Faults {
    type Err = String;

    /// Parses names separated by commas, or `all`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for name in text.split(',').map(str::trim) {
            match NAMES.iter().position(|known| *known == name) {
                Some(index) => faults.0[index] = true,
                None if name == "all" => faults = Self([true; 5]),
                None => {
                    return Err(format!(
                        "there is no fault \"{name}\"; there are duplicates, late, reordered, bad, rebatch and all"
                    ));
                }
            }
        }
        Ok(faults)
    }
}

/// Elements of a batch that are bad: not JSON, cut off, of the wrong type, not Unicode. The last two, with a number for `#`, are
/// JSON objects without ids or with members of the wrong types; these must be stored as readings.
const ELEMENTS: [&str; 9] = [
    r#""{oops}""#,
    r#""{\"DevType\":\"SMARTCLEAN#UM\",\"v\":{\"cou""#,
    "7",
    "null",
    "[1]",
    r#""\ud800""#,
    r#""""#,
    r#""{\"v\":{\"p\":#}}""#,
    r#""{\"DevType\":5,\"DEVID\":{\"a\":#},\"unixT\":\"soon\",\"v\":[],\"t\":null}""#,
];

/// Bodies that are no batch: no array, cut off, no JSON, not UTF-8.
const BODIES: [&str; 4] =
    [r#"{"readings":[],"number":#}"#, r#"["{\"number\":#"#, "<html><body>Bad gateway #</body></html>", "[\"# ÿ\"]"];

/// An element of a batch that is bad.
pub(super) fn bad_element(rng: &mut ChaCha8Rng) -> String {
    any(&ELEMENTS, rng)
}

/// A body that is no batch. Each one is different, so that each is stored by itself.
pub(super) fn bad_body(rng: &mut ChaCha8Rng) -> Vec<u8> {
    // In Latin-1, so that `ÿ` is not UTF-8.
    any(&BODIES, rng).chars().map(|letter| letter as u8).collect()
}

/// One of these texts, with a number for `#`.
fn any(texts: &[&str], rng: &mut ChaCha8Rng) -> String {
    let number: u32 = rng.random();
    texts.choose(rng).copied().unwrap_or_default().replace('#', &number.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::rng::seeded;
    use super::*;
    use domain::batch::Items;

    #[test]
    fn faults_are_named_one_by_one_or_all_at_once() {
        assert_eq!("late, bad".parse(), Ok(Faults([false, true, false, true, false])));
        assert_eq!("duplicates,late,reordered,bad,rebatch".parse::<Faults>(), "all".parse());
    }

    #[test]
    fn the_error_of_an_unknown_fault_lists_the_known_ones() {
        let error = "lat".parse::<Faults>().unwrap_err();
        assert_eq!(error, "there is no fault \"lat\"; there are duplicates, late, reordered, bad, rebatch and all");
    }

    #[test]
    fn a_bad_body_is_no_batch_and_a_bad_element_leaves_the_batch_readable() {
        let mut rng = seeded(1, &[]);
        assert!((0..200).all(|_| Items::split(&bad_body(&mut rng)).is_err()));
        assert!((0..200).all(|_| Items::split(format!("[{}]", bad_element(&mut rng)).as_bytes()).is_ok()));
    }
}
