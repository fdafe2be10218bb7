//! What the detectors make of a loop, and how much it matters. The detectors are in `detect.rs`.

use crate::state::state;

/// What the detectors make of a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assessment {
    /// Nothing that its history would not explain.
    #[default]
    Unremarkable,
    /// Deeper than nearly all benign chains; people are not told yet.
    Suspect,
    /// People have to be told.
    Alarm,
}

/// Which detector spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// One chain is deeper than benign ones get.
    Depth,
    /// Laps cause more laps than they used to, over all chains.
    Rate,
    /// One chain branches, and grows from lap to lap.
    FanOut,
    /// Laps are slow and few, and still deeper than benign ones.
    Slow,
    /// A declared bound is broken.
    BrokenBound,
    /// The same entity is handled again and again by different chains.
    NoProgress,
    /// A function exports the spans of its own exports.
    Telemetry,
    /// Counts show that its invocations go on for ever, or multiply, though no chain can be followed.
    Flow,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    #[default]
    Info,
    /// Worth a look today.
    Warning,
    /// Worth waking somebody.
    Critical,
}

impl Assessment {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unremarkable => "unremarkable",
            Self::Suspect => "suspect",
            Self::Alarm => "alarm",
        }
    }
}

impl Reason {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Rate => "rate",
            Self::FanOut => "fan_out",
            Self::Slow => "slow",
            Self::BrokenBound => "broken_bound",
            Self::NoProgress => "no_progress",
            Self::Telemetry => "telemetry",
            Self::Flow => "flow",
        }
    }
}

state!(
    enum Assessment {
        Unremarkable,
        Suspect,
        Alarm,
    }
);
state!(
    enum Reason {
        Depth,
        Rate,
        FanOut,
        Slow,
        BrokenBound,
        NoProgress,
        Telemetry,
        Flow,
    }
);
