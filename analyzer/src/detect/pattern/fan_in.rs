//! Fan-ins: functions that bring together what several sent, as many messages in one run or from many senders.

use std::collections::BTreeMap;

use super::{busiest, confidence, map::Map, map::Node, straggler};
use crate::{
    record::FanKey,
    sampling::rounded,
    snapshot::{FanIn, NodeId},
};

/// Fewest messages of one run in the mean.
const MESSAGES: f64 = 3.0;

/// Fewest functions that send to it.
const PRODUCERS: usize = 3;

/// Finds the fan-ins.
pub(super) fn fan_ins(map: &Map<'_>) -> Vec<FanIn> {
    map.nodes.values().filter_map(|node| fan_in(map, node)).collect()
}

fn fan_in(map: &Map<'_>, node: &Node<'_>) -> Option<FanIn> {
    let mut sent = BTreeMap::<NodeId, f64>::new();
    for way in node.main_ins().iter().filter(|way| !way.is_call) {
        if let Some(producer) = way.function.filter(|producer| *producer != node.id) {
            *sent.entry(producer).or_default() += way.count;
        }
    }
    let nature = &node.counts.nature;
    let messages_per_run = if nature.deliveries > 0.0 { nature.messages / nature.deliveries } else { 0.0 };
    if messages_per_run < MESSAGES && sent.len() < PRODUCERS {
        return None;
    }
    let gathered = map.measured.passing.fans.get(&FanKey::In(node.id));
    let waits = sent.keys().filter_map(|producer| map.measured.passing.handovers.get(&(*producer, node.id)));
    let mut each = crate::window::sketch();
    waits.for_each(|handover| crate::window::merge(&mut each, &handover.wait));
    Some(FanIn {
        function: map.name(node.id),
        producers: busiest(sent.iter().map(|(producer, count)| (*count, map.name(*producer))).collect()),
        runs: rounded(nature.deliveries),
        messages_per_run,
        straggler: gathered.and_then(|gathered| straggler(&gathered.longest, &each)),
        confidence: confidence(nature.deliveries.min(node.seen())),
    })
}
