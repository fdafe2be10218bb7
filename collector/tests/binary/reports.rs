//! What the logs of a function say stands beside what its spans say: reports of AWS Lambda, and exceptions.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Body},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::{Value, json};

use super::support::{
    browser::Browser,
    http,
    otlp::{Story, last, post_well, text},
    server::{Server, Stop},
};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:thumbnails";

/// What the detectors of Lambda say; the spans alone say the ARN.
fn resource() -> Vec<KeyValue> {
    [
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_lambda"),
        ("cloud.region", "eu-west-1"),
        ("faas.name", "thumbnails"),
        ("faas.instance", "stream-1"),
    ]
    .map(|(key, value)| text(key, value))
    .into()
}

/// Ten reports of runs of 100 ms in 512 MB, the first of them cold and the last one ended by the limit.
fn post_reports(server: &Server) {
    let time = Story::parse("clock").request().resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano;
    let record = |line: String| {
        let body = Some(AnyValue { value: Some(Body::StringValue(line)) });
        LogRecord { time_unix_nano: time, body, ..Default::default() }
    };
    let report = |number: u32| {
        let (init, status) = (["", "\tInit Duration: 250.00 ms"], ["", "\tStatus: timeout"]);
        let (init, status) = (init[usize::from(number == 0)], status[usize::from(number == 9)]);
        record(format!(
            "REPORT RequestId: {number}\tDuration: 99.10 ms\tBilled Duration: 100 ms\tMemory Size: 512 MB\tMax Memory \
             Used: 384 MB{init}{status}\t\n"
        ))
    };
    let limit = record("2026-01-01T00:00:00.000Z 9 Task timed out after 0.50 seconds\n\n".into());
    let log_records = (0..10).map(report).chain([limit]).collect();
    let resource = Some(Resource { attributes: resource(), ..Default::default() });
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
    let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let protobuf = ("content-type", "application/x-protobuf");
    let answer = http::send(server.otlp_http, "POST", "/v1/logs", &[protobuf], &body).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{}", answer.text());
}

fn function(server: &Server) -> Value {
    let graph = server.get_json("/api/v1/graph");
    let functions = graph["functions"].as_array().unwrap();
    assert_eq!(functions.len(), 1, "{graph}");
    functions[0].clone()
}

#[track_caller]
fn assert_reported(server: &Server, runs: f64) {
    let path = format!("/api/v1/functions/{}", function(server)["id"].as_str().unwrap());
    let found = server.until("runs are settled", &path, |found| (found["runs"] == json!(runs)).then(|| found.clone()));
    let facts = &found["facts"];
    assert_eq!((&facts["memory_mb"], &facts["memory_source"]), (&json!(512), &json!("observed")), "{found}");
    assert_eq!((&facts["time_out_ms"], &facts["time_out_source"]), (&json!(500), &json!("observed")), "{found}");
    let memory = &found["memory"];
    assert_eq!((&memory["limit_mb"], &memory["samples"]), (&json!(512), &json!(10)), "{found}");
    assert!((memory["used_p50_mb"].as_f64().unwrap() - 384.0).abs() < 8.0, "{memory}");
    assert!((memory["headroom"].as_f64().unwrap() - 0.25).abs() < 0.02, "{memory}");
    assert_eq!((&found["time_out"]["seen"], &found["cold_starts"]["count"]), (&json!(1.0), &json!(1.0)), "{found}");
}

#[test]
fn reports_stand_beside_spans_that_say_more_of_the_function() {
    let server = Server::start(&[]);
    post_reports(&server);
    server.caught_up();
    assert_eq!((&function(&server)["name"], &function(&server)["invocations"]), (&json!("thumbnails"), &json!(0)));
    assert_reported(&server, 0.0);
    let mut story = Story::default();
    for _ in 0..10 {
        let run = story.start("thumbnails");
        let span: &mut Span = story.edit(&run);
        last(span, 100);
        span.attributes.push(text("cloud.resource_id", ARN));
    }
    let mut request = story.request();
    request.resource_spans[0].resource = Some(Resource { attributes: resource(), ..Default::default() });
    post_well(server.otlp_http, &request);
    server.caught_up();
    assert_eq!((&function(&server)["name"], &function(&server)["invocations"]), (&json!("thumbnails"), &json!(10)));
    assert_reported(&server, 10.0);
    let server = server.restart(Stop::Kindly, &[]);
    server.caught_up();
    assert_reported(&server, 10.0);
}

