//! Closes a window each minute: takes what was measured in it out of the aggregate, for whoever keeps windows.
//!
//! A minute is one of arrival time. Time that nobody watched, as between a stop and a start, belongs to no window.

use std::{collections::VecDeque, mem, time::Duration};

use crate::{
    measured::Measured,
    span::ArrivalTime,
    state::state,
    windows::{ClosedWindow, Length},
};

/// Minutes that wait to be taken; when nobody takes them, the oldest go.
const WAITING: usize = 16;

/// When nothing is heard for longer than this, nobody was watching: while an engine runs, time passes in quarters of
/// a second.
const PAUSE: Duration = Duration::from_secs(120);

/// Where time stands in the running window.
#[derive(Default)]
pub(super) struct Minutes {
    /// Up to here the running window has seen time pass; zero before the first time.
    seen: ArrivalTime,
    closed: VecDeque<ClosedWindow>,
    dropped: u64,
}

impl Minutes {
    /// Lets time pass; minutes that end are taken out of `running`.
    pub(super) fn pass_to(&mut self, now: ArrivalTime, running: &mut Measured) {
        if self.seen == ArrivalTime(0) {
            self.seen = now;
        }
        let is_watched = now.since(self.seen) <= PAUSE;
        while now >= Length::Minute.around(self.seen).to {
            let minute = Length::Minute.around(self.seen);
            if is_watched {
                running.seconds += minute.to.since(self.seen).as_secs_f64();
            }
            self.close(ClosedWindow { start: minute.from, measured: mem::take(running) });
            self.seen = if is_watched { minute.to } else { now };
        }
        if is_watched {
            running.seconds += now.since(self.seen).as_secs_f64();
        }
        self.seen = self.seen.max(now);
    }

    /// Lets time pass where there is one window over all.
    pub(super) fn pass_over_all(&mut self, now: ArrivalTime, all: &mut Measured) {
        if self.seen > ArrivalTime(0) {
            all.seconds += now.since(self.seen).as_secs_f64();
        }
        self.seen = self.seen.max(now);
    }

    /// When the running window began.
    pub(super) fn running_since(&self) -> ArrivalTime {
        Length::Minute.around(self.seen).from
    }

    /// The minutes that ended since the last time, the oldest first.
    pub(super) fn take(&mut self) -> Vec<ClosedWindow> {
        self.closed.drain(..).collect()
    }

    /// Minutes that nobody took in time.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn close(&mut self, window: ClosedWindow) {
        if self.closed.len() == WAITING {
            self.closed.pop_front();
            self.dropped += 1;
        }
        self.closed.push_back(window);
    }
}

state!(Minutes { seen, dropped } else { closed });

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// What the minutes have seen when time passes at these seconds.
    fn seen(at: impl IntoIterator<Item = u64>) -> Vec<(u64, f64)> {
        let (mut minutes, mut running) = (Minutes::default(), Measured::default());
        let mut closed = Vec::new();
        for second in at {
            minutes.pass_to(ArrivalTime(second * SECOND), &mut running);
            closed.extend(minutes.take());
        }
        closed.push(ClosedWindow { start: minutes.running_since(), measured: running });
        closed.iter().map(|window| (window.start.0 / SECOND, window.measured.seconds)).collect()
    }

    #[test]
    fn a_window_has_seen_what_passed_while_somebody_watched() {
        assert_eq!(seen([630, 640, 655, 661, 661, 650, 719]), [(600, 30.0), (660, 59.0)]);
        assert_eq!(seen([600, 720]), [(600, 60.0), (660, 60.0), (720, 0.0)], "nothing happened for two minutes");
        assert_eq!(seen([600, 630, 900, 930]), [(600, 30.0), (900, 30.0)], "nobody watched");
        assert_eq!(seen([600, 659, 660]), [(600, 60.0), (660, 0.0)]);
    }

    #[test]
    fn minutes_that_nobody_takes_are_bounded() {
        let (mut minutes, mut running) = (Minutes::default(), Measured::default());
        for minute in 1..=100 {
            minutes.pass_to(ArrivalTime(minute * 60 * SECOND), &mut running);
        }
        assert_eq!((minutes.closed.len(), minutes.dropped()), (WAITING, 99 - WAITING as u64));
        assert_eq!(minutes.take().last().map(|window| window.start), Some(ArrivalTime(99 * 60 * SECOND)));
    }
}
