//! What the engine knows, on disk: written now and then and at the stop, read at the start.
//!
//! ```text
//!   feeder -- checkpoint --> shards --> linker (saves) --> aggregator (saves) --> keeper (compresses, writes)
//!      ^                                                       |
//!      +---------------------- goes on ------------------------+
//! ```
//!
//! The feeder stands still meanwhile, so that what is saved is all that came up to one position and nothing beyond. The
//! shards are not saved: a start feeds them the last minutes before that position again and drops what they say, and
//! then goes on behind it. Bytes of another version, of a journal that is gone, or that are damaged are passed over; the
//! journal is replayed from its beginning then.

use std::{
    io::{self, Read as _},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use loopscope_analyzer::{aggregate::Aggregate, config::Config, linker::Linker, span::ArrivalTime, state::FORMAT};
use prost::Message as _;

use crate::{
    counters::Counters,
    journal::Position,
    store::{Store, StoreError, engine_state},
};

/// Bound on the bytes of a state, before and after they are compressed; a larger one is not kept.
const MAX_BYTES: usize = 1 << 30;

/// How hard to compress: what takes little time.
const LEVEL: i32 = 1;

/// What the engine knew at one position of the journal.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EngineState {
    /// Format of the two parts: [`FORMAT`].
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// The last batch that it knows.
    #[prost(uint64, tag = "2")]
    pub position: Position,
    /// When it was saved, nanoseconds since 1970-01-01 UTC.
    #[prost(uint64, tag = "3")]
    pub now: u64,
    /// The first batch that shards have to see again.
    #[prost(uint64, tag = "4")]
    pub replay_from: Position,
    /// What the linker knows.
    #[prost(bytes = "vec", tag = "5")]
    pub linker: Vec<u8>,
    /// What the aggregate knows.
    #[prost(bytes = "vec", tag = "6")]
    pub aggregate: Vec<u8>,
}

/// An engine that goes on where another stopped.
pub struct Restored {
    pub(super) linker: Linker,
    pub(super) aggregate: Aggregate,
    pub(super) position: Position,
    pub(super) now: ArrivalTime,
    replay_from: Position,
}

impl Restored {
    /// The position from which the journal has to be followed.
    pub fn replay_from(&self) -> Position {
        self.replay_from
    }
}

/// The state as it is kept.
///
/// # Errors
/// When it is too large, or there is no memory to compress it.
pub fn encode(state: &EngineState) -> io::Result<Vec<u8>> {
    if state.encoded_len() > MAX_BYTES {
        return Err(io::Error::other(format!("the engine's state has {} bytes", state.encoded_len())));
    }
    zstd::bulk::compress(&state.encode_to_vec(), LEVEL)
}

/// The state that was kept; `None` when the bytes are none of this format.
pub fn decode(bytes: &[u8]) -> Option<EngineState> {
    let mut plain = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(bytes).ok()?;
    decoder.take(MAX_BYTES as u64).read_to_end(&mut plain).ok()?;
    EngineState::decode(plain.as_slice()).ok().filter(|state| state.format == FORMAT)
}

/// The engine as it was kept, for a journal that ends at `last`; `None` when there is none that fits.
///
/// # Errors
/// Those of the store.
pub fn restore(config: &Config, store: &Store, last: Position) -> Result<Option<Restored>, StoreError> {
    let Some((position, bytes)) = store.read(engine_state::load)? else { return Ok(None) };
    let started = Instant::now();
    let fitting = || {
        let state = decode(&bytes).filter(|state| state.position == position && position <= last)?;
        Some(Restored {
            linker: Linker::load(config, &state.linker)?,
            aggregate: Aggregate::load(config, &state.aggregate)?,
            position: state.position,
            now: ArrivalTime(state.now),
            replay_from: state.replay_from,
        })
    };
    let restored = fitting();
    match &restored {
        Some(_) => tracing::info!(position, bytes = bytes.len(), took = ?started.elapsed(), "the engine goes on"),
        None => tracing::warn!(position, last, "the engine's state does not fit; the journal is replayed instead"),
    }
    Ok(restored)
}

