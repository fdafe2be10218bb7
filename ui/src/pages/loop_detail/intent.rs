//! Whether the loop is meant to be: what is declared and said of it, and the forms that change that.

use std::rc::Rc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use loopscope_proto::v1::{IntendedState, Loop, Verdict, VerdictList};
use wasm_bindgen::JsCast;
use web_sys::Event;

use crate::app::App;
use crate::client::{Change, VERDICTS, change, declaration_url};
use crate::html::{Element, Listener, el};
use crate::intent::{self, Declaration};
use crate::parts::ago;
use crate::parts::fetched::Answer;
use crate::words;

/// What is open below the buttons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Expected,
    Declare,
}

/// The panel.
pub(super) struct Panel {
    said: Answer<VerdictList>,
    form: Sending,
}

/// What the reader does, shared with listeners.
#[derive(Clone, Copy)]
struct Sending {
    app: App,
    id: StoredValue<String>,
    form: RwSignal<Option<Form>>,
    /// What was typed so far.
    typed: StoredValue<Declaration>,
    /// A depth that leaves some room above what was seen when the form was opened.
    suggested: StoredValue<String>,
    busy: RwSignal<bool>,
    /// What went wrong with the last change; empty when nothing did.
    problem: RwSignal<String>,
    /// What the last change did; empty before one.
    done: RwSignal<&'static str>,
    /// Changes so far, so that what was said is asked for again.
    round: RwSignal<u32>,
}

impl Sending {
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

    fn toggle(self, form: Form) {
        self.problem.set(String::new());
        self.done.set("");
        let id = self.id.get_value();
        let depth = self.app.model.with_untracked(|model| model.loops.get(&id).map_or(0, |it| it.max_depth));
        let suggested = depth.saturating_add(depth / 2).max(10).to_string();
        self.typed.set_value(Declaration { depth: suggested.clone(), ..Declaration::default() });
        self.suggested.set_value(suggested);
        self.form.update(|open| *open = (*open != Some(form)).then_some(form));
    }

    fn submit(self, form: Form) {
        let (id, typed) = (self.id.get_value(), self.typed.get_value());
        match form {
            Form::Expected => self.send(intent::expected(&id, &typed.depth), "Marked as expected."),
            Form::Declare => self.send(intent::declare(&id, &typed), "Declared as intended."),
        }
    }

    fn button(self, text: &str, press: impl Fn() + 'static) -> Element {
        let button = el("button", "button").attr("type", "button").on("click", Rc::new(move |_| press())).text(text);
        self.unless_busy(button)
    }

    fn unless_busy(self, button: Element) -> Element {
        if self.busy.get() { button.attr("disabled", "") } else { button }
    }
}

impl Panel {
    /// The panel of a loop.
    pub(super) fn of(app: App, id: String) -> Self {
        let form = Sending {
            app,
            id: StoredValue::new(id),
            form: RwSignal::new(None),
            typed: StoredValue::new(Declaration::default()),
            suggested: StoredValue::new(String::new()),
            busy: RwSignal::new(false),
            problem: RwSignal::new(String::new()),
            done: RwSignal::new(""),
            round: RwSignal::new(0),
        };
        let url = Memo::new(move |_| Some(format!("{VERDICTS}#{}", form.round.get())));
        Self { said: Answer::of(url), form }
    }

    /// What it shows.
    pub(super) fn show(&self, it: &Loop, now: f64) -> Element {
        let form = self.form;
        // What was said is shown once it is there: nothing is missing without it.
        let _ = self.said.show("", |_| Vec::new());
        let said = self.said.peek(|list| list.verdicts.iter().find(|said| said.loop_id == it.id).cloned()).flatten();
        let open = form.form.get();
        el("section", "panel intent")
            .test("intent")
            .child(el("h2", "").text("Is it meant to be?"))
            .all(it.intended.iter().map(|it| declaration(form, it)).collect())
            .all(said.iter().map(|it| verdict(form, it, now)).collect())
            .all(buttons(form, open))
            .all(open.map(|open| open_form(form, open)).into_iter().collect())
            .child(el("p", "failure").attr("role", "alert").test("intent-problem").text(&form.problem.get()))
            .child(el("p", "done").attr("role", "status").text(form.done.get()))
    }
}

