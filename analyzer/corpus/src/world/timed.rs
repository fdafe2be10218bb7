//! What happens at a time, in a heap that hands out the earliest first, and of one time what was put in first.

use std::cmp::Ordering;

/// Something and its time.
pub(crate) struct Timed<T> {
    pub(crate) at: u64,
    pub(crate) order: u64,
    pub(crate) what: T,
}

impl<T> PartialEq for Timed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Timed<T> {}

impl<T> PartialOrd for Timed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Timed<T> {
    /// The earliest is the greatest, because heaps hand out the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}
