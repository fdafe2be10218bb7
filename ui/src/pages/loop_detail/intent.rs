//! Whether the loop is meant to be: what is declared and said of it, and the forms that change that.

use leptos::prelude::*;
use leptos::task::spawn_local;
use loopscope_proto::v1::{IntendedState, Loop, Verdict, VerdictList};

use crate::client::{Change, VERDICTS, change, declaration_url};
use crate::intent::{self, Declaration};
use crate::parts::Ago;
use crate::parts::fetched::{Fetched, fetched};
use crate::words;

/// What is open below the buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Expected,
    Declare,
}

/// What the parts of the panel share.
#[derive(Clone, Copy)]
struct Panel {
    it: Memo<Loop>,
    form: RwSignal<Option<Form>>,
    busy: RwSignal<bool>,
    /// What went wrong with the last change; empty when nothing did.
    problem: RwSignal<String>,
    /// What the last change did; empty before one.
    done: RwSignal<&'static str>,
    /// Changes so far, so that what was said is asked for again.
    round: RwSignal<u32>,
}

impl Panel {
    fn id(self) -> String {
        self.it.with_untracked(|it| it.id.clone())
    }

    /// Sends what was made of the input of the reader.
    fn send(self, order: Result<Change, String>, done: &'static str) {
        self.done.set("");
        let order = match order {
            Ok(order) => order,
            Err(problem) => return self.problem.set(problem),
        };
        self.problem.set(String::new());
        self.busy.set(true);
        spawn_local(async move {
            let result = change(order).await;
            // The reader may have left the page.
            let _ = self.busy.try_set(false);
            match result {
                Ok(()) => {
                    let _ = self.form.try_set(None);
                    let _ = self.done.try_set(done);
                    let _ = self.round.try_update(|round| *round += 1);
                }
                Err(problem) => {
                    let _ = self.problem.try_set(problem);
                }
            }
        });
    }

    /// A depth that leaves some room above what was seen.
    fn suggested_depth(self) -> String {
        self.it.with_untracked(|it| it.max_depth.saturating_add(it.max_depth / 2).max(10).to_string())
    }
}

/// The panel.
pub(super) fn intent(it: Memo<Loop>) -> impl IntoView {
    let panel = Panel {
        it,
        form: RwSignal::new(None),
        busy: RwSignal::new(false),
        problem: RwSignal::new(String::new()),
        done: RwSignal::new(""),
        round: RwSignal::new(0),
    };
    let declared = Memo::new(move |_| it.with(|it| it.intended.clone()));
    view! {
        <section class="panel intent" data-testid="intent">
            <h2>"Is it meant to be?"</h2>
            {move || declared.get().map(|declared| declaration(panel, declared))}
            {said(panel)}
            {buttons(panel)}
            {move || match panel.form.get() {
                Some(Form::Expected) => expected_form(panel).into_any(),
                Some(Form::Declare) => declare_form(panel).into_any(),
                None => ().into_any(),
            }}
            <p class="failure" role="alert" data-testid="intent-problem">{move || panel.problem.get()}</p>
            <p class="done" role="status">{move || panel.done.get()}</p>
        </section>
    }
}

fn declaration(panel: Panel, it: IntendedState) -> impl IntoView {
    let (state, text) = words::declaration_state(&it);
    let id = it.id.clone();
    let withdraw = move |_| panel.send(Ok(Change::Delete(declaration_url(&id))), "The declaration is withdrawn.");
    view! {
        <div class=format!("declared declared-{state}") data-testid="declared" data-state=state>
            <p>{words::declaration(&it)}</p>
            <p><strong>{text}</strong></p>
            <button class="button" type="button" disabled=panel.busy on:click=withdraw>"Withdraw"</button>
        </div>
    }
}

