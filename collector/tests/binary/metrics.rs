//! What metrics say of a function stands beside what its spans say, and shows functions that nobody traces.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data,
        number_data_point::Value as Number,
    },
    resource::v1::Resource,
};
use prost::Message as _;
use serde_json::{Value, json};

use super::support::{
    browser::Browser,
    http::{self, JSON, PROTOBUF},
    otlp::{ENVIRONMENT, Story, post_well, text},
    server::{Server, Stop},
};

const CUMULATIVE: i32 = 2;
const DELTA: i32 = 1;

/// When a process began that sends cumulative counts, by the clock of the stories.
fn began() -> u64 {
    Story::parse("clock").request().resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano
}

/// A count since `start`, `second` seconds after it.
fn counted(name: &str, temporality: i32, start: u64, second: u64, count: i64) -> Metric {
    let point = NumberDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: start + second * 1_000_000_000,
        value: Some(Number::AsInt(count)),
        ..Default::default()
    };
    let sum = Sum { data_points: vec![point], aggregation_temporality: temporality, is_monotonic: true };
    Metric { name: name.into(), data: Some(Data::Sum(sum)), ..Default::default() }
}

/// Ten runs of which eight took between 100 and 400 ms.
fn durations(start: u64) -> Metric {
    let point = HistogramDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: start + 1_000_000_000,
        count: 10,
        sum: Some(3.0),
        bucket_counts: vec![0, 8, 2],
        explicit_bounds: vec![0.1, 0.4],
        ..Default::default()
    };
    let histogram = Histogram { data_points: vec![point], aggregation_temporality: DELTA };
    Metric {
        name: "faas.invoke_duration".into(),
        unit: "s".into(),
        data: Some(Data::Histogram(histogram)),
        ..Default::default()
    }
}

fn request(function: &str, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let attributes = [
        ("service.name", function),
        ("faas.name", function),
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_lambda"),
        ("deployment.environment.name", ENVIRONMENT),
    ];
    let attributes = attributes.map(|(key, value)| text(key, value)).to_vec();
    let scope_metrics = vec![ScopeMetrics { metrics, ..Default::default() }];
    let resource = Some(Resource { attributes, ..Default::default() });
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics, ..Default::default() }],
    }
}

#[track_caller]
fn send(server: &Server, request: &ExportMetricsServiceRequest, as_json: bool) {
    let body = if as_json { serde_json::to_vec(request).unwrap() } else { request.encode_to_vec() };
    let header = if as_json { JSON } else { PROTOBUF };
    let answer = http::send(server.otlp_http, "POST", "/v1/metrics", &[header], &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains("rejected"), "{}", answer.text());
}

fn functions(server: &Server) -> Vec<Value> {
    server.get_json("/api/v1/graph")["functions"].as_array().unwrap().clone()
}

/// What metrics say of a function, once they say so many runs.
#[track_caller]
fn reported(server: &Server, name: &str, runs: f64) -> Value {
    let node = server.until(name, "/api/v1/graph", |graph| {
        graph["functions"].as_array()?.iter().find(|node| node["name"] == name).cloned()
    });
    let path = format!("/api/v1/functions/{}", node["id"].as_str().unwrap());
    server
        .until(&format!("{runs} runs"), &path, |found| (found["metrics"]["runs"] == json!(runs)).then(|| found.clone()))
}

#[test]
fn metrics_stand_beside_spans_and_are_not_added_to_them() {
    let server = Server::start(&[]);
    let mut story = Story::default();
    (0..3).for_each(|_| drop(story.start("shop")));
    post_well(server.otlp_http, &story.request());
    let start = began();
    let first = request(
        "shop",
        vec![
            counted("faas.invocations", CUMULATIVE, start, 1, 20),
            counted("faas.errors", CUMULATIVE, start, 1, 4),
            counted("faas.coldstarts", DELTA, start, 1, 2),
            durations(start),
            counted("http.server.requests", DELTA, start, 1, 7),
        ],
    );
    send(&server, &first, false);
    // The same again, as an exporter does that had no answer, and then what came since.
    send(&server, &first, true);
    send(&server, &request("shop", vec![counted("faas.invocations", CUMULATIVE, start, 61, 26)]), true);
    let found = reported(&server, "shop", 30.0);
    let told = &found["metrics"];
    assert_eq!((&told["errors"], &told["cold_starts"], &told["traced_share"]), (&json!(4.0), &json!(2.0), &json!(0.1)));
    let durations = &told["durations_ms"];
    assert_eq!((&durations["count"], &durations["mean"]), (&json!(10.0), &json!(300.0)), "{told}");
    assert!((durations["p95"].as_f64().unwrap() - 400.0).abs() < 20.0, "{told}");
    assert_eq!((&found["runs"], &found["errors"]), (&json!(3.0), &json!(0.0)), "spans say what spans say");
    let node = &functions(&server)[0];
    assert_eq!((&node["invocations"], &node["is_untraced"]), (&json!(3), &json!(false)));
    let status = server.caught_up();
    assert_eq!((&status["data_points_received"], &status["metric_points_read"]), (&json!(11), &json!(9)), "{status}");
    assert_eq!(status["metric_points_passed_over"], 4, "{status}");

    // As after a crash: what had been counted is not counted again.
    let server = server.restart(Stop::AtOnce, &[]);
    reported(&server, "shop", 30.0);
    send(&server, &request("shop", vec![counted("faas.invocations", CUMULATIVE, start, 121, 27)]), false);
    reported(&server, "shop", 31.0);
}

#[test]
fn a_function_that_only_metrics_tell_of_exists_and_is_not_traced() {
    let server = Server::start(&[]);
    let start = began();
    post_well(server.otlp_http, &Story::parse("front").request());
    send(&server, &request("hidden", vec![counted("faas.invocations", DELTA, start, 1, 5)]), false);
    let found = reported(&server, "hidden", 5.0);
    assert_eq!((&found["runs"], &found["metrics"]["traced_share"]), (&json!(0.0), &json!(0.0)));
    let node = functions(&server).into_iter().find(|node| node["name"] == "hidden").unwrap();
    assert_eq!((&node["is_untraced"], &node["invocations"]), (&json!(true), &json!(0)));
    if let Some(browser) = Browser::open() {
        let page = |path: &str| browser.goto(&format!("http://{}{path}", server.ui));
        let id = node["id"].as_str().unwrap();
        page(&format!("/map?sel={id}"));
        browser.until("document.body.innerText.includes('It exists and is not traced')");
        page(&format!("/functions/{id}"));
        browser.until("!!document.querySelector('[data-testid=untraced]')");
        browser.until("document.body.innerText.includes('Spans show 0 % of the runs that metrics count.')");
    }
    // Its first span ends that.
    post_well(server.otlp_http, &Story::parse("hidden").request());
    server.until("traced", "/api/v1/graph", |graph| {
        let node = graph["functions"].as_array()?.iter().find(|node| node["name"] == "hidden")?;
        (node["is_untraced"] == false).then_some(())
    });
}
