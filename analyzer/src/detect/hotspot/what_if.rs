//! What it would buy to make one place faster: the tail of the durations that the traces would have had.
//!
//! A place can only give what is left until another branch becomes critical, its drag; so each trace saves the lesser of
//! the two, and the tail is taken anew. With parallel branches a first order overstates it (8.5 ms for 4.9 in one of the
//! experiments of algorithms 4.2). What is compared are the means over the quantiles around the 95th: a single one of a
//! sample is too rough to tell places apart that buy little.

use super::tail::band_mean;
use crate::record::Piece;

/// A piece that would be faster, and the place of its trace among the durations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saving<'a> {
    pub(super) trace: usize,
    pub(super) piece: &'a Piece,
}

/// How much lower the tail of the `durations` (ascending, with their weights) were if the place of `pieces` took the part
/// `faster` less, milliseconds. The tail begins at `begins_ms`, and its mean is `band_ms`.
pub(super) fn saved(
    durations: &[(f64, f64)],
    (begins_ms, band_ms): (f64, f64),
    faster: f64,
    pieces: &[Saving<'_>],
) -> f64 {
    // No trace loses more than that part, so what was shorter stays below the new tail.
    let first = durations.partition_point(|(duration, _)| *duration < (1.0 - faster) * begins_ms);
    let mut changed = durations[first..].to_vec();
    for Saving { trace, piece } in &pieces[pieces.partition_point(|saving| saving.trace < first)..] {
        changed[trace - first].0 -= (faster * piece.critical_ms).min(piece.drag_ms.max(0.0));
    }
    changed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let below: f64 = durations[..first].iter().map(|(_, weight)| weight).sum();
    (band_ms - band_mean(&changed, below)).max(0.0)
}
