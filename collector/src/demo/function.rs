//! One function: cold and warm starts, runs, and the spans of what a run does.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, Span as _, SpanContext, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::{
    DemoError,
    conventions::{self, Operation},
    exporter::{Exporters, Transport},
};

/// What is configured at the cloud.
pub(super) struct Settings {
    /// Its name.
    pub(super) name: &'static str,
    /// How it exports.
    pub(super) transport: Transport,
    /// Memory in MiB.
    pub(super) memory_mib: i64,
    /// How long a new instance takes to start.
    pub(super) init: Duration,
    /// How many runs an instance lives; the run after that starts a new one.
    pub(super) runs_per_instance: u32,
}

/// A deployed function.
pub(super) struct Function {
    settings: Settings,
    tracer: SdkTracer,
    runs: AtomicU32,
}

/// What caused a run.
pub(super) enum Cause {
    /// Something that is not traced.
    Outside,
    /// A call that waits: the run belongs to the caller's trace.
    Call(SpanContext),
    /// A message or an event: the run has a trace of its own and links to the sender.
    Event(SpanContext),
}

/// Something that takes its time: a run, or an operation within one. It ends when it is dropped.
pub(super) struct Running {
    tracer: SdkTracer,
    span: Span,
}

impl Function {
    /// Deploys a function with an SDK of its own.
    pub(super) fn deploy(settings: Settings, exporters: &mut Exporters) -> Result<Self, DemoError> {
        let resource = conventions::resource(settings.name, settings.memory_mib);
        let provider = exporters.provide(settings.transport, resource)?;
        Ok(Self { settings, tracer: provider.tracer("loopscope-demo"), runs: AtomicU32::new(0) })
    }

    /// Starts a run; a cold one takes its time before it does anything.
    pub(super) async fn start(&self, mut entry: Operation, cause: Cause) -> Running {
        let is_cold = self.runs.fetch_add(1, Relaxed).is_multiple_of(self.settings.runs_per_instance);
        entry.attributes.extend([
            KeyValue::new("faas.invocation_id", conventions::new_id()),
            KeyValue::new("faas.coldstart", is_cold),
        ]);
        let mut builder = self.tracer.span_builder(entry.name).with_kind(entry.kind).with_attributes(entry.attributes);
        let parent = match cause {
            Cause::Outside => Context::new(),
            Cause::Call(caller) => Context::new().with_remote_span_context(caller),
            Cause::Event(sender) => {
                builder = builder.with_links(vec![Link::with_context(sender)]);
                Context::new()
            }
        };
        let running = Running { tracer: self.tracer.clone(), span: builder.start_with_context(&self.tracer, &parent) };
        if is_cold {
            pause(self.settings.init).await;
        }
        running
    }
}

impl Running {
    /// Starts an operation of this run.
    pub(super) fn begin(&self, operation: Operation) -> Self {
        let parent = Context::new().with_remote_span_context(self.context());
        let span = self
            .tracer
            .span_builder(operation.name)
            .with_kind(operation.kind)
            .with_attributes(operation.attributes)
            .start_with_context(&self.tracer, &parent);
        Self { tracer: self.tracer.clone(), span }
    }

    /// Does an operation that takes about this many milliseconds, and returns it as a cause of others.
    pub(super) async fn does(&self, operation: Operation, about_ms: u64) -> SpanContext {
        let running = self.begin(operation);
        work(about_ms).await;
        running.context()
    }

    /// The context that is sent on.
    pub(super) fn context(&self) -> SpanContext {
        self.span.span_context().clone()
    }

    /// Says how the HTTP request ended.
    pub(super) fn answer(&mut self, status_code: i64) {
        self.span.set_attribute(KeyValue::new("http.response.status_code", status_code));
        if status_code >= 500 {
            self.span.set_attribute(KeyValue::new("error.type", status_code.to_string()));
            self.span.set_status(Status::error(format!("answered {status_code}")));
        }
    }
}

/// Takes about this many milliseconds, sometimes half as much again.
pub(super) async fn work(about_ms: u64) {
    pause(Duration::from_millis(about_ms)).await;
}

async fn pause(about: Duration) {
    tokio::time::sleep(about.mul_f64(0.8 + 0.7 * fastrand::f64().powi(2))).await;
}
