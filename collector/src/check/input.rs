//! Finds the files of a check and reads the spans out of them, whatever their form.
//!
//! The content decides, not the name: OTLP/JSON as one request, as a list of requests or as one request a line, OTLP
//! protobuf as one request or each with its length before it, all of these with gzip or zstd around. A file that was
//! named must hold spans; in a folder, files that hold something else are skipped and told.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use loopscope_analyzer::{snapshot::Losses, span::Span};

use super::Streams;
use crate::otlp::{EnvelopeError, limits::ItemLimits, traces};

mod requests;

/// Bound on the spans of one check; they are all held in memory, about 1 KB each.
pub const SPANS: usize = 10_000_000;

/// Bound on one file, after unpacking.
const FILE_BYTES: u64 = 4 << 30;

/// Bound on the folders that are looked into below one another.
const FOLDERS_DEEP: usize = 64;

/// Names in a folder that are looked at end with one of these, and perhaps with one of [`PACKED`] behind it.
const EXTENSIONS: [&str; 7] = ["json", "jsonl", "ndjson", "pb", "binpb", "bin", "otlp"];
const PACKED: [&str; 3] = ["gz", "zst", "zstd"];

/// Files that are listed by name; further ones are only counted.
const NAMED: usize = 3;

/// What was read.
#[derive(Default)]
pub(super) struct Input {
    pub(super) spans: Vec<Span>,
    /// Files, and standard input, that held spans.
    pub(super) sources: usize,
    /// Files of folders that hold no spans.
    pub(super) skipped: Vec<PathBuf>,
    pub(super) rejected: Rejected,
    /// What was mended or let go while spans were decoded.
    pub(super) losses: Losses,
}

/// Spans that cannot be used.
#[derive(Default)]
pub(super) struct Rejected {
    pub(super) spans: u64,
    /// Where the first of them stands, and what is wrong with it.
    pub(super) first: Option<(String, traces::Rejection)>,
}

/// Why the spans cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A file or a folder cannot be opened or read.
    #[error("{name}: {cause}; name OTLP files, folders of them, or - for standard input")]
    Unreadable {
        /// The file.
        name: String,
        /// What the system says.
        cause: io::Error,
    },
    /// The file is no OTLP request.
    #[error(
        "{place}: {reason}; a file holds OTLP traces as JSON (an object with \"resourceSpans\", one a line or in a \
         list) or as protobuf (ExportTraceServiceRequest)"
    )]
    NotOtlp {
        /// The file, and the line where that is known.
        place: Place,
        /// What it looks like.
        reason: String,
    },
    /// The file begins like an OTLP request and is broken.
    #[error("{place}: {reason}; the file may be cut off: write it again, or leave it out")]
    Broken {
        /// The file, and the line where that is known.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// There is too much.
    #[error("{place}: more than {bound}; check fewer files at a time")]
    TooLarge {
        /// Where the bound was met.
        place: Place,
        /// The bound.
        bound: String,
    },
    /// Nothing that was named holds a span.
    #[error("no span to check in {names}{why}; name OTLP files, folders of them, or - for standard input")]
    Nothing {
        /// What was looked at.
        names: String,
        /// Why what was there is not used; empty, or beginning with a colon.
        why: String,
    },
}

/// Where something stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1, in files that have lines.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Reads everything that was named.
pub(super) fn read(paths: &[PathBuf], streams: &mut Streams<'_>) -> Result<Input, InputError> {
    let mut input = Input::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let name = "standard input".to_owned();
            let bytes = unpack(&name, &mut *streams.input)?;
            input.take(&name, &bytes)?;
        } else if path.is_dir() {
            let mut files = Vec::new();
            list(path, FOLDERS_DEEP, &mut files)?;
            for file in files {
                match input.take_file(&file) {
                    Err(InputError::NotOtlp { .. }) => input.skipped.push(file),
                    taken => taken?,
                }
                input.show(streams);
            }
        } else {
            input.take_file(path)?;
            input.show(streams);
        }
    }
    if input.spans.is_empty() {
        let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let why: String = remarks(&input.skipped, &input.rejected).iter().map(|remark| format!(": {remark}")).collect();
        return Err(InputError::Nothing { names: names.join(", "), why });
    }
    Ok(input)
}

