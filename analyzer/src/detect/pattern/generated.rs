//! Systems of many functions whose patterns are known, and how many of them are found.
//!
//! Each scenario is an instance of one pattern or something near it, with its own numbers, noise and times, all drawn
//! from a seed. What it is made of may be of another pattern as well, as the stages of a pipeline are event handlers:
//! the truth says all of it. Spans come late and out of order.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    patterns,
    world::{Call, Item, Send, World},
};
use crate::{
    attribute::Value,
    config::Config,
    engine::Engine,
    fixture::{SECOND, START},
    measured::Measured,
    price::{FunctionRule, PriceTable},
    snapshot::{Likeness, Patterns},
    span::ArrivalTime,
};

/// Instances of each pattern, and of what is near it.
const EACH: usize = 25;

/// How long the system runs, seconds.
const LASTS: u64 = 150;

/// A system under construction.
struct Generator {
    world: World,
    state: u64,
    next: usize,
    truth: BTreeSet<(&'static str, String)>,
    /// How long the chains of each pipeline take from end to end, milliseconds, by its first stage.
    chains: BTreeMap<String, Vec<f64>>,
}

impl Generator {
    fn new(seed: u64) -> Self {
        Self { world: World::default(), state: seed, next: 0, truth: BTreeSet::new(), chains: BTreeMap::new() }
    }

    /// A number from 0 to 1 (SplitMix64: Steele, Lea and Flood, 2014).
    fn random(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.random()
    }

    fn one_of(&mut self, count: usize) -> usize {
        (self.random() * count as f64) as usize
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random() < probability
    }

    /// Work of about so long.
    fn work(&mut self, ms: f64) -> Item {
        let spread = self.between(-0.7, 0.7).exp();
        Item::Work((ms * spread).round().max(1.0) as u64)
    }

    fn name(&mut self, word: &str) -> String {
        self.next += 1;
        format!("{word}{}", self.next)
    }

    fn is(&mut self, pattern: &'static str, name: &str) {
        self.truth.insert((pattern, name.to_owned()));
    }

    /// A message to a function that does `items`.
    fn message(&mut self, over: &str, to: &str, items: Vec<Item>) -> Item {
        let wait_ms = self.between(5.0, 200.0) as u64;
        let to = vec![Call { name: to.to_owned(), items }];
        Item::Send(Send {
            over: over.trim_end_matches('/').to_owned(),
            wait_ms,
            is_object: over.ends_with('/'),
            is_lost: false,
            to,
        })
    }

    /// A queue, a bucket, or nothing with a name.
    fn carrier(&mut self) -> String {
        match self.one_of(4) {
            0 => self.name("bucket") + "/",
            1 => String::new(),
            _ => self.name("queue"),
        }
    }

    /// Runs one request after the other at any time.
    fn requests(&mut self, mut request: impl FnMut(&mut Self) -> Call) {
        for _ in 0..self.between(60.0, 110.0) as usize {
            let at = START.0 + (self.random() * (LASTS * SECOND) as f64) as u64;
            let call = request(self);
            self.world.request(at, &call);
        }
    }

    fn decorator(&mut self, is_one: bool) {
        let (gate, other, inner) = (self.name("gate"), self.name("shop"), self.name("api"));
        let (auth, log) = (self.name("auth"), self.name("log"));
        let near = if is_one { 9 } else { self.one_of(6) };
        let own = if near == 0 { self.between(0.3, 0.7) } else { self.between(0.02, 0.1) };
        let passes = if near == 1 { self.between(0.4, 0.85) } else { self.between(0.975, 1.0) };
        let elsewhere = if near == 2 { self.between(0.2, 0.8) } else { self.between(0.0, 0.02) };
        let queue = self.name("queue");
        if is_one {
            self.is("decorator", &auth);
        }
        if near == 4 {
            self.is("event", &inner);
        }
        self.requests(|it| {
            let total = it.between(60.0, 300.0);
            let inside = it.work(total * (1.0 - own));
            let call = |name: &String, items| Item::Call(Call { name: name.clone(), items });
            let mut items = vec![Item::Work((total * own / 2.0).max(1.0) as u64)];
            if it.chance(passes) {
                items.push(match near {
                    4 => it.message(&queue, &inner, vec![inside]),
                    _ => call(&inner, vec![inside]),
                });
            }
            match near {
                3 => items.push(call(&log, vec![Item::Work(20)])),
                5 => items.push(Item::Read("users".to_owned())),
                _ => {}
            }
            items.push(Item::Work((total * own / 2.0).max(1.0) as u64));
            let caller = if it.chance(elsewhere) { &other } else { &gate };
            let first = it.work(50.0);
            Call { name: caller.clone(), items: vec![first, call(&auth, items)] }
        });
    }

