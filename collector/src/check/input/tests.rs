//! Every form of a file, and every way in which it can be broken.

use std::io::{Cursor, Write as _};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span as WireSpan},
};
use prost::Message as _;

use super::*;

fn request(ids: &[u8]) -> ExportTraceServiceRequest {
    let spans = ids.iter().map(|id| WireSpan {
        trace_id: vec![0xee; 16],
        span_id: vec![*id; 8],
        name: "works".into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        ..Default::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

fn json(ids: &[u8]) -> String {
    serde_json::to_string(&request(ids)).unwrap()
}

fn take(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut input = Input::default();
    let unpacked = unpack("f", bytes).map_err(|error| error.to_string())?;
    input.take("f", &unpacked).map_err(|error| error.to_string())?;
    Ok(input.spans.iter().map(|span| span.span_id.0[0]).collect())
}

fn read_all(paths: &[&Path], stdin: &[u8]) -> Result<Input, InputError> {
    let (mut input, mut output, mut remarks) = (Cursor::new(stdin), Vec::new(), Vec::new());
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    read(&paths, &mut Streams { input: &mut input, output: &mut output, remarks: &mut remarks, shows_progress: false })
}

#[track_caller]
fn refused(bytes: &[u8], words: &[&str]) {
    let error = take(bytes).unwrap_err();
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in {error:?}");
    }
}

#[test]
fn json_comes_as_one_request_as_a_list_and_as_lines() {
    let pretty = serde_json::to_string_pretty(&request(&[1, 2])).unwrap();
    assert_eq!(take(pretty.as_bytes()), Ok(vec![1, 2]));
    assert_eq!(take(format!("\n [{},\n{}]", json(&[1]), json(&[2])).as_bytes()), Ok(vec![1, 2]));
    assert_eq!(take(format!("{}\n{}\n\n{}\n", json(&[1]), json(&[2]), json(&[3])).as_bytes()), Ok(vec![1, 2, 3]));
    let with_logs = format!("{{\"resourceLogs\":[]}}\n{}", json(&[1]));
    assert_eq!(take(with_logs.as_bytes()), Ok(vec![1]));
}

#[test]
fn protobuf_comes_as_one_request_and_with_lengths() {
    let bytes = |ids: &[u8]| request(ids).encode_to_vec();
    assert_eq!(take(&bytes(&[1, 2])), Ok(vec![1, 2]));
    let mut sized = Vec::new();
    for request in [bytes(&[1]), bytes(&[2, 3])] {
        sized.extend(u32::try_from(request.len()).unwrap().to_be_bytes());
        sized.extend(request);
    }
    assert_eq!(take(&sized), Ok(vec![1, 2, 3]));
    refused(&sized[..sized.len() - 3], &["lacks 3 bytes"]);
}

#[test]
fn packed_files_are_unpacked() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(json(&[1]).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(take(&gzip), Ok(vec![1]));
    refused(&gzip[..gzip.len() / 2], &["gzip", "write it again"]);
    let zstd = zstd::encode_all(json(&[2]).as_bytes(), 1).unwrap();
    assert_eq!(take(&zstd), Ok(vec![2]));
}

#[test]
fn what_is_broken_is_named_with_its_line() {
    let second_line_cut = format!("{}\n{}", json(&[1]), &json(&[2])[..40]);
    refused(second_line_cut.as_bytes(), &["f:2: ", "EOF", "cut off"]);
    let wrong = format!("{}\n{}\n", json(&[1]), json(&[2]).replace("\"name\":\"works\"", "\"name\":[7]"));
    refused(wrong.as_bytes(), &["f:2: "]);
    let in_list = format!("[\n{},\n{{\"resourceSpans\":7}}]", json(&[1]));
    refused(in_list.as_bytes(), &["f:3: "]);
    let mut cut = request(&[1, 2]).encode_to_vec();
    cut.truncate(cut.len() - 5);
    refused(&cut, &["f: ", "cut off"]);
}

#[test]
fn what_is_no_otlp_is_told_what_is() {
    refused(b"", &["f: it is empty", "resourceSpans"]);
    refused(b"hello\n", &["neither JSON nor", "ExportTraceServiceRequest"]);
    refused(b"\nhello\n", &["neither JSON nor"]);
    refused(b"{\"data\":[],\"total\":0}", &["f:1: ", "\"data\", \"total\"", "resourceSpans"]);
    refused(b"[1, 2]", &["f:1: 1 is no request"]);
    refused(b"{\"resourceSpans\":[]}", &["no span"]);
}

#[test]
fn folders_are_gone_through_and_what_is_not_otlp_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    fs::write(folder.path().join("one.json"), json(&[1])).unwrap();
    fs::write(below.join("two.jsonl.zst"), zstd::encode_all(json(&[2]).as_bytes(), 1).unwrap()).unwrap();
    fs::write(below.join("three.pb"), request(&[3]).encode_to_vec()).unwrap();
    fs::write(below.join("truth.json"), "{\"counts\": {}}").unwrap();
    fs::write(below.join("README.md"), "read me").unwrap();
    let input = read_all(&[folder.path(), Path::new("-")], json(&[4]).as_bytes()).unwrap();
    let mut ids: Vec<u8> = input.spans.iter().map(|span| span.span_id.0[0]).collect();
    ids.sort_unstable();
    assert_eq!((ids, input.sources), (vec![1, 2, 3, 4], 4));
    let remarks = remarks(&input.skipped, &input.rejected);
    assert!(remarks[0].starts_with("1 file skipped") && remarks[0].contains("truth.json"), "{remarks:?}");

    fs::write(below.join("broken.json"), "{\"resourceSpans\": [").unwrap();
    let error = read_all(&[folder.path()], b"").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("broken.json:1"), "a broken file must not pass: {error}");
}

#[test]
fn nothing_to_check_is_an_error_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = |path: &Path| read_all(&[path], b"").map(|_| ()).unwrap_err().to_string();
    assert!(nothing(folder.path()).contains("no span to check"));
    assert!(nothing(&folder.path().join("missing.json")).contains("missing.json"));
    let file = folder.path().join("long.json");
    fs::write(&file, json(&[1]).replace(&"ee".repeat(16), &"ee".repeat(24))).unwrap();
    let error = nothing(&file);
    assert!(error.contains("trace_id must have 16 bytes") && error.contains("1 span"), "{error}");
}
