//! The API keeps what its document promises, asked in all ways that a tool can think of.
//!
//! schemathesis reads the document of a running server and asks each operation with good and with bad input. What it
//! cannot guess, the ids, it gets from the server.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use super::support::{
    DEADLINE,
    http::{self, JSON},
    otlp::{Story, post_well},
    server::{Server, Stop},
    wait_until,
};

/// Forbids to skip this test, so that a machine that should have the tool cannot pass without it.
const REQUIRED: &str = "LOOPSCOPE_REQUIRE_SCHEMATHESIS";

/// Names the program where it is not in the path.
const PROGRAM: &str = "LOOPSCOPE_SCHEMATHESIS";

/// Most cases that are drawn for one operation; the cases that follow from the schema come on top.
const CASES: &str = "40";

/// Bound on the time of all cases.
const PATIENCE: Duration = Duration::from_secs(90);

/// Loops of each kind, one of them deep enough for an alert, and calls.
const STORY: &str = "upload ~files~> resize ~done~> publish ~files~> resize ~done~> publish ~files~> resize
                     order -> stock -> order -> stock -> order
                     front -> orders -> stock";

fn program() -> Option<String> {
    let named = std::env::var(PROGRAM).unwrap_or_else(|_| "schemathesis".to_owned());
    let answers = Command::new(&named).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if answers.is_ok_and(|status| status.success()) {
        return Some(named);
    }
    assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and {named} does not run");
    eprintln!("skipped: schemathesis is not installed, so nobody asks the API as its document tells");
    None
}

/// A server on which everything that can be asked for is there.
fn loaded() -> Server {
    let server = Server::start(&[]);
    post_well(server.otlp_http, &Story::parse(STORY).request());
    post_well(server.otlp_http, &Story::parse(&format!("mailer{}", " ~> mailer".repeat(20))).request());
    let deep = server.loop_of(&["mailer"], 20);
    wait_until("an alert", DEADLINE, || {
        (server.get_json("/api/v1/alerts")["alerts"].as_array().unwrap().len() == 1).then_some(())
    });
    let change = |path: &str, body: Value| {
        let answer = http::send(server.ui, "POST", path, &[JSON], body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    change("/api/v1/intended", json!({"functions": ["order", "stock"], "max_depth": 40, "owner": "orders"}));
    let id = deep["id"].as_str().unwrap();
    change(&format!("/api/v1/loops/{id}/verdict"), json!({"verdict": "expected", "max_depth": 40}));
    server
}

/// What the tool is told: real ids for half of the cases, and which of its checks are no promise of the API.
fn settings(server: &Server) -> String {
    let (graph, loops) = (server.get_json("/api/v1/graph"), server.get_json("/api/v1/loops"));
    let values = |list: &Value, field: &str| {
        let items = list.as_array().unwrap().iter();
        json!(items.map(|item| item[field].clone()).collect::<Vec<_>>())
    };
    let (edges, loops) = (&graph["edges"], &loops["loops"]);
    let traces = loops.as_array().unwrap().iter().map(|found| &found["exemplar_trace_ids"][0]);
    let traces = json!(traces.filter(|id| id.is_string()).collect::<Vec<_>>());
    let nodes = values(&graph["functions"], "id");
    let ids =
        json!([values(loops, "id"), nodes.clone()].map(|list| list.as_array().cloned().unwrap_or_default()).concat());
    let known = [
        ("path.id", ids),
        ("path.loop_id", values(loops, "id")),
        ("path.trace_id", traces),
        ("query.node", nodes),
        ("query.from", json!(["-1h", "-5m", "2026-11-23T15:42:49Z"])),
        ("query.to", json!(["now", "-1m"])),
        ("query.source", json!([edges[0]["source"]])),
        ("query.target", json!([edges[0]["target"]])),
    ];
    let dictionaries = known.map(|(name, ids)| {
        let word = name.replace('.', "_");
        format!(
            "[dictionaries.{word}]\nvalues = {ids}\n[parameters.\"{name}\"]\ndictionary = \"{word}\"\nprobability = 0.5\n"
        )
    });
    // A request may fit the schema and make no sense all the same: a declaration with two targets, for example.
    format!(
        "[checks]\npositive_data_acceptance.enabled = false\n\
         [[operations]]\ninclude-method = \"DELETE\"\nheaders = {{ content-type = \"application/json\" }}\n\
         [[operations]]\ninclude-path = \"/api/v1/live\"\nmax-stream-events = 1\n{}",
        dictionaries.concat()
    )
}

#[test]
fn answers_keep_what_the_document_promises() {
    let Some(program) = program() else { return };
    let mut server = loaded();
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("schemathesis.toml");
    fs::write(&config, settings(&server)).unwrap();
    let said = home.path().join("said");
    let mut asking = Command::new(program)
        .current_dir(&home)
        .arg("--config-file")
        .arg(&config)
        .args(["run", &format!("http://{}/api/v1/openapi.json", server.ui)])
        .args(["--max-examples", CASES, "--seed", "1", "--generation-database", "none", "--no-color"])
        .stdout(File::create(&said).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let ended = wait_until("schemathesis has ended", PATIENCE, || asking.try_wait().unwrap());
    let said = fs::read_to_string(said).unwrap();
    assert!(ended.success(), "{said}");
    println!("{said}");
    server.stop(Stop::Kindly);
}
