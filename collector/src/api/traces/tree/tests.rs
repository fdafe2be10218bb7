//! Traces as they come from outside, in a small notation.

use loopscope_analyzer::snapshot::NodeId;
use opentelemetry_proto::tonic::trace::v1::{Status, span::Link};
use proptest::prelude::*;

use super::*;

const TRACE: TraceId = TraceId([7; 16]);

/// A span: id, parent (0 for none), kind, start in milliseconds, function.
type Row = (u8, u8, i32, u64, &'static str);

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

fn span(row: Row) -> (Arc<Resource>, Span) {
    let (id, parent, kind, start_ms, function) = row;
    let wire = |id: u8| if id == 0 { Vec::new() } else { vec![id; 8] };
    let start_time_unix_nano = 1_000_000_000 + start_ms * 1_000_000;
    let span = Span {
        span_id: wire(id),
        parent_span_id: wire(parent),
        kind,
        start_time_unix_nano,
        end_time_unix_nano: start_time_unix_nano + 2_500_000,
        name: function.to_owned(),
        ..Span::default()
    };
    (Arc::default(), span)
}

/// The function of a test span is its name.
fn by_name(_: &Resource, span: &Span) -> Identity {
    let id = span.name.bytes().fold(0, |id, byte| id * 256 + u64::from(byte));
    Identity::of(NodeId(id), span.name.as_str().into())
}

fn trace(rows: &[Row]) -> v1::Trace {
    let spans: Vec<_> = rows.iter().map(|row| span(*row)).collect();
    build(TRACE, &spans, &by_name)
}

/// One word for each span: id, level, and for entries the lap.
#[track_caller]
fn check(rows: &[Row], want: &str) {
    let words = trace(rows)
        .spans
        .iter()
        .map(|span| {
            let entry = if span.entry { format!("!{}", span.lap) } else { String::new() };
            format!("{}@{}{entry}", &span.span_id[1..2], span.level)
        })
        .collect::<Vec<_>>();
    assert_eq!(words.join(" "), want);
}

#[test]
fn parents_come_before_children_and_siblings_by_start() {
    let rows = [(3, 1, INTERNAL, 9, "a"), (2, 1, INTERNAL, 5, "a"), (1, 0, SERVER, 0, "a"), (4, 2, INTERNAL, 6, "a")];
    check(&rows, "1@0!0 2@1 4@2 3@1");
}

#[test]
fn laps_count_the_entries_of_the_same_function_above() {
    // a calls itself twice, and once through b.
    let rows = [
        (1, 0, SERVER, 0, "a"),
        (2, 1, CLIENT, 1, "a"),
        (3, 2, SERVER, 2, "a"),
        (4, 3, CLIENT, 3, "a"),
        (5, 4, SERVER, 4, "b"),
        (6, 5, CLIENT, 5, "b"),
        (7, 6, SERVER, 6, "a"),
        (8, 1, CLIENT, 7, "a"),
        (9, 8, SERVER, 8, "a"),
    ];
    check(&rows, "1@0!0 2@1 3@2!1 4@3 5@4!0 6@5 7@6!2 8@1 9@2!1");
    let laps: Vec<_> = trace(&rows).spans.iter().map(|span| span.lap).collect();
    assert_eq!(laps, [0, 0, 1, 1, 0, 0, 2, 0, 1]);
}

#[test]
fn a_server_span_inside_of_an_invocation_is_no_entry() {
    check(&[(1, 0, SERVER, 0, "a"), (2, 1, SERVER, 1, "a"), (3, 2, SERVER, 2, "b")], "1@0!0 2@1 3@2!0");
}

#[test]
fn a_span_without_kind_enters_when_its_parent_is_of_another_function() {
    check(&[(1, 0, 0, 0, "a"), (2, 1, 0, 1, "a"), (3, 2, 0, 2, "b")], "1@0!0 2@1 3@2!0");
}

#[test]
fn a_span_whose_parent_is_missing_is_a_root() {
    check(&[(1, 0, SERVER, 5, "a"), (2, 9, SERVER, 0, "b")], "2@0!0 1@0!0");
    assert_eq!(trace(&[(2, 9, SERVER, 0, "b")]).spans[0].parent_span_id, "0909090909090909");
}

#[test]
fn a_ring_is_opened_at_its_earliest_span() {
    // 1 -> 2 -> 3 -> 1, with 4 below 3, and 5 its own parent.
    let rows = [
        (1, 3, SERVER, 2, "a"),
        (2, 1, SERVER, 1, "b"),
        (3, 2, SERVER, 3, "c"),
        (4, 3, SERVER, 0, "d"),
        (5, 5, SERVER, 9, "e"),
    ];
    check(&rows, "2@0!0 3@1!0 4@2!0 1@2!0 5@0!0");
}

#[test]
fn duplicates_count_once_and_bad_ids_not_at_all() {
    let mut spans = vec![span((1, 0, SERVER, 0, "a")), span((1, 0, SERVER, 0, "a")), span((2, 1, SERVER, 0, "a"))];
    spans[2].1.span_id = vec![1, 2, 3];
    let trace = build(TRACE, &spans, &by_name);
    assert_eq!((trace.spans.len(), trace.spans_total, trace.truncated), (1, 1, false));
}

#[test]
fn times_status_and_links_are_told() {
    let mut spans = [span((1, 0, SERVER, 0, "a")), span((2, 1, CLIENT, 4, "a"))];
    spans[1].1.status = Some(Status { code: 2, message: "boom".to_owned() });
    spans[1].1.links = vec![Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..Link::default() }, Link::default()];
    spans[0].1.end_time_unix_nano = 0;
    let trace = build(TRACE, &spans, &by_name);
    let [first, second] = &trace.spans[..] else { panic!("two spans went in") };
    assert_eq!((first.offset_ms, first.duration_ms, first.error), (0.0, 0.0, false));
    assert_eq!((second.offset_ms, second.duration_ms, second.error), (4.0, 2.5, true));
    assert_eq!((second.kind.as_str(), second.status_message.as_str()), ("client", "boom"));
    assert_eq!(second.start.unwrap().to_string(), "1970-01-01T00:00:01.004Z");
    assert_eq!(second.links, [v1::SpanRef { trace_id: "01".repeat(16), span_id: "02".repeat(8) }]);
}

