//! What happens in one request of a system: which functions run, when, and what the request waits for.
//!
//! Every run draws from a source of its own, made of the number of the trace and the path to the run. A place that is
//! made faster or slower therefore changes times, and nothing else. Requests wait for the longest of parallel branches;
//! what they wait for is summed up by place and is the truth that the engine's critical paths are held against.

mod pool;

use self::pool::Pools;
use crate::{
    dice::Dice,
    performance::{
        fault::{Fault, Kind},
        system::{Call, Function, Root, Spot, Step, System},
    },
    truth::nanos,
};

/// Sigma of the logarithm of everything that is waited for.
const WAIT_SIGMA: f64 = 0.5;

/// Part of the runs that start an instance in a storm.
const STORM: f64 = 0.6;

/// Part of the runs that hang.
const HANGS: f64 = 0.1;

/// Part of the calls that are refused once, and of those that are refused once more.
const REFUSED: f64 = 0.5;

/// Seconds before the first call after a refusal; each refusal doubles it.
const BACK_OFF: f64 = 0.1;

/// How many times as long messages wait at the end of a backlog, from once on.
const BACKLOG: f64 = 12.0;

/// What is different from the system as it was drawn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// A place that takes so many times as long, from the beginning.
    pub speed: Option<(Spot, f64)>,
}

/// One run of a function.
#[derive(Clone, Debug)]
pub struct Run {
    /// The function.
    pub function: usize,
    /// Number of its instance.
    pub instance: u32,
    /// What started it.
    pub cause: Cause,
    /// Nanoseconds of true time.
    pub start: u64,
    /// Nanoseconds of true time.
    pub end: u64,
    /// True for the first run of an instance.
    pub is_cold: bool,
    /// How long the instance took to start, nanoseconds; 0 when it ran before.
    pub init: u64,
    /// True when it failed.
    pub failed: bool,
    /// The most memory that its instance has used so far, MiB.
    pub used_mb: f64,
    /// What it asked of others.
    pub outs: Vec<Out>,
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A request from outside.
    Outside,
    /// A call: place of the caller's run, and of the call among its outs.
    Call(usize, usize),
    /// Messages: place of the sender's run, of the first of them among its outs, and how many.
    Messages(usize, usize, usize),
}

/// What a run asks of somebody else.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Who is asked.
    pub what: Asked,
    /// Nanoseconds of true time.
    pub start: u64,
    /// Nanoseconds of true time.
    pub end: u64,
    /// True when it failed.
    pub failed: bool,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A function.
    Function(usize),
    /// A store, to change what it holds or not.
    Store(usize, bool),
    /// A queue.
    Queue(usize),
}

/// All that one request started.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its number, which everything in it is drawn from.
    pub number: u64,
    /// Place of its root among the roots of the system.
    pub root: usize,
    /// The runs; the first is the root's.
    pub runs: Vec<Run>,
    /// What the request waited for, nanoseconds, each place once.
    pub critical: Vec<(Spot, u64)>,
}

/// Runs the requests of a system.
pub struct Simulator<'a> {
    system: &'a System,
    seed: u64,
    change: Change,
    pools: Pools,
    /// The part of the time that is over, 0 to 1.
    progress: f64,
}

/// A run that is to begin.
struct Visit {
    function: usize,
    at: u64,
    path: u64,
    cause: Cause,
}

/// A run that is over, for the one that waits for it.
struct Done {
    end: u64,
    failed: bool,
    critical: Vec<(Spot, u64)>,
}

/// A run while it goes on.
struct Going {
    place: usize,
    function: usize,
    path: u64,
    dice: Dice,
    now: u64,
    failed: bool,
    critical: Vec<(Spot, u64)>,
}

impl Run {
    /// True when its instance starts before it, if it starts at all.
    pub fn starts_outside(&self, system: &System) -> bool {
        system.starts_outside && self.cause != Cause::Outside
    }
}

impl Trace {
    /// How long the request took, nanoseconds.
    pub fn duration(&self) -> u64 {
        self.runs[0].end - self.runs[0].start
    }
}

