//! Who may ask: the Host header against DNS rebinding, the content type of changing requests against forged forms,
//! and the headers that keep a browser from doing more than the page needs.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::error::ApiError;

const SECURITY_HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The names by which a server may be asked.
///
/// A foreign page can make its own name point at this server and then read answers as if they were its own; it cannot
/// make the browser send another Host header than that name.
#[derive(Clone, Debug)]
pub struct Hosts {
    bound: IpAddr,
    configured: Vec<String>,
}

impl Hosts {
    /// The loopback names and addresses, the bound address and the configured host names; ports do not matter. When
    /// all addresses of the machine are bound, every IP address is allowed, because no foreign page has one as its
    /// name.
    pub fn new(bound: SocketAddr, configured: impl IntoIterator<Item = String>) -> Self {
        let configured = configured.into_iter().map(|host| plain(&host)).collect();
        Self { bound: bound.ip().to_canonical(), configured }
    }

    /// True when the value of a Host header names this server.
    pub fn allows(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = plain(authority.host());
        if let Ok(ip) = name.parse::<IpAddr>() {
            let ip = ip.to_canonical();
            if ip.is_loopback() || ip == self.bound || self.bound.is_unspecified() {
                return true;
            }
        }
        name == "localhost" || self.configured.contains(&name)
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let host = request.uri().authority().map(Authority::as_str).or_else(|| header_text(request.headers(), "host"));
        match host {
            Some(host) if self.allows(host) => Ok(()),
            _ => Err(foreign_host(host)),
        }
    }
}

/// A host name without case, brackets and the dot at its end.
fn plain(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase()
}

/// Lets a request through, or says why not.
pub(super) async fn check(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    if let Err(error) = hosts.check(&request) {
        return error.into_response();
    }
    next.run(request).await
}

/// Refuses a request that changes something and that a form of a foreign page could send.
pub(super) fn check_change(request: &Request) -> Result<(), ApiError> {
    if is_of_type(request.headers(), "application/json") {
        return Ok(());
    }
    let message = "requests that change something need the header content-type: application/json";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_not_json", message))
}

/// Lets a call over gRPC through, or says why not: no page can send its content type elsewhere without asking first.
pub(super) async fn check_call(State(hosts): State<Arc<Hosts>>, request: Request, next: Next) -> Response {
    if !["application/grpc", "application/grpc+proto"].iter().any(|kind| is_of_type(request.headers(), kind)) {
        let message = "this path takes calls over gRPC, which have the header content-type: application/grpc";
        return ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type_not_grpc", message).into_response();
    }
    if let Err(error) = hosts.check(&request) {
        return tonic::Status::from(error).into_http::<axum::body::Body>();
    }
    next.run(request).await
}

/// Adds the headers of every answer.
pub(super) async fn add_headers(mut response: Response) -> Response {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn foreign_host(host: Option<&str>) -> ApiError {
    let message = match host {
        Some(host) => format!(
            "this server does not answer to the name {host:?}; ask it by its address, or add the name to the allowed hosts \
             in its configuration"
        ),
        None => "the request has no host header".to_owned(),
    };
    ApiError::new(StatusCode::FORBIDDEN, "host_not_allowed", message)
}

fn is_of_type(headers: &HeaderMap, wanted: &str) -> bool {
    let kind = header_text(headers, header::CONTENT_TYPE.as_str()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bound: &str, host: &str, want: bool) {
        let hosts = Hosts::new(bound.parse().unwrap(), ["Scope.Example.com".to_owned()]);
        assert_eq!(hosts.allows(host), want, "{host} on {bound}");
    }

    #[test]
    fn loopback_bound_and_configured_names_are_allowed() {
        for host in [
            "localhost",
            "LOCALHOST:4319",
            "localhost.",
            "127.0.0.1:4319",
            "127.8.8.8",
            "[::1]:4319",
            "[::ffff:127.0.0.1]",
            "192.168.7.7:80",
            "scope.example.com",
            "scope.example.com.:443",
        ] {
            check("192.168.7.7:4319", host, true);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.168.7.8",
            "[::2]",
            "a b",
            "example.com",
            "localhost@evil.example",
        ] {
            check("192.168.7.7:4319", host, false);
        }
    }

    #[test]
    fn every_address_is_allowed_when_all_are_bound() {
        check("0.0.0.0:4319", "10.1.2.3:4319", true);
        check("[::]:4319", "[2001:db8::1]:4319", true);
        check("0.0.0.0:4319", "evil.example", false);
    }
}
