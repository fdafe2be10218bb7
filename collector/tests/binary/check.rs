//! `loopscope check`: files in, a report and an exit code out.
//!
//! Captures of real systems are not part of the repository. `LOOPSCOPE_TRACES` names a folder with one folder for each
//! and `expected_verdicts.json`, which says what a detector should find in them, and where it should be silent. Without
//! the variable that test has nothing to do, and says so.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::Value;

use super::support::{
    otlp::{Story, fail, last},
    server::program,
};

/// What a check said.
struct Said {
    code: Option<i32>,
    output: String,
    remarks: String,
}

impl Said {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.output).unwrap_or_else(|error| panic!("{error}: {} {}", self.output, self.remarks))
    }

    /// The loops that a chain went round.
    #[track_caller]
    fn loops(&self) -> Vec<Value> {
        let report = self.json();
        report["loops"].as_array().unwrap().iter().filter(|found| found["max_depth"] != 0).cloned().collect()
    }
}

fn check(arguments: &[&str], input: &[u8]) -> Said {
    let mut command = program();
    command.arg("check").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A program that fails early does not read all of it.
    let _ = process.stdin.take().unwrap().write_all(input);
    let said = process.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let said = Said { code: said.status.code(), output: text(said.stdout), remarks: text(said.stderr) };
    assert!(!said.remarks.contains("panicked"), "{}", said.remarks);
    said
}

fn json_of(story: &str) -> Vec<u8> {
    serde_json::to_vec(&Story::parse(story).request()).unwrap()
}

#[test]
fn a_loop_fails_the_check_and_a_plain_chain_does_not() {
    let found = check(&["-"], &json_of("upload -> store ~q~> thumbnail ~q~> thumbnail ~q~> thumbnail"));
    assert_eq!(found.code, Some(1), "{}", found.remarks);
    for words in ["FAIL  thumbnail -> thumbnail", "depth 2 in 1 chain", "level function", "trace ", "1 loop too deep"] {
        assert!(found.output.contains(words), "{words:?} is missing in {}", found.output);
    }
    let clean = check(&["-"], &json_of("a -> b -> c\na ~> c"));
    assert_eq!(clean.code, Some(0), "{}", clean.output);
    assert!(clean.output.contains("clean"), "{}", clean.output);
    let latent = check(&["-"], &json_of("a -> b\nb -> a"));
    assert_eq!(latent.code, Some(0), "nothing went round: {}", latent.output);
    assert!(latent.output.contains("Latent loops"), "{}", latent.output);
}

#[test]
fn a_check_of_sampled_files_says_what_sampling_hides() {
    let story = "a ~> b ~> a ~> b ~> a\nc -> c -> c";
    let input = serde_json::to_vec(&Story::parse(story).with_trace_state("ot=th:8").request()).unwrap();
    let found = check(&["-"], &input);
    assert_eq!(found.code, Some(1), "{}", found.output);
    for words in [
        "16 invocations",
        "sampled: 1 in 2 invocations was kept, counts are adjusted",
        "sampled: 1 in 8 laps was kept, counts are adjusted",
        "chains may be deeper than they are seen: after a lap, 1 in 4 of the next laps is kept",
        "sampled: 1 in 2 laps was kept, counts are adjusted",
    ] {
        assert!(found.output.contains(words), "{words:?} is missing in {}", found.output);
    }
    let whole = check(&["-"], &json_of(story));
    assert!(!whole.output.contains("sampled"), "{}", whole.output);
}

#[test]
fn the_report_as_json_has_the_messages_of_the_api() {
    let found = check(&["--format", "json", "-"], &json_of("a -> b -> a -> b -> a"));
    assert_eq!(found.code, Some(1));
    let report = found.json();
    assert_eq!(report["graph"]["functions"].as_array().unwrap().len(), 2);
    assert_eq!(report["graph"]["edges"][0]["kind"], "call");
    let loops = found.loops();
    let function = loops.iter().find(|found| found["level"] == "function").unwrap();
    assert_eq!((&function["functions"], &function["max_depth"]), (&serde_json::json!(["a", "b"]), &2.into()));
    assert_eq!(report["failing_loop_ids"], serde_json::json!([function["id"]]));
    assert!(!report["hotspots"].as_array().unwrap().is_empty());
    assert_eq!(report["anomalies"], serde_json::json!([]));
}

