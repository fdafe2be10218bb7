//! Which worlds are run: all classes in all contexts, under all knobs, and what needs a world of its own.

use crate::{
    catalogue::{self, Times},
    class::{Class, Verdict},
    dice::Dice,
    knobs::{Context, ExportDelay, Knobs},
    scenario::{Arrivals, Law, Scenario, Stream},
    world::Plan,
};

/// A world to run, with the names under which it is scored.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which run of worlds it belongs to.
    pub suite: &'static str,
    /// Which settings of the knobs.
    pub setting: &'static str,
    /// The world.
    pub plan: Plan,
}

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Within two minutes.
    Smoke,
    /// Within an hour.
    Full,
}

/// The names of the suites.
pub const CLASSES: &str = "classes";
/// Knobs other than the plain ones.
pub const KNOBS: &str = "knobs";
/// Laps of ten minutes to a day.
pub const SLOW: &str = "slow";

/// Many harmless recursive loops with a history, and runaway chains among them.
pub const MIX: &str = "mix";
/// One chain among very many invocations of the same functions.
pub const DENSE: &str = "dense";
/// Loops whose R is one number.
pub const GROWTH: &str = "growth";

/// The same, sampled: traces are kept or dropped as a whole.
pub const SAMPLED: &str = "sampled";

/// The setting in which a queue hands over ten messages at a time.
pub const BATCH: &str = "batch 10";

/// Runaway classes that share a world; few at a time, because a system in which everything runs away is not one.
const AT_A_TIME: usize = 5;

/// Seconds of a world of classes.
const SECONDS: f64 = 900.0;

/// All worlds, the longest first, restricted to some classes.
pub fn jobs(seed: u64, size: Size, classes: &[Class]) -> impl Iterator<Item = Job> {
    let classes = classes.to_vec();
    let rounds = match size {
        Size::Smoke => 2,
        Size::Full => 30,
    };
    let plain = Context::ALL
        .into_iter()
        .flat_map(move |context| (0..rounds).map(move |round| (CLASSES, "plain", Knobs::plain(context), round)));
    let turned = settings()
        .into_iter()
        .flat_map(move |(setting, knobs)| (0..rounds / 4).map(move |round| (KNOBS, setting, knobs.clone(), round)));
    let slow_classes = classes.clone();
    let fast = plain.chain(turned).flat_map(move |(suite, setting, knobs, round)| {
        worlds_of_classes(seed, round, suite, setting, &knobs, &classes)
    });
    let is_whole = slow_classes.len() == Class::ALL.len();
    let special = move || -> Vec<Job> {
        match is_whole {
            true => [vec![mix(seed, size), dense(seed, size)], growth(seed, rounds), sampled(seed, rounds)].concat(),
            false => Vec::new(),
        }
    };
    special().into_iter().chain(fast).chain(slow_jobs(seed, (rounds / 2).max(1), &slow_classes))
}

/// The harmless loops of the mix, of a hundred: eighty whose chains end early, and twenty with heavy tails.
const MIX_OF_HUNDRED: [(Class, usize); 11] = [
    (Class::Saga, 15),
    (Class::PingPong, 12),
    (Class::PaginationUniform, 13),
    (Class::PaginationHalf, 15),
    (Class::PaginationTwoThirds, 9),
    (Class::DivideSmall, 9),
    (Class::DivideWide, 7),
    (Class::PaginationMany, 6),
    (Class::PaginationLong, 4),
    (Class::PaginationLogNormal, 5),
    (Class::PaginationPareto, 5),
];

/// A thousand harmless recursive loops that the engine watches for a day; on the next day a hundred of them run away,
/// and a hundred new ones. The small form has a tenth of each, and half of the chains.
fn mix(seed: u64, size: Size) -> Job {
    let (hundreds, chains) = match size {
        Size::Smoke => (1, 250.0),
        Size::Full => (10, 500.0),
    };
    let history = 24.0 * 3_600.0;
    let mut dice = Dice::new(seed, "mix");
    let mut scenarios = Vec::new();
    let context = |dice: &mut Dice| *dice.pick(&[Context::Parent, Context::Link, Context::MessageId]);
    let onset = |dice: &mut Dice| history + dice.uniform(0.02, 0.9) * history;
    for (class, count) in MIX_OF_HUNDRED {
        for at in 0..count * hundreds {
            let times = Times { from: 0.0, onset: onset(&mut dice), to: 2.0 * history };
            let name = format!("{}-{at}", class.word());
            let context = context(&mut dice);
            let mut scenario = catalogue::scenario(class, &name, context, times, &mut dice);
            scenario.context = Some(context);
            let is_tree = matches!(class, Class::DivideSmall | Class::DivideWide);
            let per_second = if is_tree { chains / 8.0 } else { chains } / history;
            if let Some(benign) = &mut scenario.benign {
                benign.arrivals = Arrivals::Rate { from: 0.0, to: times.to, per_second };
            }
            // One of ten runs away: a single chain that does not end, while the others go on as before.
            if at % 10 == 3 {
                let law = Law::Endless { stopped_at: 4 * catalogue::STOPPED_AT };
                scenario.runaway = Some(Stream { arrivals: Arrivals::Once { at: times.onset }, law });
            }
            scenarios.push(scenario);
        }
    }
    let new = [
        Class::SelfInvoke,
        Class::SelfQueue,
        Class::SelfBucket,
        Class::SelfTable,
        Class::CycleQueue,
        Class::CycleStorage,
        Class::CycleMixed,
        Class::Poison,
        Class::Leaky,
        Class::FanOutTwo,
    ];
    for class in new {
        for at in 0..hundreds {
            let times = Times { from: 0.0, onset: onset(&mut dice), to: 2.0 * history };
            let context = context(&mut dice);
            let mut scenario =
                catalogue::scenario(class, &format!("{}-new-{at}", class.word()), context, times, &mut dice);
            scenario.context = Some(context);
            scenarios.push(scenario);
        }
    }
    let plan = Plan {
        seed,
        knobs: Knobs::plain(Context::Link),
        scenarios,
        background_functions: 200 * hundreds,
        background_rate: 1.0,
        seconds: 2.0 * history,
        keeps_entries: false,
        history,
        tick: 10.0,
    };
    Job { suite: MIX, setting: "plain", plan }
}

