//! A loop that somebody declared as intended is silent inside its bound and loud outside, also after a restart.

use serde_json::{Value, json};

use super::support::{
    DEADLINE,
    http::{self, JSON},
    otlp::{Run, Story, post_well},
    server::{Server, Stop},
    webhook::{Receiver, SECRET},
};

/// Sends JSON to the API; status and answer.
fn change(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = http::send(server.ui, method, path, &[JSON], body.to_string().as_bytes()).unwrap();
    (answer.status, answer.json())
}

/// Posts a chain that goes on from a run; returns where it ends.
fn laps(server: &Server, function: &str, from: Option<Run>, count: usize) -> Run {
    let mut story = Story::default();
    let from = from.unwrap_or_else(|| story.start(function));
    let end = story.follow(from, &format!(" ~jobs~> {function}").repeat(count));
    post_well(server.otlp_http, &story.request());
    end
}

#[test]
fn a_declared_loop_is_silent_until_its_bound_breaks() {
    let target = Receiver::open();
    let flags = ["--webhook", &target.url(), "--webhook-secret", SECRET];
    let server = Server::start(&flags);
    let wanted = json!({"functions": ["crawl"], "max_depth": 40, "owner": "team-crawl", "reason": "pages"});
    let (status, declared) = change(&server, "POST", "/api/v1/intended", &wanted);
    assert_eq!(status, 200, "{declared}");

    let run = laps(&server, "crawl", None, 30);
    let found = server.until("the declaration is held against the loop", "/api/v1/loops", |loops| {
        loops["loops"].as_array()?.iter().find(|found| found["max_depth"] == 30).cloned()
    });
    assert_eq!((&found["severity"], &found["intended"]["id"]), (&"info".into(), &declared["id"]));
    assert_eq!((&found["intended"]["is_broken"], &found["intended"]["owner"]), (&false.into(), &"team-crawl".into()));
    // Another loop is told after all that was to be told of the first.
    laps(&server, "other", None, 30);
    target.message("loop.opened", &["other"], DEADLINE);
    assert_eq!(target.types(), ["loop.opened"]);

    let server = server.restart(Stop::Kindly, &flags);
    server.caught_up();
    laps(&server, "crawl", Some(run), 11);
    let broken = target.message("loop.opened", &["crawl"], DEADLINE).body;
    assert_eq!(broken["data"]["loop"]["intended"]["is_broken"], true);
    let summary = broken["data"]["summary"].as_str().unwrap();
    assert!(summary.contains("team-crawl") && summary.contains("41 laps deep, declared are 40"), "{summary}");
    assert_eq!(target.types(), ["loop.opened", "loop.opened"]);
}

#[test]
fn a_declared_depth_does_not_silence_a_loop_that_multiplies_and_a_rate_does() {
    let target = Receiver::open();
    let server = Server::start(&["--webhook", &target.url(), "--webhook-secret", SECRET]);
    let deep = json!({"functions": ["crawl"], "max_depth": 40, "owner": "team-crawl"});
    let wide = json!({"functions": ["walk"], "max_depth": 40, "max_rate_per_minute": 1e6});
    for wanted in [deep, wide] {
        assert_eq!(change(&server, "POST", "/api/v1/intended", &wanted).0, 200);
    }
    for function in ["walk", "crawl"] {
        let mut story = Story::default();
        let run = story.start(function);
        story.tree(run, function, "jobs", 9);
        post_well(server.otlp_http, &story.request());
    }
    let broken = target.message("loop.opened", &["crawl"], DEADLINE).body;
    let summary = broken["data"]["summary"].as_str().unwrap();
    assert!(summary.contains("by team-crawl") && summary.contains("laps multiply"), "{summary}");
    assert_eq!(server.loop_of(&["walk"], 9)["severity"], "info");
    assert_eq!(target.types(), ["loop.opened"]);
}

