//! A request whose answer is a signal. It starts anew when its address changes and ends with the part that asked.

use std::cell::RefCell;

use leptos::prelude::*;
use leptos::task::spawn_local;
use loopscope_proto::read::{Read, read};

use crate::client::{Abort, Failure};
use crate::html::{Element, el};

/// How a request stands.
#[derive(Clone, Debug, PartialEq)]
enum Fetched {
    /// On its way.
    Loading,
    /// Here.
    Ready(String),
    /// It did not work.
    Failed(Failure),
}

/// An answer, which is read when it changes, however often it is shown. While a newer one is on its way the old one stays
/// only if the address is the same.
pub struct Answer<T> {
    text: RwSignal<Fetched>,
    read: RefCell<Option<(String, Result<T, String>)>>,
}

impl<T: Read> Answer<T> {
    /// Fetches what `url` names.
    pub fn of(url: Memo<Option<String>>) -> Self {
        Self { text: text(url), read: RefCell::new(None) }
    }

    /// What is shown of it: `content` once it is there, before that and after a failure a sentence. `missing` is said when
    /// the server does not know it.
    pub fn show(&self, missing: &'static str, content: impl FnOnce(&T) -> Vec<Element>) -> Vec<Element> {
        self.text.with(|answer| match answer {
            Fetched::Loading => vec![el("p", "muted").test("loading").attr("role", "status").text("Loading…")],
            Fetched::Failed(Failure::NotFound) => failed(missing),
            Fetched::Failed(Failure::Other(why)) => failed(&format!("It could not be loaded. {why}")),
            Fetched::Ready(text) => {
                let mut kept = self.read.borrow_mut();
                if kept.as_ref().is_none_or(|(old, _)| old != text) {
                    *kept = Some((text.clone(), read(text).map_err(|error| error.to_string())));
                }
                match kept.as_ref().map(|(_, message)| message) {
                    Some(Ok(message)) => content(message),
                    Some(Err(error)) => failed(&format!("The answer cannot be read: {error}.")),
                    None => Vec::new(),
                }
            }
        })
    }
}

impl<T> Answer<T> {
    /// Something of what is shown now; nothing before it is there.
    pub fn peek<R>(&self, take: impl FnOnce(&T) -> R) -> Option<R> {
        let is_there = self.text.with(|answer| matches!(answer, Fetched::Ready(_)));
        let kept = self.read.borrow();
        let message = kept.as_ref().and_then(|(_, message)| message.as_ref().ok());
        message.filter(|_| is_there).map(take)
    }
}

fn failed(text: &str) -> Vec<Element> {
    vec![el("p", "failure").attr("role", "alert").text(text)]
}

/// The text at an address. Not generic, so that the module holds it once.
fn text(url: Memo<Option<String>>) -> RwSignal<Fetched> {
    let answer = RwSignal::new(Fetched::Loading);
    let running = StoredValue::new_local(None::<Abort>);
    Effect::new(move |before: Option<Option<String>>| {
        let url = url.get();
        let address = |it: &Option<String>| it.as_deref().map(|it| it.split('#').next().unwrap_or_default().to_owned());
        if before.as_ref().map(address) != Some(address(&url)) {
            answer.set(Fetched::Loading);
        }
        if let Some(url) = url.clone() {
            let abort = Abort::default();
            // The part after # only tells one round from the next.
            let request = abort.get(url.split('#').next().unwrap_or_default().to_owned());
            running.set_value(Some(abort));
            spawn_local(async move {
                let result = request.await;
                // Gone or aborted: the signal may not exist any more, and nobody reads it.
                let _ = answer.try_set(match result {
                    Ok(text) => Fetched::Ready(text),
                    Err(failure) => Fetched::Failed(failure),
                });
            });
        } else {
            running.set_value(None);
        }
        url
    });
    on_cleanup(move || {
        running.try_update_value(|abort| *abort = None);
    });
    answer
}
