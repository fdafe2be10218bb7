//! What the detectors make of the loop and from what: reasons, R, depth, confidence, kinds, the platform's guard.

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, Reproduction};

use crate::app::App;
use crate::words;

/// Width of the picture of R in its own units.
const WIDTH: f64 = 400.0;

/// Marks below the bar.
const TICKS: [(f64, &str); 5] = [(0.5, "0.5"), (0.8, "0.8"), (1.0, "1"), (1.25, "1.25"), (2.0, "2")];

/// The panel.
pub(super) fn judgement(app: App, it: Memo<Loop>) -> impl IntoView {
    let assessment = Memo::new(move |_| it.with(|it| it.assessment.clone()));
    let reasons = Memo::new(move |_| it.with(|it| it.reasons.clone()));
    let reproduction = Memo::new(move |_| it.with(|it| it.reproduction));
    let depth = Memo::new(move |_| it.with(words::depth));
    let doubt = Memo::new(move |_| it.with(|it| words::confidence(it.confidence).filter(|_| it.laps > 0)));
    let classes = Memo::new(move |_| it.with(|it| it.classes.clone()));
    let guard = Memo::new(move |_| {
        app.model.with(|model| {
            it.with(|it| {
                it.platform_guard
                    .as_ref()
                    .map(|guard| words::platform_guard(guard, it.max_depth, |id| model.node_name(id)))
            })
        })
    });
    let reason = |word: String| view! { <li>{words::reason(&word).to_owned()}</li> };
    view! {
        <section class="panel judgement" data-testid="judgement" data-assessment=move || assessment.get()>
            <h2>"What to make of it"</h2>
            <p class=move || format!("verdict assessed-{}", assessment.get())>
                {move || it.with(words::assessed)}
            </p>
            <ul class="reasons" class:none=move || reasons.with(Vec::is_empty)>
                {move || reasons.get().into_iter().map(reason).collect_view()}
            </ul>
            {move || reproduction.get().map(ratio)}
            {move || lines("How deep", "depth-words", depth.get())}
            {move || doubt.get().map(|(word, text)| view! {
                <h3>"How sure"</h3>
                <p data-testid="confidence"><strong>{word}</strong> ". " {text}</p>
            })}
            {move || lines("Would the platform stop it", "guard-words", guard.get().into_iter().collect())}
            {move || kinds(&classes.get())}
        </section>
    }
}

fn lines(title: &'static str, testid: &'static str, lines: Vec<String>) -> Option<impl IntoView> {
    let text = (!lines.is_empty()).then(|| lines.join(" "))?;
    Some(view! {
        <h3>{title}</h3>
        <p data-testid=testid>{text}</p>
    })
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
