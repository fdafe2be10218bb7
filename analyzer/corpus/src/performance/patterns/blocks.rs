//! The blocks that a system of patterns is made of: each pattern, what looks like it, and what looks like nothing.

use std::{collections::BTreeSet, sync::Arc};

use super::{Instance, Pattern, Planted, Truth};
use crate::{
    dice::Dice,
    performance::system::{Call, Function, Platform, Queue, Root, Step, Store, System, Trigger},
};

/// Builds a system block by block.
struct Builder {
    dice: Dice,
    system: System,
    truth: Truth,
    idle: Vec<Arc<str>>,
}

/// Draws a system; see [`Planted::new`].
pub(super) fn plant(seed: u64, of_each: usize) -> Planted {
    let mut builder = Builder {
        dice: Dice::new(seed, "patterns"),
        system: System {
            seed,
            functions: Vec::new(),
            stores: Vec::new(),
            queues: Vec::new(),
            roots: Vec::new(),
            starts_outside: true,
        },
        truth: Truth::default(),
        idle: Vec::new(),
    };
    const BLOCKS: [fn(&mut Builder); 25] = [
        Builder::decorator,
        Builder::heavy_decorator,
        Builder::repeating_decorator,
        Builder::skipping_decorator,
        Builder::shared_decorator,
        Builder::event_handler,
        Builder::called_handler,
        Builder::object_handler,
        Builder::pipeline,
        Builder::short_pipeline,
        Builder::joined_pipeline,
        Builder::fan_out_by_call,
        Builder::fan_out_by_message,
        Builder::small_fan_out,
        Builder::wide_caller,
        Builder::fan_in_by_producers,
        Builder::fan_in_by_batch,
        Builder::small_fan_in,
        Builder::router,
        Builder::optional_calls,
        Builder::service,
        Builder::idle,
        Builder::forgotten,
        Builder::resting,
        Builder::busy_function,
    ];
    for _ in 0..of_each {
        for block in BLOCKS {
            block(&mut builder);
            builder.plain();
        }
    }
    builder.end();
    Planted { system: builder.system, truth: builder.truth, idle: builder.idle }
}

impl Builder {
    /// A function with this work of its own, milliseconds.
    fn function(&mut self, role: &str, own_ms: f64) -> usize {
        let at = self.system.functions.len();
        self.system.functions.push(Function {
            name: format!("{role}-{at}").into(),
            platform: Platform::Lambda,
            memory_mb: 256,
            own: own_ms / 1e3,
            sigma: 0.3,
            cold: 0.01,
            init: 0.3,
            time_out: 10.0,
            steps: Vec::new(),
        });
        at
    }

    /// A function that requests enter at.
    fn root(&mut self, role: &str, trigger: Trigger) -> usize {
        let at = self.function(role, 20.0);
        self.system.roots.push(Root { function: at, weight: 1.0, trigger, until: 1.0 });
        at
    }

    /// A function that others call and that calls none; it asks a store.
    fn leaf(&mut self, role: &str) -> usize {
        let at = self.function(role, 30.0);
        let store = self.system.stores.len();
        self.system.stores.push(Store { name: format!("{role}-{at}-store").into(), is_bucket: false });
        let is_write = self.dice.chance(0.5);
        self.system.functions[at].steps.push(Step::Store { store, is_write, seconds: 0.005, times: 1 });
        at
    }

    fn call(to: usize, chance: f64) -> Call {
        Call { to, chance, gap: 0.004 }
    }

    /// One function calls others, one after the other.
    fn calls(&mut self, from: usize, to: &[usize]) {
        let steps = to.iter().map(|to| Step::Calls(vec![Self::call(*to, 1.0)]));
        self.system.functions[from].steps.extend(steps);
    }

    /// A queue that starts a function, and those that send to it, so many messages each.
    fn queue(&mut self, senders: &[usize], to: usize, times: u32, gathers: bool) {
        let queue = self.system.queues.len();
        let name = format!("queue-{queue}").into();
        self.system.queues.push(Queue { name, is_topic: queue.is_multiple_of(3), to, wait: 0.05, gathers });
        for from in senders {
            self.system.functions[*from].steps.push(Step::Send { queue, times });
        }
    }

    fn instance(&self, pattern: Pattern, functions: &[usize]) -> Instance {
        Instance {
            pattern,
            functions: functions.iter().map(|at| Arc::clone(&self.system.functions[*at].name)).collect(),
        }
    }

    fn is(&mut self, pattern: Pattern, functions: &[usize]) {
        let instance = self.instance(pattern, functions);
        self.truth.instances.insert(instance);
    }

    fn may_be(&mut self, pattern: Pattern, functions: &[usize]) {
        let instance = self.instance(pattern, functions);
        self.truth.either.insert(instance);
    }