/// What people should know of what was not read.
pub(super) fn remarks(skipped: &[PathBuf], rejected: &Rejected) -> Vec<String> {
    let mut remarks = Vec::new();
    if !skipped.is_empty() {
        let named: Vec<String> = skipped.iter().take(NAMED).map(|path| path.display().to_string()).collect();
        let more = if skipped.len() > NAMED { ", .." } else { "" };
        remarks.push(format!("{} skipped, without OTLP traces: {}{more}", files(skipped.len()), named.join(", ")));
    }
    if let Some((place, reason)) = &rejected.first {
        let spans = rejected.spans;
        remarks.push(format!("{spans} spans were rejected, the first in {place}: {reason}"));
    }
    remarks
}

/// A number of files in words.
pub(super) fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// The files below a folder that may hold spans, by name.
fn list(folder: &Path, deep: usize, found: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let unreadable = |cause| InputError::Unreadable { name: folder.display().to_string(), cause };
    let entries = fs::read_dir(folder).map_err(unreadable)?.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if deep > 0 {
                list(&path, deep - 1, found)?;
            }
        } else if is_candidate(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_candidate(path: &Path) -> bool {
    let ends_with =
        |path: &Path, list: &[&str]| path.extension().and_then(OsStr::to_str).is_some_and(|end| list.contains(&end));
    ends_with(path, &EXTENSIONS) || ends_with(path, &PACKED) && ends_with(&path.with_extension(""), &EXTENSIONS)
}

/// All bytes of a source, without what packs them.
fn unpack(name: &str, source: impl Read) -> Result<Vec<u8>, InputError> {
    let unreadable = |cause| InputError::Unreadable { name: name.to_owned(), cause };
    let mut source = BufReader::new(source);
    let magic = io::BufRead::fill_buf(&mut source).map_err(unreadable)?;
    let is_gzip = magic.starts_with(&[0x1f, 0x8b]);
    let is_zstd = magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let mut bytes = Vec::new();
    let read = if is_gzip {
        flate2::bufread::MultiGzDecoder::new(source).take(FILE_BYTES + 1).read_to_end(&mut bytes)
    } else if is_zstd {
        zstd::stream::read::Decoder::with_buffer(source)
            .and_then(|unpacked| unpacked.take(FILE_BYTES + 1).read_to_end(&mut bytes))
    } else {
        source.take(FILE_BYTES + 1).read_to_end(&mut bytes)
    };
    let place = || Place { file: name.to_owned(), line: None };
    match read {
        Ok(read) if read as u64 > FILE_BYTES => {
            Err(InputError::TooLarge { place: place(), bound: "4 GiB in one file".to_owned() })
        }
        Ok(_) => Ok(bytes),
        Err(cause) if is_gzip || is_zstd => {
            let packing = if is_gzip { "gzip" } else { "zstd" };
            Err(InputError::Broken { place: place(), reason: format!("it cannot be unpacked as {packing}: {cause}") })
        }
        Err(cause) => Err(unreadable(cause)),
    }
}

impl Input {
    fn take_file(&mut self, path: &Path) -> Result<(), InputError> {
        let name = path.display().to_string();
        let file = fs::File::open(path).map_err(|cause| InputError::Unreadable { name: name.clone(), cause })?;
        self.take(&name, &unpack(&name, file)?)
    }

    fn take(&mut self, name: &str, bytes: &[u8]) -> Result<(), InputError> {
        requests::each(name, bytes, &mut |place, request| self.take_request(place, request))?;
        self.sources += 1;
        if self.spans.len() > SPANS {
            let place = Place { file: name.to_owned(), line: None };
            return Err(InputError::TooLarge { place, bound: format!("{SPANS} spans with the files before it") });
        }
        Ok(())
    }

    /// Takes the spans of one protobuf request; how many it had, with those that cannot be used.
    fn take_request(&mut self, place: &Place, request: &[u8]) -> Result<u64, EnvelopeError> {
        let decoded = traces::spans(request, &ItemLimits::default().of(u64::MAX))?;
        let seen = decoded.spans.len() as u64 + decoded.rejected;
        if let Some(reason) = decoded.reason {
            self.rejected.spans += decoded.rejected;
            self.rejected.first.get_or_insert_with(|| (place.to_string(), reason));
        }
        self.losses.links_dropped += decoded.links_dropped;
        self.losses.mended += decoded.parents_dropped;
        self.spans.extend(decoded.spans);
        Ok(seen)
    }

    fn show(&self, streams: &mut Streams<'_>) {
        // Nobody may be looking, which is no reason to stop.
        let _ = streams.progress(&format!("read {}, {} spans", files(self.sources), self.spans.len()));
    }
}

#[cfg(test)]
mod tests;
