//! Durations that are few in most places: the few as they are, many as a sketch.
//!
//! A sketch takes a kilobyte and is slow to make, and most deltas have one or two calls of an edge.

use smallvec::SmallVec;

use crate::{
    sketch::DDSketch,
    state::state,
    window::{merge, quantile, sketch},
};

/// So many are kept as they are.
const FEW: usize = 16;

/// Durations, milliseconds.
#[derive(Clone, Default)]
pub(crate) struct Samples {
    few: SmallVec<[f64; 2]>,
    /// All of them, once they are more than a few.
    many: Option<Box<DDSketch>>,
}

impl Samples {
    /// Adds one.
    pub(crate) fn add(&mut self, ms: f64) {
        match &mut self.many {
            Some(many) => many.add(ms),
            None if self.few.len() < FEW => self.few.push(ms),
            None => self.all().add(ms),
        }
    }

    /// Adds others.
    pub(crate) fn merge(&mut self, other: &Self) {
        match &other.many {
            Some(many) => merge(self.all(), many),
            None => other.few.iter().for_each(|ms| self.add(*ms)),
        }
    }

    /// A quantile; `None` where there are none.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        match &self.many {
            Some(many) => Some(quantile(many, q)),
            None if self.few.is_empty() => None,
            None => {
                let mut all = sketch();
                self.few.iter().for_each(|ms| all.add(*ms));
                Some(quantile(&all, q))
            }
        }
    }

    /// All as a sketch from now on.
    fn all(&mut self) -> &mut DDSketch {
        let few = std::mem::take(&mut self.few);
        let many = self.many.get_or_insert_with(|| Box::new(sketch()));
        few.into_iter().for_each(|ms| many.add(ms));
        many
    }
}

state!(Samples { few, many });

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn few_and_many_say_the_same_however_they_are_merged(parts in prop::collection::vec(prop::collection::vec(0.1_f64..1e4, 0..40), 0..8)) {
            let mut merged = Samples::default();
            let mut all = sketch();
            for part in &parts {
                let mut samples = Samples::default();
                part.iter().for_each(|ms| samples.add(*ms));
                merged.merge(&samples);
                part.iter().for_each(|ms| all.add(*ms));
            }
            let is_empty = parts.iter().all(Vec::is_empty);
            for q in [0.5, 0.95] {
                prop_assert_eq!(merged.quantile(q), (!is_empty).then(|| quantile(&all, q)));
            }
        }
    }
}
