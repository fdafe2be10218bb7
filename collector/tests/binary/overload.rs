//! More than the program can write: exporters are sent away before memory grows, and nothing acknowledged is lost.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use prost::Message as _;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::support::{
    otlp::{Story, text},
    server::{Server, Stop},
};

/// How much longer than it must each write to the journal takes.
const COMMIT_DELAY: &str = "--fault-commit-delay=200ms";

/// What all connections offer at once, in caps on the bytes that are on their way in.
const OFFERED: usize = 10;

/// Memory that a connection may take beside the bytes that are counted: what it reads ahead, with the allocator's share.
const PER_CONNECTION: u64 = 128 << 10;

/// By how much memory may grow once a third of the time is over.
const GROWTH: u64 = 32 << 20;

/// Memory that the engine, the journal and the allocator may take beside that: what is accepted is analysed meanwhile.
const BESIDE: u64 = 96 << 20;

/// Traces that are asked for afterwards, one by one; all are counted.
const ASKED: usize = 500;

/// How much is offered, and for how long.
struct Form {
    connections: usize,
    cap_bytes: usize,
    lasts: Duration,
}

/// What became of what was offered.
#[derive(Default)]
struct Outcome {
    /// The traces that were acknowledged, of one span each.
    acknowledged: Mutex<Vec<String>>,
    refused: AtomicU64,
}

#[test]
fn what_is_too_much_is_sent_away_and_what_is_acknowledged_is_found() {
    overload(&Form { connections: 60, cap_bytes: 1 << 20, lasts: Duration::from_secs(2) });
}

#[test]
#[ignore = "it takes a minute; docs/performance.md has its figures"]
fn a_minute_of_a_thousand_connections() {
    overload(&Form { connections: 1_000, cap_bytes: 16 << 20, lasts: Duration::from_secs(60) });
}

fn overload(form: &Form) {
    let cap = format!("--otlp-max-in-flight={}B", form.cap_bytes);
    let request = format!("--otlp-max-request={}B", form.cap_bytes / 2);
    let mut server = Server::start(&[COMMIT_DELAY, &cap, &request]);
    let before = server.memory("VmRSS");
    let outcome = Arc::new(Outcome::default());
    let (address, began) = (server.otlp_http, Instant::now());
    let body_bytes = OFFERED * form.cap_bytes / form.connections;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ends = began + form.lasts;
    let settled = runtime.block_on(async {
        let exporters: Vec<_> = (0..form.connections)
            .map(|_| tokio::spawn(export(address, body_bytes, ends, Arc::clone(&outcome))))
            .collect();
        tokio::time::sleep_until((began + form.lasts / 3).into()).await;
        let settled = server.memory("VmRSS");
        for exporter in exporters {
            exporter.await.unwrap();
        }
        settled
    });
    let (peak, after) = (server.memory("VmHWM"), server.memory("VmRSS"));
    let acknowledged = std::mem::take(&mut *outcome.acknowledged.lock().unwrap());
    let (kept, refused) = (acknowledged.len() as u64, outcome.refused.load(Relaxed));
    println!(
        "{} connections for {:?}: {kept} requests of {body_bytes} bytes acknowledged, {refused} refused; memory before \
         {} MiB, after a third of the time {} MiB, at most {} MiB, after {} MiB",
        form.connections,
        began.elapsed(),
        mebibytes(before),
        mebibytes(settled),
        mebibytes(peak),
        mebibytes(after)
    );
    assert!(kept > 0 && refused > 0, "{kept} {refused}");
    // A body is there once as it came and once packed; what waits for the engine is bounded by the journal.
    let beside = 2 * form.cap_bytes as u64 + form.connections as u64 * PER_CONNECTION + BESIDE;
    if let (Some(before), Some(peak)) = (before, peak) {
        assert!(peak < before + beside, "{peak} bytes, which is over {before} and {beside}");
    }
    if let (Some(settled), Some(after)) = (settled, after) {
        assert!(after < settled + GROWTH, "{after} bytes, after {settled} when a third of the time was over");
    }
    let status = server.get_json("/api/v1/status");
    assert_eq!((&status["spans_received"], &status["requests_overloaded"]), (&kept.into(), &refused.into()));

    // As after a crash: what was acknowledged is on disk.
    server.stop(Stop::AtOnce);
    let server = server.restart(Stop::AtOnce, &[]);
    let status = server.caught_up();
    assert_eq!((&status["spans_analysed"], &status["spans_duplicate"]), (&kept.into(), &0.into()), "{status}");
    for trace in acknowledged.iter().step_by(acknowledged.len().div_ceil(ASKED)) {
        assert_eq!(server.get_json(&format!("/api/v1/traces/{trace}"))["spans_total"], 1, "{trace}");
    }
}

/// Exports request after request over one connection, as an exporter does: it comes again when it is told to.
async fn export(address: SocketAddr, bytes: usize, ends: Instant, outcome: Arc<Outcome>) {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    while Instant::now() < ends {
        let mut story = Story::default();
        let run = story.start("busy");
        story.edit(&run).attributes.push(text("payload", &"x".repeat(bytes)));
        let body = story.request().encode_to_vec();
        loop {
            let (status, retry_after) = post(&mut stream, &body).await;
            match (status, retry_after) {
                (200, _) => {
                    outcome.acknowledged.lock().unwrap().push(run.trace());
                    break;
                }
                (503, Some(seconds)) => {
                    outcome.refused.fetch_add(1, Relaxed);
                    let again = Instant::now() + Duration::from_secs(seconds);
                    if again >= ends {
                        return;
                    }
                    tokio::time::sleep_until(again.into()).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The status of the answer, and after how many seconds the exporter is asked to come again.
async fn post(stream: &mut BufReader<TcpStream>, body: &[u8]) -> (u16, Option<u64>) {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let (mut status, mut length, mut retry_after) = (0, 0, None);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.parse().unwrap();
        } else if let Some(rest) = line.strip_prefix("retry-after: ") {
            retry_after = rest.parse().ok();
        } else if line.is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).await.unwrap();
    (status, retry_after)
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| (bytes >> 20).to_string())
}
