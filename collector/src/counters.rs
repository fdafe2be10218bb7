//! What the collector counts: one atomic for each counter that the status page shows.
//!
//! Counters only grow, but for those that say how many there are now. Who counts what stands at each field; the
//! API turns them into the status message in `api/status.rs`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter that threads share.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// All counters of one collector.
#[derive(Debug, Default)]
pub struct Counters {
    /// Spans accepted at the doors.
    pub spans_received: Counter,
    /// Spans refused with a partial success.
    pub spans_rejected: Counter,
    /// Log records accepted at the doors.
    pub log_records_received: Counter,
    /// Log records refused with a partial success.
    pub log_records_rejected: Counter,
    /// Metric data points accepted at the doors.
    pub data_points_received: Counter,
    /// Metric data points refused with a partial success.
    pub data_points_rejected: Counter,
    /// Points of metrics that say something of functions, and were handed to the engine.
    pub metric_points_read: Counter,
    /// Values in JSON that lay too deep within values and were left empty.
    pub values_cut: Counter,
    /// Attributes beyond the bound of one span or resource, which the engine did not read.
    pub attributes_dropped: Counter,
    /// Names of spans and texts of attributes of which the engine read only the beginning.
    pub texts_cut: Counter,
    /// Requests that could not be read at all.
    pub requests_refused: Counter,
    /// Of these, requests over the limit, plain or inflated.
    pub requests_too_large: Counter,
    /// Of these, requests whose bodies took too long to arrive.
    pub requests_timed_out: Counter,
    /// Connections closed because their headers took too long to arrive.
    pub connections_timed_out: Counter,
    /// Times at which no more connections were taken, because there were too many.
    pub connections_full: Counter,
    /// Requests sent away because the journal was too busy.
    pub requests_overloaded: Counter,
    /// Position of the last durable batch.
    pub journal_position: Counter,
    /// Position of the last batch that the engine has taken in.
    pub engine_position: Counter,
    /// Bytes of the journal on disk.
    pub journal_bytes: Counter,
    /// Segments of the journal on disk.
    pub journal_segments: Counter,
    /// Segments deleted because of their age or because the journal was full.
    pub journal_segments_expired: Counter,
    /// Groups of batches that the journal has made durable, each with one sync.
    pub journal_commits: Counter,
    /// Groups of batches that the journal could not write; their senders were told.
    pub journal_failures: Counter,
    /// Batches that a reader of the journal was too late for in memory and read again from disk.
    pub journal_rereads: Counter,
    /// Batches that were gone from the journal before they were analysed.
    pub batches_skipped: Counter,
    /// States of the engine written to disk.
    pub engine_states_written: Counter,
    /// States of the engine that could not be written.
    pub engine_states_failed: Counter,
    /// Minutes written to disk.
    pub windows_written: Counter,
    /// Minutes that could not be written, or that nobody took in time.
    pub windows_failed: Counter,
    /// Windows let go before their time, because they took too many bytes.
    pub windows_dropped: Counter,
    /// Series that are watched for changes now.
    pub series_watched: Counter,
    /// Series that were watched and are quiet, let go because there were too many.
    pub series_dropped: Counter,
    /// Series of the last minute that are not watched, because there are too many.
    pub series_unwatched: Counter,
    /// Suspected changes that turned out not to matter.
    pub changes_refused: Counter,
    /// Changes that are forgotten, because there were too many.
    pub changes_dropped: Counter,
    /// Webhook messages delivered.
    pub webhooks_delivered: Counter,
    /// Webhook messages given up after the last attempt.
    pub webhooks_failed: Counter,
    /// Webhook messages waiting for their next attempt.
    pub webhooks_pending: Counter,
    /// Loops that nobody is told of now, because too many incidents are open.
    pub incidents_suppressed: Counter,
    /// Readers of the live stream that were too slow and had to start again.
    pub live_resyncs: Counter,
    /// Readers of the live stream now.
    pub live_readers: Counter,
    /// Readers of the live stream that were turned away, because there were too many.
    pub live_refused: Counter,
    /// Questions to the API that were turned away, because too many of them were reading from disk.
    pub api_busy: Counter,
}

impl Counter {
    /// Adds to the counter.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Takes away from a counter that says how many there are now.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// Sets a counter that says how many there are now.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Reads the counter.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
