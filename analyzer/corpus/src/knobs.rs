//! How the telemetry of a world reaches the collector, and what is left of the causes on its way.

use clap::ValueEnum;

use crate::dice::Dice;

/// How an invocation tells what caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Context {
    /// The causing span is the parent, in the same trace.
    Parent,
    /// A new trace with span links.
    Link,
    /// A new trace; both sides name the message, the request, or the object with its version.
    MessageId,
    /// A new trace; both sides name only the destination, the object's key or the function.
    KeyOnly,
    /// A new trace, and nothing that joins.
    None,
}

/// How long an export takes from the end of its invocation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExportDelay {
    /// Lognormal with this median in seconds and sigma 0.5.
    Around(f64),
    /// Anything up to this many seconds, as when a layer holds spans back until its environment freezes.
    UpTo(f64),
}

/// How the telemetry of a world reaches the collector.
#[derive(Clone, Debug, PartialEq)]
pub struct Knobs {
    /// How causes are told.
    pub context: Context,
    /// From the end of an invocation to the arrival of its spans.
    pub export_delay: ExportDelay,
    /// Share of exports that arrive twice.
    pub duplicates: f64,
    /// Share of exports that never arrive; an export holds the spans of one invocation.
    pub loss: f64,
    /// Clocks of functions are off by up to this many seconds.
    pub clock_skew: f64,
    /// Messages that a queue hands over at once, at most.
    pub batch: usize,
    /// Share of traces that are kept; a trace is kept or dropped as a whole.
    pub sampling: f64,
}

impl Context {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Parent => "parent",
            Self::Link => "link",
            Self::MessageId => "message id",
            Self::KeyOnly => "key only",
            Self::None => "none",
        }
    }

    /// All of them.
    pub const ALL: [Self; 5] = [Self::Parent, Self::Link, Self::MessageId, Self::KeyOnly, Self::None];
}

impl ExportDelay {
    /// One delay, seconds.
    pub fn draw(self, dice: &mut Dice) -> f64 {
        match self {
            Self::Around(median) => dice.lognormal(median, 0.5),
            Self::UpTo(most) => dice.uniform(0.2, most),
        }
    }

    /// The longest that is to be expected, seconds.
    pub fn longest(self) -> f64 {
        match self {
            Self::Around(median) => median * 5.0,
            Self::UpTo(most) => most,
        }
    }
}

impl Knobs {
    /// A well-behaved exporter: half a second late, no loss, some duplicates, clocks off by up to 200 ms.
    pub fn plain(context: Context) -> Self {
        Self {
            context,
            export_delay: ExportDelay::Around(0.5),
            duplicates: 0.03,
            loss: 0.0,
            clock_skew: 0.2,
            batch: 1,
            sampling: 1.0,
        }
    }
}
