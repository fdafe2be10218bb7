//! What to run or to write so that spans arrive: texts that work as they stand.
//!
//! Pure; the addresses come from the collector's own status.

/// A way to send spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The name of its tab.
    pub title: &'static str,
    /// What it is for, in a sentence.
    pub purpose: &'static str,
    /// The text to copy.
    pub text: String,
}

/// All ways to send spans to these doors; `host` takes the place of an address that only the collector itself can use.
pub fn all(otlp_grpc: &str, otlp_http: &str, host: &str) -> Vec<Snippet> {
    let (grpc, http) = (endpoint(otlp_grpc, host, 4317), endpoint(otlp_http, host, 4318));
    vec![
        Snippet { title: "curl", purpose: "Sends one span, to see that the door is open.", text: curl(&http) },
        Snippet { title: "Node.js", purpose: "Any Node.js function or service, no change of code.", text: node(&http) },
        Snippet { title: "Python", purpose: "Any Python function or service, no change of code.", text: python(&http) },
        Snippet { title: "Rust", purpose: "With the OpenTelemetry crates.", text: rust(&grpc) },
        Snippet {
            title: "Lambda layer",
            purpose: "Variables of a function that has the OpenTelemetry layer.",
            text: lambda(&http),
        },
    ]
}

/// The URL of a door: an address that says "every interface" is of no use to others, so the host of the page replaces it.
pub fn endpoint(address: &str, host: &str, default_port: u16) -> String {
    let address = address.trim_start_matches("http://");
    if address.is_empty() {
        return format!("http://{host}:{default_port}");
    }
    match address.rsplit_once(':') {
        Some(("0.0.0.0" | "[::]" | "", port)) => format!("http://{host}:{port}"),
        _ => format!("http://{address}"),
    }
}

fn curl(http: &str) -> String {
    // The shell fills in times and ids, so that each run is a new trace of the present.
    format!(
        r#"now=$(date +%s)
trace=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
span=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
curl -sS {http}/v1/traces \
  -H 'content-type: application/json' -d '{{"resourceSpans":[{{
  "resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"hello"}}}}]}},
  "scopeSpans":[{{"spans":[{{"traceId":"'$trace'","spanId":"'$span'",
    "name":"hello","kind":2,
    "startTimeUnixNano":"'$now'000000000","endTimeUnixNano":"'$now'084000000"}}]}}]}}]}}'"#
    )
}

fn node(http: &str) -> String {
    format!(
        "npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node\n\
         export OTEL_SERVICE_NAME=my-function\n\
         export OTEL_EXPORTER_OTLP_ENDPOINT={http}\n\
         export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\
         node --require @opentelemetry/auto-instrumentations-node/register app.js"
    )
}

fn python(http: &str) -> String {
    format!(
        "pip install opentelemetry-distro opentelemetry-exporter-otlp\n\
         opentelemetry-bootstrap -a install\n\
         export OTEL_SERVICE_NAME=my-function\n\
         export OTEL_EXPORTER_OTLP_ENDPOINT={http}\n\
         export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\
         opentelemetry-instrument python app.py"
    )
}

fn rust(grpc: &str) -> String {
    format!(
        "// cargo add opentelemetry opentelemetry_sdk\n\
         // cargo add opentelemetry-otlp --features grpc-tonic\n\
         use opentelemetry_otlp::WithExportConfig;\n\
         \n\
         let exporter = opentelemetry_otlp::SpanExporter::builder()\n    \
             .with_tonic()\n    \
             .with_endpoint(\"{grpc}\")\n    \
             .build()?;\n\
         let provider = opentelemetry_sdk::trace::SdkTracerProvider::builder()\n    \
             .with_batch_exporter(exporter)\n    \
             .build();\n\
         opentelemetry::global::set_tracer_provider(provider.clone());\n\
         // before the program ends: provider.shutdown()?;"
    )
}

fn lambda(http: &str) -> String {
    format!(
        "# Python: /opt/otel-instrument\n\
         AWS_LAMBDA_EXEC_WRAPPER=/opt/otel-handler\n\
         OTEL_SERVICE_NAME=my-function\n\
         OTEL_EXPORTER_OTLP_ENDPOINT={http}\n\
         OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n\
         OTEL_PROPAGATORS=tracecontext,baggage,xray"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_urls_that_others_can_reach() {
        assert_eq!(endpoint("127.0.0.1:4318", "localhost", 4318), "http://127.0.0.1:4318");
        assert_eq!(endpoint("0.0.0.0:9000", "watch.internal", 4318), "http://watch.internal:9000");
        assert_eq!(endpoint("[::]:4317", "localhost", 4317), "http://localhost:4317");
        assert_eq!(endpoint("http://10.0.0.7:4318", "localhost", 4318), "http://10.0.0.7:4318");
        assert_eq!(endpoint("", "localhost", 4318), "http://localhost:4318");
    }

    #[test]
    fn every_snippet_names_a_door() {
        for it in all("127.0.0.1:14317", "127.0.0.1:14318", "localhost") {
            let door = if it.title == "Rust" { "http://127.0.0.1:14317" } else { "http://127.0.0.1:14318" };
            assert!(it.text.contains(door), "{}: {}", it.title, it.text);
            assert!(!it.text.contains("{{"), "{}", it.title);
        }
    }

    #[test]
    fn the_body_that_curl_sends_is_json() {
        let text = curl("http://x");
        let body = text.rsplit_once("-d '").map(|(_, body)| body.trim_end_matches('\'')).expect("curl has a body");
        // What the shell would put in.
        let body = body.replace("'$trace'", "ab").replace("'$span'", "cd").replace("'$now'", "1");
        let value: serde_json::Value = serde_json::from_str(&body).expect("the body is JSON");
        assert_eq!(value["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["endTimeUnixNano"], "1084000000");
    }
}
