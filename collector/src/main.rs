//! The `loopscope` program: settings, log, server, and the demo when it is asked for.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use loopscope_collector::{
    config::{self, Config, ConfigError, Demo, Mode},
    demo::{self, Endpoints},
    server::{self, Addresses},
    tls,
};
use tokio::{signal::unix::SignalKind, sync::oneshot};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Exit code for settings that cannot be used: `EX_CONFIG` of sysexits.h.
const WRONG_SETTINGS: u8 = 78;

fn main() -> ExitCode {
    let config = match Config::load(std::env::args_os(), &config::environment()) {
        Ok(config) => config,
        Err(ConfigError::CommandLine(error)) => error.exit(),
        Err(error) => {
            eprintln!("loopscope: {error}");
            return ExitCode::from(WRONG_SETTINGS);
        }
    };
    start_log();
    tls::install_provider();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loopscope: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The log goes to standard error; standard output is for scripts that read the addresses.
fn start_log() {
    let filter = EnvFilter::try_from_env("LOOPSCOPE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).init();
}
