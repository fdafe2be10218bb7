//! How functions send their spans: the SDK's batches over gRPC or HTTP, with failures counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter},
};

use super::{DemoError, Endpoints, Report};

/// How long spans wait for company; short, so that the page is lively.
const BATCH_DELAY: Duration = Duration::from_millis(250);

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long all functions together may take to send their last spans.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How a function exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP with protobuf bodies.
    Http,
}

/// All exporters of the demo.
pub(super) struct Exporters {
    endpoints: Endpoints,
    http_client: reqwest::blocking::Client,
    providers: Vec<SdkTracerProvider>,
    batches_lost: Arc<AtomicU64>,
}

impl Exporters {
    /// Prepares exporting. Blocks.
    pub(super) fn new(endpoints: Endpoints) -> Result<Self, DemoError> {
        crate::tls::install_provider();
        // The doors of the demo speak plain HTTP, so no certificates are needed and no proxy is wanted.
        let http_client = reqwest::blocking::Client::builder()
            .timeout(EXPORT_TIMEOUT)
            .tls_certs_only([])
            .no_proxy()
            .build()
            .map_err(|error| failed(Transport::Http, &error))?;
        Ok(Self { endpoints, http_client, providers: Vec::new(), batches_lost: Arc::default() })
    }

    /// Gives a function its SDK. Needs a runtime around it, because gRPC does.
    pub(super) fn provide(&mut self, transport: Transport, resource: Resource) -> Result<SdkTracerProvider, DemoError> {
        let exporter = match transport {
            Transport::Grpc => opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&self.endpoints.grpc)
                .with_timeout(EXPORT_TIMEOUT)
                .build(),
            Transport::Http => opentelemetry_otlp::SpanExporter::builder()
                .with_http()
                .with_http_client(self.http_client.clone())
                .with_protocol(Protocol::HttpBinary)
                .with_endpoint(format!("{}/v1/traces", self.endpoints.http))
                .with_timeout(EXPORT_TIMEOUT)
                .build(),
        };
        let exporter = exporter.map_err(|error| failed(transport, &error))?;
        let processor =
            BatchSpanProcessor::builder(CountingExporter { exporter, batches_lost: self.batches_lost.clone() })
                .with_batch_config(BatchConfigBuilder::default().with_scheduled_delay(BATCH_DELAY).build())
                .build();
        // Everything is set here, because variables that are meant for other programs must not change the demo.
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .build();
        self.providers.push(provider.clone());
        Ok(provider)
    }

    /// Sends the last spans. Blocks.
    pub(super) fn stop(self) -> Report {
        // All at once: a collector that is gone would make each of them wait.
        std::thread::scope(|scope| {
            for provider in self.providers {
                scope.spawn(move || {
                    if let Err(error) = provider.shutdown_with_timeout(STOP_TIMEOUT) {
                        tracing::debug!(%error, "the last spans of a demo function are lost");
                    }
                });
            }
        });
        Report { batches_lost: self.batches_lost.load(Relaxed) }
    }
}

fn failed(transport: Transport, error: &dyn std::error::Error) -> DemoError {
    let transport = match transport {
        Transport::Grpc => "gRPC",
        Transport::Http => "HTTP",
    };
    DemoError::Exporter { transport, reason: error.to_string() }
}

/// Counts the batches that the exporter loses.
#[derive(Debug)]
struct CountingExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    batches_lost: Arc<AtomicU64>,
}

impl SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        if let Err(error) = &exported
            && self.batches_lost.fetch_add(1, Relaxed) == 0
        {
            tracing::warn!(%error, "spans of the demo are lost");
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
