//! Random numbers that are the same for the same seed, on every machine.

use domain::digest::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

/// The digest of a seed and of names.
pub(super) fn digest(seed: u64, names: &[&str]) -> Digest {
    let seed = seed.to_be_bytes();
    let fields: Vec<&[u8]> = [&seed[..]].into_iter().chain(names.iter().map(|name| name.as_bytes())).collect();
    Digest::of_fields(&fields)
}

/// A random number generator. Each device and each zone has its own, so that one more device changes nothing for the others.
#[derive(Clone, Debug)]
pub(super) struct SeededRng(ChaCha8Rng);

impl SeededRng {
    /// The generator of a seed and of names.
    pub(super) fn new(seed: u64, names: &[&str]) -> Self {
        Self(ChaCha8Rng::from_seed(*digest(seed, names).as_bytes()))
    }

    /// True with this probability, 0 to 1.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// Whether at least one of `count` trials with this probability succeeds.
    pub(super) fn any(&mut self, count: u64, probability: f64) -> bool {
        (0..count).any(|_| self.chance(probability))
    }

    /// A number from `least` up to `most`, uniformly distributed.
    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.0.random::<f64>()
    }

    /// A number below `end`, uniformly distributed; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// Milliseconds, from `least` up to `most` minutes.
    pub(super) fn minutes(&mut self, least: f64, most: f64) -> i64 {
        (self.between(least, most) * 60_000.0) as i64
    }

    /// A normally distributed number.
    pub(super) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let sample: f64 = StandardNormal.sample(&mut self.0);
        mean + deviation * sample
    }

    /// A Poisson-distributed number.
    pub(super) fn poisson(&mut self, mean: f64) -> u32 {
        Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(&mut self.0)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_seed_and_the_name_alone() {
        let numbers = |seed, name| {
            let mut rng = SeededRng::new(seed, &[name]);
            (0..8).map(|_| rng.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, "a"), numbers(1, "a"));
        assert_ne!(numbers(1, "a"), numbers(1, "b"));
        assert_ne!(numbers(1, "a"), numbers(2, "a"));
    }

    #[test]
    fn poisson_numbers_have_their_mean() {
        let mut rng = SeededRng::new(1, &[]);
        let sum: u32 = (0..10_000).map(|_| rng.poisson(3.0)).sum();
        assert!((29_000..31_000).contains(&sum), "{sum}");
        assert_eq!((0..100).map(|_| rng.poisson(0.0)).sum::<u32>(), 0);
    }
}
