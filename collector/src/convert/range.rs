//! A range of time.

use loopscope_analyzer::windows::Range;
use loopscope_proto::v1;

/// The time that an answer is about, of which so many seconds were seen.
pub fn range(range: Range, seen_seconds: f64) -> v1::TimeRange {
    let moment = |time| Some(super::arrival_time(time));
    v1::TimeRange { from: moment(range.from), to: moment(range.to), seen_seconds }
}
