//! A chain that branches: one lap causes more than one, so laps multiply from depth to depth.
//!
//! Dividing work looks the same until it stops. What tells them apart is how the loop used to branch at each depth;
//! without that, a tree must have some size before it is worth an alarm.

use crate::{
    detect::{life_table::KNOWN_CHAINS, rate, reproduction::thinned},
    state::state,
};

/// Depths whose laps are counted apart; the last one gathers all that is deeper.
pub(crate) const DEPTHS: usize = 32;

/// Laps by depth, from the first on.
pub(crate) type Widths = [u32; DEPTHS];

/// Laps that a tree must have before it is an alarm in a loop without history.
pub(crate) const LEAST_TREE: u32 = 112;
/// Lower end of R over the two depths before the widest above which such a tree multiplies.
const MULTIPLIES: f64 = 1.2;

/// After so many chains what was learned loses half of its weight, so that a loop may change its ways.
const FORGET_EVERY: u64 = 10_000;

/// How many times more than ever seen at a depth is taken as the old ways of a loop.
const MARGIN: f64 = 1.25;
/// What is taken as the old ways at depths that no chain got to.
const UNSEEN: f64 = 0.5;
/// What is taken as the old ways at depths where laps were seen to end: one tree in twenty may go on.
const RARE: f64 = 0.05;
/// R that is looked for, unless the old ways times two are more.
const BAD: f64 = 2.0;

/// How the chains of a loop that ended by themselves branched: laps by depth, summed over chains.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Branching {
    laps: Vec<f64>,
    chains: u64,
    /// Depths that the chains got to, as light as `laps`.
    depths: f64,
}

impl Branching {
    /// A chain ended by itself.
    pub(crate) fn learn(&mut self, widths: &Widths) {
        self.laps.resize(DEPTHS, 0.0);
        self.chains += 1;
        self.depths += widths.iter().filter(|laps| **laps > 0).count() as f64;
        if self.chains.is_multiple_of(FORGET_EVERY) {
            self.laps.iter_mut().chain([&mut self.depths]).for_each(|sum| *sum /= 2.0);
        }
        self.laps.iter_mut().zip(widths).for_each(|(sum, laps)| *sum += f64::from(*laps));
    }

    /// Laps that followed a lap for each lap, over all depths: R as it used to be. `None` before anything was learned.
    pub(crate) fn reproduction(&self) -> Option<f64> {
        let laps: f64 = self.laps.iter().sum();
        (laps > 0.0).then(|| self.laps.iter().skip(1).sum::<f64>() / laps)
    }

    /// Laps that come together: how wide a chain is in the mean, 1 for those that never branch.
    pub(crate) fn width(&self) -> f64 {
        if self.depths > 0.0 { self.laps.iter().sum::<f64>() / self.depths } else { 1.0 }
    }

    /// Laps at the next depth for each at this one, from 0; what was never seen counts as half a lap.
    fn usual(&self, depth: usize) -> f64 {
        let laps = |depth: usize| self.laps.get(depth).copied().unwrap_or(0.0);
        if laps(depth) == 0.0 { UNSEEN } else { ((laps(depth + 1) + 0.5) / (laps(depth) + 1.0)).max(RARE) }
    }
}

/// True when a tree of laps multiplies as the loop never did; `seen` is the part of the laps after a lap that sampling
/// does not hide.
pub(crate) fn multiplies(widths: &Widths, history: &Branching, seen: f64) -> bool {
    let deepest = widths.iter().rposition(|laps| *laps > 0).unwrap_or(0);
    // The last depth gathers what is deeper, so nothing can be said of it.
    let pairs = 0..deepest.min(DEPTHS - 2);
    if history.chains >= KNOWN_CHAINS {
        return pairs.fold(0.0_f64, |sum, depth| {
            let before = MARGIN * history.usual(depth);
            let bad = (2.0 * before).max(BAD);
            let (laps, next) = (f64::from(widths[depth]), f64::from(widths[depth + 1]));
            (sum + next * (bad / before).ln() - (bad - before) * laps * seen).max(0.0)
        }) > rate::ALARM;
    }
    // The deepest laps have not all come yet, so the growth up to the widest depth is what counts.
    let widest = (0..=deepest.min(DEPTHS - 2)).max_by_key(|depth| widths[*depth]).unwrap_or(0);
    let tree: u64 = widths.iter().map(|laps| u64::from(*laps)).sum();
    let (laps, next) = (0..widest)
        .rev()
        .take(2)
        .fold((0.0, 0.0), |(laps, next), depth| (laps + f64::from(widths[depth]), next + f64::from(widths[depth + 1])));
    tree >= u64::from(LEAST_TREE) && thinned(next / seen, laps, true, seen).is_some_and(|r| r.low > MULTIPLIES)
}

state!(Branching { laps, chains, depths });

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(branches: u32, depth: u32) -> Widths {
        let mut widths = [0; DEPTHS];
        (0..depth).for_each(|at| widths[at as usize] = branches.pow(at + 1));
        widths
    }

    #[test]
    fn without_history_a_tree_needs_some_size() {
        let fresh = Branching::default();
        assert!(!multiplies(&tree(2, 5), &fresh, 1.0));
        assert!(multiplies(&tree(2, 7), &fresh, 1.0));
        assert!(!multiplies(&tree(1, 31), &fresh, 1.0));
        assert!(multiplies(&tree(10, 3), &fresh, 1.0));
    }

    #[test]
    fn a_tree_of_which_a_part_is_seen_multiplies_as_the_whole_does() {
        // Of each lap's two one is seen: what is seen keeps its width.
        let mut widths = [0; DEPTHS];
        widths[..8].fill(64);
        assert!(multiplies(&widths, &Branching::default(), 0.5));
        assert!(!multiplies(&widths, &Branching::default(), 1.0));
    }

    #[test]
    fn with_history_only_what_goes_beyond_it_is_an_alarm() {
        let mut divides = Branching::default();
        (0..100).for_each(|_| divides.learn(&tree(2, 10)));
        assert!(!multiplies(&tree(2, 10), &divides, 1.0));
        assert!(multiplies(&tree(2, 11), &divides, 1.0));
        let mut pages = Branching::default();
        (0..100).for_each(|_| pages.learn(&tree(1, 4)));
        assert!(!multiplies(&tree(1, 6), &pages, 1.0));
        assert!(multiplies(&tree(2, 5), &pages, 1.0), "32 laps at the fifth depth, where there used to be none");
    }
}
