//! The file of intended loops: a list of `[[loop]]` tables in TOML.
//!
//! ```toml
//! [[loop]]
//! functions = ["crawl", "store"]   # the cycle, from any of its functions on; or: id = "0a07ce56…"
//! max_depth = 40                   # laps of one chain that are fine
//! max_rate_per_minute = 600        # optional: laps a minute of all chains together that are fine
//! environment = "prod"             # optional: only there
//! operations = ["poll", "judge"]   # optional: only the loop of level operation through these
//! owner = "team-crawl"             # optional, like all below
//! expires = 2027-06-30             # not intended any more from the end of that day (UTC) on; a time is fine too
//! reason = "follows pagination"
//! ```
//!
//! What it says of the loops of a running system is decided elsewhere; this is text to values. Every error names the
//! file, the line, and what to write instead.

use std::{fs, io, ops::Range, path::Path, sync::Arc};

use loopscope_analyzer::{
    intended,
    snapshot::{Loop, LoopId},
    span::ArrivalTime,
};
use serde::Deserialize;
use toml::{
    Spanned,
    value::{Date, Datetime, Offset, Time},
};

use super::message::{self, Source};

/// Bound on the loops of one file.
pub const LOOPS: usize = 10_000;

/// A loop that somebody wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Intended {
    /// Which loop.
    pub target: Target,
    /// Laps of one chain up to which it is fine.
    pub max_depth: u32,
    /// Laps a minute of all chains together up to which it is fine; any when it is not given. Files have no pace, so
    /// only a server holds it against a loop.
    pub max_rate_per_minute: Option<f64>,
    /// Only in this environment, when it is given.
    pub environment: Option<String>,
    /// Whom to ask.
    pub owner: Option<String>,
    /// From then on it is not intended any more: seconds since 1970-01-01 UTC.
    pub expires_unix_seconds: Option<i64>,
    /// Why it is wanted.
    pub reason: Option<String>,
    /// The line of the file on which it stands.
    pub line: usize,
}

/// Which loop is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one with this identity.
    Id(LoopId),
    /// Those through these functions.
    Functions {
        /// Their names in the order of the cycle, from any of them on.
        names: Vec<String>,
        /// The operations of the cycle, for a loop of level operation; any when it is empty.
        operations: Vec<String>,
    },
}

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
        let at = error.span().map_or(0, |span: Range<usize>| span.start);
        wrong(at, format!("{}; each entry is a [[loop]] table with functions or id, and max_depth", error.message()))
    })?;
    if written.loops.len() > LOOPS {
        return Err(wrong(0, format!("it holds {} loops; at most {LOOPS} are read", written.loops.len())));
    }
    let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    written
        .loops
        .into_iter()
        .map(|entry| {
            let at = entry.span().start;
            entry.into_inner().understand(line(at)).map_err(|reason| wrong(at, reason))
        })
        .collect()
}

impl Intended {
    /// True when this is about the loop, whether or not it is within its bound.
    pub fn is_about(&self, found: &Loop) -> bool {
        self.declaration().is_about(found)
    }

    /// The same as the engine takes it.
    pub fn declaration(&self) -> intended::Intended {
        let texts = |names: &[String]| names.iter().map(|name| Arc::from(name.as_str())).collect();
        let (target, operations): (_, &[String]) = match &self.target {
            Target::Id(id) => (intended::Target::Loop(*id), &[]),
            Target::Functions { names, operations } => (intended::Target::Functions(texts(names)), operations),
        };
        let environment = self.environment.as_deref();
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
        let expires = self.expires_unix_seconds.map(|seconds| u64::try_from(seconds).unwrap_or(0));
        intended::Intended {
            id: message::id_of(&target, operations, environment.unwrap_or_default(), Source::File).into(),
            target,
            operations: texts(operations),
            environment: environment.map(Arc::from),
            max_depth: Some(self.max_depth),
            max_rate_per_minute: self.max_rate_per_minute,
            owner: text(&self.owner),
            reason: text(&self.reason),
            expires: expires.map(|seconds| ArrivalTime(seconds.saturating_mul(1_000_000_000))),
        }
    }

    /// True when it holds no more.
    pub fn is_expired(&self, unix_seconds: i64) -> bool {
        self.expires_unix_seconds.is_some_and(|expires| unix_seconds >= expires)
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "loop")]
    loops: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Option<String>,
    functions: Option<Vec<String>>,
    #[serde(default)]
    operations: Vec<String>,
    max_depth: Option<u32>,
    max_rate_per_minute: Option<f64>,
    environment: Option<String>,
    owner: Option<String>,
    expires: Option<Datetime>,
    reason: Option<String>,
}

impl Entry {
    fn understand(self, line: usize) -> Result<Intended, String> {
        let target = match (self.id, self.functions) {
            (Some(_), Some(_)) => return Err("it has both id and functions; keep one of them".to_owned()),
            (None, None) => return Err("it names no loop; add functions = [\"name\", ..] or id = \"..\"".to_owned()),
            (Some(id), None) => Target::Id(loop_id(&id)?),
            (None, Some(names)) if names.is_empty() => {
                return Err("functions is empty; name the functions of the cycle in their order".to_owned());
            }
            (None, Some(names)) => Target::Functions { names, operations: self.operations },
        };
        Ok(Intended {
            target,
            max_depth: self
                .max_depth
                .ok_or("it has no bound; add max_depth = N, the laps of one chain that are fine")?,
            max_rate_per_minute: match self.max_rate_per_minute {
                Some(rate) if !(rate.is_finite() && rate >= 0.0) => {
                    return Err(format!("max_rate_per_minute = {rate} is no pace; write a number from 0 on"));
                }
                rate => rate,
            },
            environment: self.environment,
            owner: self.owner,
            expires_unix_seconds: self.expires.map(unix_seconds).transpose()?,
            reason: self.reason,
            line,
        })
    }
}

