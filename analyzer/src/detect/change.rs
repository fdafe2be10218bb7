//! What became slower, faster, or fails more often than it used to: window by window, over all functions and edges.
//!
//! ```text
//!   each minute: counts per series -> cumulative sums (gauge) -> suspects
//!   suspects:    before and after, from the windows that are kept (compare) -> changes
//! ```
//!
//! What is usual is the last day without its last quarter of an hour. A suspect is confirmed against the day before it
//! began, and where there is any, against the same hour of yesterday and of last week, so that a rush hour is no
//! change. A change is told with the version of the function that came just before it. While one is open its series
//! learns nothing; it is over when the series is as it used to be, and after a day it is the usual.
//!
//! This reads windows by a [`Past`], and does not know who keeps them.

mod compare;
mod evidence;
mod gauge;
mod summed;
#[cfg(test)]
mod tests;
mod track;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

pub use self::{
    evidence::Level,
    gauge::{
        Alarm, Direction, QUANTILES, ShareGauge, TimeGauge, UsualShare, UsualTimes, share_threshold, time_threshold,
    },
    summed::{Aspect, SeriesKey, Subject},
};
use self::{
    evidence::{Evidence, Suspect},
    summed::{Summed, each_series},
    track::Track,
};
use crate::{
    measured::Measured,
    span::{ArrivalTime, EventTime},
    state::{self, state},
    windows::{ClosedWindow, Length, Range},
};

/// Series that are watched, about 250 bytes each. Beyond, those that are quiet go, and when all are busy, newcomers are
/// not watched: what is usual is known only of those that stay.
const SERIES: usize = 40_000;
/// A series that ran last before so long is quiet.
const QUIET: Duration = Duration::from_secs(3_600);
/// Changes that are remembered; beyond, the oldest go.
const CHANGES: usize = 1_000;
/// Suspects that are looked into at once; the others come with the next window.
const SUSPECTS: usize = 100;

/// The time that says what is usual,
const BASELINE: Duration = Duration::from_secs(86_400);
/// without its end, in which something may have begun.
const RECENT: Duration = Duration::from_secs(15 * 60);
/// How often that is taken anew.
const RELEARN: Duration = Duration::from_secs(15 * 60);
/// How much of it must have been seen, seconds, so that it is not one moment.
const LEAST_BASELINE_SECONDS: f64 = 30.0 * 60.0;
/// A suspect that was refused is not looked into again for so long.
const HOLD_OFF: Duration = Duration::from_secs(15 * 60);
/// A change that has lasted so long is the usual.
const SETTLED: Duration = Duration::from_secs(86_400);
/// Windows that were kept.
pub trait Past {
    /// Hands over the windows that make up some time, each once; what is no longer kept is left out.
    fn each(&self, time: Range, take: &mut dyn FnMut(ArrivalTime, &Measured));
}

/// A series that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What changed.
    pub series: SeriesKey,
    /// Where it went.
    pub direction: Direction,
    /// When it began.
    pub since: ArrivalTime,
    /// When it was found.
    pub found: ArrivalTime,
    /// When it was as before again; `None` while it lasts, and when it became the usual.
    pub until: Option<ArrivalTime>,
    /// When it had lasted so long that it became the usual.
    pub settled: Option<ArrivalTime>,
    /// How it was in the day before.
    pub before: Level,
    /// How it was from its begin until it was found.
    pub after: Level,
    /// How sure it is that it is not by chance, 0 to 1.
    pub confidence: f64,
    /// The version of the function that came just before, and when it was seen first.
    pub version: Option<(Arc<str>, EventTime)>,
}

impl Change {
    /// True when it lasted for some of that time.
    pub fn lasted_in(&self, range: Range) -> bool {
        self.since < range.to && self.until.or(self.settled).is_none_or(|end| end >= range.from)
    }
}

/// What was let go, and what came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchLosses {
    /// Series that were watched and are quiet, let go because there were too many.
    pub series_dropped: u64,
    /// Series of the last minute that are not watched, because there are too many.
    pub series_unwatched: u64,
    /// Changes that are not remembered any more, because there were too many.
    pub changes_dropped: u64,
    /// Suspects that were looked into and turned out not to matter.
    pub refused: u64,
}

/// Watches all series, window by window.
#[derive(Default)]
pub struct Watch {
    tracks: BTreeMap<SeriesKey, Track>,
    /// The newest last.
    changes: VecDeque<Change>,
    losses: WatchLosses,
    /// Up to here windows were taken in.
    seen: ArrivalTime,
    learned: ArrivalTime,
}

impl Watch {
    /// A watch that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// All that it knows, as bytes.
    pub fn save(&self) -> Vec<u8> {
        let mut bytes = state::bytes_of(&state::FORMAT);
        bytes.append(&mut state::bytes_of(self));
        bytes
    }

    /// Goes on where a watch was saved; `None` when the bytes are not one.
    pub fn load(bytes: &[u8]) -> Option<Self> {
        let (format, own) = bytes.split_first_chunk()?;
        (u32::from_le_bytes(*format) == state::FORMAT).then(|| state::value_of(own)).flatten()
    }

    /// Takes in the next minute; `past` must hold it and what came before. A minute that was taken in already is passed
    /// over, so minutes may come again after a restart.
    pub fn take(&mut self, window: &ClosedWindow, past: &impl Past) {
        let end = Length::Minute.around(window.start).to;
        if end <= self.seen {
            return;
        }
        self.seen = end;
        if end.since(self.learned) >= RELEARN {
            self.learned = end;
            self.learn(past);
        }
        let mut suspects = self.count(window);
        suspects.truncate(SUSPECTS);
        if !suspects.is_empty() {
            self.look_into(suspects, past);
        }
        self.close();
    }

