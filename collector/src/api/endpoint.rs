//! One endpoint of the list in `api.rs`: how its request is read from HTTP, and what the document is told of it.
//!
//! The macro makes three things of the list, so that none of them can be forgotten: the routes, the methods of the
//! service over gRPC, and what the document says. It does not compile when a function and a call of
//! `loopscope/v1/api.proto` do not fit. What is asked is known only to the functions themselves.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest as _, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{Method, StatusCode},
    routing::{MethodFilter, MethodRouter, on},
};
use loopscope_proto::schema::Schema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Shared, answer::json, error::ApiError, guard};

/// What the document is told of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Name of its call over gRPC.
    pub(super) call: &'static str,
    /// Name of the message that asks.
    pub(super) request: &'static str,
    /// Name of the message that answers.
    pub(super) answer: &'static str,
    /// What it may refuse with, beyond what any endpoint may.
    pub(super) refusals: &'static [StatusCode],
}

/// Makes routes, service and list of the endpoints.
macro_rules! endpoints {
    ($($method:ident $path:literal $call:ident = $module:ident::$function:ident($request:ident) -> $answer:ident
        $(, refuses $($refusal:ident)+)?;)+) => {
        /// Every endpoint that answers over HTTP and over gRPC.
        static ENDPOINTS: &[endpoint::Endpoint] = &[$(endpoint::Endpoint {
            method: axum::http::Method::$method,
            path: $path,
            call: stringify!($call),
            request: stringify!($request),
            answer: stringify!($answer),
            refusals: &[$($(axum::http::StatusCode::$refusal),+)?],
        }),+];

        /// The routes of all endpoints.
        fn routes() -> axum::Router<Shared> {
            let schema = loopscope_proto::schema::Schema::load();
            let mut endpoints = ENDPOINTS.iter();
            let mut routes = axum::Router::new();
            $(if let Some(endpoint) = endpoints.next() {
                routes = routes.route($path, endpoint::route(&schema, endpoint, $module::$function));
            })+
            routes
        }

        #[tonic::async_trait]
        impl loopscope_proto::v1::loopscope_server::Loopscope for grpc::Service {
            $(async fn $call(
                &self,
                request: tonic::Request<loopscope_proto::v1::$request>,
            ) -> Result<tonic::Response<loopscope_proto::v1::$answer>, tonic::Status> {
                Ok(tonic::Response::new($module::$function(self.shared(), request.into_inner()).await?))
            })+

            type LiveStream = grpc::Events;

            async fn live(
                &self,
                request: tonic::Request<loopscope_proto::v1::LiveRequest>,
            ) -> Result<tonic::Response<Self::LiveStream>, tonic::Status> {
                Ok(tonic::Response::new(self.follow(request.into_inner())?))
            }
        }

        /// A message of an answer, written as JSON by the type that answers.
        #[cfg(test)]
        fn written(call: &str, message: &[u8]) -> serde_json::Value {
            use prost::Message as _;
            match call {
                $(stringify!($call) => {
                    serde_json::to_value(loopscope_proto::v1::$answer::decode(message).unwrap()).unwrap()
                })+
                _ => unreachable!("{call} is not in the list"),
            }
        }
    };
}
pub(super) use endpoints;

impl Endpoint {
    /// The names in braces in the path.
    pub(super) fn path_names(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
    }

    /// True when it is no mere question.
    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET
    }

    /// True when the request is the body.
    pub(super) fn has_body(&self) -> bool {
        self.changes() && self.method != Method::DELETE
    }

    /// The names of the parameters that may stand after the question mark.
    fn query_names(&self, schema: &Schema) -> Vec<String> {
        if self.has_body() {
            return Vec::new();
        }
        let names = schema.fields(self.request).iter().map(|field| field.name.clone());
        names.filter(|name| self.path_names().all(|known| known != name)).collect()
    }
}

/// Answers an endpoint over HTTP by the function that answers it over gRPC.
pub(super) fn route<Q, A, F>(
    schema: &Schema,
    endpoint: &'static Endpoint,
    function: impl Fn(Shared, Q) -> F + Copy + Send + Sync + 'static,
) -> MethodRouter<Shared>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send,
    F: Future<Output = Result<A, ApiError>> + Send + 'static,
{
    let known: Arc<[String]> = endpoint.query_names(schema).into();
    // A method that is not known here is never asked for; a test asks each endpoint by its method.
    let method = MethodFilter::try_from(endpoint.method.clone()).unwrap_or(MethodFilter::GET);
    type Path = Result<RawPathParams, RawPathParamsRejection>;
    on(method, move |State(shared): State<Shared>, path: Path, request: Request| async move {
        if endpoint.changes() {
            guard::check_change(&request)?;
        }
        let path = path.map_err(|error| ApiError::bad_request(error.body_text()))?;
        let path = path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let query = checked_query(&known, request.uri().query().unwrap_or_default())?;
        let wanted = if endpoint.has_body() {
            let body = Bytes::from_request(request, &()).await;
            from_body(path, &body.map_err(|error| ApiError::new(error.status(), "bad_request", error.body_text()))?)
        } else {
            from_pairs(&[path, query].concat())
        };
        Ok::<_, ApiError>(json(&function(shared, wanted?).await?))
    })
}

