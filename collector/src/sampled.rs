//! What sampling makes of numbers, in words: for reports of a check and for summaries of alerts.
//!
//! The page has words of its own (`ui/src/words/sampled.rs`). What is adjusted and how is the analyzer's
//! (`analyzer/src/sampling.rs`).

use loopscope_analyzer::sampling::LEAST_CONTINUATION;

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
pub(crate) fn hidden_depth(continuation: Option<f64>, is_judged: bool) -> Option<String> {
    let seen = one_in(continuation?);
    // Laps within a trace are judged whatever happens to the others.
    Some(match is_judged && continuation >= Some(f64::from(LEAST_CONTINUATION)) {
        true => format!("chains may be deeper than they are seen: after a lap, {seen} of the next laps is kept"),
        false if is_judged => {
            format!("depth is judged within traces only: after a lap, {seen} of the next laps is kept")
        }
        false => format!("depth is not judged: after a lap, {seen} of the next laps is kept"),
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
        assert_eq!((kept("laps", None), hidden_depth(None, true)), (None, None));
        let hidden = hidden_depth(Some(0.1), false).unwrap();
        assert_eq!(hidden, "depth is not judged: after a lap, 1 in 10 of the next laps is kept");
        assert!(hidden_depth(Some(0.1), true).unwrap().starts_with("depth is judged within traces only"));
        assert!(hidden_depth(Some(0.5), true).unwrap().starts_with("chains may be deeper"));
    }
}
