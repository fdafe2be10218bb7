//! A system of functions: who calls whom, what waits where, and how long everything takes.
//!
//! Requests enter at a few root functions; each calls others in sequence or in parallel branches, reads and writes
//! stores, and sends to queues that start further functions. A function calls only later ones, so nothing goes round.
//! What happens in one request is `simulator.rs`.

use std::sync::Arc;

use crate::dice::Dice;

/// Calls of functions on top of each other, at most.
const DEPTH: usize = 4;

/// Functions that one function calls, at most, before those that several share.
const CHILDREN: usize = 4;

/// Share of functions that a second function calls too.
const SHARED: f64 = 0.15;

/// Share of edges that are a queue.
const QUEUED: f64 = 0.12;

/// Share of calls that are made in a branch beside the call before them.
const PARALLEL: f64 = 0.45;

/// Where time can go, as the system knows it. Functions, stores and queues are places in the lists of [`System`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spot {
    /// The function's own work.
    Own(usize),
    /// Starting an instance of the function.
    ColdStart(usize),
    /// Between the two functions.
    Gap(usize, usize),
    /// The function waits for a store.
    Store(usize, usize),
    /// The function waits until a queue has its message.
    Send(usize, usize),
    /// A message waits in a queue.
    Queue(usize),
}

/// What runs a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// AWS Lambda on x86.
    Lambda,
    /// AWS Lambda on ARM.
    LambdaArm,
    /// Google Cloud Functions, first generation.
    GoogleFunctions,
    /// Google Cloud Run.
    GoogleRun,
    /// A process of its own that handles many requests at a time and is always there.
    Service,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: Arc<str>,
    /// What runs it.
    pub platform: Platform,
    /// Configured memory, MiB.
    pub memory_mb: u32,
    /// Its own work in a run, seconds, median.
    pub own: f64,
    /// Sigma of the logarithm of its own work.
    pub sigma: f64,
    /// Part of the runs that start an instance.
    pub cold: f64,
    /// How long that takes, seconds, median.
    pub init: f64,
    /// A run may not take longer, seconds.
    pub time_out: f64,
    /// What it does one after the other, with a part of its own work before, between and after.
    pub steps: Vec<Step>,
}

/// One thing that a function does besides its own work.
#[derive(Clone, Debug)]
pub enum Step {
    /// It calls functions at the same time and waits for all.
    Calls(Vec<Call>),
    /// It calls one of these functions, any as likely as another.
    Choice(Vec<Call>),
    /// It asks a store, so often, one after the other.
    Store {
        /// Place in [`System::stores`].
        store: usize,
        /// True when it changes what the store holds.
        is_write: bool,
        /// How long the store takes, seconds, median.
        seconds: f64,
        /// How often.
        times: u32,
    },
    /// It sends messages to a queue, and does not wait for what they start.
    Send {
        /// Place in [`System::queues`].
        queue: usize,
        /// How many.
        times: u32,
    },
}

/// One call of another function.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Who is called.
    pub to: usize,
    /// How probable it is that a run makes the call.
    pub chance: f64,
    /// What the caller waits longer than the callee works, seconds, median.
    pub gap: f64,
}

/// A store.
#[derive(Clone, Debug)]
pub struct Store {
    /// Its name.
    pub name: Arc<str>,
    /// A bucket, else a table.
    pub is_bucket: bool,
}

/// A queue and what it starts.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: Arc<str>,
    /// A topic, else a queue.
    pub is_topic: bool,
    /// The function that handles its messages.
    pub to: usize,
    /// How long a message waits, seconds, median.
    pub wait: f64,
    /// Messages that one run sends are handled by one run, else each by its own.
    pub gathers: bool,
}

/// How requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// By HTTP.
    Request,
    /// A bucket has a new object.
    Object,
    /// It is time.
    Schedule,
}

