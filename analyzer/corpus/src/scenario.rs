//! What a scenario is: functions, the ways between them, and how its chains go on.
//!
//! A [`Flow`] is a small graph of functions. Chains enter it at the first function; each invocation follows the edges
//! of its function by their [`Rule`]. Edges with [`Rule::Lap`] close a lap: whether a chain goes round once more is
//! decided by the [`Law`] that it follows. Nothing here knows spans (`render.rs`) or time (`world.rs`).

use smallvec::SmallVec;

use crate::{class::Class, dice::Dice, knobs::Context};

/// Chains that belong together, with what is true of them.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Starts the names of its functions.
    pub name: String,
    /// What it is an example of.
    pub class: Class,
    /// How its invocations tell their causes; in place of the world's.
    pub context: Option<Context>,
    /// Functions and ways.
    pub flow: Flow,
    /// Its harmless chains, if it has any.
    pub benign: Option<Stream>,
    /// Its runaway chains, if it has any.
    pub runaway: Option<Stream>,
    /// Its functions are deployed anew when the first runaway chain begins.
    pub deploys: bool,
    /// Seconds from the start of the world at which it ends, like a function that somebody switches off.
    pub until: f64,
    /// Invocations after which it ends.
    pub most_invocations: u64,
    /// Seconds after which an invocation is stopped.
    pub timeout: f64,
    /// Its messages name the conversation that they belong to, when nothing better is told.
    pub names_conversation: bool,
}

/// Functions and the ways between them.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// The first is where chains enter.
    pub nodes: Vec<Node>,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name within the scenario.
    pub name: String,
    /// Median duration, seconds.
    pub seconds: f64,
    /// Memory, megabytes.
    pub memory_mb: u32,
    /// What starts its first invocations.
    pub trigger: Trigger,
    /// What it calls.
    pub edges: Vec<Edge>,
    /// The same entity is worked on each time.
    pub entity: Option<String>,
    /// It sends its own telemetry to this address with a client that is traced.
    pub telemetry_to: Option<String>,
    /// Share of invocations that end with an error.
    pub errors: f64,
}

/// What starts an invocation from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A request.
    Http,
    /// A message of a queue or topic.
    Queue,
    /// An event of a bus.
    Event,
    /// A schedule.
    Timer,
    /// Anything else.
    Other,
}

/// A way from a function to another.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Place of the called function.
    pub to: usize,
    /// How it is called.
    pub hop: Hop,
    /// When it is called.
    pub rule: Rule,
    /// Median seconds from the call to the start of the called function.
    pub delay: f64,
    /// Sigma of the logarithm of that delay.
    pub spread: f64,
    /// How the call is repeated.
    pub retry: Retry,
    /// Object keys written begin with this; what triggers begins with [`crate::render::TRIGGER_PREFIX`].
    pub prefix: Option<&'static str>,
    /// The same object or entity is written each time.
    pub overwrites: bool,
}

/// How one function starts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    /// A request that the caller waits for.
    Call,
    /// An asynchronous invocation.
    Invoke,
    /// A message over a queue.
    Queue,
    /// An object written to a bucket.
    Bucket,
    /// A row written to a table with a stream.
    Table,
    /// A schedule created for a later time.
    Schedule,
}

/// When an edge is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Each time.
    Always,
    /// As the law of the chain says; the edge closes a lap.
    Lap,
    /// Each time with this probability.
    Chance(f64),
    /// So many times, one after the other.
    Times(u32),
    /// Something is sent and starts nothing.
    Never,
}

/// How a call is repeated when it fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Retry {
    /// Not at all.
    None,
    /// The caller tries again, up to `attempts` in all; each fails with probability `failing`.
    Caller {
        /// Attempts in all.
        attempts: u32,
        /// Probability that one fails.
        failing: f64,
    },
    /// The queue hands the same message over again, or the platform runs the same request again.
    Platform {
        /// Attempts in all.
        attempts: u32,
        /// Probability that one fails.
        failing: f64,
        /// Seconds between attempts.
        pause: f64,
    },
}

/// Chains of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// When they enter.
    pub arrivals: Arrivals,
    /// How they go on.
    pub law: Law,
}

