//! What a finding means, in sentences: the same words on the map, in the lists and in details.
//!
//! Pure text from the messages of the schema; how it is shown is up to the pages.

use loopscope_proto::v1::{Hotspot, Loop, LoopState, RetryStorm, Severity, Status};

use crate::client::Link;
use crate::format;

/// How fresh the data is: a word for the style sheet, and what the pill says.
pub fn freshness(link: Link, paused: bool, waiting: u32, age_ms: f64, stale: bool) -> (&'static str, String) {
    match (link, paused) {
        (Link::Connecting, _) => ("connecting", "Connecting".into()),
        (Link::Lost, _) => ("lost", format!("Reconnecting · data {} old", format::age(age_ms))),
        (Link::Open, true) => ("paused", format!("Paused · {} waiting", format::count(u64::from(waiting)))),
        (Link::Open, false) if stale => ("lost", format!("Silent · data {} old", format::age(age_ms))),
        (Link::Open, false) => ("live", format!("Live · {}", format::age(age_ms))),
    }
}

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
        LoopState::Growing => "the deepest chain gets deeper",
        LoopState::Persistent => "laps go on, no deeper than before",
        LoopState::Dying => "no lap for several lap times",
        LoopState::Latent => "the cycle exists, but no chain has gone round twice",
        LoopState::Closed => "over: no lap for a long time",
        LoopState::Unknown => "not enough seen yet",
    }
}

/// The glyph that doubles the colour of a severity.
pub fn severity_glyph(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "◆",
        Severity::Warning => "▲",
        Severity::Info => "●",
    }
}

/// The loop on one line: `resize → uploads → resize`, with the names that `name` gives to the ids of its path; for
/// operations that begin again, their names; for what is tried again, who asks whom.
pub fn loop_title<'a>(it: &'a Loop, name: impl Fn(&'a str) -> &'a str) -> String {
    let mut names: Vec<&str> = if it.path.is_empty() {
        it.functions.iter().map(String::as_str).collect()
    } else {
        it.path.iter().map(|id| name(id)).collect()
    };
    if it.level == "operation" && !it.operations.is_empty() {
        names = it.operations.iter().map(String::as_str).collect();
    }
    if it.retry_storm.is_none() {
        names.extend(names.first().copied());
    }
    names.join(" → ")
}

/// The badge on the map: `↻ 12 laps deep · 40/min`.
///
/// The depth and not the laps of all chains: many short chains make many laps and no harm.
pub fn loop_badge(it: &Loop) -> String {
    if let Some(storm) = &it.retry_storm {
        return format!("↻ {:.1} attempts a request", storm.attempts_per_request);
    }
    let depth = format::counted(u64::from(it.max_depth), "lap deep", "laps deep");
    match it.state() {
        LoopState::Latent => "↻ latent".into(),
        LoopState::Closed => format!("↻ {depth} · over"),
        _ => format!("↻ {depth} · {}", format::per_minute(it.laps_per_minute)),
    }
}

/// What the loop does, for somebody who has just been woken by it.
pub fn loop_meaning(it: &Loop) -> String {
    if let Some(storm) = &it.retry_storm {
        return retry_meaning(it, storm);
    }
    let who = match it.functions.as_slice() {
        [] => "A cycle of functions".into(),
        [one] => format!("{one} starts itself again"),
        [first, .., last] => format!("{first} ends up starting itself again through {last}"),
    };
    let depth = format::counted(u64::from(it.max_depth), "lap", "laps");
    let chains = format::counted(it.chains, "chain has", "chains have");
    let rate = format::per_minute(it.laps_per_minute);
    let calm = it.severity() == Severity::Info;
    match it.state() {
        LoopState::Latent => {
            let who =
                who.replace("starts itself", "can start itself").replace("ends up starting", "can end up starting");
            format!("{who}. Nothing has gone round twice so far: it needs a stop before something does.")
        }
        LoopState::Growing if calm => format!(
            "{who}: {chains} gone round, the deepest {depth} so far, {rate} now. That is not deep yet; watch whether it \
             gets deeper."
        ),
        LoopState::Growing => format!(
            "{who}, and it goes on: {chains} gone round, the deepest {depth} so far, {rate} now. \
             Each lap is paid for until something stops it."
        ),
        LoopState::Persistent if it.chains > 1 && calm => format!(
            "{who}: {chains} gone round, none deeper than {depth}. It looks bounded: each chain has ended by itself so far."
        ),
        LoopState::Persistent if it.chains > 1 => format!(
            "{who}: {chains} gone round, none deeper than {depth}; {rate} now. It looks bounded, but the bound is high: \
             each lap is paid for."
        ),
        LoopState::Persistent => format!(
            "{who}. {chains} gone round, never deeper than {depth}; {rate} now. \
             It gets no deeper, but the laps go on: nothing shows that it ends by itself."
        ),
        LoopState::Dying => format!("{who}. {chains} gone round, up to {depth} deep; the laps have stopped coming."),
        LoopState::Closed => format!("{who}. It is over: {chains} gone round, up to {depth} deep."),
        LoopState::Unknown => {
            format!("{who}. {chains} gone round, up to {depth} deep; too little was seen to say more.")
        }
    }
}

/// What a storm of retries does.
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

/// Where a hotspot spends its time, in words.
pub fn hotspot_cause(it: &Hotspot) -> &'static str {
    match it.cause.as_str() {
        "self" => "its own time",
        "gap" => "waiting between caller and callee",
        "resource" => "waiting for a resource",
        _ => "time",
    }
}

/// How many nodes lie outside of the picture.
pub fn out_of_view(count: usize) -> String {
    format!("{count} out of view · show all")
}