fn declaration(form: Sending, it: &IntendedState) -> Element {
    let (state, text) = words::declaration_state(it);
    let id = it.id.clone();
    let withdraw = move || form.send(Ok(Change::Delete(declaration_url(&id))), "The declaration is withdrawn.");
    el("div", &format!("declared declared-{state}"))
        .key("declared")
        .test("declared")
        .attr("data-state", state)
        .child(el("p", "").text(&words::declaration(it)))
        .child(el("p", "").child(el("strong", "").text(&text.to_string())))
        .child(form.button("Withdraw", withdraw))
}

fn verdict(form: Sending, it: &Verdict, now: f64) -> Element {
    let clear = move || form.send(intent::clear(&form.id.get_value()), "What was said is taken back.");
    let text = format!("{}, ", words::verdict(it));
    el("div", "declared")
        .key("said")
        .test("said")
        .child(el("p", "").text(&text).child(ago(it.at.as_ref(), now)).text("."))
        .child(form.button("Take back", clear))
}

fn buttons(form: Sending, open: Option<Form>) -> Vec<Element> {
    let runaway = move || {
        form.form.set(None);
        form.send(intent::runaway(&form.id.get_value()), "Marked as a runaway: nothing is learned from it.");
    };
    let opens = |text: &str, test: &str, which: Form| {
        let expanded = (open == Some(which)).to_string();
        form.button(text, move || form.toggle(which)).test(test).with("aria-expanded", expanded)
    };
    let note = "A verdict teaches Loopscope how this loop behaves. A declaration silences it inside a bound, and alerts \
                when the bound breaks.";
    let buttons = el("div", "actions")
        .child(opens("Mark as expected…", "mark-expected", Form::Expected))
        .child(form.button("Mark as runaway", runaway).test("mark-runaway"))
        .child(opens("Declare as intended…", "declare", Form::Declare));
    vec![el("p", "muted").text(note), buttons]
}

fn open_form(form: Sending, open: Form) -> Element {
    let send = move |event: &Event| {
        event.prevent_default();
        form.submit(open);
    };
    let depth = form.suggested.get_value();
    let (test, fields, text) = match open {
        Form::Expected => {
            let depth =
                field(form, "Laps of one chain that are expected", "number", &depth, |it, text| it.depth = text);
            ("expected-form", vec![depth], "Mark as expected")
        }
        Form::Declare => {
            let field = |label, kind, value: &str, set| field(form, label, kind, value, set);
            let fields = vec![
                field("Laps of one chain, at most", "number", &depth, |it, text| it.depth = text),
                field("Laps a minute, at most (where laps branch)", "text", "", |it, text| it.rate = text),
                field("Owner", "text", "", |it, text| it.owner = text),
                field("Reason", "text", "", |it, text| it.reason = text),
                field("Holds until (optional)", "date", "", |it, text| it.expires = text),
            ];
            ("declare-form", fields, "Declare as intended")
        }
    };
    let submit = el("button", "button primary").attr("type", "submit").text(text);
    el("form", "form").key(test).test(test).on("submit", Rc::new(send)).all(fields).child(form.unless_busy(submit))
}

fn field(form: Sending, label: &str, kind: &str, value: &str, set: fn(&mut Declaration, String)) -> Element {
    let typed: Listener = Rc::new(move |event: &Event| {
        let input = event.target().and_then(|it| it.dyn_into::<web_sys::HtmlInputElement>().ok());
        if let Some(input) = input {
            form.typed.update_value(|it| set(it, input.value()));
        }
    });
    let input = el("input", "").attr("type", kind).attr("value", value).attr("autocomplete", "off").on("input", typed);
    let input = if kind == "number" { input.attr("min", "0") } else { input };
    el("label", "").child(el("span", "").text(label)).child(input)
}
