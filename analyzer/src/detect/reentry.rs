//! Re-entry: a function runs again, caused by its own earlier run. When such a loop is over, and when it matters.

use std::time::Duration;

use crate::{
    snapshot::{LoopState, Reproduction},
    span::ArrivalTime,
};

use super::reproduction;

/// A chain without a lap for this long has ended, at the least; a loop is dying.
const ENDED: Duration = Duration::from_secs(60);
/// A loop without a lap for this long is closed, at the least.
const CLOSED: Duration = Duration::from_secs(900);
/// Lap times without a lap after which a chain has ended.
const ENDED_LAPS: f64 = 4.0;
/// Lap times without a lap that make a loop closed.
const CLOSED_LAPS: f64 = 10.0;

/// Median time of a lap from which a loop is slow.
pub(crate) const SLOW_MS: f64 = 600_000.0;

/// How long a chain is quiet until it has ended.
pub(crate) fn chain_quiet(lap_p99_ms: f64) -> Duration {
    ENDED.max(lap_times(lap_p99_ms, ENDED_LAPS))
}

/// How long a loop is quiet until it is closed, and how long an alarm lasts beyond what caused it.
pub(crate) fn loop_quiet(lap_p99_ms: f64) -> Duration {
    CLOSED.max(lap_times(lap_p99_ms, CLOSED_LAPS))
}

/// How a loop behaves whose last lap arrived then.
pub(crate) fn state(now: ArrivalTime, last_lap: ArrivalTime, lap_p99_ms: f64, r: Option<Reproduction>) -> LoopState {
    let quiet = now.since(last_lap);
    if quiet >= loop_quiet(lap_p99_ms) {
        LoopState::Closed
    } else if quiet >= chain_quiet(lap_p99_ms) {
        LoopState::Dying
    } else {
        reproduction::state(r)
    }
}

fn lap_times(lap_p99_ms: f64, count: f64) -> Duration {
    Duration::try_from_secs_f64(lap_p99_ms / 1e3 * count).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_lives_dies_and_closes() {
        let at = |seconds: u64| ArrivalTime(seconds * 1_000_000_000);
        let lives = Some(Reproduction { mean: 1.0, low: 0.9, high: 1.0 });
        assert_eq!(state(at(110), at(109), 500.0, lives), LoopState::Persistent);
        assert_eq!(state(at(110), at(109), 500.0, None), LoopState::Unknown);
        assert_eq!(state(at(360), at(299), 500.0, lives), LoopState::Dying);
        assert_eq!(state(at(1_200), at(299), 500.0, lives), LoopState::Closed);
        let hourly = 3_600_000.0;
        assert_eq!(state(at(8_000), at(299), hourly, lives), LoopState::Persistent, "slow laps are not over");
    }
}
