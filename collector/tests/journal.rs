//! What an acknowledgement of the journal is worth: it follows its sync, and it survives the death of the process.
//!
//! Both tests watch a process of its own: this test binary starts itself again and runs [`child`] only.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    env,
    ffi::OsStr,
    fs,
    hash::{BuildHasher as _, RandomState},
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use loopscope_analyzer::span::TraceId;
use loopscope_collector::{
    counters::Counters,
    journal::{
        Journal, JournalConfig,
        batch::Batch,
        tail::{Tail, TailEvent},
    },
    otlp::Signal,
};

const MODE: &str = "LOOPSCOPE_TEST_JOURNAL_MODE";
const DIR: &str = "LOOPSCOPE_TEST_JOURNAL_DIR";

/// Set where strace must be there, so that its absence cannot hide a broken promise.
const REQUIRE_STRACE: &str = "LOOPSCOPE_REQUIRE_STRACE";

/// Appends of one sequential child: enough to move the log into the file and begin it again.
const APPENDS: u64 = 30;

fn open(dir: &Path, segment_bytes: u64, ephemeral: bool) -> Journal {
    let config = JournalConfig {
        retention: Duration::from_secs(3600),
        max_disk_bytes: 4 << 30,
        segment_age: Duration::from_secs(3600),
        segment_bytes,
        ephemeral,
        commit_delay: Duration::ZERO,
    };
    Journal::open(dir, config, Arc::new(Counters::default())).unwrap()
}

/// Bytes that say their number and do not get smaller.
fn body(number: u64, length: usize) -> Bytes {
    let mut state = number;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    number.to_be_bytes().into_iter().chain(noise).take(length).collect()
}

fn batch(number: u64, length: usize) -> Batch {
    let received = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let trace = TraceId((u128::from(number) + 1).to_be_bytes());
    Batch::pack(received, Signal::Traces, 1, vec![trace.into()], body(number, length)).unwrap()
}

fn length_of(number: u64) -> usize {
    8 + (number.wrapping_mul(7919) % 30_000) as usize
}

/// Says in one write, and only then goes on.
fn say(line: String) {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

#[test]
fn child() {
    let (Ok(mode), Some(dir)) = (env::var(MODE), env::var_os(DIR)) else { return };
    let dir = Path::new(&dir);
    say(String::new());
    match mode.as_str() {
        "durable" => append_one_by_one(&open(dir, 64 << 20, false)),
        "ephemeral" => append_one_by_one(&open(dir, 64 << 20, true)),
        "load" => append_for_ever(&open(dir, 1 << 20, false)),
        other => panic!("unknown mode {other}"),
    }
}

fn append_one_by_one(journal: &Journal) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for number in 0..APPENDS {
        let position = runtime.block_on(journal.append(batch(number, 400_000))).unwrap();
        say(format!("ack {position}"));
    }
}

fn append_for_ever(journal: &Journal) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let numbers = Arc::new(AtomicU64::new(journal.last_position() << 20));
    runtime.block_on(async {
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (journal, numbers) = (journal.clone(), Arc::clone(&numbers));
            senders.spawn(async move {
                loop {
                    let number = numbers.fetch_add(1, Relaxed);
                    let position = journal.append(batch(number, length_of(number))).await.unwrap();
                    say(format!("ack {position} {number}"));
                }
            });
        }
        senders.join_all().await;
    });
}

fn child_command(program: &OsStr, before: &[&OsStr], mode: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(before)
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(MODE, mode)
        .env(DIR, dir)
        .stdout(Stdio::piped());
    command
}

#[test]
fn every_acknowledgement_follows_its_sync() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        assert!(env::var_os(REQUIRE_STRACE).is_none(), "{REQUIRE_STRACE} is set, but strace is not installed");
        eprintln!("skipped: strace is not installed, and without it syncs cannot be seen");
        return;
    }
    let durable = trace("durable");
    assert_eq!(acknowledged_unsynced(&durable), (APPENDS, 0));
    assert!(names_are_synced(&durable), "the directory is not synced before the first acknowledgement");
    // The journal without syncs fails the same check: so the check can fail.
    let ephemeral = trace("ephemeral");
    assert_eq!(acknowledged_unsynced(&ephemeral), (APPENDS, APPENDS));
}

