//! Functions beside the containers that would do the same, the verdict on each, and what all of it assumes.

use loopscope_proto::v1::{CostReport, FunctionCost};

use crate::format;
use crate::html::{Element, el, link};
use crate::parts::facts;
use crate::url::{Range, Route};
use crate::words::cost as words;

/// Functions shown with their verdicts, the dearest; the table above has all.
const SHOWN: usize = 20;

/// The section.
pub(super) fn section(it: &CostReport, range: &Range) -> Vec<Element> {
    let cards: Vec<Element> = it.functions.iter().take(SHOWN).map(|function| card(function, it, range)).collect();
    let mut shown = vec![el("h2", "section-title").text("Functions or containers"), el("ul", "cards").all(cards)];
    if it.functions.len() > SHOWN {
        let text =
            format!("The {SHOWN} dearest of {}.", format::counted(it.functions.len() as u64, "function", "functions"));
        shown.push(el("p", "muted").text(&text));
    }
    shown
}

fn card(function: &FunctionCost, it: &CostReport, range: &Range) -> Element {
    let chips = function.verdicts.iter().map(|verdict| {
        let class = if verdict.fit == "fits" { "chip" } else { "chip severity-warning" };
        let glyph = if verdict.fit == "fits" { "✓ " } else { "▲ " };
        el("span", class).child(el("span", "").attr("aria-hidden", "true").text(glyph)).text(words::fit(&verdict.fit))
    });
    let verdicts = function.verdicts.iter().map(|verdict| el("p", "card-meaning").text(&words::verdict(verdict)));
    let href = Route::Function { id: function.id.clone(), range: range.clone() }.href();
    let main = el("div", "card-main")
        .child(el("div", "chips").all(chips.collect()))
        .child(el("h2", "").child(link(href, &function.name)))
        .all(verdicts.collect())
        .child(el("p", "muted card-meaning").text(&words::break_even(function.break_even.as_ref(), &it.currency)))
        .child(el("p", "muted").text(&super::load(function)));
    el("li", "card").key(&function.id).test("fit-card").attr("data-id", &function.id).child(main)
}

/// What the amounts rest on.
pub(super) fn assumptions(it: &CostReport) -> Element {
    let prices = it.prices.iter().map(|price| {
        el("li", "").text(&price.item).child(el("span", "muted").text(&format!(" as of {}", price.as_of)))
    });
    let containers = it.containers.as_ref().map_or_else(
        || "Nobody said what containers cost, so nothing is compared with them.".to_owned(),
        |containers| words::containers(containers, &it.currency),
    );
    let sizes = it.containers.as_ref().map(|containers| {
        let sizes = containers.sizes.iter().map(|size| {
            let served = format::counted(size.concurrency.into(), "request", "requests");
            ("Size", format!("{}, {served} at the same time", words::container(size)))
        });
        facts(sizes.collect())
    });
    el("section", "panel")
        .test("assumptions")
        .child(el("h2", "").text("What this assumes"))
        .child(el("p", "").text(
            "Each run is rounded by itself, as its platform does. Free tiers, discounts, traffic and storage are not known. \
             * marks functions whose memory or platform is assumed. The configuration changes all of it.",
        ))
        .child(el("h3", "").text("Prices"))
        .child(el("ul", "plain").all(prices.collect()))
        .child(el("h3", "").text("Containers"))
        .child(el("p", "").text(&containers))
        .all(sizes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopscope_proto::v1::{ContainerAssumptions, FitVerdict, PriceUsed};

    #[test]
    fn a_verdict_stands_beside_its_reasons_and_assumptions() {
        let verdict = FitVerdict {
            fit: "chatty_state".into(),
            words: "it uses stores ten times in a row".into(),
            ..FitVerdict::default()
        };
        let function = FunctionCost {
            name: "shop".into(),
            per_second: 2.0,
            memory_mb: 512,
            verdicts: vec![verdict],
            ..FunctionCost::default()
        };
        let it = CostReport {
            functions: vec![function],
            prices: vec![PriceUsed { item: "aws_lambda x86_64".into(), as_of: "2026-06-01".into() }],
            containers: Some(ContainerAssumptions {
                name: "Fargate".into(),
                as_of: "2026-06-01".into(),
                min_tasks: 2,
                ..ContainerAssumptions::default()
            }),
            ..CostReport::default()
        };
        let cards = crate::html::words(&section(&it, &Range::default()));
        assert!(cards.contains("▲ chatty state shop It uses stores ten times in a row. Confidence 0 %."), "{cards}");
        assert!(cards.ends_with("2/s in the mean, idle in the busiest minute; 512 MiB"), "{cards}");
        let assumed = assumptions(&it).words();
        assert!(
            assumed.contains("aws_lambda x86_64 as of 2026-06-01") && assumed.contains("at least 2 run"),
            "{assumed}"
        );
    }
}
