//! A request whose answer is a signal. It starts anew when its address changes and ends with the part that asked.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::client::{Abort, Failure};

/// How a request stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched<T> {
    /// On its way.
    Loading,
    /// Here.
    Ready(T),
    /// It did not work.
    Failed(Failure),
}

/// Fetches what `url` names; `None` fetches nothing. While a newer answer is on its way the old one stays only if the
/// address is the same.
pub fn fetched<T>(url: impl Fn() -> Option<String> + Send + Sync + 'static) -> Memo<Fetched<T>>
where
    T: for<'de> serde::Deserialize<'de> + Clone + PartialEq + Send + Sync + 'static,
{
    let answer = text(Memo::new(move |_| url()));
    Memo::new(move |_| {
        answer.with(|answer| match answer {
            Fetched::Loading => Fetched::Loading,
            Fetched::Failed(why) => Fetched::Failed(why.clone()),
            Fetched::Ready(text) => match serde_json::from_str(text) {
                Ok(message) => Fetched::Ready(message),
                Err(error) => Fetched::Failed(Failure::Other(format!("The answer cannot be read: {error}"))),
            },
        })
    })
}

/// The same for the bare text. Not generic, so that the module holds it once.
fn text(url: Memo<Option<String>>) -> RwSignal<Fetched<String>> {
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

/// What a reader is told about a failure.
pub fn failure(failure: &Failure, missing: &'static str) -> impl IntoView + use<> {
    let text = match failure {
        Failure::NotFound => missing.to_owned(),
        Failure::Other(text) => format!("It could not be loaded. {text}"),
    };
    view! { <p class="failure" role="alert">{text}</p> }
}