type Pairs = Vec<(String, String)>;

/// The parameters of a query. One that is not known is refused: it may be a bound with a slip of the pen.
fn checked_query(known: &[String], query: &str) -> Result<Pairs, ApiError> {
    let pairs: Pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    for (at, (name, _)) in pairs.iter().enumerate() {
        if !known.contains(name) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(ApiError::bad_request(format!("there is no parameter {name:?} here; known: {known}")));
        }
        if pairs[..at].iter().any(|(before, _)| before == name) {
            return Err(ApiError::bad_request(format!("the parameter {name} is there more than once")));
        }
    }
    Ok(pairs)
}

fn from_pairs<Q: DeserializeOwned>(pairs: &Pairs) -> Result<Q, ApiError> {
    let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| wrong("the parameter", &error))
}

/// The message in a body, with what the path says.
fn from_body<Q: DeserializeOwned>(path: Pairs, body: &[u8]) -> Result<Q, ApiError> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the body has to be a JSON object: {error}")))?;
    fields.extend(path.into_iter().map(|(name, value)| (name, Value::String(value))));
    serde_path_to_error::deserialize(Value::Object(fields)).map_err(|error| wrong("the field", &error))
}

fn wrong<E: std::fmt::Display>(what: &str, error: &serde_path_to_error::Error<E>) -> ApiError {
    ApiError::bad_request(format!("{what} {} cannot be read: {}", error.path(), error.inner()))
}

#[cfg(test)]
mod tests {
    use loopscope_proto::v1;

    use super::*;

    #[track_caller]
    fn refused<T>(found: Result<T, ApiError>, words: &str) {
        let text = format!("{:?}", found.err().expect("it is refused"));
        assert!(text.contains(words), "{text}");
    }

    fn pairs(query: &str) -> Result<Pairs, ApiError> {
        checked_query(&["node".to_owned(), "last_sequence".to_owned()], query)
    }

    #[test]
    fn a_query_is_read_by_the_message() {
        let wanted: v1::LiveRequest = from_pairs(&pairs("last_sequence=7").unwrap()).unwrap();
        assert_eq!(wanted.last_sequence, Some(7));
        let wanted: v1::GetExemplarsRequest = from_pairs(&pairs("node=a%20b%26").unwrap()).unwrap();
        assert_eq!(wanted.node.as_deref(), Some("a b&"));
        let query = "at=2026-11-23T15%3A42%3A49Z&max_depth=3";
        let names = ["at", "max_depth"].map(str::to_owned);
        let wanted: v1::Verdict = from_pairs(&checked_query(&names, query).unwrap()).unwrap();
        assert_eq!((wanted.at.map(|at| at.seconds), wanted.max_depth), (Some(1_795_448_569), Some(3)));
        let wrong = vec![("at".to_owned(), "noon".to_owned())];
        refused(from_pairs::<v1::Verdict>(&wrong), "at cannot be read");
        refused(from_pairs::<v1::LiveRequest>(&pairs("last_sequence=-1").unwrap()), "last_sequence cannot be read");
    }

    #[test]
    fn parameters_that_are_not_known_or_doubled_are_refused() {
        refused(pairs("nod=1"), "known: node, last_sequence");
        refused(pairs("node=1&node=2"), "more than once");
        refused(checked_query(&[], "x"), "known: none");
    }

    #[test]
    fn a_body_is_read_with_what_the_path_says() {
        let path = vec![("loop_id".to_owned(), "ab".to_owned())];
        let says: v1::Verdict = from_body(path, br#"{"verdict": "clear", "loop_id": "cd", "new": 1}"#).unwrap();
        assert_eq!((says.loop_id.as_str(), says.verdict.as_str()), ("ab", "clear"));
        refused(from_body::<v1::Verdict>(Vec::new(), b"[]"), "JSON object");
        refused(from_body::<v1::Verdict>(Vec::new(), br#"{"max_depth": -1}"#), "max_depth cannot be read");
    }
}
