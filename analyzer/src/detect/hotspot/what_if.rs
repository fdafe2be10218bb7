//! What it would buy to make one place faster: the tail of the durations that the traces would have had.
//!
//! A place can only give what is left until another branch becomes critical, its drag; so each trace saves the lesser of
//! the two, and the tail is taken anew. With parallel branches a first order overstates it (8.5 ms for 4.9 in one of the
//! experiments of algorithms 4.2). For small changes this is the mean of what the traces around the percentile save, the
//! derivative of the percentile (infinitesimal perturbation analysis; Hong 2009, "Estimating quantile sensitivities").

use super::kernel::Kernel;
use crate::record::Piece;

/// A piece that would be faster, and the place of its trace among the durations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saving<'a> {
    pub(super) trace: usize,
    pub(super) piece: &'a Piece,
}

/// The traces of one root operation as they are.
pub(super) struct WhatIf<'a> {
    /// Ascending, with their weights.
    pub(super) durations: &'a [(f64, f64)],
    pub(super) kernel: Kernel,
    /// The shortest duration that tells of the tail.
    pub(super) begins_ms: f64,
    /// Mean duration over the tail.
    pub(super) tail_ms: f64,
}

impl WhatIf<'_> {
    /// How much lower the tail were if the place of `pieces` took the part `faster` less, milliseconds.
    pub(super) fn saves_ms(&self, faster: f64, pieces: &[Saving<'_>]) -> f64 {
        // No trace loses more than that part, so what was shorter stays below the new tail.
        let first = self.durations.partition_point(|(duration, _)| *duration < (1.0 - faster) * self.begins_ms);
        let (below, near) = self.durations.split_at(first);
        let mut changed = near.to_vec();
        for Saving { trace, piece } in &pieces[pieces.partition_point(|saving| saving.trace < first)..] {
            changed[trace - first].0 -= (faster * piece.critical_ms).min(piece.drag_ms.max(0.0));
        }
        changed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let below: f64 = below.iter().map(|(_, weight)| weight).sum();
        (self.tail_ms - self.kernel.mean(&changed, below)).max(0.0)
    }
}
