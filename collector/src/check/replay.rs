//! Runs the engine over spans at their own time.

use std::{io, time::Duration};

use loopscope_analyzer::{
    config::Config,
    detect::hotspot::Baseline,
    engine::Engine,
    snapshot::{Losses, Snapshot},
    span::{ArrivalTime, Span},
};

use super::{Streams, order::Step};
use crate::price;

/// How often the engine looks at the clock while spans come.
const TICK: Duration = Duration::from_secs(1);

/// Spans that are handed over at once.
const BATCH: usize = 512;

/// How much longer each tick of a pause is than the one before: a year without spans takes a hundred ticks.
const PAUSE_GROWTH: u32 = 2;

/// Ticks after the last span, so that everything settles; fewer than end a loop.
const SETTLING: u32 = 5;

/// Replays the spans; what the engine knows in the end, where each loop has the depth of its deepest chain, and the
/// hotspots are what became slower when there is something to hold it against.
pub(super) fn replay(
    steps: Vec<Step>,
    losses: &Losses,
    baseline: Option<&Baseline>,
    streams: &mut Streams<'_>,
) -> io::Result<Snapshot> {
    let mut player = play(steps, losses, streams)?;
    let mut found = player.engine.snapshot(player.now);
    for each in &mut found.loops {
        // A chain remembers the depth of a bounded number of loops; one with laps is at least one lap deep.
        let least = u32::from(each.laps > 0);
        each.max_depth = each.max_depth.max(player.engine.deepest(each.id)).max(least);
    }
    if let Some(baseline) = baseline {
        found.hotspots = player.engine.aggregate_mut().slower_than(baseline);
    }
    Ok(found)
}

/// Replays the spans; what was measured, to hold other spans against.
pub(super) fn baseline(steps: Vec<Step>, losses: &Losses, streams: &mut Streams<'_>) -> io::Result<Baseline> {
    let mut player = play(steps, losses, streams)?;
    Ok(player.engine.aggregate_mut().baseline())
}

fn play(steps: Vec<Step>, losses: &Losses, streams: &mut Streams<'_>) -> io::Result<Player> {
    let total = steps.len();
    let mut player = Player {
        engine: engine(total),
        now: steps.first().map_or(ArrivalTime(0), |(time, _)| *time),
        ticked: ArrivalTime(0),
        batch: Vec::new(),
    };
    player.ticked = player.now;
    player.engine.count(losses);
    for (done, (time, span)) in steps.into_iter().enumerate() {
        if done % 65_536 == 0 {
            streams.progress(&format!("replayed {done} of {total} spans"))?;
        }
        player.pass_to(time);
        player.take(time, span);
    }
    player.flush();
    player.engine.finish(player.now);
    for _ in 0..SETTLING {
        player.pass_to(player.now.after(TICK));
    }
    streams.progress("")?;
    Ok(player)
}

fn engine(spans: usize) -> Engine {
    let mut engine = Engine::new(&Config::for_capture(spans), 1);
    // They are read without fault, as a test of theirs proves; without prices nothing would be missing but costs.
    if let Ok(prices) = price::built_in() {
        engine.aggregate_mut().set_facts(prices, Vec::new());
    }
    engine
}

struct Player {
    engine: Engine,
    now: ArrivalTime,
    ticked: ArrivalTime,
    batch: Vec<Span>,
}

impl Player {
    fn take(&mut self, time: ArrivalTime, span: Span) {
        self.now = time;
        self.batch.push(span);
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.engine.ingest(self.now, self.batch.drain(..));
    }

    /// Lets time pass up to a moment, in steps that grow while nothing happens.
    fn pass_to(&mut self, time: ArrivalTime) {
        if time.since(self.ticked) < TICK {
            return;
        }
        self.flush();
        let mut step = TICK;
        while time.since(self.ticked) >= step {
            self.ticked = self.ticked.after(step);
            self.engine.tick(self.ticked);
            step = step.saturating_mul(PAUSE_GROWTH);
        }
        self.now = self.now.max(self.ticked);
    }
}
