//! `loopscope generate`: labelled spans of functions that run away, as files.
//!
//! For who wants to try a detector, or to load a collector, without functions of their own: OTLP as JSON lines, one
//! export a line in the order of arrival, and beside it what is true of them. What the worlds are made of is the
//! corpus's; here they are only written.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use loopscope_analyzer::{
    attribute::{Attributes, Value},
    identity::Resource,
    span::{Span, SpanKind},
};
use loopscope_corpus::{
    class::Class,
    knobs::{Context, ExportDelay, Knobs},
    labels::Labels,
    suites,
    world::World,
};
use serde_json::{Map, json};

/// Name of the file of spans.
pub const SPANS_FILE: &str = "traces.jsonl";

/// Name of the file that says what is true.
pub const LABELS_FILE: &str = "labels.json";

/// What is asked.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct Options {
    /// Seed of everything that is drawn: the same seed gives the same files.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What runs away, or only looks like it; several give one world of all.
    #[arg(long, required = true, value_name = "NAME", value_parser = scenario, value_delimiter = ',')]
    pub scenario: Vec<Class>,
    /// Folder for the files; it is made when it is missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seconds of virtual time.
    #[arg(long, default_value_t = 600.0, value_parser = seconds)]
    pub seconds: f64,
    /// Invocations a second of functions that do nothing remarkable, up to 10,000.
    #[arg(long, default_value_t = 5.0, value_parser = rate)]
    pub background: f64,
    /// How an invocation tells what caused it.
    #[arg(long, value_enum, default_value_t = Context::Link)]
    pub context: Context,
    /// Median seconds from the end of an invocation to the arrival of its spans.
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    pub delay: f64,
    /// Share of exports that arrive twice.
    #[arg(long, default_value_t = 0.03, value_parser = share)]
    pub duplicates: f64,
    /// Share of exports that never arrive.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub loss: f64,
    /// Seconds by which clocks are off, at most.
    #[arg(long, default_value_t = 0.2, value_parser = seconds)]
    pub skew: f64,
    /// Messages that a queue hands over at once, at most.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub batch: u16,
    /// Share of traces that are kept.
    #[arg(long, default_value_t = 1.0, value_parser = share)]
    pub sampling: f64,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Exports, a line each.
    pub exports: u64,
    /// Spans in them, duplicates included.
    pub spans: u64,
}

/// Why nothing was written, or not all.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {source}; name a folder that can be written with --out", path = path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// Writes a world.
///
/// # Errors
/// When the folder or a file in it cannot be written.
pub fn run(options: &Options) -> Result<Written, WriteError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| WriteError { path, source }
    };
    fs::create_dir_all(&options.out).map_err(failed(&options.out))?;
    let (spans_path, labels_path) = (options.out.join(SPANS_FILE), options.out.join(LABELS_FILE));
    let plan = suites::world_of(options.seed, &options.scenario, knobs(options), options.seconds, options.background);
    let mut world = World::new(plan);
    let mut file = BufWriter::new(File::create(&spans_path).map_err(failed(&spans_path))?);
    let mut written = Written { exports: 0, spans: 0 };
    for export in world.by_ref() {
        written.exports += 1;
        written.spans += export.spans.len() as u64;
        serde_json::to_writer(&mut file, &request(&export.spans))
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(failed(&spans_path))?;
    }
    file.flush().map_err(failed(&spans_path))?;
    let mut file = BufWriter::new(File::create(&labels_path).map_err(failed(&labels_path))?);
    serde_json::to_writer_pretty(&mut file, &Labels::new(world.plan(), world.truth()))
        .map_err(io::Error::from)
        .and_then(|()| file.flush())
        .map_err(failed(&labels_path))?;
    Ok(written)
}

fn knobs(options: &Options) -> Knobs {
    Knobs {
        context: options.context,
        export_delay: ExportDelay::Around(options.delay),
        duplicates: options.duplicates,
        loss: options.loss,
        clock_skew: options.skew,
        batch: usize::from(options.batch),
        sampling: options.sampling,
    }
}

/// An export request as the JSON of OTLP: ids in hexadecimal digits, whole numbers of 64 bits as text.
fn request(spans: &[Span]) -> serde_json::Value {
    // All spans of one export are of one invocation, and so of one resource.
    let resource = spans.first().map(|span| resource(&span.resource));
    let spans: Vec<serde_json::Value> = spans.iter().map(span).collect();
    json!({
        "resourceSpans": [{
            "resource": resource,
            "scopeSpans": [{"scope": {"name": "loopscope-corpus"}, "spans": spans}],
        }],
    })
}

fn resource(resource: &Resource) -> serde_json::Value {
    json!({"attributes": attributes(&resource.attributes)})
}

