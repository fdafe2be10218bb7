//! Which pages may send telemetry from a browser, and what browsers are told of it.
//!
//! Off unless origins are configured: then every answer, also an error, says whether its page may read it, and the
//! header that says when to come again can be read too.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

/// How long a browser may remember what it was told, in seconds: browsers do not remember longer than two hours.
const MAX_AGE_SECONDS: u64 = 7200;

/// An origin such as `https://shop.example.com`, in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin or `*`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.split_once("://").map(|(_, rest)| rest);
        let is_origin = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('/'));
        if text == "*" || is_origin {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(format!(
                "{text:?} is not an origin; write it like https://shop.example.com, https://*.example.com or *"
            ))
        }
    }

    /// True for an origin that this one stands for.
    fn allows(&self, origin: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = origin.strip_prefix(first) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

/// The origin of a request, if its pages may send.
pub(super) fn allowed(origins: &[Origin], headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let text = origin.to_str().ok()?.to_ascii_lowercase();
    origins.iter().any(|allowed| allowed.allows(&text)).then(|| origin.clone())
}

/// True when a browser asks whether it may send.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// What a browser that asks is told; nothing when its page may not send.
pub(super) fn preflight(origin: Option<HeaderValue>, asked: &HeaderMap) -> (StatusCode, HeaderMap) {
    let mut headers = HeaderMap::new();
    if origin.is_some() {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE_SECONDS));
        if let Some(wanted) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
    }
    allow(origin, &mut headers);
    (StatusCode::NO_CONTENT, headers)
}

/// Adds to an answer what lets the page read it.
pub(super) fn allow(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let allows = |pattern: &str, origin: &str| Origin::parse(pattern).unwrap().allows(origin);
        assert!(allows("*", "https://a"));
        assert!(allows("https://a.example", "https://a.example"));
        assert!(!allows("https://a.example", "https://a.example.org"));
        assert!(allows("https://*.example.com", "https://b.c.example.com"));
        assert!(!allows("https://*.example.com", "https://example.com"));
        assert!(!allows("https://*.example.com", "http://b.example.com"));
        assert!(allows("http://localhost:*", "http://localhost:5173"));
        assert!(allows("https://*.shop.*", "https://www.shop.example"));
        assert!(!allows("https://*.shop.*", "https://www.shap.example"));
    }

    #[test]
    fn what_is_no_origin_is_refused_with_an_example() {
        for text in ["", "example.com", "https://", "https://example.com/path"] {
            assert!(Origin::parse(text).unwrap_err().contains("https://shop.example.com"), "{text}");
        }
    }
}
