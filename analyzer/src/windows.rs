//! Windows of time: how long they are, how long each kind is kept, and which of them make up a range.
//!
//! The aggregate closes a window each minute (`aggregate/windows.rs`); whoever keeps them adds five minutes up to one,
//! and twelve of those to an hour, because windows merge by addition. Where they are kept is not known here: the
//! collector has a file for them (`collector/src/windows.rs`), a test a map.

mod kept;

use std::{collections::BTreeSet, time::Duration};

use crate::{
    measured::Measured,
    span::ArrivalTime,
    state::{State as _, bytes_of},
};

pub use kept::Kept;

/// The format of the bytes of a window. Raise it whenever what is in it changes; a test tells when. Windows of another
/// format are passed over.
pub const WINDOW_FORMAT: u8 = 2;

/// The longer windows that are over once the minute at `start` is kept after the one at `before`, the shorter first:
/// time to make them of their parts.
pub fn ended_by(before: Option<ArrivalTime>, start: ArrivalTime) -> impl Iterator<Item = (Length, ArrivalTime)> {
    let minute = Length::Minute.around(start);
    [Length::FiveMinutes, Length::Hour].into_iter().flat_map(move |length| {
        let own = length.around(start);
        // A pause may have left the one before without its last minute.
        let left = before.map(|before| length.around(before).from).filter(|from| *from < own.from);
        left.into_iter().chain((own.to == minute.to).then_some(own.from)).map(move |from| (length, from))
    })
}

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Length {
    /// One minute, kept for six hours.
    Minute,
    /// Five minutes, kept for three days.
    FiveMinutes,
    /// An hour, kept for ninety days.
    Hour,
}

/// A time from a moment up to another, which is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub from: ArrivalTime,
    /// Where it ends.
    pub to: ArrivalTime,
}

/// A minute that is over.
#[derive(Clone)]
pub struct ClosedWindow {
    /// When it began.
    pub start: ArrivalTime,
    /// What functions and edges did in it.
    pub measured: Measured,
}

impl Length {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::FiveMinutes, Self::Hour];

    /// How long it lasts.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::FiveMinutes => 300,
            Self::Hour => 3_600,
        })
    }

    /// How long such a window is kept after its end.
    pub const fn kept(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 6 * 3_600,
            Self::FiveMinutes => 3 * 86_400,
            Self::Hour => 90 * 86_400,
        })
    }

    /// The length of which it is made.
    pub const fn part(self) -> Option<Self> {
        match self {
            Self::Minute => None,
            Self::FiveMinutes => Some(Self::Minute),
            Self::Hour => Some(Self::FiveMinutes),
        }
    }

    /// The window of this length that a moment lies in.
    pub fn around(self, time: ArrivalTime) -> Range {
        let nanos = u64::try_from(self.duration().as_nanos()).unwrap_or(u64::MAX);
        let from = ArrivalTime(time.0 - time.0 % nanos);
        Range { from, to: ArrivalTime(from.0.saturating_add(nanos)) }
    }
}

impl Range {
    /// All the time there is.
    pub const ALL: Self = Self { from: ArrivalTime(0), to: ArrivalTime(u64::MAX) };

    /// True for a moment within it.
    pub fn holds(self, time: ArrivalTime) -> bool {
        self.from <= time && time < self.to
    }

    /// The whole windows around this time: the shortest that are still kept as far back as it begins.
    pub fn snapped(self, now: ArrivalTime) -> Self {
        let reaches = |length: &Length| now.since(self.from) <= length.kept();
        let length = Length::ALL.into_iter().find(reaches).unwrap_or(Length::Hour);
        let end = ArrivalTime(self.to.0.saturating_sub(1).max(self.from.0));
        Self { from: length.around(self.from).from, to: length.around(end).to }
    }

    /// How long it is, seconds.
    pub fn seconds(self) -> f64 {
        self.to.since(self.from).as_secs_f64()
    }

    /// Which of the windows that there are make up this time: the longest that fit, and none twice.
    pub fn covered_by(self, kept: &BTreeSet<(Length, ArrivalTime)>) -> Vec<(Length, ArrivalTime)> {
        let mut found = Vec::new();
        let mut at = self.from;
        while at < self.to {
            let fits = |length: &Length| {
                let window = length.around(at);
                window.from == at && window.to <= self.to && kept.contains(&(*length, at))
            };
            match Length::ALL.into_iter().rev().find(fits) {
                Some(length) => {
                    found.push((length, at));
                    at = length.around(at).to;
                }
                // Nothing was kept of this time; the next window is where the next is.
                None => match next_after(kept, at) {
                    Some(next) => at = next,
                    None => break,
                },
            }
        }
        found
    }
}

