//! What the loop costs and how much of what may run it takes.

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, LoopCost};

use crate::parts::stat;
use crate::words;

/// The panel; nothing for a loop without a cost.
pub(super) fn money(it: Memo<Loop>) -> impl IntoView {
    let cost = Memo::new(move |_| it.with(|it| it.cost.clone()));
    let known = Memo::new(move |_| cost.with(Option::is_some));
    let amount = move |value: fn(&LoopCost) -> f64| {
        move || cost.with(|cost| cost.as_ref().map(|it| words::money(value(it), &it.currency)).unwrap_or_default())
    };
    let assumed = move || cost.with(|cost| cost.as_ref().is_some_and(|it| it.is_assumed));
    let concurrency = move || cost.with(|cost| cost.as_ref().and_then(words::concurrency));
    view! {
        <Show when=move || known.get()>
            <section class="panel" data-testid="cost">
                <h2>"What it costs"</h2>
                <dl class="numbers three">
                    {stat("so far", amount(|it| it.so_far))} {stat("an hour", amount(|it| it.per_hour))}
                    {stat("next 24 h", amount(|it| it.next_24h))}
                </dl>
                {move || concurrency().map(|text| view! { <p>{text}</p> })}
                <p class="muted small">
                    "At list prices, "
                    {move || match assumed() {
                        true => "with memory or prices that had to be assumed; the settings can name them.",
                        false => "for the memory and the platforms of its functions.",
                    }}
                </p>
            </section>
        </Show>
    }
}