    fn event_handler(&mut self, is_one: bool) {
        let (sender, handler, caller) = (self.name("send"), self.name("handle"), self.name("admin"));
        let carrier = self.carrier();
        let near = if is_one { 9 } else { self.one_of(3) };
        let rest = if is_one { self.between(0.0, 0.01) } else { self.between(0.12, 0.5) };
        if is_one {
            self.is("event", &handler);
        }
        let before = self.world.spans.len();
        self.requests(|it| {
            let (first, own) = (it.work(20.0), it.work(40.0));
            let handled = Call { name: handler.clone(), items: vec![own.clone()] };
            match near {
                0 if it.chance(rest) => Call { name: caller.clone(), items: vec![first, Item::Call(handled)] },
                1 if it.chance(rest) => handled,
                2 => handled,
                _ => Call { name: sender.clone(), items: vec![first, it.message(&carrier, &handler, vec![own])] },
            }
        });
        if near == 2 {
            for span in &mut self.world.spans[before..] {
                span.attributes.insert("faas.trigger", Value::Text("timer".into()));
            }
        }
    }

    fn pipeline(&mut self, is_one: bool) {
        let near = if is_one { 9 } else { self.one_of(4) };
        let length = if is_one { 3 + self.one_of(4) } else { 3 };
        let stages: Vec<String> = (0..length).map(|_| self.name("stage")).collect();
        let carriers: Vec<String> = (0..length).map(|_| self.carrier()).collect();
        let (other, branch) = (self.name("other"), self.name("queue"));
        let times: Vec<f64> = (0..length).map(|_| self.between(5.0, 200.0)).collect();
        let aside = if is_one { self.between(0.0, 0.01) } else { self.between(0.2, 0.6) };
        let helps = self.chance(0.4);
        let helper = self.name("helper");
        if is_one {
            self.is("pipeline", &stages[0]);
        }
        let handlers = if near == 3 { 0 } else { length };
        for stage in stages.iter().take(handlers).skip(1) {
            self.is("event", stage);
        }
        match near {
            // The second stage sends on to one of two, so that it is a router; a name for the carrier shows it.
            0 => {
                self.is("event", &other);
                self.is("router", &stages[1]);
            }
            // Somebody else sends to the last stage.
            1 => {}
            // Both ways at once.
            2 => self.is("event", &other),
            _ => {}
        }
        let named =
            |carrier: &String, near| if near == 0 && carrier.is_empty() { "spare".to_owned() } else { carrier.clone() };
        self.requests(|it| {
            let is_aside = it.chance(aside);
            if near == 1 && is_aside {
                let (first, last) = (it.work(9.0), it.work(times[2]));
                let sent = it.message(&carriers[2], &stages[2], vec![last]);
                return Call { name: other.clone(), items: vec![first, sent] };
            }
            let mut items = vec![it.work(times[length - 1])];
            for at in (1..length).rev() {
                let own = it.work(times[at - 1]);
                let carrier = named(&carriers[at], near);
                let to_other = if at == 2 && near != 1 && near != 3 {
                    let handled = it.work(20.0);
                    Some(it.message(&branch, &other, vec![handled]))
                } else {
                    None
                };
                let next = match near {
                    3 => Item::Call(Call { name: stages[at].clone(), items }),
                    _ => it.message(&carrier, &stages[at], items),
                };
                items = vec![own];
                if helps && at == 2 {
                    let helped = it.work(10.0);
                    items.push(Item::Call(Call { name: helper.clone(), items: vec![helped] }));
                }
                match (near, to_other) {
                    (2, Some(other)) => items.extend([next, other]),
                    (0 | 9, Some(other)) if is_aside => items.push(other),
                    _ => items.push(next),
                }
            }
            let call = Call { name: stages[0].clone(), items };
            if is_one && let Some(ms) = chain_ms(&call, &stages[length - 1]) {
                it.chains.entry(stages[0].clone()).or_default().push(ms);
            }
            call
        });
        // A stage that calls somebody besides is no router; one that is a router here calls nobody.
        if near == 0 && helps {
            self.truth.remove(&("router", stages[1].clone()));
        }
        // What is rare is still handled by messages alone.
        if is_one {
            self.is("event", &other);
        }
    }