impl<'a> Simulator<'a> {
    /// Begins to run a system.
    pub fn new(system: &'a System, seed: u64, change: Change) -> Self {
        let pools = Pools::new(system);
        Self { system, seed, change, pools, progress: 0.0 }
    }

    /// Runs the request of this number at a time; `progress` is the part of all time that is over, 0 to 1.
    pub fn trace(&mut self, number: u64, at: u64, progress: f64) -> Trace {
        self.progress = progress;
        let path = mix(self.seed, number);
        let root = self.draw_root(path);
        let mut trace = Trace { number, root, runs: Vec::with_capacity(32), critical: Vec::new() };
        let visit = Visit { function: self.system.roots[root].function, at, path, cause: Cause::Outside };
        let done = self.run(visit, &mut trace.runs);
        trace.critical = summed(done.critical);
        self.deliver(path, &mut trace.runs);
        trace
    }

    /// The place among the roots at which the request of this number enters, as long as all are asked.
    pub fn root(&self, number: u64) -> usize {
        self.draw_root(mix(self.seed, number))
    }

    /// Part of the requests that enter at each root is as its weight, of those that are still asked.
    fn draw_root(&self, path: u64) -> usize {
        let asked = |root: &Root| if self.progress <= root.until { root.weight } else { 0.0 };
        let all: f64 = self.system.roots.iter().map(asked).sum();
        let mut left = Dice::new(path, "root").uniform(0.0, all);
        let found = self.system.roots.iter().position(|root| {
            left -= asked(root);
            left < 0.0
        });
        found.unwrap_or_default()
    }

    /// Runs what messages start, and what the messages of those start.
    fn deliver(&mut self, path: u64, runs: &mut Vec<Run>) {
        let mut place = 0;
        while place < runs.len() {
            let mut out = 0;
            while out < runs[place].outs.len() {
                let first = out;
                out += 1;
                let Asked::Queue(queue) = runs[place].outs[first].what else { continue };
                while self.system.queues[queue].gathers
                    && runs[place].outs.get(out).is_some_and(|next| next.what == Asked::Queue(queue))
                {
                    out += 1;
                }
                let sent = runs[place].outs[out - 1];
                let path = mix(mix(path, place as u64), first as u64);
                let wait = Dice::new(path, "wait").lognormal(self.system.queues[queue].wait, WAIT_SIGMA);
                let at = sent.end + nanos(wait * self.factor(Spot::Queue(queue)) * self.backlog(queue));
                let function = self.system.queues[queue].to;
                self.run(Visit { function, at, path, cause: Cause::Messages(place, first, out - first) }, runs);
            }
            place += 1;
        }
    }

    fn backlog(&self, queue: usize) -> f64 {
        let grows =
            self.change.fault.is_some_and(|fault| fault.is_at(Spot::Queue(queue), |kind| *kind == Kind::Backlog));
        if grows { 1.0 + (BACKLOG - 1.0) * self.progress } else { 1.0 }
    }

    /// How many times as long a place takes as it was drawn.
    fn factor(&self, spot: Spot) -> f64 {
        let speed = self.change.speed.filter(|(known, _)| *known == spot).map_or(1.0, |(_, factor)| factor);
        speed * self.change.fault.map_or(1.0, |fault| fault.factor(spot))
    }

