//! All chains of a loop together go on more than they used to: a cumulative sum over laps and their successors.
//!
//! Depth finds one bad chain among many good ones, but after a bad deployment every chain goes on, and that shows in
//! all of them within a few laps. The sum is Page's CUSUM for Poisson counts with an exposure, as in Lucas, "Counted
//! data CUSUM's", 1985.

/// The sum above which it is no accident: one false alarm in a million laps (Lorden's bound, `ln 1e6`).
///
/// Where laps come together because chains branch, so many times more are needed.
pub(crate) const ALARM: f64 = 13.8;

/// R below which no baseline is taken, so that one lap more is no alarm.
const LEAST_BASELINE: f64 = 0.05;

/// The sum after `offspring` further laps where `exposure` laps could have been followed.
///
/// `baseline` is the R that the loop used to have; what is looked for is an R of one, or 1.3 times the baseline.
pub(crate) fn step(sum: f64, offspring: f64, exposure: f64, baseline: f64) -> f64 {
    let before = baseline.max(LEAST_BASELINE);
    let bad = (1.3 * before).max(1.0);
    (sum + offspring * (bad / before).ln() - (bad - before) * exposure).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Laps until the alarm when each lap is followed with this R.
    fn laps(baseline: f64, r: f64) -> Option<u32> {
        let mut sum = 0.0;
        (1..100_000).find(|_| {
            sum = step(sum, r, 1.0, baseline);
            sum > ALARM
        })
    }

    #[test]
    fn the_lower_the_baseline_the_sooner() {
        let found: Vec<_> = [0.1, 0.5, 0.8].into_iter().map(|baseline| laps(baseline, 1.0).unwrap_or(0)).collect();
        assert_eq!(found, [10, 72, 618]);
    }

    #[test]
    fn what_a_loop_used_to_do_is_no_alarm() {
        for baseline in [0.1, 0.5, 0.9, 1.0] {
            assert_eq!(laps(baseline, baseline), None);
        }
    }
}
