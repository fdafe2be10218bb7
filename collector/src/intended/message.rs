//! Declarations and verdicts as wire messages, and back.

use std::sync::Arc;

use loopscope_analyzer::{
    intended::{Intended, Target, Verdict},
    snapshot::LoopId,
    span::ArrivalTime,
};
use loopscope_proto::v1;
use prost_types::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

use crate::{convert, store::verdicts::Said};

/// Most functions of one declared loop.
const MAX_FUNCTIONS: usize = 64;

/// Longest text of a declaration, bytes.
const MAX_TEXT: usize = 1_024;

/// Where a declaration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file that the settings name.
    File,
    /// The API.
    Api,
}

/// A declaration as the API shows it.
pub fn of_intended(intended: &Intended, source: Source, now: ArrivalTime) -> v1::Intended {
    let (loop_id, functions) = match &intended.target {
        Target::Loop(id) => (id.to_string(), Vec::new()),
        Target::Functions(names) => (String::new(), names.iter().map(|name| name.to_string()).collect()),
    };
    v1::Intended {
        id: intended.id.to_string(),
        loop_id,
        functions,
        operations: intended.operations.iter().map(|name| name.to_string()).collect(),
        environment: intended.environment.as_deref().unwrap_or_default().to_owned(),
        max_depth: intended.max_depth,
        max_rate_per_minute: intended.max_rate_per_minute,
        owner: intended.owner.to_string(),
        reason: intended.reason.to_string(),
        expires: intended.expires.map(convert::arrival_time),
        source: source.word().to_owned(),
        is_expired: intended.expires.is_some_and(|expires| expires <= now),
    }
}

/// What somebody declared; its id follows from what is meant, so that declaring it again replaces it.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn to_intended(message: &v1::Intended, source: Source) -> Result<Intended, String> {
    let target = match (message.loop_id.is_empty(), message.functions.is_empty()) {
        (false, true) => Target::Loop(loop_id(&message.loop_id)?),
        (true, false) => Target::Functions(message.functions.iter().map(|name| Arc::from(name.as_str())).collect()),
        _ => return Err("give either loop_id, or functions in the order of a lap".to_owned()),
    };
    if message.functions.len() > MAX_FUNCTIONS || message.operations.len() > MAX_FUNCTIONS {
        return Err(format!("a loop has at most {MAX_FUNCTIONS} functions or operations here"));
    }
    let names = message.functions.iter().chain(&message.operations);
    let texts = names.clone().chain([&message.environment, &message.owner, &message.reason]);
    if texts.into_iter().any(|text| text.len() > MAX_TEXT) {
        return Err(format!("no text may be longer than {MAX_TEXT} bytes"));
    }
    if names.clone().any(String::is_empty) {
        return Err("a function or an operation has an empty name".to_owned());
    }
    if message.max_depth.is_none() && message.max_rate_per_minute.is_none() {
        return Err("give a bound: max_depth in laps of one chain, or max_rate_per_minute in laps".to_owned());
    }
    if message.max_rate_per_minute.is_some_and(|rate| !(rate.is_finite() && rate >= 0.0)) {
        return Err("max_rate_per_minute is a number that is not below zero".to_owned());
    }
    Ok(Intended {
        id: id_of(&target, &message.operations, &message.environment, source).into(),
        target,
        operations: message.operations.iter().map(|name| Arc::from(name.as_str())).collect(),
        environment: (!message.environment.is_empty()).then(|| message.environment.as_str().into()),
        max_depth: message.max_depth,
        max_rate_per_minute: message.max_rate_per_minute,
        owner: message.owner.as_str().into(),
        reason: message.reason.as_str().into(),
        expires: message.expires.as_ref().map(arrival_time).transpose()?,
    })
}

/// The id of a declaration.
pub fn id_of(target: &Target, operations: &[String], environment: &str, source: Source) -> String {
    let meant = match target {
        Target::Loop(id) => id.to_string(),
        Target::Functions(names) => least_turn(names),
    };
    let text = [environment, &meant, &least_turn(operations)].join("\u{1e}");
    format!("{}_{:016x}", source.word(), xxh3_64(text.as_bytes()))
}

/// The same text for the same cycle, from whichever name on it is written.
fn least_turn<T: AsRef<str>>(names: &[T]) -> String {
    let turn = |first: usize| {
        let turned = names[first..].iter().chain(&names[..first]);
        turned.map(AsRef::as_ref).collect::<Vec<_>>().join("\u{1f}")
    };
    (0..names.len()).map(turn).min().unwrap_or_default()
}