#[test]
fn a_declaration_that_is_withdrawn_or_expired_silences_nothing() {
    let target = Receiver::open();
    let server = Server::start(&["--webhook", &target.url(), "--webhook-secret", SECRET]);
    let expired = json!({"functions": ["old"], "max_depth": 40, "expires": "2020-01-01T00:00:00Z"});
    assert_eq!(change(&server, "POST", "/api/v1/intended", &expired).1["is_expired"], true);
    let (_, declared) = change(&server, "POST", "/api/v1/intended", &json!({"functions": ["new"], "max_depth": 40}));
    let path = format!("/api/v1/intended/{}", declared["id"].as_str().unwrap());
    assert_eq!(change(&server, "DELETE", &path, &json!({})).0, 200);
    laps(&server, "old", None, 30);
    laps(&server, "new", None, 30);
    let old = target.message("loop.opened", &["old"], DEADLINE).body;
    assert_eq!(old["data"]["loop"]["intended"]["is_expired"], true);
    let new = target.message("loop.opened", &["new"], DEADLINE).body;
    assert!(new["data"]["loop"]["intended"].is_null());
}

#[test]
fn a_file_declares_loops_and_the_api_cannot_withdraw_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("intended.toml");
    std::fs::write(&file, "[[loop]]\nfunctions = ['crawl']\nmax_depth = 40\nowner = 'us'\n").unwrap();
    let server = Server::start(&["--intended", file.to_str().unwrap()]);
    laps(&server, "crawl", None, 30);
    let found = server.loop_of(&["crawl"], 30);
    assert_eq!((&found["severity"], &found["intended"]["owner"]), (&"info".into(), &"us".into()));
    let declared = &server.get_json("/api/v1/intended")["intended"][0];
    assert_eq!(declared["source"], "file");
    let path = format!("/api/v1/intended/{}", declared["id"].as_str().unwrap());
    assert_eq!(change(&server, "DELETE", &path, &json!({})).0, 409);
}

#[test]
fn an_expected_loop_is_silent_and_a_withdrawn_verdict_is_not() {
    let target = Receiver::open();
    let server = Server::start(&["--webhook", &target.url(), "--webhook-secret", SECRET]);
    let run = laps(&server, "pages", None, 3);
    let found = server.loop_of(&["pages"], 3);
    let path = format!("/api/v1/loops/{}/verdict", found["id"].as_str().unwrap());
    let (status, said) = change(&server, "POST", &path, &json!({"verdict": "expected", "max_depth": 60}));
    assert_eq!((status, &server.get_json("/api/v1/verdicts")["verdicts"][0]), (200, &said));
    let run = laps(&server, "pages", Some(run), 27);
    assert_eq!(server.loop_of(&["pages"], 30)["severity"], "info");
    assert_eq!(change(&server, "POST", &path, &json!({"verdict": "clear"})).0, 200);
    laps(&server, "pages", Some(run), 10);
    target.message("loop.opened", &["pages"], DEADLINE);
}

#[test]
fn a_loop_says_what_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let prices = folder.path().join("prices.toml");
    let text = "currency = 'EUR'\n[[platform]]\nplatforms = ['service', 'function', 'aws_lambda']\nper_request = 0.5\nas_of = '2025-01-01'\n";
    std::fs::write(&prices, text).unwrap();
    let settings = folder.path().join("loopscope.toml");
    std::fs::write(&settings, "[functions.'dear*']\nmemory_mb = 1024\nowner = 'media'\n").unwrap();
    let server = Server::start(&["--prices", prices.to_str().unwrap(), "--config", settings.to_str().unwrap()]);
    laps(&server, "dearest", None, 10);
    let cost = &server.loop_of(&["dearest"], 10)["cost"];
    assert_eq!((&cost["currency"], &cost["so_far"]), (&"EUR".into(), &5.0.into()), "{cost}");
    assert_eq!(cost["is_assumed"], false);
    server.until("it is said what is to come", "/api/v1/loops", |list| {
        (list["loops"][0]["cost"]["next_24h"].as_f64()? > 0.0).then_some(())
    });
}
