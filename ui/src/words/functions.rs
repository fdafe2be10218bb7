//! What is wrong with a function: cold starts, what it waits for stores, time-outs, memory, throttles.

use loopscope_proto::v1::{
    ColdStarts, FunctionFacts, MemoryUse, ReportedByMetrics, StateTax, Throttles, TimeOutRisk, ValuesOfMetrics,
};

use crate::format;

/// A word of `risks` as readers see it, and what it means.
pub fn risk(word: &str) -> (&'static str, &'static str) {
    match word {
        "time_out" => ("time-outs", "one time-out a day or more is to be expected, or some were seen"),
        "memory_low" => ("memory low", "less than a tenth of its memory stays free in the largest runs"),
        "memory_leak" => ("memory leak", "what its instances use grows from run to run"),
        "throttled" => ("throttled", "one call of it in 100 or more is refused because there are too many"),
        "cold_starts" => ("cold starts", "half of its slow runs or more are cold"),
        "chatty_state" => ("chatty state", "runs use stores ten times or more in a row"),
        _ => ("something else", "this page does not know the word; the API does"),
    }
}

/// A number of runs that sampling may have made uneven: `12`, `3.4`.
pub fn runs(n: f64) -> String {
    if n > 0.0 && n < 9.95 && (n - n.round()).abs() > 0.05 {
        format!("{n:.1}")
    } else {
        format::count(n.max(0.0).round() as u64)
    }
}

/// The facts that spans do not carry, each with who said it.
pub fn facts(facts: &FunctionFacts) -> Vec<(&'static str, String)> {
    let said = |value: String, source: &str| if source.is_empty() { value } else { format!("{value} ({source})") };
    let time_out = match facts.time_out_ms {
        Some(ms) => said(format::duration(ms as f64), &facts.time_out_source),
        None => "nobody said".to_owned(),
    };
    let mut lines = vec![
        ("Memory", said(format!("{} MiB", format::count(facts.memory_mb.into())), &facts.memory_source)),
        ("Processor", said(facts.architecture.clone(), &facts.architecture_source)),
        ("Time-out", time_out),
        ("Concurrency", said(format::count(facts.concurrency.into()), &facts.concurrency_source)),
    ];
    if !facts.owner.is_empty() {
        lines.push(("Owner", facts.owner.clone()));
    }
    if !facts.apps.is_empty() {
        lines.push(("Applications", facts.apps.join(", ")));
    }
    lines
}

/// What metrics say beside the spans.
pub fn metrics(told: Option<&ReportedByMetrics>) -> String {
    let Some(told) = told else { return "No metrics tell of this function.".to_owned() };
    match told.traced_share {
        Some(share) => format!("Spans show {} of the runs that metrics count.", format::percent(share)),
        None if told.runs > 0.0 => "Spans show more runs than metrics count.".to_owned(),
        None => "They count no runs.".to_owned(),
    }
}

/// How many runs failed by what logs say.
pub fn failures_in_logs(count: u64) -> String {
    let runs = format::counted(count, "run failed", "runs failed");
    format!("{runs} as logs or the platform say, without naming a span. Those found by their id are among the errors.")
}

