//! Functions that do nothing remarkable: requests that call others, never in a ring.
//!
//! How they are triggered, and how often, is the mix that Shahrad et al. counted on Azure in 2019; how popular they are
//! follows a Zipf law of exponent 1.1. A function of one layer calls functions of the next.

use std::sync::Arc;

use loopscope_analyzer::span::{Span, SpanId, SpanKind, TraceId};
use smallvec::{SmallVec, smallvec};

use crate::{
    dice::Dice,
    knobs::Context,
    render::{self, Draft, Exporter, Sent, Start},
    scenario::{Hop, Trigger},
    truth::nanos,
};

/// Share of invocations that each trigger starts.
const TRIGGERS: [(Trigger, f64); 5] = [
    (Trigger::Http, 0.36),
    (Trigger::Queue, 0.34),
    (Trigger::Event, 0.25),
    (Trigger::Timer, 0.02),
    (Trigger::Other, 0.03),
];

/// Exponent of the popularity.
const ZIPF: f64 = 1.1;

/// Invocations that one starts in the mean.
const CALLS: f64 = 0.35;

/// Functions on top of each other, at most.
const LAYERS: usize = 8;

/// The unremarkable functions of a world.
pub(crate) struct Background {
    dice: Dice,
    functions: Vec<Function>,
    traces_per_second: f64,
    context: Context,
}

struct Function {
    exporter: Exporter,
    trigger: Trigger,
    seconds: f64,
    queue: Arc<str>,
    table: Arc<str>,
}

struct Call {
    function: usize,
    at: u64,
    start: Start,
    cause: Option<Sent>,
    layer: usize,
}

impl Background {
    /// Functions with a rate of invocations.
    pub(crate) fn new(seed: u64, functions: usize, invocations_per_second: f64, context: Context, skew: f64) -> Self {
        let mut dice = Dice::new(seed, "background");
        let functions = (0..functions.max(2))
            .map(|at| {
                let name = format!("plain-{at}");
                Function {
                    trigger: trigger(&mut dice),
                    seconds: dice.lognormal(0.06, 0.8),
                    exporter: Exporter {
                        resource: render::resource(&name, "1", 512),
                        skew: dice.uniform(-skew, skew) as i64,
                        name: name.as_str().into(),
                    },
                    queue: format!("{name}-queue").into(),
                    table: format!("{name}-table").into(),
                }
            })
            .collect();
        Self { dice, functions, traces_per_second: invocations_per_second * (1.0 - CALLS), context }
    }

    /// Nanoseconds to the next trace.
    pub(crate) fn wait(&mut self) -> u64 {
        nanos(self.dice.wait(self.traces_per_second)).max(1)
    }

    /// The invocations of one request, each with its end and its spans.
    pub(crate) fn trace(&mut self, at: u64) -> SmallVec<[(u64, Vec<Span>); 2]> {
        let function = self.dice.zipf(self.functions.len(), ZIPF);
        let trigger = self.functions[function].trigger;
        let mut calls: SmallVec<[Call; 2]> =
            smallvec![Call { function, at, start: Start::Outside(trigger), cause: None, layer: 0 }];
        let mut exports = SmallVec::new();
        while let Some(call) = calls.pop() {
            exports.push(self.run(&call, &mut calls));
        }
        exports
    }

    fn run(&mut self, call: &Call, calls: &mut SmallVec<[Call; 2]>) -> (u64, Vec<Span>) {
        let cause = call.cause.as_ref();
        let parent = cause.filter(|_| self.context == Context::Parent);
        let trace_id = parent.map_or_else(|| self.dice.trace_id(), |sent| sent.trace_id);
        let span_id = self.dice.span_id();
        let function = &self.functions[call.function];
        let (exporter, table) = (function.exporter.clone(), Arc::clone(&function.table));
        let end = call.at + nanos(self.dice.lognormal(function.seconds, 0.6));
        let mut spans = Vec::with_capacity(3);
        let (request, cold, consumer) = (self.dice.uuid(), self.dice.chance(0.03), self.dice.span_id());
        let causes: SmallVec<[&Sent; 1]> = cause.into_iter().collect();
        let entry = render::Entry {
            start: call.start,
            context: self.context,
            causes: &causes,
            request: cause.map_or(request.as_str(), |sent| &sent.message),
            cold,
            consumer,
        };
        let draft = Draft {
            by: &exporter,
            trace_id,
            span_id,
            parent: parent.map(|sent| sent.span_id),
            kind: SpanKind::Server,
            start: call.at,
            end,
            error: self.dice.chance(0.002),
        };
        render::entry(&draft, &entry, &mut spans);
        let inner = |span_id: SpanId, end: u64| Draft {
            parent: Some(draft.span_id),
            span_id,
            kind: SpanKind::Client,
            start: call.at + (end - call.at) / 3,
            end: call.at + (end - call.at) / 2,
            error: false,
            ..draft
        };
        if self.dice.chance(0.5) {
            spans.push(render::read(&inner(self.dice.span_id(), end), &table));
        }
        if call.layer + 1 < LAYERS && call.function + 1 < self.functions.len() && self.dice.chance(CALLS) {
            let draft = inner(self.dice.span_id(), end);
            let next = self.next_call(call, trace_id, &draft);
            if let (Some(sent), Start::Hop(hop)) = (&next.cause, next.start) {
                spans.push(render::outbound(&draft, hop, self.context, sent));
            }
            calls.push(next);
        }
        (end, spans)
    }

    fn next_call(&mut self, call: &Call, trace_id: TraceId, draft: &Draft<'_>) -> Call {
        // A function calls one of the next few: always a later one, so that there is no ring.
        let step = 1 + self.dice.below(4);
        let to = call.function + step;
        let target = &self.functions[to.min(self.functions.len() - 1)];
        let hop = if target.trigger == Trigger::Http { Hop::Call } else { Hop::Queue };
        let destination = if hop == Hop::Queue { &target.queue } else { &target.exporter.name };
        let destination = Arc::clone(destination);
        let sent = Sent {
            trace_id,
            span_id: draft.span_id,
            message: self.dice.uuid().into(),
            key: "".into(),
            conversation: None,
            destination,
            at: draft.start,
        };
        let delay = if hop == Hop::Call { 0.002 } else { self.dice.lognormal(0.2, 0.8) };
        Call {
            function: to.min(self.functions.len() - 1),
            at: draft.start + nanos(delay),
            start: Start::Hop(hop),
            cause: Some(sent),
            layer: call.layer + 1,
        }
    }
}

fn trigger(dice: &mut Dice) -> Trigger {
    let mut left = dice.unit();
    for (trigger, share) in TRIGGERS {
        left -= share;
        if left < 0.0 {
            return trigger;
        }
    }
    Trigger::Other
}
