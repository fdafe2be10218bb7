//! Loops that show in counts alone: invocations that send on what they are sent, though no chain can be followed.
//!
//! Where both sides of a cause know nothing but the queue between them, and many chains use it at once, nobody can tell
//! which invocation caused which. But each invocation tells what it sends itself, so it is known how many further
//! invocations each one causes, and how many of them cause none. Two things are a runaway without a doubt:
//!
//! - They go on and on. In harmless recursion chains end, so invocations that send nothing on come again and again; a
//!   sequential test (Wald, "Sequential Analysis", 1947, repeated as Page's CUSUM) tells when they fail to come.
//! - They multiply, and there are more of them than dividing work makes. Dividing work multiplies too until it stops,
//!   so without the depth of chains only size tells the two apart.
//!
//! What a cycle sends is counted by the place that its invocations were delivered from, so that requests from outside
//! which go round once do not hide a loop, and work that a function hands to its own queue is none.

use crate::{snapshot::Reproduction, state::state};

/// Part of the invocations that go on, in harmless recursion of which nothing is known: ten laps a chain.
const USUAL: f64 = 0.9;
/// The most that is believed to be usual, however long chains used to be.
const MOST_USUAL: f64 = 0.995;
/// Ends that must have been seen before it is known what is usual.
const LEAST_ENDS: f64 = 5.0;
/// A runaway ends so many times less often.
const RARER: f64 = 10.0;
/// The sum above which invocations go on for ever: one false alarm in 100,000 invocations that end as usual. It takes
/// 120 that go on, one after the other, or 80 chains side by side that go on once or twice.
const ALARM: f64 = 11.5;
/// The sum does not rise above this, so that it falls soon when they end again.
const MOST: f64 = 2.0 * ALARM;
/// What was learned loses half of its weight after so many invocations.
const FORGET: f64 = 100_000.0;
/// Lower end of R above which invocations multiply.
const MULTIPLIES: f64 = 1.1;
/// Invocations that multiply, without a pause, before that is an alarm: halving work ten times over makes 2,047.
const FLOOD: f64 = 2_500.0;
/// How many times larger than any that ended by itself a flood has to be.
const LARGER: f64 = 2.0;
/// The last invocations, by which it is judged whether a flood ends.
const LAST: f64 = 200.0;
/// Part of the last invocations that send nothing on when work is divided no further; where each may cause any number,
/// fewer do so while they multiply.
const LEAVES: f64 = 0.5;

/// Further invocations of each state that an invocation of each state causes: K of multi-type branching processes.
#[derive(Clone, Debug)]
pub(crate) struct Offspring {
    size: usize,
    /// Row by row: those that cause, then those that are caused.
    values: Vec<f64>,
}

impl Offspring {
    /// Of so many states, none of which causes another.
    pub(crate) fn new(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    /// An invocation of `from` causes so many more of `to`.
    pub(crate) fn add(&mut self, from: usize, to: usize, offspring: f64) {
        self.values[from * self.size + to] += offspring;
    }

    fn get(&self, from: usize, to: usize) -> f64 {
        self.values[from * self.size + to]
    }

    /// Invocations of a state that one of it causes over any way that does not lead through it in between: R of the
    /// loops through it, `K_ff + K_f. (I - K_-f)^-1 K_.f`. It is 1 or more exactly when the largest eigenvalue is;
    /// infinite when the others keep themselves alive without it.
    pub(crate) fn loop_strength(&self, state: usize) -> f64 {
        let others: Vec<usize> = (0..self.size).filter(|other| *other != state).collect();
        // (I - K_-f) x = K_.f; each row ends with its right side.
        let mut rows: Vec<Vec<f64>> = others
            .iter()
            .map(|from| {
                let left = others.iter().map(|to| f64::from(from == to) - self.get(*from, *to));
                left.chain([self.get(*from, state)]).collect()
            })
            .collect();
        for at in 0..rows.len() {
            let (above, below) = rows.split_at_mut(at + 1);
            let row = &above[at];
            // All pivots are positive exactly when the others die out (the matrix is an M-matrix).
            if row[at] <= f64::EPSILON {
                return f64::INFINITY;
            }
            for other in below {
                let times = other[at] / row[at];
                other.iter_mut().zip(row).skip(at).for_each(|(value, own)| *value -= times * own);
            }
        }
        let mut returns = vec![0.0; rows.len()];
        for at in (0..rows.len()).rev() {
            let known: f64 = (at + 1..rows.len()).map(|to| rows[at][to] * returns[to]).sum();
            returns[at] = (rows[at][rows.len()] - known) / rows[at][at];
        }
        let through: f64 = others.iter().zip(&returns).map(|(to, returns)| self.get(state, *to) * returns).sum();
        self.get(state, state) + through
    }
}

/// Whether the invocations of one cycle go on as they never did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Going {
    sum: f64,
    /// Invocations that went on and that ended since the sum was zero.
    recent: (f64, f64),
    /// True when the sum was an alarm since it was zero.
    is_alarm: bool,
    /// The same before, as light as [`FORGET`] says.
    learned: (f64, f64),
}