/// A function that requests enter at.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    /// The function.
    pub function: usize,
    /// How many of the requests, against the others.
    pub weight: f64,
    /// How they come in.
    pub trigger: Trigger,
    /// The part of all time after which none comes, 0 to 1.
    pub until: f64,
}

/// Functions that work together.
#[derive(Clone, Debug)]
pub struct System {
    /// What it was drawn from.
    pub seed: u64,
    /// All functions; one calls only those behind it.
    pub functions: Vec<Function>,
    /// All stores.
    pub stores: Vec<Store>,
    /// All queues.
    pub queues: Vec<Queue>,
    /// Where requests enter.
    pub roots: Vec<Root>,
    /// An instance starts before its first run, and whoever waits for the run sees a gap; else within it, and a span of
    /// the run shows it. At a root nobody waits outside, so there it is always within.
    pub starts_outside: bool,
}

impl Platform {
    /// All that are charged by run.
    pub const ALL: [Self; 4] = [Self::Lambda, Self::LambdaArm, Self::GoogleFunctions, Self::GoogleRun];

    /// What a resource says of it: `cloud.platform` and `cloud.provider`.
    pub fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Lambda | Self::LambdaArm => ("aws_lambda", "aws"),
            Self::GoogleFunctions => ("gcp_cloud_functions", "gcp"),
            Self::GoogleRun => ("gcp_cloud_run", "gcp"),
            Self::Service => ("aws_ecs", "aws"),
        }
    }
}

impl System {
    /// Draws a system with so many functions.
    pub fn new(seed: u64, size: usize) -> Self {
        let mut dice = Dice::new(seed, "system");
        let stores: Vec<Store> = (0..size.div_ceil(5))
            .map(|at| Store { name: format!("store-{at}").into(), is_bucket: dice.chance(0.25) })
            .collect();
        let functions: Vec<Function> = (0..size).map(|at| function(at, &mut dice)).collect();
        let roots = (0..(size / 15).clamp(2, 8))
            .map(|function| Root { function, weight: dice.uniform(1.0, 3.0), trigger: Trigger::Request, until: 1.0 })
            .collect::<Vec<_>>();
        let starts_outside = dice.chance(0.5);
        let mut system = Self { seed, functions, stores, queues: Vec::new(), roots, starts_outside };
        system.connect(&mut dice);
        for at in 0..size {
            system.add_stores(at, &mut dice);
        }
        system
    }

