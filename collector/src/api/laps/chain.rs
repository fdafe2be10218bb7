//! A chain cut into laps, with what is different from one to the next.

use std::collections::BTreeMap;

use loopscope_proto::v1;

use super::unroll::{Chain, Invocation, start_nanos};

/// Laps shown from the beginning of a chain, and from its end.
const SHOWN: usize = 20;

/// A run is told to take longer or shorter from this factor on.
const NOTABLE: f64 = 2.0;

/// Cuts a chain at the function of its last invocation; `None` when nothing is left of it.
pub(super) fn laps(found: &v1::Loop, chain: Option<Chain>) -> Option<v1::Laps> {
    let chain = chain?;
    let anchor = chain.invocations.last()?.entry.clone();
    let mut laps: Vec<v1::LapDetail> = Vec::new();
    let mut stops: Vec<v1::LapStop> = Vec::new();
    for invocation in &chain.invocations {
        stops.push(stop(invocation));
        if invocation.entry.function_id == anchor.function_id {
            // What led to the first occurrence is no lap.
            let stops = std::mem::take(&mut stops);
            let stops = if laps.is_empty() { stops.into_iter().last().into_iter().collect() } else { stops };
            let next = lap(laps.last(), u32::try_from(laps.len()).unwrap_or(u32::MAX), invocation, stops);
            laps.push(next);
        }
    }
    let elided = laps.len().saturating_sub(2 * SHOWN);
    laps.drain(SHOWN.min(laps.len())..SHOWN.min(laps.len()) + elided);
    Some(v1::Laps {
        loop_id: found.id.clone(),
        function: anchor.function,
        function_id: anchor.function_id,
        laps,
        laps_elided: u32::try_from(elided).unwrap_or(u32::MAX),
        ended_by: chain.ended_by.to_owned(),
    })
}

fn stop(invocation: &Invocation) -> v1::LapStop {
    v1::LapStop {
        function: invocation.entry.function.clone(),
        function_id: invocation.entry.function_id.clone(),
        version: invocation.version.clone(),
        payload_bytes: invocation.payload_bytes,
        joined: invocation.is_joined,
    }
}

fn lap(before: Option<&v1::LapDetail>, number: u32, invocation: &Invocation, stops: Vec<v1::LapStop>) -> v1::LapDetail {
    let entry = &invocation.entry;
    let mut lap = v1::LapDetail {
        lap: number,
        start: entry.start,
        lap_ms: None,
        duration_ms: entry.duration_ms,
        trace_id: invocation.trace_id.clone(),
        span_id: entry.span_id.clone(),
        error: entry.error,
        stops,
        changes: Vec::new(),
    };
    if let Some(before) = before {
        let earlier = v1::TraceSpan { start: before.start, ..Default::default() };
        lap.lap_ms = Some((start_nanos(entry) - start_nanos(&earlier)) as f64 / 1e6);
        lap.changes = changes(before, &lap);
    }
    lap
}

/// What is different from the lap before, in words.
fn changes(before: &v1::LapDetail, lap: &v1::LapDetail) -> Vec<String> {
    let mut words = Vec::new();
    let names = |lap: &v1::LapDetail| lap.stops.iter().map(|stop| stop.function.clone()).collect::<Vec<_>>();
    // The first occurrence of a chain has no lap behind it to compare the way with.
    if before.lap > 0 && names(before) != names(lap) {
        words.push(format!("went over {}", names(lap).join(" → ")));
    }
    let earlier: BTreeMap<&str, &v1::LapStop> =
        before.stops.iter().map(|stop| (stop.function_id.as_str(), stop)).collect();
    for stop in &lap.stops {
        let Some(earlier) = earlier.get(stop.function_id.as_str()) else { continue };
        if !stop.version.is_empty() && !earlier.version.is_empty() && stop.version != earlier.version {
            words.push(format!("{} is version {}, was {}", stop.function, stop.version, earlier.version));
        }
        if let (Some(bytes), Some(were)) = (stop.payload_bytes, earlier.payload_bytes)
            && bytes != were
        {
            words.push(format!("{} got {bytes} bytes, were {were}", stop.function));
        }
    }
    match (before.error, lap.error) {
        (false, true) => words.push("ended with an error".to_owned()),
        (true, false) => words.push("ended well again".to_owned()),
        _ => {}
    }
    let factor = lap.duration_ms / before.duration_ms;
    if factor.is_finite() && before.duration_ms > 0.0 && (factor >= NOTABLE || factor <= 1.0 / NOTABLE) {
        words.push(format!("took {:.0} ms, were {:.0} ms", lap.duration_ms, before.duration_ms));
    }
    words
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn invocation(function: &str, second: i64) -> Invocation {
        Invocation {
            trace_id: "t".into(),
            entry: v1::TraceSpan {
                function: function.into(),
                function_id: function.into(),
                start: Some(Timestamp { seconds: second, nanos: 0 }),
                duration_ms: 10.0,
                ..Default::default()
            },
            version: "1".into(),
            payload_bytes: Some(100),
            is_joined: false,
        }
    }

    fn cut(invocations: Vec<Invocation>) -> v1::Laps {
        laps(&v1::Loop::default(), Some(Chain { invocations, ended_by: "" })).unwrap()
    }

    #[test]
    fn a_chain_is_cut_at_the_function_of_its_end() {
        let found = cut(vec![
            invocation("start", 0),
            invocation("b", 1),
            invocation("a", 2),
            invocation("b", 3),
            invocation("a", 5),
            invocation("b", 6),
            invocation("b", 8),
        ]);
        assert_eq!(found.function, "b");
        let shape: Vec<(u32, Option<f64>, usize)> =
            found.laps.iter().map(|lap| (lap.lap, lap.lap_ms, lap.stops.len())).collect();
        assert_eq!(shape, [(0, None, 1), (1, Some(2_000.0), 2), (2, Some(3_000.0), 2), (3, Some(2_000.0), 1)]);
        assert_eq!(found.laps[3].changes, ["went over b"]);
    }

    #[test]
    fn what_is_different_is_said() {
        let mut second = invocation("a", 1);
        (second.version, second.payload_bytes) = ("2".into(), Some(200));
        (second.entry.error, second.entry.duration_ms) = (true, 35.0);
        let found = cut(vec![invocation("a", 0), second]);
        assert_eq!(
            found.laps[1].changes,
            ["a is version 2, was 1", "a got 200 bytes, were 100", "ended with an error", "took 35 ms, were 10 ms"]
        );
    }

    #[test]
    fn the_middle_of_a_long_chain_is_left_out_and_counted() {
        let found = cut((0..100).map(|second| invocation("a", second)).collect());
        assert_eq!((found.laps.len(), found.laps_elided), (40, 60));
        assert_eq!((found.laps[19].lap, found.laps[20].lap), (19, 80));
        assert!(laps(&v1::Loop::default(), None).is_none());
    }
}
