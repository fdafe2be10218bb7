//! Bounds the bytes of all requests that are on their way from a socket into the journal.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// A number of bytes that requests share.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    max: usize,
}

/// Bytes taken out of a budget; they go back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: usize,
}

/// The budget is used up; the sender should come again later.
#[derive(Debug, thiserror::Error)]
#[error("too many bytes are on their way in at the moment")]
pub struct BudgetSpent;

impl Budget {
    /// A budget of this many bytes.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max })
    }

    /// Begins to take bytes.
    pub fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Reservation {
    /// Takes more bytes.
    ///
    /// # Errors
    /// When the budget does not have them.
    pub fn grow(&mut self, bytes: usize) -> Result<(), BudgetSpent> {
        let max = self.budget.max;
        let taken =
            self.budget.used.fetch_update(Relaxed, Relaxed, |used| used.checked_add(bytes).filter(|used| *used <= max));
        taken.map_err(|_| BudgetSpent)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Reservation {
    /// Gives all bytes back.
    pub fn release(&mut self) {
        self.budget.used.fetch_sub(std::mem::take(&mut self.bytes), Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_back_when_their_request_ends() {
        let budget = Budget::new(10);
        let mut first = budget.reservation();
        let mut second = budget.reservation();
        assert!(first.grow(6).is_ok() && second.grow(4).is_ok());
        assert!(second.grow(1).is_err());
        assert!(second.grow(usize::MAX).is_err());
        drop(first);
        assert!(second.grow(6).is_ok());
        drop(second);
        assert!(budget.reservation().grow(10).is_ok());
    }
}
