//! How probable it is that one of several sends caused a delivery, from the times alone.
//!
//! Delays between the end of a send and the start of what it causes are taken as lognormal, fitted for each resource on
//! the pairs that are known by other means, from a prior of 200 ms. What nobody known has sent comes at a rate of its
//! own. Pure arithmetic: who sends and who receives is `linker/continuation.rs`'s.

use smallvec::SmallVec;

use crate::{span::EventTime, state::state};

/// Median delay before anything was seen, seconds.
const PRIOR_MEDIAN: f64 = 0.2;
/// Standard deviation of the logarithm of the delay before anything was seen.
const PRIOR_SIGMA: f64 = 1.0;
/// The same between the start of a call and that of what is called by its name: no queue lies between, but clocks differ.
const CALL_MEDIAN: f64 = 0.03;
const CALL_SIGMA: f64 = 1.5;
/// Least probability with which a call is believed before it is known how long calls of that function take.
const CALL_SURE: f64 = 0.9;
/// Pairs that the prior median weighs as much as, and those that its deviation does.
const PRIOR_PAIRS: f64 = 0.5;
const PRIOR_SPREAD: f64 = 2.0;
/// Pairs that the prior share of clocks that disagree weighs as much as.
const PRIOR_SKEWED: f64 = 4.0;
/// Pairs after which older ones weigh less, so that a delay may change.
const MEMORY_PAIRS: f64 = 500.0;
/// Part of the pairs whose clocks disagree, and by how much at most, seconds.
const SKEWED: f64 = 0.1;
const SKEW: f64 = 0.5;
/// The narrowest that delays are believed to be.
const LEAST_SIGMA: f64 = 0.05;
/// Standard deviations within which a send is looked for.
const REACH: f64 = 3.5;
/// How long before a delivery its send is looked for at least, while it is not known how long that takes, seconds.
const FIRST_REACH: f64 = 30.0;
/// Time after which deliveries without a sender count for a third, seconds.
const EXTERNAL_MEMORY: f64 = 3_600.0;
/// Deliveries without a sender before anything was seen, and the seconds in which they came.
const PRIOR_EXTERNAL: (f64, f64) = (0.05, 60.0);
/// A send that more likely than not has caused another delivery is no rival.
const GONE: f64 = 0.5;
/// The shortest delay, seconds: clocks disagree, and an answer to the sender may come after the delivery.
const LEAST_DELAY: f64 = 0.001;

/// Pairs without a rival that must be known before times decide between rivals.
const LEARNED: f64 = 6.0;

/// The delays over one resource, and how often something comes from elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Delays {
    pairs: f64,
    /// Mean of the logarithm of the delay in seconds.
    mean: f64,
    /// Sum of the squared deviations from the mean.
    deviation: f64,
    /// Pairs whose clocks disagree.
    skewed: f64,
    external: f64,
    exposure: f64,
    last: EventTime,
    are_calls: bool,
    /// True when what is called never says who called it.
    are_plain_calls: bool,
}

/// A send that may have caused a delivery.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Seconds from its end to the delivery.
    pub(super) delay: f64,
    /// How probable it is that it has caused no other.
    pub(super) left: f64,
}

/// Who caused a delivery.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    /// How probable each of the candidates is.
    pub(super) each: SmallVec<[f64; 8]>,
    /// Place of the most probable one, if it is clear what delays are like.
    pub(super) best: Option<usize>,
    /// How probable it is that none of them was it.
    pub(super) external: f64,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            pairs: PRIOR_PAIRS,
            mean: PRIOR_MEDIAN.ln(),
            deviation: PRIOR_SPREAD * PRIOR_SIGMA * PRIOR_SIGMA,
            skewed: PRIOR_SKEWED * SKEWED,
            external: 0.0,
            exposure: 0.0,
            last: EventTime(0),
            are_calls: false,
            are_plain_calls: false,
        }
    }
}

impl Delays {
    /// A send and what it caused were so many seconds apart, with this weight.
    pub(super) fn observe(&mut self, seconds: f64, weight: f64) {
        if self.pairs >= MEMORY_PAIRS {
            let rest = (MEMORY_PAIRS - weight) / self.pairs;
            self.pairs *= rest;
            self.deviation *= rest;
            self.skewed *= rest;
        }
        let (straight, skewed) = self.densities(seconds);
        let skew = weight * skewed / (straight + skewed).max(f64::MIN_POSITIVE);
        let weight = weight - skew;
        self.skewed += skew;
        self.pairs += skew;
        if seconds <= 0.0 {
            return;
        }
        self.pairs += weight;
        let value = seconds.max(LEAST_DELAY).ln();
        let step = value - self.mean;
        self.mean += step * weight / self.pairs;
        self.deviation += weight * step * (value - self.mean);
    }

