//! The instances of functions: who runs what, and who is free.

use crate::{
    performance::system::{Platform, System},
    truth::nanos,
};

/// Runs until a leaking instance dies.
const LEAKY_RUNS: u32 = 60;

/// Seconds that an instance waits for its next run before it goes.
const IDLE: f64 = 600.0;

/// The instances of all functions of a system.
pub(super) struct Pools {
    functions: Vec<Pool>,
    /// Instances that there ever were.
    instances: u32,
}

struct Pool {
    is_service: bool,
    instances: Vec<Instance>,
}

struct Instance {
    number: u32,
    free_at: u64,
    leaky_runs: u32,
}

impl Pools {
    /// No instance of any function.
    pub(super) fn new(system: &System) -> Self {
        let pool = |platform| Pool { is_service: platform == Platform::Service, instances: Vec::new() };
        Self { functions: system.functions.iter().map(|function| pool(function.platform)).collect(), instances: 0 }
    }

    /// Takes an instance that is free, or one that starts; its place, and whether it is new.
    pub(super) fn take(&mut self, function: usize, at: u64, must_start: bool) -> (usize, bool) {
        let pool = &mut self.functions[function];
        let idle = nanos(IDLE);
        let free = pool
            .instances
            .iter()
            .enumerate()
            .filter(|(_, instance)| pool.is_service || instance.free_at <= at && at - instance.free_at < idle)
            .max_by_key(|(_, instance)| (instance.free_at, instance.number))
            .map(|(place, _)| place);
        let place = match free {
            Some(place) if !must_start || pool.is_service => return (place, false),
            Some(place) => place,
            None => {
                pool.instances.push(Instance { number: 0, free_at: 0, leaky_runs: 0 });
                pool.instances.len() - 1
            }
        };
        self.instances += 1;
        pool.instances[place] = Instance { number: self.instances, free_at: u64::MAX, leaky_runs: 0 };
        (place, true)
    }

    /// The number of an instance.
    pub(super) fn number(&self, function: usize, place: usize) -> u32 {
        self.functions[function].instances[place].number
    }

    /// How full the memory of an instance is that leaks, 0 to 1, and whether this run is its last.
    pub(super) fn fill(&mut self, function: usize, place: usize) -> (f64, bool) {
        let instance = &mut self.functions[function].instances[place];
        instance.leaky_runs += 1;
        (f64::from(instance.leaky_runs) / f64::from(LEAKY_RUNS), instance.leaky_runs >= LEAKY_RUNS)
    }

    /// Gives an instance back, or ends it.
    pub(super) fn release(&mut self, function: usize, place: usize, at: u64, dies: bool) {
        let pool = &mut self.functions[function];
        pool.instances[place].free_at = at;
        if dies {
            pool.instances.swap_remove(place);
        }
    }
}