/// One endless chain among thousands of harmless invocations a second of the same two functions.
fn dense(seed: u64, size: Size) -> Job {
    let (rate, seconds) = match size {
        Size::Smoke => (2_000.0, 240.0),
        Size::Full => (10_000.0, 3_600.0),
    };
    let mut dice = Dice::new(seed, "dense");
    let times = Times { from: 0.0, onset: seconds / 4.0, to: seconds };
    let mut scenario = catalogue::scenario(Class::Hidden, "hidden", Context::Link, times, &mut dice);
    if let Some(benign) = &mut scenario.benign {
        // Two invocations a chain.
        benign.arrivals = Arrivals::Rate { from: 0.0, to: seconds, per_second: rate * 0.4 };
    }
    let plan = Plan {
        seed,
        knobs: Knobs::plain(Context::Link),
        scenarios: vec![scenario],
        background_functions: 2_000,
        background_rate: rate * 0.2,
        seconds,
        keeps_entries: false,
        history: 0.0,
        tick: 1.0,
    };
    Job { suite: DENSE, setting: "plain", plan }
}

/// Loops whose every lap causes so many others in the mean.
struct Laws {
    name: String,
    knobs: Knobs,
    /// Chains that begin in each loop.
    per_second: f64,
    seconds: f64,
    most_invocations: u64,
}

impl Laws {
    fn plan(self, seed: u64, round: u64) -> Plan {
        let laws = [
            Law::Continue(0.3),
            Law::Continue(0.7),
            Law::Branching { mean: 0.7 },
            Law::Branching { mean: 1.0 },
            Law::Branching { mean: 1.3 },
        ];
        let mut dice = Dice::new(seed, &format!("{}/{round}", self.name));
        let scenarios = laws.iter().enumerate().map(|(at, law)| {
            let times = Times { from: 0.0, onset: 0.0, to: self.seconds };
            let name = format!("law-{at}");
            let context = self.knobs.context;
            let mut scenario = catalogue::scenario(Class::PaginationHalf, &name, context, times, &mut dice);
            let arrivals = Arrivals::Rate { from: 0.0, to: self.seconds, per_second: self.per_second };
            scenario.benign = Some(Stream { arrivals, law: *law });
            scenario.most_invocations = self.most_invocations;
            scenario
        });
        Plan {
            scenarios: scenarios.collect(),
            seed: seed.wrapping_add(round),
            knobs: self.knobs,
            background_functions: 20,
            background_rate: 1.0,
            seconds: self.seconds,
            keeps_entries: false,
            history: 0.0,
            tick: 1.0,
        }
    }
}

fn growth(seed: u64, rounds: u64) -> Vec<Job> {
    let laws = |_| Laws {
        name: "growth".to_owned(),
        knobs: Knobs::plain(Context::Link),
        per_second: 0.5,
        seconds: 1_200.0,
        most_invocations: catalogue::MOST_INVOCATIONS,
    };
    (0..rounds).map(|round| Job { suite: GROWTH, setting: "plain", plan: laws(round).plan(seed, round) }).collect()
}

/// The same under sampling, so much busier that something is left to see.
fn sampled(seed: u64, rounds: u64) -> Vec<Job> {
    let half = ("sampling 0.5", 0.5, 3.0, 12_000);
    let tenth = ("sampling 0.1", 0.1, 30.0, 120_000);
    let settings = [half, tenth].into_iter().flat_map(|setting| [(Context::Parent, setting), (Context::Link, setting)]);
    let job = |round: u64| {
        settings.clone().map(move |(context, (setting, sampling, per_second, most_invocations))| {
            let laws = Laws {
                name: format!("{setting}/{}", context.word()),
                knobs: Knobs { sampling, ..Knobs::plain(context) },
                per_second,
                seconds: 600.0,
                most_invocations,
            };
            Job { suite: SAMPLED, setting, plan: laws.plan(seed, round) }
        })
    };
    // Each of them says more than a plain one, and takes longer.
    (0..rounds.div_ceil(5)).flat_map(job).collect()
}

