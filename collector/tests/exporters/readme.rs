//! The commands that README gives to those who have functions, run as they stand there: for the addresses, which are
//! free ones here.

use std::{fs, process::Command};

use serde_json::json;

use super::{
    functions,
    language::Language,
    support::{DEADLINE, server::Server, wait_until},
};

/// A program that serves one request and asks itself.
const APP_JS: &str = r#"
const http = require("http");
const server = http.createServer((_, answer) => answer.end("done"));
server.listen(0, "127.0.0.1", async () => {
  const path = `http://127.0.0.1:${server.address().port}/resize`;
  await new Promise(done => http.get(path, answer => answer.resume().on("end", done)));
  server.close();
  process.kill(process.pid, "SIGTERM");
});
"#;

/// A Flask app that is asked once.
const APP_PY: &str = r#"
import flask

app = flask.Flask("app")
app.add_url_rule("/resize", view_func=lambda: "done", endpoint="resize")
assert app.test_client().get("/resize").status_code == 200
"#;

/// The last command of the console block under a title, with the variables before it.
fn command(title: &str) -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("**{title}**")).unwrap();
    let block = rest.split("```").nth(1).unwrap();
    let at = block.find("OTEL_SERVICE_NAME").unwrap();
    block[at..].to_owned()
}

/// Runs the command beside a program, until the function has shown up.
fn follow(title: &str, language: Language, program: (&str, &str)) {
    if !language.is_installed() {
        return;
    }
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(program.0), program.1).unwrap();
    let command = command(title)
        .replace("127.0.0.1:4317", &server.otlp_grpc.to_string())
        .replace("127.0.0.1:4318", &server.otlp_http.to_string());
    println!("{command}");
    // Detectors of clouds would ask addresses outside of this machine.
    let mut shell = language.environment(Command::new("sh"));
    shell.env("OTEL_NODE_RESOURCE_DETECTORS", "env").current_dir(&folder).args(["-c", &command]);
    let mut running = shell.spawn().unwrap();
    wait_until("the program has ended", DEADLINE, || running.try_wait().unwrap());
    server.caught_up();
    let functions = functions(&server);
    assert_eq!(functions.as_array().map(Vec::len), Some(1), "{functions}");
    assert_eq!((&functions[0][0], &functions[0][1]), (&json!("thumbnail"), &json!("service")));
}

#[test]
fn the_commands_for_node() {
    follow("Node", Language::Node, ("app.js", APP_JS));
}

#[test]
fn the_commands_for_python() {
    follow("Python", Language::Python, ("app.py", APP_PY));
}
