//! What counts alone tell of a loop.

use crate::{
    snapshot::{NodeId, Reproduction},
    state::state,
};

/// What counts alone tell of a loop whose invocations are caused by something that only names the place between them:
/// a queue, or the function that is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Further invocations of a function of the loop that each of its invocations causes, over all ways that lead back
    /// to it, in the last minutes; over the ways of the loop alone where the others keep themselves alive without it, or
    /// are too many.
    pub reproduction: Reproduction,
    /// Invocations of its rarest function, a minute.
    pub laps_per_minute: f64,
    /// Invocations of its functions that nothing in the loop explains, a minute.
    pub immigrants_per_minute: f64,
    /// One for each function of a lap, in its order.
    pub hops: Vec<FlowHop>,
}

/// From one function of a loop to the next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowHop {
    /// Who sends.
    pub function: NodeId,
    /// The resource that it sends over; the next function where it calls that by its name.
    pub over: NodeId,
    /// Messages or calls that one of its invocations sends there, of those that the loop leads to.
    pub sent: f64,
    /// The part of them that goes to the next function of the loop.
    pub share: f64,
}

state!(Flow { reproduction, laps_per_minute, immigrants_per_minute, hops });
state!(FlowHop { function, over, sent, share });
