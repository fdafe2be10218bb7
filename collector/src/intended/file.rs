//! The file of intended loops: a list of `[[loop]]` tables in TOML.
//!
//! ```toml
//! [[loop]]
//! functions = ["crawl", "store"]   # the cycle, from any of its functions on; or: id = "0a07ce56…"
//! max_depth = 40                   # laps of one chain that are fine; and, or instead: max_rate_per_minute = 600
//! environment = "prod"             # optional, like all below: only there
//! owner = "team-crawl"
//! expires = 2027-06-30             # not intended any more when this day (UTC) is over; a time is fine too
//! reason = "follows pagination"
//! ```
//!
//! What a declaration may say is decided in `message.rs`, for the file as for the API; this is text to values. Every
//! error names the file, the line, and what to write instead.

use std::{fs, io, path::Path};

use loopscope_analyzer::intended::Intended;
use loopscope_proto::v1;
use prost_types::Timestamp;
use serde::Deserialize;
use toml::{
    Spanned,
    value::{Datetime, Offset},
};

use super::message::{self, Source};

/// Bound on the loops of one file; each is held against every loop that is found.
pub const LOOPS: usize = 1_000;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Why a file of intended loops cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read at all.
    #[error("{file}: {cause}; name a TOML file with [[loop]] tables")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        cause: io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}:{line}: {reason}")]
    Wrong {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong and how to put it right.
        reason: String,
    },
}

/// Reads a file of intended loops.
///
/// # Errors
/// When the file cannot be read, or says something that makes no sense.
pub fn read(path: &Path) -> Result<Vec<Intended>, FileError> {
    let file = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => parse(&file, &text),
        Err(cause) => Err(FileError::Unreadable { file, cause }),
    }
}

/// Reads intended loops from text; `file` is how errors call it.
///
/// # Errors
/// When the text says something that makes no sense.
pub fn parse(file: &str, text: &str) -> Result<Vec<Intended>, FileError> {
    let wrong = |at: usize, reason: String| FileError::Wrong {
        file: file.to_owned(),
        line: text.get(..at).unwrap_or(text).matches('\n').count() + 1,
        reason,
    };
    let written: Written = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(at, format!("{}; each entry is a [[loop]] table with functions or id, and max_depth", error.message()))
    })?;
    if written.loops.len() > LOOPS {
        return Err(wrong(0, format!("it holds {} loops; at most {LOOPS} are read", written.loops.len())));
    }
    let understand = |entry: Spanned<Entry>| {
        let at = entry.span().start;
        entry.into_inner().understand().map_err(|reason| wrong(at, reason))
    };
    written.loops.into_iter().map(understand).collect()
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "loop")]
    loops: Vec<Spanned<Entry>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Entry {
    id: String,
    functions: Vec<String>,
    max_depth: Option<u32>,
    max_rate_per_minute: Option<f64>,
    environment: String,
    owner: String,
    expires: Option<Datetime>,
    reason: String,
}

impl Entry {
    fn understand(self) -> Result<Intended, String> {
        if self.id.is_empty() == self.functions.is_empty() {
            return Err("give either id, or functions = [\"name\", ..] in the order of a lap".to_owned());
        }
        let declared = v1::Intended {
            loop_id: self.id,
            functions: self.functions,
            max_depth: self.max_depth,
            max_rate_per_minute: self.max_rate_per_minute,
            owner: self.owner,
            reason: self.reason,
            expires: self.expires.map(expiry).transpose()?,
            environment: self.environment,
            ..v1::Intended::default()
        };
        message::to_intended(&declared, Source::File)
    }
}

