//! What the detectors make of a loop and why: assessment, reasons, depth, R, confidence, classes, the platform's guard.

use loopscope_proto::v1::{Flow, Loop, PlatformGuard, Reproduction};

use crate::format;
use crate::words::{is_retry_storm, sampled::hidden_depth};

/// The glyph that doubles the colour of an assessment.
pub fn assessment_glyph(assessment: &str) -> &'static str {
    match assessment {
        "alarm" => "◆",
        "suspect" => "◇",
        _ => "·",
    }
}

/// What an assessment says, in a sentence.
pub fn assessment_meaning(assessment: &str) -> &'static str {
    match assessment {
        "alarm" => "This is not how a benign loop behaves. Somebody should stop it, or say that it is meant.",
        "suspect" => "This is unusual for a benign loop, but not enough to wake anybody. No alert was sent.",
        _ => "Nothing about it is unusual so far.",
    }
}

/// What an assessment says of this finding: a request that is made again and again is told of and never an alarm.
pub fn assessed(it: &Loop) -> &'static str {
    match is_retry_storm(it) {
        true => "It is no loop, so nobody is alerted. Fewer attempts with growing pauses between them stop it.",
        false => assessment_meaning(&it.assessment),
    }
}

/// Why the detectors think so, in a sentence.
pub fn reason(word: &str) -> &str {
    match word {
        "depth" => "One chain is deeper than benign chains get.",
        "rate" => "All its chains together go on more often than they used to.",
        "fan_out" => "A chain branches and gets wider from lap to lap: its laps multiply.",
        "slow" => "Its laps are slow and few, and its chain is deeper than benign ones get all the same.",
        "broken_bound" => "It does more than its declaration allows.",
        "flow" => "Its invocations send on what they are sent, and too few of them end or they multiply.",
        other => other,
    }
}

/// What a class means, in a clause; its name is the word without underscores.
pub fn class_meaning(class: &str) -> &'static str {
    match class {
        "latent" => "the graph has the cycle, and no chain has gone round",
        "reentry" => "a function runs again within one trace",
        "cross_trace" => "a lap goes from one trace to another, through a message, an object or a timer",
        "self" => "a function causes itself, with no other function in between",
        "retry_storm" => "the same request is made again and again, because it fails",
        "poison" => "a function fails and sends what it could not handle to its own trigger",
        "fan_out" => "one lap causes more than one",
        "bounded" => "its chains end by themselves, and it is known how deep they get",
        "slow" => "a lap takes ten minutes or longer",
        "self_timer" => "a function arms its own timer or fills its own queue, with nothing from outside",
        "no_progress" => "the same thing is handled again and again",
        "telemetry" => "telemetry about telemetry: what it reports triggers it",
        _ => "",
    }
}

/// How sure it is that the laps belong together: a word and a sentence; `None` when nothing had to be guessed.
pub fn confidence(confidence: f64) -> Option<(&'static str, String)> {
    let how = "Parents or links are missing, so laps were joined by ids, keys or times";
    let sure = format!("{:.0} %", (confidence * 100.0).floor());
    match confidence {
        c if c >= 0.995 || !c.is_finite() => None,
        c if c >= 0.9 => Some(("confirmed", format!("{how}: they belong together with {sure}."))),
        c if c >= 0.5 => {
            Some(("suspected", format!("{how}: they belong together with {sure}. Have a look at a trace.")))
        }
        _ => Some(("uncertain", format!("{how}, and that they belong together is a guess ({sure})."))),
    }
}

/// What R says about what comes next.
pub fn reproduction(it: &Reproduction) -> &'static str {
    match (it.low > 1.0, it.high < 1.0) {
        (true, _) => "More than one: the laps multiply until something stops them.",
        (_, true) => "Less than one: the laps run out by themselves.",
        _ => "About one: it neither grows nor ends as far as can be told.",
    }
}

/// What counts alone say, where nobody knows which invocation caused which.
pub fn flow(it: &Flow) -> String {
    let Some(r) = &it.reproduction else { return String::new() };
    let numbers = format!("{} ({} to {})", ratio(r.mean), ratio(r.low), ratio(r.high));
    format!(
        "Its spans name only what lies between its functions, so no chain can be followed. By count, each invocation \
         causes {numbers} further ones; {} go round, and {} come from outside.",
        format::per_minute(it.laps_per_minute),
        format::per_minute(it.immigrants_per_minute)
    )
}

/// R with two digits.
pub fn ratio(r: f64) -> String {
    if r < 9.995 { format!("{r:.2}") } else { format!("{r:.0}") }
}

/// R of a loop, or a dash while there are too few laps.
pub fn mean_ratio(it: &Loop) -> String {
    it.reproduction.as_ref().map_or_else(|| "–".into(), |it| ratio(it.mean))
}

/// How deep it is, what is too deep, where that is known from, and what sampling hides of it; nothing for a loop without
/// laps.
pub fn depth(it: &Loop) -> Vec<String> {
    let hidden = hidden_depth(it).filter(|_| it.max_depth > 0);
    let Some(alarm) = it.alarm_depth.filter(|_| it.max_depth > 0) else { return hidden.into_iter().collect() };
    let deepest = format::counted(u64::from(it.max_depth), "lap", "laps");
    let mut lines = vec![format!("The deepest chain has {deepest}; a chain of this loop is an alarm at {alarm}.")];
    if let Some(p) = it.depth_probability.filter(|_| it.open_chains > 0) {
        lines.push(match p {
            p if p > 0.5 => "Most benign chains get as deep as those that are open now.".to_owned(),
            p => format!("Of benign chains, {} gets as deep as the deepest that is open now.", odds(p)),
        });
    }
    lines.push(match it.learned_chains {
        0 => "None of its chains has ended by itself so far, so it is held against loops in general.".to_owned(),
        n => format!("That is learned from {} that ended by themselves.", format::counted(n, "chain", "chains")),
    });
    lines.extend(hidden);
    lines
}

