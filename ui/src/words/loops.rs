//! What a loop is and does: its title, its badge on the map, its state, and the sentence for somebody who has just been
//! woken by it.

use loopscope_proto::v1::{Loop, LoopState, RetryStorm};

use crate::format;

/// The glyph that doubles the colour of a state.
pub fn state_glyph(state: LoopState) -> &'static str {
    match state {
        LoopState::Growing => "▲",
        LoopState::Persistent => "▬",
        LoopState::Dying => "▼",
        LoopState::Latent => "○",
        LoopState::Closed => "✓",
        LoopState::Unknown => "?",
    }
}

/// What a state says about a loop, in a clause.
pub fn state_meaning(state: LoopState) -> &'static str {
    match state {
        LoopState::Growing => "each lap causes more than one further lap",
        LoopState::Persistent => "each lap causes about one further lap",
        LoopState::Dying => "each lap causes less than one further lap, or none came for several lap times",
        LoopState::Latent => "the cycle exists, but no chain has gone round",
        LoopState::Closed => "over: no lap for a long time",
        LoopState::Unknown => "too few laps to tell",
    }
}

/// Whether it is a request that is made again and again, so that no chain goes round.
pub fn is_retry_storm(it: &Loop) -> bool {
    it.retry_storm.is_some()
}

/// Whether operations begin again, and not functions.
pub fn is_of_operations(it: &Loop) -> bool {
    it.level == "operation"
}

/// The loop on one line: `resize → uploads → resize`, with the names that `name` gives to the ids of its path; a loop of
/// operations by their names.
pub fn loop_title<'a>(it: &'a Loop, name: impl Fn(&'a str) -> &'a str) -> String {
    let mut names: Vec<&str> = if is_of_operations(it) && !it.operations.is_empty() {
        it.operations.iter().map(String::as_str).collect()
    } else if it.path.is_empty() {
        it.functions.iter().map(String::as_str).collect()
    } else {
        it.path.iter().map(|id| name(id)).collect()
    };
    // A request that is repeated comes back to nobody.
    if !is_retry_storm(it) {
        names.extend(names.first().copied());
    }
    names.join(" → ")
}

/// The badge on the map: `↻ 12 laps deep · 40/min`, and how fast the laps double while they do.
///
/// The depth and not the laps of all chains: many short chains make many laps and no harm.
pub fn loop_badge(it: &Loop) -> String {
    if let Some(storm) = &it.retry_storm {
        return format!("↻ {:.1} attempts a request", storm.attempts_per_request);
    }
    let depth = format::counted(u64::from(it.max_depth), "lap deep", "laps deep");
    let rate = format::per_minute(it.laps_per_minute);
    match (it.state(), it.doubling_seconds) {
        (LoopState::Latent, _) => "↻ latent".into(),
        (LoopState::Closed, _) => format!("↻ {depth} · over"),
        (LoopState::Growing, Some(seconds)) => format!("↻ {depth} · ×2 in {}", format::duration(seconds * 1000.0)),
        _ => format!("↻ {depth} · {rate}"),
    }
}

/// What the loop does, for somebody who has just been woken by it.
pub fn loop_meaning(it: &Loop) -> String {
    let who = who(it);
    let rate = format::per_minute(it.laps_per_minute);
    if let Some(storm) = &it.retry_storm {
        return retry_meaning(it, storm);
    }
    let gone = format!(
        "{} gone round, the deepest {}",
        format::counted(it.chains, "chain has", "chains have"),
        format::counted(u64::from(it.max_depth), "lap", "laps"),
    );
    match it.state() {
        LoopState::Latent => {
            let who = who
                .replace("starts itself", "can start itself")
                .replace("ends up starting", "can end up starting")
                .replace("begins again", "can begin again");
            format!("{who}. Nothing has gone round so far: it needs a stop before something does.")
        }
        LoopState::Growing => {
            let doubling = it.doubling_seconds.map(|seconds| format::duration(seconds * 1000.0));
            let doubling = doubling.map(|time| format!(" and doubles every {time}")).unwrap_or_default();
            format!("{who}, and each lap causes more than one further lap: it grows{doubling}. {gone}; {rate} now.")
        }
        LoopState::Persistent => {
            format!("{who}, and each lap causes about one further lap: it keeps itself alive. {gone}; {rate} now.")
        }
        LoopState::Dying if it.laps_per_minute > 0.0 => {
            format!("{who}, but each lap causes less than one further lap: it runs out by itself. {gone}; {rate} now.")
        }
        LoopState::Dying => format!("{who}. The laps have stopped coming for now: {gone}."),
        LoopState::Closed => format!("{who}. It is over: {gone}."),
        LoopState::Unknown => format!("{who}. {gone}; {rate} now. Too few laps were seen to say whether it grows."),
    }
}

fn who(it: &Loop) -> String {
    let of = |names: &[String]| match names {
        [] => None,
        [one] => Some((one.clone(), None)),
        [first, .., last] => Some((first.clone(), Some(last.clone()))),
    };
    match (is_of_operations(it), of(&it.operations), of(&it.functions)) {
        (true, Some((first, None)), _) => format!("{first} begins again below itself"),
        (true, Some((first, Some(last))), _) => format!("{first} begins again below itself, through {last}"),
        (_, _, Some((one, None))) => format!("{one} starts itself again"),
        (_, _, Some((first, Some(last)))) => format!("{first} ends up starting itself again through {last}"),
        (_, _, None) => "A cycle of functions".into(),
    }
}

