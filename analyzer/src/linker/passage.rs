//! How long messages take: over one hop, over several, and until the last of several is done.
//!
//! Every message is counted; of the invocations that messages caused, as many are timed and looked back from as there is
//! room for. That happens [`SETTLED`] later, when what caused them has come. The time of a chain is exact: from the start of
//! the first invocation to the end of the last, each stage until it sends and each wait until the next begins.

use std::{collections::VecDeque, time::Duration};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Linker, cause::sent_at};
use crate::{
    record::{FanKey, STAGES, Stage},
    snapshot::NodeId,
    span::{ArrivalTime, EventTime},
    window::millis,
};

/// How long after its cause was told an invocation is looked back from: exporters send every 5 s by default, and
/// batches gather their causes for 10 s.
const SETTLED: Duration = Duration::from_secs(15);

/// Invocations that wait to be looked back from; while there are more, every second one of them is passed over, then
/// every second of those that are left, and so on.
const WATCHED: usize = 4_096;

/// Parts of one invocation that are followed to the whole.
const PARTS: usize = 8;

/// What is looked at until all of it is here.
#[derive(Default)]
pub(super) struct Passages {
    /// Invocations to look back from.
    due: VecDeque<(ArrivalTime, u64)>,
    /// What invocations cause and handle, by invocation and the number of the function that it causes; [`ALL`] for
    /// what it handles.
    fans: FxHashMap<(u64, u32), Spokes>,
    fans_due: VecDeque<(ArrivalTime, (u64, u32))>,
    chains: Thinning,
    hubs: Thinning,
}

/// Stands for whoever sent the messages that an invocation handles.
const ALL: u32 = u32::MAX;

/// What one invocation caused, or the messages that it handled.
struct Spokes {
    key: FanKey,
    count: u32,
    longest_ms: f64,
}

/// Which part of what comes is looked at: that whose key has no bit of the mask.
#[derive(Default)]
struct Thinning {
    mask: u64,
}

impl Thinning {
    /// True when it is looked at; `held` is how many are.
    fn takes(&mut self, key: u64, held: usize) -> bool {
        if held >= WATCHED {
            self.mask = self.mask << 1 | 1;
        } else if held < WATCHED / 4 {
            self.mask >>= 1;
        }
        held < WATCHED && (key >> 20) & self.mask == 0
    }
}

/// One invocation of a chain, the last first.
struct Step {
    function: NodeId,
    start: EventTime,
    /// Until it had sent on, or until it ended if it is the last, milliseconds.
    run_ms: f64,
    /// How long the message had waited that started it, milliseconds.
    wait_ms: f64,
}

impl Linker {
    /// A message that was sent at `sent` caused an invocation, of which it is the part `credit`.
    pub(super) fn hand_over(&mut self, now: ArrivalTime, cause: u64, child: u64, sent: EventTime, credit: f32) {
        let (cause, child) = (self.whole(cause), self.whole(child));
        let (Some(sender), Some(receiver)) = (self.invocations.get(cause), self.invocations.get(child)) else { return };
        let (Some(source), Some(target)) =
            (self.functions.node(sender.function), self.functions.node(receiver.function))
        else {
            return;
        };
        let sampling = match sender.trace_id == receiver.trace_id {
            true => receiver.sampling.least(sender.sampling),
            false => receiver.sampling.and(sender.sampling),
        };
        // Clocks differ: nothing takes less than no time.
        let wait_ms = millis(receiver.start.0.saturating_sub(sent.0));
        let time_ms = wait_ms + f64::from(receiver.lasted_ms);
        let (function, weight) = (receiver.function, sampling.adjusted_count());
        let is_looked_at = self.passages.chains.takes(child, self.passages.due.len());
        let times = is_looked_at.then_some((wait_ms, time_ms));
        self.delta.passing.hand_over((source, target), weight, times);
        let due = now.after(SETTLED);
        self.passages.fan(due, (cause, function), FanKey::Out(source, target), time_ms);
        if credit < 1.0 {
            self.passages.fan(due, (child, ALL), FanKey::In(target), wait_ms);
        }
        // The messages of a batch come one after the other, and are one look.
        if is_looked_at && self.passages.due.back().is_none_or(|(_, last)| *last != child) {
            self.passages.due.push_back((due, child));
        }
    }