    fn fan_out(&mut self, is_one: bool) {
        let (split, work) = (self.name("split"), self.name("work"));
        let queue = self.name("queue");
        let others: Vec<String> = (0..4).map(|_| self.name("other")).collect();
        let (way, near) = (self.one_of(5), if is_one { 9 } else { self.one_of(4) });
        let mean = if is_one { self.between(3.3, 8.0) } else { self.between(1.0, 2.5) };
        let is_message = (is_one || near == 0) && way > 1;
        if is_one {
            self.is("fan-out", &split);
        }
        if is_message && (way < 4 || near == 0) {
            self.is("event", &work);
        }
        if is_one && way == 4 {
            others.iter().for_each(|other| self.is("event", other));
        }
        self.requests(|it| {
            let (first, last) = (it.work(10.0), it.work(5.0));
            let children = (mean + it.between(-0.9, 0.9)).round().max(1.0) as usize;
            let call = |name: &String, item| Item::Call(Call { name: name.clone(), items: vec![item] });
            let mut items = Vec::new();
            for at in 0..if near == 9 || near == 0 { children } else { 4 } {
                let own = it.work(30.0);
                items.push(match (near, way) {
                    (1, _) => call(&others[at], own),
                    (2, _) if at < 3 => Item::Fail(Call { name: work.clone(), items: vec![own] }),
                    (2, _) => call(&work, own),
                    (3, _) => Item::Read(others[0].clone()),
                    (_, 0 | 1) => call(&work, own),
                    (_, 2 | 3) => it.message(if way == 2 { &queue } else { "" }, &work, vec![own]),
                    (9, _) if at == 0 => {
                        let own = |name: &String| Call { name: name.clone(), items: vec![Item::Work(20)] };
                        let to = others.iter().map(own).collect();
                        Item::Send(Send { over: queue.clone(), wait_ms: 20, to, ..Send::default() })
                    }
                    (9, _) => Item::Work(1),
                    _ => it.message(&queue, &work, vec![own]),
                });
            }
            let items = if way == 0 { vec![Item::AtOnce(items)] } else { items };
            Call { name: split.clone(), items: [vec![first], items, vec![last]].concat() }
        });
    }

    fn fan_in(&mut self, is_one: bool) {
        let sum = self.name("sum");
        let queue = self.name("queue");
        let producers: Vec<String> = (0..5).map(|_| self.name("from")).collect();
        let (way, near) = (self.one_of(2), if is_one { 9 } else { self.one_of(3) });
        if is_one {
            self.is("fan-in", &sum);
        }
        if near != 2 {
            self.is("event", &sum);
        }
        if is_one && way == 0 || near == 0 {
            let messages = if is_one { 3 + self.one_of(6) } else { 1 + self.one_of(2) };
            let known = if is_one { 1 + self.one_of(4) } else { 2 };
            for _ in 0..60 {
                let at = START.0 + (self.random() * (LASTS * SECOND) as f64) as u64;
                let calls: Vec<Call> = (0..messages)
                    .map(|at| {
                        let own = self.work(10.0);
                        Call { name: producers[at % known].clone(), items: vec![own] }
                    })
                    .collect();
                let own = self.work(30.0);
                self.world.gather(at, &calls, &queue, &Call { name: sum.clone(), items: vec![own] });
            }
            return;
        }
        let senders = if near == 1 { 2 } else { 3 + self.one_of(3) };
        self.requests(|it| {
            let (first, own) = (it.work(10.0), it.work(30.0));
            // A third sender that hardly sends is none.
            let from = if near == 1 && it.chance(0.01) { 4 } else { it.one_of(senders) };
            let next = match near {
                2 => Item::Call(Call { name: sum.clone(), items: vec![own] }),
                _ => it.message(&queue, &sum, vec![own]),
            };
            Call { name: producers[from].clone(), items: vec![first, next] }
        });
    }

