//! Re-entry: a function runs again, caused by its own earlier run.
//!
//! Once is a call-back, a few times may be pagination. A chain of eight laps is a warning, and one of sixteen is
//! critical: AWS stops chains at about sixteen where it sees them (Lambda, SQS, SNS, S3), and does not see the rest.

use std::time::Duration;

use crate::{
    config::Config,
    snapshot::{LoopState, Severity},
    span::ArrivalTime,
};

/// A loop without a lap for this long is dying, at the least.
const DYING: Duration = Duration::from_secs(60);
/// A loop without a lap for this long is closed, at the least.
const CLOSED: Duration = Duration::from_secs(900);
/// Lap times without a lap that make a loop dying.
const DYING_LAPS: f64 = 4.0;
/// Lap times without a lap that make a loop closed.
const CLOSED_LAPS: f64 = 10.0;

/// Laps of the deepest chain below which it is not known how a loop behaves: a call-back is one lap.
const KNOWN_DEPTH: u32 = 3;
/// Laps that come this long after the deepest one make nothing deeper: batches of spans are not exact in time.
const HOLD: Duration = Duration::from_secs(5);

/// When a loop last did something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    /// When the last lap arrived.
    pub(crate) last_lap: ArrivalTime,
    /// When the deepest chain last got deeper.
    pub(crate) deepened: ArrivalTime,
    /// 99th percentile of the lap time, milliseconds.
    pub(crate) lap_p99_ms: f64,
    /// Laps of the deepest chain.
    pub(crate) max_depth: u32,
}

/// How much a loop matters whose deepest chain went round `depth` times.
pub(crate) fn severity(depth: u32, config: &Config) -> Severity {
    if depth >= config.critical_depth {
        Severity::Critical
    } else if depth >= config.warning_depth {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// How a loop behaves that was active like this.
pub(crate) fn state(now: ArrivalTime, activity: &Activity) -> LoopState {
    let lap_times =
        |count: f64| Duration::try_from_secs_f64(activity.lap_p99_ms / 1e3 * count).unwrap_or(Duration::MAX);
    let dying = DYING.max(lap_times(DYING_LAPS));
    let quiet = now.since(activity.last_lap);
    if quiet >= CLOSED.max(lap_times(CLOSED_LAPS)) {
        LoopState::Closed
    } else if quiet >= dying {
        LoopState::Dying
    } else if activity.max_depth < KNOWN_DEPTH {
        LoopState::Unknown
    } else if activity.last_lap.since(activity.deepened) < lap_times(DYING_LAPS).max(HOLD) {
        LoopState::Growing
    } else {
        LoopState::Persistent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_makes_severity() {
        let config = Config::recommended();
        let severities = [0, 7, 8, 15, 16, u32::MAX].map(|depth| severity(depth, &config));
        use Severity::{Critical, Info, Warning};
        assert_eq!(severities, [Info, Info, Warning, Warning, Critical, Critical]);
    }

    #[test]
    fn a_loop_grows_persists_dies_and_closes() {
        let at = |seconds: u64| ArrivalTime(seconds * 1_000_000_000);
        let activity =
            |last_lap, lap_p99_ms| Activity { last_lap: at(last_lap), deepened: at(100), lap_p99_ms, max_depth: 5 };
        assert_eq!(state(at(101), &activity(101, 500.0)), LoopState::Growing);
        assert_eq!(state(at(130), &activity(100, 500.0)), LoopState::Growing, "no lap came that was not deeper");
        assert_eq!(state(at(110), &activity(109, 500.0)), LoopState::Persistent);
        assert_eq!(state(at(360), &activity(299, 500.0)), LoopState::Dying);
        assert_eq!(state(at(1_200), &activity(299, 500.0)), LoopState::Closed);
        let hourly = 3_600_000.0;
        assert_eq!(state(at(8_000), &activity(299, hourly)), LoopState::Growing, "slow laps are not over");
        let once = Activity { max_depth: 1, ..activity(101, 500.0) };
        assert_eq!(state(at(101), &once), LoopState::Unknown);
    }
}