/// Runs a child under strace and gives the system calls that write and sync.
fn trace(mode: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let calls = dir.path().join("calls");
    let exe = env::current_exe().unwrap();
    let before = [
        "-f".as_ref(),
        "-y".as_ref(),
        "-e".as_ref(),
        "trace=fdatasync,fsync,pwrite64,pwritev,pwritev2,write,writev".as_ref(),
        "-o".as_ref(),
        calls.as_os_str(),
        exe.as_os_str(),
    ];
    let output = child_command("strace".as_ref(), &before, mode, &dir.path().join("journal")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(calls).unwrap()
}

/// How many acknowledgements there are, and before how many the log was not written or not synced after its last
/// write.
fn acknowledged_unsynced(calls: &str) -> (u64, u64) {
    let (mut acks, mut unsynced) = (0, 0);
    // Line numbers: of the last write to the log, and up to which writes are known to be synced.
    let (mut written, mut synced, mut written_before_ack) = (0, 0, 0);
    let mut open_syncs: HashMap<&str, usize> = HashMap::new();
    for (line, call) in (1..).zip(calls.lines()) {
        let (pid, call) = call.split_once(' ').map(|(pid, call)| (pid, call.trim_start())).unwrap();
        let is_log = call.contains(".db-wal>");
        let is_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        if is_sync && is_log && call.ends_with("<unfinished ...>") {
            open_syncs.insert(pid, line);
        } else if is_sync && is_log && call.ends_with("= 0") {
            synced = synced.max(line);
        } else if call.contains("sync resumed>") && call.ends_with("= 0") {
            // A sync covers what was written before it began.
            synced = synced.max(open_syncs.remove(pid).unwrap_or(0));
        } else if is_log && (call.starts_with("pwrite") || call.starts_with("write")) {
            written = line;
        } else if call.starts_with("write(1<") && call.contains("\"ack ") {
            acks += 1;
            unsynced += u64::from(written == written_before_ack || synced < written);
            written_before_ack = written;
        }
    }
    (acks, unsynced)
}

/// Whether the directory with the new segment was synced before the first acknowledgement.
fn names_are_synced(calls: &str) -> bool {
    calls
        .lines()
        .take_while(|call| !call.contains("\"ack "))
        .any(|call| call.contains("sync(") && call.contains("/journal>"))
}

#[test]
fn what_was_acknowledged_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let journal_dir = dir.path().join("journal");
    let exe = env::current_exe().unwrap();
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    for round in 0..4_u64 {
        let acks_until_death = 20 + RandomState::new().hash_one(round) % 300;
        let mut child = child_command(exe.as_os_str(), &[], "load", &journal_dir).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        // After the kill, what it had said already is read to the end.
        while let Some(Ok(line)) = lines.next() {
            let mut words = line.split(' ');
            if words.next() == Some("ack")
                && let [Ok(position), Ok(number)] = [words.next(), words.next()].map(|word| word.unwrap_or("").parse())
            {
                seen += 1;
                assert_eq!(acknowledged.insert(position, number), None, "position {position} was given twice");
                if seen == acks_until_death {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        assert!(seen >= acks_until_death, "the child died by itself after {seen} acknowledgements");
        check_journal(&journal_dir, &acknowledged);
    }
}

#[track_caller]
fn check_journal(dir: &Path, acknowledged: &HashMap<u64, u64>) {
    let journal = open(dir, 1 << 20, false);
    let mut tail: Tail = journal.tail_from(1);
    let mut read = 0;
    while let Some(event) = tail.next_timeout(Duration::ZERO) {
        let TailEvent::Batch(batch) = event else { panic!("{event:?}") };
        read += 1;
        assert_eq!(batch.position, read);
        if let Some(number) = acknowledged.get(&batch.position) {
            assert_eq!(batch.body, body(*number, length_of(*number)), "position {read}");
            let trace = TraceId((u128::from(*number) + 1).to_be_bytes());
            let found = journal.batches_of_trace(trace, Signal::Traces).unwrap();
            assert!(found.batches.iter().any(|batch| batch.position == read), "position {read} by its trace");
        }
    }
    let newest = acknowledged.keys().max().copied().unwrap_or(0);
    assert!(read >= newest, "{newest} was acknowledged, and {read} is the last");
}
