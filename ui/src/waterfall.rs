//! The rows of a trace: which are shown, how long their bars are, where the ticks of the time stand.
//!
//! Pure arithmetic on the message; `pages/trace.rs` shows it.

use std::collections::BTreeSet;

use loopscope_proto::v1::TraceSpan;

use crate::format;

/// A span as a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its place in the trace.
    pub at: usize,
    /// How far it is indented; folded away ancestors count.
    pub level: u32,
    /// Spans below it.
    pub descendants: usize,
    /// Whether they are hidden.
    pub folded: bool,
}

/// Rows of all spans that no folded ancestor hides. Spans stand parents before children.
pub fn rows(spans: &[TraceSpan], folded: &BTreeSet<usize>) -> Vec<Row> {
    let mut rows = Vec::with_capacity(spans.len());
    let mut at = 0;
    while at < spans.len() {
        let level = spans[at].level;
        let descendants = spans[at + 1..].iter().take_while(|it| it.level > level).count();
        let is_folded = descendants > 0 && folded.contains(&at);
        rows.push(Row { at, level, descendants, folded: is_folded });
        at += 1 + if is_folded { descendants } else { 0 };
    }
    rows
}

/// Milliseconds from the start of the first span to the end of the last.
pub fn total_ms(spans: &[TraceSpan]) -> f64 {
    spans.iter().map(|it| it.offset_ms + it.duration_ms).fold(0.0, f64::max)
}

/// Where a bar begins and how wide it is, in parts of the whole; never too thin to be seen.
pub fn bar(span: &TraceSpan, total_ms: f64) -> (f64, f64) {
    const THINNEST: f64 = 0.0025;
    if total_ms <= 0.0 {
        return (0.0, 1.0);
    }
    let width = (span.duration_ms / total_ms).clamp(THINNEST, 1.0);
    ((span.offset_ms / total_ms).clamp(0.0, 1.0 - width), width)
}

/// Round times for the axis: their place in parts of the whole, and their text.
pub fn ticks(total_ms: f64, about: usize) -> Vec<(f64, String)> {
    if total_ms <= 0.0 || about == 0 {
        return vec![(0.0, "0".into())];
    }
    let rough = total_ms / about as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|it| it * power).find(|it| *it >= rough).unwrap_or(power * 10.0);
    let n = (total_ms / step).floor() as usize;
    let text = |at: usize| if at == 0 { "0".into() } else { format::duration(at as f64 * step) };
    (0..=n).map(|at| (at as f64 * step / total_ms, text(at))).collect()
}

/// The deepest lap of the trace and the function that made it; `None` when nothing came round.
pub fn deepest_lap(spans: &[TraceSpan]) -> Option<(u32, &str)> {
    let deepest = spans.iter().filter(|it| it.lap > 0).max_by_key(|it| it.lap)?;
    Some((deepest.lap, &deepest.function))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(levels: &[u32]) -> Vec<TraceSpan> {
        let span = |(at, level): (usize, &u32)| TraceSpan {
            span_id: format!("{at:016x}"),
            level: *level,
            offset_ms: at as f64 * 10.0,
            duration_ms: 25.0,
            ..TraceSpan::default()
        };
        levels.iter().enumerate().map(span).collect()
    }

    #[test]
    fn folding_hides_descendants_and_nothing_else() {
        let spans = spans(&[0, 1, 2, 2, 1, 0]);
        let all = rows(&spans, &BTreeSet::new());
        assert_eq!(all.iter().map(|it| it.descendants).collect::<Vec<_>>(), [4, 2, 0, 0, 0, 0]);
        let some = rows(&spans, &BTreeSet::from([1]));
        assert_eq!(some.iter().map(|it| it.at).collect::<Vec<_>>(), [0, 1, 4, 5]);
        assert!(some[1].folded);
    }

    #[test]
    fn bars_stay_inside_and_visible() {
        let mut it = spans(&[0]).remove(0);
        it.offset_ms = 1000.0;
        it.duration_ms = 0.001;
        let (from, width) = bar(&it, 1000.0);
        assert!(width > 0.0 && from + width <= 1.0);
        assert_eq!(bar(&it, 0.0), (0.0, 1.0));
    }

    #[test]
    fn ticks_are_round() {
        let texts: Vec<String> = ticks(930.0, 5).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["0", "200 ms", "400 ms", "600 ms", "800 ms"]);
        assert_eq!(ticks(0.0, 5).len(), 1);
    }

    #[test]
    fn the_deepest_lap_is_named() {
        let mut spans = spans(&[0, 1, 2]);
        assert_eq!(deepest_lap(&spans), None);
        spans[2].lap = 3;
        spans[2].function = "resize".into();
        assert_eq!(deepest_lap(&spans), Some((3, "resize")));
    }

    proptest! {
        #[test]
        fn every_span_is_a_row_or_below_a_folded_one(
            levels in proptest::collection::vec(0_u32..5, 0..60),
            folded in proptest::collection::btree_set(0_usize..60, 0..10),
        ) {
            let rows = rows(&spans(&levels), &folded);
            let hidden: usize = rows.iter().filter(|it| it.folded).map(|it| it.descendants).sum();
            prop_assert_eq!(rows.len() + hidden, levels.len());
        }
    }
}
