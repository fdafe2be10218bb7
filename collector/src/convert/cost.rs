//! What functions cost, as a wire message.

use loopscope_analyzer::{
    price::{BreakEven, ContainerPrices, ContainerSize},
    snapshot::{
        CostReport, Costs, EdgeCost, FitVerdict, FunctionCost, GroupCost, PipelineCost, PriceUsed, TriggerCost,
    },
    windows::Range,
};
use loopscope_proto::v1;

use super::{finite, range, texts};

/// What functions cost in a range of time, with at most `limit` entries in each list. Loops are those of the view, with
/// what they cost over all time.
pub(crate) fn cost_report(report: &CostReport, loops: &[v1::Loop], time: Range, limit: usize) -> v1::CostReport {
    v1::CostReport {
        currency: report.currency.to_string(),
        range: Some(range(time, report.seconds)),
        total: Some(costs(&report.total)),
        per_month: finite(report.total.per_month(report.seconds)),
        assumed: finite(report.assumed),
        functions: report.functions.iter().take(limit).map(function).collect(),
        edges: report.edges.iter().take(limit).map(edge).collect(),
        pipelines: report.pipelines.iter().take(limit).map(pipeline).collect(),
        triggers: report.triggers.iter().take(limit).map(trigger).collect(),
        loops: dear_loops(loops, limit),
        apps: report.apps.iter().take(limit).map(group).collect(),
        owners: report.owners.iter().take(limit).map(group).collect(),
        environments: report.environments.iter().take(limit).map(group).collect(),
        prices: report.prices.iter().map(price).collect(),
        containers: report.containers.as_deref().map(containers),
    }
}

fn dear_loops(loops: &[v1::Loop], limit: usize) -> Vec<v1::LoopShare> {
    let mut priced: Vec<(&v1::Loop, &v1::LoopCost)> = loops
        .iter()
        .filter_map(|found| Some((found, found.cost.as_ref()?)))
        .filter(|(_, cost)| cost.so_far > 0.0)
        .collect();
    priced.sort_by(|(one, a), (other, b)| b.so_far.total_cmp(&a.so_far).then_with(|| one.id.cmp(&other.id)));
    let share = |(found, cost): (&v1::Loop, &v1::LoopCost)| v1::LoopShare {
        id: found.id.clone(),
        functions: found.functions.clone(),
        cost: Some(cost.clone()),
    };
    priced.into_iter().take(limit).map(share).collect()
}

fn costs(costs: &Costs) -> v1::Costs {
    v1::Costs {
        total: finite(costs.total()),
        time: finite(costs.time),
        requests: finite(costs.requests),
        calls: finite(costs.calls),
        waiting: finite(costs.waiting),
        double_billed: finite(costs.double_billed),
        cold: finite(costs.cold),
    }
}

fn function(line: &FunctionCost) -> v1::FunctionCost {
    v1::FunctionCost {
        id: line.id.to_string(),
        name: line.name.to_string(),
        environment: line.environment.to_string(),
        kind: line.platform.to_string(),
        owner: line.owner.to_string(),
        apps: texts(&line.apps),
        requests: finite(line.requests),
        gb_seconds: finite(line.gb_seconds),
        mean_ms: finite(line.mean_ms),
        memory_mb: line.memory_mb,
        costs: Some(costs(&line.costs)),
        is_assumed: line.is_assumed,
        per_second: finite(line.per_second),
        peak_per_second: finite(line.peak_per_second),
        variation: line.variation.filter(|number| number.is_finite()),
        break_even: line.break_even.as_ref().map(break_even),
        verdicts: line.verdicts.iter().map(verdict).collect(),
    }
}

fn break_even(even: &BreakEven) -> v1::BreakEven {
    v1::BreakEven {
        size: Some(size(&even.size)),
        per_task: finite(even.per_task),
        tasks: finite(even.tasks),
        function_per_month: finite(even.function_per_month),
        containers_per_month: finite(even.containers_per_month),
        ratio: even.ratio().filter(|number| number.is_finite()),
        rate_per_second: even.rate_per_second.filter(|number| number.is_finite()),
    }
}

