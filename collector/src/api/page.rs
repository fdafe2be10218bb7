//! The page: embedded files, compressed ahead of time, and `index.html` for every address that the page itself reads.

use std::collections::HashMap;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use loopscope_ui_bundle::Asset;
use xxhash_rust::xxh3::xxh3_64;

use super::{Shared, error::ApiError};

const INDEX: &str = "index.html";

/// Endings of files, as opposed to addresses of the page: a missing one is an error, not another way to the page.
const FILE_ENDINGS: [&str; 10] = ["js", "mjs", "wasm", "css", "map", "svg", "png", "ico", "json", "txt"];

/// Stands in when the page was left out of the build.
const NO_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Loopscope</title>\
<h1>Loopscope runs, without its page</h1>\
<p>This program was built without the page. Build it again without <code>LOOPSCOPE_SKIP_UI</code> to have it.</p>\
<p>The API is here: <a href=\"/api/v1/graph\">graph</a>, <a href=\"/api/v1/loops\">loops</a>, \
<a href=\"/api/v1/hotspots\">hotspots</a>, <a href=\"/api/v1/alerts\">alerts</a>, \
<a href=\"/api/v1/status\">status</a>.</p></html>\n";

/// The files of the page by path.
#[derive(Debug)]
pub(super) struct Page(HashMap<&'static str, File>);

#[derive(Debug)]
struct File {
    asset: &'static Asset,
    hash: u64,
}

impl Page {
    pub(super) fn new(assets: &'static [Asset]) -> Self {
        Self(assets.iter().map(|asset| (asset.path, File { asset, hash: xxh3_64(asset.plain) })).collect())
    }
}

/// Answers every path that no other handler has.
pub(super) async fn get(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if path == "/api" || path.starts_with("/api/") {
        return ApiError::not_found(format!("there is no {path}; the API is under /api/v1")).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        let allow = [(header::ALLOW, "GET,HEAD")];
        return (allow, super::error::method_not_allowed(method, uri).await).into_response();
    }
    if let Some(file) = shared.page.0.get(path.trim_start_matches('/')) {
        return file.answer(&headers);
    }
    if is_file(path) {
        let message = format!("there is no file {path}; reload the page if it was open during an update");
        return ApiError::not_found(message).into_response();
    }
    match shared.page.0.get(INDEX) {
        Some(index) => index.answer(&headers),
        None => {
            let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
            (headers, NO_PAGE).into_response()
        }
    }
}

fn is_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, ending)| FILE_ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

impl File {
    fn answer(&self, headers: &HeaderMap) -> Response {
        let (encoding, bytes) = encoded(self.asset, headers);
        // Each form has a tag of its own, since the bytes differ.
        let tag = format!("\"{:016x}-{}\"", self.hash, encoding.unwrap_or("plain"));
        let cache = if self.asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut answer = Response::builder()
            .header(header::CACHE_CONTROL, cache)
            .header(header::VARY, "accept-encoding")
            .header(header::ETAG, &tag);
        let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_known = known.split(',').map(|known| known.trim().trim_start_matches("W/")).any(|known| known == tag);
        let body = if is_known {
            answer = answer.status(StatusCode::NOT_MODIFIED);
            Body::empty()
        } else {
            answer = answer.header(header::CONTENT_TYPE, HeaderValue::from_static(self.asset.content_type));
            if let Some(encoding) = encoding {
                answer = answer.header(header::CONTENT_ENCODING, encoding);
            }
            Body::from(bytes)
        };
        answer.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }
}

/// The smallest form that the reader takes.
fn encoded(asset: &'static Asset, headers: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<&str> = accepted.flat_map(|value| value.split(',')).filter_map(wanted_encoding).collect();
    let forms = [("br", asset.brotli), ("gzip", asset.gzip)];
    let best = forms.into_iter().find(|(name, bytes)| !bytes.is_empty() && accepted.contains(name));
    best.map_or((None, asset.plain), |(name, bytes)| (Some(name), bytes))
}

/// The name of an encoding in one part of an Accept-Encoding header; `None` when its weight is zero.
fn wanted_encoding(part: &str) -> Option<&str> {
    let mut words = part.split(';').map(str::trim);
    let name = words.next()?;
    let weight = words.find_map(|word| word.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
    (weight > 0.0).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_of_weight_zero_is_not_wanted() {
        assert_eq!(wanted_encoding(" br;q=0"), None);
        assert_eq!(wanted_encoding("br; q=0.0"), None);
        assert_eq!(wanted_encoding("gzip;q=0.5"), Some("gzip"));
    }

    #[test]
    fn files_are_told_from_addresses() {
        assert!(is_file("/loopscope-12ab.wasm"));
        assert!(!is_file("/loops/resize.v2"));
        assert!(!is_file("/map"));
    }
}
