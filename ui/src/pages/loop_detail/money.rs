//! What the loop costs and how much of what may run it takes.

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, LoopCost};

use crate::words;

/// The panel; nothing for a loop without a cost.
pub(super) fn money(it: Memo<Loop>) -> impl IntoView {
    let cost = Memo::new(move |_| it.with(|it| it.cost.clone()));
    move || cost.get().map(panel)
}

fn panel(it: LoopCost) -> AnyView {
    let amount = |name: &'static str, amount: f64| {
        let text = words::money(amount, &it.currency);
        view! { <div class="stat"><dt>{name}</dt><dd>{text}</dd></div> }
    };
    let basis = match it.is_assumed {
        true => "At list prices, with memory or prices that had to be assumed; the settings can name them.",
        false => "At list prices, for the memory and the platforms of its functions.",
    };
    view! {
        <section class="panel" data-testid="cost">
            <h2>"What it costs"</h2>
            <dl class="numbers three">
                {amount("so far", it.so_far)} {amount("an hour", it.per_hour)} {amount("next 24 h", it.next_24h)}
            </dl>
            {words::concurrency(&it).map(|text| view! { <p>{text}</p> })}
            <p class="muted small">{basis}</p>
        </section>
    }
    .into_any()
}
