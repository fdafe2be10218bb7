//! The causes of deepest chains that no trace names, told while they are known: in ten minutes they are not.

use super::{Linker, loops::Deepened};
use crate::{
    record::SpanKey,
    snapshot::{JoinedCause, JoinedChain},
};

/// Causes that are kept of one loop, 32 bytes each: as many as there are traces in the answer that needs them.
const CAUSES: usize = 64;

/// Invocations that are walked over to find them; most causes of a chain may be parents and links.
const STEPS: usize = 4 * CAUSES;

impl Linker {
    /// Notes the causes of each deepest chain that went on since the last call. Those of a chain that is not the
    /// deepest any more would be shown instead of it, so they are forgotten.
    pub(super) fn note_joined(&mut self) {
        for (loop_index, Deepened { lap, is_deeper }) in self.loops.take_deepened() {
            let causes = self.joined_causes(lap.invocation);
            if !causes.is_empty() {
                let joined = JoinedChain { trace_id: lap.trace_id, end: SpanKey(lap.invocation), causes };
                self.loops.remember_joined(loop_index, Some(joined));
            } else if is_deeper {
                self.loops.remember_joined(loop_index, None);
            }
        }
    }

    fn joined_causes(&self, end: u64) -> Vec<JoinedCause> {
        let mut causes = Vec::new();
        let mut key = end;
        for _ in 0..STEPS {
            let Some(effect) = self.invocations.get(key) else { break };
            let Some(cause) = self.invocations.get(effect.parent) else { break };
            if effect.confidence < 1.0 {
                let (effect_key, cause_key) = (SpanKey(key), SpanKey(effect.parent));
                causes.push(JoinedCause { effect: effect_key, cause: cause_key, trace_id: cause.trace_id });
                if causes.len() == CAUSES {
                    break;
                }
            }
            key = effect.parent;
        }
        causes
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{START, Story},
        record::SpanKey,
        snapshot::Loop,
        span::Span,
    };

    fn found(spans: Vec<Span>) -> Loop {
        let mut engine = Engine::new(&Config::recommended(), 2);
        engine.ingest(START, spans);
        engine.tick(START);
        engine.snapshot(START).loops.remove(0)
    }

    /// A chain in which `a` causes itself over two steps, of which the second leaves no trace of its cause.
    fn story(laps: usize) -> Vec<Span> {
        Story::parse(&format!("a{}", " ~> b ~q#~> a".repeat(laps))).spans
    }

    #[test]
    fn the_causes_that_no_trace_names_are_told_from_the_end_backwards() {
        let spans = story(5);
        let entries = |name: &str| -> Vec<Span> {
            let own = spans.iter().filter(|span| &*span.name == name && !span.kind.is_outbound());
            own.cloned().collect()
        };
        let key = |span: &Span| SpanKey::new(span.trace_id, span.span_id);
        let (a, b) = (entries("a"), entries("b"));
        let joined = found(spans.clone()).joined.unwrap();
        assert_eq!((joined.end, joined.trace_id), (key(&a[5]), a[5].trace_id));
        let told: Vec<_> = joined.causes.iter().map(|it| (it.effect, it.cause, it.trace_id)).collect();
        let expected: Vec<_> = (0..5).rev().map(|lap| (key(&a[lap + 1]), key(&b[lap]), b[lap].trace_id)).collect();
        assert_eq!(told, expected);
        let mut backwards = spans;
        backwards.reverse();
        assert_eq!(found(backwards).joined, Some(joined), "in whichever order the spans come");
    }

    #[test]
    fn what_parents_and_links_name_needs_no_more_and_long_chains_are_cut() {
        assert_eq!(found(Story::parse(&format!("a{}", " ~> b ~> a".repeat(5))).spans).joined, None);
        assert_eq!(found(story(300)).joined.unwrap().causes.len(), super::CAUSES);
    }

    #[test]
    fn a_deeper_chain_that_traces_name_takes_the_place_of_a_joined_one() {
        let known = |laps: usize| {
            let mut spans = story(5);
            let certain = Story::parse(&format!("a{}", " ~> b ~> a".repeat(laps))).spans;
            spans.extend(certain.into_iter().map(|mut span| {
                span.trace_id.0[0] ^= 0x80;
                span.links.iter_mut().for_each(|link| link.trace_id.0[0] ^= 0x80);
                span
            }));
            let mut engine = Engine::new(&Config::recommended(), 2);
            let (first, second) = spans.split_at(story(5).len());
            for part in [first, second] {
                engine.ingest(START, part.to_vec());
                engine.tick(START);
            }
            let found = engine.snapshot(START).loops.remove(0);
            (found.max_depth, found.joined.is_some())
        };
        assert_eq!(known(5), (5, true), "one that is no deeper changes nothing");
        assert_eq!(known(7), (7, false));
    }
}
