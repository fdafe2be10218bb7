//! What the detectors make of the loop and from what: reasons, R, depth, confidence, kinds, the platform's guard.

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, Reproduction};

use crate::app::App;
use crate::words;

/// Width of the picture of R in its own units.
const WIDTH: f64 = 400.0;

/// Marks below the bar.
const TICKS: [(f64, &str); 5] = [(0.5, "0.5"), (0.8, "0.8"), (1.0, "1"), (1.25, "1.25"), (2.0, "2")];

/// What stays the same for long, so that it can be read and selected while the numbers move.
#[derive(Clone, Debug, PartialEq)]
struct Lasting {
    assessment: String,
    meaning: &'static str,
    reasons: Vec<String>,
    guard: Option<String>,
    classes: Vec<String>,
}

/// What moves with the laps.
#[derive(Clone, Debug, PartialEq)]
struct Moving {
    reproduction: Option<Reproduction>,
    depth: Vec<String>,
    flow: String,
    doubt: Option<(&'static str, String)>,
}

/// The panel.
pub(super) fn judgement(app: App, it: Memo<Loop>) -> impl IntoView {
    let lasting = Memo::new(move |_| {
        app.model.with(|model| {
            it.with(|it| Lasting {
                assessment: it.assessment.clone(),
                meaning: words::assessed(it),
                reasons: it.reasons.clone(),
                guard: it
                    .platform_guard
                    .as_ref()
                    .map(|guard| words::platform_guard(guard, it.max_depth, |id| model.node_name(id))),
                classes: it.classes.clone(),
            })
        })
    });
    let moving = Memo::new(move |_| {
        it.with(|it| Moving {
            reproduction: it.reproduction,
            depth: words::depth(it),
            flow: it.flow.as_ref().map(words::flow).unwrap_or_default(),
            doubt: words::confidence(it.confidence).filter(|_| it.laps > 0),
        })
    });
    view! {
        <section class="panel judgement" data-testid="judgement" data-assessment=move || lasting.get().assessment>
            <h2>"What to make of it"</h2>
            {move || verdict(&lasting.get())}
            {move || numbers(moving.get())}
            {move || background(lasting.get())}
        </section>
    }
}

fn verdict(it: &Lasting) -> AnyView {
    let reason = |word: &String| view! { <li>{words::reason(word).to_owned()}</li> };
    view! {
        <p class=format!("verdict assessed-{}", it.assessment)>{it.meaning}</p>
        <ul class="reasons" class:none=it.reasons.is_empty()>{it.reasons.iter().map(reason).collect_view()}</ul>
    }
    .into_any()
}

fn numbers(it: Moving) -> AnyView {
    let doubt = it.doubt.map(|(word, text)| (word, format!(". {text}")));
    view! {
        {it.reproduction.map(ratio)}
        {section("How deep", "depth-words", "", it.depth.join(" "))}
        {section("What the counts say", "flow-words", "", it.flow)}
        {doubt.map(|(word, text)| section("How sure", "confidence", word, text))}
    }
    .into_any()
}

fn background(it: Lasting) -> AnyView {
    view! {
        {section("Would the platform stop it", "guard-words", "", it.guard.unwrap_or_default())}
        {kinds(&it.classes)}
    }
    .into_any()
}

/// A heading and a sentence, whose first word may be strong; nothing without a sentence.
fn section(title: &'static str, testid: &'static str, strong: &'static str, text: String) -> Option<AnyView> {
    if text.is_empty() {
        return None;
    }
    let view = view! {
        <h3>{title}</h3>
        <p data-testid=testid><strong>{strong}</strong>{text}</p>
    };
    Some(view.into_any())
}

/// R as a mark with its interval on a line from dying to growing.
fn ratio(it: Reproduction) -> impl IntoView {
    let numbers = format!("{} ({} to {})", words::ratio(it.mean), words::ratio(it.low), words::ratio(it.high));
    let (low, high) = (place(it.low), place(it.high));
    let tick = |(r, text): (f64, &'static str)| {
        view! {
            <line class="r-tick" x1=place(r) x2=place(r) y1="37" y2="42" />
            <text class="r-text" x=place(r) y="55">{text}</text>
        }
    };
    let label = format!("R is {numbers}");
    view! {
        <h3>"R, the further laps that each lap causes"</h3>
        <svg class="r-bar" viewBox=format!("0 0 {WIDTH} 60") role="img" aria-label=label>
            <text class="r-text r-end" x="0" y="12">"dying"</text>
            <text class="r-text r-end last" x=WIDTH y="12">"growing"</text>
            <rect class="r-line" x="0" y="27" width=WIDTH height="6" rx="3" />
            <rect class="r-range" x=low - 3.0 y="23" width=high - low + 6.0 height="14" rx="7" />
            <line class="r-one" x1=WIDTH / 2.0 x2=WIDTH / 2.0 y1="17" y2="42" />
            <circle class="r-mean" cx=place(it.mean) cy="30" r="6" />
            {TICKS.map(tick).collect_view()}
        </svg>
        <p data-testid="r-words"><strong>{numbers}</strong> ". " {words::reproduction(&it)}</p>
    }
}

/// Where an R stands: 1 in the middle, most room around it, and as far to the right as its inverse is to the left.
fn place(r: f64) -> f64 {
    let steep = r.clamp(0.0, 100.0).powi(3);
    (steep / (1.0 + steep) * WIDTH).clamp(8.0, WIDTH - 8.0)
}

fn kinds(classes: &[String]) -> Option<impl IntoView + use<>> {
    let kind = |class: &String| {
        view! {
            <div>
                <dt><span class="chip">{class.replace('_', " ")}</span></dt>
                <dd>{words::class_meaning(class)}</dd>
            </div>
        }
    };
    (!classes.is_empty()).then(|| {
        view! {
            <h3>"What kind"</h3>
            <dl class="kinds" data-testid="kinds">{classes.iter().map(kind).collect_view()}</dl>
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_in_the_middle_and_inverses_are_opposite() {
        assert!((place(1.0) - WIDTH / 2.0).abs() < 1e-9);
        assert!((place(2.0) + place(0.5) - WIDTH).abs() < 1e-9);
        assert!(place(f64::INFINITY) < WIDTH && place(0.0) > 0.0);
        assert!(place(1.05) - place(1.0) > 5.0, "what is close to 1 can be told from it");
    }
}
