//! Bounds how long a client may take over the headers of a request, without a bound on the silence between requests.
//!
//! hyper has one clock for both; with it, an exporter that sends every ten seconds would meet a closing connection.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use crate::counters::Counters;

/// What a connection and the service on it tell each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Requests whose headers have been read.
    begun: AtomicU64,
    /// True while a request is served, and for ever on HTTP/2, where requests overlap.
    serving: AtomicBool,
}

/// A stream whose reads fail when headers have begun and do not end in time.
pub(super) struct Patient<T> {
    stream: T,
    patience: Duration,
    progress: Arc<Progress>,
    counters: Arc<Counters>,
    /// Runs while headers are read, with the number of requests before them.
    clock: Option<(u64, Pin<Box<Sleep>>)>,
}

/// How every HTTP/2 connection begins, and no HTTP/1 request does.
const HTTP2: &[u8] = b"PRI";

impl Progress {
    /// The headers of a request are complete.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
        self.serving.store(true, Relaxed);
    }

    /// A request is answered, so that the next bytes are headers again.
    pub(super) fn end(&self) {
        self.serving.store(false, Relaxed);
    }
}

impl<T> Patient<T> {
    /// `patience` is how long headers may take.
    pub(super) fn new(stream: T, patience: Duration, progress: Arc<Progress>, counters: Arc<Counters>) -> Self {
        Self { stream, patience, progress, counters, clock: None }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let begun = this.progress.begun.load(Relaxed);
        let serving = this.progress.serving.load(Relaxed);
        this.clock.take_if(|(since, _)| serving || *since != begun);
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let bytes = &buffer.filled()[before..];
        if begun == 0 && bytes.starts_with(HTTP2) {
            // A client may open such a connection long before its first request; pings find the dead ones.
            this.progress.begin();
        } else if !serving && this.clock.is_none() && !bytes.is_empty() {
            this.clock = Some((begun, Box::pin(sleep(this.patience))));
        }
        match (&mut this.clock, read) {
            (Some((_, clock)), Poll::Pending) => {
                ready!(clock.as_mut().poll(context));
                this.counters.connections_timed_out.add(1);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the headers took too long to arrive")))
            }
            (_, read) => read,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::{Instant, timeout},
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn patient<T>(stream: T, progress: &Arc<Progress>) -> Patient<T> {
        Patient::new(stream, PATIENCE, Arc::clone(progress), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn headers_that_do_not_end_fail_in_time() {
        let (mut client, server) = duplex(100);
        let mut server = patient(server, &Arc::default());
        let began = Instant::now();
        client.write_all(b"POST").await.unwrap();
        let mut bytes = [0; 10];
        assert_eq!(server.read(&mut bytes).await.unwrap(), 4);
        assert_eq!(server.read(&mut bytes).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < 2 * PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_http2_connection_is_left_to_its_pings() {
        let (mut client, server) = duplex(100);
        let mut server = patient(server, &Arc::default());
        client.write_all(b"PRI * HTTP/2.0").await.unwrap();
        let mut bytes = [0; 20];
        assert_eq!(server.read(&mut bytes).await.unwrap(), 14);
        assert!(timeout(Duration::from_secs(60), server.read(&mut bytes)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_before_during_and_after_a_request_is_none_of_its_business() {
        let (mut client, server) = duplex(100);
        let progress = Arc::new(Progress::default());
        let mut server = patient(server, &progress);
        let mut bytes = [0; 10];
        for _ in 0..2 {
            assert!(timeout(Duration::from_secs(60), server.read(&mut bytes)).await.is_err());
            client.write_all(b"POST").await.unwrap();
            assert_eq!(server.read(&mut bytes).await.unwrap(), 4);
            progress.begin();
            assert!(timeout(Duration::from_secs(60), server.read(&mut bytes)).await.is_err());
            progress.end();
        }
        // A request that was served between two reads leaves no clock behind.
        client.write_all(b"POST").await.unwrap();
        assert_eq!(server.read(&mut bytes).await.unwrap(), 4);
        progress.begin();
        progress.end();
        assert!(timeout(Duration::from_secs(60), server.read(&mut bytes)).await.is_err());
    }
}
