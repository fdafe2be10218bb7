//! How a chain went lap by lap, and what people declared or said of its loop.

use loopscope_proto::v1::{IntendedState, LapDetail, Laps, Verdict};

use crate::format;

/// Why a chain could not be followed further back; `None` when its beginning was reached.
pub fn chain_end(ended_by: &str) -> Option<&'static str> {
    Some(match ended_by {
        "" => return None,
        "link_missing" => "Before that a link leads to a span that is not in the journal.",
        "parent_missing" => "Before that a parent is not in the journal.",
        "cause_missing" => "Before that the cause is not in the journal any more.",
        "ring" => "Before that the causes run in a ring.",
        "bound" => "The chain is longer than is read at once.",
        _ => "It could not be followed further back.",
    })
}

/// How many of the causes of a chain no trace names; `None` when all are named.
pub fn joined_causes(laps: &Laps) -> Option<String> {
    let stops = laps.laps.iter().flat_map(|lap| &lap.stops);
    let joined = stops.filter(|stop| stop.joined).count();
    let causes = format::counted(u64::try_from(joined).ok()?, "cause is", "causes are");
    let how = "joined by an id, an object or the time that both sides know";
    (joined > 0).then(|| format!("{causes} named by no trace: {how}."))
}

/// Versions of the functions of a lap: the bare version where all have the same one, otherwise each with its name.
pub fn versions(lap: &LapDetail) -> String {
    let known: Vec<_> = lap.stops.iter().filter(|stop| !stop.version.is_empty()).collect();
    match known.as_slice() {
        [first, rest @ ..] if rest.iter().all(|stop| stop.version == first.version) => first.version.clone(),
        _ => known.iter().map(|stop| format!("{} {}", stop.function, stop.version)).collect::<Vec<_>>().join(", "),
    }
}

/// Bytes that the function at which laps are counted got, where a span says.
pub fn payload(lap: &LapDetail) -> Option<u64> {
    lap.stops.last().and_then(|stop| stop.payload_bytes)
}

/// What is different from the lap before. Bytes are left out: they change with nearly every lap, and have numbers of their
/// own.
pub fn lap_changes(lap: &LapDetail) -> impl Iterator<Item = &str> {
    lap.changes.iter().map(String::as_str).filter(|it| !it.contains(" bytes, were "))
}

/// What is declared, in a sentence.
pub fn declaration(it: &IntendedState) -> String {
    let depth = it.max_depth.map(|laps| format!("{} of one chain", format::counted(laps.into(), "lap", "laps")));
    let rate = it.max_rate_per_minute.map(|rate| format!("{} laps", format::per_minute(rate)));
    let bounds: Vec<String> = [depth, rate].into_iter().flatten().collect();
    let owner = if it.owner.is_empty() { "nobody in particular".to_owned() } else { it.owner.clone() };
    let until = it.expires.as_ref().map(|time| format!(", until {}", format::day(Some(time)))).unwrap_or_default();
    let reason =
        if it.reason.is_empty() { String::new() } else { format!(" Reason: {}.", it.reason.trim_end_matches('.')) };
    format!("Intended up to {}{until}. Owner: {owner}.{reason}", bounds.join(" and "))
}

/// How a declaration stands: a word for the style sheet, and what it says.
pub fn declaration_state(it: &IntendedState) -> (&'static str, String) {
    match (it.is_broken, it.is_expired) {
        (_, true) => ("expired", "The declaration has expired and silences nothing.".into()),
        (true, _) if it.breach.is_empty() => ("broken", "The loop does more than is declared.".into()),
        (true, _) => ("broken", format!("The loop does more than is declared: {}.", it.breach.trim_end_matches('.'))),
        _ => ("holds", "It stays inside, so nobody is alerted.".into()),
    }
}

