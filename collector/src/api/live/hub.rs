//! What the live stream remembers: the view that readers have, and the latest messages for those who come back.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use axum::body::Bytes;
use loopscope_proto::v1;
use tokio::{
    sync::broadcast,
    time::{Duration, Instant},
};

use crate::view::{View, diff};

/// Messages that a reader may lag behind before it has to start again: about eight seconds of changes.
pub(super) const LAG: usize = 16;

/// Bound on the messages that are kept for readers who come back.
pub(super) const KEPT: usize = 64;

/// Bound on the bytes of those messages as JSON; the messages themselves take about as much again.
pub(super) const KEPT_BYTES: usize = 8 << 20;

/// How long messages are still written when the last reader has gone, for it to come back to.
pub(super) const ALONE_FOR: Duration = Duration::from_secs(30);

/// One message for all readers.
#[derive(Debug)]
pub(in crate::api) struct Message {
    /// What is said.
    pub(in crate::api) event: v1::LiveEvent,
    frame: OnceLock<Bytes>,
}

/// The memory of the stream.
#[derive(Debug)]
pub(super) struct Hub(Mutex<Memory>);

#[derive(Debug)]
struct Memory {
    /// Of the last message.
    sequence: u64,
    /// What a reader knows who has seen the last message.
    view: Arc<View>,
    kept: VecDeque<Arc<Message>>,
    kept_bytes: usize,
    had_readers: Instant,
    /// `None` once the stream is over.
    readers: Option<broadcast::Sender<Arc<Message>>>,
}

/// A reader's way in: what it gets first, and where the rest comes from, without a gap between.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) first: Vec<Arc<Message>>,
    pub(super) next: broadcast::Receiver<Arc<Message>>,
}

impl Hub {
    pub(super) fn new(view: Arc<View>, sequence: u64) -> Self {
        Self(Mutex::new(Memory {
            sequence,
            view,
            kept: VecDeque::new(),
            kept_bytes: 0,
            had_readers: Instant::now(),
            readers: Some(broadcast::Sender::new(LAG)),
        }))
    }

    /// Sends what changed; false when nothing did.
    pub(super) fn publish(&self, view: Arc<View>, status: v1::Status) -> bool {
        let mut memory = self.lock();
        let old = std::mem::replace(&mut memory.view, view);
        if memory.is_alone() {
            // Nobody will miss the message, but nobody may take the view for the one before either.
            memory.sequence += 1;
            return true;
        }
        let Some(event) = diff(&old, &memory.view) else { return false };
        memory.send(event, status);
        true
    }

    /// Sends the status alone.
    pub(super) fn beat(&self, status: v1::Status) {
        let mut memory = self.lock();
        if !memory.is_alone() {
            memory.send(v1::LiveEvent::default(), status);
        }
    }

    /// Lets a reader in: with what it missed if that is known, else with a snapshot. `None` once the stream is over.
    pub(super) fn join(&self, last_seen: Option<u64>, status: impl FnOnce() -> v1::Status) -> Option<Joined> {
        let memory = self.lock();
        let next = memory.readers.as_ref()?.subscribe();
        if let Some(first) = last_seen.and_then(|last| memory.after(last)) {
            return Some(Joined { first, next });
        }
        let (view, sequence) = (Arc::clone(&memory.view), memory.sequence);
        // Writing a large view takes a while, and the next message need not wait for it: it waits in the receiver.
        drop(memory);
        let event = v1::LiveEvent { sequence, status: Some(status()), ..view.whole() };
        Some(Joined { first: vec![Message::new(event)], next })
    }

    /// Ends the streams of all readers.
    pub(super) fn close(&self) {
        self.lock().readers = None;
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // No code panics between two writes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// True when nobody reads, and nobody has for so long that nobody will come back; the memory is cleared then.
    fn is_alone(&mut self) -> bool {
        let now = Instant::now();
        if self.readers.as_ref().is_some_and(|readers| readers.receiver_count() > 0) {
            self.had_readers = now;
        }
        let alone = now - self.had_readers > ALONE_FOR;
        if alone {
            self.kept.clear();
            self.kept_bytes = 0;
        }
        alone
    }

    fn send(&mut self, event: v1::LiveEvent, status: v1::Status) {
        self.sequence += 1;
        let message = Message::new(v1::LiveEvent { sequence: self.sequence, status: Some(status), ..event });
        self.kept_bytes += message.frame().len();
        self.kept.push_back(Arc::clone(&message));
        while self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.frame().len();
        }
        if let Some(readers) = &self.readers {
            // An error only says that nobody listens.
            let _ = readers.send(message);
        }
    }

    /// The messages after one; `None` when they are not all kept, or when the message was never sent.
    fn after(&self, last_seen: u64) -> Option<Vec<Arc<Message>>> {
        let missed = usize::try_from(self.sequence.checked_sub(last_seen)?).ok()?;
        let skip = self.kept.len().checked_sub(missed)?;
        Some(self.kept.iter().skip(skip).map(Arc::clone).collect())
    }
}

impl Message {
    fn new(event: v1::LiveEvent) -> Arc<Self> {
        Arc::new(Self { event, frame: OnceLock::new() })
    }

    /// The message as a server-sent event; it is written once.
    pub(super) fn frame(&self) -> Bytes {
        let written = self.frame.get_or_init(|| {
            // The messages have no maps with other keys than text and no fallible serializers, so this cannot fail; an
            // empty object would make a reader start again.
            let json = serde_json::to_string(&self.event).unwrap_or_else(|_| "{}".to_owned());
            Bytes::from(format!("id: {}\ndata: {json}\n\n", self.event.sequence))
        });
        written.clone()
    }
}