/// The thread that writes states; it ends when its sender is gone.
pub(super) struct Keeper {
    sender: SyncSender<EngineState>,
    thread: JoinHandle<()>,
}

impl Keeper {
    pub(super) fn start(store: Arc<Store>, counters: Arc<Counters>) -> io::Result<Self> {
        let (sender, states) = sync_channel(1);
        let thread = thread::Builder::new().name("keeper".into()).spawn(move || keep(&store, &counters, &states))?;
        Ok(Self { sender, thread })
    }

    /// Hands a state over, unless the one before is still being written.
    pub(super) fn keep(&self, state: EngineState) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(state) {
            tracing::warn!("the disk is slower than the engine's state comes; this one is not kept");
        }
    }

    /// Waits until all is written.
    pub(super) fn end(self) {
        drop(self.sender);
        if self.thread.join().is_err() {
            tracing::error!("the thread that keeps the engine's state had panicked");
        }
    }
}

fn keep(store: &Store, counters: &Counters, states: &Receiver<EngineState>) {
    while let Ok(state) = states.recv() {
        let written = encode(&state).map_err(|error| error.to_string()).and_then(|bytes| {
            let save = |transaction: &rusqlite::Transaction<'_>| {
                engine_state::save(transaction, state.position, ArrivalTime(state.now), &bytes)
            };
            store.write(save).map_err(|error| error.to_string())
        });
        match written {
            Ok(()) => counters.engine_states_written.add(1),
            Err(error) => {
                counters.engine_states_failed.add(1);
                tracing::error!(error, "the engine's state cannot be kept; a start will replay more of the journal");
            }
        }
    }
}

/// When the next state is due.
pub(super) struct Schedule {
    next: Instant,
    saved: Position,
}

impl Schedule {
    /// A state is written this often.
    const INTERVAL: Duration = Duration::from_secs(60);

    /// Standing still may take this part of the time at most.
    const SHARE: u32 = 50;

    pub(super) fn new(saved: Position) -> Self {
        Self { next: Instant::now() + Self::INTERVAL, saved }
    }

    pub(super) fn is_due(&self, position: Position) -> bool {
        position > self.saved && Instant::now() >= self.next
    }

    /// True when something came since the last state.
    pub(super) fn is_behind(&self, position: Position) -> bool {
        position > self.saved
    }

    pub(super) fn done(&mut self, position: Position, took: Duration) {
        self.saved = position;
        self.next = Instant::now() + Self::INTERVAL.max(took * Self::SHARE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(position: Position) -> EngineState {
        let config = Config::recommended();
        EngineState {
            format: FORMAT,
            position,
            now: 7,
            replay_from: 2,
            linker: Linker::new(&config).save(),
            aggregate: Aggregate::new(&config).save(),
        }
    }

    #[test]
    fn a_state_comes_back_and_damage_is_seen() {
        let bytes = encode(&state(3)).unwrap();
        assert_eq!(decode(&bytes), Some(state(3)));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(b"nothing"), None);
        let other = EngineState { format: FORMAT + 1, ..state(3) };
        assert_eq!(decode(&encode(&other).unwrap()), None, "another version wrote it");
    }

    #[test]
    fn a_state_is_for_its_journal_and_its_bounds() {
        let store = Arc::new(Store::in_memory().unwrap());
        let config = Config::recommended();
        assert!(restore(&config, &store, 9).unwrap().is_none());
        let counters = Arc::new(Counters::default());
        let keeper = Keeper::start(Arc::clone(&store), Arc::clone(&counters)).unwrap();
        keeper.keep(state(5));
        keeper.end();
        assert_eq!((counters.engine_states_written.get(), counters.engine_states_failed.get()), (1, 0));
        let restored = restore(&config, &store, 5).unwrap().unwrap();
        assert_eq!((restored.position, restored.replay_from(), restored.now), (5, 2, ArrivalTime(7)));
        assert!(restore(&config, &store, 4).unwrap().is_none(), "the journal ends before it");
        let other = Config { edge_capacity: 1, ..config };
        assert!(restore(&other, &store, 5).unwrap().is_none());
    }
}