    /// Looks back from the invocations whose time has come until then.
    pub(super) fn look_at_passages(&mut self, until: ArrivalTime) {
        while let Some((_, child)) = self.passages.due.front().copied().filter(|(due, _)| *due <= until) {
            self.passages.due.pop_front();
            self.look_at_passage(child);
        }
        while let Some((_, hub)) = self.passages.fans_due.front().copied().filter(|(due, _)| *due <= until) {
            self.passages.fans_due.pop_front();
            if let Some(spokes) = self.passages.fans.remove(&hub) {
                self.delta.passing.fan(spokes.key, spokes.count, spokes.longest_ms);
            }
        }
    }

    fn look_at_passage(&mut self, child: u64) {
        let steps = self.steps(child);
        let Some(last) = steps.first() else { return };
        let (target, start, run_ms) = (last.function, last.start, last.run_ms);
        for (at, first) in steps.iter().enumerate().skip(2) {
            let time_ms = millis(start.0.saturating_sub(first.start.0)) + run_ms;
            let stages = steps[..=at].iter().rev().enumerate().map(|(number, step)| Stage {
                function: step.function,
                runs: 1.0,
                run_ms: step.run_ms,
                wait_ms: if number == 0 { 0.0 } else { step.wait_ms },
            });
            self.delta.passing.pass((first.function, target), time_ms, stages);
        }
    }

    /// The invocations above one, as far as messages cause them and no function comes again.
    fn steps(&self, child: u64) -> SmallVec<[Step; 4]> {
        let mut steps = SmallVec::<[Step; 4]>::new();
        let (mut key, mut until) = (child, None);
        for _ in 0..STAGES * PARTS {
            let Some(invocation) = self.invocations.get(key) else { break };
            key = invocation.parent;
            if invocation.is_part {
                continue;
            }
            let Some(function) = self.functions.node(invocation.function) else { break };
            if steps.len() >= STAGES || steps.iter().any(|step| step.function == function) {
                break;
            }
            let (start, waited_ms) = (invocation.start, invocation.waited_ms);
            let run_ms = until
                .map_or(f64::from(invocation.lasted_ms), |until: EventTime| millis(until.0.saturating_sub(start.0)));
            steps.push(Step { function, start, run_ms, wait_ms: f64::from(waited_ms.max(0.0)) });
            if waited_ms < 0.0 || key == 0 {
                break;
            }
            until = Some(sent_at(start, waited_ms));
        }
        steps
    }
}

impl Passages {
    fn fan(&mut self, due: ArrivalTime, hub: (u64, u32), key: FanKey, ms: f64) {
        if let Some(spokes) = self.fans.get_mut(&hub) {
            spokes.count = spokes.count.saturating_add(1);
            spokes.longest_ms = spokes.longest_ms.max(ms);
        } else if self.hubs.takes(hub.0, self.fans.len()) {
            self.fans.insert(hub, Spokes { key, count: 1, longest_ms: ms });
            self.fans_due.push_back((due, hub));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_every_so_many_are_looked_at() {
        let mut thinning = Thinning::default();
        let hash = |at: u64| xxhash_rust::xxh3::xxh3_64(&at.to_le_bytes());
        let mut held = 0;
        for at in 0..20 * WATCHED as u64 {
            held += usize::from(thinning.takes(hash(at), held));
            assert!(held <= WATCHED);
        }
        assert_eq!(held, WATCHED);
        assert!(!thinning.takes(u64::MAX, WATCHED / 2));
        // Where there is room again, all are looked at again before long.
        for at in 0..70 {
            thinning.takes(at, 0);
        }
        assert!(thinning.takes(u64::MAX, 0));
    }
}