/// What somebody said of the loop before.
fn said(panel: Panel) -> impl IntoView {
    let answer = fetched::<VerdictList>(move || Some(format!("{VERDICTS}#{}", panel.round.get())));
    let verdict = Memo::new(move |_| {
        answer.with(|answer| match answer {
            Fetched::Ready(list) => {
                panel.it.with(|it| list.verdicts.iter().find(|said| said.loop_id == it.id).cloned())
            }
            _ => None,
        })
    });
    let clear = move |_| panel.send(intent::clear(&panel.id()), "What was said is taken back.");
    let line = move |it: Verdict| {
        view! {
            <div class="declared" data-testid="said">
                <p>{words::verdict(&it)} ", " <Ago time=it.at /> "."</p>
                <button class="button" type="button" disabled=panel.busy on:click=clear>"Take back"</button>
            </div>
        }
    };
    move || verdict.get().map(line)
}

fn buttons(panel: Panel) -> impl IntoView {
    let toggle = move |form: Form| {
        panel.problem.set(String::new());
        panel.done.set("");
        panel.form.update(|open| *open = (*open != Some(form)).then_some(form));
    };
    let opens = move |form: Form| move || (panel.form.get() == Some(form)).to_string();
    let runaway = move |_| {
        panel.form.set(None);
        panel.send(intent::runaway(&panel.id()), "Marked as a runaway: nothing is learned from it.");
    };
    view! {
        <p class="muted">
            "A verdict teaches Loopscope how this loop behaves. A declaration silences it inside a bound, and alerts when the bound breaks."
        </p>
        <div class="actions">
            <button class="button" type="button" data-testid="mark-expected" aria-expanded=opens(Form::Expected)
                on:click=move |_| toggle(Form::Expected)>"Mark as expected…"</button>
            <button class="button" type="button" data-testid="mark-runaway" disabled=panel.busy on:click=runaway>
                "Mark as runaway"
            </button>
            <button class="button" type="button" data-testid="declare" aria-expanded=opens(Form::Declare)
                on:click=move |_| toggle(Form::Declare)>"Declare as intended…"</button>
        </div>
    }
}

fn expected_form(panel: Panel) -> impl IntoView {
    let depth = RwSignal::new(panel.suggested_depth());
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let order = depth.with_untracked(|depth| intent::expected(&panel.id(), depth));
        panel.send(order, "Marked as expected.");
    };
    view! {
        <form class="form" on:submit=send data-testid="expected-form">
            {field("Laps of one chain that are expected", "number", depth.get_untracked(), move |text| depth.set(text))}
            {submit(panel, "Mark as expected")}
        </form>
    }
}

fn declare_form(panel: Panel) -> impl IntoView {
    let typed = RwSignal::new(Declaration { depth: panel.suggested_depth(), ..Declaration::default() });
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let order = typed.with_untracked(|typed| intent::declare(&panel.id(), typed));
        panel.send(order, "Declared as intended.");
    };
    let depth = typed.with_untracked(|typed| typed.depth.clone());
    view! {
        <form class="form" on:submit=send data-testid="declare-form">
            {field("Laps of one chain, at most", "number", depth, move |text| typed.update(|it| it.depth = text))}
            {field("Laps a minute, at most (where laps branch)", "text", String::new(), move |text| typed.update(|it| it.rate = text))}
            {field("Owner", "text", String::new(), move |text| typed.update(|it| it.owner = text))}
            {field("Reason", "text", String::new(), move |text| typed.update(|it| it.reason = text))}
            {field("Holds until (optional)", "date", String::new(), move |text| typed.update(|it| it.expires = text))}
            {submit(panel, "Declare as intended")}
        </form>
    }
}

fn field(label: &'static str, kind: &'static str, value: String, set: impl Fn(String) + 'static) -> impl IntoView {
    let least = (kind == "number").then_some("0");
    view! {
        <label>
            <span>{label}</span>
            <input type=kind min=least value=value autocomplete="off" on:input=move |event| set(event_target_value(&event)) />
        </label>
    }
}

fn submit(panel: Panel, text: &'static str) -> impl IntoView {
    view! { <button class="button primary" type="submit" disabled=panel.busy>{text}</button> }
}
