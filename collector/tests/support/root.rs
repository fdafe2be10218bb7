//! What the tests share: the program as a process, its protocols, and patience with an end.

pub(crate) mod browser;
pub(crate) mod http;
pub(crate) mod otlp;
pub(crate) mod server;
pub(crate) mod webhook;

use std::{
    thread,
    time::{Duration, Instant},
};

/// No test waits longer than this for anything that it does not name itself.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks until there is an answer; the only place that pauses.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, deadline: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < deadline, "after {deadline:?} it is still not so: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
