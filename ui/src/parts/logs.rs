//! One log record in a line: when, how bad, what it says, and what joins it to where it is shown.

use loopscope_proto::v1::TraceLog;

use crate::format;
use crate::html::{Element, el, link};
use crate::url::Route;

/// The line; `with_trace` links it to its trace.
pub fn line(log: &TraceLog, with_trace: bool) -> Element {
    let at = format::moment(log.time.as_ref());
    let head = el("span", "muted").text(&format!("{at} {} ", log.severity));
    let class = if log.is_exception { "mono tone-err" } else { "mono" };
    let mut line = el("li", "").child(head).child(el("span", class).text(&said(log)));
    if let Some(how) = joined(&log.by) {
        line = line.child(el("span", "muted").text(how));
    }
    if with_trace && !log.trace_id.is_empty() {
        let span = Some(log.span_id.clone()).filter(|span| !span.is_empty());
        let route = Route::Trace { trace_id: log.trace_id.clone(), span };
        line = line.child(el("span", "").text(" ")).child(link(route.href(), "trace"));
    }
    line
}

/// What it says: its body, or else the exception or the event that it is.
fn said(log: &TraceLog) -> String {
    let attribute = |key: &str| log.attributes.iter().find(|it| it.key == key).map(|it| it.value.as_str());
    let parts = ["exception.type", "exception.message"].map(|key| attribute(key).unwrap_or_default());
    let exception = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    let body = if log.body.is_empty() { &log.event_name } else { &log.body };
    match (body.is_empty(), exception.is_empty()) {
        (_, true) => body.clone(),
        (true, false) => format!("✕ {exception}"),
        (false, false) => format!("{body} ✕ {exception}"),
    }
}

/// How it came to be shown here, where it does not name its span.
fn joined(by: &str) -> Option<&'static str> {
    match by {
        "invocation" => Some(" · by the id of the run"),
        "instance" => Some(" · by instance and time"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use loopscope_proto::v1::Attribute;

    use super::*;

    #[test]
    fn an_exception_stands_with_what_was_written_and_says_how_it_was_joined() {
        let pair = |key: &str, value: &str| Attribute { key: key.into(), value: value.into() };
        let log = TraceLog {
            body: "stock failed".into(),
            severity: "ERROR".into(),
            is_exception: true,
            by: "invocation".into(),
            attributes: vec![pair("exception.message", "no such item"), pair("exception.type", "ValueError")],
            ..TraceLog::default()
        };
        let text = crate::html::words(&[line(&log, true)]);
        assert!(text.contains("ERROR stock failed ✕ ValueError: no such item · by the id of the run"), "{text}");
        assert!(!text.contains(" trace"), "it names none: {text}");
        let bare = TraceLog { event_name: "cache.miss".into(), trace_id: "0a".repeat(16), ..TraceLog::default() };
        let text = crate::html::words(&[line(&bare, true)]);
        assert!(text.contains("cache.miss trace"), "{text}");
    }
}
