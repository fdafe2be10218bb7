//! Where to cut the loop, and the commands that do it. The page runs none of them.

use leptos::prelude::*;
use loopscope_proto::v1::{CutAdvice, CutCommand, Loop};

use crate::app::App;
use crate::parts::Copy;
use crate::url::Route;

/// The panel; nothing while no advice is known.
pub(super) fn cut(app: App, it: Memo<Loop>) -> impl IntoView {
    let advice = Memo::new(move |_| it.with(|it| it.cut.clone()));
    move || advice.get().map(|advice| panel(app, advice))
}

fn panel(app: App, it: CutAdvice) -> impl IntoView {
    let names = app.model.with_untracked(|model| [&it.source, &it.target].map(|id| model.node_name(id).to_owned()));
    let [from, to] = names;
    let several = it.commands.iter().any(|command| command.cloud != it.commands[0].cloud);
    let with_blanks = it.commands.iter().any(|command| command.text.contains('<'));
    view! {
        <section class="panel" data-testid="cut">
            <h2>
                "Cut it here: " <a href=Route::edge(&it.source, &it.target).href()>{from} " → " {to}</a>
            </h2>
            <p>{it.why}</p>
            <ul class="commands">{it.commands.into_iter().map(|it| command(it, several)).collect_view()}</ul>
            <p class="muted small">
                "Loopscope runs none of this." {with_blanks.then_some(" Fill in the words in angle brackets.")}
            </p>
        </section>
    }
}

fn command(it: CutCommand, several: bool) -> impl IntoView {
    let text = it.text.clone();
    view! {
        <li data-testid="cut-command">
            {several.then(|| view! { <span class="cloud">{cloud(&it.cloud)}</span> })}
            <pre tabindex="0"><code>{it.text}</code></pre>
            <Copy text=Signal::stored(text) />
        </li>
    }
}

fn cloud(word: &str) -> String {
    match word {
        "aws" => "AWS".into(),
        "gcp" => "Google Cloud".into(),
        "azure" => "Azure".into(),
        "cloudflare" => "Cloudflare".into(),
        other => other.to_owned(),
    }
}
