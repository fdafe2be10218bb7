//! Systems in which every pattern stands among what only looks like it, with what is true of each function.
//!
//! The patterns are those that Loopscope names; what makes a function one of them stands at [`Pattern`]. Every instance
//! is a small block with a root of its own, far on its side of the thresholds; what a block happens to be besides, and
//! lies between, is told as [`Truth::either`] and counts neither way.

mod blocks;
mod told;

use std::{collections::BTreeSet, sync::Arc};

pub use told::{PatternScore, run};

use crate::performance::system::System;

/// What a part of a system can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// One caller, one callee, called once for each run and waited for, and little work of its own.
    Decorator,
    /// Started by messages or changes, never by a caller that waits.
    EventHandler,
    /// Functions that hand on messages one after the other, at least three hops.
    Pipeline,
    /// A run starts three or more runs of one other function.
    FanOut,
    /// A run handles three or more messages, or those of three or more functions.
    FanIn,
    /// Calls one of several functions, never two.
    Router,
    /// Known to somebody, and never run.
    Dead,
    /// Lives on between runs and handles several at a time.
    ServiceLike,
    /// Started for a run and handles one at a time.
    FaasLike,
}

/// A part of a system that is a pattern: the functions that it is made of, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    /// What it is.
    pub pattern: Pattern,
    /// One function; the stages of a pipeline in order; both ends of a fan-out.
    pub functions: Vec<Arc<str>>,
}

/// What is true of a system.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// What it is made of.
    pub instances: BTreeSet<Instance>,
    /// What may be told or not: between what is and what is not.
    pub either: BTreeSet<Instance>,
}

/// A system with its truth.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The system.
    pub system: System,
    /// What is true of it.
    pub truth: Truth,
    /// Functions that somebody declared and nobody ever runs.
    pub idle: Vec<Arc<str>>,
}

/// How often a pattern was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Instances that were planted.
    pub planted: u64,
    /// Of these, those that were found.
    pub right: u64,
    /// Others that were told.
    pub wrong: u64,
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Decorator,
        Self::EventHandler,
        Self::Pipeline,
        Self::FanOut,
        Self::FanIn,
        Self::Router,
        Self::Dead,
        Self::ServiceLike,
        Self::FaasLike,
    ];

    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Decorator => "decorator",
            Self::EventHandler => "event handler",
            Self::Pipeline => "pipeline",
            Self::FanOut => "fan-out",
            Self::FanIn => "fan-in",
            Self::Router => "router",
            Self::Dead => "dead function",
            Self::ServiceLike => "service-like",
            Self::FaasLike => "FaaS-like",
        }
    }
}

impl Planted {
    /// Draws a system with so many blocks of each pattern and of each of its look-alikes.
    pub fn new(seed: u64, of_each: usize) -> Self {
        blocks::plant(seed, of_each)
    }

    /// Holds what was told of a pattern against what is true.
    pub fn score(&self, pattern: Pattern, told: &BTreeSet<Instance>) -> Found {
        let planted: BTreeSet<&Instance> =
            self.truth.instances.iter().filter(|instance| instance.pattern == pattern).collect();
        let is_wrong = |instance: &&Instance| {
            instance.pattern == pattern && !planted.contains(instance) && !self.truth.either.contains(instance)
        };
        Found {
            planted: planted.len() as u64,
            right: planted.iter().filter(|instance| told.contains(**instance)).count() as u64,
            wrong: told.iter().filter(is_wrong).count() as u64,
        }
    }
}

impl Found {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.planted += other.planted;
        self.right += other.right;
        self.wrong += other.wrong;
    }

    /// Part of what was told that is true.
    pub fn precision(self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    /// Part of what is true that was told.
    pub fn recall(self) -> f64 {
        share(self.right, self.planted)
    }
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 1.0 } else { part as f64 / of as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_planted() {
        let planted = Planted::new(1, 3);
        for pattern in Pattern::ALL {
            let count = planted.truth.instances.iter().filter(|instance| instance.pattern == pattern).count();
            assert!(count >= 3, "{}: {count}", pattern.words());
        }
        assert!(planted.truth.instances.is_disjoint(&planted.truth.either));
    }

    #[test]
    fn what_was_told_is_right_wrong_or_neither() {
        let planted = Planted::new(1, 3);
        let all = planted.truth.instances.clone();
        let found = planted.score(Pattern::Router, &all);
        assert_eq!((found.right, found.wrong), (found.planted, 0));
        let wrong = Instance { pattern: Pattern::Router, functions: vec!["nobody".into()] };
        let found = planted.score(Pattern::Router, &BTreeSet::from([wrong]));
        assert_eq!((found.right, found.wrong, found.recall()), (0, 1, 0.0));
        let found = planted.score(Pattern::Dead, &planted.truth.either);
        assert_eq!(found.wrong, 0);
    }
}
