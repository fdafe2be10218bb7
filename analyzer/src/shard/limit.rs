//! What a failed span says of the limits of a platform: that a run took too long, or that there were too many.
//!
//! Exporters have no common word for either, so the kind of error, the description of the status and the status of HTTP
//! are read. Of what handles a request, only its own answer counts. What many of them amount to is `detect/time_out.rs`'s and
//! `detect/throttle.rs`'s.

use crate::{attribute::Attribute, span::Span};

/// Words by which platforms say that they ended a run because it took too long. A bare "timeout" is not among them: it
/// is mostly a function that waited too long for something else.
const ENDED: [&str; 7] = [
    "task timed out",
    "sandbox.timedout",
    "function timed out",
    "functiontimeout",
    "function_invocation_timeout",
    "maximum request timeout",
    "exceeded the timeout",
];

/// Words by which clouds and gateways say that they refuse a call because there are too many.
const REFUSED: [&str; 10] = [
    "throttl",
    "toomanyrequests",
    "too many requests",
    "too_many_requests",
    "rate exceeded",
    "ratelimit",
    "rate limit",
    "slowdown",
    "requestlimitexceeded",
    "throughputexceeded",
];

/// Bytes of a text that are looked at; what matters stands at the beginning.
const TEXT: usize = 256;

/// The limit that a span ran into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Limit {
    /// None that it tells of.
    #[default]
    None,
    /// The run was ended because it took too long.
    Time,
    /// The call was refused because there were too many.
    Rate,
}

impl Limit {
    /// The limit that the span ran into.
    pub(super) fn of(span: &Span) -> Self {
        let attributes = &span.attributes;
        // A server that refuses has not failed, by the conventions.
        let is_refused = attributes.get(Attribute::HttpStatus).is_some();
        if is_refused || !span.error {
            return if is_refused { Self::Rate } else { Self::None };
        }
        let kind = attributes.text(Attribute::ErrorType).unwrap_or_default();
        let texts = [kind, attributes.text(Attribute::StatusDescription).unwrap_or_default()];
        let says = |words: &[&str]| texts.iter().any(|text| has_any(text, words));
        // What a run failed with may be what others have refused it.
        if kind == "429" || span.kind.is_outbound() && says(&REFUSED) {
            return Self::Rate;
        }
        // By the conventions "timeout" stands for what has no class; on what handles a request it is its own.
        let is_own = span.kind.is_inbound() && kind == "timeout";
        if is_own || says(&ENDED) { Self::Time } else { Self::None }
    }
}

fn has_any(text: &str, words: &[&str]) -> bool {
    let start: String = text.bytes().take(TEXT).map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    !start.is_empty() && words.iter().any(|word| start.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{attribute::Value, fixture::Story, span::SpanKind};

    #[track_caller]
    fn check(kind: SpanKind, said: &[(&str, &str)], expected: Limit) {
        let mut span = Story::parse("f").spans.remove(0);
        (span.kind, span.error) = (kind, true);
        for (key, value) in said {
            span.attributes.insert(key, Value::Text((*value).into()));
        }
        assert_eq!(Limit::of(&span), expected, "{said:?}");
        span.error = false;
        let by_status = said.iter().any(|(key, value)| *key == "http.response.status_code" && *value == "429");
        assert_eq!(Limit::of(&span), if by_status { Limit::Rate } else { Limit::None }, "without an error: {said:?}");
    }

    #[test]
    fn refusals_are_known_by_status_kind_or_description() {
        let client = SpanKind::Client;
        check(client, &[("http.response.status_code", "429")], Limit::Rate);
        check(client, &[("error.type", "429")], Limit::Rate);
        check(client, &[("error.type", "ThrottlingException")], Limit::Rate);
        check(client, &[("error.type", "com.amazonaws.lambda#TooManyRequestsException")], Limit::Rate);
        check(client, &[("error.type", "ProvisionedThroughputExceededException")], Limit::Rate);
        check(client, &[("otel.status_description", "Rate exceeded")], Limit::Rate);
        check(client, &[("http.response.status_code", "503")], Limit::None);
        check(client, &[("error.type", "500")], Limit::None);
        check(SpanKind::Server, &[("http.response.status_code", "429")], Limit::Rate);
        check(SpanKind::Server, &[("error.type", "ThrottlingException")], Limit::None);
    }

    #[test]
    fn a_run_that_was_ended_is_told_from_one_that_waited_too_long() {
        let description = "2026-01-01T00:00:00Z 1b2c Task timed out after 3.00 seconds";
        check(SpanKind::Server, &[("otel.status_description", description)], Limit::Time);
        check(SpanKind::Server, &[("error.type", "Sandbox.Timedout")], Limit::Time);
        check(SpanKind::Server, &[("error.type", "timeout")], Limit::Time);
        check(SpanKind::Client, &[("error.type", "timeout")], Limit::None);
        check(SpanKind::Server, &[("error.type", "requests.exceptions.ReadTimeout")], Limit::None);
    }
}
