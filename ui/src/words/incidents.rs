//! Incidents in words: which loops they have, why people were told again, and what became of them.

use loopscope_proto::v1::Incident;

use crate::format;

/// The way of a loop by the names of its functions, back to the first.
pub fn way(functions: &[String]) -> String {
    let names: Vec<&str> = functions.iter().chain(functions.first()).map(String::as_str).collect();
    names.join(" → ")
}

/// Why people were told again; `None` for what the kind of the message says.
pub fn because(word: &str) -> Option<&'static str> {
    match word {
        "broken_bound" => Some("a declared bound broke"),
        "severity" => Some("more severe"),
        "growing" => Some("multiplies now"),
        "cost" => Some("10 × the cost"),
        _ => None,
    }
}

/// How an incident stands now, to go on after its id.
pub fn incident_now(it: &Incident) -> String {
    let state = if it.closed_at.is_none() { "open now" } else { "over now" };
    match it.reopened {
        0 => format!(" · {state}"),
        1 => format!(" · {state}, began again once"),
        times => format!(" · {state}, began again {} times", format::count(u64::from(times))),
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn a_way_ends_where_it_began() {
        assert_eq!(way(&["a".into(), "b".into()]), "a → b → a");
        assert_eq!(way(&[]), "");
    }

    #[test]
    fn how_an_incident_stands_is_said() {
        assert_eq!(incident_now(&Incident::default()), " · open now");
        let over = Incident { closed_at: Some(Timestamp::default()), reopened: 1, ..Default::default() };
        assert_eq!(incident_now(&over), " · over now, began again once");
        assert_eq!(incident_now(&Incident { reopened: 3, ..Default::default() }), " · open now, began again 3 times");
        assert_eq!((because("still_open"), because("broken_bound")), (None, Some("a declared bound broke")));
    }
}
