//! Telemetry about the telemetry: a function exports the spans of its own exports, which makes further exports.
//!
//! An exporter whose HTTP or gRPC client is instrumented does so, unless instrumentation is suppressed while it exports.
//! What shows it is a client span to an OTLP endpoint: that it is here says that it was exported itself.

use std::{collections::VecDeque, time::Duration};

use crate::{
    attribute::{Attribute, Value},
    span::{ArrivalTime, Span, SpanKind},
    state::state,
};

/// Spans of exports that a function has to send within [`WINDOW`]. A few are no loop: a check at the start, or an
/// exporter that was not set up when the function was loaded.
const EXPORTS: usize = 10;
/// The time within which it has to.
const WINDOW: Duration = Duration::from_secs(600);

/// The ports that OTLP has by default.
const PORTS: [i64; 2] = [4317, 4318];
/// How the paths of OTLP over HTTP end.
const PATHS: [&str; 3] = ["/v1/traces", "/v1/logs", "/v1/metrics"];
/// How the names of its services over gRPC begin.
const SERVICES: &str = "opentelemetry.proto.collector.";

/// Spans of exports of one function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exports {
    recent: VecDeque<ArrivalTime>,
}

impl Exports {
    /// A span of an export came; true when they go on and on.
    pub(crate) fn export(&mut self, now: ArrivalTime) -> bool {
        if self.recent.len() >= EXPORTS {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.recent.len() >= EXPORTS && self.recent.front().is_some_and(|first| now.since(*first) <= WINDOW)
    }
}

/// True for the client span of an export of telemetry.
pub(crate) fn is_export(span: &Span) -> bool {
    if span.kind != SpanKind::Client {
        return false;
    }
    let is_path = |path: &str| PATHS.iter().any(|end| without_query(path).ends_with(end));
    let (mut is_export, mut is_asking) = (false, false);
    // Once over all of them: most client spans have none of these.
    for (attribute, value) in span.attributes.known() {
        match (attribute, value) {
            (Attribute::RpcService | Attribute::RpcMethod, Value::Text(name)) => {
                is_export |= name.trim_start_matches('/').starts_with(SERVICES);
            }
            (Attribute::UrlPath, Value::Text(path)) => is_export |= is_path(path),
            (Attribute::UrlFull, Value::Text(url)) => is_export |= is_path(url) || port(url).is_some_and(is_port),
            (Attribute::ServerPort, Value::Int(port)) => is_export |= is_port(*port),
            (Attribute::ServerPort, Value::Text(port)) => is_export |= port.parse().is_ok_and(is_port),
            // Whoever reads from such an address asks for telemetry.
            (Attribute::HttpMethod, Value::Text(method)) => is_asking = !method.eq_ignore_ascii_case("POST"),
            _ => {}
        }
    }
    is_export && !is_asking
}

fn is_port(port: i64) -> bool {
    PORTS.contains(&port)
}

fn without_query(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or(address)
}

/// The port in `scheme://host:port/path`.
fn port(url: &str) -> Option<i64> {
    let host = url.split_once("://")?.1.split('/').next()?;
    host.rsplit_once(':')?.1.parse().ok()
}

state!(Exports { recent });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Story;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn exports_are_known_by_service_path_or_port() {
        for (key, value, expected) in [
            ("rpc.service", "opentelemetry.proto.collector.trace.v1.TraceService", true),
            ("rpc.method", "opentelemetry.proto.collector.logs.v1.LogsService/Export", true),
            ("rpc.service", "oteldemo.CartService", false),
            ("url.full", "https://otel.example.org/v1/traces?key=1", true),
            ("http.url", "http://collector:4318/custom", true),
            ("url.path", "/otlp/v1/metrics", true),
            ("url.path", "/v1/traces/search", false),
            ("server.port", "4317", true),
            ("net.peer.port", "443", false),
            ("url.full", "https://example.org/orders", false),
        ] {
            let mut span = Story::parse("a -> b").spans.remove(1);
            span.attributes.insert(key, Value::Text(value.into()));
            assert_eq!(is_export(&span), expected, "{key} {value}");
            span.kind = SpanKind::Server;
            assert!(!is_export(&span), "who takes it in does not send it");
        }
    }

    #[test]
    fn asking_for_telemetry_is_no_export() {
        let mut span = Story::parse("a -> b").spans.remove(1);
        span.attributes.insert("url.path", Value::Text("/v1/metrics".into()));
        span.attributes.insert("http.request.method", Value::Text("GET".into()));
        assert!(!is_export(&span));
    }

    #[test]
    fn a_few_exports_are_no_loop() {
        let loops = |seconds: u64| {
            let mut exports = Exports::default();
            (0..30).filter(|at| exports.export(ArrivalTime(SECOND + at * seconds * SECOND))).count()
        };
        assert_eq!([loops(2), loops(60), loops(70)], [21, 21, 0]);
    }
}
