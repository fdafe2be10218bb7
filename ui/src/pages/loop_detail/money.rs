//! What the loop costs and how much of what may run it takes.

use loopscope_proto::v1::LoopCost;

use crate::html::{Element, el};
use crate::parts::stat;
use crate::words;

/// The panel.
pub(super) fn money(it: &LoopCost) -> Element {
    let amount = |name: &str, amount: f64| stat(name, words::money(amount, &it.currency));
    let basis = match it.is_assumed {
        true => "At list prices, with memory or prices that had to be assumed; the settings can name them.",
        false => "At list prices, for the memory and the platforms of its functions.",
    };
    let numbers = [("so far", it.so_far), ("an hour", it.per_hour), ("next 24 h", it.next_24h)];
    let taken = words::concurrency(it).map(|text| el("p", "").text(&text));
    el("section", "panel")
        .test("cost")
        .child(el("h2", "").text("What it costs"))
        .child(el("dl", "numbers three").all(numbers.map(|(name, n)| amount(name, n)).into()))
        .all(taken.into_iter().collect())
        .child(el("p", "muted small").text(basis))
}
