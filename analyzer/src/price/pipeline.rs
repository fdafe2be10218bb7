//! Chains of functions that hand on to each other by messages, so that what such a chain costs can be told.
//!
//! What is slow in one, and other shapes of function systems, is not known here: see the detectors.

use std::collections::BTreeSet;

use crate::snapshot::EdgeKind;

/// Edges with less than this part of the runs at either end are no part of a chain.
const LEAST_SHARE: f64 = 0.05;

/// Functions of the shortest chain that is told.
const LEAST_FUNCTIONS: usize = 3;

/// Places of the longest chain that is followed; a longer one is told in pieces.
const LONGEST: usize = 128;

/// An edge between places, by number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hop {
    pub(crate) source: u32,
    pub(crate) target: u32,
    pub(crate) kind: EdgeKind,
    pub(crate) calls: f64,
}

/// The longest chains without a branch or a second way in, each from its first function on. `runs` are those of each
/// place, `is_function` tells functions from resources. O(edges).
pub(crate) fn chains(hops: &[Hop], runs: &[f64], is_function: impl Fn(u32) -> bool) -> Vec<Vec<u32>> {
    let matters = |hop: &Hop, end: u32| hop.calls > 0.0 && hop.calls >= LEAST_SHARE * runs[end as usize];
    let mut delivers = vec![false; runs.len()];
    hops.iter().filter(|hop| hop.kind == EdgeKind::Deliver).for_each(|hop| delivers[hop.source as usize] = true);
    // The only way on and the only way in of each place; `Err` where there are several.
    let mut on: Vec<Result<Option<u32>, ()>> = vec![Ok(None); runs.len()];
    let mut into = on.clone();
    for hop in hops {
        let goes_on = match hop.kind {
            EdgeKind::Message | EdgeKind::Deliver => true,
            EdgeKind::Publish | EdgeKind::Write => delivers[hop.target as usize],
            EdgeKind::Call | EdgeKind::Read => false,
        };
        if goes_on && matters(hop, hop.source) {
            note(&mut on[hop.source as usize], hop.target);
        }
        // A function that is called as well has a second way in, whoever calls.
        if hop.kind != EdgeKind::Read && matters(hop, hop.target) {
            note(&mut into[hop.target as usize], hop.source);
        }
    }
    let next = |place: u32| {
        let target = on[place as usize].ok().flatten()?;
        (into[target as usize] == Ok(Some(place))).then_some(target)
    };
    let is_first = |place: u32| {
        let before = into[place as usize].ok().flatten();
        next(place).is_some() && before.is_none_or(|before| next(before) != Some(place))
    };
    let mut found = Vec::new();
    for first in (0..runs.len() as u32).filter(|place| is_first(*place)) {
        let mut chain = follow(first, next);
        let starts = chain.iter().position(|place| is_function(*place)).unwrap_or(chain.len());
        chain.drain(..starts);
        while chain.last().is_some_and(|last| !is_function(*last)) {
            chain.pop();
        }
        if chain.iter().filter(|place| is_function(**place)).count() >= LEAST_FUNCTIONS {
            found.push(chain);
        }
    }
    found
}

fn follow(first: u32, next: impl Fn(u32) -> Option<u32>) -> Vec<u32> {
    let (mut chain, mut met) = (vec![first], BTreeSet::from([first]));
    let mut last = first;
    while let Some(place) = next(last).filter(|place| chain.len() < LONGEST && met.insert(*place)) {
        chain.push(place);
        last = place;
    }
    chain
}

fn note(known: &mut Result<Option<u32>, ()>, place: u32) {
    *known = match *known {
        Ok(None) => Ok(Some(place)),
        Ok(Some(same)) if same == place => Ok(Some(place)),
        _ => Err(()),
    };
}

#[cfg(test)]
mod tests {
    use EdgeKind::{Call, Deliver, Message, Publish, Write};

    use super::*;

    /// Places below 10 are functions.
    fn found(hops: &[(u32, EdgeKind, u32, f64)]) -> Vec<Vec<u32>> {
        let hops: Vec<Hop> = hops
            .iter()
            .map(|(source, kind, target, calls)| Hop { source: *source, kind: *kind, target: *target, calls: *calls })
            .collect();
        chains(&hops, &[100.0; 20], |place| place < 10)
    }

    #[test]
    fn functions_that_hand_on_by_messages_are_a_chain() {
        let chain = [(0, Publish, 10, 100.0), (10, Deliver, 1, 100.0), (1, Message, 2, 100.0)];
        assert_eq!(found(&chain), [[0, 10, 1, 2]]);
        assert_eq!(found(&[&chain[..], &[(1, Write, 11, 100.0), (1, Call, 5, 300.0)]].concat()), [[0, 10, 1, 2]]);
        assert_eq!(found(&chain[..2]).len(), 0, "two functions are none");
    }

    #[test]
    fn a_branch_or_a_second_way_in_ends_a_chain_and_a_rare_one_does_not() {
        let chain = [(0, Message, 1, 100.0), (1, Message, 2, 100.0), (2, Message, 3, 100.0), (3, Message, 4, 100.0)];
        let with = |hop| found(&[&chain[..], &[hop]].concat());
        assert_eq!(with((2, Message, 6, 4.0)), [[0, 1, 2, 3, 4]]);
        assert_eq!(with((2, Message, 6, 50.0)), [[0, 1, 2]]);
        assert_eq!(with((7, Call, 3, 50.0)), [[0, 1, 2]]);
        assert_eq!(
            found(&[(0, Message, 1, 9.0), (1, Message, 2, 9.0), (2, Message, 0, 9.0)]).len(),
            0,
            "a loop is none"
        );
    }
}
