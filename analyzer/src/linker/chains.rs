//! The chains that go round a loop, while they may still go on.
//!
//! A chain belongs to one fragment and one loop. It ends when it was quiet for several lap times; then it teaches its
//! loop how deep chains go, unless it was an alarm: one runaway among a thousand that ended by themselves would make
//! every depth look usual.

use std::{cmp::Reverse, collections::BinaryHeap};

use rustc_hash::FxHashMap;

use super::loops::Lap;
use crate::{
    detect::fan_out::{DEPTHS, Widths},
    sampling::Sampling,
    span::ArrivalTime,
    state::state,
};

/// Names a chain; fragments remember it.
pub(super) type ChainId = u32;

/// Chains that are looked at in one tick, so that a tick stays short.
const DUE_PER_TICK: usize = 4_096;

/// A chain that may still go on.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// Place of the loop.
    pub(super) loop_index: u32,
    /// Laps on its deepest path.
    pub(super) depth: u32,
    /// The function whose laps are counted in `laps` and `widths`.
    pub(super) anchor: u32,
    /// Laps of the anchor on all paths.
    pub(super) laps: u32,
    /// Laps of the anchor by depth, once there are more laps than depths.
    pub(super) widths: Option<Box<Widths>>,
    /// Laps whose cause is merely likely.
    pub(super) guesses: u32,
    /// The least sure of its laps.
    pub(super) confidence: f32,
    /// The least chance that one of its laps had to be seen after the one before.
    pub(super) next_lap_sampling: Sampling,
    /// True when it was an alarm.
    pub(super) is_alarm: bool,
    pub(super) last_lap: ArrivalTime,
}

/// All chains that may still go on.
#[derive(Default)]
pub(super) struct Chains {
    chains: FxHashMap<ChainId, Chain>,
    /// When a chain may have ended; one entry for each.
    due: BinaryHeap<Reverse<(ArrivalTime, ChainId)>>,
    next: ChainId,
}

impl Chain {
    /// A chain that has gone round `depth` times, of which nothing is counted yet.
    pub(super) fn new(now: ArrivalTime, loop_index: u32, depth: u32, lap: &Lap) -> Self {
        Self {
            loop_index,
            depth,
            anchor: lap.function,
            laps: 0,
            widths: None,
            guesses: 0,
            confidence: lap.confidence,
            next_lap_sampling: lap.next_lap_sampling,
            is_alarm: false,
            last_lap: now,
        }
    }

    /// Laps by depth; without branches there is one at each.
    pub(super) fn widths(&self) -> Widths {
        match &self.widths {
            Some(widths) => **widths,
            None => {
                let mut widths = [0; DEPTHS];
                for depth in 0..self.laps {
                    widths[(depth as usize).min(DEPTHS - 1)] += 1;
                }
                widths
            }
        }
    }

    /// Counts a lap of the anchor at a depth, from 1.
    pub(super) fn count(&mut self, depth: u32) {
        let at = (depth as usize).clamp(1, DEPTHS) - 1;
        if self.widths.is_none() && depth <= self.laps {
            self.widths = Some(Box::new(self.widths()));
        }
        self.laps = self.laps.saturating_add(1);
        if let Some(widths) = &mut self.widths {
            widths[at] = widths[at].saturating_add(1);
        }
    }

    /// The chains that it may really be: its likely laps may be no laps at all, and then it is as many chains and one
    /// more. Where each lap is likely, they are laps as often as not, and it is one.
    pub(super) fn pieces(&self) -> u32 {
        if self.guesses.saturating_mul(2) >= self.laps { 1 } else { self.guesses + 1 }
    }

    /// Its depth, as far as it is sure: that of its pieces.
    pub(super) fn sure_depth(&self) -> u32 {
        self.depth / self.pieces()
    }

    /// Takes in a chain that turned out to be the lower part of this one.
    fn absorb(&mut self, lower: &Self, deeper_by: u32) {
        self.depth = self.depth.max(lower.depth);
        self.confidence = self.confidence.min(lower.confidence);
        self.next_lap_sampling = self.next_lap_sampling.least(lower.next_lap_sampling);
        self.guesses = self.guesses.saturating_add(lower.guesses);
        self.is_alarm |= lower.is_alarm;
        self.last_lap = self.last_lap.max(lower.last_lap);
        if self.widths.is_none() && lower.widths.is_none() && deeper_by >= self.laps {
            self.laps = self.laps.saturating_add(lower.laps);
            return;
        }
        let mut widths = self.widths();
        for (depth, laps) in lower.widths().into_iter().enumerate() {
            let at = depth.saturating_add(deeper_by as usize).min(DEPTHS - 1);
            widths[at] = widths[at].saturating_add(laps);
        }
        self.laps = self.laps.saturating_add(lower.laps);
        self.widths = Some(Box::new(widths));
    }
}