#[test]
fn what_is_tried_again_and_again_is_told_and_is_no_loop() {
    let mut story = Story::default();
    for _ in 0..4 {
        let run = story.start("shop");
        for attempt in 0..3 {
            let callee = story.call(&run, "stock");
            story.shift(&callee, attempt * 20);
            let client = story.edit_caller(&callee);
            client.start_time_unix_nano += attempt * 20_000_000;
            client.end_time_unix_nano += attempt * 20_000_000;
            if attempt < 2 {
                fail(client);
            }
        }
    }
    let body = serde_json::to_vec(&story.request()).unwrap();
    let text = check(&["-"], &body);
    assert_eq!(text.code, Some(0), "{}", text.output);
    for words in ["Retry storms", "shop -> stock: shop works", "3.0 attempts a request; 4 of 4 requests tried again"] {
        assert!(text.output.contains(words), "{words:?} is missing in {}", text.output);
    }
    let report = check(&["--format", "json", "-"], &body).json();
    let storm = &report["loops"][0];
    assert_eq!(
        (&storm["classes"][0], &storm["max_depth"], &storm["laps"]),
        (&"retry_storm".into(), &0.into(), &0.into())
    );
    assert_eq!(storm["retry_storm"]["attempts"], 12);
}

#[test]
fn what_is_tolerated_or_intended_passes_until_it_is_deeper() {
    let story = json_of("a -> b -> a -> b -> a");
    assert_eq!(check(&["--max-depth", "1", "-"], &story).code, Some(1));
    assert_eq!(check(&["--max-depth", "2", "-"], &story).code, Some(0));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("intended.toml");
    let allowed = |text: &str| {
        fs::write(&file, text).unwrap();
        check(&["--allow", file.to_str().unwrap(), "-"], &story)
    };
    let intended = allowed("[[loop]]\nfunctions = ['b', 'a']\nmax_depth = 2\nreason = 'follows pages'\n");
    assert_eq!(intended.code, Some(0), "{}", intended.output);
    assert!(intended.output.contains("intended up to depth 2: follows pages"), "{}", intended.output);
    let broken = allowed("[[loop]]\nfunctions = ['a', 'b']\nmax_depth = 1\nowner = 'team-a'\n");
    assert_eq!(broken.code, Some(1));
    let words = "intended up to depth 1, but 2 laps deep, declared are 1; ask team-a";
    assert!(broken.output.contains(words), "{}", broken.output);
    let json = check(&["--format", "json", "--allow", file.to_str().unwrap(), "-"], &story);
    assert_eq!(json.loops()[0]["reasons"], serde_json::json!(["broken_bound"]), "{}", json.output);
    let expired = allowed("[[loop]]\nfunctions = ['a', 'b']\nmax_depth = 9\nexpires = 2001-01-01\n");
    assert_eq!(expired.code, Some(1));
    assert!(expired.output.contains("expired"), "{}", expired.output);
    let wrong = allowed("[[loop]]\nfunctions = ['a', 'b']\nmax_deep = 9\n");
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.remarks.contains("intended.toml:3: ") && wrong.remarks.contains("max_deep"), "{}", wrong.remarks);
}

