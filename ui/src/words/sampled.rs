//! What sampling kept, and what it hides.

use loopscope_proto::v1::Loop;

use crate::format;

/// That runs or calls are adjusted, and how much of them was kept; nothing where all was.
pub fn sampled(probability: Option<f64>) -> String {
    probability.map(|kept| format!("Sampled {}: counts are adjusted.", one_in(kept))).unwrap_or_default()
}

/// The same of the laps of a loop.
pub fn sampled_laps(it: &Loop) -> String {
    let said = |kept| format!("Sampled: {} laps was kept, counts are adjusted.", one_in(kept));
    it.sampling_probability.map(said).unwrap_or_default()
}

/// What sampling hides of the depth of a loop; nothing where the next lap is always seen.
pub(super) fn hidden_depth(it: &Loop) -> Option<String> {
    let kept = one_in(it.next_lap_sampling_probability?);
    let seen = format!("Of the laps that follow a lap, {kept} is kept, because they are in other traces");
    Some(match it.alarm_depth {
        None => format!(
            "Depth is not judged. {seen}: even an endless chain looks short. R, the rate and what its functions send are judged."
        ),
        Some(_) if it.judged_within_traces => format!("Depth is judged within traces only. {seen}."),
        Some(_) => format!("{seen}, so chains may be deeper than they are seen."),
    })
}

/// A probability as one in so many.
fn one_in(probability: f64) -> String {
    let count = 1.0 / probability;
    if count >= 9.5 || (count - count.round()).abs() < 0.05 {
        format!("1 in {}", format::count(count.round() as u64))
    } else {
        format!("1 in {count:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_said_as_people_say_it() {
        assert_eq!((sampled(None), sampled_laps(&Loop::default())), (String::new(), String::new()));
        assert_eq!(sampled(Some(0.1)), "Sampled 1 in 10: counts are adjusted.");
        let it = Loop { sampling_probability: Some(0.01), ..Loop::default() };
        assert_eq!(sampled_laps(&it), "Sampled: 1 in 100 laps was kept, counts are adjusted.");
        assert_eq!([0.5, 0.3, 0.01, 1e-5].map(one_in), ["1 in 2", "1 in 3.3", "1 in 100", "1 in 100,000"]);
    }

    #[test]
    fn what_sampling_hides_depends_on_how_much_is_seen() {
        let hidden = |next_lap_sampling_probability, alarm_depth, judged_within_traces| {
            let it = Loop { next_lap_sampling_probability, alarm_depth, judged_within_traces, ..Loop::default() };
            hidden_depth(&it).unwrap_or_default()
        };
        assert_eq!(hidden(None, Some(18), false), "");
        let unseen = hidden(Some(0.1), None, false);
        assert!(unseen.starts_with("Depth is not judged. Of the laps that follow a lap, 1 in 10 is kept"), "{unseen}");
        assert!(hidden(Some(0.1), Some(18), true).starts_with("Depth is judged within traces only."));
        assert!(hidden(Some(0.5), Some(18), false).ends_with("so chains may be deeper than they are seen."));
    }
}
