//! The identity of a cycle, wherever one starts to read it.

use std::{fmt::Write as _, sync::Arc};

use xxhash_rust::xxh3::xxh3_128;

use crate::snapshot::{LoopId, NodeId};

/// The least rotation of a cycle of functions, and the id that follows from it.
pub(crate) fn canonical(cycle: &[NodeId]) -> (LoopId, Vec<NodeId>) {
    let mut rotated = cycle.to_vec();
    rotated.rotate_left(least_rotation(cycle));
    let mut text = String::from("v1|function|");
    for function in &rotated {
        let _ = write!(text, "{function},");
    }
    (LoopId(xxh3_128(text.as_bytes())), rotated)
}

/// The same for a cycle of operations, each with its function.
pub(crate) fn canonical_operations(cycle: &[(NodeId, Arc<str>)]) -> (LoopId, Vec<(NodeId, Arc<str>)>) {
    let mut rotated = cycle.to_vec();
    rotated.rotate_left(least_rotation(cycle));
    let mut text = String::from("v1|operation|");
    for (function, operation) in &rotated {
        // The length keeps names apart that hold what stands between names.
        let _ = write!(text, "{function}:{}:{operation},", operation.len());
    }
    (LoopId(xxh3_128(text.as_bytes())), rotated)
}

/// The identity of what somebody tries again and again.
pub(crate) fn retry_id(function: NodeId, operation: &str, over: Option<NodeId>) -> LoopId {
    let over = over.map(|over| over.to_string()).unwrap_or_default();
    LoopId(xxh3_128(format!("v1|retry|{function}|{over}|{operation}").as_bytes()))
}

/// The id of a finding about one function that is no cycle.
pub(crate) fn finding_id(kind: &str, function: NodeId) -> LoopId {
    LoopId(xxh3_128(format!("v1|{kind}|{function}").as_bytes()))
}

/// Where the lexicographically least rotation starts.
///
/// Two candidates are compared and the losing one skips all that it shares with the winner, so every element is looked
/// at no more than a few times (Shiloach, "Fast canonization of circular strings", 1981).
pub(crate) fn least_rotation<T: Ord>(cycle: &[T]) -> usize {
    let n = cycle.len();
    let (mut a, mut b, mut shared) = (0, 1, 0);
    while a < n && b < n && shared < n {
        match cycle[(a + shared) % n].cmp(&cycle[(b + shared) % n]) {
            std::cmp::Ordering::Equal => {
                shared += 1;
                continue;
            }
            std::cmp::Ordering::Greater => a += shared + 1,
            std::cmp::Ordering::Less => b += shared + 1,
        }
        if a == b {
            b += 1;
        }
        shared = 0;
    }
    a.min(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_rotations_have_one_identity(cycle in prop::collection::vec(0u64..4, 1..9), by in 0usize..9) {
            let cycle: Vec<NodeId> = cycle.into_iter().map(NodeId).collect();
            let mut rotated = cycle.clone();
            rotated.rotate_left(by % cycle.len());
            prop_assert_eq!(canonical(&cycle), canonical(&rotated));
            let least = (0..cycle.len()).map(|by| { let mut r = cycle.clone(); r.rotate_left(by); r }).min();
            prop_assert_eq!(Some(canonical(&cycle).1), least);
        }
    }

    #[test]
    fn direction_matters() {
        let cycle = [1, 2, 3].map(NodeId);
        let back = [3, 2, 1].map(NodeId);
        assert_ne!(canonical(&cycle).0, canonical(&back).0);
    }
}