    /// The newest minute that was taken in ended here.
    pub fn seen(&self) -> ArrivalTime {
        self.seen
    }

    /// The changes, the newest last.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.changes.iter()
    }

    /// What was let go.
    pub fn losses(&self) -> WatchLosses {
        self.losses
    }

    /// Series that are watched.
    pub fn series(&self) -> usize {
        self.tracks.len()
    }

    /// Adds a window to all sums.
    fn count(&mut self, window: &ClosedWindow) -> Vec<Suspect> {
        let thresholds = self.thresholds();
        let (minute, now) = (to_minute(window.start), self.seen);
        let mut suspects = Vec::new();
        self.make_room();
        self.losses.series_unwatched = 0;
        each_series(&window.measured, |key, part| {
            if self.tracks.len() >= SERIES && !self.tracks.contains_key(&key) {
                self.losses.series_unwatched += 1;
                return;
            }
            let track = self.tracks.entry(key).or_insert_with(|| Track::new(&part));
            track.last = now;
            let alarm = track.push(minute, part, thresholds);
            if let Some(alarm) = alarm.filter(|_| track.open.is_none() && now >= track.held_until) {
                suspects.push(Suspect { key, direction: alarm.direction, since: from_minute(alarm.since) });
            }
        });
        suspects
    }

    /// How large the sums of times and of shares may become.
    fn thresholds(&self) -> (f64, f64) {
        let times = self.tracks.values().filter(|track| track.is_of_times()).count();
        let sums = times * TimeGauge::SUMS + (self.tracks.len() - times) * ShareGauge::SUMS;
        (time_threshold(sums), share_threshold(sums))
    }

    fn make_room(&mut self) {
        if self.tracks.len() >= SERIES {
            let (now, before) = (self.seen, self.tracks.len());
            self.tracks.retain(|_, track| track.open.is_some() || now.since(track.last) < QUIET);
            self.losses.series_dropped += (before - self.tracks.len()) as u64;
        }
    }

    /// Takes what is usual anew.
    fn learn(&mut self, past: &impl Past) {
        let to = ArrivalTime(self.seen.0.saturating_sub(nanos(RECENT)));
        let from = ArrivalTime(self.seen.0.saturating_sub(nanos(BASELINE)));
        let usual = summed_over(past, Range { from, to }, |key| self.tracks.contains_key(key));
        if usual.seconds < LEAST_BASELINE_SECONDS {
            return;
        }
        for (key, track) in self.tracks.iter_mut().filter(|(_, track)| track.open.is_none()) {
            if let Some(sum) = usual.get(key) {
                track.learn(sum);
            }
        }
    }

    /// Tells chance from change, with what was measured before and after.
    fn look_into(&mut self, suspects: Vec<Suspect>, past: &impl Past) {
        let read = Evidence::read(&suspects, self.seen, past);
        let weighed: Vec<(Option<f64>, Suspect)> =
            suspects.into_iter().map(|suspect| (read.weigh(&suspect), suspect)).collect();
        // Those that do not matter were looked at, too.
        let probabilities: Vec<f64> = weighed.iter().map(|(p, _)| p.unwrap_or(1.0)).collect();
        let largest = compare::accepted(&probabilities);
        for (p, suspect) in weighed {
            let accepted = p.filter(|p| *p <= largest);
            if let Some(track) = self.tracks.get_mut(&suspect.key) {
                match accepted {
                    Some(_) => track.open = Some((suspect.direction, suspect.since)),
                    None => {
                        track.reset();
                        track.held_until = self.seen.after(HOLD_OFF);
                    }
                }
            }
            match accepted.and_then(|p| read.change(&suspect, p, self.seen)) {
                Some(change) => self.remember(change),
                None => self.losses.refused += 1,
            }
        }
    }

    fn remember(&mut self, change: Change) {
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
            self.losses.changes_dropped += 1;
        }
        self.changes.push_back(change);
    }

    /// Ends changes whose series are as they used to be.
    fn close(&mut self) {
        for (key, track) in &mut self.tracks {
            let Some((direction, since)) = track.open else { continue };
            let over = track.over(direction).map(from_minute);
            if over.is_none() && self.seen.since(since) < SETTLED {
                continue;
            }
            track.open = None;
            track.reset();
            let found = self.changes.iter_mut().rev().find(|it| it.series == *key && it.since == since);
            if let Some(change) = found {
                change.until = over;
                change.settled = over.is_none().then_some(self.seen);
            }
        }
    }
}

fn summed_over(past: &impl Past, time: Range, wanted: impl Fn(&SeriesKey) -> bool) -> Summed {
    let mut summed = Summed::default();
    past.each(time, &mut |_, window| summed.add(window, &wanted));
    summed
}

fn to_minute(time: ArrivalTime) -> u32 {
    u32::try_from(time.0 / nanos(Length::Minute.duration())).unwrap_or(u32::MAX)
}

fn from_minute(minute: u32) -> ArrivalTime {
    ArrivalTime(u64::from(minute) * nanos(Length::Minute.duration()))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

state!(Change { series, direction, since, found, until, settled, before, after, confidence, version });
state!(WatchLosses { series_dropped, series_unwatched, changes_dropped, refused });
state!(Watch { tracks, changes, losses, seen, learned });
