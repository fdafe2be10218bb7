//! Changes, with the names that the graph has for their ends.

use loopscope_analyzer::detect::change::{Aspect, Change, Direction, Level};
use loopscope_proto::v1;

use super::{arrival_time, event_time, finite, node_name};

/// A change, as readers of this graph know it.
pub fn change(change: &Change, graph: &v1::Graph) -> v1::Change {
    let (subject, aspect) = (change.series.subject, change.series.aspect);
    let function_id = subject.function.to_string();
    let edge = subject.edge.map(|(target, _)| v1::EdgeRef { source: function_id.clone(), target: target.to_string() });
    let is_share = matches!(aspect, Aspect::Errors | Aspect::ColdStarts);
    let (version, version_first_seen) = match &change.version {
        Some((version, first)) => (version.to_string(), event_time(*first)),
        None => (String::new(), None),
    };
    v1::Change {
        function: node_name(graph, &function_id),
        edge_kind: subject.edge.map_or_else(String::new, |(_, kind)| kind.word().to_owned()),
        target: edge.as_ref().map_or_else(String::new, |edge| node_name(graph, &edge.target)),
        function_id,
        edge,
        aspect: match aspect {
            Aspect::Duration => "duration",
            Aspect::SelfTime => "self",
            Aspect::Gap => "gap",
            Aspect::Errors => "errors",
            Aspect::ColdStarts => "cold_starts",
        }
        .to_owned(),
        direction: match change.direction {
            Direction::Regression => "regression",
            Direction::Improvement => "improvement",
        }
        .to_owned(),
        since: Some(arrival_time(change.since)),
        found_at: Some(arrival_time(change.found)),
        until: change.until.map(arrival_time),
        settled_at: change.settled.map(arrival_time),
        before: Some(level(change.before, is_share)),
        after: Some(level(change.after, is_share)),
        confidence: finite(change.confidence),
        version,
        version_first_seen,
    }
}

fn level(level: Level, is_share: bool) -> v1::Level {
    v1::Level {
        samples: level.samples,
        p50_ms: (!is_share).then_some(finite(level.p50_ms)),
        p95_ms: (!is_share).then_some(finite(level.p95_ms)),
        share: is_share.then_some(finite(level.share)),
    }
}
