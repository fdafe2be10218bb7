//! The same messages over gRPC, on the same port: the service `loopscope.v1.Loopscope`, reflection and health.
//!
//! What a call answers is said by the functions that answer HTTP; `endpoint.rs` makes the methods of the service from
//! the list of endpoints. Here is only what gRPC has and HTTP has not.

use std::{pin::Pin, sync::Arc};

use axum::{Router, middleware};
use loopscope_proto::{
    schema::DESCRIPTORS,
    v1::{
        LiveEvent, LiveRequest,
        loopscope_server::{LoopscopeServer, SERVICE_NAME},
    },
};
use tokio_stream::{Stream, StreamExt as _, wrappers::WatchStream};
use tonic::{Request, Response, Status, codec::CompressionEncoding};
use tonic_health::pb::{
    FILE_DESCRIPTOR_SET, HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};
use tower_http::catch_panic::CatchPanicLayer;

use super::{REQUEST_BYTES, Shared, error, guard, live};

/// Answers that keep coming.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The events of the live stream.
pub(super) type Events = Answers<LiveEvent>;

/// What answers the calls.
pub(super) struct Service(Shared);

impl Service {
    pub(super) fn shared(&self) -> Shared {
        self.0.clone()
    }

    pub(super) fn follow(&self, wanted: LiveRequest) -> Result<Events, Status> {
        let reader = live::follow(&self.0.state.live, wanted)?;
        Ok(Box::pin(reader.map(|message| Ok(message.event.clone()))))
    }
}

/// The routes of the service and of reflection, behind the guard.
pub(super) fn routes(shared: &Shared) -> Router<Shared> {
    let service = LoopscopeServer::new(Service(shared.clone()))
        .max_decoding_message_size(REQUEST_BYTES)
        .send_compressed(CompressionEncoding::Gzip);
    let mut routes = Router::new().route_service(&format!("/{SERVICE_NAME}/{{call}}"), service);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1();
    match reflection {
        Ok(reflection) => {
            let reflection = reflection.max_decoding_message_size(REQUEST_BYTES);
            routes = routes.route_service("/grpc.reflection.v1.ServerReflection/{call}", reflection);
        }
        Err(error) => tracing::error!(%error, "gRPC reflection is not served"),
    }
    let hosts = Arc::clone(&shared.state.hosts);
    routes
        .layer(CatchPanicLayer::custom(error::call_panicked))
        .layer(middleware::from_fn_with_state(hosts, guard::check_call))
}

/// The route of health, which is asked by machines that know this server by any address.
pub(super) fn health_route(shared: &Shared) -> Router<Shared> {
    let health = HealthServer::new(Readiness(shared.clone())).max_decoding_message_size(REQUEST_BYTES);
    Router::new()
        .route_service("/grpc.health.v1.Health/{call}", health)
        .layer(CatchPanicLayer::custom(error::call_panicked))
}

/// Health as `/readyz` has it.
struct Readiness(Shared);

impl Readiness {
    fn now(&self) -> HealthCheckResponse {
        let status = if (self.0.state.ready)() { ServingStatus::Serving } else { ServingStatus::NotServing };
        HealthCheckResponse { status: status.into() }
    }
}

#[tonic::async_trait]
impl Health for Readiness {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        known(&request.into_inner().service)?;
        Ok(Response::new(self.now()))
    }

    type WatchStream = Answers<HealthCheckResponse>;

    /// Tells readiness now and when it changes: each view that is published is a time to look.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        known(&request.into_inner().service)?;
        let health = Self(self.0.clone());
        let mut told = None;
        let changes = WatchStream::new(self.0.state.view.clone()).filter_map(move |_| {
            let now = health.now();
            (told.replace(now) != Some(now)).then_some(Ok(now))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn known(service: &str) -> Result<(), Status> {
    if service.is_empty() || service == SERVICE_NAME {
        return Ok(());
    }
    Err(Status::not_found(format!("there is no service {service:?}; ask for {SERVICE_NAME}, or for no name")))
}
