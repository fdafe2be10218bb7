//! `from` and `to` of a question, and what was measured between them.
//!
//! A function makes a [`RangeQuery`] of its request and asks [`measured`]. Both times are
//! RFC 3339, or reach back from now as `-1h` does; without them it is the last hour.

use std::{collections::HashMap, str::FromStr as _, sync::Arc, time::Duration};

use loopscope_analyzer::{
    measured::Measured,
    snapshot::NodeId,
    span::ArrivalTime,
    windows::{Length, Range},
};
use prost_types::Timestamp;

use super::{
    Shared, SourceError,
    error::{ApiError, read_from_disk},
};
use crate::{clock, view::View};

/// Reads what was measured in the whole windows around a time, for a given now, and says which time that was. It may
/// block.
pub type WindowSource = Arc<dyn Fn(Range, ArrivalTime) -> Result<(Measured, Range), SourceError> + Send + Sync>;

/// How far a question reaches back that does not say it.
const LAST: Duration = Length::Hour.duration();

/// The time that is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct RangeQuery {
    /// Where it begins; an hour before its end when it is missing.
    pub(super) from: Option<String>,
    /// Where it ends; now when it is missing.
    pub(super) to: Option<String>,
}

impl RangeQuery {
    /// The time that is meant.
    pub(super) fn range(&self, now: ArrivalTime) -> Result<Range, ApiError> {
        let to = self.to.as_deref().map_or(Ok(now), |text| moment("to", text, now))?;
        let hour_before = ArrivalTime(to.0.saturating_sub(clock::nanos(LAST)));
        let from = self.from.as_deref().map_or(Ok(hour_before), |text| moment("from", text, now))?;
        if from >= to {
            return Err(ApiError::bad_request("from must be before to; when to is missing, it is now"));
        }
        if from > now {
            return Err(ApiError::bad_request("from lies in the future, of which nothing is known"));
        }
        Ok(Range { from, to })
    }
}

/// What was measured in the time that is asked for, and the time of the whole windows around it.
pub(super) async fn measured(shared: &Shared, query: &RangeQuery) -> Result<(Measured, Range), ApiError> {
    let now = ArrivalTime(clock::unix_nanos());
    measured_in(shared, query.range(now)?, now).await
}

/// What was measured in a time, and the time of the whole windows around it.
pub(super) async fn measured_in(
    shared: &Shared,
    range: Range,
    now: ArrivalTime,
) -> Result<(Measured, Range), ApiError> {
    let read = Arc::clone(&shared.state.windows);
    let view = shared.view();
    read_from_disk(shared, move || {
        let (mut measured, range) = read(range, now)?;
        // Which functions are one may have turned out after the windows were written.
        let own = own_ids(&view);
        measured.rename(|id| own.get(&id).copied().unwrap_or(id));
        Ok((measured, range))
    })
    .await
}

fn own_ids(view: &View) -> HashMap<NodeId, NodeId> {
    let functions = view.graph.functions.iter().filter_map(|node| Some((NodeId::from_hex(&node.id)?, &node.aliases)));
    functions
        .flat_map(|(own, aliases)| aliases.iter().filter_map(move |alias| Some((NodeId::from_hex(alias)?, own))))
        .collect()
}

fn moment(parameter: &str, text: &str, now: ArrivalTime) -> Result<ArrivalTime, ApiError> {
    let wrong = || {
        let example = "2026-01-31T12:00:00Z, now, or a time back from now as -90m, -1h or -7d";
        ApiError::bad_request(format!("{parameter} must be {example}, not {text:?}"))
    };
    if text == "now" {
        return Ok(now);
    }
    if let Some(back) = text.strip_prefix('-') {
        let back = humantime::parse_duration(back).map_err(|_| wrong())?;
        return Ok(ArrivalTime(now.0.saturating_sub(clock::nanos(back))));
    }
    // In a query, + is a space unless it is escaped; no time has one.
    let time = Timestamp::from_str(&text.replace(' ', "+")).map_err(|_| wrong())?;
    let seconds = u64::try_from(time.seconds).map_err(|_| wrong())?;
    let nanos = seconds.checked_mul(1_000_000_000).ok_or_else(wrong)?;
    let nanos = nanos.checked_add(u64::try_from(time.nanos).unwrap_or_default()).ok_or_else(wrong)?;
    Ok(ArrivalTime(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: ArrivalTime = ArrivalTime(1_800_000_000_000_000_000);

    fn asked(from: &str, to: &str) -> Result<(u64, u64), String> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let query = RangeQuery { from: given(from), to: given(to) };
        let range = query.range(NOW).map_err(|error| format!("{error:?}"))?;
        Ok((NOW.since(range.from).as_secs(), NOW.since(range.to).as_secs()))
    }

    #[test]
    fn times_are_absolute_or_reach_back_and_default_to_the_last_hour() {
        assert_eq!(asked("", ""), Ok((3_600, 0)));
        assert_eq!(asked("-15m", "now"), Ok((900, 0)));
        assert_eq!(asked("", "-1d"), Ok((90_000, 86_400)));
        assert_eq!(asked("2027-01-15T07:00:00Z", ""), Ok((3_600, 0)));
        assert_eq!(asked("2027-01-15T08:00:00 01:00", "-1min"), Ok((3_600, 60)));
        for (from, to) in [
            ("yesterday", ""),
            ("", "2554-07-21T23:34:33.999Z"),
            ("-1x", ""),
            ("-1h", "-2h"),
            ("2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"),
        ] {
            let error = asked(from, to).unwrap_err();
            assert!(error.contains("bad_request"), "{error}");
        }
        assert!(asked("-1x", "").unwrap_err().contains("-90m"));
    }
}
