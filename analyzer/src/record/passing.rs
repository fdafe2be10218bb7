//! What messages of one function cause in another, over one hop and over several, as the linker sees it.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::{
    sketch::DDSketch,
    snapshot::NodeId,
    state::state,
    window::{merge, sketch},
};

/// Pairs of functions of which one sends to the other that are told apart.
const HANDOVERS: usize = 16_384;

/// Functions that cause, or wait for, several others at once that are told apart.
const FANS: usize = 8_192;

/// Pairs of functions with others in between that are told apart.
const PASSAGES: usize = 8_192;

/// Functions of one passage.
pub(crate) const STAGES: usize = 16;

/// What messages caused.
#[derive(Clone, Default)]
pub(crate) struct Passing {
    /// By who sent and who handled.
    pub(crate) handovers: BTreeMap<(NodeId, NodeId), Handover>,
    /// By the function whose runs cause several runs of another, or the function whose runs wait for several messages.
    pub(crate) fans: BTreeMap<FanKey, Fan>,
    /// By the first and the last function.
    pub(crate) passages: BTreeMap<(NodeId, NodeId), Passage>,
    /// What there was no room for.
    pub(crate) dropped: u64,
}

/// Messages from one function to another.
#[derive(Clone)]
pub(crate) struct Handover {
    /// Those that sampling left out included.
    pub(crate) messages: f64,
    /// From the end of the send to the start of the run, milliseconds; of messages that were looked at, as is the next.
    pub(crate) wait: DDSketch,
    /// From the end of the send to the end of the run, milliseconds.
    pub(crate) time: DDSketch,
}

/// Who has several others, and who these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FanKey {
    /// Runs of the first send several messages to the second.
    Out(NodeId, NodeId),
    /// Runs of the function handle several messages.
    In(NodeId),
}

/// Runs that were looked at, each with what it caused or handled.
#[derive(Clone)]
pub(crate) struct Fan {
    pub(crate) runs: f64,
    /// What these runs caused, or the messages that they handled.
    pub(crate) spokes: f64,
    /// Of each run with several of them the longest: until what it caused was over, or since what it handled was sent;
    /// milliseconds.
    pub(crate) longest: DDSketch,
}

/// Chains of messages from one function over others to another.
#[derive(Clone)]
pub(crate) struct Passage {
    /// From the start of the first run to the end of the last, milliseconds.
    pub(crate) time: DDSketch,
    pub(crate) stages: SmallVec<[Stage; 4]>,
}

/// What one function takes of the time of a passage: its run until it sends, or until its end if it is the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stage {
    pub(crate) function: NodeId,
    pub(crate) runs: f64,
    /// Milliseconds of all these runs.
    pub(crate) run_ms: f64,
    /// Milliseconds that the messages which started them waited.
    pub(crate) wait_ms: f64,
}

impl Passing {
    pub(crate) fn is_empty(&self) -> bool {
        self.handovers.is_empty() && self.fans.is_empty() && self.passages.is_empty() && self.dropped == 0
    }

    /// Counts a message, and how long it waited and took where that was looked at, milliseconds.
    pub(crate) fn hand_over(&mut self, key: (NodeId, NodeId), messages: f64, times: Option<(f64, f64)>) {
        let Some(known) = self.handover(key) else { return self.drop_one() };
        known.messages += messages;
        if let Some((wait_ms, time_ms)) = times {
            known.wait.add(wait_ms);
            known.time.add(time_ms);
        }
    }

    /// Counts a run that caused or handled `spokes`, the longest of which took `longest_ms`.
    pub(crate) fn fan(&mut self, key: FanKey, spokes: u32, longest_ms: f64) {
        let Some(known) = self.fan_of(key) else { return self.drop_one() };
        known.runs += 1.0;
        known.spokes += f64::from(spokes);
        if spokes > 1 {
            known.longest.add(longest_ms);
        }
    }

    /// Counts a chain.
    pub(crate) fn pass(&mut self, key: (NodeId, NodeId), time_ms: f64, stages: impl Iterator<Item = Stage>) {
        let Some(known) = self.passage(key) else { return self.drop_one() };
        known.time.add(time_ms);
        self.dropped += stages.map(|stage| known.add(stage)).sum::<u64>();
    }