    fn router(&mut self, is_one: bool) {
        let front = self.name("front");
        let near = if is_one { 9 } else { self.one_of(4) };
        let routes = 2 + self.one_of(4);
        let targets: Vec<String> = (0..routes).map(|_| self.name("route")).collect();
        let queues: Vec<Option<String>> =
            (0..routes).map(|_| if self.chance(0.3) { Some(self.name("queue")) } else { None }).collect();
        for (target, queue) in targets.iter().zip(&queues) {
            if queue.is_some() && near != 3 {
                self.is("event", target);
            }
        }
        if is_one {
            self.is("router", &front);
        }
        let several = if near == 0 { self.between(0.15, 0.7) } else { self.between(0.0, 0.015) };
        let sends = if near == 1 { self.between(0.1, 0.35) } else { self.between(0.9, 1.0) };
        self.requests(|it| {
            let mut items = vec![it.work(20.0)];
            let at = if near == 2 && it.chance(0.985) { 0 } else { it.one_of(routes) };
            let mut ways = vec![at];
            if it.chance(several) {
                ways.push((at + 1) % routes);
            }
            for way in ways {
                if !it.chance(sends) {
                    continue;
                }
                let own = it.work(30.0);
                let called = Call { name: targets[way].clone(), items: vec![own.clone()] };
                items.push(match &queues[way] {
                    _ if near == 3 => Item::Read(targets[way].clone()),
                    Some(queue) => it.message(queue, &targets[way], vec![own]),
                    None => Item::Call(called),
                });
            }
            Call { name: front.clone(), items }
        });
    }

    /// Functions and services that do nothing special but have neighbours.
    fn plain(&mut self) {
        let names: Vec<String> = (0..4).map(|_| self.name("plain")).collect();
        self.requests(|it| {
            let own: Vec<Item> = (0..4).map(|_| it.work(40.0)).collect();
            let call = |at: usize, items| Item::Call(Call { name: names[at].clone(), items });
            let leaf = call(3, vec![own[3].clone(), Item::Read("users".to_owned())]);
            let middle = call(1, vec![own[1].clone(), leaf.clone(), Item::Write("orders".to_owned())]);
            let mut items = vec![own[0].clone(), middle];
            if it.chance(0.5) {
                items.push(call(2, vec![own[2].clone(), leaf]));
            }
            Call { name: names[0].clone(), items }
        });
    }
}

/// How long a chain takes from the start of a run to the end of that of the last function; `None` when it goes elsewhere.
fn chain_ms(call: &Call, last: &str) -> Option<f64> {
    let mut ms = 0.0;
    for item in &call.items {
        match item {
            Item::Work(own) => ms += *own as f64,
            Item::Call(called) => ms += chain_ms(called, &called.name)?,
            Item::Send(send) => return Some(ms + 1.0 + send.wait_ms as f64 + chain_ms(&send.to[0], last)?),
            _ => {}
        }
    }
    (call.name == last).then_some(ms)
}

/// Asserts that the times of pipelines are those of their chains, within a tenth.
fn compare_times(chains: &BTreeMap<String, Vec<f64>>, patterns: &Patterns) {
    let quantile = |sorted: &[f64], q: f64| sorted[(q * (sorted.len() - 1) as f64) as usize];
    let mut compared = 0;
    for found in &patterns.pipelines {
        let Some(mut true_ms) = chains.get(&*found.stages[0].function.name).cloned() else { continue };
        true_ms.sort_by(f64::total_cmp);
        let end = found.end_to_end.unwrap();
        for (said, q) in [(end.p50_ms, 0.5), (end.p95_ms, 0.95)] {
            let off = said / quantile(&true_ms, q) - 1.0;
            assert!(off.abs() < 0.1, "{}: {said} is off by {off} at {q}", found.stages[0].function.name);
        }
        assert_eq!(end.chains, true_ms.len() as u64);
        compared += 1;
    }
    assert!(compared >= 20, "{compared}");
}

/// Patterns by kind and by the function that stands for each.
fn found(patterns: &Patterns) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    let mut add = |kind, name: &str| {
        found.insert((kind, name.to_owned()));
    };
    patterns.decorators.iter().for_each(|it| add("decorator", &it.function.name));
    patterns.event_handlers.iter().for_each(|it| add("event", &it.function.name));
    patterns.pipelines.iter().for_each(|it| add("pipeline", &it.stages[0].function.name));
    patterns.fan_outs.iter().for_each(|it| add("fan-out", &it.function.name));
    patterns.fan_ins.iter().for_each(|it| add("fan-in", &it.function.name));
    patterns.routers.iter().for_each(|it| add("router", &it.function.name));
    found
}

