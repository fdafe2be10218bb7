//! The Rust SDK, whose crates the demo exports with too, for all three signals.

use opentelemetry::{
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _},
    metrics::MeterProvider as _,
    trace::{Span as _, SpanKind, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, logs::SdkLoggerProvider, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use serde_json::json;

use super::{functions, support::server::Server};

/// Sends a span, a log record and a data point of one function through these exporters.
fn send(spans: SpanExporter, logs: LogExporter, metrics: MetricExporter) {
    let resource = Resource::builder().with_service_name("thumbnail").build();
    let tracers = SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
    let loggers = SdkLoggerProvider::builder().with_batch_exporter(logs).with_resource(resource.clone()).build();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource).build();
    let tracer = tracers.tracer("exporters");
    tracer.span_builder("resize").with_kind(SpanKind::Server).start(&tracer).end();
    let logger = loggers.logger("exporters");
    let mut record = logger.create_log_record();
    record.set_body(AnyValue::from("resized"));
    logger.emit(record);
    meters.meter("exporters").u64_counter("faas.invocations").build().add(1, &[]);
    tracers.shutdown().unwrap();
    loggers.shutdown().unwrap();
    meters.shutdown().unwrap();
}

fn arrived(server: &Server) {
    let status = server.caught_up();
    let received = ["spans_received", "log_records_received", "data_points_received"].map(|name| &status[name]);
    assert_eq!(received, [1, 1, 1], "{status}");
    assert_eq!(functions(server), json!([["thumbnail", "service", 1, 0]]));
}

#[test]
fn rust_sdk_over_grpc() {
    let server = Server::start(&[]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inside = runtime.enter();
    let endpoint = format!("http://{}", server.otlp_grpc);
    send(
        SpanExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap(),
        LogExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap(),
        MetricExporter::builder().with_tonic().with_endpoint(&endpoint).build().unwrap(),
    );
    drop(inside);
    arrived(&server);
}

#[test]
fn rust_sdk_over_http() {
    let server = Server::start(&[]);
    let endpoint = |signal: &str| format!("http://{}/v1/{signal}", server.otlp_http);
    // An error says that there is a provider already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::blocking::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    let [spans, logs, metrics] = [(); 3].map(|()| client.clone());
    send(
        SpanExporter::builder().with_http().with_http_client(spans).with_endpoint(endpoint("traces")).build().unwrap(),
        LogExporter::builder().with_http().with_http_client(logs).with_endpoint(endpoint("logs")).build().unwrap(),
        MetricExporter::builder()
            .with_http()
            .with_http_client(metrics)
            .with_endpoint(endpoint("metrics"))
            .build()
            .unwrap(),
    );
    arrived(&server);
}
