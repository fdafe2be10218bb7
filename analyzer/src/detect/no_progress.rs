//! Work without progress: a function handles the same entity again and again, each time in another chain.
//!
//! No chain shows it: a schedule starts the same batch anew because its offset is never written, or a webhook comes back
//! to where it was sent from and leaves no trace of the way. What shows it is the entity: an object, a row, a
//! conversation, or whatever an author calls one. Only what is delivered or changed counts; reading is no work.
//!
//! Repeating is not enough. A counter is changed by each request, and a popular thing by many. So an invocation does not
//! count when it handled something else that is new; invocations of one chain, or of one request that is tried again,
//! count once, since they are a loop or a retry; and the entity has to stand out against what is usual for the function:
//!
//! - of a function that is known for an hour, it comes five times as often as any entity used to;
//! - of one that is not, half of all invocations handle it, and people are not what starts them.

use std::time::Duration;

use smallvec::SmallVec;

use crate::{span::ArrivalTime, state::state};

/// Chains that have to handle an entity within [`WINDOW`].
pub(crate) const REPEATS: usize = 20;
/// The time within which they have to.
pub(crate) const WINDOW: Duration = Duration::from_secs(600);
/// How long causes may come late, so that chains are known for one.
const GRACE: Duration = Duration::from_secs(30);
/// Windows after which it is known what is usual for a function.
const KNOWN: u32 = 6;
/// How many times as often as usual an entity of a known function comes.
const BEYOND: f64 = 5.0;
/// Part of the invocations of an unknown function that handle the entity.
const SHARE: f64 = 0.5;
/// What is left of what was usual a window ago.
const FADE: f64 = 0.9;

/// One entity as one function handles it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entity {
    window: u32,
    /// Invocations in that window.
    count: u32,
    /// The invocation that handled it last.
    last: u64,
    /// Invocations to look at, each with its arrival.
    recent: SmallVec<[(ArrivalTime, u64); 1]>,
    is_due: bool,
}

/// What is usual for one function.
#[derive(Clone, Debug)]
pub(crate) struct Habit {
    window: u32,
    since: ArrivalTime,
    /// Invocations in the window that handled anything.
    handled: u32,
    /// Invocations in the window that handled the most frequent entity.
    peak: u32,
    last: u64,
    is_alarm: bool,
    /// Windows that were learned from.
    learned: u32,
    /// Invocations in a window that handle the most frequent entity.
    usual: f64,
}

impl Entity {
    /// An invocation handles it; when there are enough to look at, the time when that is due.
    pub(crate) fn handle(&mut self, now: ArrivalTime, invocation: u64, habit: &mut Habit) -> Option<ArrivalTime> {
        if self.last == invocation {
            return None;
        }
        self.last = invocation;
        if self.window != habit.window {
            (self.window, self.count) = (habit.window, 0);
        }
        self.count = self.count.saturating_add(1);
        habit.peak = habit.peak.max(self.count);
        if self.is_due {
            return None;
        }
        self.recent.retain(|(at, _)| now.since(*at) <= WINDOW);
        self.recent.push((now, invocation));
        self.is_due = self.recent.len() >= REPEATS;
        self.is_due.then(|| now.after(GRACE))
    }

    /// The invocations to look at; those that are told apart come back by [`Entity::keep`].
    pub(crate) fn take(&mut self) -> SmallVec<[(ArrivalTime, u64); 1]> {
        self.is_due = false;
        std::mem::take(&mut self.recent)
    }

    /// Goes on with the invocations that are of different chains, which were too few.
    pub(crate) fn keep(&mut self, different: SmallVec<[(ArrivalTime, u64); 1]>) {
        self.recent = different;
    }
}

impl Habit {
    /// A function of which nothing is known.
    pub(crate) fn new(now: ArrivalTime) -> Self {
        Self { window: 0, since: now, handled: 0, peak: 0, last: 0, is_alarm: false, learned: 0, usual: 0.0 }
    }