/// Asserts that nine in ten of each kind are found and true, of at least twenty.
fn score(truth: &BTreeSet<(&'static str, String)>, found: &BTreeSet<(&'static str, String)>) {
    let mut kinds: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (kind, _) in truth {
        kinds.entry(kind).or_default()[0] += 1;
    }
    for it in found {
        let counts = kinds.entry(it.0).or_default();
        counts[1] += 1;
        counts[2] += usize::from(truth.contains(it));
    }
    let missed: Vec<_> = truth.difference(found).collect();
    let wrong: Vec<_> = found.difference(truth).collect();
    for (kind, [there, said, right]) in kinds {
        let (precision, recall) = (right as f64 / said.max(1) as f64, right as f64 / there.max(1) as f64);
        println!("{kind:<10} {there:>4} there, precision {precision:.3}, recall {recall:.3}");
        assert!(there >= 20, "{kind}: {there}");
        assert!(precision >= 0.9 && recall >= 0.9, "{kind}: {precision} {recall}\nmissed {missed:?}\nwrong {wrong:?}");
    }
    println!("missed {missed:?}\nwrong {wrong:?}");
}

#[test]
fn nine_in_ten_patterns_are_found_and_true() {
    for seed in [1, 2] {
        let mut it = Generator::new(seed);
        for number in 0..2 * EACH {
            let is_one = number % 2 == 0;
            it.decorator(is_one);
            it.event_handler(is_one);
            it.pipeline(is_one);
            it.fan_out(is_one);
            it.fan_in(is_one);
            it.router(is_one);
            if is_one {
                it.plain();
            }
        }
        // Who was never chosen by chance did not run.
        let ran: BTreeSet<&str> = it.world.spans.iter().map(|span| &*span.name).collect();
        let truth = it.truth.iter().filter(|(_, name)| ran.contains(&**name)).cloned().collect();
        let patterns = it.world.patterns_late(seed);
        score(&truth, &found(&patterns));
        compare_times(&it.chains, &patterns);
    }
}

/// Ticks of an hour until so many hours are over, with requests to some functions each day.
fn live(engine: &mut Engine, hours: std::ops::Range<u64>, daily: &[&str]) {
    const HOUR: u64 = 3_600 * SECOND;
    for hour in hours {
        let now = ArrivalTime(START.0 + hour * HOUR);
        if hour % 24 == 0 {
            let mut world = World::at(hour * HOUR, hour);
            daily.iter().for_each(|line| world.begin(line));
            engine.ingest(now, world.spans);
        }
        engine.tick(now);
    }
}