/// The numbers of metrics.
pub fn reported(told: &ReportedByMetrics) -> Vec<(&'static str, String)> {
    let times = |values: &Option<ValuesOfMetrics>| {
        values.as_ref().map(|it| match it.p95 {
            Some(p95) => format!("{}, p95 {}", format::duration(it.mean), format::duration(p95)),
            None => format::duration(it.mean),
        })
    };
    let memory = told.memory_mb.as_ref().map(|it| format!("{:.0} MiB", it.max.unwrap_or(it.mean)));
    let counts = [
        ("Runs", told.runs),
        ("Errors", told.errors),
        ("Cold starts", told.cold_starts),
        ("Time-outs", told.time_outs),
    ];
    let counts = counts.into_iter().map(|(name, count)| (name, Some(runs(count))));
    let values = [
        ("Duration, mean", times(&told.durations_ms)),
        ("Start, mean", times(&told.inits_ms)),
        ("Most memory", memory),
    ];
    counts.chain(values).filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What starts of instances do to the slow runs.
pub fn cold_starts(it: &ColdStarts) -> String {
    if it.count <= 0.0 {
        return "No run of this time was cold.".to_owned();
    }
    let counted = format!("{} of the runs were cold", format::percent(it.share));
    let tail = match (it.tail_share, it.p95_gain_ms) {
        (Some(share), Some(gain)) if it.dominates_tail => format!(
            ": they are {} of the slow ones. Were they warm, the 95th percentile would fall by {}.",
            format::percent(share),
            format::duration(gain)
        ),
        (Some(share), _) => format!(", {} of the slow ones.", format::percent(share)),
        _ => ".".to_owned(),
    };
    counted + &tail
}

/// What it waits for stores.
pub fn state(it: &StateTax) -> String {
    if it.calls_per_run <= 0.0 {
        return "It uses no database and no store.".to_owned();
    }
    let waited = format!(
        "{} of its time it waits for databases and stores: {} a run, in {} {}.",
        format::percent(it.share),
        format::duration(it.waited_ms_per_run),
        amount(it.calls_per_run),
        if (it.calls_per_run - 1.0).abs() < 0.05 { "use" } else { "uses" }
    );
    if it.is_chatty {
        let share = format::percent(it.chatty_share);
        return format!(
            "{waited} In {share} of the runs it asks ten times or more in a row: one question for all would do."
        );
    }
    waited
}

/// How near it comes to its time-out.
pub fn time_out(it: &TimeOutRisk) -> String {
    let Some(limit) = it.limit_ms else {
        return "Nobody said what its time-out is; the configuration can.".to_owned();
    };
    if it.is_limit_doubtful {
        return format!("Runs went on beyond {} and did not fail: that is not its time-out.", format::duration(limit));
    }
    let near = format!("The slowest run in 1,000 takes {} of the limit", format::percent(it.p999_ms / limit));
    let seen = if it.seen > 0.0 { format!("; {} timed out", counted_runs(it.seen)) } else { String::new() };
    let expected = match it.expected_per_day {
        Some(n) if n >= 0.05 => format!("; {} a day are to be expected", amount(n)),
        Some(_) => "; none is to be expected".to_owned(),
        None => "; with fewer than 5,000 runs nothing is foretold".to_owned(),
    };
    format!("{near}{seen}{expected} (confidence {}).", it.confidence)
}

/// How near it comes to its memory.
pub fn memory(it: Option<&MemoryUse>) -> String {
    let Some(it) = it else { return "Nothing tells how much memory its runs use.".to_owned() };
    let used = format!("Runs use {:.0} MiB, one in 1,000 {:.0}", it.used_p50_mb, it.used_p999_mb);
    let free = match (it.limit_mb, it.headroom) {
        (Some(limit), Some(free)) => {
            let low = if it.is_low { ", which is little" } else { "" };
            format!(" of {} MiB: {} stays free{low}.", format::count(limit.into()), format::percent(free))
        }
        _ => "; nobody said how much there is.".to_owned(),
    };
    let leak = it.leak.as_ref().map(|leak| {
        let full = leak.runs_until_full.map(|n| format!(", and is full after {} runs", runs(n))).unwrap_or_default();
        let instances = format::counted(leak.instances.into(), "instance", "instances");
        format!(" It leaks: on {instances} each run adds {:.2} MiB{full}.", leak.mb_per_run)
    });
    format!("{used}{free}{}", leak.unwrap_or_default())
}

/// Calls that were refused, and how many instances run.
pub fn throttles(it: &Throttles) -> String {
    let refused = if it.refused > 0.0 {
        format!("{} of the calls of it were refused ({}).", format::percent(it.share), runs(it.refused))
    } else {
        "No call of it was refused.".to_owned()
    };
    let made = if it.made > 0.0 { format!(" Of its own calls {} were refused.", runs(it.made)) } else { String::new() };
    format!(
        "{refused}{made} {} run at the same time, {} of those that may.",
        counted_instances(it.running),
        format::percent(it.concurrency_share)
    )
}

fn counted_runs(n: f64) -> String {
    format!("{} {}", runs(n), if (n - 1.0).abs() < 0.05 { "run" } else { "runs" })
}

fn counted_instances(n: f64) -> String {
    format!("{} {}", amount(n), if (n - 1.0).abs() < 0.05 { "instance" } else { "instances" })
}

/// A mean: two digits where it is small.
pub fn amount(n: f64) -> String {
    match n {
        n if !n.is_finite() || n <= 0.0 => "0".to_owned(),
        n if n < 0.01 => "<0.01".to_owned(),
        n if n < 1.0 => format!("{n:.2}"),
        n => runs(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_are_told_with_what_is_known() {
        let known = TimeOutRisk {
            limit_ms: Some(2_000.0),
            p999_ms: 1_800.0,
            confidence: "high".into(),
            ..TimeOutRisk::default()
        };
        let text = |expected_per_day, seen| time_out(&TimeOutRisk { expected_per_day, seen, ..known.clone() });
        assert_eq!(
            text(Some(12.0), 1.0),
            "The slowest run in 1,000 takes 90 % of the limit; 1 run timed out; 12 a day are to be expected (confidence high)."
        );
        assert!(text(Some(0.0), 0.0).contains("none is to be expected"));
        assert!(text(None, 0.0).contains("nothing is foretold"));
        assert!(time_out(&TimeOutRisk::default()).starts_with("Nobody said"));
        assert!(time_out(&TimeOutRisk { is_limit_doubtful: true, ..known }).contains("not its time-out"));
    }

    #[test]
    fn memory_says_what_is_free_and_what_leaks() {
        assert!(memory(None).starts_with("Nothing tells"));
        let leak = loopscope_proto::v1::MemoryLeak { instances: 2, mb_per_run: 0.5, runs_until_full: Some(400.0) };
        let it = MemoryUse {
            limit_mb: Some(512),
            used_p50_mb: 300.0,
            used_p999_mb: 480.4,
            headroom: Some(0.061),
            is_low: true,
            leak: Some(leak),
            ..MemoryUse::default()
        };
        assert_eq!(
            memory(Some(&it)),
            "Runs use 300 MiB, one in 1,000 480 of 512 MiB: 6.1 % stays free, which is little. \
             It leaks: on 2 instances each run adds 0.50 MiB, and is full after 400 runs."
        );
    }

    #[test]
    fn what_does_not_happen_is_said_too() {
        assert_eq!(cold_starts(&ColdStarts::default()), "No run of this time was cold.");
        assert_eq!(state(&StateTax::default()), "It uses no database and no store.");
        assert!(throttles(&Throttles::default()).starts_with("No call of it was refused. 0 instances"));
    }

    #[test]
    fn cold_runs_and_stores_are_told_by_their_part() {
        let it = ColdStarts {
            count: 5.0,
            share: 0.25,
            tail_share: Some(0.8),
            p95_gain_ms: Some(700.0),
            dominates_tail: true,
            ..ColdStarts::default()
        };
        assert!(
            cold_starts(&it)
                .ends_with("they are 80 % of the slow ones. Were they warm, the 95th percentile would fall by 700 ms.")
        );
        let it = StateTax {
            share: 0.48,
            waited_ms_per_run: 48.0,
            calls_per_run: 12.0,
            chatty_share: 1.0,
            is_chatty: true,
            ..StateTax::default()
        };
        assert!(
            state(&it).starts_with("48 % of its time") && state(&it).contains("In 100 % of the runs it asks ten times")
        );
    }
}
