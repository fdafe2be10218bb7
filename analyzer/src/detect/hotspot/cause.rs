//! Why time is spent at a place: what the place is, unless the calls of the slow traces say more.

use crate::{
    record::{Piece, Place},
    snapshot::HotspotCause,
};

/// Calls of one operation in a row from which on a batch of them would have done (algorithms 4.5).
const IN_A_ROW: u32 = 10;

/// Part of the calls that are second attempts from which on trying again is the cause: 1.5 attempts a request, as for a
/// retry storm.
const RETRIED: f64 = 1.0 / 3.0;

/// Critical time of a place by what the calls look like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// In the traces around the 95th percentile, and in all.
    tail: Times,
    all: Times,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    all: f64,
    in_a_row: f64,
    retried: f64,
}

impl Evidence {
    /// Adds what one trace shows, that counts so much in the tail and in all.
    pub(super) fn add(&mut self, in_tail: f64, weight: f64, piece: &Piece) {
        self.tail.add(in_tail * piece.critical_ms, piece);
        self.all.add(weight * piece.critical_ms, piece);
    }

    /// The cause, by what most of the time in the tail was spent on.
    pub(super) fn cause(self, place: Place) -> HotspotCause {
        let times = if self.tail.all > 0.0 { self.tail } else { self.all };
        if times.retried > times.all / 2.0 {
            HotspotCause::Retries
        } else if times.in_a_row > times.all / 2.0 {
            HotspotCause::NPlusOne
        } else {
            of_place(place)
        }
    }
}

impl Times {
    fn add(&mut self, time: f64, piece: &Piece) {
        self.all += time;
        self.in_a_row += if piece.in_a_row >= IN_A_ROW { time } else { 0.0 };
        let is_retried = f64::from(piece.retries) >= RETRIED * f64::from(piece.calls.max(1));
        self.retried += if is_retried { time } else { 0.0 };
    }
}

/// What a place is, whatever its calls look like.
pub(super) fn of_place(place: Place) -> HotspotCause {
    match place {
        Place::Own(_) => HotspotCause::Own,
        Place::ColdStart(_) => HotspotCause::ColdStart,
        Place::Gap { .. } => HotspotCause::Gap,
        Place::Resource { .. } | Place::Peer(_) => HotspotCause::Resource,
        Place::Queue { .. } => HotspotCause::Queue,
    }
}