#[test]
fn functions_that_do_not_run_for_a_week_are_dead() {
    let lines = |word: &str| (0..EACH).map(|at| format!("{word}{at}(5)")).collect::<Vec<_>>();
    let (dead, late, daily, called) = (lines("dead"), lines("late"), lines("daily"), lines("called"));
    // What is called and shows no spans any more.
    let callers: Vec<String> = (0..EACH).map(|at| format!("boss{at}(1 @called{at})")).collect();
    let day = |lists: &[&[String]]| -> Vec<String> { lists.concat() };
    let run = |engine: &mut Engine, hours, lines: Vec<String>| {
        live(engine, hours, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let mut engine = Engine::new(&Config::recommended(), 2);
    let rule = |name: &str| FunctionRule { pattern: name.into(), ..FunctionRule::default() };
    let rules = (0..EACH).map(|at| rule(&format!("planned{at}"))).chain([rule("daily*"), rule("dead7")]);
    engine.aggregate_mut().set_facts(PriceTable::default(), rules.collect());
    run(&mut engine, 0..1, day(&[&dead, &late, &daily, &called, &callers]));
    run(&mut engine, 1..100, day(&[&late, &daily, &callers]));
    run(&mut engine, 100..8 * 24, day(&[&daily, &callers]));
    let found = |engine: &mut Engine, hours: u64| {
        let now = ArrivalTime(START.0 + hours * 3_600 * SECOND);
        let snapshot = engine.snapshot(now);
        patterns(&Measured::default(), &snapshot.surroundings).dead
    };
    let now_dead = found(&mut engine, 8 * 24);
    let right = |word: &str| now_dead.iter().filter(|it| it.name.starts_with(word)).count();
    assert_eq!((right("dead"), right("planned"), now_dead.len()), (EACH, EACH, 2 * EACH), "{now_dead:?}");
    let seventh = now_dead.iter().find(|it| &*it.name == "dead7").unwrap();
    assert!(seventh.is_configured && seventh.quiet_days == 7, "{seventh:?}");
}

#[test]
fn nine_in_ten_functions_are_told_from_services() {
    let mut it = Generator::new(3);
    let mut truth = BTreeMap::new();
    for number in 0..2 * EACH {
        let (is_faas, way) = (number % 2 == 0, it.one_of(4));
        let name = it.name(if is_faas { "fn" } else { "svc" });
        truth.insert(name.clone(), if is_faas { Likeness::Faas } else { Likeness::Service });
        for run in 0..80 {
            // Functions have many instances, one request at a time; services few, and often several at a time.
            let instance = if is_faas { run / 6 } else { run % 2 };
            let mut said =
                vec![(if is_faas { "faas.instance" } else { "service.instance.id" }, format!("{name}-{instance}"))];
            if is_faas && way < 3 {
                said.push(("faas.name", name.clone()));
            }
            // Containers on a platform of functions that take several requests at a time are services all the same.
            if !is_faas && way == 0 {
                said.push(("cloud.platform", "gcp_cloud_run".to_owned()));
            }
            it.world.said = vec![("fn", said.clone()), ("svc", said)];
            it.world.renew();
            let spread = if is_faas { 1_900 } else { 40 };
            let at = START.0 + run * spread * 1_000_000 + (it.random() * 4e7) as u64;
            let own = it.work(if is_faas { 100.0 } else { 300.0 });
            let first = it.world.spans.len();
            it.world.request(at, &Call { name: name.clone(), items: vec![own] });
            if is_faas && run % 6 == 0 && it.chance(0.9) {
                it.world.spans[first].attributes.insert("faas.coldstart", Value::Bool(true));
            }
        }
    }
    let found = it.world.patterns_late(3);
    for likeness in [Likeness::Faas, Likeness::Service] {
        let said: Vec<&str> =
            found.kinds.iter().filter(|kind| kind.likeness == likeness).map(|kind| &*kind.function.name).collect();
        let there = truth.values().filter(|truth| **truth == likeness).count();
        let right = said.iter().filter(|name| truth[**name] == likeness).count();
        println!("{:<10} {there:>4} there, {} said, {right} right", likeness.word(), said.len());
        assert!(there >= 20 && 10 * right >= 9 * there && 10 * right >= 9 * said.len(), "{likeness:?} {said:?}");
    }
}