#[test]
fn a_long_chain_is_cut_and_counted_without_a_deep_stack() {
    let n = SPANS_SHOWN as u64 + 5;
    let spans: Vec<_> = (1..=n)
        .map(|id| {
            let (resource, mut span) = span((1, 0, SERVER, id, "a"));
            span.span_id = id.to_be_bytes().to_vec();
            span.parent_span_id = (id - 1).to_be_bytes().to_vec();
            (resource, span)
        })
        .collect();
    let deep = std::thread::Builder::new().stack_size(256 * 1024);
    let trace = deep.spawn(move || build(TRACE, &spans, &by_name)).unwrap().join().unwrap();
    assert!(trace.truncated);
    assert_eq!((trace.spans.len(), trace.spans_total), (SPANS_SHOWN, n));
    assert_eq!(trace.spans.last().unwrap().level, SPANS_SHOWN as u32 - 1);
}

proptest! {
    #[test]
    fn every_span_is_shown_once_below_its_parent_whatever_the_parents_are(
        rows in prop::collection::vec((1..20_u8, 0..24_u8, 0..6_i32, 0..50_u64, prop::sample::select(vec!["a", "b", "c"])), 0..30),
    ) {
        let trace = trace(&rows);
        let ids: HashSet<_> = rows.iter().map(|row| row.0).collect();
        prop_assert_eq!(trace.spans.len(), ids.len());
        let mut at_level: Vec<&str> = Vec::new();
        let mut seen = HashSet::new();
        for span in &trace.spans {
            prop_assert!(seen.insert(&span.span_id));
            let level = span.level as usize;
            prop_assert!(level <= at_level.len());
            at_level.truncate(level);
            if let Some(above) = at_level.last() {
                prop_assert_eq!(*above, &span.parent_span_id);
            }
            at_level.push(&span.span_id);
        }
    }
}
