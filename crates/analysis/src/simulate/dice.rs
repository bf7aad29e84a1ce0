//! Chance that is the same from the same seed, on every machine.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, StandardNormal};

/// A source of chance. Each device and each zone has its own, so that one more device changes nothing for the others.
#[derive(Clone, Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The dice number `stream` of all that `seed` gives.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// Whether something happens that has this probability, 0 to 1.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.0.random::<f64>() < probability
    }

    /// A number from `least` up to `most`, each as likely.
    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.0.random::<f64>()
    }

    /// A number below `end`, each as likely; 0 where `end` is 0.
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

    /// How often something happens that happens `mean` times on average (Poisson). Means here are far below a hundred.
    pub(super) fn times(&mut self, mean: f64) -> u32 {
        let mut count = 0;
        let mut waited = 0.0;
        loop {
            let wait: f64 = Exp1.sample(&mut self.0);
            waited += wait;
            if waited > mean || count == 1_000 {
                return count;
            }
            count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_chance_and_another_stream_another() {
        let rolled = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            (0..8).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(rolled(1, 2), rolled(1, 2));
        assert_ne!(rolled(1, 2), rolled(1, 3));
        assert_ne!(rolled(1, 2), rolled(2, 2));
    }

    #[test]
    fn things_happen_as_often_as_they_should() {
        let mut dice = Dice::new(1, 0);
        let sum: u32 = (0..10_000).map(|_| dice.times(3.0)).sum();
        assert!((29_000..31_000).contains(&sum), "{sum}");
        assert_eq!((0..100).map(|_| dice.times(0.0)).sum::<u32>(), 0);
    }
}
