//! What people need to judge a loop, as wire messages: R, counts, cost, declaration, changes, the platform's guard.

use loopscope_analyzer::{
    intended::{Breach, IntendedState, Judgement},
    price::LoopCost,
    snapshot::{Flow, FlowHop, NodeId, PlatformGuard, Reproduction, VersionChange},
};
use loopscope_proto::v1;

use super::{arrival_time, event_time, finite};

/// R with its interval.
pub(super) fn reproduction(r: Reproduction) -> v1::Reproduction {
    v1::Reproduction { mean: finite(r.mean), low: finite(r.low), high: finite(r.high) }
}

/// What counts alone tell of a loop.
pub(super) fn flow(flow: &Flow) -> v1::Flow {
    let hop = |hop: &FlowHop| v1::FlowHop {
        function_id: hop.function.to_string(),
        over: hop.over.to_string(),
        sent: finite(hop.sent),
        share: finite(hop.share),
    };
    v1::Flow {
        reproduction: Some(reproduction(flow.reproduction)),
        laps_per_minute: finite(flow.laps_per_minute),
        immigrants_per_minute: finite(flow.immigrants_per_minute),
        hops: flow.hops.iter().map(hop).collect(),
    }
}

/// What a loop costs.
pub(super) fn cost(cost: &LoopCost) -> v1::LoopCost {
    v1::LoopCost {
        so_far: finite(cost.so_far),
        per_hour: finite(cost.per_hour),
        next_24h: finite(cost.next_24h),
        concurrency_share: finite(cost.concurrency_share),
        seconds_to_saturation: cost.seconds_to_saturation.filter(|seconds| seconds.is_finite()),
        currency: cost.currency.to_string(),
        is_assumed: cost.is_assumed,
    }
}

/// The declaration of a loop.
pub(super) fn intended(state: &IntendedState) -> v1::IntendedState {
    v1::IntendedState {
        id: state.id.to_string(),
        owner: state.owner.to_string(),
        reason: state.reason.to_string(),
        max_depth: state.max_depth,
        max_rate_per_minute: state.max_rate_per_minute.filter(|rate| rate.is_finite()),
        expires: state.expires.map(arrival_time),
        is_broken: matches!(state.judgement, Judgement::Broken(_)),
        is_expired: state.judgement == Judgement::Expired,
        breach: breach(&state.judgement),
    }
}

/// Which bound broke and by how much, in words; empty while none is.
pub(crate) fn breach(judgement: &Judgement) -> String {
    match *judgement {
        Judgement::Broken(Breach::Depth { found, bound }) => format!("{found} laps deep, declared are {bound}"),
        Judgement::Broken(Breach::Rate { found, bound }) => format!("{found:.0} laps a minute, declared are {bound}"),
        Judgement::Broken(Breach::Growth { reproduction }) => {
            let each = reproduction.map_or_else(String::new, |r| format!(" (each causes {r:.1})"));
            format!("its laps multiply{each}, and no rate is declared")
        }
        Judgement::Broken(Breach::Unseen) => {
            "it is an alarm whose depth nobody sees, and no rate is declared".to_owned()
        }
        Judgement::Within | Judgement::Expired => String::new(),
    }
}

/// A version that replaced another.
pub(super) fn change(change: &VersionChange) -> v1::VersionChange {
    v1::VersionChange {
        function_id: change.function.to_string(),
        function: change.name.to_string(),
        from: change.from.to_string(),
        to: change.to.to_string(),
        at: event_time(change.at),
    }
}

/// What the platform's guard makes of a loop.
pub(super) fn platform_guard(guard: &PlatformGuard) -> v1::PlatformGuard {
    let hop =
        |(source, target): (NodeId, NodeId)| v1::EdgeRef { source: source.to_string(), target: target.to_string() };
    v1::PlatformGuard {
        name: guard.name.to_owned(),
        is_covered: guard.uncovered.is_none(),
        stops_at: guard.stops_at,
        uncovered: guard.uncovered.map(hop),
    }
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::span::ArrivalTime;

    use super::*;

    #[test]
    fn a_declaration_says_in_words_what_broke() {
        let state = |judgement| {
            intended(&IntendedState {
                id: "i".into(),
                owner: "media".into(),
                reason: "".into(),
                max_depth: Some(20),
                max_rate_per_minute: Some(f64::INFINITY),
                expires: Some(ArrivalTime(1_000_000_000)),
                judgement,
            })
        };
        let broken = state(Judgement::Broken(Breach::Depth { found: 21, bound: 20 }));
        assert_eq!((broken.is_broken, broken.breach.as_str()), (true, "21 laps deep, declared are 20"));
        assert_eq!((broken.max_rate_per_minute, broken.expires.unwrap().seconds), (None, 1));
        let rate = state(Judgement::Broken(Breach::Rate { found: 61.4, bound: 60.0 }));
        assert_eq!(rate.breach, "61 laps a minute, declared are 60");
        let growth = state(Judgement::Broken(Breach::Growth { reproduction: Some(2.04) }));
        assert_eq!(growth.breach, "its laps multiply (each causes 2.0), and no rate is declared");
        let unseen = state(Judgement::Broken(Breach::Unseen));
        assert_eq!(unseen.breach, "it is an alarm whose depth nobody sees, and no rate is declared");
        let expired = state(Judgement::Expired);
        assert_eq!((expired.is_broken, expired.is_expired, expired.breach.as_str()), (false, true, ""));
    }

    #[test]
    fn a_guard_is_covered_or_names_the_hop() {
        let guard = PlatformGuard { name: "aws_lambda", stops_at: None, uncovered: Some((NodeId(1), NodeId(2))) };
        let message = platform_guard(&guard);
        assert_eq!((message.is_covered, message.uncovered.unwrap().target.as_str()), (false, "0000000000000002"));
        assert!(platform_guard(&PlatformGuard { stops_at: Some(16), uncovered: None, ..guard }).is_covered);
    }
}
