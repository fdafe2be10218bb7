//! The program as a process: starts it on free ports, asks it, stops it kindly or not, and starts it again.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, mpsc},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    DEADLINE,
    http::{self, Answer},
    wait_until,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loopscope");

/// Flags that let the system choose every port.
pub(crate) const FREE_PORTS: [&str; 6] =
    ["--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0", "--ui", "127.0.0.1:0"];

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// SIGTERM: it may finish what it has begun.
    Kindly,
    /// SIGKILL: it may not.
    AtOnce,
}

/// A running server with a data folder; it is killed when it is dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    home: Arc<TempDir>,
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) ui: SocketAddr,
}

impl Server {
    /// Starts a server with a data folder of its own and these flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), "serve", flags)
    }

    /// Starts the demo in the same way.
    pub(crate) fn demo(flags: &[&str]) -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()), "demo", flags)
    }

    /// Stops the server if it still runs, and starts one with the same data folder and these flags.
    #[track_caller]
    pub(crate) fn restart(mut self, stop: Stop, flags: &[&str]) -> Self {
        if self.lives() {
            self.stop(stop);
        }
        Self::start_in(Arc::clone(&self.home), "serve", flags)
    }

    /// A second server for the folder of this one, not yet started.
    pub(crate) fn second(&self) -> Command {
        let mut command = program();
        command.args(["serve", "--data-dir"]).arg(self.home.path().join("data")).args(FREE_PORTS);
        command
    }

    fn start_in(home: Arc<TempDir>, command: &str, flags: &[&str]) -> Self {
        let mut process = program()
            .args([command, "--data-dir"])
            .arg(home.path().join("data"))
            .args(FREE_PORTS)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(File::options().create(true).append(true).open(log(&home)).unwrap())
            .spawn()
            .unwrap();
        let (told, lines) = mpsc::channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        // Reads three lines and hangs up: a program whose output nobody reads must go on.
        thread::spawn(move || output.lines().take(3).try_for_each(|line| told.send(line.unwrap())));
        let [otlp_grpc, otlp_http, ui] = ["otlp_grpc=", "otlp_http=", "ui="].map(|name| {
            let line = lines.recv_timeout(DEADLINE);
            let address = line.iter().find_map(|line| line.strip_prefix(name)?.parse().ok());
            address.unwrap_or_else(|| {
                let _ = process.kill();
                panic!("no {name} but {line:?}; the program said:\n{}", read(&log(&home)))
            })
        });
        Self { process, home, otlp_grpc, otlp_http, ui }
    }

    /// Sends the signal and does not wait.
    pub(crate) fn signal(&mut self, stop: Stop) {
        match stop {
            Stop::AtOnce => self.process.kill().unwrap(),
            Stop::Kindly => {
                // A shell has `kill` built in everywhere, and safe Rust has no other way.
                let kill = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.process.id())]).status();
                assert!(kill.unwrap().success());
            }
        }
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        wait_until("the program has ended", DEADLINE, || self.process.try_wait().unwrap())
    }

    /// Stops the server and checks that it ends as it should.
    #[track_caller]
    pub(crate) fn stop(&mut self, stop: Stop) {
        self.signal(stop);
        let status = self.ended();
        match stop {
            Stop::Kindly => assert_eq!(status.code(), Some(0), "{}", self.log()),
            Stop::AtOnce => assert_eq!(status.code(), None),
        }
    }

    /// True while the process lives.
    pub(crate) fn lives(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Asks the API.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        http::send(self.ui, "GET", path, &[], b"").unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.log()))
    }

    /// Asks the API for something that must be there.
    #[track_caller]
    pub(crate) fn get_json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Waits until the API says something at this path.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, path: &str, mut ask: impl FnMut(&Value) -> Option<T>) -> T {
        let mut last = Value::Null;
        let mut probe = || {
            last = self.get_json(path);
            ask(&last)
        };
        wait_until(&format!("{path}: {what}"), DEADLINE, &mut probe)
    }

    /// Waits until the engine has taken in all that was acknowledged, and returns the status.
    #[track_caller]
    pub(crate) fn caught_up(&self) -> Value {
        wait_until("ready", DEADLINE, || (self.get("/readyz").status == 200).then_some(()));
        // More may come all the time; what had come until now counts.
        let wanted = self.get_json("/api/v1/status")["journal_position"].as_u64();
        self.until("what had come is analysed", "/api/v1/status", |status| {
            (status["engine_position"].as_u64() >= wanted).then_some(())
        });
        // Counters move while they are read, so the first such answer may still be older in the rest.
        self.get_json("/api/v1/status")
    }

    /// The loop through functions with these names, once there is one with this depth.
    #[track_caller]
    pub(crate) fn loop_of(&self, functions: &[&str], depth: u64) -> Value {
        self.until(&format!("{functions:?} at depth {depth}"), "/api/v1/loops", |list| {
            let loops = list["loops"].as_array().unwrap();
            let found = loops.iter().find(|found| found["functions"] == serde_json::json!(functions))?;
            (found["max_depth"].as_u64() >= Some(depth)).then(|| found.clone())
        })
    }

    /// Memory that the kernel counts for the process in this field of its status, such as `VmHWM` for the most so far,
    /// bytes; `None` where the system does not tell.
    pub(crate) fn memory(&self, field: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// What the program has logged.
    pub(crate) fn log(&self) -> String {
        read(&log(&self.home))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = self.log();
        if thread::panicking() {
            eprintln!("the program said:\n{log}");
        } else {
            assert!(!log.contains("panicked at"), "the program has panicked:\n{log}");
        }
    }
}

/// The program without what the environment of the tests would set; a proxy would see the webhooks, for example.
pub(crate) fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().stdin(Stdio::null());
    command
}

fn log(home: &TempDir) -> PathBuf {
    home.path().join("log")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