fn retry_meaning(it: &Loop, storm: &RetryStorm) -> String {
    let who = match it.functions.as_slice() {
        [] => "A function tries again what failed".into(),
        [one] => format!("{one} runs again for what failed before"),
        [first, .., last] => format!("{first} asks {last} again and again, because it fails"),
    };
    let retried = format::counted(storm.retried, "request was", "requests were");
    let layers = if storm.amplification > storm.attempts_per_request {
        format!(", and with the layers below {:.0} at the bottom", storm.amplification)
    } else {
        String::new()
    };
    format!(
        "{who}: a request takes {:.1} attempts{layers}; {retried} tried again. Nothing goes round, but what fails already \
         gets more to do.",
        storm.attempts_per_request
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(state: LoopState) -> Loop {
        Loop {
            functions: vec!["subscribe".into(), "mail".into()],
            path: vec!["1".into(), "2".into()],
            state: state.into(),
            max_depth: 310,
            chains: 1,
            laps: 1312,
            laps_per_minute: 40.0,
            ..Loop::default()
        }
    }

    #[test]
    fn titles_close_the_ring() {
        let it = sample(LoopState::Growing);
        assert_eq!(loop_title(&it, |id| if id == "1" { "subscribe" } else { "mail" }), "subscribe → mail → subscribe");
        let bare = Loop { path: vec![], ..it };
        assert_eq!(loop_title(&bare, |id| id), "subscribe → mail → subscribe");
    }

    #[test]
    fn a_loop_of_operations_is_called_by_them() {
        let operations = vec!["poll".to_owned(), "handle".to_owned()];
        let it = Loop { level: "operation".into(), operations, ..sample(LoopState::Persistent) };
        assert_eq!(loop_title(&it, |id| id), "poll → handle → poll");
        assert!(loop_meaning(&it).starts_with("poll begins again below itself, through handle, and"));
        let function = Loop { level: "function".into(), ..it };
        assert_eq!(loop_title(&function, |id| id), "1 → 2 → 1", "operations are a detail of a loop of functions");
    }

    #[test]
    fn badges_are_short() {
        assert_eq!(loop_badge(&sample(LoopState::Growing)), "↻ 310 laps deep · 40/min");
        let doubling = Loop { doubling_seconds: Some(22.0), ..sample(LoopState::Growing) };
        assert_eq!(loop_badge(&doubling), "↻ 310 laps deep · ×2 in 22 s");
        assert_eq!(loop_badge(&sample(LoopState::Closed)), "↻ 310 laps deep · over");
        assert_eq!(loop_badge(&sample(LoopState::Latent)), "↻ latent");
        let once = Loop { max_depth: 1, ..sample(LoopState::Growing) };
        assert_eq!(loop_badge(&once), "↻ 1 lap deep · 40/min");
    }

    #[test]
    fn a_state_says_how_many_laps_a_lap_causes() {
        let says = |state: LoopState, words: &str| {
            let text = loop_meaning(&sample(state));
            assert!(text.contains(words), "{text}");
            assert!(text.starts_with("subscribe ends up starting itself again through mail"), "{text}");
            assert!(text.contains("1 chain has gone round, the deepest 310 laps"), "{text}");
        };
        says(LoopState::Growing, "causes more than one further lap: it grows. ");
        says(LoopState::Persistent, "causes about one further lap: it keeps itself alive. ");
        says(LoopState::Dying, "causes less than one further lap: it runs out by itself. ");
        says(LoopState::Closed, "It is over: ");
        says(LoopState::Unknown, "Too few laps");
        let doubling = Loop { doubling_seconds: Some(22.0), ..sample(LoopState::Growing) };
        assert!(loop_meaning(&doubling).contains("it grows and doubles every 22 s."));
    }

    #[test]
    fn a_quiet_loop_is_not_told_to_cause_less_than_one_lap() {
        let quiet = Loop { laps_per_minute: 0.0, ..sample(LoopState::Dying) };
        assert!(loop_meaning(&quiet).contains("The laps have stopped coming for now"));
    }

    #[test]
    fn a_latent_loop_claims_nothing_that_did_not_happen() {
        let mut it = sample(LoopState::Latent);
        assert!(loop_meaning(&it).starts_with("subscribe can end up starting itself again through mail."));
        it.functions.truncate(1);
        assert!(loop_meaning(&it).starts_with("subscribe can start itself again."));
    }

    #[test]
    fn a_retry_storm_has_attempts_and_no_laps() {
        let storm = RetryStorm { retried: 5, attempts_per_request: 4.0, amplification: 16.0, ..RetryStorm::default() };
        let it = Loop { path: vec![], retry_storm: Some(storm), max_depth: 0, ..sample(LoopState::Persistent) };
        assert_eq!(loop_title(&it, |id| id), "subscribe → mail", "it comes back to nobody");
        assert_eq!(loop_badge(&it), "↻ 4.0 attempts a request");
        let text = loop_meaning(&it);
        assert!(
            text.starts_with("subscribe asks mail again and again, because it fails: a request takes 4.0"),
            "{text}"
        );
        assert!(text.contains("16 at the bottom; 5 requests were tried again") && !text.contains("lap "), "{text}");
    }
}