#[test]
fn files_may_come_in_any_order_and_form_and_long_after_one_another() {
    // One file for each span, the last first: parents come long after their children.
    let folder = tempfile::tempdir().unwrap();
    let mut story = Story::default();
    let mut run = story.start("f");
    for lap in 1..=12 {
        run = story.message(&run, "f", None);
        // A lap takes two hours.
        story.shift(&run, lap * 7_200_000);
    }
    for (place, request) in story.backwards().enumerate() {
        let (name, bytes) = match place % 3 {
            0 => ("json", serde_json::to_vec(&request).unwrap()),
            1 => ("pb", request.encode_to_vec()),
            _ => ("jsonl.zst", zstd::encode_all(&*serde_json::to_vec(&request).unwrap(), 1).unwrap()),
        };
        fs::write(folder.path().join(format!("{place:03}.{name}")), bytes).unwrap();
    }
    let found = check(&["--format", "json", folder.path().to_str().unwrap()], b"");
    let loops = found.loops();
    assert_eq!((loops.len(), &loops[0]["max_depth"], &loops[0]["chains"]), (1, &12.into(), &1.into()), "{loops:#?}");
    assert_eq!(found.code, Some(1));
}

#[test]
fn what_cannot_be_read_is_named_and_ends_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = String::from_utf8(json_of("a -> b")).unwrap();
    let cases = [
        (at("cut.jsonl", format!("{good}\n{}", &good[..50]).as_bytes()), vec!["cut.jsonl:2: ", "cut off"]),
        (at("other.json", b"{\"traces\": 1}"), vec!["other.json:1: ", "\"traces\"", "resourceSpans"]),
        (at("empty.pb", b""), vec!["empty.pb: it is empty"]),
        (folder.path().join("missing.json").to_str().unwrap().to_owned(), vec!["missing.json", "No such file"]),
    ];
    for (path, words) in cases {
        let said = check(&[&path], b"");
        assert_eq!(said.code, Some(2), "{path}");
        assert_eq!(said.output, "", "{path}");
        for word in words {
            assert!(said.remarks.contains(word), "{word:?} is missing in {}", said.remarks);
        }
    }
    assert_eq!(check(&[], b"").code, Some(2));
    assert_eq!(check(&["--max-depth", "few", "-"], b"").code, Some(2));
}

/// A shop that asks 30 services, three at a time: 61 places. One of them is slower, by itself
/// or between it and the shop.
fn shop(requests: u64, slow: u64, own_ms: u64, gap_ms: u64) -> Vec<u8> {
    let mut story = Story::default();
    let mut noise = 7_u64;
    let mut jitter = |most: u64| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 33) % (most + 1)
    };
    for _ in 0..requests {
        let shop = story.start("shop");
        let mut at_ms = 5 + jitter(3);
        for stage in 0..10 {
            let mut longest_ms = 0;
            for branch in 0..3 {
                let service = stage * 3 + branch;
                let (own, gap) = if service == slow { (own_ms, gap_ms) } else { (0, 0) };
                let work_ms = 20 + service + jitter(8) + own;
                let wait_ms = work_ms + 4 + jitter(3) + gap;
                let run = story.call(&shop, &format!("service-{service}"));
                let began = story.edit(&shop).start_time_unix_nano;
                let takes = |span: &mut Span, start_ms: u64, lasts_ms: u64| {
                    span.start_time_unix_nano = began + start_ms * 1_000_000;
                    last(span, lasts_ms);
                };
                takes(story.edit_caller(&run), at_ms, wait_ms);
                takes(story.edit(&run), at_ms + (wait_ms - work_ms) / 2, work_ms);
                longest_ms = longest_ms.max(wait_ms);
            }
            at_ms += longest_ms;
        }
        last(story.edit(&shop), at_ms + 5);
    }
    serde_json::to_vec(&story.request()).unwrap()
}