/// The settings of the knobs that are tried besides the plain ones.
fn settings() -> Vec<(&'static str, Knobs)> {
    let mut settings = Vec::new();
    for context in [Context::Parent, Context::Link, Context::MessageId] {
        let plain = Knobs::plain(context);
        let delay = |delay| Knobs { export_delay: delay, ..plain.clone() };
        settings.extend([
            ("delay 10 s", delay(ExportDelay::Around(10.0))),
            ("delay up to 5 min", delay(ExportDelay::UpTo(300.0))),
            ("loss 1 %", Knobs { loss: 0.01, ..plain.clone() }),
            ("loss 10 %", Knobs { loss: 0.1, ..plain.clone() }),
            (BATCH, Knobs { batch: 10, ..plain.clone() }),
            ("sampling 0.5", Knobs { sampling: 0.5, ..plain.clone() }),
            ("sampling 0.1", Knobs { sampling: 0.1, ..plain.clone() }),
        ]);
    }
    settings
}

/// A world of some classes, one scenario each, that begin to run away after a sixth of the time.
pub fn world_of(seed: u64, classes: &[Class], knobs: Knobs, seconds: f64, background_rate: f64) -> Plan {
    let mut dice = Dice::new(seed, "world");
    let times = Times { from: 0.0, onset: seconds / 6.0, to: seconds };
    let scenarios = classes
        .iter()
        .map(|class| catalogue::scenario(*class, class.word(), knobs.context, times, &mut dice))
        .collect();
    Plan {
        seed,
        knobs,
        scenarios,
        background_functions: 50,
        background_rate,
        seconds,
        keeps_entries: true,
        history: 0.0,
        tick: 1.0,
    }
}

fn is_slow(class: Class) -> bool {
    matches!(class, Class::TenMinutes | Class::Hour | Class::Day)
}

/// Worlds in which each class runs away once, among all look-alikes.
fn worlds_of_classes(
    seed: u64,
    round: u64,
    suite: &'static str,
    setting: &'static str,
    knobs: &Knobs,
    classes: &[Class],
) -> Vec<Job> {
    let runaway: Vec<Class> =
        classes.iter().copied().filter(|class| class.verdict() == Verdict::Runaway && !is_slow(*class)).collect();
    let alike: Vec<Class> = classes.iter().copied().filter(|class| class.verdict() != Verdict::Runaway).collect();
    let mut groups: Vec<&[Class]> = runaway.chunks(AT_A_TIME).collect();
    if groups.is_empty() {
        groups.push(&[]);
    }
    let jobs = groups.into_iter().enumerate().map(|(group, runaway)| {
        let name = format!("{setting}/{}/{round}/{group}", knobs.context.word());
        let mut dice = Dice::new(seed, &name);
        let patience = knobs.export_delay.longest().max(60.0);
        let seconds = SECONDS + 2.0 * patience;
        let mut scenarios = Vec::new();
        for class in runaway.iter().chain(&alike) {
            let times = Times { from: 0.0, onset: dice.uniform(120.0, 400.0), to: seconds };
            scenarios.push(catalogue::scenario(*class, class.word(), knobs.context, times, &mut dice));
        }
        let plan = Plan {
            seed: seed ^ Dice::new(seed, &name).between(0, u32::MAX) as u64,
            knobs: knobs.clone(),
            scenarios,
            background_functions: 20 + dice.below(180),
            background_rate: dice.uniform(5.0, 20.0),
            seconds,
            keeps_entries: true,
            history: 0.0,
            tick: 1.0,
        };
        Job { suite, setting, plan }
    });
    jobs.collect()
}

/// Worlds with little in them that go on for days.
fn slow_jobs(seed: u64, rounds: u64, classes: &[Class]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for class in classes.iter().copied().filter(|class| is_slow(*class)) {
        let lap = match class {
            Class::TenMinutes => 600.0,
            Class::Hour => 3_600.0,
            _ => 86_400.0,
        };
        for context in [Context::Parent, Context::Link, Context::MessageId] {
            for round in 0..rounds {
                let mut dice = Dice::new(seed, &format!("slow/{class:?}/{context:?}/{round}"));
                let times = Times { from: 0.0, onset: dice.uniform(0.0, 3_600.0), to: 3_600.0 + 24.0 * lap };
                let scenario: Scenario = catalogue::scenario(class, class.word(), context, times, &mut dice);
                let plan = Plan {
                    seed: seed ^ u64::from(dice.between(0, u32::MAX)),
                    knobs: Knobs::plain(context),
                    scenarios: vec![scenario],
                    background_functions: 20,
                    background_rate: 20.0 / lap,
                    seconds: times.to,
                    keeps_entries: false,
                    history: 0.0,
                    tick: 1.0,
                };
                jobs.push(Job { suite: SLOW, setting: "plain", plan });
            }
        }
    }
    jobs
}