    /// One run with all that it waits for. Functions call only later ones, so this goes no deeper than the system.
    fn run(&mut self, visit: Visit, runs: &mut Vec<Run>) -> Done {
        let system = self.system;
        let function = &system.functions[visit.function];
        let mut dice = Dice::new(visit.path, "run");
        let storm = self
            .change
            .fault
            .is_some_and(|fault| fault.is_at(Spot::ColdStart(visit.function), |kind| *kind == Kind::ColdStarts));
        let drawn = dice.chance(if storm { STORM } else { function.cold });
        let init = dice.lognormal(function.init, WAIT_SIGMA) * self.factor(Spot::ColdStart(visit.function));
        let mut own = dice.lognormal(function.own, function.sigma) * self.factor(Spot::Own(visit.function));
        let hangs = dice.chance(HANGS);
        let leaks = self.leaks(visit.function);
        let (instance, is_new) = self.pools.take(visit.function, visit.at, drawn);
        // After one that died somebody has to wait for another; else they are there in time, so that times do not depend
        // on other times.
        let init = if drawn || is_new && leaks { nanos(init) } else { 0 };
        let (fill, dies) = if leaks { self.pools.fill(visit.function, instance) } else { (0.0, false) };
        own *= 1.0 + 2.0 * fill;
        let begins = if system.starts_outside && visit.cause != Cause::Outside { visit.at + init } else { visit.at };
        runs.push(Run {
            function: visit.function,
            instance: self.pools.number(visit.function, instance),
            cause: visit.cause,
            start: begins,
            end: begins,
            is_cold: init > 0,
            init,
            failed: false,
            used_mb: f64::from(function.memory_mb) * (0.4 + 0.6 * fill),
            outs: Vec::with_capacity(function.steps.len()),
        });
        let mut going = Going {
            place: runs.len() - 1,
            function: visit.function,
            path: visit.path,
            dice,
            now: visit.at + init,
            failed: dies,
            critical: Vec::with_capacity(function.steps.len() * 4 + 4),
        };
        if init > 0 {
            going.critical.push((Spot::ColdStart(visit.function), init));
        }
        self.go(function, nanos(own), &mut going, runs);
        let hangs =
            hangs && self.change.fault.is_some_and(|fault| fault.is_at(Spot::Own(visit.function), is_time_outs));
        let limit = visit.at + init + nanos(function.time_out);
        if hangs && going.now < limit {
            going.critical.push((Spot::Own(visit.function), limit - going.now));
            going.now = limit;
            going.failed = true;
        }
        self.pools.release(visit.function, instance, going.now, dies);
        runs[going.place].end = going.now;
        runs[going.place].failed = going.failed;
        Done { end: going.now, failed: going.failed, critical: going.critical }
    }

    /// Its steps, with a part of its own work before, between and after.
    fn go(&mut self, function: &Function, own: u64, going: &mut Going, runs: &mut Vec<Run>) {
        let part = own / (function.steps.len() as u64 + 1);
        going.work(part);
        for (at, step) in function.steps.iter().enumerate() {
            match step {
                Step::Calls(calls) => self.call(at, calls, going, runs),
                Step::Store { store, is_write, seconds, .. } => {
                    let spot = Spot::Store(going.function, *store);
                    let times = self.change.fault.map_or(1, |fault| fault.times(spot, step));
                    let mut dice = Dice::new(mix(going.path, at as u64), "store");
                    for _ in 0..times {
                        let took = nanos(dice.lognormal(*seconds, WAIT_SIGMA) * self.factor(spot));
                        going.ask(Asked::Store(*store, *is_write), spot, took, runs);
                    }
                }
                Step::Choice(calls) => {
                    let chosen = *going.dice.pick(calls);
                    self.call(at, &[chosen], going, runs);
                }
                Step::Send { queue, times } => {
                    let spot = Spot::Send(going.function, *queue);
                    for _ in 0..*times {
                        let took = nanos(going.dice.lognormal(0.005, WAIT_SIGMA) * self.factor(spot));
                        going.ask(Asked::Queue(*queue), spot, took, runs);
                    }
                }
            }
            going.work(part);
        }
    }

