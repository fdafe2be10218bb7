//! Windows in memory, for programs that run an engine in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use super::{ClosedWindow, Length, Range, ended_by};
use crate::{detect::change::Past, measured::Measured, span::ArrivalTime};

/// Windows that are kept in memory, as long as their lengths say.
#[derive(Default)]
pub struct Kept {
    windows: BTreeMap<(Length, ArrivalTime), Measured>,
    newest: Option<ArrivalTime>,
}

impl Kept {
    /// No windows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a minute, and what is over with it.
    pub fn keep(&mut self, window: &ClosedWindow) {
        self.windows.insert((Length::Minute, window.start), window.measured.clone());
        for (length, start) in ended_by(self.newest, window.start) {
            self.roll(length, start);
        }
        self.newest = Some(window.start);
        self.windows.retain(|(length, start), _| window.start.since(*start) <= length.kept() + length.duration());
    }

    /// All that was measured in some time.
    pub fn measured(&self, time: Range) -> Measured {
        let mut all = Measured::default();
        self.each(time, &mut |_, window| all.merge(window));
        all
    }

    fn roll(&mut self, length: Length, start: ArrivalTime) {
        let Some(part) = length.part() else { return };
        let time = length.around(start);
        let mut whole = Measured::default();
        for (_, window) in self.windows.range((part, time.from)..(part, time.to)) {
            whole.merge(window);
        }
        if whole.seconds > 0.0 {
            self.windows.insert((length, start), whole);
        }
    }
}

impl Past for Kept {
    fn each(&self, time: Range, take: &mut dyn FnMut(ArrivalTime, &Measured)) {
        let kept: BTreeSet<(Length, ArrivalTime)> = self.windows.keys().copied().collect();
        for key in time.covered_by(&kept) {
            if let Some(window) = self.windows.get(&key) {
                take(key.1, window);
            }
        }
    }
}