/// The lap at which a chain is an alarm, or a dash where there are no laps.
pub fn alarm_depth(it: &Loop) -> String {
    it.alarm_depth.map_or_else(|| "–".into(), |depth| format::count(depth.into()))
}

/// What the platform's own guard does about a loop of this depth, with the name that `name` gives to a node.
pub fn platform_guard<'a>(guard: &'a PlatformGuard, max_depth: u32, name: impl Fn(&'a str) -> &'a str) -> String {
    let (who, what) = match guard.name.as_str() {
        "aws_lambda" => ("AWS Lambda", "its recursive loop detection"),
        "cloudflare_workers" => ("Cloudflare", "its limit on chained invocations"),
        other => (other, "its guard"),
    };
    match (guard.stops_at.filter(|_| guard.is_covered), &guard.uncovered) {
        (Some(at), _) if max_depth > at => format!(
            "{who} should have stopped it: {what} follows every hop and drops what comes after {at} invocations of a \
             chain. It went on all the same, so the guard is switched off or its header is lost on the way."
        ),
        (Some(at), _) => {
            format!(
                "{who} would stop it: {what} follows every hop and drops what comes after {at} invocations of a chain."
            )
        }
        (None, Some(hop)) => {
            let (from, to) = (name(&hop.source), name(&hop.target));
            format!("{who} will not stop it: {what} does not follow the hop {from} → {to}.")
        }
        (None, None) => format!("{who} will not stop it: {what} does not see the whole lap."),
    }
}

/// A probability that is small, as one in so many.
fn odds(p: f64) -> String {
    match p {
        p if p < 1e-6 => "fewer than one in a million".into(),
        p => format!("one in {}", format::count((1.0 / p).round() as u64)),
    }
}

#[cfg(test)]
mod tests {
    use loopscope_proto::v1::EdgeRef;

    use super::*;

    fn deep() -> Loop {
        Loop {
            max_depth: 310,
            alarm_depth: Some(18),
            depth_probability: Some(0.002),
            open_chains: 1,
            ..Loop::default()
        }
    }

    #[test]
    fn every_word_of_the_schema_has_a_sentence() {
        let classes =
            "latent reentry cross_trace self retry_storm poison fan_out bounded slow self_timer no_progress telemetry";
        assert!(classes.split(' ').all(|class| !class_meaning(class).is_empty()));
        assert!("depth rate fan_out slow broken_bound flow".split(' ').all(|word| reason(word).ends_with('.')));
        assert_eq!(reason("new_one"), "new_one", "a word that this page does not know is shown as it is");
    }

    #[test]
    fn depth_says_where_it_is_known_from() {
        let text = depth(&deep()).join(" ");
        assert!(text.contains("has 310 laps") && text.contains("alarm at 18") && text.contains("one in 500"), "{text}");
        assert!(text.contains("None of its chains"), "{text}");
        let learned = depth(&Loop { learned_chains: 41, ..deep() }).join(" ");
        assert!(learned.contains("learned from 41 chains"), "{learned}");
        let usual = depth(&Loop { depth_probability: Some(0.9), ..deep() }).join(" ");
        assert!(usual.contains("Most benign chains"), "{usual}");
        assert!(depth(&Loop { max_depth: 0, ..deep() }).is_empty());
        let half = depth(&Loop { next_lap_sampling_probability: Some(0.5), ..deep() }).join(" ");
        assert!(half.contains("alarm at 18") && half.contains("may be deeper"), "{half}");
        let hidden = depth(&Loop { next_lap_sampling_probability: Some(0.1), alarm_depth: None, ..deep() }).join(" ");
        assert!(hidden.starts_with("Depth is not judged."), "{hidden}");
    }

    #[test]
    fn r_claims_no_more_than_its_interval_holds() {
        let r = |low: f64, high: f64| reproduction(&Reproduction { mean: 1.02, low, high });
        assert!(r(1.01, 1.04).starts_with("More than one"));
        assert!(r(0.98, 1.04).starts_with("About one"));
        assert!(r(0.3, 0.9).starts_with("Less than one"));
    }

    #[test]
    fn doubt_is_said_in_degrees() {
        let word = |c: f64| confidence(c).map(|it| it.0);
        assert_eq!([1.0, 0.93, 0.6, 0.2].map(word), [None, Some("confirmed"), Some("suspected"), Some("uncertain")]);
        assert!(confidence(0.899).is_some_and(|it| it.1.contains("89 %")), "never rounded up into the next degree");
    }

    #[test]
    fn a_guard_that_misses_a_hop_names_it() {
        let uncovered = Some(EdgeRef { source: "1".into(), target: "2".into() });
        let guard = PlatformGuard { name: "aws_lambda".into(), uncovered, ..PlatformGuard::default() };
        let name = |id| if id == "1" { "uploads" } else { "resize" };
        assert!(platform_guard(&guard, 5, name).ends_with("does not follow the hop uploads → resize."));
        let covered = PlatformGuard { is_covered: true, stops_at: Some(16), uncovered: None, ..guard.clone() };
        let text = platform_guard(&covered, 5, name);
        assert!(text.starts_with("AWS Lambda would stop it") && text.contains("16"), "{text}");
        let text = platform_guard(&covered, 60, name);
        assert!(text.starts_with("AWS Lambda should have stopped it"), "{text}");
    }
}