/// What somebody said of a loop.
pub fn verdict(it: &Verdict) -> String {
    match (it.verdict.as_str(), it.max_depth) {
        ("expected", Some(depth)) => {
            format!("Marked as expected, up to {} of one chain", format::counted(depth.into(), "lap", "laps"))
        }
        ("expected", None) => "Marked as expected".into(),
        _ => "Marked as a runaway: nothing is learned from it".into(),
    }
}

#[cfg(test)]
mod tests {
    use loopscope_proto::v1::LapStop;
    use prost_types::Timestamp;

    use super::*;

    fn declared() -> IntendedState {
        IntendedState {
            owner: "team-crawl".into(),
            reason: "follows pagination".into(),
            max_depth: Some(40),
            max_rate_per_minute: Some(600.0),
            expires: Some(Timestamp { seconds: 1_795_402_721, nanos: 0 }),
            ..IntendedState::default()
        }
    }

    #[test]
    fn a_declaration_says_bounds_owner_and_end() {
        let text = "Intended up to 40 laps of one chain and 600/min laps, until 2026-11-23. Owner: team-crawl. \
                    Reason: follows pagination.";
        assert_eq!(declaration(&declared()), text);
        let bare = IntendedState { max_depth: Some(1), ..IntendedState::default() };
        assert_eq!(declaration(&bare), "Intended up to 1 lap of one chain. Owner: nobody in particular.");
    }

    #[test]
    fn a_broken_declaration_says_by_how_much() {
        assert_eq!(declaration_state(&declared()).0, "holds");
        let broken = IntendedState { is_broken: true, breach: "41 laps deep, declared are 40".into(), ..declared() };
        assert!(declaration_state(&broken).1.ends_with("41 laps deep, declared are 40."));
        assert_eq!(declaration_state(&IntendedState { is_expired: true, ..broken }).0, "expired");
    }

    #[test]
    fn versions_are_named_where_they_differ() {
        let stop = |function: &str, version: &str| LapStop {
            function: function.into(),
            version: version.into(),
            payload_bytes: Some(7),
            ..LapStop::default()
        };
        let one = LapDetail { stops: vec![stop("a", "41")], ..LapDetail::default() };
        assert_eq!((versions(&one).as_str(), payload(&one)), ("41", Some(7)));
        let same = LapDetail { stops: vec![stop("b", ""), stop("c", "41"), stop("a", "41")], ..LapDetail::default() };
        assert_eq!(versions(&same), "41");
        let two = LapDetail { stops: vec![stop("b", "40"), stop("a", "41")], ..LapDetail::default() };
        assert_eq!(versions(&two), "b 40, a 41");
        assert_eq!(payload(&LapDetail::default()), None);
    }

    #[test]
    fn bytes_are_left_to_their_column() {
        let changes = ["a is version 2, was 1", "a got 7 bytes, were 5"].map(String::from).into();
        let lap = LapDetail { changes, ..LapDetail::default() };
        assert_eq!(lap_changes(&lap).collect::<Vec<_>>(), ["a is version 2, was 1"]);
    }

    #[test]
    fn causes_that_no_trace_names_are_counted() {
        let stop = |joined| LapStop { joined, ..LapStop::default() };
        let lap =
            |joined: &[bool]| LapDetail { stops: joined.iter().copied().map(stop).collect(), ..Default::default() };
        let laps = |laps: Vec<LapDetail>| Laps { laps, ..Laps::default() };
        assert_eq!(joined_causes(&laps(vec![lap(&[false])])), None);
        let said = joined_causes(&laps(vec![lap(&[false, true]), lap(&[true])])).unwrap();
        assert!(said.starts_with("2 causes are named by no trace"), "{said}");
    }

    #[test]
    fn a_chain_that_was_read_to_its_beginning_says_nothing() {
        assert_eq!(chain_end(""), None);
        assert!(
            ["link_missing", "parent_missing", "ring", "bound", "new"].iter().all(|word| chain_end(word).is_some())
        );
    }
}