impl Chains {
    /// A new chain, which may have ended at `due`; and one that went to make room, when there are `capacity`.
    pub(super) fn open(&mut self, chain: Chain, due: ArrivalTime, capacity: usize) -> (ChainId, Option<Chain>) {
        let evicted = if self.chains.len() >= capacity { self.evict() } else { None };
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.reopen(id, chain, due);
        (id, evicted)
    }

    /// A chain that ended goes on after all.
    pub(super) fn reopen(&mut self, id: ChainId, chain: Chain, due: ArrivalTime) {
        self.chains.insert(id, chain);
        self.due.push(Reverse((due, id)));
    }

    pub(super) fn get_mut(&mut self, id: ChainId) -> Option<&mut Chain> {
        self.chains.get_mut(&id)
    }

    /// Joins two chains of which `lower` begins where `upper` had gone `deeper_by` laps.
    pub(super) fn join(&mut self, upper: ChainId, lower: ChainId, deeper_by: u32) {
        if upper == lower {
            return;
        }
        if let Some(lower) = self.chains.remove(&lower)
            && let Some(upper) = self.chains.get_mut(&upper)
        {
            upper.absorb(&lower, deeper_by);
        }
    }

    /// Takes out the chains that have ended: those for which `ends_at` says a moment that has passed.
    pub(super) fn take_ended(&mut self, now: ArrivalTime, ends_at: impl Fn(&Chain) -> ArrivalTime) -> Vec<Chain> {
        let mut ended = Vec::new();
        for _ in 0..DUE_PER_TICK {
            let Some(Reverse((due, id))) = self.due.peek().copied() else { break };
            if due > now {
                break;
            }
            self.due.pop();
            let Some(chain) = self.chains.get(&id) else { continue };
            let end = ends_at(chain);
            if end <= now {
                ended.extend(self.chains.remove(&id));
            } else {
                self.due.push(Reverse((end, id)));
            }
        }
        ended
    }

    /// Lets the chains of a loop go.
    pub(super) fn forget_loop(&mut self, loop_index: u32) {
        self.chains.retain(|_, chain| chain.loop_index != loop_index);
    }

    /// The chain that is due first goes.
    fn evict(&mut self) -> Option<Chain> {
        while let Some(Reverse((_, id))) = self.due.pop() {
            if let Some(chain) = self.chains.remove(&id) {
                return Some(chain);
            }
        }
        None
    }
}

state!(Chain { loop_index, depth, anchor, laps, widths, guesses, confidence, next_lap_sampling, is_alarm, last_lap });
state!(Chains { chains, due, next });

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Chain {
        Chain {
            loop_index: 0,
            depth: 0,
            anchor: 0,
            laps: 0,
            widths: None,
            guesses: 0,
            confidence: 1.0,
            next_lap_sampling: Sampling::ALWAYS,
            is_alarm: false,
            last_lap: ArrivalTime(1),
        }
    }

    fn counted(depths: &[u32]) -> Chain {
        let mut chain = chain();
        depths.iter().for_each(|depth| chain.count(*depth));
        chain
    }

    #[test]
    fn a_line_needs_no_widths_and_a_tree_does() {
        assert!(counted(&[1, 2, 3]).widths.is_none());
        assert_eq!(counted(&[1, 2, 3]).widths()[..4], [1, 1, 1, 0]);
        assert_eq!(counted(&[1, 1, 2, 2, 2]).widths()[..4], [2, 3, 0, 0]);
    }

    #[test]
    fn parts_of_a_chain_make_the_whole() {
        let mut chains = Chains::default();
        let (upper, _) = chains.open(counted(&[1, 2]), ArrivalTime(9), 10);
        let (lower, _) = chains.open(counted(&[1, 1, 2]), ArrivalTime(9), 10);
        chains.join(upper, lower, 2);
        assert_eq!(chains.get_mut(upper).unwrap().widths()[..5], [1, 1, 2, 1, 0]);
        assert!(chains.get_mut(lower).is_none());
    }

    #[test]
    fn chains_end_when_they_are_quiet() {
        let mut chains = Chains::default();
        let (id, _) = chains.open(chain(), ArrivalTime(5), 10);
        let ends_at = |chain: &Chain| ArrivalTime(chain.last_lap.0 + 4);
        chains.get_mut(id).unwrap().last_lap = ArrivalTime(6);
        assert!(chains.take_ended(ArrivalTime(7), ends_at).is_empty());
        assert_eq!(chains.take_ended(ArrivalTime(10), ends_at).len(), 1);
    }

    #[test]
    fn a_full_table_lets_the_one_go_that_is_due_first() {
        let mut chains = Chains::default();
        (0..3).for_each(|due| drop(chains.open(chain(), ArrivalTime(due), 2)));
        assert_eq!(chains.chains.len(), 2);
        assert!(chains.get_mut(0).is_none());
    }
}
