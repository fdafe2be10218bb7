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
    let why = it.why.clone();
    let with_blanks = it.commands.iter().any(|command| command.text.contains('<'));
    let href = Route::edge(&it.source, &it.target).href();
    let clouds: Vec<String> = it.commands.iter().map(|command| command.cloud.clone()).collect();
    // Named only where it could be several, and once for the commands of each.
    let several = clouds.first() != clouds.last();
    let heads = (0..clouds.len()).map(|at| several && (at == 0 || clouds[at] != clouds[at - 1]));
    let commands = it.commands.into_iter().zip(heads.collect::<Vec<_>>()).map(|(it, head)| command(it, head));
    view! {
        <section class="panel" data-testid="cut">
            <h2>
                "Cut it here: " <a href=href>{from} " → " {to}</a>
            </h2>
            <p>{why}</p>
            <ul class="commands">{commands.collect_view()}</ul>
            <p class="muted small">
                "Loopscope runs none of this." {with_blanks.then_some(" Fill in the words in angle brackets.")}
            </p>
        </section>
    }
}

fn command(it: CutCommand, head: bool) -> impl IntoView {
    let text = it.text.clone();
    view! {
        <li data-testid="cut-command">
            {head.then(|| view! { <span class="cloud">{cloud(&it.cloud)}</span> })}
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
