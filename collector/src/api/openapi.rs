//! `GET /api/v1/openapi.json`: the description of the API, made from the list of endpoints and the schema of the
//! messages.
//!
//! Nothing of it is written twice: paths, methods and refusals stand in the list of `api.rs`, and what the messages
//! hold, with every sentence, in `proto/loopscope/v1`. Here is only what has no message: the errors, health, and the
//! stream.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use loopscope_proto::schema::{Call, Field, Schema, Side, reference, snake_case};
use serde_json::{Map, Value, json};

use super::{Shared, endpoint::Endpoint};

/// Every answer that is an error has this form.
const ERROR: &str = "Error";

/// What any endpoint may refuse with.
const ALWAYS: [StatusCode; 3] = [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR];

pub(super) async fn get(State(shared): State<Shared>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, shared.document.clone()).into_response()
}

/// The document as it is served.
pub(super) fn bytes(endpoints: &[Endpoint]) -> Bytes {
    Bytes::from(document(&Schema::load(), endpoints).to_string())
}

/// The document.
fn document(schema: &Schema, endpoints: &[Endpoint]) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas = schema.components("LiveEvent", Side::Answer);
    schemas.insert(ERROR.to_owned(), error_schema());
    for endpoint in endpoints {
        let method = endpoint.method.as_str().to_ascii_lowercase();
        paths.entry(endpoint.path).or_default().insert(method, operation(schema, endpoint));
        schemas.extend(schema.components(endpoint.answer, Side::Answer));
        if endpoint.has_body() {
            schemas.extend(bodies(schema, endpoint));
        }
    }
    for (path, operation) in over_http_alone() {
        paths.entry(path).or_default().insert("get".to_owned(), operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Loopscope",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The live call graph of serverless functions, the loops they fall into, and where their \
                            time goes. Times are RFC 3339 text in UTC, enumerations lower-case words, durations \
                            numbers in the unit that their name ends with. Readers should ignore fields and words that \
                            they do not know.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn operation(schema: &Schema, endpoint: &Endpoint) -> Value {
    let call = schema.calls().iter().find(|call| snake_case(&call.name) == endpoint.call);
    let comment = call.map_or("", |call| &call.comment);
    let mut responses = refusals(endpoint.refusals);
    responses.extend(refusals(&ALWAYS));
    let answer = json!({"schema": reference(endpoint.answer, Side::Answer)});
    let content = json!({"application/json": answer});
    responses.insert("200".to_owned(), json!({"description": comment, "content": content}));
    let mut operation = json!({"operationId": call.map(|call: &Call| &call.name), "summary": comment});
    let fields = schema.fields(endpoint.request);
    let in_path = |field: &Field| endpoint.path_names().any(|name| name == field.name);
    let parameters = fields.iter().filter(|field| !endpoint.has_body() || in_path(field)).map(|field| {
        let place = if in_path(field) { "path" } else { "query" };
        json!({
            "name": field.name,
            "in": place,
            "required": in_path(field),
            "description": field.comment,
            "schema": schema.value(field, Side::Request),
        })
    });
    operation["parameters"] = parameters.collect();
    if endpoint.has_body() {
        let body =
            json!({"schema": reference(endpoint.request, Side::Request), "examples": examples(endpoint.request)});
        operation["requestBody"] = json!({"required": true, "content": {"application/json": body}});
        responses.extend(refusals(&[StatusCode::PAYLOAD_TOO_LARGE]));
    }
    if endpoint.changes() {
        responses.extend(refusals(&[StatusCode::UNSUPPORTED_MEDIA_TYPE]));
        // With nothing between the slashes it is another path.
        if endpoint.path_names().next().is_some() {
            responses.extend(refusals(&[StatusCode::METHOD_NOT_ALLOWED]));
        }
    }
    operation["responses"] = Value::Object(responses);
    operation
}

/// The schemas of a body, without what the path says.
fn bodies(schema: &Schema, endpoint: &Endpoint) -> BTreeMap<String, Value> {
    let mut bodies = schema.components(endpoint.request, Side::Request);
    for properties in bodies.values_mut().filter_map(|body| body["properties"].as_object_mut()) {
        for name in endpoint.path_names() {
            properties.remove(name);
        }
    }
    bodies
}

/// What cannot be seen from the form of a body.
fn examples(message: &str) -> Value {
    match message {
        "Intended" => json!({
            "a loop of two functions": {"value": {
                "functions": ["crawl", "store"], "max_depth": 40, "max_rate_per_minute": 600,
                "owner": "team-crawl", "reason": "follows pagination", "expires": "2027-06-30T00:00:00Z",
            }},
        }),
        "Verdict" => json!({
            "as it should be": {"value": {"verdict": "expected", "max_depth": 40}},
            "as it should not be": {"value": {"verdict": "runaway"}},
        }),
        _ => json!({}),
    }
}

/// What is served over HTTP and is no message.
fn over_http_alone() -> [(&'static str, Value); 4] {
    let last = json!({
        "name": "last-event-id", "in": "header", "required": false,
        "description": "Id of the last event that was seen: what came since is told first, as far as it is still kept.",
        "schema": {"type": "string"},
    });
    // The schema is that of one event, as OpenAPI 3.2 has it; for 3.1 a stream has no form of its own.
    let event = json!({
        "type": "object",
        "required": ["id", "data"],
        "properties": {
            "id": {"type": "string", "description": "The sequence of the event."},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": reference("LiveEvent", Side::Answer),
            },
        },
    });
    let live = json!({"text/event-stream": {"schema": event}});
    let text = json!({"text/plain": {"schema": {"type": "string"}}});
    let unavailable = &[StatusCode::SERVICE_UNAVAILABLE][..];
    let broken = &[StatusCode::INTERNAL_SERVER_ERROR][..];
    [
        ("/api/v1/live", {
            let refusals = [&ALWAYS[1..], unavailable].concat();
            let what = "Server-sent events: a snapshot first, then what changes, each a LiveEvent.";
            let mut operation = plain("FollowLive", what, live, &refusals);
            operation["parameters"] = json!([last]);
            operation
        }),
        ("/api/v1/openapi.json", {
            let document = json!({"application/json": {"schema": {"type": "object"}}});
            plain("GetOpenApi", "This document.", document, &ALWAYS[1..])
        }),
        ("/healthz", plain("GetLiveness", "The process lives.", text.clone(), broken)),
        ("/readyz", {
            let what = "The engine has caught up with the journal.";
            plain("GetReadiness", what, text, &[broken, unavailable].concat())
        }),
    ]
}

fn plain(id: &str, comment: &str, content: Value, refused: &[StatusCode]) -> Value {
    let mut responses = refusals(refused);
    responses.insert("200".to_owned(), json!({"description": comment, "content": content}));
    json!({"operationId": id, "summary": comment, "responses": responses})
}

fn refusals(statuses: &[StatusCode]) -> Map<String, Value> {
    let content = json!({"application/json": {"schema": reference(ERROR, Side::Answer)}});
    let refusal = |status: &StatusCode| {
        let description = match *status {
            StatusCode::BAD_REQUEST => "The request cannot be read or makes no sense; the message says how to mend it.",
            StatusCode::FORBIDDEN => "The Host header does not name this server.",
            StatusCode::NOT_FOUND => "What is asked for is not known, or not any more.",
            StatusCode::METHOD_NOT_ALLOWED => "The id is empty, and the path that is left does not take this method.",
            StatusCode::CONFLICT => "It cannot be changed here, or there are too many already.",
            StatusCode::PAYLOAD_TOO_LARGE => "The body is too large.",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "What changes something needs content-type: application/json.",
            StatusCode::SERVICE_UNAVAILABLE => "Too busy, or not ready yet; try again in a few seconds.",
            _ => "Something went wrong inside; the log of the server has the details.",
        };
        (status.as_u16().to_string(), json!({"description": description, "content": content}))
    };
    statuses.iter().map(refusal).collect()
}

fn error_schema() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "description": "An answer that is an error.",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": text("A word for programs, such as \"not_found\"."),
                "message": text("A sentence for people that says what to do."),
            },
        }},
    })
}

#[cfg(test)]
mod tests;
