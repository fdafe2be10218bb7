//! What the detectors make of the loop and from what: reasons, R, depth, confidence, kinds, the platform's guard.

use loopscope_proto::v1::{Loop, Reproduction};

use crate::html::{Element, el};
use crate::model::Model;
use crate::words;

/// Width of the picture of R in its own units.
const WIDTH: f64 = 400.0;

/// Marks below the bar.
const TICKS: [(f64, &str); 5] = [(0.5, "0.5"), (0.8, "0.8"), (1.0, "1"), (1.25, "1.25"), (2.0, "2")];

/// The panel.
pub(super) fn judgement(model: &Model, it: &Loop) -> Element {
    let reason = |word: &String| el("li", "").text(words::reason(word));
    let reasons = el("ul", if it.reasons.is_empty() { "reasons none" } else { "reasons" });
    let guard = it.platform_guard.as_ref();
    let guard = guard.map(|guard| words::platform_guard(guard, it.max_depth, |id| model.node_name(id)));
    let doubt =
        words::confidence(it.confidence).filter(|_| it.laps > 0).map(|(word, text)| (word, format!(". {text}")));
    let (sure, doubt) = doubt.unwrap_or_default();
    let flow = it.flow.as_ref().map(words::flow).unwrap_or_default();
    el("section", "panel judgement")
        .test("judgement")
        .attr("data-assessment", &it.assessment)
        .child(el("h2", "").text("What to make of it"))
        .child(el("p", &format!("verdict assessed-{}", it.assessment)).text(words::assessed(it)))
        .child(reasons.all(it.reasons.iter().map(reason).collect()))
        .all(it.reproduction.as_ref().map(ratio).unwrap_or_default())
        .all(section("How deep", "depth-words", "", &words::depth(it).join(" ")))
        .all(section("What the counts say", "flow-words", "", &flow))
        .all(section("How sure", "confidence", sure, &doubt))
        .all(section("Would the platform stop it", "guard-words", "", &guard.unwrap_or_default()))
        .all(kinds(&it.classes))
}

/// A heading and a sentence, whose first word may be strong; nothing without a sentence.
fn section(title: &str, test: &str, strong: &str, text: &str) -> Vec<Element> {
    if text.is_empty() {
        return Vec::new();
    }
    vec![el("h3", "").text(title), el("p", "").test(test).child(el("strong", "").text(strong)).text(text)]
}

/// R as a mark with its interval on a line from dying to growing.
fn ratio(it: &Reproduction) -> Vec<Element> {
    let numbers = format!("{} ({} to {})", words::ratio(it.mean), words::ratio(it.low), words::ratio(it.high));
    let (low, high) = (place(it.low), place(it.high));
    let line = |class: &str, x: f64, from: &str, to: &str| {
        el("line", class).with("x1", x.to_string()).with("x2", x.to_string()).attr("y1", from).attr("y2", to)
    };
    let text =
        |class: &str, x: f64, y: &str, text: &str| el("text", class).with("x", x.to_string()).attr("y", y).text(text);
    let rect = |class: &str, x: f64, y: &str, width: f64, height: &str, rx: &str| {
        let rect = el("rect", class).with("x", x.to_string()).attr("y", y).with("width", width.to_string());
        rect.attr("height", height).attr("rx", rx)
    };
    let ticks = TICKS
        .into_iter()
        .flat_map(|(r, name)| [line("r-tick", place(r), "37", "42"), text("r-text", place(r), "55", name)]);
    let picture = el("svg", "r-bar")
        .with("viewBox", format!("0 0 {WIDTH} 60"))
        .attr("role", "img")
        .with("aria-label", format!("R is {numbers}"))
        .child(text("r-text r-end", 0.0, "12", "dying"))
        .child(text("r-text r-end last", WIDTH, "12", "growing"))
        .child(rect("r-line", 0.0, "27", WIDTH, "6", "3"))
        .child(rect("r-range", low - 3.0, "23", high - low + 6.0, "14", "7"))
        .child(line("r-one", WIDTH / 2.0, "17", "42"))
        .child(el("circle", "r-mean").with("cx", place(it.mean).to_string()).attr("cy", "30").attr("r", "6"))
        .all(ticks.collect());
    let said = el("p", "").test("r-words").child(el("strong", "").text(&numbers)).text(". ");
    vec![el("h3", "").text("R, the further laps that each lap causes"), picture, said.text(words::reproduction(it))]
}

/// Where an R stands: 1 in the middle, most room around it, and as far to the right as its inverse is to the left.
fn place(r: f64) -> f64 {
    let steep = r.clamp(0.0, 100.0).powi(3);
    (steep / (1.0 + steep) * WIDTH).clamp(8.0, WIDTH - 8.0)
}

fn kinds(classes: &[String]) -> Vec<Element> {
    if classes.is_empty() {
        return Vec::new();
    }
    let kind = |class: &String| {
        let name = el("dt", "").child(el("span", "chip").text(&class.replace('_', " ")));
        el("div", "").child(name).child(el("dd", "").text(words::class_meaning(class)))
    };
    let list = el("dl", "kinds").test("kinds").all(classes.iter().map(kind).collect());
    vec![el("h3", "").text("What kind"), list]
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
