//! `GET /api/v1/status`: what the collector has done and what it had to let go.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use loopscope_analyzer::{snapshot::Losses, span::EventTime};
use loopscope_proto::v1;

use super::{Shared, error::ApiError};
use crate::{convert, counters::Counters};

const NANOS_PER_SECOND: f64 = 1e9;

/// Where the status comes from.
#[derive(Clone, Debug)]
pub struct StatusSource {
    /// The counters of the process.
    pub counters: Arc<Counters>,
    /// When the process started.
    pub started_at: SystemTime,
    /// Address of the OTLP/gRPC door, as people type it; empty when it is closed.
    pub otlp_grpc: String,
    /// Address of the OTLP/HTTP door, as people type it; empty when it is closed.
    pub otlp_http: String,
}

impl StatusSource {
    /// The status now, with what the engine lost until its newest snapshot.
    pub fn status(&self, losses: &Losses) -> v1::Status {
        let c = &self.counters;
        let started = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let engine_position = c.engine_position.get();
        v1::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: convert::event_time(EventTime(u64::try_from(started.as_nanos()).unwrap_or_default())),
            spans_received: c.spans_received.get(),
            spans_rejected: c.spans_rejected.get(),
            log_records_received: c.log_records_received.get(),
            data_points_received: c.data_points_received.get(),
            requests_refused: c.requests_refused.get(),
            log_records_rejected: c.log_records_rejected.get(),
            data_points_rejected: c.data_points_rejected.get(),
            metric_points_read: c.metric_points_read.get(),
            metric_points_passed_over: losses.metric_points_passed_over,
            metric_streams_dropped: losses.metric_streams_dropped,
            values_cut: c.values_cut.get(),
            attributes_dropped: c.attributes_dropped.get(),
            texts_cut: c.texts_cut.get(),
            requests_too_large: c.requests_too_large.get(),
            requests_timed_out: c.requests_timed_out.get(),
            connections_timed_out: c.connections_timed_out.get(),
            connections_full: c.connections_full.get(),
            requests_overloaded: c.requests_overloaded.get(),
            engine_position,
            journal_position: c.journal_position.get(),
            engine_lag_batches: c.journal_position.get().saturating_sub(engine_position),
            journal_bytes: c.journal_bytes.get(),
            journal_segments: c.journal_segments.get(),
            journal_segments_expired: c.journal_segments_expired.get(),
            spans_analysed: losses.spans,
            spans_duplicate: losses.duplicates,
            orphans: losses.orphans,
            parent_rings: losses.parent_rings,
            index_evictions: losses.index_evictions,
            functions_overflowed: losses.functions_overflowed,
            edges_overflowed: losses.edges_overflowed,
            index_age_at_eviction_seconds: losses.youngest_eviction_nanos.map(|age| age as f64 / NANOS_PER_SECOND),
            webhooks_delivered: c.webhooks_delivered.get(),
            webhooks_failed: c.webhooks_failed.get(),
            webhooks_pending: c.webhooks_pending.get(),
            live_resyncs: c.live_resyncs.get(),
            live_readers: c.live_readers.get(),
            otlp_grpc: self.otlp_grpc.clone(),
            otlp_http: self.otlp_http.clone(),
            spans_mended: losses.mended,
            links_dropped: losses.links_dropped,
            loops_overflowed: losses.loops_overflowed,
            journal_commits: c.journal_commits.get(),
            journal_failures: c.journal_failures.get(),
            journal_rereads: c.journal_rereads.get(),
            batches_skipped: c.batches_skipped.get(),
            incidents_suppressed: c.incidents_suppressed.get(),
            live_refused: c.live_refused.get(),
            api_busy: c.api_busy.get(),
            engine_states_written: c.engine_states_written.get(),
            engine_states_failed: c.engine_states_failed.get(),
            continuations_dropped: losses.continuations_dropped,
            paths_trimmed: losses.paths_trimmed,
            look_backs_cut: losses.look_backs_cut,
            openings_dropped: losses.openings_dropped,
            fragment_laps_dropped: losses.fragment_laps_dropped,
            entities_dropped: losses.entities_dropped,
            sampling_clipped: losses.sampling_clipped,
            exceptions_unmatched: losses.exceptions_unmatched,
            exceptions_without_span: losses.exceptions_without_span,
            exceptions_joined: losses.exceptions_joined,
            traces_cut: losses.traces_cut,
            trace_spans_dropped: losses.trace_spans_dropped,
            clock_offsets_dropped: losses.clock_offsets_dropped,
            pipelines_dropped: losses.pipelines_dropped,
            roots_overflowed: losses.roots_overflowed,
            profiles_overflowed: losses.profiles_overflowed,
            windows_written: c.windows_written.get(),
            windows_failed: c.windows_failed.get(),
            windows_dropped: c.windows_dropped.get(),
            series_watched: c.series_watched.get(),
            series_dropped: c.series_dropped.get(),
            series_unwatched: c.series_unwatched.get(),
            changes_refused: c.changes_refused.get(),
            changes_dropped: c.changes_dropped.get(),
        }
    }
}

pub(super) async fn get(shared: Shared, _: v1::GetStatusRequest) -> Result<v1::Status, ApiError> {
    Ok(shared.state.status.status(&shared.view().losses))
}
