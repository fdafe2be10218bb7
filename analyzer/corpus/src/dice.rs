//! Seeded chance: the same seed gives the same draws on every machine.
//!
//! Everything random in the corpus comes from a [`Dice`]; each part of a world has its own, forked by name, so that
//! adding a scenario does not change what the others do.

use loopscope_analyzer::span::{SpanId, TraceId};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution, LogNormal, Poisson, StandardNormal, Zipf};

/// A source of chance with the distributions that the corpus needs.
#[derive(Clone, Debug)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// A source for a seed and a name.
    pub fn new(seed: u64, name: &str) -> Self {
        // FNV-1a: stable over versions, and good enough to tell names apart.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self(ChaCha8Rng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hash))
    }

    /// A whole number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n.max(1))
    }

    /// A whole number from `low` to `high`, both included.
    pub fn between(&mut self, low: u32, high: u32) -> u32 {
        self.0.random_range(low..=high.max(low))
    }

    /// A number from 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// A number from `low` to below `high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of several.
    ///
    /// # Panics
    /// When there is none to choose from.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Lognormal with this median and this sigma of the logarithm.
    pub fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        LogNormal::new(median.max(f64::MIN_POSITIVE).ln(), sigma).map_or(median, |law| law.sample(&mut self.0))
    }

    /// Time to the next event of a Poisson process with this rate.
    pub fn wait(&mut self, rate: f64) -> f64 {
        -(1.0 - self.unit()).ln() / rate
    }

    /// A Poisson number with this mean.
    pub fn poisson(&mut self, mean: f64) -> u32 {
        // Means here are a handful, so the number is far below the bound.
        Poisson::new(mean).map_or(0, |law| law.sample(&mut self.0).min(f64::from(u32::MAX)) as u32)
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// How many of `n` something happens to that happens with this probability.
    pub fn binomial(&mut self, n: u32, probability: f64) -> u32 {
        Binomial::new(u64::from(n), probability.clamp(0.0, 1.0)).map_or(0, |law| law.sample(&mut self.0) as u32)
    }

    /// How often something went on that goes on with probability `q` each time.
    pub fn geometric(&mut self, q: f64) -> u32 {
        if q <= 0.0 {
            return 0;
        }
        ((1.0 - self.unit()).ln() / q.min(1.0 - 1e-12).ln()).floor().min(f64::from(u32::MAX - 1)) as u32
    }

    /// A rank from 0 to below `n`, the first ones the most likely.
    pub fn zipf(&mut self, n: usize, exponent: f64) -> usize {
        let drawn = Zipf::new(n.max(1) as f64, exponent).map_or(1.0, |law| law.sample(&mut self.0));
        (drawn as usize).clamp(1, n.max(1)) - 1
    }

    /// A new trace id.
    pub fn trace_id(&mut self) -> TraceId {
        TraceId((u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64() | 1)).to_be_bytes())
    }

    /// A new span id.
    pub fn span_id(&mut self) -> SpanId {
        SpanId((self.0.next_u64() | 1).to_be_bytes())
    }

    /// A new id as text, as clouds give to requests and messages.
    pub fn uuid(&mut self) -> String {
        let (high, low) = (self.0.next_u64(), self.0.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48 & 0xfff,
            low & 0xffff_ffff_ffff
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_seeds_tell_sources_apart() {
        let draw = |seed, name| Dice::new(seed, name).unit().to_bits();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn distributions_have_their_means() {
        let mut dice = Dice::new(1, "means");
        let n = 100_000;
        let mean = |draw: &mut dyn FnMut() -> f64| (0..n).map(|_| draw()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || f64::from(dice.geometric(0.9))) - 9.0).abs() < 0.2);
        assert!((mean(&mut || f64::from(dice.poisson(1.2))) - 1.2).abs() < 0.02);
        assert!((mean(&mut || dice.wait(0.5)) - 2.0).abs() < 0.05);
        let mut drawn: Vec<f64> = (0..n).map(|_| dice.lognormal(3.0, 1.0)).collect();
        drawn.sort_by(f64::total_cmp);
        assert!((drawn[drawn.len() / 2] - 3.0).abs() < 0.1);
    }
}