#[test]
fn an_exception_in_the_logs_fails_the_run_that_wrote_it_once_and_in_any_order() {
    let server = Server::start(&[]);
    let mut story = Story::default();
    let runs: Vec<_> = (0..4).map(|_| story.start("shop")).collect();
    let ids: Vec<_> = story.request().resource_spans[0].scope_spans[0]
        .spans
        .iter()
        .map(|span| (span.trace_id.clone(), span.span_id.clone()))
        .collect();
    let record = |run: usize, key: &str, severity_number: i32| LogRecord {
        trace_id: ids[run].0.clone(),
        span_id: ids[run].1.clone(),
        severity_number,
        attributes: vec![text(key, "KeyError")],
        ..Default::default()
    };
    let post = |log_records: Vec<LogRecord>| {
        let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
        let resource_logs = vec![ResourceLogs { scope_logs, ..Default::default() }];
        let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        let protobuf = ("content-type", "application/x-protobuf");
        assert_eq!(http::send(server.otlp_http, "POST", "/v1/logs", &[protobuf], &body).unwrap().status, 200);
    };
    // Before its span and twice, after it, and an error that is none.
    post(vec![record(0, "exception.type", 17), record(0, "exception.message", 17)]);
    post_well(server.otlp_http, &story.request());
    post(vec![record(1, "exception.type", 17), record(1, "exception.type", 17), record(2, "reason", 21)]);
    let node = server.until("two have failed", "/api/v1/graph", |graph| {
        let node = graph["functions"].as_array()?.iter().find(|node| node["name"] == "shop")?;
        (node["errors"] == 2).then(|| node.clone())
    });
    assert_eq!(node["invocations"], 4, "{node}");
    post(vec![record(0, "exception.type", 17)]);
    server.caught_up();
    let trace = server.get_json(&format!("/api/v1/traces/{}", runs[1].trace()));
    assert_eq!(trace["logs"].as_array().map(Vec::len), Some(2), "{trace}");
    assert_eq!(server.get_json("/api/v1/graph")["functions"][0]["errors"], 2);
}