impl Going {
    /// So many laps went on and so many invocations ended; true while they go on for ever.
    ///
    /// An invocation that multiplies says nothing here. What was an alarm is not learned from when it ends, unless
    /// somebody expects it.
    pub(crate) fn step(&mut self, went_on: f64, ended: f64, is_expected: bool) -> bool {
        let usual = self.usual();
        let endless = 1.0 - (1.0 - usual) / RARER;
        self.recent = (self.recent.0 + went_on, self.recent.1 + ended);
        self.sum += went_on * (endless / usual).ln() - ended * RARER.ln();
        self.sum = self.sum.min(MOST);
        if self.sum <= 0.0 {
            // That came to an end, so it is how this cycle is.
            self.sum = 0.0;
            if is_expected || !self.is_alarm {
                self.learned = (self.learned.0 + self.recent.0, self.learned.1 + self.recent.1);
            }
            (self.recent, self.is_alarm) = ((0.0, 0.0), false);
            if self.learned.0 + self.learned.1 > FORGET {
                self.learned = (self.learned.0 / 2.0, self.learned.1 / 2.0);
            }
        }
        self.is_alarm |= self.sum > ALARM;
        self.sum > ALARM
    }

    fn usual(&self) -> f64 {
        let (went_on, ended) = self.learned;
        if ended < LEAST_ENDS { USUAL } else { (went_on / (went_on + ended)).clamp(USUAL, MOST_USUAL) }
    }
}

/// Whether the invocations of one cycle multiply as they never did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flood {
    /// Invocations since they multiply.
    now: f64,
    /// The most of those that ended by themselves.
    before: f64,
    is_alarm: bool,
    /// Of the last invocations, all and those that sent nothing on.
    last: (f64, f64),
}

impl Flood {
    /// So many more invocations began, of which some sent nothing on; `r` is what the last minutes say. True while they
    /// are a flood.
    pub(crate) fn step(&mut self, invocations: f64, ended: f64, r: Option<Reproduction>) -> bool {
        let left = (-invocations / LAST).exp();
        self.last = (self.last.0 * left + invocations, self.last.1 * left + ended);
        let is_dividing = self.last.1 < LEAVES * self.last.0;
        if is_dividing && r.is_some_and(|r| r.mean > 1.0) {
            self.now += invocations;
            let is_large = self.now > FLOOD.max(LARGER * self.before);
            self.is_alarm |= is_large && r.is_some_and(|r| r.low > MULTIPLIES);
            return self.is_alarm;
        }
        if !self.is_alarm {
            self.before = self.before.max(self.now);
        }
        (self.now, self.is_alarm) = (0.0, false);
        false
    }
}

