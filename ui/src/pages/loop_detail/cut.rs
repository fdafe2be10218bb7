//! Where to cut the loop, and the commands that do it. The page runs none of them.

use loopscope_proto::v1::{CutAdvice, CutCommand};

use crate::html::{Element, el, link};
use crate::model::Model;
use crate::parts::copy;
use crate::url::Route;

/// The panel.
pub(super) fn cut(model: &Model, it: &CutAdvice) -> Element {
    let [from, to] = [&it.source, &it.target].map(|id| model.node_name(id));
    let edge = link(Route::edge(&it.source, &it.target).href(), &format!("{from} → {to}"));
    // Named only where it could be several, and once for the commands of each.
    let cloud = |at: usize| it.commands.get(at).map(|command| command.cloud.as_str());
    let several = it.commands.len() > 1 && cloud(0) != cloud(it.commands.len() - 1);
    let heads = (0..it.commands.len()).map(|at| several && (at == 0 || cloud(at) != cloud(at - 1)));
    let commands = it.commands.iter().zip(heads).map(|(it, head)| command(it, head)).collect();
    let blanks = it.commands.iter().any(|command| command.text.contains('<'));
    let note = if blanks { " Fill in the words in angle brackets." } else { "" };
    el("section", "panel")
        .test("cut")
        .child(el("h2", "").text("Cut it here: ").child(edge))
        .child(el("p", "").text(&it.why))
        .child(el("ul", "commands").all(commands))
        .child(el("p", "muted small").text(&format!("Loopscope runs none of this.{note}")))
}

fn command(it: &CutCommand, head: bool) -> Element {
    let line = el("li", "").test("cut-command");
    let line = if head { line.child(el("span", "cloud").text(&cloud(&it.cloud))) } else { line };
    line.child(el("pre", "").attr("tabindex", "0").child(el("code", "").text(&it.text)))
        .child(copy(it.text.clone(), "Copy"))
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