#[test]
fn what_became_slower_is_ranked_first_own_work_and_gap_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, content: Vec<u8>| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let before = at("before.json", shop(12, 99, 0, 0));
    for (own_ms, gap_ms, cause) in [(20, 0, "self"), (0, 12, "gap")] {
        let after = at("after.json", shop(12, 17, own_ms, gap_ms));
        // In whichever way the files are named.
        for flags in [vec![&*after, "--baseline", &before], vec!["--baseline", &before, &after]] {
            let report = check(&[vec!["--format", "json"], flags].concat(), b"").json();
            assert_eq!(report["hotspot_basis"], "baseline");
            let spots = report["hotspots"].as_array().unwrap();
            assert_eq!(spots.len(), 61, "nothing is hidden");
            let first = &spots[0];
            assert_eq!((&first["rank"], &first["cause"]), (&1.into(), &cause.into()), "{first:#}");
            let id = |name: &str| {
                let functions = report["graph"]["functions"].as_array().unwrap();
                functions.iter().find(|node| node["name"] == name).unwrap()["id"].clone()
            };
            let place = if cause == "gap" { &first["edge"]["target"] } else { &first["function_id"] };
            assert_eq!(*place, id("service-17"), "{first:#}");
            let moved = first["p95_ms"].as_f64().unwrap() - first["baseline_p95_ms"].as_f64().unwrap();
            assert!((moved - (own_ms + gap_ms) as f64).abs() < 4.0, "{first:#}");
            assert!(first["confidence"].as_f64().unwrap() > 0.5, "{first:#}");
        }
        let text = check(&[&after, "--baseline", &before], b"").output;
        let words = if cause == "gap" { "1. shop -> service-17, gap" } else { "1. service-17, its own work" };
        assert!(text.contains(words) && text.contains("Slower than in the baseline"), "{text}");
    }
    let same = check(&[&before, "--baseline", &before], b"").output;
    assert!(same.contains("Nothing is slower than in the baseline"), "{same}");
    let alone = check(&["--baseline", &before], b"");
    assert_eq!(alone.code, Some(2));
    assert!(alone.remarks.contains("name the files to check"), "{}", alone.remarks);
}

#[test]
fn hotspots_say_what_it_buys_to_be_faster() {
    let report = check(&["--format", "json", "-"], &shop(12, 17, 200, 0)).json();
    assert_eq!(report["hotspot_basis"], "critical_path");
    let first = &report["hotspots"][0];
    assert_eq!((&first["function"], &first["cause"]), (&"service-17".into(), &"self".into()), "{first:#}");
    assert_eq!(first["root"]["function"], "shop");
    let saves = |key: &str| first[key].as_f64().unwrap();
    // The other branches of its stage take some 50 ms, so half of its 245 can go.
    assert!((saves("saves_10_ms") - 24.0).abs() < 3.0 && (saves("saves_50_ms") - 122.0).abs() < 8.0, "{first:#}");
    assert!(saves("tail_share") > 0.3 && saves("calls_per_trace") == 1.0, "{first:#}");
    let beside = report["hotspots"].as_array().unwrap().iter().find(|spot| spot["function"] == "service-15").unwrap();
    assert_eq!((&beside["share"], &beside["saves_50_ms"]), (&0.0.into(), &0.0.into()), "{beside:#}");
}

#[test]
fn settings_around_it_do_not_matter() {
    let mut command = program();
    command.args(["check", "/nowhere.json"]).env("LOOPSCOPE_RETENTION", "nonsense").env("LOOPSCOPE_SHARDS", "many");
    let said = command.output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8(said.stderr).unwrap().contains("/nowhere.json"));
}

