//! The `loopscope` program: settings, log, server, and the demo when it is asked for.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use loopscope_collector::{
    check::{self, Verdict},
    config::{self, Config, ConfigError, Demo, Mode},
    counters::Counters,
    demo::{self, Endpoints},
    generate,
    server::{self, Addresses},
    tls,
};
use tokio::{signal::unix::SignalKind, sync::oneshot};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// How long the runtime waits for what ignored the deadline of the drain.
const LAST_CALL: Duration = Duration::from_secs(2);

/// Exit code for settings that cannot be used: `EX_CONFIG` of sysexits.h.
const WRONG_SETTINGS: u8 = 78;

/// Exit code of a check that found a loop.
const FOUND_LOOPS: u8 = 1;

/// Exit code of a check that has no verdict, because something cannot be read.
const NOTHING_CHECKED: u8 = 2;

fn main() -> ExitCode {
    let config = match Config::load(std::env::args_os(), &config::environment()) {
        Ok(config) => config,
        Err(ConfigError::CommandLine(error)) => error.exit(),
        Err(error) => {
            eprintln!("loopscope: {error}");
            return ExitCode::from(WRONG_SETTINGS);
        }
    };
    match &config.mode {
        Mode::Check(options) => return check_files(options),
        Mode::Generate(options) => return generate_files(options),
        Mode::Serve | Mode::Demo(_) => {}
    }
    start_log();
    tls::install_provider();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loopscope: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks files and says by the exit code what came out.
fn check_files(options: &check::Options) -> ExitCode {
    let mut streams = check::Streams {
        input: &mut io::stdin().lock(),
        output: &mut io::BufWriter::new(io::stdout().lock()),
        remarks: &mut io::stderr().lock(),
        shows_progress: io::stderr().is_terminal(),
    };
    match check::run(options, &mut streams) {
        Ok(Verdict::Clean) => ExitCode::SUCCESS,
        Ok(Verdict::Loops) => ExitCode::from(FOUND_LOOPS),
        Err(error) => {
            // The reader of the error may be gone; the exit code says it too.
            let _ = writeln!(streams.remarks, "loopscope: {error}");
            ExitCode::from(NOTHING_CHECKED)
        }
    }
}

/// Writes the files of a labelled world.
fn generate_files(options: &generate::Options) -> ExitCode {
    match generate::run(options) {
        Ok(written) => {
            let folder = options.out.display();
            say(&format!("{} spans in {} exports, with labels, in {folder}\n", written.spans, written.exports));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("loopscope: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The log goes to standard error; standard output is for scripts that read the addresses.
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let asked_to_stop = stop_signal()?;
        match config.mode.clone() {
            Mode::Serve => Ok(server::run(config, Arc::default(), asked_to_stop, announce).await?),
            Mode::Demo(demo) => run_demo(config, demo, asked_to_stop).await,
            Mode::Check(_) | Mode::Generate(_) => Ok(()),
        }
    });
    // A request that ignores its deadline must not keep the process.
    runtime.shutdown_timeout(LAST_CALL);
    ended
}

/// The addresses, a line each, for scripts.
fn announce(addresses: &Addresses) {
    say(&format!("otlp_grpc={}\notlp_http={}\nui={}\n", addresses.otlp_grpc, addresses.otlp_http, addresses.ui));
}

/// Writes to standard output at once; unlike `print!`, which panics when the reader has hung up.
fn say(text: &str) {
    // Nobody may be reading, which is no reason to stop.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Cancelled by SIGTERM or SIGINT.
fn stop_signal() -> io::Result<CancellationToken> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    let asked = CancellationToken::new();
    let token = asked.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(asked)
}

/// Runs the server with the function system of the demo beside it.
async fn run_demo(config: Config, demo: Demo, asked_to_stop: CancellationToken) -> anyhow::Result<()> {
    let counters = Arc::<Counters>::default();
    let (ready, addresses) = oneshot::channel();
    let stop_server = CancellationToken::new();
    let server = async {
        let announce_and_tell = move |addresses: &Addresses| {
            announce(addresses);
            let _ = ready.send(*addresses);
        };
        let ended = server::run(config, Arc::clone(&counters), stop_server.clone(), announce_and_tell).await;
        asked_to_stop.cancel();
        ended
    };
    let story = async {
        let Ok(addresses) = addresses.await else { return Ok(()) };
        let endpoints = Endpoints {
            grpc: format!("http://{}", addresses.otlp_grpc),
            http: format!("http://{}", addresses.otlp_http),
        };
        say(&format!("open http://{}/ and watch; a loop begins in {:?}\n", addresses.ui, demo.loop_after));
        let progress = tokio::spawn(show_progress(Arc::clone(&counters)));
        let report = demo::run(endpoints, demo.scenario, demo.loop_after, asked_to_stop.clone()).await;
        progress.abort();
        // The server goes last, so that what the functions still hold is taken in.
        stop_server.cancel();
        report.map(|report| {
            if report.batches_lost > 0 {
                eprintln!("\n{} batches of the demo could not be delivered", report.batches_lost);
            }
        })
    };
    let (served, told) = tokio::join!(server, story);
    served?;
    Ok(told?)
}

/// Says how many spans have come, in place on a terminal and now and then elsewhere.
async fn show_progress(counters: Arc<Counters>) {
    let is_terminal = io::stdout().is_terminal();
    let mut every = tokio::time::interval(if is_terminal { Duration::from_secs(1) } else { Duration::from_secs(10) });
    loop {
        every.tick().await;
        let (start, end) = if is_terminal { ("\r", "") } else { ("", "\n") };
        say(&format!("{start}spans received: {}{end}", counters.spans_received.get()));
    }
}
