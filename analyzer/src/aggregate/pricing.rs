//! What is needed to price what was measured, handed out for whoever asks what some time cost.

use std::{sync::Arc, time::Duration};

use crate::{aggregate::Aggregate, price::Pricing, snapshot::CostReport, span::ArrivalTime};

/// It is put together at most this often: it is asked for by people, and it changes slowly.
const PRICING_INTERVAL: Duration = Duration::from_secs(5);

/// What was handed out last.
#[derive(Clone, Debug, Default)]
pub(super) struct Priced {
    pricing: Arc<Pricing>,
    at: Option<ArrivalTime>,
}

impl Priced {
    /// Prices or facts have changed.
    pub(super) fn forget(&mut self) {
        self.at = None;
    }
}

impl Aggregate {
    /// What was measured in the running window costs: in this minute, or in all of a capture.
    pub fn cost(&mut self, now: ArrivalTime) -> CostReport {
        self.pricing(now).bill(&self.measured)
    }

    #[cfg(test)]
    pub(crate) fn measured(&self) -> &crate::measured::Measured {
        &self.measured
    }

    /// What is known of prices, functions and resources.
    pub(super) fn pricing(&mut self, now: ArrivalTime) -> Arc<Pricing> {
        if self.priced.at.is_none_or(|at| now.since(at) >= PRICING_INTERVAL) {
            self.priced.at = Some(now);
            self.priced.pricing = Arc::new(Pricing {
                prices: Arc::new(self.prices.clone()),
                facts: self.functions.iter().map(|(id, series)| (*id, Arc::clone(series.facts()))).collect(),
                rules: self.rules.as_slice().into(),
                resources: self.resources.iter().map(|(id, (node, _))| (*id, node.clone())).collect(),
            });
        }
        Arc::clone(&self.priced.pricing)
    }
}
