//! Chance that is the same from the same seed, on every machine.

use domain::digest::Digest;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

/// The digest of a seed and of names, which is another one for each of them.
pub(super) fn digest(seed: u64, names: &[&str]) -> Digest {
    let seed = seed.to_be_bytes();
    let fields: Vec<&[u8]> = [&seed[..]].into_iter().chain(names.iter().map(|name| name.as_bytes())).collect();
    Digest::of_fields(&fields)
}

/// A source of chance. Each device and each zone has its own, so that one more device changes nothing for the others.
#[derive(Clone, Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The dice of whatever has these names.
    pub(super) fn new(seed: u64, names: &[&str]) -> Self {
        Self(ChaCha8Rng::from_seed(*digest(seed, names).as_bytes()))
    }

    /// Whether something happens that has this probability, 0 to 1.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// Whether one of so many, each with this probability, does something.
    pub(super) fn any(&mut self, many: u64, probability: f64) -> bool {
        (0..many).any(|_| self.chance(probability))
    }

    /// A number from `least` up to `most`, each as likely.
    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.0.random::<f64>()
    }

    /// A number below `end`, each as likely; 0 if `end` is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.random_range(0..end) }
    }

    /// Milliseconds from `least` up to `most` minutes.
    pub(super) fn minutes(&mut self, least: f64, most: f64) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "a few days in milliseconds")]
        let milliseconds = (self.between(least, most) * 60_000.0) as i64;
        milliseconds
    }

    /// A normally distributed number.
    pub(super) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let sample: f64 = StandardNormal.sample(&mut self.0);
        mean + deviation * sample
    }

    /// How often something happens that happens `mean` times on average.
    pub(super) fn times(&mut self, mean: f64) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below a thousand")]
        let times = Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(&mut self.0)) as u32;
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_name_give_the_same_chance_and_others_another() {
        let rolled = |seed, name| {
            let mut dice = Dice::new(seed, &[name]);
            (0..8).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(rolled(1, "a"), rolled(1, "a"));
        assert_ne!(rolled(1, "a"), rolled(1, "b"));
        assert_ne!(rolled(1, "a"), rolled(2, "a"));
    }

    #[test]
    fn things_happen_as_often_as_they_should() {
        let mut dice = Dice::new(1, &[]);
        let sum: u32 = (0..10_000).map(|_| dice.times(3.0)).sum();
        assert!((29_000..31_000).contains(&sum), "{sum}");
        assert_eq!((0..100).map(|_| dice.times(0.0)).sum::<u32>(), 0);
    }
}
