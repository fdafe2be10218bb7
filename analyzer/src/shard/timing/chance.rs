//! Which traces are looked at: all while there is room, and as many as are worth their cost under load.
//!
//! A trace is chosen by a hash of its id, so that all its spans agree, and stands for `1/p` traces, where `p` was the
//! probability when its first span came. When `p` falls, who was chosen stays chosen. When it rises, traces that would
//! be chosen now may have been passed over a moment ago, so until those have ended all that begin in between are left
//! out: half a trace would show time as its root's own that others spent.

use std::time::Duration;

use crate::span::ArrivalTime;

/// How often the probability is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// A period may cost so many times its budget before the next is there.
const BURST: f64 = 2.0;

/// Never fewer than one of so many traces, so that a flood of one kind does not hide all others for good.
const LEAST: f64 = 1.0 / 65_536.0;

/// The probability of a trace to be looked at.
pub(super) struct Chance {
    probability: f64,
    /// Spans that may be looked at in a second.
    budget: f64,
    /// How long a trace rests before it has ended.
    quiet: Duration,
    taken: f64,
    /// True when there was no room in this period.
    is_full: bool,
    since: ArrivalTime,
    /// Hashes above the first were passed over until lately, and are until then.
    rise: Option<(u64, ArrivalTime)>,
}

/// What becomes of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Choice {
    /// It is looked at, and stands for so many.
    Look(f64),
    /// It is not looked at, and may not be while it goes on.
    LeaveOut,
    /// It is not looked at.
    Pass,
}

impl Chance {
    /// All traces, while no more than `budget` spans come in a second.
    pub(super) fn new(budget: f64, quiet: Duration) -> Self {
        Self { probability: 1.0, budget, quiet, taken: 0.0, is_full: false, since: ArrivalTime(0), rise: None }
    }

    /// Decides on a trace by the hash of its id, when its first span comes.
    pub(super) fn choose(&self, hash: u64) -> Choice {
        if hash > self.reach() {
            return Choice::Pass;
        }
        match self.rise {
            Some((before, _)) if hash > before => Choice::LeaveOut,
            Some((before, _)) => Choice::Look(u64::MAX as f64 / before as f64),
            None => Choice::Look(1.0 / self.probability),
        }
    }

    /// The largest hash that is chosen.
    pub(super) fn reach(&self) -> u64 {
        (self.probability * u64::MAX as f64) as u64
    }

    /// A span was looked at.
    pub(super) fn take(&mut self) {
        self.taken += 1.0;
        if self.taken > BURST * self.budget {
            self.lower(0.5);
            self.taken -= self.budget;
        }
    }

    /// There is no room for more traces.
    pub(super) fn be_full(&mut self) {
        if !std::mem::replace(&mut self.is_full, true) {
            self.lower(0.5);
        }
    }

    fn lower(&mut self, factor: f64) {
        self.probability = (self.probability * factor).max(LEAST);
        let reach = self.reach();
        self.rise = self.rise.filter(|(before, _)| *before < reach);
    }

    /// Looks at what the last period cost; true when there was one.
    pub(super) fn adjust(&mut self, now: ArrivalTime) -> bool {
        if self.since.0 == 0 {
            self.since = now;
        }
        let elapsed = now.since(self.since);
        if elapsed < PERIOD {
            return false;
        }
        let rate = std::mem::take(&mut self.taken) / elapsed.as_secs_f64();
        let was_full = std::mem::take(&mut self.is_full);
        self.since = now;
        self.rise = self.rise.filter(|(_, until)| *until > now);
        if rate > self.budget {
            self.lower(self.budget / rate);
        } else if rate < self.budget / 2.0 && !was_full && self.probability < 1.0 && self.rise.is_none() {
            self.rise = Some((self.reach(), now.after(self.quiet)));
            self.probability = (self.probability * 2.0).min(1.0);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Seconds of load, as traces of one span; how many were looked at in each, and for how many they stand in all.
    fn load(chance: &mut Chance, begin: u64, seconds: u64, traces: u64) -> (Vec<u64>, f64) {
        let mut weights = 0.0;
        let looked_at = (begin..begin + seconds).map(|second| {
            let mut count = 0;
            for trace in 0..traces {
                chance.adjust(ArrivalTime(second * SECOND + trace * SECOND / traces));
                let hash = xxhash_rust::xxh3::xxh3_64(&(second << 32 | trace).to_le_bytes());
                if let Choice::Look(weight) = chance.choose(hash) {
                    chance.take();
                    count += 1;
                    weights += weight;
                }
            }
            count
        });
        (looked_at.collect(), weights)
    }

    #[test]
    fn all_are_looked_at_while_there_is_room() {
        let mut chance = Chance::new(100.0, Duration::from_secs(30));
        assert_eq!(load(&mut chance, 1, 5, 90), (vec![90; 5], 450.0));
    }

    #[test]
    fn load_lowers_the_chance_and_rest_raises_it_again() {
        let mut chance = Chance::new(100.0, Duration::from_secs(30));
        let (looked_at, weights) = load(&mut chance, 1, 60, 10_000);
        assert!(looked_at[0] < 800 && looked_at[10..].iter().all(|count| *count < 150), "{looked_at:?}");
        assert!((weights / 600_000.0 - 1.0).abs() < 0.1, "{weights}");
        // Each doubling takes until all that were passed over have ended.
        let (looked_at, _) = load(&mut chance, 61, 400, 90);
        assert_eq!((looked_at[399], chance.probability), (90, 1.0));
    }

    #[test]
    fn who_was_passed_over_is_left_out_until_it_has_ended() {
        let mut chance = Chance::new(100.0, Duration::from_secs(30));
        chance.adjust(ArrivalTime(SECOND));
        chance.lower(0.25);
        let hash = u64::MAX / 8 * 3;
        assert_eq!(chance.choose(hash), Choice::Pass);
        assert!(chance.adjust(ArrivalTime(3 * SECOND)));
        assert_eq!((chance.choose(hash), chance.choose(hash / 2)), (Choice::LeaveOut, Choice::Look(4.0)));
        chance.adjust(ArrivalTime(32 * SECOND));
        assert_eq!(chance.choose(hash), Choice::LeaveOut);
        chance.adjust(ArrivalTime(34 * SECOND));
        assert_eq!(chance.choose(hash), Choice::Look(2.0), "and those that are more now are left out");
        assert_eq!(chance.choose(hash * 2), Choice::LeaveOut);
    }
}
