//! What goes wrong in a system from some time on, and which places are to blame.

use crate::{
    dice::Dice,
    performance::{
        shares::Shares,
        system::{Spot, Step, System},
    },
};

/// Part of the tail that a place has to carry before it is made to fail: what takes nothing of a request cannot make it
/// slower.
const LEAST_SHARE: f64 = 0.02;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A function's own code takes so many times as long.
    OwnCode(f64),
    /// A caller waits so many times as long for more than the work of its callee.
    Gap(f64),
    /// Most runs of a function start an instance.
    ColdStarts,
    /// A function asks a store so often for what it asked once, one time after the other.
    Repeats(u32),
    /// A function's instances fill their memory, get slower and die.
    Leak,
    /// Some runs of a function hang until the platform ends them.
    TimeOuts,
    /// Calls are refused and tried again, all within the span of the caller's client.
    Throttling,
    /// Messages wait longer and longer in a queue.
    Backlog,
}

/// Something that goes wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Where.
    pub spot: Spot,
}

impl Kind {
    /// All that are injected.
    pub const ALL: [Self; 12] = [
        Self::OwnCode(1.2),
        Self::OwnCode(1.5),
        Self::OwnCode(3.0),
        Self::Gap(1.2),
        Self::Gap(1.5),
        Self::Gap(3.0),
        Self::ColdStarts,
        Self::Repeats(30),
        Self::Leak,
        Self::TimeOuts,
        Self::Throttling,
        Self::Backlog,
    ];

    /// The words for people.
    pub fn words(self) -> String {
        match self {
            Self::OwnCode(factor) => format!("own code {factor} times slower"),
            Self::Gap(factor) => format!("gap {factor} times longer"),
            Self::ColdStarts => "storm of cold starts".to_owned(),
            Self::Repeats(_) => "N+1 calls of a store".to_owned(),
            Self::Leak => "memory leak".to_owned(),
            Self::TimeOuts => "time-outs".to_owned(),
            Self::Throttling => "throttled calls".to_owned(),
            Self::Backlog => "queue grows".to_owned(),
        }
    }

    fn fits(self, spot: Spot) -> bool {
        match self {
            Self::OwnCode(_) | Self::Leak | Self::TimeOuts => matches!(spot, Spot::Own(_)),
            Self::Gap(_) | Self::Throttling => matches!(spot, Spot::Gap(..)),
            Self::ColdStarts => matches!(spot, Spot::ColdStart(_)),
            Self::Repeats(_) => matches!(spot, Spot::Store(..)),
            Self::Backlog => matches!(spot, Spot::Queue(_)),
        }
    }

    /// Where what goes wrong shows before it does, and so has to carry a part of the tail. A cold start, a hang, a
    /// refused call or a hundred calls take long enough by themselves, so any function that is often called will do.
    fn needs_share(self) -> bool {
        matches!(self, Self::OwnCode(_) | Self::Gap(_) | Self::Leak)
    }
}

impl Fault {
    /// Draws where it goes wrong; `None` when the system has no such place.
    pub fn new(kind: Kind, system: &System, shares: &Shares, dice: &mut Dice) -> Option<Self> {
        let kind = match kind {
            Kind::Repeats(_) => Kind::Repeats(dice.between(10, 50)),
            kind => kind,
        };
        let fits = |spot: &Spot| {
            let is_felt = !kind.needs_share() || shares.largest(*spot) >= LEAST_SHARE;
            kind.fits(*spot) && is_felt && shares.is_critical(beside(*spot))
        };
        let spots: Vec<Spot> = system.spots().into_iter().filter(fits).collect();
        if spots.is_empty() {
            return None;
        }
        Some(Self { kind, spot: *dice.pick(&spots) })
    }

    /// The places that are to blame: where several say the same, any of them.
    pub fn culprits(&self) -> Vec<Spot> {
        match (self.kind, self.spot) {
            // A leak is felt as slower code and as instances that start instead of those that died.
            (Kind::Leak, Spot::Own(at)) => vec![self.spot, Spot::ColdStart(at)],
            _ => vec![self.spot],
        }
    }

    /// How many times as long a place takes.
    pub fn factor(&self, spot: Spot) -> f64 {
        match self.kind {
            Kind::OwnCode(factor) | Kind::Gap(factor) if spot == self.spot => factor,
            _ => 1.0,
        }
    }

    /// How often a step that asks a store does so.
    pub fn times(&self, spot: Spot, step: &Step) -> u32 {
        match (self.kind, step) {
            (Kind::Repeats(times), Step::Store { .. }) if spot == self.spot => times,
            (_, Step::Store { times, .. }) => *times,
            _ => 1,
        }
    }

    /// True when it is this kind at this place.
    pub fn is_at(&self, spot: Spot, kind: fn(&Kind) -> bool) -> bool {
        self.spot == spot && kind(&self.kind)
    }
}

/// A place that a request has to feel for what goes wrong to be felt.
fn beside(spot: Spot) -> Option<Spot> {
    match spot {
        Spot::ColdStart(at) => Some(Spot::Own(at)),
        Spot::Queue(_) => None,
        spot => Some(spot),
    }
}
