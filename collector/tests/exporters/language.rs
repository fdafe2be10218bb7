//! A language with an SDK: whether it is installed, and how its programs are run.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::support::server::Server;

/// Forbids to skip these tests, so that a machine that should have the exporters cannot pass without them.
const REQUIRED: &str = "LOOPSCOPE_REQUIRE_EXPORTERS";

/// A language whose SDK is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// CPython.
    Python,
    /// Node.js.
    Node,
}

/// How an exporter speaks, by the words of `OTEL_EXPORTER_OTLP_PROTOCOL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `grpc`.
    Grpc,
    /// `http/protobuf`.
    HttpProtobuf,
    /// `http/json`.
    HttpJson,
}

/// What the exporters of a program were given.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Spans.
    pub(crate) spans: u64,
    /// Log records.
    pub(crate) logs: u64,
    /// Data points.
    pub(crate) points: u64,
    /// Ids of traces to look at.
    pub(crate) traces: Vec<String>,
}

impl Language {
    /// The protocols that its exporters have; those of Python have no JSON.
    pub(crate) fn protocols(self) -> &'static [Protocol] {
        match self {
            Self::Python => &[Protocol::Grpc, Protocol::HttpProtobuf],
            Self::Node => &[Protocol::Grpc, Protocol::HttpProtobuf, Protocol::HttpJson],
        }
    }

    /// False, with a word about it, where its packages are not installed.
    pub(crate) fn is_installed(self) -> bool {
        if self.packages().exists() {
            return true;
        }
        assert!(
            std::env::var_os(REQUIRED).is_none(),
            "{REQUIRED} is set, and {} is missing",
            self.packages().display()
        );
        eprintln!("skipped: .ci/exporters was not run, so no exporter of {self:?} sends anything");
        false
    }

    /// Runs one of its programs to the end.
    #[track_caller]
    pub(crate) fn run(self, program: &str, protocol: Protocol, server: &Server) -> Sent {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exporters");
        let (interpreter, file) = match self {
            Self::Python => ("python", format!("python/{program}.py")),
            Self::Node => ("node", format!("node/{program}.js")),
        };
        let mut command = self.environment(Command::new(interpreter));
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(folder.join(file));
        let door = if protocol == Protocol::Grpc { server.otlp_grpc } else { server.otlp_http };
        let output = command.args([protocol.word(), &format!("http://{door}")]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        Sent::parse(said.lines().last().unwrap())
    }

    /// The command with its packages at hand, as if they had been installed where it runs.
    pub(crate) fn environment(self, mut command: Command) -> Command {
        match self {
            Self::Python => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let mut folders = vec![self.packages().parent().unwrap().to_owned()];
                folders.extend(std::env::split_paths(&path));
                command.env("PATH", std::env::join_paths(folders).unwrap());
            }
            Self::Node => {
                command.env("NODE_PATH", self.packages());
            }
        }
        command
    }

    /// Python's interpreter among its packages, and the packages of Node.js.
    fn packages(self) -> PathBuf {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/exporters");
        installed.join(match self {
            Self::Python => "python/bin/python",
            Self::Node => "node/node_modules",
        })
    }
}

impl Protocol {
    /// As `OTEL_EXPORTER_OTLP_PROTOCOL` has it.
    fn word(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
            Self::HttpJson => "http/json",
        }
    }
}

impl Sent {
    fn parse(line: &str) -> Self {
        let said: Value = serde_json::from_str(line).unwrap();
        let count = |name: &str| said[name].as_u64().unwrap();
        let traces = said["traces"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        Self { spans: count("spans"), logs: count("logs"), points: count("points"), traces }
    }
}
