//! The rank test of Mann and Whitney (1947): whether times of now are larger than those of before, whatever their law.
//!
//! How the ranks are counted, and what is made of the answer, is for the detectors that ask (`detect/change/compare.rs`,
//! `detect/hotspot/slower.rs`).

/// How far so many values before and after lie apart, in standard deviations of chance. `delta` is the probability that
/// one after is larger than one before, less that it is smaller: -1 to 1.
pub(crate) fn z(delta: f64, before: f64, after: f64) -> f64 {
    delta * (3.0 * before * after / (before + after + 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_distance_from_one_half_over_its_deviation() {
        // U of 90 for 10 and 10 values: (90 - 50) / sqrt(10 * 10 * 21 / 12) = 3.0237.
        assert!((z(0.8, 10.0, 10.0) - 3.0237).abs() < 1e-4);
        assert_eq!(z(0.0, 5.0, 500.0), 0.0);
    }
}
