//! `GET /api/v1/live` and the call `Live`: a stream of events that keeps a reader up to date.
//!
//! A new reader gets a snapshot, then what changes: the first change at once, after that at most two messages a second,
//! and a message with the status alone when nothing changes. One task ([`Live::run`]) writes each message once for all
//! readers. A reader that is too slow loses its place and gets a new snapshot; one that comes back with the id of the
//! last message it saw gets what it missed, as long as that is still kept. `api/live/hub.rs` has that memory.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, UNIX_EPOCH},
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use loopscope_proto::v1;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{BroadcastStream, errors::BroadcastStreamRecvError},
};

use self::hub::{Hub, Joined, Message};
use super::{Shared, StatusSource, error::ApiError};
use crate::view::View;

mod hub;

/// Shortest time between two messages that carry changes.
pub(super) const PACE: Duration = Duration::from_millis(500);

/// Longest time without a message.
pub(super) const HEARTBEAT: Duration = Duration::from_millis(1_500);

/// Bound on the readers of the stream; one more is refused.
pub(super) const MOST_READERS: usize = 64;

/// Tells the browser how long to wait before it connects again, in milliseconds.
const GREETING: &[u8] = b"retry: 1000\n\n";

/// The live stream, from the published views to all readers.
#[derive(Debug)]
pub struct Live {
    view: watch::Receiver<Arc<View>>,
    status: Arc<StatusSource>,
    hub: Hub,
    seats: Arc<Semaphore>,
}

impl Live {
    /// Prepares the stream of the published views. Nothing is sent until [`Live::run`] runs.
    pub fn new(view: watch::Receiver<Arc<View>>, status: Arc<StatusSource>) -> Arc<Self> {
        // Sequences go on from the time of the start, so that the id of a message of an earlier process never fits:
        // no process sends a thousand messages a second.
        let started = status.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let first = u64::try_from(started.as_millis()).unwrap_or_default();
        let hub = Hub::new(Arc::clone(&view.borrow()), first);
        Arc::new(Self { view, status, hub, seats: Arc::new(Semaphore::new(MOST_READERS)) })
    }

    /// Sends messages until the sender of the views is gone; then the streams of all readers end.
    pub async fn run(self: Arc<Self>) {
        let mut view = self.view.clone();
        view.mark_changed();
        let mut last = Instant::now();
        let mut paced = last;
        loop {
            tokio::select! {
                changed = view.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    // Changes that come while this waits go out together.
                    sleep_until(paced).await;
                    let newest = Arc::clone(&view.borrow_and_update());
                    let status = self.status.status(&newest.losses);
                    if self.hub.publish(newest, status) {
                        last = Instant::now();
                        paced = last + PACE;
                    }
                }
                () = sleep_until(last + HEARTBEAT) => {
                    let losses = view.borrow().losses;
                    self.hub.beat(self.status.status(&losses));
                    last = Instant::now();
                }
            }
        }
        self.hub.close();
    }

    /// A stream of messages for one reader, who may name the last message that it saw; `None` once the stream is over.
    fn join(self: &Arc<Self>, last_seen: Option<u64>, seat: Seat) -> Option<Reader> {
        let Joined { first, next } = self.hub.join(last_seen, || self.now())?;
        Some(Reader { live: Arc::clone(self), waiting: first.into(), next: BroadcastStream::new(next), _seat: seat })
    }

    fn now(&self) -> v1::Status {
        let losses = self.view.borrow().losses;
        self.status.status(&losses)
    }

    fn take_seat(&self) -> Option<Seat> {
        let permit = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        self.status.counters.live_readers.add(1);
        Some(Seat { status: Arc::clone(&self.status), _permit: permit })
    }
}

/// One of the bounded seats; it is counted while it is taken.
#[derive(Debug)]
struct Seat {
    status: Arc<StatusSource>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.status.counters.live_readers.sub(1);
    }
}

/// The messages for one reader.
#[derive(Debug)]
pub(super) struct Reader {
    live: Arc<Live>,
    waiting: VecDeque<Arc<Message>>,
    next: BroadcastStream<Arc<Message>>,
    _seat: Seat,
}

impl Stream for Reader {
    type Item = Arc<Message>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Poll::Ready(Some(message));
            }
            match ready!(Pin::new(&mut self.next).poll_next(cx)) {
                Some(Ok(message)) => return Poll::Ready(Some(message)),
                Some(Err(BroadcastStreamRecvError::Lagged(_))) => {
                    self.live.status.counters.live_resyncs.add(1);
                    let live = Arc::clone(&self.live);
                    let Some(joined) = live.hub.join(None, || live.now()) else { return Poll::Ready(None) };
                    self.next = BroadcastStream::new(joined.next);
                    self.waiting = joined.first.into();
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

/// The stream for one more reader.
pub(super) fn follow(live: &Arc<Live>, wanted: v1::LiveRequest) -> Result<Reader, ApiError> {
    let unavailable = |code, message: String| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
    let seat = live.take_seat().ok_or_else(|| {
        live.status.counters.live_refused.add(1);
        unavailable("too_many_readers", format!("{MOST_READERS} readers follow the live stream already; close a page"))
    })?;
    live.join(wanted.last_sequence, seat)
        .ok_or_else(|| unavailable("stopping", "the server stops; try again when it is back".to_owned()))
}

pub(super) async fn get(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, ApiError> {
    let last_sequence = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let reader = follow(&shared.state.live, v1::LiveRequest { last_sequence })?;
    let frames = tokio_stream::once(Bytes::from_static(GREETING)).chain(reader.map(|message| message.frame()));
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Some proxies collect answers unless they are told not to.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(frames.map(Ok::<_, Infallible>))).into_response())
}

#[cfg(test)]
mod tests;
