//! How sure it is that calls went over an edge.

use crate::state::state;

/// How sure it is that calls went over an edge, for the calls that are not certain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Belief {
    /// Calls that are not certain.
    pub(crate) calls: u64,
    /// Sum of their confidences.
    pub(crate) sum: f64,
}

impl Belief {
    pub(crate) fn add(&mut self, confidence: f32) {
        if confidence < 1.0 {
            self.calls += 1;
            self.sum += f64::from(confidence);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.calls += other.calls;
        self.sum += other.sum;
    }

    /// How sure an edge with so many calls is: certain calls count fully, the others with the lower bound of the
    /// Wilson interval (95 %) of their mean.
    pub(crate) fn confidence(self, calls: u64) -> f64 {
        if self.calls == 0 {
            return 1.0;
        }
        const Z2: f64 = 1.96 * 1.96;
        let n = self.calls as f64;
        let mean = (self.sum / n).clamp(0.0, 1.0);
        let margin = (Z2 * (mean * (1.0 - mean) + Z2 / (4.0 * n)) / n).sqrt();
        let lower = (mean + Z2 / (2.0 * n) - margin) / (1.0 + Z2 / n);
        let certain = calls.saturating_sub(self.calls) as f64;
        (certain + n * lower) / (certain + n)
    }
}

state!(Belief { calls, sum });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn belief_grows_with_the_calls_and_never_over_their_mean() {
        let belief = |calls: u64, each: f32| {
            let mut belief = Belief::default();
            (0..calls).for_each(|_| belief.add(each));
            belief.confidence(calls)
        };
        assert_eq!(belief(10, 1.0), 1.0);
        assert!(belief(1, 0.98) < belief(10, 0.98) && belief(10, 0.98) < belief(1_000, 0.98));
        assert!((0.96..0.98).contains(&belief(1_000, 0.98)));
        let half = Belief { calls: 100, sum: 98.0 }.confidence(200);
        assert!(half > belief(100, 0.98) && half < 1.0, "certain calls lift it: {half}");
    }
}
