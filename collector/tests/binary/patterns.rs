//! The patterns of a system, live and in files.

use std::{io::Write as _, process::Stdio};

use serde_json::Value;

use super::support::{
    otlp::{Story, post_well},
    server::{Server, Stop, program},
};

/// A pipeline, a fan-out and a router.
fn story() -> Story {
    let mut story = Story::default();
    for at in 0..40 {
        let first = story.start("take");
        let second = story.message(&first, "cut", Some("raw"));
        story.message(&second, "store", Some("cooked"));
        let hub = story.start("split");
        (0..4).for_each(|_| drop(story.call(&hub, "work")));
        let front = story.start("front");
        story.call(&front, if at % 3 == 0 { "cards" } else { "cash" });
    }
    story
}

fn names(list: &Value, path: &[&str]) -> Vec<String> {
    let name = |found: &Value| path.iter().fold(found, |at, key| &at[*key])["name"].as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(name).collect()
}

/// The report, once all three are in it.
fn patterns(server: &Server) -> Value {
    server.until("the patterns", "/api/v1/patterns?from=-1h", |report| {
        let is_there = |kind: &str| report[kind].as_array().is_some_and(|list| !list.is_empty());
        (is_there("routers") && is_there("fan_outs") && is_there("pipelines")).then(|| report.clone())
    })
}

#[test]
fn patterns_are_told_of_the_time_that_is_asked_for_and_outlive_a_restart() {
    let server = Server::start(&[]);
    post_well(server.otlp_http, &story().request());
    server.caught_up();
    let report = patterns(&server);
    assert_eq!(names(&report["pipelines"][0]["stages"], &["function"]), ["take", "cut", "store"]);
    assert_eq!(report["pipelines"][0]["stages"][1]["over"]["name"], "raw");
    let fan = &report["fan_outs"][0];
    assert_eq!((&fan["function"]["name"], &fan["target"]["name"]), (&"split".into(), &"work".into()));
    assert_eq!((&fan["children_per_run"], &fan["way"]), (&4.0.into(), &"call".into()));
    assert_eq!(names(&report["routers"], &["function"]), ["front"]);
    assert_eq!(names(&report["routers"][0]["routes"], &["target"]), ["cash", "cards"]);
    assert_eq!(names(&report["event_handlers"], &["function"]).len(), 2);
    assert!(report["kinds"].as_array().unwrap().iter().all(|kind| kind["likeness"] == "faas"), "{report}");
    assert_eq!(report["range"]["from"].as_str().map(|time| time.ends_with(":00Z")), Some(true));
    let long_ago = server.get_json("/api/v1/patterns?from=-3h&to=-2h");
    assert_eq!(long_ago["kinds"].as_array().map(Vec::len), Some(0));
    assert_eq!(server.get("/api/v1/patterns?from=yesterday").status, 400);
    let server = server.restart(Stop::Kindly, &[]);
    server.caught_up();
    let again = patterns(&server);
    assert_eq!(again["routers"], report["routers"]);
}

#[test]
fn a_check_tells_the_patterns_of_files() {
    let check = |format: &str| {
        let mut command = program();
        command.args(["check", "--format", format, "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let request = serde_json::to_vec(&story().request()).unwrap();
        process.stdin.take().unwrap().write_all(&request).unwrap();
        String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap()
    };
    let report: Value = serde_json::from_str(&check("json")).unwrap();
    let pipeline = &report["patterns"]["pipelines"][0];
    assert_eq!(names(&pipeline["stages"], &["function"]), ["take", "cut", "store"]);
    assert_eq!(pipeline["end_to_end"]["chains"], 40);
    assert_eq!(names(&report["patterns"]["routers"], &["function"]), ["front"]);
    let text = check("text");
    assert!(text.contains("pipeline       take ~> cut ~> store: p50"), "{text}");
    assert!(text.contains("router         front -> cash 65 %, cards 35 % (40 runs, 66 % sure)"), "{text}");
}