/// When chains enter a flow, seconds from the start of the world.
#[derive(Clone, Copy, Debug)]
pub enum Arrivals {
    /// One chain.
    Once {
        /// When.
        at: f64,
    },
    /// A Poisson process.
    Rate {
        /// From when on.
        from: f64,
        /// Until when.
        to: f64,
        /// Chains a second.
        per_second: f64,
    },
    /// On a clock.
    Every {
        /// From when on.
        from: f64,
        /// Until when.
        to: f64,
        /// Seconds between two.
        seconds: f64,
    },
}

/// How often a chain goes round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// For ever, or to this depth, where somebody stops it.
    Endless {
        /// Laps after which it is stopped.
        stopped_at: u32,
    },
    /// With this probability each time.
    Continue(f64),
    /// From `low` to `high` laps, each equally likely.
    Uniform {
        /// The fewest.
        low: u32,
        /// The most.
        high: u32,
    },
    /// Lognormal, rounded down.
    LogNormal {
        /// Median laps.
        median: f64,
        /// Sigma of the logarithm.
        sigma: f64,
    },
    /// P(D >= d) = (1 + d)^-alpha.
    Pareto {
        /// The exponent.
        alpha: f64,
    },
    /// Every invocation starts `branch` others, down to `depth`.
    Tree {
        /// How many.
        branch: u32,
        /// Laps of the deepest.
        depth: u32,
    },
    /// Every invocation starts a Poisson number of others.
    Branching {
        /// Mean of that number.
        mean: f64,
    },
}

/// How one chain goes on, as far as that was drawn when it entered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Remaining {
    law: Law,
    laps: u32,
}

impl Law {
    /// A chain that follows this law.
    pub fn enter(self, dice: &mut Dice) -> Remaining {
        let laps = match self {
            Self::Endless { stopped_at } => stopped_at,
            Self::Continue(q) => dice.geometric(q),
            Self::Uniform { low, high } => dice.between(low, high),
            Self::LogNormal { median, sigma } => dice.lognormal(median, sigma).min(1e6) as u32,
            Self::Pareto { alpha } => ((1.0 - dice.unit()).powf(-1.0 / alpha) - 1.0).min(1e6) as u32,
            Self::Tree { depth, .. } => depth,
            Self::Branching { .. } => u32::MAX,
        };
        Remaining { law: self, laps }
    }

    /// True when each entry causes re-entries by the same chance, whatever came before.
    pub fn is_memoryless(self) -> bool {
        matches!(self, Self::Continue(_) | Self::Branching { .. })
    }

    /// True when few chains get much deeper than most: what a heavy tail does.
    pub fn is_heavy(self) -> bool {
        matches!(self, Self::LogNormal { .. } | Self::Pareto { .. }) || matches!(self, Self::Continue(q) if q >= 0.8)
    }

    /// Mean number of re-entries that an entry causes; for laws with a memory, at the first lap.
    pub fn r(self) -> f64 {
        match self {
            Self::Endless { .. } => 1.0,
            Self::Continue(q) => q,
            Self::Branching { mean } => mean,
            Self::Tree { branch, .. } => f64::from(branch),
            Self::Uniform { low, high } => {
                if low > 0 {
                    1.0
                } else {
                    f64::from(high) / f64::from(high + 1)
                }
            }
            Self::LogNormal { .. } | Self::Pareto { .. } => f64::NAN,
        }
    }
}

impl Remaining {
    /// How many times the lap edge is followed now.
    pub fn next(&self, dice: &mut Dice) -> u32 {
        match (self.law, self.laps) {
            (_, 0) => 0,
            (Law::Tree { branch, .. }, _) => branch,
            (Law::Branching { mean }, _) => dice.poisson(mean),
            _ => 1,
        }
    }

    /// The same one lap later.
    #[must_use]
    pub fn after_a_lap(self) -> Self {
        Self { laps: self.laps.saturating_sub(1), ..self }
    }

    /// Laps that are still to come on its longest branch.
    pub fn laps(&self) -> u32 {
        self.laps
    }
}