/// What somebody said of a loop, as the API shows it.
pub fn of_verdict(said: &Said) -> v1::Verdict {
    let (verdict, max_depth) = match said.verdict {
        Verdict::Expected { max_depth } => ("expected", Some(max_depth)),
        Verdict::Runaway => ("runaway", None),
        Verdict::Withdrawn => ("clear", None),
    };
    v1::Verdict {
        loop_id: said.loop_id.to_string(),
        verdict: verdict.to_owned(),
        max_depth,
        at: Some(convert::arrival_time(said.at)),
    }
}

/// What somebody said of a loop.
///
/// # Errors
/// A sentence that says which words there are.
pub fn to_verdict(message: &v1::Verdict) -> Result<Verdict, String> {
    match (message.verdict.as_str(), message.max_depth) {
        ("expected", Some(max_depth)) => Ok(Verdict::Expected { max_depth }),
        ("expected", None) => Err("say with max_depth how many laps of one chain are expected".to_owned()),
        ("runaway", _) => Ok(Verdict::Runaway),
        ("clear", _) => Ok(Verdict::Withdrawn),
        (word, _) => Err(format!("the verdict is {word:?}; write expected, runaway or clear")),
    }
}

/// Reads the id of a loop.
///
/// # Errors
/// A sentence that says what one looks like.
pub fn loop_id(text: &str) -> Result<LoopId, String> {
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    id.map(LoopId).ok_or_else(|| format!("{text:?} is not the id of a loop, which has 32 hexadecimal digits"))
}

impl Source {
    /// The lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

fn arrival_time(time: &Timestamp) -> Result<ArrivalTime, String> {
    let seconds = u64::try_from(time.seconds).map_err(|_| "expires lies before 1970".to_owned())?;
    let nanos = seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.nanos).unwrap_or(0));
    Ok(ArrivalTime(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> v1::Intended {
        v1::Intended {
            functions: vec!["crawl".into(), "store".into()],
            max_depth: Some(20),
            owner: "media".into(),
            expires: Some(Timestamp { seconds: 10, nanos: 0 }),
            ..Default::default()
        }
    }

    #[test]
    fn a_declaration_goes_there_and_back() {
        let intended = to_intended(&message(), Source::Api).unwrap();
        let back = of_intended(&intended, Source::Api, ArrivalTime(10_000_000_000));
        assert_eq!((back.source.as_str(), back.is_expired), ("api", true));
        assert_eq!(to_intended(&back, Source::Api).unwrap(), intended);
        let by_id = v1::Intended { functions: vec![], loop_id: "0a".repeat(16), ..message() };
        let intended = to_intended(&by_id, Source::File).unwrap();
        assert_eq!(of_intended(&intended, Source::File, ArrivalTime(0)).loop_id, "0a".repeat(16));
    }

    #[test]
    fn the_same_loop_has_the_same_id_from_whichever_function_and_another_elsewhere() {
        let id = |message: v1::Intended| to_intended(&message, Source::Api).unwrap().id;
        let turned = v1::Intended { functions: vec!["store".into(), "crawl".into()], ..message() };
        assert_eq!(id(message()), id(turned));
        assert_ne!(id(message()), id(v1::Intended { environment: "prod".into(), ..message() }));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (wrong, words) in [
            (v1::Intended { functions: vec![], ..message() }, "loop_id"),
            (v1::Intended { loop_id: "0a".repeat(16), ..message() }, "either"),
            (v1::Intended { functions: vec![], loop_id: "7".into(), ..message() }, "32 hexadecimal"),
            (v1::Intended { functions: vec![String::new()], ..message() }, "empty"),
            (v1::Intended { functions: vec!["f".into(); 65], ..message() }, "64"),
            (v1::Intended { max_depth: None, ..message() }, "max_depth"),
            (v1::Intended { max_rate_per_minute: Some(-1.0), ..message() }, "below zero"),
            (v1::Intended { owner: "x".repeat(2_000), ..message() }, "1024"),
            (v1::Intended { expires: Some(Timestamp { seconds: -1, nanos: 0 }), ..message() }, "1970"),
        ] {
            let error = to_intended(&wrong, Source::Api).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn verdicts_are_words() {
        let verdict =
            |word: &str, max_depth| to_verdict(&v1::Verdict { verdict: word.into(), max_depth, ..Default::default() });
        assert_eq!(verdict("expected", Some(3)), Ok(Verdict::Expected { max_depth: 3 }));
        assert_eq!(verdict("runaway", None), Ok(Verdict::Runaway));
        assert_eq!(verdict("clear", None), Ok(Verdict::Withdrawn));
        assert!(verdict("expected", None).unwrap_err().contains("max_depth"));
        assert!(verdict("fine", None).unwrap_err().contains("runaway"));
    }
}