    /// What is sent are calls of a function by its name; `are_plain` when what is called never says who called it.
    pub(super) fn expect_calls(&mut self, are_plain: bool) {
        self.are_plain_calls = are_plain;
        if !self.are_calls {
            self.are_calls = true;
            if self.pairs <= PRIOR_PAIRS {
                (self.mean, self.deviation) = (CALL_MEDIAN.ln(), PRIOR_SPREAD * CALL_SIGMA * CALL_SIGMA);
            }
        }
    }

    /// How long before a delivery its send may lie, seconds.
    pub(super) fn reach(&self) -> f64 {
        let reach = (self.mean + REACH * self.sigma()).exp();
        if self.is_learned() { reach } else { reach.max(FIRST_REACH) }
    }

    /// Judges a delivery by those who may have caused it, and learns from it.
    pub(super) fn judge(&mut self, at: EventTime, candidates: &[Candidate]) -> Verdict {
        let weight = |one: &Candidate| {
            let (straight, skewed) = self.densities(one.delay);
            one.left * (straight + skewed)
        };
        let mut each: SmallVec<[f64; 8]> = candidates.iter().map(weight).collect();
        let rate = self.external_rate(at);
        let sum = rate + each.iter().sum::<f64>();
        each.iter_mut().for_each(|weight| *weight /= sum);
        let best = (0..each.len()).max_by(|one, other| each[*one].total_cmp(&each[*other]));
        let has_rivals = candidates.iter().filter(|one| one.left > GONE).count() > 1;
        let is_learned = self.is_learned();
        let external = rate / sum;
        self.count_external(at, external);
        let is_sure = |at: usize| self.are_plain_calls && each[at] >= CALL_SURE;
        let best = best.filter(|at| is_learned || !has_rivals || is_sure(*at));
        // Without a rival also what is not sure teaches: else what takes long would never be believed.
        for (at, (one, probability)) in candidates.iter().zip(&each).enumerate() {
            if !has_rivals || is_learned || best == Some(at) {
                self.observe(one.delay, *probability);
            }
        }
        Verdict { each, best, external }
    }

    /// A delivery at `at` came from elsewhere with this probability.
    fn count_external(&mut self, at: EventTime, probability: f64) {
        let fade = self.fade(at);
        self.external = self.external * fade + probability;
        self.exposure = self.exposure * fade + EXTERNAL_MEMORY * (1.0 - fade);
        self.last = self.last.max(at);
    }

    /// A delivery that was taken to come from elsewhere with this probability is looked at again.
    pub(super) fn recall(&mut self, probability: f64) {
        self.external = (self.external - probability).max(0.0);
    }

    fn is_learned(&self) -> bool {
        self.pairs - PRIOR_PAIRS >= LEARNED
    }

    fn sigma(&self) -> f64 {
        (self.deviation / (self.pairs - PRIOR_PAIRS + PRIOR_SPREAD)).sqrt().max(LEAST_SIGMA)
    }

    /// Density of a delay as it is, and as clocks that disagree make it.
    fn densities(&self, delay: f64) -> (f64, f64) {
        let share = self.skewed / (self.pairs - PRIOR_PAIRS + PRIOR_SKEWED);
        let skewed = if delay.abs() < SKEW { share / (2.0 * SKEW) } else { 0.0 };
        let (delay, sigma) = (delay.max(LEAST_DELAY), self.sigma());
        let z = (delay.ln() - self.mean) / sigma;
        let straight = (-0.5 * z * z).exp() / (delay * sigma * (2.0 * std::f64::consts::PI).sqrt());
        ((1.0 - share) * straight, skewed)
    }

    /// Deliveries from elsewhere, a second.
    fn external_rate(&self, at: EventTime) -> f64 {
        let fade = self.fade(at);
        let exposure = self.exposure * fade + EXTERNAL_MEMORY * (1.0 - fade);
        // The first of a chain comes from elsewhere always; it tells nothing of those after it.
        let external = (self.external * fade - 1.0).max(0.0);
        (PRIOR_EXTERNAL.0 + external) / (PRIOR_EXTERNAL.1 + exposure)
    }

    /// What is left of what was counted before.
    fn fade(&self, at: EventTime) -> f64 {
        if self.last.0 == 0 {
            return 1.0;
        }
        let seconds = at.0.saturating_sub(self.last.0) as f64 / 1e9;
        (-seconds / EXTERNAL_MEMORY).exp()
    }
}

state!(Delays { pairs, mean, deviation, external, exposure, last, skewed, are_calls, are_plain_calls });

#[cfg(test)]
mod tests {
    use super::*;

    /// Even numbers over 0 and below 1, the same in each run.
    struct Dice(u64);

    impl Dice {
        fn even(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(1);
            let hash = xxhash_rust::xxh3::xxh3_64(&self.0.to_le_bytes());
            ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        }

        fn wait(&mut self, rate: f64) -> f64 {
            -self.even().ln() / rate
        }

        fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
            let normal = (-2.0 * self.even().ln()).sqrt() * (2.0 * std::f64::consts::PI * self.even()).cos();
            median * (sigma * normal).exp()
        }
    }

    /// For each verdict its probability, and whether it named the right sender.
    fn simulate(rate: f64, external: f64, median: f64, sigma: f64) -> Vec<(f64, bool)> {
        let mut dice = Dice(7);
        let mut sends = Vec::new();
        let mut deliveries: Vec<(f64, Option<usize>)> = Vec::new();
        let mut time = 1_000.0;
        while sends.len() < 4_000 {
            time += dice.wait(rate);
            deliveries.push((time + dice.lognormal(median, sigma), Some(sends.len())));
            sends.push(time);
        }
        if external > 0.0 {
            let (mut at, end) = (1_000.0, time);
            while at < end {
                at += dice.wait(external);
                deliveries.push((at, None));
            }
        }
        deliveries.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut delays = Delays::default();
        (0..200).for_each(|_| delays.observe(dice.lognormal(median, sigma), 1.0));
        let mut left = vec![1.0; sends.len()];
        let mut verdicts = Vec::new();
        for (at, sender) in deliveries {
            let time = EventTime((at * 1e9) as u64);
            let near: Vec<usize> = (sends.partition_point(|send| *send < at - delays.reach())..sends.len())
                .take_while(|place| sends[*place] < at)
                .filter(|place| left[*place] > 0.0)
                .collect();
            let candidates: Vec<Candidate> =
                near.iter().map(|place| Candidate { delay: at - sends[*place], left: left[*place] }).collect();
            let verdict = delays.judge(time, &candidates);
            for (place, probability) in near.iter().zip(&verdict.each) {
                left[*place] *= 1.0 - probability;
            }
            if let Some(best) = verdict.best {
                verdicts.push((verdict.each[best], sender == Some(near[best])));
            }
        }
        verdicts
    }

    fn accuracy(verdicts: &[(f64, bool)], bin: std::ops::Range<f64>) -> (usize, f64) {
        let inside: Vec<bool> = verdicts.iter().filter(|v| bin.contains(&v.0)).map(|v| v.1).collect();
        (inside.len(), inside.iter().filter(|right| **right).count() as f64 / inside.len() as f64)
    }

    #[test]
    fn the_fit_finds_median_and_spread() {
        let mut dice = Dice(1);
        let mut delays = Delays::default();
        (0..2_000).for_each(|_| delays.observe(dice.lognormal(3.0, 0.4), 1.0));
        assert!((delays.mean.exp() - 3.0).abs() < 0.2 && (delays.sigma() - 0.4).abs() < 0.08, "{delays:?}");
        assert!((delays.reach() - 3.0 * (3.5 * 0.4_f64).exp()).abs() < 3.0, "{}", delays.reach());
    }

    #[test]
    fn a_verdict_is_right_as_often_as_it_says() {
        for (rate, external) in [(0.1, 0.0), (0.1, 0.1), (0.3, 0.05), (1.0, 0.0), (1.0, 1.0)] {
            let verdicts = simulate(rate, external, 0.2, 0.6);
            let (sure, right) = accuracy(&verdicts, 0.9..1.1);
            assert!(sure < 30 || right > 0.95, "{rate} {external}: {sure} sure, {right} right");
            let (unsure, right) = accuracy(&verdicts, 0.6..0.9);
            // Who is not sure may be right more often than that: rivals that were sent before are gone by then.
            assert!(unsure < 200 || (0.55..0.95).contains(&right), "{rate} {external}: {unsure} unsure, {right} right");
        }
    }

    #[test]
    fn a_lone_send_shortly_before_is_believed_and_one_long_before_is_not() {
        let at = EventTime(1_000_000_000_000);
        let judge = |candidates: &[f64]| {
            let candidates: Vec<_> = candidates.iter().map(|delay| Candidate { delay: *delay, left: 1.0 }).collect();
            Delays::default().judge(at, &candidates)
        };
        assert!(judge(&[0.1]).each[0] > 0.99);
        assert!(judge(&[8.0]).each[0] < 0.1);
        assert_eq!(judge(&[0.2, 0.9]).best, None, "nothing is known of delays yet");
        assert_eq!(judge(&[]), Verdict { each: SmallVec::new(), best: None, external: 1.0 });
    }

    #[test]
    fn what_takes_long_is_believed_in_the_end() {
        let mut delays = Delays::default();
        let mut probability = 0.0;
        for lap in 1..=8 {
            let at = EventTime(1_000_000_000_000 + lap * 5_000_000_000);
            probability = delays.judge(at, &[Candidate { delay: 4.0, left: 1.0 }]).each[0];
        }
        assert!(probability > 0.9, "{probability}");
    }
}