fn verdict(verdict: &FitVerdict) -> v1::FitVerdict {
    let number =
        |(name, value): &(&'static str, f64)| v1::NamedNumber { name: (*name).to_owned(), value: finite(*value) };
    v1::FitVerdict {
        fit: verdict.fit.word().to_owned(),
        words: verdict.words.clone(),
        confidence: finite(verdict.confidence),
        numbers: verdict.numbers.iter().map(number).collect(),
        would_change: verdict.would_change.clone(),
    }
}

fn edge(edge: &EdgeCost) -> v1::EdgeCost {
    v1::EdgeCost {
        source: edge.source.to_string(),
        target: edge.target.to_string(),
        kind: edge.kind.word().to_owned(),
        calls: finite(edge.calls),
        total: finite(edge.total()),
        uses: finite(edge.uses),
        waiting: finite(edge.waiting),
        downstream: finite(edge.downstream),
        is_in_loop: edge.is_in_loop,
    }
}

fn pipeline(pipeline: &PipelineCost) -> v1::PipelineCost {
    v1::PipelineCost {
        path: texts(&pipeline.path),
        functions: texts(&pipeline.names),
        entries: finite(pipeline.entries),
        total: finite(pipeline.total()),
        stages: finite(pipeline.stages),
        called: finite(pipeline.called),
    }
}

fn trigger(trigger: &TriggerCost) -> v1::TriggerCost {
    v1::TriggerCost {
        id: trigger.id.to_string(),
        name: trigger.name.to_string(),
        kind: trigger.kind.to_owned(),
        entries: finite(trigger.entries),
        cost: finite(trigger.cost),
        per_entry: (trigger.entries > 0.0).then(|| finite(trigger.cost / trigger.entries)),
    }
}

fn group(group: &GroupCost) -> v1::GroupCost {
    v1::GroupCost { name: group.name.to_string(), functions: group.functions, costs: Some(costs(&group.costs)) }
}

fn price(used: &PriceUsed) -> v1::PriceUsed {
    v1::PriceUsed { item: used.item.clone(), as_of: used.as_of.to_string() }
}

fn containers(prices: &ContainerPrices) -> v1::ContainerAssumptions {
    v1::ContainerAssumptions {
        name: prices.name.to_string(),
        per_vcpu_hour: prices.per_vcpu_hour,
        per_gb_hour: prices.per_gb_hour,
        load_balancer_per_hour: prices.load_balancer_per_hour,
        utilisation: prices.utilisation,
        min_tasks: prices.min_tasks,
        sizes: prices.sizes.iter().map(size).collect(),
        as_of: prices.as_of.to_string(),
    }
}

fn size(size: &ContainerSize) -> v1::ContainerSize {
    v1::ContainerSize { vcpu: size.vcpu, gb: size.gb, concurrency: size.concurrency }
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{
        snapshot::{EdgeKind, NodeId},
        span::ArrivalTime,
    };

    use super::*;

    const TIME: Range = Range { from: ArrivalTime(0), to: ArrivalTime(60_000_000_000) };

    #[test]
    fn lists_are_cut_and_loops_come_dearest_first() {
        let edge = |target| EdgeCost {
            source: NodeId(1),
            target: NodeId(target),
            kind: EdgeKind::Read,
            calls: 2.0,
            uses: 3.0,
            waiting: f64::NAN,
            downstream: 0.0,
            is_in_loop: false,
        };
        let costs = Costs { time: 2.0, requests: 1.0, calls: 3.0, waiting: 1.0, double_billed: 0.5, cold: 0.25 };
        let report = CostReport {
            currency: "USD".into(),
            seconds: 3_600.0,
            total: costs,
            edges: vec![edge(2), edge(3)],
            ..CostReport::default()
        };
        let found = |id: &str, so_far| v1::Loop {
            id: id.into(),
            cost: Some(v1::LoopCost { so_far, ..Default::default() }),
            ..Default::default()
        };
        let loops = [found("a", 1.0), found("b", 2.0), found("c", 0.0), v1::Loop::default()];
        let message = cost_report(&report, &loops, TIME, 1);
        assert_eq!((message.total.unwrap().total, message.per_month), (6.0, 6.0 * 730.0));
        assert_eq!((message.edges.len(), message.edges[0].waiting), (1, 0.0));
        assert_eq!(message.range.unwrap().seen_seconds, 3_600.0);
        let ids = |limit| -> Vec<String> {
            cost_report(&report, &loops, TIME, limit).loops.into_iter().map(|share| share.id).collect()
        };
        assert_eq!((ids(1), ids(9)), (vec!["b".to_owned()], vec!["b".to_owned(), "a".to_owned()]));
    }
}