/// A day means its end; a time without an offset is one in UTC.
fn expiry(when: Datetime) -> Result<Timestamp, String> {
    let timestamp = || {
        let date = when.date?;
        let (year, month, day) = (i64::from(date.year), date.month, date.day);
        let Some(time) = when.time else {
            let midnight = Timestamp::date(year, month, day).ok()?;
            return Some(Timestamp { seconds: midnight.seconds + DAY, ..midnight });
        };
        let utc = Timestamp::date_time(year, month, day, time.hour, time.minute, time.second).ok()?;
        let offset = match when.offset {
            Some(Offset::Custom { minutes }) => i64::from(minutes) * 60,
            Some(Offset::Z) | None => 0,
        };
        Some(Timestamp { seconds: utc.seconds - offset, ..utc })
    };
    timestamp().ok_or_else(|| format!("expires = {when} is no day; write 2027-06-30 or 2027-06-30T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{
        intended::Target,
        snapshot::{Loop, LoopId},
        span::ArrivalTime,
    };

    use super::*;

    fn through(names: &[&str]) -> Loop {
        Loop {
            id: LoopId(7),
            names: names.iter().map(|name| (*name).into()).collect(),
            environment: "prod".into(),
            ..Loop::default()
        }
    }

    #[track_caller]
    fn refused(text: &str, line: usize, words: &[&str]) {
        let error = parse("intended.toml", text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("intended.toml:{line}: ")), "{error}");
        for word in words {
            assert!(error.contains(word), "{word:?} is missing in {error:?}");
        }
    }

    #[test]
    fn all_that_is_written_is_declared() {
        let text = "# ours\n[[loop]]\nfunctions = ['b', 'a']\nmax_depth = 40\nowner = 'us'\nreason = 'pages'\n\
                    environment = 'prod'\nmax_rate_per_minute = 6.5\n\
                    [[loop]]\nid = '00000000000000000000000000000007'\nmax_depth = 2";
        let intended = parse("f", text).unwrap();
        assert_eq!((intended[0].max_depth, intended[0].max_rate_per_minute), (Some(40), Some(6.5)));
        assert_eq!((&*intended[0].owner, &*intended[0].reason), ("us", "pages"));
        assert!(intended[0].is_about(&through(&["a", "b"])));
        assert!(!intended[0].is_about(&through(&["a", "b", "c"])));
        assert!(!intended[0].is_about(&Loop { environment: "dev".into(), ..through(&["a", "b"]) }));
        assert_eq!(intended[1].target, Target::Loop(LoopId(7)));
        assert!(intended[1].is_about(&through(&["z"])));
    }

    #[test]
    fn a_day_ends_at_midnight_and_a_time_is_exact() {
        let expires = |when: &str| {
            let text = format!("[[loop]]\nfunctions = ['a']\nmax_depth = 1\nexpires = {when}");
            parse("f", &text).unwrap()[0].expires.map(|ArrivalTime(nanos)| nanos / 1_000_000_000)
        };
        assert_eq!(expires("1970-01-01"), Some(86_400));
        assert_eq!(expires("2000-02-29"), Some(951_868_800));
        assert_eq!(expires("2027-06-30T12:00:00Z"), Some(1_814_356_800));
        assert_eq!(expires("2027-06-30T12:00:00"), Some(1_814_356_800));
        assert_eq!(expires("2027-06-30T12:00:00+02:00"), Some(1_814_349_600));
    }

    #[test]
    fn errors_name_the_line_and_what_to_write() {
        refused("[[loop]]\nfunctions = ['a']\n", 1, &["max_depth", "max_rate_per_minute"]);
        refused("\n[[loop]]\nmax_depth = 3\n", 2, &["functions", "id"]);
        refused("[[loop]]\nid = 'abc'\nmax_depth = 3", 1, &["32 hexadecimal digits"]);
        refused("[[loop]]\nid = '00000000000000000000000000000007'\nfunctions = ['a']\nmax_depth = 3", 1, &["either"]);
        refused("[[loop]]\nfunctions = ['a']\nmax_dept = 3", 3, &["max_dept", "max_depth"]);
        refused("[[loop]]\nfunctions = ['a']\nmax_depth = -3", 3, &["max_depth"]);
        refused("[[loop]]\nfunctions = ['a'\n", 3, &["[[loop]]"]);
        refused("[[loop]]\nfunctions = ['a']\nmax_depth = 3\nexpires = 12:00:00", 1, &["2027-06-30"]);
        refused("loops = 3", 1, &["loops", "[[loop]]"]);
        assert_eq!(parse("f", "").unwrap(), []);
        let missing = read(Path::new("/nowhere/intended.toml")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/intended.toml") && missing.contains("TOML"), "{missing}");
    }
}
