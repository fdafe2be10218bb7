//! What became slower or fails more often, by how much, and what came just before.

use loopscope_proto::v1::{Change, Level};

use crate::format;

/// What changed: `its own time`, `errors`.
pub fn aspect(word: &str, of_edge: bool) -> &'static str {
    match word {
        "duration" if of_edge => "the time it is waited for",
        "duration" => "the time of its runs",
        "self" => "its own time",
        "gap" => "waiting between caller and callee",
        "errors" if of_edge => "failed calls",
        "errors" => "failed runs",
        "cold_starts" => "cold starts",
        _ => "something",
    }
}

/// Whether it became worse.
pub fn is_regression(it: &Change) -> bool {
    it.direction == "regression"
}

/// Glyph, words and class of its direction: slower and more is ▲, faster and fewer ▼.
pub fn direction(it: &Change) -> (&'static str, &'static str, &'static str) {
    let of_time = it.after.as_ref().is_some_and(|after| after.share.is_none());
    match (is_regression(it), of_time) {
        (true, true) => ("▲", "slower", "tone-crit"),
        (true, false) => ("▲", "more", "tone-crit"),
        (false, true) => ("▼", "faster", "tone-fast"),
        (false, false) => ("▼", "fewer", "tone-fast"),
    }
}

/// How it was, in one number.
pub fn level(it: Option<&Level>) -> String {
    match it {
        Some(Level { share: Some(share), .. }) => format::percent(*share),
        Some(it) => format::duration_or_dash(it.p95_ms),
        None => "–".to_owned(),
    }
}

/// By how much: `p95 3.2×`, `+12 points`.
pub fn by_how_much(it: &Change) -> String {
    let (Some(before), Some(after)) = (&it.before, &it.after) else { return String::new() };
    match (before.share, after.share, before.p95_ms, after.p95_ms) {
        (Some(before), Some(after), ..) => {
            let points = (after - before) * 100.0;
            format!("{}{:.1} points", if points < 0.0 { "−" } else { "+" }, points.abs())
        }
        (_, _, Some(before), Some(after)) if before > 0.0 => format!("{} at p95", format::times(after / before)),
        _ => String::new(),
    }
}

/// The version that came just before, and how long before.
pub fn version_before(it: &Change) -> Option<String> {
    if it.version.is_empty() {
        return None;
    }
    let of = if it.target.is_empty() { &it.function } else { &it.target };
    let earlier = match (format::millis(it.version_first_seen.as_ref()), format::millis(it.since.as_ref())) {
        (Some(seen), Some(since)) if since > seen => format!("{} before", format::duration(since - seen)),
        _ => "in the same minute".to_owned(),
    };
    // An edge names the version of who is called where it is known, otherwise that of the caller.
    let whose = if it.target.is_empty() { format!(" of {of}") } else { String::new() };
    Some(format!("Version {}{whose} was first seen {earlier}.", it.version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    fn times(before: f64, after: f64) -> Change {
        let level = |p95_ms| Some(Level { samples: 9, p50_ms: Some(1.0), p95_ms: Some(p95_ms), share: None });
        let direction = if after > before { "regression" } else { "improvement" }.to_owned();
        Change { function: "pay".into(), before: level(before), after: level(after), direction, ..Change::default() }
    }

    #[test]
    fn what_became_slower_is_told_by_how_much() {
        let slower = times(100.0, 320.0);
        assert_eq!((by_how_much(&slower).as_str(), direction(&slower).1), ("3.2× at p95", "slower"));
        assert_eq!((level(slower.before.as_ref()).as_str(), direction(&times(9.0, 3.0)).0), ("100 ms", "▼"));
        let share = |share| Some(Level { share: Some(share), ..Level::default() });
        let more =
            Change { direction: "regression".into(), before: share(0.01), after: share(0.13), ..Change::default() };
        assert_eq!((by_how_much(&more).as_str(), direction(&more).1), ("+12.0 points", "more"));
        assert_eq!(level(more.after.as_ref()), "13 %");
    }

    #[test]
    fn the_version_that_came_before_is_named() {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let mut it =
            Change { version: "42".into(), version_first_seen: at(1_000), since: at(1_180), ..times(1.0, 2.0) };
        assert_eq!(version_before(&it).as_deref(), Some("Version 42 of pay was first seen 3 m before."));
        it.since = at(960);
        assert!(version_before(&it).is_some_and(|text| text.ends_with("in the same minute.")));
        it.version.clear();
        assert_eq!(version_before(&it), None);
    }

    #[test]
    fn aspects_of_edges_are_about_calls() {
        assert_eq!((aspect("errors", true), aspect("errors", false)), ("failed calls", "failed runs"));
        assert_eq!(aspect("gap", true), "waiting between caller and callee");
    }
}
