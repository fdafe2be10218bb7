//! All that goes over the network: single requests and the live stream.
//!
//! Knows nothing of signals or pages. A request ends with the [`Abort`] that it was given; the stream reconnects by
//! itself, more slowly each time, and starts again with a snapshot after every break.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use gloo_net::http::Request;
use leptos::prelude::set_timeout;
use loopscope_proto::read::{read, text_at};
use loopscope_proto::v1::LiveEvent;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{AbortController, Event, EventSource, MessageEvent};

use crate::model::Applied;
use crate::url::{Range, encode};

/// Where the live stream is.
pub const LIVE: &str = "/api/v1/live";

/// The first pause before the stream is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause before the stream is opened again.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A stream that is silent for so long is taken for dead: the collector sends its counters more often.
const SILENCE_MS: f64 = 20_000.0;

/// The address of a trace.
pub fn trace_url(trace_id: &str) -> String {
    format!("/api/v1/traces/{}", encode(trace_id))
}

/// The address of traces that show a node at work.
pub fn node_exemplars_url(node: &str) -> String {
    format!("/api/v1/exemplars?node={}", encode(node))
}

/// The address of traces that show an edge at work.
pub fn edge_exemplars_url(source: &str, target: &str) -> String {
    format!("/api/v1/exemplars?source={}&target={}", encode(source), encode(target))
}

/// The address of the laps of a loop's deepest chain.
pub fn laps_url(loop_id: &str) -> String {
    format!("/api/v1/loops/{}/laps", encode(loop_id))
}

/// Where to say what one thinks of a loop.
pub fn verdict_url(loop_id: &str) -> String {
    format!("/api/v1/loops/{}/verdict", encode(loop_id))
}

/// The address of one declaration.
pub fn declaration_url(id: &str) -> String {
    format!("{INTENDED}/{}", encode(id))
}

/// The address of what is wrong with functions.
pub fn functions_url(range: &Range) -> String {
    range.after("/api/v1/functions")
}

/// The address of what is known of one function.
pub fn function_url(id: &str, range: &Range) -> String {
    range.after(&format!("/api/v1/functions/{}", encode(id)))
}

/// The address of what the log records of one function say.
pub fn function_logs_url(id: &str, range: &Range) -> String {
    range.after(&format!("/api/v1/functions/{}/logs", encode(id)))
}

/// The address of what functions cost.
pub fn cost_url(range: &Range) -> String {
    range.after("/api/v1/cost")
}

/// The address of the patterns.
pub fn patterns_url(range: &Range) -> String {
    range.after("/api/v1/patterns")
}

/// The address of what changed.
pub fn changes_url(range: &Range) -> String {
    range.after("/api/v1/changes")
}

/// The address of what takes the time in a range.
pub fn hotspots_url(range: &Range) -> String {
    range.after("/api/v1/hotspots")
}

/// The address of the newest alerts.
pub const ALERTS: &str = "/api/v1/alerts";

/// The address of what cannot be right in the input.
pub const ANOMALIES: &str = "/api/v1/anomalies";

/// The address of all that was said of loops.
pub const VERDICTS: &str = "/api/v1/verdicts";

/// Where loops are declared as intended.
pub const INTENDED: &str = "/api/v1/intended";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server does not know it.
    NotFound,
    /// Anything else, in a sentence.
    Other(String),
}

/// Ends requests when it is dropped.
pub struct Abort(Option<AbortController>);

impl Default for Abort {
    fn default() -> Self {
        Self(AbortController::new().ok())
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        if let Some(controller) = &self.0 {
            controller.abort();
        }
    }
}

impl Abort {
    /// Fetches the text at an address.
    ///
    /// # Errors
    /// When the server cannot be reached or answers with an error.
    pub fn get(&self, url: String) -> impl Future<Output = Result<String, Failure>> + 'static {
        let signal = self.0.as_ref().map(AbortController::signal);
        async move {
            let lost = |error: gloo_net::Error| Failure::Other(format!("The server cannot be reached: {error}"));
            let request = Request::get(&url).header("accept", "application/json").abort_signal(signal.as_ref());
            let response = request.send().await.map_err(lost)?;
            let status = response.status();
            let text = response.text().await.map_err(lost)?;
            match status {
                200..=299 => Ok(text),
                404 => Err(Failure::NotFound),
                status => Err(Failure::Other(refusal(status, &text))),
            }
        }
    }
}