    /// Calls others at the same time and waits for the last.
    fn call(&mut self, step: usize, calls: &[Call], going: &mut Going, runs: &mut Vec<Run>) {
        let start = going.now;
        let mut last: Option<Done> = None;
        for (branch, call) in calls.iter().enumerate() {
            let path = mix(going.path, 1_000 + (step * 10 + branch) as u64);
            let mut dice = Dice::new(path, "gap");
            if !dice.chance(call.chance) {
                continue;
            }
            let spot = Spot::Gap(going.function, call.to);
            let gap = dice.lognormal(call.gap, WAIT_SIGMA) * self.factor(spot) + self.refused(spot, &mut dice);
            let (there, back) = (nanos(gap * 0.6), nanos(gap * 0.4));
            let caller = &mut runs[going.place];
            let out = caller.outs.len();
            caller.outs.push(Out { what: Asked::Function(call.to), start, end: start, failed: false });
            let cause = Cause::Call(going.place, out);
            let visit = Visit { function: call.to, at: start + there, path, cause };
            let mut done = self.run(visit, runs);
            done.end += back;
            done.critical.push((spot, there + back));
            let known = &mut runs[going.place].outs[out];
            (known.end, known.failed) = (done.end, done.failed);
            if last.as_ref().is_none_or(|last| last.end < done.end) {
                last = Some(done);
            }
        }
        if let Some(last) = last {
            going.now = last.end;
            going.critical.extend(last.critical);
        }
    }

    /// Seconds that a call waits because it was refused before.
    fn refused(&self, spot: Spot, dice: &mut Dice) -> f64 {
        let is_throttled = self.change.fault.is_some_and(|fault| fault.is_at(spot, |kind| *kind == Kind::Throttling));
        let refusals = (0..3).take_while(|_| is_throttled && dice.chance(REFUSED)).count();
        (0..refusals).map(|refusal| BACK_OFF * f64::from(1 << refusal) * dice.uniform(0.5, 1.5)).sum()
    }

    fn leaks(&self, function: usize) -> bool {
        self.change.fault.is_some_and(|fault| fault.is_at(Spot::Own(function), |kind| *kind == Kind::Leak))
    }
}

fn is_time_outs(kind: &Kind) -> bool {
    *kind == Kind::TimeOuts
}

impl Going {
    fn work(&mut self, nanos: u64) {
        self.now += nanos;
        self.critical.push((Spot::Own(self.function), nanos));
    }

    fn ask(&mut self, what: Asked, spot: Spot, nanos: u64, runs: &mut [Run]) {
        let (start, end) = (self.now, self.now + nanos);
        runs[self.place].outs.push(Out { what, start, end, failed: false });
        self.critical.push((spot, nanos));
        self.now = end;
    }
}

/// Adds up what stands under one place.
pub(super) fn summed(mut critical: Vec<(Spot, u64)>) -> Vec<(Spot, u64)> {
    critical.sort_unstable_by_key(|(spot, _)| *spot);
    critical.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        kept.1 += if is_same { next.1 } else { 0 };
        is_same
    });
    critical
}

/// A source for a part of what a source is for (`SplitMix64`'s finalizer).
pub(crate) fn mix(source: u64, part: u64) -> u64 {
    let mixed = (source ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_waits_for_adds_up_to_its_time() {
        let system = System::new(1, 60);
        let mut simulator = Simulator::new(&system, 1, Change::default());
        for number in 0..200 {
            let trace = simulator.trace(number, number * 1_000_000_000, 0.0);
            // An instance that starts at the root is a part of its run.
            assert_eq!(trace.critical.iter().map(|(_, nanos)| nanos).sum::<u64>(), trace.duration());
        }
    }

    #[test]
    fn a_faster_place_changes_nothing_but_times() {
        let system = System::new(2, 60);
        let spot = Spot::Own(system.roots[0].function);
        let speed = Change { fault: None, speed: Some((spot, 0.5)) };
        let (mut plain, mut fast) = (Simulator::new(&system, 2, Change::default()), Simulator::new(&system, 2, speed));
        for number in 0..200 {
            let at = number * 1_000_000_000;
            let (before, after) = (plain.trace(number, at, 0.0), fast.trace(number, at, 0.0));
            let own = |trace: &Trace| trace.critical.iter().find(|(known, _)| *known == spot).map(|(_, nanos)| *nanos);
            let functions = |trace: &Trace| trace.runs.iter().map(|run| run.function).collect::<Vec<_>>();
            assert_eq!(functions(&before), functions(&after));
            if let (Some(before_own), Some(after_own)) = (own(&before), own(&after)) {
                assert_eq!(before.duration() - after.duration(), before_own - after_own);
                assert!(after_own.abs_diff(before_own / 2) < 100);
            }
        }
    }
}
