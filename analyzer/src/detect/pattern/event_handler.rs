//! Event handlers: functions that messages or changes of stores start, and nobody calls.

use super::{
    confidence,
    map::{EDGE_SHARE, Map, Node},
};
use crate::{
    record::Nature,
    sampling::rounded,
    snapshot::{EventHandler, EventSource, ResourceKind},
};

/// Finds the event handlers.
pub(super) fn event_handlers(map: &Map<'_>) -> Vec<EventHandler> {
    map.nodes.values().filter_map(|node| event_handler(map, node)).collect()
}

/// The part of its runs that events started, of those of which it is known.
fn event_share(nature: &Nature) -> f64 {
    let runs = nature.runs();
    if runs > 0.0 { (nature.by_queue + nature.by_store) / runs } else { 0.0 }
}

fn event_handler(map: &Map<'_>, node: &Node<'_>) -> Option<EventHandler> {
    let nature = &node.counts.nature;
    let event_share = event_share(nature);
    let is_called = node.main_ins().iter().any(|way| way.is_call);
    if event_share < 1.0 - EDGE_SHARE || is_called {
        return None;
    }
    let mut sources: Vec<EventSource> = map
        .sources
        .get(&node.id)
        .into_iter()
        .flatten()
        .map(|(resource, count)| EventSource {
            resource: map.name(*resource),
            kind: map.around.resources.get(resource).map(|resource| resource.kind),
            deliveries: rounded(*count),
        })
        .collect();
    // What a schedule starts is no event, even where it comes as a message.
    sources.retain(|source| source.kind != Some(ResourceKind::Schedule));
    sources.sort_by(|a, b| b.deliveries.cmp(&a.deliveries).then_with(|| a.resource.cmp(&b.resource)));
    Some(EventHandler {
        function: map.name(node.id),
        trigger: if nature.by_store > nature.by_queue { "datasource" } else { "pubsub" },
        sources,
        runs: rounded(node.runs()),
        event_share,
        messages_per_run: (nature.deliveries > 0.0).then(|| nature.messages / nature.deliveries),
        confidence: confidence(node.seen()),
    })
}
