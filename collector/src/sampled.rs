//! What sampling makes of numbers, in words: for reports of a check and for summaries of alerts.
//!
//! The page has words of its own (`ui/src/words/sampled.rs`). What is adjusted and how is the analyzer's
//! (`analyzer/src/sampling.rs`).

use loopscope_analyzer::snapshot::Loop;

/// A probability as people say it: `1 in 10`.
pub(crate) fn one_in(probability: f64) -> String {
    let count = 1.0 / probability;
    let is_whole = count >= 9.5 || (count - count.round()).abs() < 0.05;
    format!("1 in {count:.*}", usize::from(!is_whole))
}

/// How much of something was kept, and that its counts are adjusted; `None` when all of it was.
pub(crate) fn kept(what: &str, probability: Option<f64>) -> Option<String> {
    Some(format!("sampled: {} {what} was kept, counts are adjusted", one_in(probability?)))
}

/// What sampling hides of the depth of a loop; `None` when it hides nothing.
pub(crate) fn hidden_depth(found: &Loop) -> Option<String> {
    let seen = format!("after a lap, {} of the next laps is kept", one_in(found.next_lap_sampling_probability?));
    Some(match found.alarm_depth {
        None => format!("depth is not judged: {seen}"),
        Some(_) if found.is_judged_within_traces => format!("depth is judged within traces only: {seen}"),
        Some(_) => format!("chains may be deeper than they are seen: {seen}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_said_as_people_say_them() {
        let said = [0.5, 0.1, 0.3, 0.7, 0.01, 0.064].map(one_in);
        assert_eq!(said, ["1 in 2", "1 in 10", "1 in 3.3", "1 in 1.4", "1 in 100", "1 in 16"]);
    }

    #[test]
    fn what_is_whole_is_not_spoken_of() {
        let hidden = |next_lap_sampling_probability, alarm_depth, is_judged_within_traces| {
            let found = Loop { next_lap_sampling_probability, alarm_depth, is_judged_within_traces, ..Loop::default() };
            hidden_depth(&found).unwrap_or_default()
        };
        assert_eq!((kept("laps", None), hidden(None, Some(18), false)), (None, String::new()));
        let unseen = hidden(Some(0.1), None, false);
        assert_eq!(unseen, "depth is not judged: after a lap, 1 in 10 of the next laps is kept");
        assert!(hidden(Some(0.1), Some(18), true).starts_with("depth is judged within traces only"));
        assert!(hidden(Some(0.5), Some(18), false).starts_with("chains may be deeper"));
    }
}
