//! Where the time goes.

use std::collections::BTreeMap;

use loopscope_analyzer::snapshot::{Hotspot, HotspotChange, Hotspots, NodeId, RootOperation};
use loopscope_proto::v1;

use super::finite;

/// Where the time goes; `names` says what the functions of root operations are called.
pub fn hotspots(found: &Hotspots, names: &BTreeMap<NodeId, String>) -> v1::HotspotList {
    v1::HotspotList {
        hotspots: found.list.iter().map(|spot| hotspot(spot, names)).collect(),
        basis: found.basis.word().to_owned(),
        range: found.range.map(|range| super::range(range, range.seconds())),
        roots: found.roots.iter().map(|root| root_operation(root, names)).collect(),
        paths: found.paths.map(|paths| super::range(paths, paths.seconds())),
    }
}

fn hotspot(spot: &Hotspot, names: &BTreeMap<NodeId, String>) -> v1::Hotspot {
    let edge = spot.edge.map(|(source, target)| v1::EdgeRef { source: source.to_string(), target: target.to_string() });
    let tail = spot.tail.as_ref();
    v1::Hotspot {
        rank: spot.rank,
        function: spot.name.to_string(),
        function_id: spot.function.to_string(),
        cause: spot.cause.word().to_owned(),
        edge,
        p95_ms: finite(spot.p95_ms),
        baseline_p95_ms: spot.baseline_p95_ms.filter(|ms| ms.is_finite()),
        share: finite(spot.share),
        samples: spot.samples,
        confidence: finite(spot.confidence),
        tail_share: tail.map(|tail| finite(tail.share)),
        root: tail.map(|tail| root_operation(&tail.root, names)),
        saves_10_ms: tail.map(|tail| finite(tail.saves_10_ms)),
        saves_50_ms: tail.map(|tail| finite(tail.saves_50_ms)),
        calls_per_trace: tail.map(|tail| finite(tail.calls_per_trace)),
        change: spot.change.as_ref().map(change),
    }
}

fn change(change: &HotspotChange) -> v1::HotspotChange {
    v1::HotspotChange {
        delta: finite(change.delta),
        shift_ms: finite(change.shift_ms),
        added_ms: finite(change.added_ms),
        baseline_samples: change.baseline_samples,
    }
}

fn root_operation(root: &RootOperation, names: &BTreeMap<NodeId, String>) -> v1::RootOperation {
    let name = |id: NodeId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    v1::RootOperation {
        id: root.id.to_string(),
        function: name(root.function),
        function_id: root.function.to_string(),
        operation: root.operation.to_string(),
        traces: finite(root.traces),
        samples: root.samples,
        p95_ms: finite(root.p95_ms),
        until_function: root.until.map(name).unwrap_or_default(),
        until_function_id: root.until.map(|id| id.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{
        snapshot::{Basis, HotspotCause, RootId, TailPart},
        span::ArrivalTime,
        windows::Range,
    };

    use super::*;

    #[test]
    fn a_hotspot_says_where_the_time_goes_and_what_rests_on_it() {
        let root = RootOperation {
            id: RootId(0xab),
            function: NodeId(7),
            operation: "GET /cart".into(),
            until: None,
            traces: 40.0,
            samples: 4,
            p95_ms: f64::NAN,
        };
        let tail =
            TailPart { share: 0.25, root: root.clone(), saves_10_ms: 34.0, saves_50_ms: 150.0, calls_per_trace: 2.0 };
        let own = Hotspot {
            rank: 1,
            function: NodeId(7),
            name: "f".into(),
            edge: None,
            cause: HotspotCause::Own,
            p95_ms: 12.0,
            baseline_p95_ms: None,
            share: 0.5,
            samples: 4,
            confidence: 0.75,
            tail: None,
            change: None,
        };
        let change = HotspotChange { delta: 1.0, shift_ms: 5.0, added_ms: 10.0, baseline_samples: 3 };
        let gap = Hotspot {
            rank: 2,
            edge: Some((NodeId(7), NodeId(8))),
            cause: HotspotCause::Gap,
            tail: Some(tail),
            change: Some(change),
            ..own.clone()
        };
        let range = Range { from: ArrivalTime(1_000_000_000), to: ArrivalTime(61_000_000_000) };
        let found = Hotspots {
            basis: Basis::CriticalPath,
            range: Some(range),
            paths: None,
            list: vec![own, gap],
            roots: vec![root],
        };
        let message = hotspots(&found, &BTreeMap::from([(NodeId(7), "shop".to_owned())]));
        assert_eq!((message.basis.as_str(), message.range.as_ref().unwrap().seen_seconds), ("critical_path", 60.0));
        let [own, gap] = &message.hotspots[..] else { panic!("{message:?}") };
        assert_eq!((own.cause.as_str(), own.tail_share, own.root.as_ref()), ("self", None, None));
        assert_eq!((gap.cause.as_str(), gap.tail_share, gap.saves_10_ms), ("gap", Some(0.25), Some(34.0)));
        assert_eq!(gap.edge.as_ref().unwrap().target, "0000000000000008");
        assert_eq!(gap.change.as_ref().unwrap().shift_ms, 5.0);
        let root = &message.roots[0];
        assert_eq!((root.function.as_str(), root.p95_ms, root.until_function.as_str()), ("shop", 0.0, ""));
        assert_eq!(root.id, "00000000000000ab");
    }
}