fn span(span: &Span) -> serde_json::Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: serde_json::Value| fields.insert(key.to_owned(), value);
    set("traceId", json!(span.trace_id.to_string()));
    set("spanId", json!(span.span_id.to_string()));
    if let Some(parent) = span.parent_span_id {
        set("parentSpanId", json!(parent.to_string()));
    }
    if let Some(probability) = span.sampling {
        set("traceState", json!(trace_state(f64::from(probability))));
    }
    set("name", json!(span.name));
    set("kind", json!(kind(span.kind)));
    set("startTimeUnixNano", json!(span.start.0.to_string()));
    set("endTimeUnixNano", json!(span.end.0.to_string()));
    set("attributes", attributes(&span.attributes));
    if !span.links.is_empty() {
        let link = |link: &loopscope_analyzer::span::SpanLink| json!({"traceId": link.trace_id.to_string(), "spanId": link.span_id.to_string()});
        set("links", span.links.iter().map(link).collect());
    }
    if span.error {
        set("status", json!({"code": 2}));
    }
    serde_json::Value::Object(fields)
}

fn attributes(attributes: &Attributes) -> serde_json::Value {
    let value = |value: &Value| match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Int(number) => json!({"intValue": number.to_string()}),
        Value::Bool(truth) => json!({"boolValue": truth}),
    };
    attributes.iter().map(|(key, known)| json!({"key": key, "value": value(known)})).collect()
}

fn kind(kind: SpanKind) -> u8 {
    match kind {
        SpanKind::Unspecified => 0,
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

/// The threshold of consistent sampling: the part that is dropped, in 56 bits without the zeroes at the end.
fn trace_state(probability: f64) -> String {
    let threshold = ((1.0 - probability) * (1_u64 << 56) as f64) as u64;
    let digits = format!("{threshold:014x}");
    let digits = digits.trim_end_matches('0');
    format!("ot=th:{}", if digits.is_empty() { "0" } else { digits })
}

fn scenario(name: &str) -> Result<Class, String> {
    Class::named(name).ok_or_else(|| {
        let known: Vec<&str> = Class::ALL.iter().map(|class| class.word()).collect();
        format!("there is no such scenario; choose of {}", known.join(", "))
    })
}

/// The longest world that is written: a loop of a day goes round a few times.
const LONGEST_SECONDS: f64 = 40.0 * 86_400.0;

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0, LONGEST_SECONDS)
}

fn rate(text: &str) -> Result<f64, String> {
    within(text, 0.0, 10_000.0)
}

fn share(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1.0)
}

fn within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "give a number".to_owned())?;
    if (low..=high).contains(&number) { Ok(number) } else { Err(format!("give a number from {low} to {high}")) }
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::span::sampling_in;

    use super::*;
    use crate::check;

    fn options(scenario: Class, out: &Path) -> Options {
        Options {
            seed: 3,
            scenario: vec![scenario],
            out: out.to_owned(),
            seconds: 240.0,
            background: 1.0,
            context: Context::Link,
            delay: 0.5,
            duplicates: 0.03,
            loss: 0.0,
            skew: 0.2,
            batch: 1,
            sampling: 1.0,
        }
    }

    fn check(folder: &Path) -> (check::Verdict, String) {
        let (mut output, mut remarks) = (Vec::new(), Vec::new());
        let asked = check::Options {
            paths: vec![folder.join(SPANS_FILE)],
            format: check::Format::Text,
            max_depth: 16,
            allow: None,
            baseline: Vec::new(),
        };
        let mut streams = check::Streams {
            input: &mut io::empty(),
            output: &mut output,
            remarks: &mut remarks,
            shows_progress: false,
        };
        let verdict = check::run(&asked, &mut streams).unwrap();
        (verdict, String::from_utf8(output).unwrap())
    }

    #[test]
    fn the_check_finds_in_the_files_what_the_labels_say() {
        let folder = tempfile::tempdir().unwrap();
        for (class, expected) in [(Class::SelfQueue, check::Verdict::Loops), (Class::Diamond, check::Verdict::Clean)] {
            let out = folder.path().join(class.word());
            let written = run(&options(class, &out)).unwrap();
            assert!(written.exports > 100 && written.spans > written.exports);
            let (verdict, report) = check(&out);
            assert_eq!(verdict, expected, "{report}");
            let labels: serde_json::Value = serde_json::from_slice(&fs::read(out.join(LABELS_FILE)).unwrap()).unwrap();
            assert_eq!(labels["loops"][0]["class"], class.word());
            assert!(labels["entries"].as_array().is_some_and(|entries| entries.len() > 20));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_files() {
        let folder = tempfile::tempdir().unwrap();
        let files = |name: &str| {
            let out = folder.path().join(name);
            run(&options(Class::CycleMixed, &out)).unwrap();
            (fs::read(out.join(SPANS_FILE)).unwrap(), fs::read(out.join(LABELS_FILE)).unwrap())
        };
        assert_eq!(files("one"), files("other"));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = run(&options(Class::Cron, &file.path().join("below"))).unwrap_err();
        assert!(error.to_string().contains("--out"), "{error}");
    }

    #[test]
    fn the_threshold_says_how_much_is_kept() {
        for probability in [1.0, 0.5, 0.1] {
            let read = sampling_in(&trace_state(probability)).unwrap();
            assert!((f64::from(read) - probability).abs() < 1e-6, "{}", trace_state(probability));
        }
    }
}
