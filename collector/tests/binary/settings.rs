//! Settings that cannot be used end the program before anything opens, with a sentence that says how to mend them.

use std::{
    fs::File,
    io::Read as _,
    net::TcpListener,
    process::{Command, Stdio},
};

use super::support::{
    DEADLINE,
    server::{FREE_PORTS, program},
    wait_until,
};

/// Runs a program that must end by itself; its exit code and what it said.
pub(crate) fn end_of(mut command: Command) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("said");
    let file = File::create(&path).unwrap();
    let mut process = command.stdout(file.try_clone().unwrap()).stderr(Stdio::from(file)).spawn().unwrap();
    let started = std::time::Instant::now();
    let status = wait_until("the program has ended or had its time", DEADLINE * 2, || {
        if started.elapsed() > DEADLINE {
            process.kill().unwrap();
        }
        process.try_wait().unwrap()
    });
    let mut said = String::new();
    File::open(path).unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

#[track_caller]
fn refused(flags: &[&str], variables: &[(&str, &str)], words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(flags).args(["--data-dir", folder.path().join("data").to_str().unwrap()]).envs(variables.to_vec());
    for port in ["--otlp-grpc", "--otlp-http", "--ui"] {
        if !flags.contains(&port) {
            command.args([port, "127.0.0.1:0"]);
        }
    }
    let (code, said) = end_of(command);
    assert!(code.is_some_and(|code| code != 0), "{flags:?} {variables:?} ended with {code:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert!(!said.contains("otlp_grpc="), "a port was announced: {said}");
}

#[test]
fn what_does_not_exist_is_refused_by_name() {
    refused(&["--retentoin", "1h"], &[], &["--retentoin", "--retention"]);
    refused(&["sreve"], &[], &["sreve"]);
    refused(&[], &[("LOOPSCOPE_RETENTOIN", "1h")], &["LOOPSCOPE_RETENTOIN"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("loopscope.toml");
    std::fs::write(&file, "max_disc = '1GiB'\n").unwrap();
    let file = file.to_str().unwrap();
    refused(&["--config", file], &[], &["max_disc", "loopscope.toml"]);
    std::fs::write(file, "max_disk = \n").unwrap();
    refused(&["--config", file], &[], &["loopscope.toml"]);
    refused(&["--config", "/nowhere/loopscope.toml"], &[], &["/nowhere/loopscope.toml"]);
}

#[test]
fn what_makes_no_sense_is_refused_with_an_example() {
    refused(&["--retention", "long"], &[], &["retention", "72h"]);
    refused(&["--max-disk", "much"], &[], &["max_disk", "10GiB"]);
    refused(&["--shards", "0"], &[], &["shards", "64"]);
    refused(&["--ui", "4319"], &[], &["ui", "127.0.0.1:4317"]);
    refused(&["--webhook", "example.com"], &[], &["webhook"]);
    refused(&["--prices", "/nowhere/prices.toml"], &[], &["prices", "/nowhere/prices.toml"]);
    refused(&["--intended", "/nowhere/intended.toml"], &[], &["intended", "/nowhere/intended.toml"]);
    refused(&[], &[("LOOPSCOPE_WEBHOOK_SECRET", "short")], &["webhook_secret", "24"]);
}

#[test]
fn an_address_that_others_reach_needs_a_word() {
    for door in ["--otlp-grpc", "--otlp-http", "--ui"] {
        refused(&[door, "0.0.0.0:0"], &[], &["0.0.0.0:0", "--insecure"]);
    }
}

#[test]
fn a_taken_port_is_named_with_the_setting_that_moves_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (door, setting) in [("--otlp-grpc", "otlp_grpc"), ("--otlp-http", "otlp_http"), ("--ui", "ui")] {
        refused(&[door, &address], &[], &[&address, setting, "choose another port"]);
    }
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no folder").unwrap();
    let mut command = program();
    command.args(FREE_PORTS).arg("--data-dir").arg(&file);
    let (code, said) = end_of(command);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(file.to_str().unwrap()), "{said}");
}
