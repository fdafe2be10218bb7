//! Splits the content of a file into OTLP requests.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{InputError, Place, SPANS};
use crate::otlp::{EnvelopeError, Signal, json};

/// Keys of a foreign object that an error names.
const KEYS: usize = 5;

/// What takes a protobuf request with its place, and says how many spans it had.
type Take<'t> = dyn FnMut(&Place, &[u8]) -> Result<u64, EnvelopeError> + 't;

/// Hands on each request of a file.
///
/// # Errors
/// When it holds none, or one that cannot be read.
pub(super) fn each(name: &str, bytes: &[u8], take: &mut Take<'_>) -> Result<(), InputError> {
    let mut file = File { name, spans: 0, others: 0, take };
    let begins_as_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"{[".contains(byte));
    match (str::from_utf8(bytes), bytes.first()) {
        (Ok(text), _) if begins_as_json => file.json(text)?,
        (_, None) => return Err(file.not_otlp(None, "it is empty".to_owned())),
        // Field 0 does not exist, so this is the upper byte of a length.
        (_, Some(0)) => file.sized(bytes)?,
        (_, Some(_)) => file.protobuf(bytes)?,
    }
    if file.spans == 0 && file.others == 0 {
        return Err(file.not_otlp(None, "there is no span in it".to_owned()));
    }
    Ok(())
}

/// A file that is being read.
struct File<'f, 't> {
    name: &'f str,
    /// Spans so far.
    spans: u64,
    /// Requests of other signals, which exporters write into the same file.
    others: u64,
    take: &'f mut Take<'t>,
}

/// The top of a JSON request.
#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow, rename = "resourceSpans")]
    spans: Option<&'a RawValue>,
    #[serde(rename = "resourceLogs")]
    logs: Option<IgnoredAny>,
    #[serde(rename = "resourceMetrics")]
    metrics: Option<IgnoredAny>,
}

impl File<'_, '_> {
    fn json(&mut self, text: &str) -> Result<(), InputError> {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let mut line = Line { text, at: 0, number: 1 };
        while let Some(value) = values.next() {
            let value = value.map_err(|error| self.broken(Some(error.line()), without_line(&error)))?;
            let start = values.byte_offset() - value.get().len();
            if !value.get().starts_with('[') {
                self.object(value.get(), line.of(start))?;
                continue;
            }
            let list: Vec<&RawValue> = serde_json::from_str(value.get())
                .map_err(|error| self.broken(Some(line.of(start)), without_line(&error)))?;
            for element in list {
                // Both are parts of one text, so this is a distance within it.
                let at = (element.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
                self.object(element.get(), line.of(at))?;
            }
        }
        Ok(())
    }

    fn object(&mut self, text: &str, line: usize) -> Result<(), InputError> {
        let Ok(top) = serde_json::from_str::<Top<'_>>(text) else {
            return Err(self.not_otlp(Some(line), format!("{} is no request", shortened(text))));
        };
        if top.spans.is_none() {
            if top.logs.is_some() || top.metrics.is_some() {
                self.others += 1;
                return Ok(());
            }
            return Err(self.not_otlp(Some(line), format!("an object with {} is no request", keys(text))));
        }
        let converted = json::to_protobuf(Signal::Traces, text.as_bytes()).map_err(|error| {
            let (below, reason) = error.place();
            self.broken(Some(line + below.saturating_sub(1)), reason)
        })?;
        self.request(&converted.protobuf, Some(line))
    }

    /// Requests with their lengths before them, four bytes each, as the file exporter of the Collector writes them.
    fn sized(&mut self, bytes: &[u8]) -> Result<(), InputError> {
        let mut rest = bytes;
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let Some((request, after)) = after.split_at_checked(length) else {
                return Err(self.broken(None, format!("its last request lacks {} bytes", length - after.len())));
            };
            self.request(request, None)?;
            rest = after;
        }
        Ok(())
    }

    fn protobuf(&mut self, bytes: &[u8]) -> Result<(), InputError> {
        match self.request(bytes, None) {
            // A request begins with its field 1 and holds ids, which are no text.
            Err(InputError::Broken { .. }) if bytes[0] != 0x0a || bytes.is_ascii() => {
                Err(self.not_otlp(None, "it is neither JSON nor an OTLP request".to_owned()))
            }
            taken => taken,
        }
    }

    fn request(&mut self, request: &[u8], line: Option<usize>) -> Result<(), InputError> {
        let place = Place { file: self.name.to_owned(), line };
        match (self.take)(&place, request) {
            Ok(spans) => self.spans += spans,
            Err(error) => return Err(self.broken(line, error.cause.to_string())),
        }
        if self.spans > SPANS as u64 {
            return Err(InputError::TooLarge { place, bound: format!("{SPANS} spans") });
        }
        Ok(())
    }

    fn broken(&self, line: Option<usize>, reason: String) -> InputError {
        InputError::Broken { place: Place { file: self.name.to_owned(), line }, reason }
    }

    fn not_otlp(&self, line: Option<usize>, reason: String) -> InputError {
        InputError::NotOtlp { place: Place { file: self.name.to_owned(), line }, reason }
    }
}

/// Counts lines, forward only, so that a file of many lines is gone through once.
struct Line<'a> {
    text: &'a str,
    at: usize,
    number: usize,
}

impl Line<'_> {
    fn of(&mut self, offset: usize) -> usize {
        let passed = self.text.as_bytes().get(self.at..offset).unwrap_or_default();
        self.number += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at = self.at.max(offset);
        self.number
    }
}

fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn shortened(text: &str) -> String {
    let short: String = text.chars().take(20).collect();
    if short.len() < text.len() { format!("{short}..") } else { short }
}

/// The first keys of an object, in words.
fn keys(text: &str) -> String {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    let named: Vec<String> = object.keys().take(KEYS).map(|key| format!("{key:?}")).collect();
    if named.is_empty() { "nothing in it".to_owned() } else { named.join(", ") }
}
