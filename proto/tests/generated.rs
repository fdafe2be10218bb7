//! The committed types are those that the schema gives.
//!
//! `UPDATE_GENERATED=1 cargo test -p loopscope-proto` writes them anew.

use std::{fs, path::Path};

const FILES: &[&str] = &[
    "alert", "anomaly", "change", "check", "graph", "hotspot", "intended", "laps", "live", "loop", "range", "status",
    "trace",
];

#[test]
fn committed_types_match_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files: Vec<String> = FILES.iter().map(|name| format!("loopscope/v1/{name}.proto")).collect();
    let on_disk = fs::read_dir(root.join("loopscope/v1")).unwrap().count();
    assert_eq!(files.len(), on_disk, "a schema file is missing from FILES");
    let descriptors = protox::compile(&files, [root]).unwrap();

    let out = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut config = prost_build::Config::new();
    config.out_dir(out).message_attribute(".", "#[derive(serde::Serialize, serde::Deserialize)]\n#[serde(default)]");
    for field in [
        "started_at",
        "first_seen",
        "last_seen",
        "start",
        "timestamp",
        "expires",
        "at",
        "opened_at",
        "closed_at",
        "ChangeList.from",
        "ChangeList.to",
        "TimeRange.from",
        "since",
        "found_at",
        "until",
        "version_first_seen",
        "TimeRange.to",
    ] {
        config.field_attribute(field, "#[serde(with = \"crate::json::timestamp\")]");
    }
    config
        .field_attribute("Loop.state", "#[serde(with = \"crate::json::loop_state\")]")
        .field_attribute("severity", "#[serde(with = \"crate::json::severity\")]")
        .compile_fds(descriptors)
        .unwrap();

    let generated = fs::read_to_string(out.join("loopscope.v1.rs")).unwrap();
    let committed_path = root.join("src/generated/loopscope.v1.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&committed_path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&committed_path).unwrap_or_default();
    assert!(
        committed == generated,
        "src/generated/loopscope.v1.rs is stale: run `UPDATE_GENERATED=1 cargo test -p loopscope-proto` and commit"
    );
}