    /// An invocation of the function handles something.
    pub(crate) fn handle(&mut self, now: ArrivalTime, invocation: u64) {
        if now.since(self.since) >= WINDOW {
            self.turn(now);
        }
        self.handled = self.handled.saturating_add(u32::from(self.last != invocation));
        self.last = invocation;
    }

    /// Learns from a window that is over, unless it was an alarm.
    fn turn(&mut self, now: ArrivalTime) {
        if !self.is_alarm {
            self.learned = self.learned.saturating_add(1);
            self.usual = (self.usual * FADE).max(f64::from(self.peak));
        }
        (self.window, self.since) = (self.window.wrapping_add(1), now);
        (self.handled, self.peak, self.is_alarm) = (0, 0, false);
    }

    /// True when an entity that so many different chains have handled stands out; `asked` of the chains were started by
    /// a request from outside.
    pub(crate) fn is_stuck_on(&mut self, entity: &Entity, chains: usize, asked: usize) -> bool {
        let count = if entity.window == self.window { f64::from(entity.count) } else { 0.0 };
        let stands_out = if self.learned >= KNOWN {
            count >= BEYOND * self.usual.max(1.0)
        } else {
            count >= SHARE * f64::from(self.handled) && asked * 2 < chains
        };
        let is_stuck = chains >= REPEATS && stands_out;
        self.is_alarm |= is_stuck;
        is_stuck
    }
}

state!(Entity { window, count, last, recent, is_due });
state!(Habit { window, since, handled, peak, last, is_alarm, learned, usual });

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Whether the first of the entities stands out at the end: each second one invocation handles the next of them.
    fn is_stuck(habit: &mut Habit, seconds: std::ops::Range<u64>, entities: &[usize], asked: usize) -> bool {
        let mut known = vec![Entity::default(); 1_000];
        let (mut is_stuck, first) = (false, entities[0]);
        for second in seconds {
            let now = ArrivalTime((1_000 + second) * SECOND);
            let at = entities[second as usize % entities.len()];
            habit.handle(now, second + 1);
            if known[at].handle(now, second + 1, habit).is_some() {
                let recent = known[at].take();
                is_stuck |= at == first && habit.is_stuck_on(&known[at], recent.len(), asked);
            }
        }
        is_stuck
    }

    #[test]
    fn the_only_entity_of_an_unknown_function_stands_out_unless_people_ask_for_it() {
        let fresh = || Habit::new(ArrivalTime(1_000 * SECOND));
        assert!(is_stuck(&mut fresh(), 0..30, &[0], 0));
        assert!(!is_stuck(&mut fresh(), 0..19, &[0], 0), "19 times");
        assert!(!is_stuck(&mut fresh(), 0..30, &[0], 15), "half of them were asked for");
        assert!(!is_stuck(&mut fresh(), 0..120, &[0, 1, 2], 0), "one of three");
    }

    #[test]
    fn an_entity_stands_out_against_what_is_usual() {
        let day: Vec<usize> = (0..100).collect();
        let mut habit = Habit::new(ArrivalTime(1_000 * SECOND));
        assert!(!is_stuck(&mut habit, 0..4_800, &day, 0), "six of each in ten minutes");
        assert!(habit.learned >= KNOWN && habit.usual >= 6.0, "{habit:?}");
        assert!(!is_stuck(&mut habit.clone(), 4_800..4_829, &[0], 0), "29 are less than five times six");
        assert!(is_stuck(&mut habit.clone(), 4_800..4_920, &[0], 60), "who asks does not matter any more");
        let busy: Vec<usize> = (0..4).collect();
        assert!(!is_stuck(&mut habit, 4_800..4_880, &busy, 0), "twenty of each");
    }

    #[test]
    fn what_is_slower_than_twenty_in_ten_minutes_is_no_repeat() {
        let mut habit = Habit::new(ArrivalTime(1_000 * SECOND));
        let mut entity = Entity::default();
        for at in 1..200 {
            let now = ArrivalTime((1_000 + at * 32) * SECOND);
            habit.handle(now, at);
            assert_eq!(entity.handle(now, at, &mut habit), None);
        }
    }
}