    /// A function of two others that is called in between: the second does the work.
    fn wrapper(&mut self, own_ms: f64) -> [usize; 3] {
        let caller = self.root("caller", Trigger::Request);
        let other = self.leaf("other");
        let wrapper = self.function("wrapper", own_ms);
        let inner = self.leaf("inner");
        self.system.functions[inner].own = 0.06;
        self.calls(caller, &[wrapper, other]);
        [caller, wrapper, inner]
    }

    fn decorator(&mut self) {
        let own_ms = self.dice.uniform(1.0, 8.0);
        let [_, wrapper, inner] = self.wrapper(own_ms);
        self.calls(wrapper, &[inner]);
        self.is(Pattern::Decorator, &[wrapper]);
    }

    fn heavy_decorator(&mut self) {
        let own_ms = self.dice.uniform(25.0, 60.0);
        let [_, wrapper, inner] = self.wrapper(own_ms);
        self.calls(wrapper, &[inner]);
    }

    fn repeating_decorator(&mut self) {
        let [_, wrapper, inner] = self.wrapper(3.0);
        self.calls(wrapper, &[inner, inner]);
    }

    fn skipping_decorator(&mut self) {
        let [_, wrapper, inner] = self.wrapper(3.0);
        let chance = self.dice.uniform(0.5, 0.85);
        self.system.functions[wrapper].steps.push(Step::Calls(vec![Self::call(inner, chance)]));
    }

    fn shared_decorator(&mut self) {
        let [_, wrapper, inner] = self.wrapper(3.0);
        self.calls(wrapper, &[inner]);
        let second = self.root("caller", Trigger::Request);
        let other = self.leaf("other");
        self.calls(second, &[wrapper, other]);
    }

    fn event_handler(&mut self) {
        let sender = self.root("sender", Trigger::Request);
        let handler = self.leaf("handler");
        self.queue(&[sender], handler, 1, false);
    }

    fn called_handler(&mut self) {
        let sender = self.root("sender", Trigger::Request);
        let handler = self.leaf("handler");
        self.queue(&[sender], handler, 1, false);
        let caller = self.root("caller", Trigger::Request);
        let other = self.leaf("other");
        self.calls(caller, &[handler, other]);
    }

    fn object_handler(&mut self) {
        let handler = self.root("object-handler", Trigger::Object);
        let first = self.leaf("step");
        let second = self.leaf("step");
        self.calls(handler, &[first, second]);
    }

    fn pipeline(&mut self) {
        let mut stages = vec![self.root("stage", Trigger::Request)];
        for _ in 0..self.dice.between(3, 5) {
            let next = self.leaf("stage");
            self.queue(&stages[stages.len() - 1..], next, 1, false);
            stages.push(next);
        }
        self.is(Pattern::Pipeline, &stages);
    }

    fn short_pipeline(&mut self) {
        let first = self.root("short", Trigger::Request);
        let last = self.leaf("short");
        self.queue(&[first], last, 1, false);
    }

    /// Two functions send to the middle of it, so no part of it is three hops long.
    fn joined_pipeline(&mut self) {
        let first = self.root("joined", Trigger::Request);
        let second = self.root("joined", Trigger::Request);
        let middle = self.leaf("joined");
        let last = self.leaf("joined");
        self.queue(&[first, second], middle, 1, false);
        self.queue(&[middle], last, 1, false);
    }

    fn fan_out_by_call(&mut self) {
        let hub = self.root("hub", Trigger::Request);
        let spoke = self.leaf("spoke");
        let calls = (0..self.dice.between(4, 8)).map(|_| Self::call(spoke, 1.0)).collect();
        self.system.functions[hub].steps.push(Step::Calls(calls));
        self.is(Pattern::FanOut, &[hub, spoke]);
    }

    fn fan_out_by_message(&mut self) {
        let hub = self.root("hub", Trigger::Request);
        let spoke = self.leaf("spoke");
        let times = self.dice.between(4, 8);
        self.queue(&[hub], spoke, times, false);
        self.is(Pattern::FanOut, &[hub, spoke]);
    }

    fn small_fan_out(&mut self) {
        let hub = self.root("hub", Trigger::Request);
        let spoke = self.leaf("spoke");
        let calls = vec![Self::call(spoke, 1.0), Self::call(spoke, 1.0)];
        self.system.functions[hub].steps.push(Step::Calls(calls));
    }

    /// Five functions, each once: many calls, but no fan.
    fn wide_caller(&mut self) {
        let hub = self.root("wide", Trigger::Request);
        let calls = (0..5).map(|_| Self::call(self.leaf("part"), 1.0)).collect();
        self.system.functions[hub].steps.push(Step::Calls(calls));
    }

    fn fan_in_by_producers(&mut self) {
        let producers: Vec<usize> =
            (0..self.dice.between(4, 6)).map(|_| self.root("producer", Trigger::Request)).collect();
        let gatherer = self.leaf("gatherer");
        self.queue(&producers, gatherer, 1, false);
        self.is(Pattern::FanIn, &[gatherer]);
    }

