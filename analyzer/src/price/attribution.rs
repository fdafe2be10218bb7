//! Which trigger pays for what, and what calls over an edge cause: costs carried back along the graph.
//!
//! The runs of a function are caused over the edges that lead to it, and by whoever asks from outside; what it costs, and
//! all that it causes, is shared out over them by their number. Functions of a loop cause each other, so they are one
//! place here, and the loop's costs belong to what enters it. Nothing is lost and nothing counted twice: the triggers add
//! up to the total. O(nodes + edges).

use crate::detect::cycle::{Graph, components};

/// A place at which something is caused: a function, or a resource between functions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Site {
    /// What it costs itself.
    pub(crate) own: f64,
    /// Runs, or what a resource delivered to the one that it delivered most to.
    pub(crate) runs: f64,
}

/// What is caused over an edge, by the places of its ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flow {
    pub(crate) source: u32,
    pub(crate) target: u32,
    pub(crate) calls: f64,
}

/// What a trigger has set off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SetOff {
    /// The place at which it enters.
    pub(crate) site: u32,
    /// How often; 0 where only a loop is seen and not how it began.
    pub(crate) entries: f64,
    pub(crate) cost: f64,
}

/// Who pays for what.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Attribution {
    /// What is caused over each edge, with all that follows, and whether the edge lies within a loop.
    pub(crate) caused: Vec<(f64, bool)>,
    /// What each trigger has set off.
    pub(crate) set_off: Vec<SetOff>,
}

/// Shares out what `sites` cost. `flows` are ordered by source and target, each pair once.
pub(crate) fn attribute(sites: &[Site], flows: &[Flow]) -> Attribution {
    let ends: Vec<(u32, u32, u64)> = flows.iter().map(|flow| (flow.source, flow.target, 1)).collect();
    let Ok(mut graph) = Graph::from_sorted_edges(&ends) else { return Attribution::default() };
    while graph.node_count() < sites.len() {
        graph.add_node(());
    }
    let (_, component) = components(&graph);
    let of = |site: u32| component[site as usize] as usize;
    let within = |flow: &Flow| of(flow.source) == of(flow.target);
    let outside = from_outside(sites, flows);
    // What enters each component, and what it costs with all that follows from it.
    let mut entering = vec![0.0; sites.len()];
    let mut cost = vec![0.0; sites.len()];
    for (place, site) in (0..).zip(sites) {
        entering[of(place)] += outside[place as usize];
        cost[of(place)] += site.own;
    }
    for flow in flows.iter().filter(|flow| !within(flow)) {
        entering[of(flow.target)] += flow.calls;
    }
    let share = |entering: f64, calls: f64| if entering > 0.0 { calls / entering } else { 0.0 };
    // Components are numbered from the ends of the graph upwards, so what follows is known before what it follows from.
    let mut upwards: Vec<usize> = (0..flows.len()).collect();
    upwards.sort_by_key(|at| of(flows[*at].source));
    let mut caused = vec![(0.0, false); flows.len()];
    for at in upwards {
        let flow = &flows[at];
        if within(flow) {
            let target = &sites[flow.target as usize];
            caused[at] = (target.own * share(target.runs.max(flow.calls), flow.calls), true);
            continue;
        }
        let amount = cost[of(flow.target)] * share(entering[of(flow.target)], flow.calls);
        cost[of(flow.source)] += amount;
        caused[at] = (amount, false);
    }
    let mut set_off = Vec::new();
    let mut is_known = vec![false; sites.len()];
    for place in 0..sites.len() as u32 {
        let (number, entries) = (of(place), outside[place as usize]);
        if entries > 0.0 {
            set_off.push(SetOff { site: place, entries, cost: cost[number] * share(entering[number], entries) });
        } else if entering[number] <= 0.0 && cost[number] > 0.0 && !is_known[number] {
            is_known[number] = true;
            set_off.push(SetOff { site: place, entries: 0.0, cost: cost[number] });
        }
    }
    Attribution { caused, set_off }
}

/// Runs of each place that no edge accounts for.
fn from_outside(sites: &[Site], flows: &[Flow]) -> Vec<f64> {
    let mut outside: Vec<f64> = sites.iter().map(|site| site.runs).collect();
    for flow in flows {
        outside[flow.target as usize] -= flow.calls;
    }
    outside.iter_mut().for_each(|runs| *runs = runs.max(0.0));
    outside
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sites(all: &[(f64, f64)]) -> Vec<Site> {
        all.iter().map(|(own, runs)| Site { own: *own, runs: *runs }).collect()
    }

    fn flows(all: &[(u32, u32, f64)]) -> Vec<Flow> {
        all.iter().map(|(source, target, calls)| Flow { source: *source, target: *target, calls: *calls }).collect()
    }

    #[test]
    fn a_shared_function_is_paid_for_by_its_callers() {
        // 0 and 1 are asked from outside and call 2, which is asked from outside too.
        let found = attribute(&sites(&[(1.0, 10.0), (2.0, 30.0), (8.0, 80.0)]), &flows(&[(0, 2, 20.0), (1, 2, 40.0)]));
        assert_eq!(found.caused, [(2.0, false), (4.0, false)]);
        let costs: Vec<(u32, f64)> = found.set_off.iter().map(|it| (it.site, it.cost)).collect();
        assert_eq!(costs, [(0, 3.0), (1, 6.0), (2, 2.0)]);
    }

    #[test]
    fn a_loop_is_paid_for_by_what_enters_it() {
        // 0 sets off the loop of 1 and 2 once, which goes round a hundred times.
        let found = attribute(
            &sites(&[(1.0, 1.0), (50.0, 100.0), (40.0, 99.0)]),
            &flows(&[(0, 1, 1.0), (1, 2, 99.0), (2, 1, 99.0)]),
        );
        assert_eq!(found.set_off, [SetOff { site: 0, entries: 1.0, cost: 91.0 }]);
        assert_eq!((found.caused[0], found.caused[1]), ((90.0, false), (40.0, true)));
        let alone = attribute(&sites(&[(5.0, 9.0), (4.0, 9.0)]), &flows(&[(0, 1, 9.0), (1, 0, 9.0)]));
        assert_eq!(alone.set_off, [SetOff { site: 0, entries: 0.0, cost: 9.0 }]);
    }

    proptest! {
        #[test]
        fn triggers_add_up_to_the_total(
            costs in prop::collection::vec((0.0f64..100.0, 0.0f64..100.0), 1..12),
            edges in prop::collection::btree_map((0u32..12, 0u32..12), 0.0f64..50.0, 0..40),
        ) {
            let sites = sites(&costs);
            let count = sites.len() as u32;
            let edges: Vec<Flow> = edges
                .iter()
                .filter(|((source, target), _)| *source < count && *target < count)
                .map(|((source, target), calls)| Flow { source: *source, target: *target, calls: *calls })
                .collect();
            let found = attribute(&sites, &edges);
            let (total, set_off): (f64, f64) =
                (sites.iter().map(|site| site.own).sum(), found.set_off.iter().map(|it| it.cost).sum());
            prop_assert!((total - set_off).abs() < 1e-6 * total.max(1.0), "{} is not {}", set_off, total);
        }
    }
}
