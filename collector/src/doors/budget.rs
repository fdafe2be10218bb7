//! Bounds the bytes of all requests that are on their way from a socket into the journal.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// The bytes that a budget has unless somebody says otherwise: four requests of the largest size at once.
pub const IN_FLIGHT_BYTES: usize = 256 << 20;

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

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// A body that takes its bytes out of a budget while they come in, and fails with an error of the door's making when
/// the budget is spent.
pub(super) struct BudgetedBody<B, F> {
    body: B,
    reservation: Reservation,
    spent: F,
}

impl<B, F> BudgetedBody<B, F> {
    pub(super) fn new(body: B, reservation: Reservation, spent: F) -> Self {
        Self { body, reservation, spent }
    }
}

impl<B, F, E> Body for BudgetedBody<B, F>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Fn() -> E + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        if self.reservation.grow(bytes).is_err() {
            return Poll::Ready(Some(Err((self.spent)().into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