/// Asks the server to change something.
///
/// # Errors
/// What the server says against it, or that it cannot be reached, in a sentence.
pub async fn change(order: Change) -> Result<(), String> {
    let lost = |error: gloo_net::Error| format!("The server cannot be reached: {error}");
    let request = match &order {
        Change::Post(url, _) => Request::post(url),
        Change::Delete(url) => Request::delete(url),
    };
    let body = match order {
        Change::Post(_, body) => body,
        Change::Delete(_) => String::new(),
    };
    let request = request.header("content-type", "application/json").body(body).map_err(lost)?;
    let response = request.send().await.map_err(lost)?;
    if response.ok() {
        return Ok(());
    }
    Err(refusal(response.status(), &response.text().await.unwrap_or_default()))
}

/// Something that the server is asked to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// To take a message, in JSON, at an address.
    Post(String, String),
    /// To forget what is at an address.
    Delete(String),
}

/// Why the server said no, in its own words where it has some.
fn refusal(status: u16, body: &str) -> String {
    match text_at(body, &["error", "message"]) {
        Some(message) => {
            let mut letters = message.chars();
            let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
            format!("{first}{}.", letters.as_str().trim_end_matches('.'))
        }
        None => format!("The server answered {status}."),
    }
}

/// How the live stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Never connected so far.
    #[default]
    Connecting,
    /// Events come in.
    Open,
    /// The connection is lost and will be tried again.
    Lost,
}

/// The live stream. It lives as long as the page.
#[derive(Clone)]
pub struct Live(Rc<RefCell<Stream>>);

struct Stream {
    source: Option<EventSource>,
    /// The browser calls these while the source is open.
    handlers: Vec<Closure<dyn FnMut(Event)>>,
    failures: u32,
    last_heard_ms: f64,
    on_event: Rc<dyn Fn(LiveEvent) -> Applied>,
    on_link: Rc<dyn Fn(Link)>,
}

impl Live {
    /// Opens the stream. `on_event` says whether it could use the event, `on_link` hears how the connection stands.
    pub fn open(on_event: impl Fn(LiveEvent) -> Applied + 'static, on_link: impl Fn(Link) + 'static) -> Self {
        let live = Self(Rc::new(RefCell::new(Stream {
            source: None,
            handlers: Vec::new(),
            failures: 0,
            last_heard_ms: js_sys::Date::now(),
            on_event: Rc::new(on_event),
            on_link: Rc::new(on_link),
        })));
        live.connect();
        live
    }

    /// To be called about each second: a dead connection that nobody closed is noticed here.
    pub fn watch(&self, now_ms: f64) {
        let silent = {
            let stream = self.0.borrow();
            stream.source.is_some() && now_ms - stream.last_heard_ms > SILENCE_MS
        };
        if silent {
            self.lose();
        }
    }

    fn connect(&self) {
        let Ok(source) = EventSource::new(LIVE) else { return self.lose() };
        let live = self.clone();
        let message = Closure::new(move |event: Event| live.hear(&event));
        let live = self.clone();
        let error = Closure::new(move |_: Event| live.lose());
        source.set_onmessage(Some(message.as_ref().unchecked_ref()));
        source.set_onerror(Some(error.as_ref().unchecked_ref()));
        let mut stream = self.0.borrow_mut();
        stream.last_heard_ms = js_sys::Date::now();
        stream.source = Some(source);
        stream.handlers = vec![message, error];
    }

    fn hear(&self, event: &Event) {
        let text = event.dyn_ref::<MessageEvent>().and_then(|it| it.data().as_string()).unwrap_or_default();
        let (on_event, on_link) = {
            let mut stream = self.0.borrow_mut();
            stream.last_heard_ms = js_sys::Date::now();
            (Rc::clone(&stream.on_event), Rc::clone(&stream.on_link))
        };
        match read::<LiveEvent>(&text).map(|event| on_event(event)) {
            Ok(Applied::Yes) => {
                self.0.borrow_mut().failures = 0;
                on_link(Link::Open);
            }
            // A message that cannot be read is as good as a missing one.
            Ok(Applied::Gap) | Err(_) => self.lose(),
        }
    }

    fn lose(&self) {
        let (pause, on_link) = {
            let mut stream = self.0.borrow_mut();
            if let Some(source) = stream.source.take() {
                source.set_onmessage(None);
                source.set_onerror(None);
                source.close();
            }
            let pause = FIRST_PAUSE * 2_u32.saturating_pow(stream.failures.min(6));
            stream.failures += 1;
            (pause.min(LONGEST_PAUSE), Rc::clone(&stream.on_link))
        };
        on_link(Link::Lost);
        // The handlers are replaced only then: one of them may be running now.
        let live = self.clone();
        set_timeout(move || live.connect(), pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_says_no_in_its_own_words() {
        let body = r#"{"error": {"code": "bad_request", "message": "give a bound"}}"#;
        assert_eq!(refusal(400, body), "Give a bound.");
        assert_eq!(refusal(502, "<html>"), "The server answered 502.");
    }
}
