//! Where traces are looked up: by id, or from those that loops left as evidence.

use leptos::prelude::*;

use crate::app::App;
use crate::parts::{nothing, trace_links};
use crate::url::Route;
use crate::words;

/// The page.
#[component]
pub fn Traces() -> impl IntoView {
    let app = App::get();
    let id = RwSignal::new(String::new());
    let wrong = RwSignal::new(false);
    let open = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let wanted = id.get_untracked().trim().to_lowercase();
        let fits = wanted.len() == 32 && wanted.bytes().all(|it| it.is_ascii_hexdigit());
        wrong.set(!fits);
        if fits {
            app.go(Route::trace(wanted));
        }
    };
    let loops = Memo::new(move |_| {
        app.model.with(|model| {
            let shown = model.ranked_loops().into_iter().filter(|it| !it.exemplar_trace_ids.is_empty());
            let title = |it: &loopscope_proto::v1::Loop| words::loop_title(it, |id| model.node_name(id));
            shown.map(|it| (it.id.clone(), title(it), it.exemplar_trace_ids.clone())).collect::<Vec<_>>()
        })
    });
    let groups = move || {
        let group = |(id, title, traces): (String, String, Vec<String>)| {
            view! {
                <section class="panel">
                    <h2><a href=Route::Loop(id).href()>{title}</a></h2>
                    {trace_links(&traces)}
                </section>
            }
        };
        loops.get().into_iter().map(group).collect_view()
    };
    view! {
        <div class="page">
            <header class="page-head">
                <h1 tabindex="-1">"Traces"</h1>
                <p class="muted">"Open one by its id, or from a node, an edge or a loop that it shows at work."</p>
            </header>
            <form class="lookup" on:submit=open>
                <label for="trace-id">"Trace id"</label>
                <input
                    id="trace-id"
                    class="mono"
                    placeholder="32 hexadecimal digits"
                    autocomplete="off"
                    spellcheck="false"
                    aria-describedby="trace-id-error"
                    aria-invalid=move || wrong.get().to_string()
                    prop:value=id
                    on:input=move |event| id.set(event_target_value(&event))
                />
                <button class="button primary" type="submit">"Open"</button>
                <p id="trace-id-error" class="failure" role="alert">
                    {move || wrong.get().then_some("A trace id has 32 hexadecimal digits.")}
                </p>
            </form>
            <h2 class="section-title">"Evidence of loops"</h2>
            <Show when=move || loops.with(Vec::is_empty)>
                {nothing("No traces kept yet", "Loops keep the traces that show them. Other traces hang on nodes and edges of the map.")}
            </Show>
            <div class="groups">{groups}</div>
        </div>
    }
}
