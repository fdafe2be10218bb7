//! What is wrong with a function is told with numbers: time-outs, throttles, stores, cold starts, memory.

use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use serde_json::{Value, json};

use super::support::{
    otlp::{Story, post_well, text},
    server::Server,
};

fn id_of(server: &Server, name: &str) -> String {
    let graph = server.get_json("/api/v1/graph");
    let functions = graph["functions"].as_array().unwrap();
    functions.iter().find(|node| node["name"] == name).unwrap()["id"].as_str().unwrap().to_owned()
}

fn throttle(span: &mut Span) {
    let message = "TooManyRequestsException: Rate exceeded".to_owned();
    span.status = Some(Status { code: 2, message });
}

/// Twenty runs of `shop` of 100 ms, each with twelve reads of one table in a row and a call of `bank`. A quarter of the
/// calls is refused, five runs are cold, and one times out after two seconds.
fn story() -> Story {
    let mut story = Story::default();
    for number in 0..20 {
        let run = story.shop(number);
        let bank = story.call(&run, "bank");
        if number % 4 == 1 {
            throttle(story.edit_caller(&bank));
            let invoked = [text("faas.invoked_name", "bank"), text("faas.invoked_provider", "aws")];
            story.edit_caller(&bank).attributes.extend(invoked);
            story.drop_last();
        }
    }
    story
}

#[test]
fn a_function_is_shown_with_its_facts_and_its_limits() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("loopscope.toml");
    std::fs::write(&settings, "[functions.'shop']\ntime_out = '2s'\nowner = 'sales'\n").unwrap();
    let server = Server::start(&["--config", settings.to_str().unwrap()]);
    post_well(server.otlp_http, &story().request());
    server.caught_up();
    let path = format!("/api/v1/functions/{}", id_of(&server, "shop"));
    let found = server.until("runs are settled", &path, |found| {
        (found["state"]["calls_per_run"] == json!(12.0)).then(|| found.clone())
    });
    assert_eq!((&found["runs"], &found["function"]["name"]), (&json!(20.0), &json!("shop")));
    let facts = &found["facts"];
    assert_eq!((&facts["time_out_ms"], &facts["time_out_source"]), (&json!(2_000), &json!("configured")));
    assert_eq!((&facts["owner"], &facts["memory_source"]), (&json!("sales"), &json!("assumed")));
    let cold = &found["cold_starts"];
    assert_eq!((&cold["count"], &cold["share"]), (&json!(5.0), &json!(0.25)));
    assert_eq!(
        (&found["state"]["is_chatty"], &found["state"]["stores"][0]["resource"]),
        (&json!(true), &json!("orders"))
    );
    let time_out = &found["time_out"];
    assert_eq!(
        (&time_out["seen"], &time_out["is_alarm"], &time_out["confidence"]),
        (&json!(1.0), &json!(true), &json!("low"))
    );
    assert_eq!((&found["throttles"]["made"], &found["memory"]), (&json!(5.0), &Value::Null));
    assert!(found["edges"].as_array().unwrap().len() >= 2, "{found}");
    let list = server.get_json("/api/v1/functions?from=-1h");
    let line = &list["functions"][0];
    assert_eq!((&line["name"], &line["risks"]), (&json!("shop"), &json!(["time_out", "chatty_state"])), "{list}");
}

#[test]
fn a_time_without_runs_says_so() {
    let server = Server::start(&[]);
    post_well(server.otlp_http, &Story::parse("lone").request());
    server.caught_up();
    let found = server.get_json(&format!("/api/v1/functions/{}?from=-2h&to=-1h", id_of(&server, "lone")));
    assert_eq!((&found["runs"], &found["function"]["invocations"]), (&json!(0.0), &json!(1)));
}
