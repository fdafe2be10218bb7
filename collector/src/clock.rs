//! The wall clock, as nanoseconds since 1970-01-01 UTC.
//!
//! Spans and batches carry times as numbers; this is where the clock of the machine becomes one. A clock that is set
//! before 1970 reads zero, and one beyond the year 2554 the largest number.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now, nanoseconds since 1970-01-01 UTC.
pub(crate) fn unix_nanos() -> u64 {
    unix_nanos_at(SystemTime::now())
}

/// A time, nanoseconds since 1970-01-01 UTC.
pub(crate) fn unix_nanos_at(time: SystemTime) -> u64 {
    nanos(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_the_nearest_that_does() {
        assert_eq!(unix_nanos_at(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(unix_nanos_at(UNIX_EPOCH + Duration::from_nanos(7)), 7);
        assert_eq!(nanos(Duration::MAX), u64::MAX);
    }
}