state!(Going { sum, recent, is_alarm, learned });
state!(Flood { now, before, is_alarm, last });

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::reproduction::reproduction;

    fn offspring(rows: &[&[f64]]) -> Offspring {
        let mut offspring = Offspring::new(rows.len());
        for (from, row) in rows.iter().enumerate() {
            row.iter().enumerate().for_each(|(to, value)| offspring.add(from, to, *value));
        }
        offspring
    }

    #[test]
    fn the_strength_of_a_ring_is_the_product_of_its_hops() {
        let ring = offspring(&[&[0.0, 0.5, 0.0], &[0.0, 0.0, 1.5], &[0.8, 0.0, 0.0]]);
        (0..3).for_each(|state| assert!((ring.loop_strength(state) - 0.6).abs() < 1e-12));
        assert!((offspring(&[&[0.7]]).loop_strength(0) - 0.7).abs() < 1e-12);
        let idle = offspring(&[&[0.0, 0.5], &[0.0, 1.2]]);
        assert_eq!(idle.loop_strength(0), f64::INFINITY, "the other keeps itself alive");
        assert_eq!(offspring(&[&[0.0, 9.0], &[0.0, 0.0]]).loop_strength(0), 0.0, "a pipeline is no loop");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_strength_of_one_is_where_the_largest_eigenvalue_is_one(
            size in 2_usize..7,
            values in prop::collection::vec(0.0_f64..1.0, 49),
            scale in 0.05_f64..1.0,
            state in any::<prop::sample::Index>(),
        ) {
            let mut k = Offspring::new(size);
            for (at, value) in values.iter().take(size * size).enumerate() {
                k.add(at / size, at % size, value * scale);
            }
            let largest = largest_eigenvalue(&k);
            prop_assume!((largest - 1.0).abs() > 1e-6);
            prop_assert_eq!(k.loop_strength(state.index(size)) >= 1.0, largest >= 1.0);
        }
    }

    /// By squaring until the growth of the powers is clear.
    fn largest_eigenvalue(k: &Offspring) -> f64 {
        let (mut power, mut logarithm) = (k.values.clone(), 0.0);
        let n = k.size;
        for doubling in 0..24 {
            let norm: f64 = power.iter().sum();
            power.iter_mut().for_each(|value| *value /= norm);
            logarithm += norm.ln() / f64::from(1 << doubling);
            power = (0..n * n)
                .map(|at| (0..n).map(|mid| power[at / n * n + mid] * power[mid * n + at % n]).sum())
                .collect();
        }
        logarithm.exp()
    }

    /// Even numbers over 0 and below 1, the same in each run.
    struct Dice(u64);

    impl Dice {
        fn even(&mut self) -> f64 {
            self.0 += 1;
            let hash = xxhash_rust::xxh3::xxh3_64(&self.0.to_le_bytes());
            ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
        }
    }

    /// Invocations until the alarm when each goes on with this probability.
    fn until_alarm(going: &mut Going, q: f64, most: u32) -> Option<u32> {
        let mut dice = Dice(u64::from(most));
        (0..most).find(|_| {
            let goes_on = f64::from(dice.even() < q);
            going.step(goes_on, 1.0 - goes_on, false)
        })
    }

    #[test]
    fn what_never_ends_is_found_and_what_ends_is_not() {
        let found = until_alarm(&mut Going::default(), 1.0, 1_000).unwrap();
        assert!((100..150).contains(&found), "{found}");
        assert!(until_alarm(&mut Going::default(), 0.98, 5_000).is_some());
        for q in [0.5, 0.8, 0.9] {
            assert_eq!(until_alarm(&mut Going::default(), q, 50_000), None, "{q}");
        }
    }

    #[test]
    fn what_used_to_go_on_for_long_is_usual_and_an_alarm_teaches_nothing() {
        let mut going = Going { learned: (4_900.0, 100.0), ..Going::default() };
        assert_eq!(until_alarm(&mut going, 0.98, 20_000), None);
        assert!(until_alarm(&mut going, 1.0, 20_000).is_some());
        assert!(going.usual() < 0.99, "{going:?}");
    }

    #[test]
    fn it_is_forgotten_when_they_end_again() {
        let mut going = Going::default();
        assert!(going.step(10_000.0, 0.0, false));
        assert!(!going.step(0.0, 10.0, false));
    }

    #[test]
    fn a_runaway_that_ends_teaches_nothing_unless_it_is_expected() {
        let usual_after = |is_expected| {
            let mut going = Going::default();
            assert!(going.step(10_000.0, 0.0, is_expected));
            assert!(!going.step(0.0, 20.0, is_expected));
            going.usual()
        };
        assert_eq!((usual_after(false), usual_after(true)), (USUAL, MOST_USUAL));
    }

    #[test]
    fn dividing_work_is_no_flood_and_what_multiplies_beyond_it_is() {
        // So many invocations send two each, and what these reach sends nothing.
        let grown = |flood: &mut Flood, size: f64| {
            let steps = (0..10).filter(|_| flood.step(size / 10.0, 0.0, reproduction(2.0 * size, size, true))).count();
            (0..10).for_each(|_| {
                flood.step(size / 10.0, size / 10.0, reproduction(2.0 * size, 2.0 * size, true));
            });
            steps > 0
        };
        let mut flood = Flood::default();
        assert!(!grown(&mut flood, 1_023.0));
        assert!(grown(&mut flood, 3_000.0));
        assert!(!grown(&mut flood, 2_400.0));
        assert!(!grown(&mut flood, 4_700.0), "less than twice what ended by itself");
        assert!(grown(&mut flood, 10_000.0));
    }

    #[test]
    fn in_a_steady_state_r_is_the_part_that_is_no_immigrant() {
        // A queue: immigrants at one a second, each message handled sends another with probability 0.6.
        let mut dice = Dice(5);
        let (mut waiting, mut handled, mut sent) = (0_u32, 0.0, 0.0);
        for _ in 0..100_000 {
            waiting += 1;
            for _ in 0..std::mem::take(&mut waiting) {
                handled += 1.0;
                let goes_on = dice.even() < 0.6;
                waiting += u32::from(goes_on);
                sent += f64::from(goes_on);
            }
        }
        let mut k = Offspring::new(1);
        k.add(0, 0, sent / handled);
        assert!((k.loop_strength(0) - 0.6).abs() < 0.005);
        assert!((1.0 - 100_000.0 / handled - 0.6).abs() < 0.005);
    }
}
