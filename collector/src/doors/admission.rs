//! Decides on a request: accepted and durable, rejected in part with a reason, or sent away.
//!
//! Both doors share one admission. It knows OTLP as bytes and the journal, and no transport.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Limits,
    budget::{Budget, Reservation},
};
use crate::{
    clock::unix_nanos,
    counters::{Counter, Counters},
    journal::{AppendError, Journal, batch::Batch},
    otlp::{Signal, json, key::Key, limits::ItemLimits, subject, traces, volume},
};

/// Bound on a text that is sent back, bytes; the OTLP specification limits responses.
const MESSAGE_BYTES: usize = 1024;

/// Larger bodies are judged and packed on a thread that may block, so that other connections are served meanwhile.
const INLINE_BYTES: usize = 512 << 10;

/// When an overloaded sender should come again. The journal's queue empties in less.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What both doors need to take requests in; clones share it.
#[derive(Clone)]
pub struct Admission {
    journal: Journal,
    counters: Arc<Counters>,
    budget: Arc<Budget>,
    items: ItemLimits,
}

/// How the bytes of a request are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Protobuf.
    Protobuf,
    /// OTLP/JSON.
    Json,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is durable.
    Accepted,
    /// All of it but the rejected items is durable.
    Partial {
        /// Items that are not kept.
        rejected: u64,
        /// Why, and how to mend it.
        message: String,
    },
    /// It cannot be read, and sending it again would not help.
    Bad(String),
    /// It is larger than the limit, and sending it again would not help.
    TooLarge {
        /// The limit, bytes.
        limit: usize,
    },
    /// There is too much to do; it should be sent again.
    Overloaded {
        /// When.
        retry_after: Duration,
    },
    /// It could not be made durable; it may be sent again.
    Failed(String),
}

/// A request that was judged.
struct Judged {
    /// `None` when there is nothing to keep.
    batch: Option<Batch>,
    rejected: u64,
    values_cut: u64,
    message: Option<String>,
}

impl Admission {
    /// An admission that appends to a journal, within these limits.
    pub fn new(journal: Journal, counters: Arc<Counters>, limits: &Limits) -> Self {
        Self { journal, counters, budget: Budget::new(limits.in_flight_bytes), items: limits.items }
    }

    /// What is counted here.
    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Begins to take bytes of the shared budget.
    pub fn reservation(&self) -> Reservation {
        self.budget.reservation()
    }

    /// Judges a request and waits until what is accepted is durable.
    pub async fn admit(&self, signal: Signal, format: Format, body: Bytes) -> Outcome {
        let (received, limits) = (unix_nanos(), self.items);
        let judged = if body.len() > INLINE_BYTES {
            match tokio::task::spawn_blocking(move || judge(received, signal, format, &limits, body)).await {
                Ok(judged) => judged,
                // A panic there is a panic here: the door turns it into an internal error.
                Err(died) => match died.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => return self.failed("the server is shutting down"),
                },
            }
        } else {
            judge(received, signal, format, &limits, body)
        };
        match judged {
            Ok(judged) => self.keep(signal, judged).await,
            Err(message) => self.refused(message),
        }
    }

    /// A request that cannot be read.
    pub(super) fn refused(&self, message: impl Into<String>) -> Outcome {
        self.count_refused();
        Outcome::Bad(bounded(message.into()))
    }

    /// Counts a request that the door has refused by itself.
    pub(super) fn count_refused(&self) {
        self.counters.requests_refused.add(1);
    }

    /// Counts a request whose body took too long.
    pub(super) fn count_timed_out(&self) {
        self.count_refused();
        self.counters.requests_timed_out.add(1);
    }

    /// A request over the limit.
    pub(super) fn too_large(&self, limit: usize) -> Outcome {
        self.count_refused();
        self.counters.requests_too_large.add(1);
        Outcome::TooLarge { limit }
    }

    /// A request that came at the wrong time.
    pub(super) fn overloaded(&self) -> Outcome {
        self.counters.requests_overloaded.add(1);
        Outcome::Overloaded { retry_after: RETRY_AFTER }
    }

    fn failed(&self, message: impl Into<String>) -> Outcome {
        Outcome::Failed(bounded(message.into()))
    }

    async fn keep(&self, signal: Signal, judged: Judged) -> Outcome {
        if let Some(batch) = judged.batch {
            let items = batch.items;
            match self.journal.append(batch).await {
                Ok(_) => self.received(signal).add(items),
                Err(AppendError::Overloaded) => return self.overloaded(),
                Err(error) => return self.failed(error.to_string()),
            }
        }
        self.rejected(signal).add(judged.rejected);
        self.counters.values_cut.add(judged.values_cut);
        match judged.message {
            Some(message) => Outcome::Partial { rejected: judged.rejected, message: bounded(message) },
            None => Outcome::Accepted,
        }
    }

    fn received(&self, signal: Signal) -> &Counter {
        match signal {
            Signal::Traces => &self.counters.spans_received,
            Signal::Logs => &self.counters.log_records_received,
            Signal::Metrics => &self.counters.data_points_received,
        }
    }

    fn rejected(&self, signal: Signal) -> &Counter {
        match signal {
            Signal::Traces => &self.counters.spans_rejected,
            Signal::Logs => &self.counters.log_records_rejected,
            Signal::Metrics => &self.counters.data_points_rejected,
        }
    }
}

impl Outcome {
    /// What to tell the sender; `None` when all was accepted.
    pub(super) fn message(&self) -> Option<String> {
        match self {
            Self::Accepted => None,
            Self::Partial { message, .. } | Self::Bad(message) | Self::Failed(message) => Some(message.clone()),
            Self::TooLarge { limit } => Some(format!(
                "the request is larger than the limit of {limit} bytes, before or after it is inflated; send smaller \
                 batches"
            )),
            Self::Overloaded { .. } => Some("the server has too much to do at the moment; send it again later".into()),
        }
    }
}

fn judge(received: u64, signal: Signal, format: Format, limits: &ItemLimits, body: Bytes) -> Result<Judged, String> {
    let (body, values_cut) = match format {
        Format::Protobuf => (body, 0),
        Format::Json => {
            let converted = json::to_protobuf(signal, &body).map_err(|error| error.to_string())?;
            (converted.protobuf.into(), converted.values_cut)
        }
    };
    let most = limits.items;
    let (items, keys, rejected, message) = match signal {
        Signal::Traces => {
            let checked = traces::check(&body, most).map_err(|error| error.to_string())?;
            let message = checked.message();
            (checked.accepted, checked.trace_ids.into_iter().map(Key::from).collect(), checked.rejected, message)
        }
        Signal::Logs | Signal::Metrics => {
            let count = if signal == Signal::Logs { volume::log_records } else { volume::data_points };
            let counted = count(&body, most).map_err(|error| error.to_string())?;
            let message = counted.message(signal);
            let keys = if signal == Signal::Logs { subject::keys(&body, limits) } else { Ok(Vec::new()) };
            (counted.accepted, keys.map_err(|error| error.to_string())?, counted.rejected, message)
        }
    };
    let batch = (items > 0).then(|| Batch::pack(received, signal, items, keys, body)).transpose();
    let batch = batch.map_err(|error| format!("failed to compress the request: {error}"))?;
    Ok(Judged { batch, rejected, values_cut, message })
}

fn bounded(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES {
        let mut end = MESSAGE_BYTES;
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
    }
    message
}