impl Node {
    /// A function with the usual duration and memory that calls nothing.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            seconds: 0.08,
            memory_mb: 512,
            trigger: Trigger::Http,
            edges: Vec::new(),
            entity: None,
            telemetry_to: None,
            errors: 0.0,
        }
    }

    /// Seconds from its start to the start of what it calls, in the median.
    pub fn stay(&self) -> f64 {
        self.edges.first().map_or(self.seconds, |edge| edge.delay + self.seconds / 2.0)
    }

    /// The same with one more edge.
    #[must_use]
    pub fn with(mut self, edge: Edge) -> Self {
        self.edges.push(edge);
        self
    }
}

impl Edge {
    /// A way that is always taken.
    pub fn new(to: usize, hop: Hop, delay: f64) -> Self {
        Self { to, hop, rule: Rule::Always, delay, spread: 0.3, retry: Retry::None, prefix: None, overwrites: false }
    }

    /// The same under a rule.
    #[must_use]
    pub fn when(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// The same with retries.
    #[must_use]
    pub fn retried(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

impl Flow {
    /// A cycle with one function for each hop; the last hop closes the lap. `lap` is the median time of a lap, seconds:
    /// what the ways do not take, the functions work.
    pub fn cycle(hops: &[Hop], lap: f64) -> Self {
        let n = hops.len();
        let ways: f64 = hops.iter().map(|hop| hop.seconds()).sum();
        // A function calls on after half of its time.
        let work = ((lap - ways) / n as f64).max(0.1) * 2.0;
        let nodes = hops.iter().enumerate().map(|(at, hop)| {
            let rule = if at + 1 == n { Rule::Lap } else { Rule::Always };
            let mut edge = Edge::new((at + 1) % n, *hop, hop.seconds()).when(rule);
            edge.spread = 0.5;
            Node { seconds: work, ..Node::new(&format!("step{at}")).with(edge) }
        });
        Self { nodes: nodes.collect() }
    }
}

impl Hop {
    /// Median seconds from the call to the start of what it calls.
    pub fn seconds(self) -> f64 {
        match self {
            Self::Call => 0.005,
            Self::Invoke => 0.05,
            Self::Queue => 0.2,
            Self::Table => 0.3,
            Self::Bucket => 0.8,
            Self::Schedule => 60.0,
        }
    }
}

impl Scenario {
    /// The functions of its loop in the order in which a lap meets them; none when nothing closes a lap.
    pub fn cycle(&self) -> SmallVec<[usize; 8]> {
        let mut cycle = SmallVec::new();
        let mut at = 0;
        for _ in 0..self.flow.nodes.len() {
            cycle.push(at);
            let Some(node) = self.flow.nodes.get(at) else { break };
            if node.edges.iter().any(|edge| edge.rule == Rule::Lap) {
                return cycle;
            }
            let Some(next) = node.edges.iter().find(|edge| edge.rule == Rule::Always && !cycle.contains(&edge.to))
            else {
                break;
            };
            at = next.to;
        }
        SmallVec::new()
    }

    /// The full name of one of its functions.
    pub fn function(&self, at: usize) -> String {
        format!("{}-{}", self.name, self.flow.nodes[at].name)
    }

    /// When its first runaway chain enters, seconds from the start of the world.
    pub fn onset(&self) -> Option<f64> {
        self.runaway.map(|stream| stream.arrivals.start())
    }
}

impl Arrivals {
    /// When the first may enter.
    pub fn start(self) -> f64 {
        match self {
            Self::Once { at } => at,
            Self::Rate { from, .. } | Self::Every { from, .. } => from,
        }
    }

    /// When the first enters, and each after another at `last`; none when they are over.
    pub fn next(self, last: Option<f64>, dice: &mut Dice) -> Option<f64> {
        match (self, last) {
            (Self::Once { at }, None) => Some(at),
            (Self::Once { .. }, Some(_)) => None,
            (Self::Rate { from, to, per_second }, last) => {
                Some(last.unwrap_or(from) + dice.wait(per_second)).filter(|at| *at < to)
            }
            (Self::Every { from, to, seconds }, last) => {
                Some(last.map_or(from, |last| last + seconds)).filter(|at| *at < to)
            }
        }
    }
}