    fn fan_in_by_batch(&mut self) {
        let producer = self.root("producer", Trigger::Request);
        let gatherer = self.leaf("gatherer");
        let times = self.dice.between(4, 8);
        self.queue(&[producer], gatherer, times, true);
        self.is(Pattern::FanIn, &[gatherer]);
        // Several messages, but one run.
        self.may_be(Pattern::FanOut, &[producer, gatherer]);
    }

    fn small_fan_in(&mut self) {
        let producers = [self.root("producer", Trigger::Request), self.root("producer", Trigger::Request)];
        let gatherer = self.leaf("gatherer");
        self.queue(&producers, gatherer, 1, false);
    }

    fn router(&mut self) {
        let router = self.root("router", Trigger::Request);
        let ways = (0..self.dice.between(3, 4)).map(|_| Self::call(self.leaf("way"), 1.0)).collect();
        self.system.functions[router].steps.push(Step::Choice(ways));
        // Each of its ways is to be as busy as others are.
        let last = self.system.roots.len() - 1;
        self.system.roots[last].weight = 3.0;
        self.is(Pattern::Router, &[router]);
    }

    /// Calls that are made or not, each by itself: some runs make two.
    fn optional_calls(&mut self) {
        let caller = self.root("optional", Trigger::Request);
        for _ in 0..3 {
            let way = self.leaf("way");
            let chance = self.dice.uniform(0.3, 0.5);
            self.system.functions[caller].steps.push(Step::Calls(vec![Self::call(way, chance)]));
        }
    }

    fn service(&mut self) {
        let caller = self.root("caller", Trigger::Request);
        let service = self.leaf("service");
        let other = self.leaf("other");
        self.system.functions[service].platform = Platform::Service;
        self.system.functions[service].cold = 0.0;
        let both = vec![Self::call(service, 1.0), Self::call(service, 1.0)];
        self.system.functions[caller].steps.push(Step::Calls(both));
        self.calls(caller, &[other]);
    }

    /// Somebody declares it, and nobody ever runs it.
    fn idle(&mut self) {
        let name: Arc<str> = format!("idle-{}", self.idle.len()).into();
        self.idle.push(Arc::clone(&name));
        self.truth.instances.insert(Instance { pattern: Pattern::Dead, functions: vec![name] });
    }

    /// It ran on the first day and never since.
    fn forgotten(&mut self) {
        let functions = self.until(0.1, "forgotten");
        functions.into_iter().for_each(|function| self.is(Pattern::Dead, &[function]));
    }

    /// It has not run for some days, which says nothing.
    fn resting(&mut self) {
        self.until(0.6, "resting");
    }

    fn until(&mut self, until: f64, role: &str) -> [usize; 3] {
        let root = self.root(role, Trigger::Request);
        let last = self.system.roots.len() - 1;
        self.system.roots[last].until = until;
        let (first, second) = (self.leaf(role), self.leaf(role));
        self.calls(root, &[first, second]);
        // It may have run too rarely to say.
        [root, first, second].into_iter().for_each(|function| self.may_be(Pattern::FaasLike, &[function]));
        [root, first, second]
    }

    /// Asked twice at the same time like a service, but each time another instance answers.
    fn busy_function(&mut self) {
        let caller = self.root("caller", Trigger::Request);
        let function = self.leaf("busy");
        let other = self.leaf("other");
        let both = vec![Self::call(function, 1.0), Self::call(function, 1.0)];
        self.system.functions[caller].steps.push(Step::Calls(both));
        self.calls(caller, &[other]);
    }

    /// A request that calls two functions: nothing that has a name.
    fn plain(&mut self) {
        let root = self.root("plain", Trigger::Request);
        let (first, second) = (self.leaf("plain"), self.leaf("plain"));
        self.calls(root, &[first, second]);
    }

    /// Says of all functions what their triggers and their platforms make of them.
    fn end(&mut self) {
        let mut called: BTreeSet<usize> = self
            .system
            .roots
            .iter()
            .filter(|root| root.trigger == Trigger::Request)
            .map(|root| root.function)
            .collect();
        for function in &self.system.functions {
            for step in &function.steps {
                if let Step::Calls(calls) | Step::Choice(calls) = step {
                    called.extend(calls.iter().map(|call| call.to));
                }
            }
        }
        let objects = self.system.roots.iter().filter(|root| root.trigger == Trigger::Object).map(|root| root.function);
        let started: BTreeSet<usize> = self.system.queues.iter().map(|queue| queue.to).chain(objects).collect();
        for handler in started.difference(&called) {
            self.is(Pattern::EventHandler, &[*handler]);
        }
        for at in 0..self.system.functions.len() {
            match self.system.functions[at].platform {
                Platform::Service => self.is(Pattern::ServiceLike, &[at]),
                _ if self.truth.either.contains(&self.instance(Pattern::FaasLike, &[at])) => {}
                _ => self.is(Pattern::FaasLike, &[at]),
            }
        }
    }
}
