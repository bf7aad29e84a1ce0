//! Random numbers that are the same for the same seed, on every machine.

use domain::digest::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::Poisson;

/// The digest of a seed and of names.
fn digest(seed: u64, names: &[&str]) -> Digest {
    let seed = seed.to_be_bytes();
    let fields: Vec<&[u8]> = [&seed[..]].into_iter().chain(names.iter().map(|name| name.as_bytes())).collect();
    Digest::of_fields(&fields)
}

/// An id of 32 hex digits, of a seed and of names.
pub(super) fn id(seed: u64, names: &[&str]) -> String {
    format!("{:.32}", digest(seed, names))
}

/// The random number generator of a seed and of names. Each device and each zone has its own, so that one more device changes
/// nothing for the others.
pub(super) fn seeded(seed: u64, names: &[&str]) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(*digest(seed, names).as_bytes())
}

/// A Poisson-distributed number.
pub(super) fn poisson(rng: &mut ChaCha8Rng, mean: f64) -> u64 {
    Poisson::new(mean).map_or(0.0, |poisson| rng.sample::<f64, _>(poisson)) as u64
}

/// Milliseconds, from `least` up to `most` minutes.
pub(super) fn minutes(rng: &mut ChaCha8Rng, least: f64, most: f64) -> i64 {
    (rng.random_range(least..=most) * 60_000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_seed_and_the_name_alone() {
        let numbers = |seed, name| {
            let mut rng = seeded(seed, &[name]);
            (0..8).map(|_| minutes(&mut rng, 0.0, 1.0)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, "a"), numbers(1, "a"));
        assert_ne!(numbers(1, "a"), numbers(1, "b"));
        assert_ne!(numbers(1, "a"), numbers(2, "a"));
    }

    #[test]
    fn poisson_numbers_have_their_mean() {
        let mut rng = seeded(1, &[]);
        let sum: u64 = (0..10_000).map(|_| poisson(&mut rng, 3.0)).sum();
        assert!((29_000..31_000).contains(&sum), "{sum}");
        assert_eq!((0..100).map(|_| poisson(&mut rng, 0.0)).sum::<u64>(), 0);
    }
}
