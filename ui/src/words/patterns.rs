//! What functions make together.

use loopscope_proto::v1::{Decorator, EndToEnd, EventHandler, FanIn, FanOut, FunctionKind, Router, Straggler};

use super::cost::fine_money;
use super::functions::amount;
use crate::format;

/// A function that does little but call another.
pub fn decorator(it: &Decorator, currency: &str) -> String {
    let cost = it.waiting_cost_per_day.map(|cost| format!(", {} a day", fine_money(cost, currency)));
    format!(
        "{} of its time is its own; {} it waits and is paid for all the same{}.",
        format::percent(it.self_share),
        format::percent(it.waiting_share),
        cost.unwrap_or_default()
    )
}

/// What starts an event handler.
pub fn event_handler(it: &EventHandler) -> String {
    let by = match it.trigger.as_str() {
        "pubsub" => "messages",
        "datasource" => "changes of stores",
        _ => "events",
    };
    let batch = match it.messages_per_run {
        Some(n) if n > 1.05 => format!(", {} in one run", amount(n)),
        _ => String::new(),
    };
    format!("{} of its runs are started by {by}{batch}.", format::percent(it.event_share))
}

/// How long a pipeline takes.
pub fn end_to_end(it: Option<&EndToEnd>) -> String {
    let Some(it) = it else { return "No chain was followed from end to end.".to_owned() };
    format!(
        "From end to end {} in the median, {} at the 95th percentile, of which messages wait {}; {} followed.",
        format::duration(it.p50_ms),
        format::duration(it.p95_ms),
        format::percent(it.queue_share),
        format::counted(it.chains, "chain", "chains")
    )
}

/// How a function spreads work.
pub fn fan_out(it: &FanOut) -> String {
    let way = match (it.way.as_str(), it.parallelism) {
        ("call", Some(n)) if n < 1.05 => ", one after the other".to_owned(),
        ("call", Some(n)) => format!(", {} at a time", amount(n)),
        ("call", None) => ", and waits for them".to_owned(),
        _ => " by messages".to_owned(),
    };
    format!("A run causes {}{way}.", amount(it.children_per_run))
}

/// How a function brings together.
pub fn fan_in(it: &FanIn) -> String {
    format!("A run handles {} messages.", amount(it.messages_per_run))
}

/// How much longer the last takes than most; `None` where that was not seen.
pub fn straggler(it: Option<&Straggler>, what: &str) -> Option<String> {
    let it = it?;
    Some(format!(
        "{what} takes {} at the 95th percentile, {} as long as most ({}).",
        format::duration(it.longest_p95_ms),
        format::times(it.ratio),
        format::duration(it.p50_ms)
    ))
}

/// How sure it is that a router chooses.
pub fn router(it: &Router) -> String {
    format!("{} of the runs send more than one way.", format::percent(it.co_occurrence))
}

/// What a function is like: a name, and what it means.
pub fn likeness(word: &str) -> (&'static str, &'static str) {
    match word {
        "faas" => ("FaaS-like", "short-lived instances that handle one request at a time"),
        "service" => ("service-like", "few instances that live long and handle many requests at a time"),
        _ => ("unclear", "the spans do not say"),
    }
}

/// Why a function is taken for what it is.
pub fn evidence(it: &FunctionKind) -> String {
    let seen = it.evidence.iter().filter(|evidence| evidence.says != "unclear" || it.likeness == "unclear");
    seen.map(|evidence| evidence.seen.as_str()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopscope_proto::v1::KindEvidence;

    #[test]
    fn a_fan_out_says_how_wide_and_how() {
        let it = FanOut { children_per_run: 5.0, way: "call".into(), parallelism: Some(4.6), ..FanOut::default() };
        assert_eq!(fan_out(&it), "A run causes 5, 4.6 at a time.");
        assert_eq!(fan_out(&FanOut { parallelism: Some(1.0), ..it.clone() }), "A run causes 5, one after the other.");
        assert_eq!(fan_out(&FanOut { way: "message".into(), ..it }), "A run causes 5 by messages.");
        let slow = Straggler { longest_p95_ms: 900.0, p50_ms: 100.0, ratio: 9.0, runs: 5 };
        assert_eq!(
            straggler(Some(&slow), "The slowest of a run").as_deref(),
            Some("The slowest of a run takes 900 ms at the 95th percentile, 9× as long as most (100 ms).")
        );
        assert_eq!(straggler(None, ""), None);
    }

    #[test]
    fn a_pipeline_is_told_from_end_to_end() {
        let it = EndToEnd { p50_ms: 100.0, p95_ms: 250.0, queue_share: 0.4, chains: 1 };
        assert!(
            end_to_end(Some(&it))
                .ends_with("250 ms at the 95th percentile, of which messages wait 40 %; 1 chain followed.")
        );
        assert!(end_to_end(None).starts_with("No chain"));
    }

    #[test]
    fn evidence_that_says_nothing_is_left_out() {
        let of =
            |says: &str, seen: &str| KindEvidence { says: says.into(), seen: seen.into(), ..KindEvidence::default() };
        let evidence_list = vec![of("faas", "instances live 40 s"), of("unclear", "no trigger seen")];
        let it = FunctionKind { likeness: "faas".into(), evidence: evidence_list, ..FunctionKind::default() };
        assert_eq!(evidence(&it), "instances live 40 s");
        assert_eq!(
            evidence(&FunctionKind { likeness: "unclear".into(), ..it }),
            "instances live 40 s; no trigger seen"
        );
    }

    #[test]
    fn waiting_is_told_with_its_price() {
        let it = Decorator {
            self_share: 0.1,
            waiting_share: 0.9,
            waiting_cost_per_day: Some(0.031),
            ..Decorator::default()
        };
        assert_eq!(
            decorator(&it, "USD"),
            "10 % of its time is its own; 90 % it waits and is paid for all the same, $0.031 a day."
        );
        let it = EventHandler {
            trigger: "pubsub".into(),
            event_share: 1.0,
            messages_per_run: Some(8.0),
            ..EventHandler::default()
        };
        assert_eq!(event_handler(&it), "100 % of its runs are started by messages, 8 in one run.");
    }
}