    /// Adds what was counted elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.merge_renamed(other, |node| node);
    }

    /// True when a function turned out to be another.
    pub(crate) fn is_moved(&self, own: impl Fn(NodeId) -> NodeId) -> bool {
        self.handovers.keys().any(|(source, target)| own(*source) != *source || own(*target) != *target)
    }

    /// The same where functions of the other turned out to be others.
    pub(crate) fn merge_renamed(&mut self, other: &Self, own: impl Fn(NodeId) -> NodeId) {
        let mut dropped = other.dropped;
        for ((source, target), more) in &other.handovers {
            match self.handover((own(*source), own(*target))) {
                Some(known) => known.merge(more),
                None => dropped += 1,
            }
        }
        for (key, more) in &other.fans {
            let key = match *key {
                FanKey::Out(hub, spoke) => FanKey::Out(own(hub), own(spoke)),
                FanKey::In(hub) => FanKey::In(own(hub)),
            };
            match self.fan_of(key) {
                Some(known) => known.merge(more),
                None => dropped += 1,
            }
        }
        for ((first, last), more) in &other.passages {
            match self.passage((own(*first), own(*last))) {
                Some(known) => {
                    merge(&mut known.time, &more.time);
                    let renamed = |stage: &Stage| Stage { function: own(stage.function), ..*stage };
                    dropped += more.stages.iter().map(|stage| known.add(renamed(stage))).sum::<u64>();
                }
                None => dropped += 1,
            }
        }
        self.dropped += dropped;
    }

    fn drop_one(&mut self) {
        self.dropped += 1;
    }

    fn handover(&mut self, key: (NodeId, NodeId)) -> Option<&mut Handover> {
        entry(&mut self.handovers, key, HANDOVERS, || Handover { messages: 0.0, wait: sketch(), time: sketch() })
    }

    fn fan_of(&mut self, key: FanKey) -> Option<&mut Fan> {
        entry(&mut self.fans, key, FANS, || Fan { runs: 0.0, spokes: 0.0, longest: sketch() })
    }

    fn passage(&mut self, key: (NodeId, NodeId)) -> Option<&mut Passage> {
        entry(&mut self.passages, key, PASSAGES, || Passage { time: sketch(), stages: SmallVec::new() })
    }
}

/// What is known under a key; `None` when it is new and the map is full.
fn entry<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, most: usize, new: impl FnOnce() -> V) -> Option<&mut V> {
    if map.len() >= most && !map.contains_key(&key) {
        return None;
    }
    Some(map.entry(key).or_insert_with(new))
}

impl Handover {
    fn merge(&mut self, other: &Self) {
        self.messages += other.messages;
        merge(&mut self.wait, &other.wait);
        merge(&mut self.time, &other.time);
    }
}

impl Fan {
    fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        self.spokes += other.spokes;
        merge(&mut self.longest, &other.longest);
    }
}

impl Passage {
    fn add(&mut self, stage: Stage) -> u64 {
        if let Some(known) = self.stages.iter_mut().find(|known| known.function == stage.function) {
            known.runs += stage.runs;
            known.run_ms += stage.run_ms;
            known.wait_ms += stage.wait_ms;
        } else if self.stages.len() < STAGES {
            self.stages.push(stage);
        } else {
            return 1;
        }
        0
    }
}

state!(Passing { handovers, fans, passages, dropped });
state!(Handover { messages, wait, time });
state!(Fan { runs, spokes, longest });
state!(Passage { time, stages });
state!(Stage { function, runs, run_ms, wait_ms });

impl crate::state::State for FanKey {
    fn save(&self, to: &mut Vec<u8>) {
        let (hub, spoke) = match *self {
            Self::Out(hub, spoke) => (hub, Some(spoke)),
            Self::In(hub) => (hub, None),
        };
        (hub, spoke).save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        let (hub, spoke) = <(NodeId, Option<NodeId>)>::load(from)?;
        Some(spoke.map_or(Self::In(hub), |spoke| Self::Out(hub, spoke)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{bytes_of, value_of};

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    const C: NodeId = NodeId(3);

    fn some() -> Passing {
        let mut passing = Passing::default();
        passing.hand_over((A, B), 1.0, Some((5.0, 20.0)));
        passing.fan(FanKey::Out(A, B), 3, 40.0);
        passing.fan(FanKey::In(B), 1, 7.0);
        let stage = |function, run_ms, wait_ms| Stage { function, runs: 1.0, run_ms, wait_ms };
        passing.pass((A, C), 60.0, [stage(A, 10.0, 0.0), stage(B, 15.0, 5.0), stage(C, 20.0, 10.0)].into_iter());
        passing
    }

    #[test]
    fn parts_add_up_and_come_back_from_bytes() {
        let mut twice = some();
        twice.merge(&some());
        let twice: Passing = value_of(&bytes_of(&twice)).unwrap();
        assert_eq!(twice.handovers[&(A, B)].messages, 2.0);
        let fan = &twice.fans[&FanKey::Out(A, B)];
        assert_eq!((fan.runs, fan.spokes, fan.longest.count()), (2.0, 6.0, 2));
        assert_eq!(twice.fans[&FanKey::In(B)].longest.count(), 0, "a single message is no straggler");
        let passage = &twice.passages[&(A, C)];
        assert_eq!(passage.time.count(), 2);
        assert_eq!(passage.stages[1], Stage { function: B, runs: 2.0, run_ms: 30.0, wait_ms: 10.0 });
    }

    #[test]
    fn a_function_that_turns_out_to_be_another_takes_its_messages_along() {
        let mut renamed = Passing::default();
        renamed.merge_renamed(&some(), |node| if node == C { A } else { node });
        assert!(renamed.passages.contains_key(&(A, A)) && renamed.handovers.contains_key(&(A, B)));
    }

    #[test]
    fn what_there_is_no_room_for_is_counted() {
        let mut passing = Passing::default();
        (0..HANDOVERS as u64 + 5).for_each(|at| passing.hand_over((A, NodeId(at)), 1.0, None));
        assert_eq!(passing.dropped, 5);
    }
}
