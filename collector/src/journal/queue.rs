//! Where batches wait for the writer.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{AppendError, Position, batch::Batch};

/// Bound on waiting batches. When it is reached, new ones are refused and their senders asked to come again.
pub(super) const QUEUE_BATCHES: usize = 4096;

/// Bound on the memory of waiting batches; a batch that alone is larger is let in when nothing else waits.
pub(super) const QUEUE_BYTES: usize = 64 << 20;

/// Bound on the memory of the batches of one group, so that acknowledgements do not wait for a long write.
pub(super) const GROUP_BYTES: usize = 16 << 20;

/// Where the outcome of an append goes.
pub(super) type Ack = oneshot::Sender<Result<Position, AppendError>>;

/// Batches in the order in which they came.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Batch, Ack)>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn push(&mut self, batch: Batch, ack: Ack) -> Result<(), AppendError> {
        let bytes = batch.memory_bytes();
        if self.closed {
            return Err(AppendError::Closed);
        }
        if !self.waiting.is_empty() && (self.waiting.len() >= QUEUE_BATCHES || self.bytes + bytes > QUEUE_BYTES) {
            return Err(AppendError::Overloaded);
        }
        self.bytes += bytes;
        self.waiting.push_back((batch, ack));
        Ok(())
    }

    /// Takes what can be written together: at least one batch if any waits.
    pub(super) fn take_group(&mut self) -> Vec<(Batch, Ack)> {
        let mut bytes = 0;
        let mut count = 0;
        for (batch, _) in &self.waiting {
            bytes += batch.memory_bytes();
            if count > 0 && bytes > GROUP_BYTES {
                bytes -= batch.memory_bytes();
                break;
            }
            count += 1;
        }
        self.bytes -= bytes;
        self.waiting.drain(..count).collect()
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Refuses everything from now on, what waits included: the acknowledgements are dropped unanswered.
    pub(super) fn abandon(&mut self) {
        self.closed = true;
        self.bytes = 0;
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::otlp::Signal;

    fn batch(length: usize) -> Batch {
        Batch::pack(0, Signal::Logs, 1, vec![], Bytes::from(vec![7; length])).unwrap()
    }

    fn push(queue: &mut Queue, length: usize) -> Result<(), AppendError> {
        queue.push(batch(length), oneshot::channel().0)
    }

    #[test]
    fn batches_and_bytes_are_bounded() {
        let mut queue = Queue::default();
        assert_eq!(push(&mut queue, QUEUE_BYTES + 1), Ok(()));
        assert_eq!(push(&mut queue, 1), Err(AppendError::Overloaded));
        assert_eq!(queue.take_group().len(), 1);
        for _ in 0..QUEUE_BATCHES {
            assert_eq!(push(&mut queue, 1), Ok(()));
        }
        assert_eq!(push(&mut queue, 1), Err(AppendError::Overloaded));
        assert_eq!(queue.take_group().len(), QUEUE_BATCHES);
        queue.close();
        assert_eq!(push(&mut queue, 1), Err(AppendError::Closed));
    }

    #[test]
    fn a_group_is_bounded_in_bytes() {
        let mut queue = Queue::default();
        for _ in 0..3 {
            push(&mut queue, GROUP_BYTES / 2).unwrap();
        }
        assert_eq!(queue.take_group().len(), 1);
        assert_eq!(queue.take_group().len(), 1);
        assert_eq!(queue.take_group().len(), 1);
        assert_eq!((queue.bytes, queue.is_empty()), (0, true));
    }
}
