//! A function that keeps itself going: it sets its own schedule, or fills its own queue, and nothing comes from outside.
//!
//! Such a loop costs the same at night as by day, and each of its invocations looks healthy. What a schedule starts that
//! the function itself has set is such a loop at once. A queue may bring work from outside as well; so there it counts
//! what part of the invocations are laps.

use crate::{record::Trigger, state::state};

/// Invocations that a function that fills its own queue has to have had.
const LEAST: f64 = 20.0;
/// Part of the invocations that are laps, from which on next to nothing comes from outside.
const OWN: f64 = 0.9;
/// Part of the laps that have to go over a schedule, or over a queue.
const MOSTLY: f64 = 0.5;
/// Invocations after which what was counted loses half of its weight, so that a loop may change its ways.
const FORGET_AFTER: f64 = 256.0;

/// How the laps of a function that causes itself begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ingress {
    laps: f64,
    by_schedule: f64,
    by_queue: f64,
    /// Invocations since the first lap, whatever started them.
    entries: f64,
    /// Invocations of the function at the last lap.
    last: u64,
}

impl Ingress {
    /// Counts a lap that so started; the function has had so many invocations by then.
    pub(crate) fn lap(&mut self, trigger: Trigger, entries: u64) {
        let since = if self.laps > 0.0 { entries.saturating_sub(self.last) as f64 } else { 1.0 };
        self.last = entries;
        self.entries += since;
        self.laps += 1.0;
        self.by_schedule += f64::from(u8::from(trigger == Trigger::Schedule));
        self.by_queue += f64::from(u8::from(trigger == Trigger::Queue));
        if self.entries > FORGET_AFTER {
            for count in [&mut self.laps, &mut self.by_schedule, &mut self.by_queue, &mut self.entries] {
                *count /= 2.0;
            }
        }
    }

    /// True when the function keeps itself going.
    pub(crate) fn is_own(&self) -> bool {
        let is_alone = self.entries >= LEAST && self.laps >= OWN * self.entries;
        self.laps > 0.0 && (self.by_schedule > MOSTLY * self.laps || self.by_queue > MOSTLY * self.laps && is_alone)
    }
}

state!(Ingress { laps, by_schedule, by_queue, entries, last });

#[cfg(test)]
mod tests {
    use super::*;

    /// Laps that so start, each with so many invocations of the function.
    fn is_own(trigger: Trigger, laps: u64, each: u64) -> bool {
        let mut ingress = Ingress::default();
        (1..=laps).for_each(|lap| ingress.lap(trigger, 1_000 + lap * each));
        ingress.is_own()
    }

    #[test]
    fn a_schedule_of_its_own_is_enough_and_a_queue_has_to_be_without_work_from_outside() {
        assert!(is_own(Trigger::Schedule, 1, 1));
        assert!(is_own(Trigger::Schedule, 50, 3));
        assert!(is_own(Trigger::Queue, 20, 1));
        assert!(!is_own(Trigger::Queue, 10, 1), "too few to tell");
        assert!(!is_own(Trigger::Queue, 500, 2), "as much comes from outside");
        assert!(!is_own(Trigger::Request, 500, 1) && !is_own(Trigger::Store, 500, 1));
    }
}