fn next_after(kept: &BTreeSet<(Length, ArrivalTime)>, at: ArrivalTime) -> Option<ArrivalTime> {
    let after = ArrivalTime(at.0.saturating_add(1));
    let next = |length: Length| {
        kept.range((length, after)..).next().filter(|(found, _)| *found == length).map(|(_, start)| *start)
    };
    Length::ALL.into_iter().filter_map(next).min()
}

impl Measured {
    /// It as bytes, which [`Self::from_bytes`] of the same format reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![WINDOW_FORMAT];
        bytes.append(&mut bytes_of(self));
        bytes
    }

    /// It from bytes; `None` when they are of another format, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (format, mut rest) = bytes.split_first()?;
        let measured = (*format == WINDOW_FORMAT).then(|| Self::load(&mut rest)).flatten()?;
        rest.is_empty().then_some(measured)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{SECOND, START, Story},
    };

    const MINUTE: u64 = 60_000_000_000;
    const DAY: u64 = 1_440 * MINUTE;

    fn at(minute: u64) -> ArrivalTime {
        ArrivalTime(100 * DAY + minute * MINUTE)
    }

    #[test]
    fn a_range_snaps_outwards_to_what_is_still_kept() {
        let now = at(5 * 1_440 + 7);
        let snapped = |back: u64, length: u64| {
            let from = ArrivalTime(now.0 - back * MINUTE + 1);
            let range = Range { from, to: ArrivalTime(from.0 + length * MINUTE) }.snapped(now);
            (now.since(range.from).as_secs() / 60, range.to.since(range.from).as_secs() / 60)
        };
        assert_eq!(snapped(60, 60), (60, 61));
        assert_eq!(snapped(360, 60), (360, 61), "the last that minutes reach");
        assert_eq!(snapped(361, 60), (362, 65));
        assert_eq!(snapped(4_000, 1), (4_002, 5));
        assert_eq!(snapped(5_000, 60), (5_047, 120));
        let nothing = Range { from: at(3), to: at(3) }.snapped(at(5));
        assert_eq!(nothing, Range { from: at(3), to: at(4) });
    }

    #[test]
    fn bytes_come_back_and_a_change_of_them_raises_the_format() {
        let mut engine = Engine::new(&Config::recommended(), 1);
        let spans = Story::parse("a -> b ~q~> c -> b\na ~> c").spans;
        engine.ingest(START, spans);
        for second in 0..60 {
            engine.tick(ArrivalTime(START.0 + second * SECOND));
        }
        let closed = engine.aggregate_mut().take_closed();
        let bytes = closed[0].measured.to_bytes();
        let measured = Measured::from_bytes(&bytes).unwrap();
        assert_eq!((measured.functions.len(), measured.to_bytes() == bytes), (3, true));
        assert!((0..bytes.len()).all(|length| Measured::from_bytes(&bytes[..length]).is_none()));
        // When this fails, raise WINDOW_FORMAT, and then write the new numbers here.
        expect!["2 2622 67b318f8f7a1831e"].assert_eq(&format!(
            "{WINDOW_FORMAT} {} {:016x}",
            bytes.len(),
            xxh3_64(&bytes)
        ));
    }

    proptest! {
        #[test]
        fn no_time_is_counted_twice_and_none_is_forgotten(
            lost in prop::collection::btree_set(0u64..400, 0..60),
            from in 0u64..400,
            length in 0u64..400,
        ) {
            // Each minute that was not lost is there, and so are the longer windows that hold one.
            let minutes: BTreeSet<u64> = (0..400).filter(|minute| !lost.contains(minute)).collect();
            let kept: BTreeSet<_> = minutes
                .iter()
                .flat_map(|minute| Length::ALL.map(|length| (length, length.around(at(*minute)).from)))
                .collect();
            let range = Range { from: at(from), to: at(from + length) };
            let mut seen = BTreeSet::new();
            for (length, start) in range.covered_by(&kept) {
                prop_assert!(start >= range.from && length.around(start).to <= range.to);
                let first = start.since(at(0)).as_secs() / 60;
                for minute in first..first + length.duration().as_secs() / 60 {
                    prop_assert!(seen.insert(minute), "minute {minute} twice");
                }
            }
            for minute in minutes.range(from..from + length) {
                prop_assert!(seen.contains(minute), "minute {minute} is missing");
            }
        }
    }
}
