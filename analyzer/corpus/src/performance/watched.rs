//! An engine in virtual time on all that a plan tells.

use loopscope_analyzer::{config::Config, engine::Engine, span::ArrivalTime};

use crate::{
    performance::{
        stream::{Plan, Stream},
        system::System,
    },
    world::START,
};

/// Nanoseconds between two ticks of the engine.
const TICK: u64 = 1_000_000_000;

/// Nanoseconds after the last export in which all that is open is settled.
const SETTLED: u64 = 60_000_000_000;

/// An engine that was fed with all that a plan tells.
pub(crate) struct Watched {
    pub(crate) engine: Engine,
    /// When nothing came any more, and all that was open was settled.
    pub(crate) end: ArrivalTime,
    pub(crate) spans: u64,
}

impl Watched {
    /// Runs a plan, with a tick of the engine each second; `prepare` tells the engine what no span does.
    pub(crate) fn new(system: &System, plan: Plan, prepare: impl FnOnce(&mut Engine)) -> Self {
        // All of it is looked at as a whole, as the program does that looks at captures.
        let mut engine = Engine::new(&Config { is_capture: true, ..Config::recommended() }, 1);
        prepare(&mut engine);
        let (mut tick, mut spans, mut last) = (START + TICK, 0, START);
        let mut stream = Stream::new(system, plan);
        while let Some(export) = stream.next() {
            engine.learn(ArrivalTime(last), stream.facts());
            while tick <= export.at.0 {
                engine.tick(ArrivalTime(tick));
                tick += TICK;
            }
            spans += export.spans.len() as u64;
            last = export.at.0;
            engine.ingest(export.at, export.spans);
        }
        let end = last + SETTLED;
        while tick <= end {
            engine.tick(ArrivalTime(tick));
            tick += TICK;
        }
        engine.finish(ArrivalTime(end));
        Self { engine, end: ArrivalTime(end), spans }
    }
}
