//! What sampling hides of one loop: the part of its laps that is seen, and how the pieces of its chains go on.
//!
//! A sampler keeps or drops a whole trace. A lap within one trace is seen together with the lap before it; a lap that
//! enters other traces is seen after the one before it only if those were kept as well. Then a chain is seen in pieces
//! that end although the chain goes on, so pieces teach nothing of how deep chains go. What they do teach is R: of the
//! laps that follow a lap, a known part is seen.

use super::Lap;
use crate::{
    detect::life_table::KNOWN_CHAINS,
    linker::chains::Chain,
    sampling::{Sampling, part_kept},
    state::state,
};

/// After so many laps, or pieces, what was learned loses half of its weight, so that a loop may change its ways.
const FORGET_EVERY: f64 = 10_000.0;

/// What is known of the laps and chains of a loop under sampling.
#[derive(Clone, Debug, Default)]
pub(super) struct Sampled {
    /// Laps that were kept, and the laps that they stand for.
    kept: f64,
    adjusted: f64,
    /// How many laps each lap stands for that is seen after the one before: the sums of these numbers, and of their
    /// squares; the older the lighter.
    laps: f64,
    weights: f64,
    squares: f64,
    /// Pieces of chains that ended by themselves, their laps, and the laps that followed another, adjusted; the older the
    /// lighter.
    pieces: f64,
    piece_laps: f64,
    followed: f64,
    /// Depths that the pieces got to, as light.
    depths: f64,
}

impl Sampled {
    /// Counts a lap.
    pub(super) fn lap(&mut self, lap: &Lap) {
        self.kept += f64::from(lap.times);
        self.adjusted += lap.adjusted_count();
        if self.laps >= FORGET_EVERY {
            [&mut self.laps, &mut self.weights, &mut self.squares].into_iter().for_each(|sum| *sum /= 2.0);
        }
        let weight = lap.next_lap_sampling.adjusted_count();
        self.laps += 1.0;
        self.weights += weight;
        self.squares += weight * weight;
    }

    /// A piece of a chain ended by itself.
    pub(super) fn learn(&mut self, piece: &Chain) {
        if self.pieces >= FORGET_EVERY {
            let sums = [&mut self.pieces, &mut self.piece_laps, &mut self.followed, &mut self.depths];
            sums.into_iter().for_each(|sum| *sum /= 2.0);
        }
        let (laps, widths) = (f64::from(piece.laps), piece.widths());
        self.pieces += 1.0;
        self.piece_laps += laps;
        self.followed += (laps - f64::from(widths[0])).max(0.0) * piece.next_lap_sampling.adjusted_count();
        self.depths += widths.iter().filter(|laps| **laps > 0).count() as f64;
    }

    /// Laps that follow a lap, as the pieces of chains that ended by themselves show it: R as it used to be. `None`
    /// before there are enough.
    pub(super) fn reproduction(&self) -> Option<f64> {
        (self.pieces >= KNOWN_CHAINS as f64 && self.piece_laps > 0.0).then(|| self.followed / self.piece_laps)
    }

    /// Laps that come together: how wide a piece is in the mean, 1 for those that never branch.
    pub(super) fn width(&self) -> f64 {
        if self.depths > 0.0 { (self.piece_laps / self.depths).max(1.0) } else { 1.0 }
    }

    /// True when some laps are not seen.
    pub(super) fn is_sampled(&self) -> bool {
        self.probability().is_some()
    }

    /// The part of the laps that is seen; `None` when all are.
    pub(super) fn probability(&self) -> Option<f64> {
        part_kept(self.kept, self.adjusted)
    }

    /// Laps for which one that is seen stands.
    pub(super) fn adjusted_count(&self) -> f64 {
        self.probability().map_or(1.0, f64::recip)
    }

    /// The chance that a lap is seen after the one before it was, over 0 and at most 1.
    ///
    /// Where it differs between laps, laps of different weight say as much as a smaller number of equal ones (Kish,
    /// "Survey sampling", 1965), so what is given makes their sum as uncertain as it is.
    pub(super) fn next_lap_probability(&self) -> f64 {
        if self.squares > 0.0 { (self.weights / self.squares).min(1.0) } else { 1.0 }
    }

    /// True when so few laps in a row are seen that depth says nothing.
    pub(super) fn hides_depth(&self) -> bool {
        !Sampling::of(Some(self.next_lap_probability() as f32)).0.shows_depth()
    }
}

state!(Sampled { kept, adjusted, laps, weights, squares, pieces, piece_laps, followed, depths });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Trigger,
        span::{ArrivalTime, EventTime, TraceId},
    };

    /// A lap from a trace that is kept with the one probability, through traces that are kept with the other.
    fn lap(sampling: f32, next_lap: f32) -> Lap {
        Lap {
            function: 1,
            start: EventTime(1),
            nanos: 1,
            trace_id: TraceId([1; 16]),
            crosses_traces: true,
            times: 1,
            confidence: 1.0,
            is_guess: false,
            credit: 1.0,
            trigger: Trigger::Queue,
            failed: false,
            entries: 0,
            sampling: Sampling::of(Some(sampling)).0,
            next_lap_sampling: Sampling::of(Some(next_lap)).0,
        }
    }

    fn after(laps: &[(f32, f32)]) -> Sampled {
        let mut sampled = Sampled::default();
        laps.iter().for_each(|(sampling, next_lap)| sampled.lap(&lap(*sampling, *next_lap)));
        sampled
    }

    #[test]
    fn a_lap_is_seen_as_often_as_all_of_its_traces() {
        let whole = after(&[(1.0, 1.0); 3]);
        assert_eq!((whole.probability(), whole.next_lap_probability(), whole.hides_depth()), (None, 1.0, false));
        let within = after(&[(0.25, 1.0); 3]);
        assert_eq!((within.probability(), within.next_lap_probability()), (Some(0.25), 1.0));
        let across = after(&[(0.5, 0.5); 3]);
        assert_eq!(
            (across.probability(), across.next_lap_probability(), across.hides_depth()),
            (Some(0.25), 0.5, false)
        );
        assert!(after(&[(0.1, 0.1); 3]).hides_depth() && !after(&[(0.2, 0.2); 3]).hides_depth());
    }

    #[test]
    fn laps_of_different_weight_say_no_more_than_they_do() {
        let mixed = after(&[(1.0, 1.0), (1.0, 1.0), (1.0, 0.25), (1.0, 0.25)]);
        // Ten laps in the mean; as uncertain as three laps of ten would be.
        assert!((mixed.next_lap_probability() - 10.0 / 34.0).abs() < 1e-9);
        assert_eq!(mixed.probability(), Some(0.4));
    }

    #[test]
    fn pieces_of_chains_show_r() {
        let mut sampled = Sampled::default();
        for laps in (0..KNOWN_CHAINS).map(|piece| if piece % 4 == 0 { 3 } else { 1 }) {
            assert_eq!(sampled.reproduction(), None);
            let mut piece = Chain::new(ArrivalTime(1), 0, 1, &lap(0.5, 0.5));
            (1..=laps).for_each(|depth| piece.count(depth));
            sampled.learn(&piece);
        }
        // Of 76 laps 26 were seen to follow another, and as many were not.
        assert!((sampled.reproduction().unwrap() - 52.0 / 76.0).abs() < 1e-9);
        assert_eq!(sampled.width(), 1.0);
    }
}
