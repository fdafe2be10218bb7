//! Captures of real systems, compared with what an independent program counted in them.
//!
//! They are not part of the repository. `LOOPSCOPE_TRACES` names a folder with one folder for each capture: requests
//! as `otlp/*.json` and the same as `otlp/*.pb`, and the count as `truth.json` with `edges: [{from, to, calls}]`
//! between services. Without the variable there is nothing to do, and the test says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::support::{
    http::{self, JSON, PROTOBUF},
    server::Server,
};

/// Calls between two functions.
type Calls = BTreeMap<(String, String), u64>;

#[test]
fn captures_are_counted_as_an_independent_program_counts_them() {
    let Some(folder) = std::env::var_os("LOOPSCOPE_TRACES") else {
        eprintln!("skipped: LOOPSCOPE_TRACES names no folder with captures");
        return;
    };
    let captures = entries(Path::new(&folder), |path| path.join("truth.json").is_file());
    assert!(!captures.is_empty(), "no capture in {folder:?}");
    let mut wrong = Vec::new();
    for capture in captures {
        let name = capture.file_name().unwrap().to_str().unwrap();
        for (extension, kind) in [("json", JSON), ("pb", PROTOBUF)] {
            let requests = entries(&capture.join("otlp"), |path| path.extension().is_some_and(|e| e == extension));
            if requests.is_empty() {
                continue;
            }
            let mut server = Server::start(&[]);
            for request in &requests {
                let body = fs::read(request).unwrap();
                let answer = http::send(server.otlp_http, "POST", "/v1/traces", &[kind], &body).unwrap();
                assert_eq!(answer.status, 200, "{}: {}", request.display(), answer.text());
            }
            server.caught_up();
            let differing = differences(&server, &capture);
            wrong.extend(differing.into_iter().map(|edge| format!("{name} as {extension}: {edge}")));
            assert!(server.lives());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Edges between functions that the server and the truth count differently.
fn differences(server: &Server, capture: &Path) -> Vec<String> {
    let graph = server.get_json("/api/v1/graph");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let functions: BTreeMap<String, String> =
        graph["functions"].as_array().unwrap().iter().map(|node| (text(&node["id"]), text(&node["name"]))).collect();
    let mut found = Calls::new();
    for edge in graph["edges"].as_array().unwrap() {
        let ends = [&edge["source"], &edge["target"]].map(|id| functions.get(id.as_str().unwrap()));
        if let [Some(source), Some(target)] = ends
            && source != target
        {
            *found.entry((source.clone(), target.clone())).or_default() += edge["calls"].as_u64().unwrap();
        }
    }
    let truth: Value = serde_json::from_slice(&fs::read(capture.join("truth.json")).unwrap()).unwrap();
    let expected: Calls = truth["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| ((text(&edge["from"]), text(&edge["to"])), edge["calls"].as_u64().unwrap()))
        .collect();
    let all: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    all.into_iter()
        .filter(|ends| found.get(*ends) != expected.get(*ends))
        .map(|ends| format!("{} -> {}: {:?}, not {:?}", ends.0, ends.1, found.get(ends), expected.get(ends)))
        .collect()
}

fn entries(folder: &Path, is_wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| is_wanted(path)).collect();
    paths.sort();
    paths
}