#[test]
fn captures_get_the_verdicts_that_are_expected() {
    let Some(folder) = std::env::var_os("LOOPSCOPE_TRACES").map(PathBuf::from) else {
        eprintln!("SKIPPED: LOOPSCOPE_TRACES names no folder with captures and expected_verdicts.json");
        return;
    };
    let expected: Value = serde_json::from_slice(&fs::read(folder.join("expected_verdicts.json")).unwrap()).unwrap();
    let loops = expected["loops"].as_array().unwrap();
    for verdict in loops {
        let file = folder.join(verdict["file"].as_str().unwrap());
        let found = check(&["--format", "json", file.to_str().unwrap()], b"");
        if verdict["ring"].is_array() {
            assert_ring(&found, verdict);
        } else {
            assert_eq!(found.code, Some(1), "{verdict:#}");
            assert_loop(&found.loops(), verdict);
        }
    }
    let deepest = |file: &Path| {
        let known = loops.iter().filter(|verdict| file.ends_with(verdict["file"].as_str().unwrap()));
        known.filter_map(|verdict| verdict["service_visits"].as_u64()).max().unwrap_or(1) - 1
    };
    for trap in expected["traps"].as_array().unwrap() {
        let files = matching(&folder, trap["file"].as_str().unwrap());
        assert!(!files.is_empty(), "{trap:#}");
        for file in files {
            let found = check(&["--format", "json", file.to_str().unwrap()], b"").loops();
            let too_deep: Vec<_> =
                found.iter().filter(|each| each["max_depth"].as_u64() > Some(deepest(&file))).collect();
            assert!(too_deep.is_empty(), "{} is a trap: {}; found {too_deep:#?}", file.display(), trap["why"]);
        }
    }
}

/// The six spans whose parents form a ring are named, and are no loop.
#[track_caller]
fn assert_ring(found: &Said, verdict: &Value) {
    assert_eq!((found.code, found.loops()), (Some(0), Vec::new()));
    let report = found.json();
    let rings = report["anomalies"].as_array().unwrap().iter().filter(|anomaly| anomaly["kind"] == "parent_ring");
    let exemplars: Vec<&Value> = rings.flat_map(|anomaly| anomaly["exemplars"].as_array().unwrap()).collect();
    assert_eq!(exemplars.len(), 1, "{report:#}");
    assert_eq!(set(&exemplars[0]["span_ids"]), set(&verdict["ring"]));
}

#[track_caller]
fn assert_loop(found: &[Value], verdict: &Value) {
    let names = |key: &str| set(&verdict[key]);
    let cycle = if verdict["path"].is_array() { names("path") } else { names("cycle") };
    let is =
        |each: &Value, level: &str, depth: u64| each["level"] == level && each["max_depth"].as_u64() >= Some(depth);
    let times = verdict["times_on_one_path"].as_u64();
    let mut seen = Vec::new();
    if let Some(visits) = verdict["service_visits"].as_u64() {
        seen.push(found.iter().any(|each| is(each, "function", visits - 1) && set(&each["functions"]) == cycle));
    }
    match (verdict["function"].as_str().and_then(|name| name.split_once("::")), times) {
        (Some((service, operation)), Some(times)) => seen.push(found.iter().any(|each| {
            let runs = set(&each["functions"]).contains(service) && set(&each["operations"]).contains(operation);
            each["level"] == "operation" && each["max_depth"] == times - 1 && runs
        })),
        // A function that goes round through its own operations.
        (None, Some(times)) if cycle.iter().any(|name| name.contains("::")) => seen.push(found.iter().any(|each| {
            let function = each["functions"].as_array().unwrap()[0].as_str().unwrap();
            let through = set(&each["operations"]);
            each["level"] == "function"
                && each["max_depth"] == times - 1
                && verdict["self_calls"][function] == each["laps"]
                && !through.is_empty()
                && through.iter().all(|operation| cycle.contains(&format!("{function}::{operation}")))
        })),
        (None, Some(times)) => seen.push(found.iter().any(|each| {
            each["level"] == "operation" && each["max_depth"] == times - 1 && set(&each["operations"]) == cycle
        })),
        (_, None) => {}
    }
    assert!(!seen.is_empty() && seen.iter().all(|seen| *seen), "{seen:?} {verdict:#} {found:#?}");
}

fn set(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The files that a path with a star for the end of a name means.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let Some(start) = pattern.strip_suffix('*') else { return vec![folder.join(pattern)] };
    let (within, prefix) = start.rsplit_once('/').unwrap();
    let entries = fs::read_dir(folder.join(within)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect()
}
