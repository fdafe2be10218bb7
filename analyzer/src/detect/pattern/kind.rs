//! Functions and services told apart by how they behave: what their spans declare, how their instances come and go,
//! what starts them, where they keep state, how they take on load.
//!
//! Each aspect that says something has a weight, and the sum decides. A platform of functions that runs several requests
//! at a time in few instances that live long is like a service, whatever it is called; its evidence says so.

use super::{
    confidence,
    map::{Map, Node},
};
use crate::{
    sampling::rounded,
    snapshot::{Aspect, Evidence, FunctionKind, Likeness},
};

/// Runs of an instance below which it says nothing that it came back, or came back alone.
const FEW: f64 = 20.0;

/// Part of the runs of used instances that overlap with another, from which on an instance takes several at a time.
const OVERLAPPING: f64 = 0.02;

/// Runs going on in each instance in the mean that no function of one request at a time can have.
const CONCURRENT: f64 = 1.2;

/// Runs of one instance in the mean from which on instances live long.
const LONG_LIVED: f64 = 1_000.0;

/// Words of which one is in the name of every platform of functions (`cloud.platform` of the semantic conventions, and
/// `faas` as a word of its own).
const PLATFORMS: [&str; 7] = ["lambda", "function", "cloud_run", "workers", "_fc", "_scf", "openwhisk"];

/// Part of the runs that makes a rule.
const MOST: f64 = 0.5;

/// Says what each function is like.
pub(super) fn kinds(map: &Map<'_>) -> Vec<FunctionKind> {
    map.nodes.values().map(|node| kind(map, node)).collect()
}

fn kind(map: &Map<'_>, node: &Node<'_>) -> FunctionKind {
    let weighed: Vec<(f64, Evidence)> = [
        declared(node),
        lifecycle(node),
        instances(node),
        trigger(node),
        state(node),
        scaling(node),
        concurrency(map, node),
    ]
    .into_iter()
    .flatten()
    .collect();
    let score: f64 = weighed
        .iter()
        .map(|(weight, evidence)| match evidence.says {
            Likeness::Faas => *weight,
            Likeness::Service => -*weight,
            Likeness::Unclear => 0.0,
        })
        .sum();
    let likeness = match score {
        score if score >= 1.0 => Likeness::Faas,
        score if score <= -1.0 => Likeness::Service,
        _ => Likeness::Unclear,
    };
    // Weights are log-odds, by judgement.
    let sure = 1.0 / (1.0 + (-score.abs()).exp());
    FunctionKind {
        function: map.name(node.id),
        likeness,
        confidence: if likeness == Likeness::Unclear { 0.0 } else { sure * confidence(node.seen()) },
        runs: rounded(node.runs()),
        evidence: weighed.into_iter().map(|(_, evidence)| evidence).collect(),
    }
}

fn says(weight: f64, aspect: Aspect, says: Likeness, seen: String) -> Option<(f64, Evidence)> {
    Some((weight, Evidence { aspect, says, seen }))
}

fn declared(node: &Node<'_>) -> Option<(f64, Evidence)> {
    let (faas, runs) = (node.counts.nature.faas, node.counts.nature.runs());
    let platform = &node.counts.function.platform;
    let is_platform = PLATFORMS.iter().any(|word| platform.contains(word));
    match (runs > 0.0 && faas >= MOST * runs, is_platform) {
        (true, _) => says(1.5, Aspect::Declared, Likeness::Faas, "spans have faas attributes".to_owned()),
        (false, true) => says(1.0, Aspect::Declared, Likeness::Faas, format!("the platform is {platform}")),
        (false, false) => says(1.0, Aspect::Declared, Likeness::Service, "no span has faas attributes".to_owned()),
    }
}

fn lifecycle(node: &Node<'_>) -> Option<(f64, Evidence)> {
    let (cold, runs) = (node.counts.cold_starts, node.runs());
    let seen = format!("{} of {} runs are cold starts", rounded(cold), rounded(runs));
    if cold > 0.0 { says(1.5, Aspect::Lifecycle, Likeness::Faas, seen) } else { None }
}

fn instances(node: &Node<'_>) -> Option<(f64, Evidence)> {
    let instances = node.counts.nature.instances.count();
    let runs = node.counts.nature.runs();
    if instances < 1.0 || runs < FEW {
        return None;
    }
    let each = runs / instances;
    let seen = format!("{} instances, {each:.0} runs each", instances.round());
    match () {
        () if each >= LONG_LIVED => says(0.5, Aspect::Lifecycle, Likeness::Service, seen),
        () if instances >= 3.0 && each <= FEW => says(0.5, Aspect::Lifecycle, Likeness::Faas, seen),
        () => says(0.0, Aspect::Lifecycle, Likeness::Unclear, seen),
    }
}

fn trigger(node: &Node<'_>) -> Option<(f64, Evidence)> {
    let nature = &node.counts.nature;
    let runs = nature.runs();
    if runs <= 0.0 {
        return None;
    }
    let events = (nature.by_queue + nature.by_store + nature.by_schedule) / runs;
    let seen = format!("events start {:.0} % of the runs", events * 100.0);
    // Services handle messages too, and functions requests.
    let (weight, likeness) = if events >= MOST { (0.5, Likeness::Faas) } else { (0.0, Likeness::Unclear) };
    says(weight, Aspect::Trigger, likeness, seen)
}

fn state(node: &Node<'_>) -> Option<(f64, Evidence)> {
    let uses: f64 = node.stores.iter().map(|(_, count)| count).sum();
    let each = uses / node.runs();
    // Services keep state in stores as well: it only says that there is some outside.
    let seen = format!("{each:.1} uses of stores for each run");
    if uses > 0.0 { says(0.0, Aspect::State, Likeness::Unclear, seen) } else { None }
}

fn scaling(node: &Node<'_>) -> Option<(f64, Evidence)> {
    let nature = &node.counts.nature;
    if nature.again < FEW {
        return None;
    }
    let share = nature.overlapping / nature.again;
    let seen = format!("{:.0} % of the runs overlap with another of the same instance", share * 100.0);
    if share >= OVERLAPPING {
        says(2.5, Aspect::Scaling, Likeness::Service, seen)
    } else {
        says(1.0, Aspect::Scaling, Likeness::Faas, seen)
    }
}

fn concurrency(map: &Map<'_>, node: &Node<'_>) -> Option<(f64, Evidence)> {
    let instances = node.counts.nature.instances.count();
    let busy_ms = node.counts.duration.sum()? * node.runs() / node.seen().max(1.0);
    // Each of them may have been there for a part of the time alone: then it had even more going on.
    let each = busy_ms / (instances * map.measured.seconds * 1_000.0);
    let is_known = instances >= 1.0 && map.measured.seconds > 0.0;
    let seen = format!("{each:.1} runs go on in each instance at a time");
    if is_known && each >= CONCURRENT { says(1.5, Aspect::Scaling, Likeness::Service, seen) } else { None }
}