#[test]
fn a_record_that_names_no_trace_is_joined_to_its_run() {
    let server = Server::start(&[]);
    let mut story = Story::default();
    let runs: Vec<_> = (0..3).map(|_| story.start("thumbnails")).collect();
    let second = 1_000_000_000;
    let base = story.edit(&runs[0]).start_time_unix_nano - 60 * second;
    for (number, run) in (0..).zip(&runs) {
        let span: &mut Span = story.edit(run);
        span.start_time_unix_nano = base + number * second;
        last(span, 500);
        if number < 2 {
            span.attributes.push(text("faas.invocation_id", &format!("run-{number}")));
        }
    }
    let mut request = story.request();
    request.resource_spans[0].resource = Some(Resource { attributes: resource(), ..Default::default() });
    post_well(server.otlp_http, &request);
    let record = |at: u64, body: &str, attributes: Vec<KeyValue>| LogRecord {
        time_unix_nano: base + at,
        body: Some(AnyValue { value: Some(Body::StringValue(body.into())) }),
        attributes,
        ..Default::default()
    };
    let done = r#"{"type":"platform.runtimeDone","record":{"requestId":"run-1","status":"failure"}}"#;
    let exception = vec![text("faas.invocation_id", "run-0"), text("exception.type", "KeyError")];
    let log_records = vec![
        record(second / 10, "no thumbnail", exception),
        record(second + second / 2, done, vec![]),
        record(2 * second + second / 10, "resized", vec![]),
        record(10 * second, "between runs", vec![]),
    ];
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let resource = Some(Resource { attributes: resource(), ..Default::default() });
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
    let body = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let protobuf = ("content-type", "application/x-protobuf");
    assert_eq!(http::send(server.otlp_http, "POST", "/v1/logs", &[protobuf], &body).unwrap().status, 200);
    let node = server.until("two have failed", "/api/v1/graph", |graph| {
        let node = graph["functions"].as_array()?.iter().find(|node| node["name"] == "thumbnails")?;
        (node["errors"] == 2).then(|| node.clone())
    });
    assert_eq!(node["invocations"], 3, "{node}");
    let status = server.get_json("/api/v1/status");
    assert_eq!((&status["exceptions_without_span"], &status["exceptions_joined"]), (&json!(2), &json!(2)), "{status}");
    // One record tells of an exception; what the platform says of the other run is counted by its report.
    let path = format!("/api/v1/functions/{}", node["id"].as_str().unwrap());
    assert_eq!(server.get_json(&path)["failures_in_logs"], 1);

    let joined = |server: &Server, run: usize| -> Vec<(String, String, String)> {
        let trace = server.get_json(&format!("/api/v1/traces/{}", runs[run].trace()));
        let word = |log: &Value, key: &str| log[key].as_str().unwrap().to_owned();
        let logs = trace["logs"].as_array().unwrap();
        logs.iter().map(|log| (word(log, "body"), word(log, "by"), word(log, "span_id"))).collect()
    };
    let expected = |run: usize, body: &str, by: &str| [(body.to_owned(), by.to_owned(), runs[run].span())];
    let told = |server: &Server| {
        let list = server.get_json(&format!("{path}/logs?from=-15m"));
        let logs = list["logs"].as_array().unwrap().iter();
        let told: Vec<_> =
            logs.map(|log| format!("{} {}", log["body"].as_str().unwrap(), log["by"].as_str().unwrap())).collect();
        (told, list["truncated"] == true)
    };
    let all = ["between runs instance", "resized instance", &format!("{done} instance"), "no thumbnail invocation"];
    let server = [Stop::Kindly, Stop::Kindly].into_iter().fold(server, |server, stop| {
        assert_eq!(joined(&server, 0), expected(0, "no thumbnail", "invocation"));
        assert_eq!(joined(&server, 2), expected(2, "resized", "instance"));
        assert_eq!(told(&server), (all.map(ToOwned::to_owned).to_vec(), false));
        let server = server.restart(stop, &[]);
        server.caught_up();
        server
    });
    let newest = server.get_json(&format!("{path}/logs?from=-15m&limit=1"));
    assert_eq!((newest["logs"].as_array().unwrap().len(), &newest["truncated"]), (1, &json!(true)));
    assert_eq!(server.get_json(&format!("{path}/logs?from=-15m&to=-10m"))["logs"], json!([]));
    for (query, word) in [("limit=0", "1 to 1000"), ("from=yesterday", "2026-01-31T12:00:00Z")] {
        let answer = server.get(&format!("{path}/logs?{query}"));
        assert!(answer.status == 400 && answer.text().contains(word), "{query}: {}", answer.text());
    }
    assert_eq!(server.get("/api/v1/functions/thumbnails/logs").status, 404);

    let Some(browser) = Browser::open() else { return };
    browser.goto(&format!("http://{}/functions/{}?from=-15m", server.ui, node["id"].as_str().unwrap()));
    browser.until("document.querySelector('[data-testid=logs]')?.innerText.includes('no thumbnail ✕ KeyError · by the id of the run')");
    browser.goto(&format!("http://{}/traces/{}?span={}", server.ui, runs[0].trace(), runs[0].span()));
    browser.until("document.querySelector('[data-testid=span-details]')?.innerText.includes('✕ KeyError')");
}
