//! A message that cannot be handled goes round: the function fails and sends it to its own trigger as a new message.
//!
//! That is recursion, unlike a message that its queue hands over again; but what has to be mended is the message.

use crate::state::state;

/// Laps from which on their failures say something.
const LEAST: f64 = 4.0;
/// Part of the laps over a message or a store that fail.
const MOSTLY: f64 = 0.5;
/// Laps after which what was counted loses half of its weight.
const FORGET_AFTER: f64 = 64.0;

/// How the laps of a loop fail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures {
    laps: f64,
    failed: f64,
}

impl Failures {
    /// Counts a lap; `failed` says that an invocation on it failed and still sent something that triggered the next.
    pub(crate) fn lap(&mut self, failed: bool) {
        self.laps += 1.0;
        self.failed += f64::from(u8::from(failed));
        if self.laps > FORGET_AFTER {
            self.laps /= 2.0;
            self.failed /= 2.0;
        }
    }

    /// True when most laps fail.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.laps >= LEAST && self.failed > MOSTLY * self.laps
    }
}

state!(Failures { laps, failed });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_laps_have_to_fail() {
        let is_poisoned = |laps: u32, of_ten: u32| {
            let mut failures = Failures::default();
            (0..laps).for_each(|lap| failures.lap(lap % 10 < of_ten));
            failures.is_poisoned()
        };
        assert!(is_poisoned(1_000, 9) && is_poisoned(4, 9));
        assert!(!is_poisoned(1_000, 4) && !is_poisoned(3, 9));
    }
}