    /// Hangs every function that is no root below one that stands before it.
    fn connect(&mut self, dice: &mut Dice) {
        let (roots, size) = (self.roots.len(), self.functions.len());
        let mut depth = vec![0; size];
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); size];
        for at in roots..size {
            let fits = |of: &usize| depth[*of] < DEPTH && children[*of].len() < CHILDREN;
            let open: Vec<usize> = (0..at).filter(fits).collect();
            let parent = *dice.pick(&open);
            depth[at] = depth[parent] + 1;
            children[parent].push(at);
            if dice.chance(SHARED) {
                let also: Vec<usize> =
                    (0..at).filter(|of| *of != parent && depth[*of] < depth[at].min(DEPTH - 1)).collect();
                if !also.is_empty() {
                    children[*dice.pick(&also)].push(at);
                }
            }
        }
        for (at, children) in children.into_iter().enumerate() {
            for to in children {
                self.connect_pair(at, to, dice);
            }
        }
    }

    fn connect_pair(&mut self, from: usize, to: usize, dice: &mut Dice) {
        if dice.chance(QUEUED) {
            let name = format!("queue-{from}-{to}").into();
            let wait = dice.lognormal(0.08, 0.5);
            self.queues.push(Queue { name, is_topic: dice.chance(0.25), to, wait, gathers: false });
            self.functions[from].steps.push(Step::Send { queue: self.queues.len() - 1, times: 1 });
            return;
        }
        let chance = if dice.chance(0.85) { 1.0 } else { 0.5 };
        let call = Call { to, chance, gap: dice.lognormal(0.008, 0.6) };
        match self.functions[from].steps.last_mut() {
            Some(Step::Calls(branches)) if branches.len() < 3 && dice.chance(PARALLEL) => branches.push(call),
            _ => self.functions[from].steps.push(Step::Calls(vec![call])),
        }
    }

    fn add_stores(&mut self, at: usize, dice: &mut Dice) {
        let several = usize::from(dice.chance(0.65)) + usize::from(dice.chance(0.2));
        for _ in 0..several {
            let step = Step::Store {
                store: dice.below(self.stores.len()),
                is_write: dice.chance(0.35),
                seconds: dice.lognormal(0.006, 0.6),
                times: 1,
            };
            let place = dice.below(self.functions[at].steps.len() + 1);
            self.functions[at].steps.insert(place, step);
        }
    }

    /// All places where time can go.
    pub fn spots(&self) -> Vec<Spot> {
        let mut spots: Vec<Spot> = Vec::new();
        for (at, function) in self.functions.iter().enumerate() {
            spots.push(Spot::Own(at));
            spots.push(Spot::ColdStart(at));
            for step in &function.steps {
                match step {
                    Step::Calls(calls) | Step::Choice(calls) => {
                        spots.extend(calls.iter().map(|call| Spot::Gap(at, call.to)))
                    }
                    Step::Store { store, .. } => spots.push(Spot::Store(at, *store)),
                    Step::Send { queue, .. } => spots.extend([Spot::Send(at, *queue), Spot::Queue(*queue)]),
                }
            }
        }
        spots.sort_unstable();
        spots.dedup();
        spots
    }

    /// The words for people.
    pub fn words(&self, spot: Spot) -> String {
        let name = |at: usize| &self.functions[at].name;
        match spot {
            Spot::Own(at) => format!("{}, own code", name(at)),
            Spot::ColdStart(at) => format!("{}, cold start", name(at)),
            Spot::Gap(from, to) => format!("{} to {}, gap", name(from), name(to)),
            Spot::Store(at, store) => format!("{} in {}", name(at), self.stores[store].name),
            Spot::Send(at, queue) => format!("{} to {}", name(at), self.queues[queue].name),
            Spot::Queue(queue) => format!("waiting in {}", self.queues[queue].name),
        }
    }
}

fn function(at: usize, dice: &mut Dice) -> Function {
    Function {
        name: format!("fn-{at}").into(),
        platform: Platform::Lambda,
        memory_mb: *dice.pick(&[128, 256, 512, 1_024, 2_048]),
        own: dice.lognormal(0.025, 0.7),
        sigma: 0.6,
        // Functions that are called all the time start rarely; a request of fifteen runs would mostly meet one else.
        cold: dice.lognormal(0.002, 0.5),
        init: dice.lognormal(0.35, 0.5),
        time_out: *dice.pick(&[3.0, 6.0, 10.0]),
        steps: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_the_smallest_systems_have_enough_places() {
        for seed in 0..20 {
            let system = System::new(seed, 20);
            assert!(system.spots().len() >= 50, "{} places", system.spots().len());
        }
    }

    #[test]
    fn all_functions_are_reached_and_none_calls_one_before_it() {
        let system = System::new(3, 200);
        let mut reached: Vec<bool> = (0..200).map(|at| at < system.roots.len()).collect();
        for (at, function) in system.functions.iter().enumerate() {
            assert!(reached[at], "{}", function.name);
            for step in &function.steps {
                let to: Vec<usize> = match step {
                    Step::Calls(calls) | Step::Choice(calls) => calls.iter().map(|call| call.to).collect(),
                    Step::Send { queue, .. } => vec![system.queues[*queue].to],
                    Step::Store { .. } => Vec::new(),
                };
                assert!(to.iter().all(|to| *to > at));
                to.into_iter().for_each(|to| reached[to] = true);
            }
        }
    }
}