fn loop_id(text: &str) -> Result<LoopId, String> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u128::from_str_radix(text, 16).ok().filter(|_| is_hex);
    number.map(LoopId).ok_or_else(|| {
        format!("{text:?} is no id of a loop; copy the 32 hexadecimal digits from the report, or give functions")
    })
}

/// A date means the end of that day; a time without an offset is one in UTC.
fn unix_seconds(when: Datetime) -> Result<i64, String> {
    let wrong = || format!("expires = {when} is no day; write 2027-06-30 or 2027-06-30T12:00:00Z");
    let date = when.date.ok_or_else(wrong)?;
    let midnight = days_since_1970(date) * 86_400;
    let Some(Time { hour, minute, second, .. }) = when.time else { return Ok(midnight + 86_400) };
    let offset = match when.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes) * 60,
        Some(Offset::Z) | None => 0,
    };
    Ok(midnight + i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second) - offset)
}

/// Days from 1970-01-01 in the Gregorian calendar: years begin in March here, so that a leap day is the last of one.
fn days_since_1970(Date { year, month, day }: Date) -> i64 {
    const DAYS_TO_1970_03_01: i64 = 719_468;
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970_03_01
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{
        snapshot::{LoopLevel, LoopState, NodeId, Severity},
        span::EventTime,
    };

    use super::*;
    use crate::alert::machine::tests::found;

    fn through(names: &[&str], operations: &[&str]) -> Loop {
        Loop {
            names: names.iter().map(|name| (*name).into()).collect(),
            operations: operations.iter().map(|name| (*name).into()).collect(),
            functions: (0..names.len() as u64).map(NodeId).collect(),
            level: if operations.is_empty() { LoopLevel::Function } else { LoopLevel::Operation },
            last_seen: EventTime(1),
            ..found(7, LoopState::Growing, Severity::Info, 3)
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
    fn a_loop_is_known_by_its_functions_from_any_on() {
        let text = "# ours\n[[loop]]\nfunctions = ['b', 'a']\nmax_depth = 40\nowner = 'us'\nreason = 'pages'\n";
        let intended = &parse("f", text).unwrap()[0];
        assert_eq!((intended.max_depth, intended.line, intended.owner.as_deref()), (40, 2, Some("us")));
        assert!(intended.is_about(&through(&["a", "b"], &[])));
        assert!(!intended.is_about(&through(&["a", "b", "c"], &[])));
        assert!(!intended.is_about(&through(&["a"], &[])));
    }

    #[test]
    fn environment_operations_and_id_narrow_it() {
        let text = "[[loop]]\nfunctions = ['a']\noperations = ['y', 'x']\nenvironment = 'prod'\nmax_depth = 1\n\
                    [[loop]]\nid = '00000000000000000000000000000007'\nmax_depth = 2";
        let intended = parse("f", text).unwrap();
        assert!(intended[0].is_about(&through(&["a"], &["x", "y"])));
        assert!(!intended[0].is_about(&through(&["a"], &[])));
        assert!(!intended[0].is_about(&Loop { environment: "dev".into(), ..through(&["a"], &["x", "y"]) }));
        assert!(intended[1].is_about(&through(&["z"], &[])));
        assert!(!intended[1].is_about(&Loop { id: LoopId(8), ..through(&["z"], &[]) }));
    }

    #[test]
    fn a_day_ends_at_midnight_and_a_time_is_exact() {
        let expires = |when: &str| {
            let text = format!("[[loop]]\nfunctions = ['a']\nmax_depth = 1\nexpires = {when}");
            parse("f", &text).unwrap()[0].expires_unix_seconds
        };
        assert_eq!(expires("1970-01-01"), Some(86_400));
        assert_eq!(expires("2000-02-29"), Some(951_868_800));
        assert_eq!(expires("2027-06-30T12:00:00Z"), Some(1_814_356_800));
        assert_eq!(expires("2027-06-30T12:00:00+02:00"), Some(1_814_349_600));
        let intended = &parse("f", "[[loop]]\nfunctions=['a']\nmax_depth=1\nexpires=2027-06-30T12:00:00Z").unwrap()[0];
        assert!(!intended.is_expired(1_814_356_799) && intended.is_expired(1_814_356_800));
    }

    #[test]
    fn errors_name_the_line_and_what_to_write() {
        refused("[[loop]]\nfunctions = ['a']\n", 1, &["max_depth = N"]);
        refused("\n[[loop]]\nmax_depth = 3\n", 2, &["functions", "id"]);
        refused("[[loop]]\nid = 'abc'\nmax_depth = 3", 1, &["32 hexadecimal digits"]);
        refused(
            "[[loop]]\nid = '00000000000000000000000000000007'\nfunctions = ['a']\nmax_depth = 3",
            1,
            &["keep one"],
        );
        refused("[[loop]]\nfunctions = []\nmax_depth = 3", 1, &["name the functions"]);
        refused("[[loop]]\nfunctions = ['a']\nmax_dept = 3", 3, &["max_dept", "max_depth"]);
        refused("[[loop]]\nfunctions = ['a']\nmax_depth = -3", 3, &["max_depth"]);
        refused("[[loop]]\nfunctions = ['a'\n", 3, &["[[loop]]"]);
        refused("[[loop]]\nfunctions = ['a']\nmax_depth = 3\nexpires = 12:00:00", 1, &["2027-06-30"]);
        assert_eq!(parse("f", "").unwrap(), []);
        let missing = read(Path::new("/nowhere/intended.toml")).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/intended.toml") && missing.contains("TOML"), "{missing}");
    }
}
