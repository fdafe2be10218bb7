//! What functions cost in a range of time, to the cent and below, also after a restart.

use serde_json::Value;

use super::support::{
    otlp::{Story, post_well},
    server::{Server, Stop},
};

/// A second of one GiB on AWS Lambda, a request there, and a message of SQS, in dollars.
const GB_SECOND: f64 = 1.666_67e-5;
const REQUEST: f64 = 2e-7;
const MESSAGE: f64 = 1.2e-6;

#[track_caller]
fn is_near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found / expected - 1.0).abs() < 1e-4, "{found} is not {expected}");
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap()
}

#[test]
fn costs_are_told_by_function_trigger_and_owner_and_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loopscope.toml");
    std::fs::write(&file, "[functions.'*']\nmemory_mb = 1024\n[functions.mail]\nowner = 'post'\n").unwrap();
    let flags = ["--config", file.to_str().unwrap()];
    let server = Server::start(&flags);
    // A run of `shop` takes 10 ms, 8 of which it waits for `stock`, which takes 6, and so does `mail`; it sends to that
    // one while it waits.
    let runs = 40;
    for _ in 0..runs {
        let mut story = Story::default();
        let shop = story.start("shop");
        story.call(&shop, "stock");
        story.message(&shop, "mail", Some("orders"));
        post_well(server.otlp_http, &story.request());
    }
    let n = f64::from(runs);
    // A run counts when it came, a call when its message is matched, and how long a run took when it is clear what it
    // waited for: the report is read once all of it is there.
    let settled = |report: &Value| {
        let requests = report["total"]["requests"].as_f64()? / (3.0 * n * REQUEST);
        let calls = report["total"]["calls"].as_f64()? / (n * MESSAGE);
        let waited = report["total"]["double_billed"].as_f64()? / (n * 0.008 * GB_SECOND);
        [requests, calls, waited].iter().all(|share| *share > 0.9999).then(|| report.clone())
    };
    let report = server.until("all runs are settled", "/api/v1/cost?from=-15m", settled);
    is_near(&report["total"]["requests"], 3.0 * n * REQUEST);
    is_near(&report["total"]["time"], n * 0.022 * GB_SECOND);
    is_near(&report["total"]["calls"], n * MESSAGE);
    is_near(&report["total"]["total"], n * (3.0 * REQUEST + 0.022 * GB_SECOND + MESSAGE));
    is_near(&report["total"]["double_billed"], n * 0.008 * GB_SECOND);
    is_near(&named(&report["functions"], "stock")["gb_seconds"], n * 0.006);
    is_near(&named(&report["triggers"], "shop")["cost"], report["total"]["total"].as_f64().unwrap());
    is_near(&named(&report["owners"], "post")["costs"]["total"], n * (REQUEST + 0.006 * GB_SECOND));
    assert_eq!((&report["currency"], &report["functions"][0]["verdicts"][0]["fit"]), (&"USD".into(), &"fits".into()));
    assert!(report["prices"].as_array().unwrap().iter().all(|price| price["as_of"].as_str().unwrap().len() == 10));
    assert!(report["containers"]["sizes"].as_array().unwrap().len() > 3);
    assert!(named(&report["functions"], "shop")["break_even"]["rate_per_second"].as_f64().unwrap() > 1.0);
    let server = server.restart(Stop::Kindly, &flags);
    let again = server.until("the same costs after a restart", "/api/v1/cost?from=-15m&limit=1", settled);
    is_near(&again["total"]["total"], report["total"]["total"].as_f64().unwrap());
    assert_eq!(again["functions"].as_array().unwrap().len(), 1);
}

#[test]
fn questions_that_cannot_be_answered_say_how_to_ask() {
    let server = Server::start(&[]);
    server.caught_up();
    for (query, word) in [
        ("from=yesterday", "2026-01-31T12:00:00Z"),
        ("from=-1h&to=-2h", "before"),
        ("limit=0", "1 to 1000"),
        ("limit=1001", "1 to 1000"),
        ("limit=many", "the parameter limit cannot be read"),
        ("limit=1&limit=2", "more than once"),
    ] {
        let answer = server.get(&format!("/api/v1/cost?{query}"));
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        assert!(answer.text().contains(word), "{query}: {}", answer.text());
    }
    let nothing = server.get_json("/api/v1/cost");
    assert_eq!((&nothing["total"]["total"], &nothing["functions"]), (&0.0.into(), &serde_json::json!([])));
}
