//! Where the time goes, and what it would bring to spend less there.

use loopscope_proto::v1::{Hotspot, RootOperation};

use crate::format;

/// Where a hotspot spends its time, in words.
pub fn hotspot_cause(it: &Hotspot) -> &'static str {
    match it.cause.as_str() {
        "self" => "its own time",
        "gap" => "waiting between caller and callee",
        "resource" => "waiting for a resource",
        "cold_start" => "starting instances",
        "queue" => "messages waiting to be handled",
        "n_plus_one" => "ten or more calls in a row",
        "retries" => "trying again what has failed",
        _ => "time",
    }
}

/// What it buys to be faster there; `None` where critical paths were not looked at.
pub fn what_if(it: &Hotspot) -> Option<String> {
    let (ten, fifty) = (it.saves_10_ms?, it.saves_50_ms?);
    let root = it.root.as_ref().map(root_operation).unwrap_or_default();
    let of = if root.is_empty() { String::new() } else { format!(" of {root}") };
    if fifty < 0.05 {
        return Some(format!("Being faster here buys nothing at p95{of}: another branch is as slow."));
    }
    Some(format!(
        "10 % faster here buys {} at p95{of}, twice as fast {}.",
        format::duration(ten.max(0.0)),
        format::duration(fifty)
    ))
}

/// A root operation by its name: the function, the operation where it says more, and the end of its pipeline.
pub fn root_operation(it: &RootOperation) -> String {
    let operation = match it.operation.as_str() {
        "" => String::new(),
        same if same == it.function => String::new(),
        operation => format!(" ({operation})"),
    };
    let until = if it.until_function.is_empty() { String::new() } else { format!(" until {}", it.until_function) };
    format!("{}{operation}{until}", it.function)
}

/// What a ranking rests on.
pub fn basis(word: &str) -> &'static str {
    match word {
        "critical_path" => "Ranked by critical paths of sampled traces: what makes the slowest ones slow.",
        "sums" => "Ranked by the time of all calls, waited for or not: no trace of that time is kept.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_buys_is_told_of_its_root() {
        let root = RootOperation { function: "shop".into(), operation: "GET /cart".into(), ..RootOperation::default() };
        let it = Hotspot { saves_10_ms: Some(34.0), saves_50_ms: Some(120.0), root: Some(root), ..Hotspot::default() };
        assert_eq!(
            what_if(&it).as_deref(),
            Some("10 % faster here buys 34 ms at p95 of shop (GET /cart), twice as fast 120 ms.")
        );
        let none = Hotspot { saves_10_ms: Some(0.0), saves_50_ms: Some(0.0), ..it };
        assert!(what_if(&none).is_some_and(|text| text.contains("buys nothing")));
        assert_eq!(what_if(&Hotspot::default()), None);
    }

    #[test]
    fn a_root_is_named_once() {
        let it = RootOperation { function: "shop".into(), operation: "shop".into(), ..RootOperation::default() };
        assert_eq!(root_operation(&it), "shop");
        assert_eq!(root_operation(&RootOperation { until_function: "mail".into(), ..it }), "shop until mail");
    }
}