/// What was let go or turned away because of a bound, each with a name; only what has happened.
pub fn losses(status: &Status) -> Vec<(&'static str, u64)> {
    let all = [
        ("index records, too many", status.index_evictions),
        ("functions folded into other", status.functions_overflowed),
        ("edges, too many", status.edges_overflowed),
        ("loops, too many", status.loops_overflowed),
        ("links beyond the bound", status.links_dropped),
        ("keys of causes, too many", status.continuations_dropped),
        ("paths with too many functions", status.paths_trimmed),
        ("laps too long to follow", status.look_backs_cut),
        ("openings of late chains, too many", status.openings_dropped),
        ("loops of late chains, too many", status.fragment_laps_dropped),
        ("spans with mended times", status.spans_mended),
        ("invocations without their parent", status.orphans),
        ("rings of parents", status.parent_rings),
        ("journal segments expired", status.journal_segments_expired),
        ("batches gone unanalysed", status.batches_skipped),
        ("writes that failed", status.journal_failures),
        ("alerts given up", status.webhooks_failed),
        ("loops nobody was told of", status.incidents_suppressed),
        ("pages too slow", status.live_resyncs),
        ("pages turned away", status.live_refused),
        ("questions turned away", status.api_busy),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
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
            severity: Severity::Critical.into(),
            ..Loop::default()
        }
    }

    #[test]
    fn the_pill_never_calls_old_data_live() {
        assert_eq!(freshness(Link::Open, false, 0, 2_400.0, false), ("live", "Live · 2 s".into()));
        assert_eq!(freshness(Link::Open, true, 41, 2_400.0, false), ("paused", "Paused · 41 waiting".into()));
        assert_eq!(freshness(Link::Lost, false, 0, 14_000.0, true), ("lost", "Reconnecting · data 14 s old".into()));
        assert_eq!(freshness(Link::Open, false, 0, 14_000.0, true).0, "lost");
    }

    #[test]
    fn titles_close_the_ring() {
        let it = sample(LoopState::Growing);
        assert_eq!(loop_title(&it, |id| if id == "1" { "subscribe" } else { "mail" }), "subscribe → mail → subscribe");
        let bare = Loop { path: vec![], ..it };
        assert_eq!(loop_title(&bare, |id| id), "subscribe → mail → subscribe");
    }

    #[test]
    fn what_is_tried_again_and_what_begins_again_have_words_of_their_own() {
        let storm = RetryStorm { retried: 5, attempts_per_request: 4.0, amplification: 16.0, ..RetryStorm::default() };
        let it = Loop { path: vec![], retry_storm: Some(storm), max_depth: 0, ..sample(LoopState::Persistent) };
        assert_eq!(loop_title(&it, |id| id), "subscribe → mail");
        assert_eq!(loop_badge(&it), "↻ 4.0 attempts a request");
        let text = loop_meaning(&it);
        assert!(
            text.starts_with("subscribe asks mail again and again, because it fails: a request takes 4.0"),
            "{text}"
        );
        assert!(text.contains("16 at the bottom; 5 requests were tried again"), "{text}");
        let operations = vec!["fetch".into(), "judge".into()];
        let it = Loop { level: "operation".into(), operations, ..sample(LoopState::Growing) };
        assert_eq!(loop_title(&it, |id| id), "fetch → judge → fetch");
    }

    #[test]
    fn badges_are_short() {
        assert_eq!(loop_badge(&sample(LoopState::Growing)), "↻ 310 laps deep · 40/min");
        assert_eq!(loop_badge(&sample(LoopState::Closed)), "↻ 310 laps deep · over");
        assert_eq!(loop_badge(&sample(LoopState::Latent)), "↻ latent");
        let once = Loop { max_depth: 1, ..sample(LoopState::Growing) };
        assert_eq!(loop_badge(&once), "↻ 1 lap deep · 40/min");
    }

    #[test]
    fn a_growing_loop_says_that_it_costs() {
        let text = loop_meaning(&sample(LoopState::Growing));
        assert!(text.starts_with("subscribe ends up starting itself again through mail, and it goes on: 1 chain has"));
        assert!(text.contains("the deepest 310 laps so far, 40/min now"));
    }

    #[test]
    fn many_short_chains_are_told_calmly() {
        let pages = |state: LoopState| Loop {
            functions: vec!["list-pages".into()],
            chains: 12,
            max_depth: 4,
            laps: 48,
            severity: Severity::Info.into(),
            ..sample(state)
        };
        assert_eq!(
            loop_meaning(&pages(LoopState::Persistent)),
            "list-pages starts itself again: 12 chains have gone round, none deeper than 4 laps. \
             It looks bounded: each chain has ended by itself so far."
        );
        let growing = loop_meaning(&pages(LoopState::Growing));
        assert!(growing.contains("the deepest 4 laps so far") && !growing.contains("paid"), "{growing}");
    }

    #[test]
    fn a_lasting_chain_keeps_its_warning() {
        let one = sample(LoopState::Persistent);
        assert!(loop_meaning(&one).ends_with("nothing shows that it ends by itself."));
        let short = Loop { max_depth: 4, severity: Severity::Info.into(), ..one.clone() };
        assert!(loop_meaning(&short).ends_with("nothing shows that it ends by itself."));
        let many = Loop { chains: 3, ..one };
        assert!(loop_meaning(&many).ends_with("each lap is paid for."));
    }

    #[test]
    fn a_latent_loop_claims_nothing_that_did_not_happen() {
        let mut it = sample(LoopState::Latent);
        assert!(loop_meaning(&it).starts_with("subscribe can end up starting itself again through mail."));
        it.functions.truncate(1);
        assert!(loop_meaning(&it).starts_with("subscribe can start itself again."));
    }
}
