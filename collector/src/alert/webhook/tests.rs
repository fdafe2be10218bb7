//! Deliveries over real sockets.

use std::{collections::VecDeque, net::SocketAddr, sync::Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::post,
};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::*;

/// No test waits longer than this for anything.
const DEADLINE: Duration = Duration::from_secs(20);

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

type Answers = VecDeque<(StatusCode, &'static [(&'static str, &'static str)])>;

/// A webhook target that answers as it is told, and with 204 when nothing is left to tell.
struct Sink {
    address: SocketAddr,
    requests: UnboundedReceiver<(HeaderMap, Bytes)>,
}

impl Sink {
    async fn start(answers: Answers) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), answers).await
    }

    async fn at(address: SocketAddr, answers: Answers) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = unbounded_channel();
        let state = SinkState { answers: Mutex::new(answers), requests: sender };
        let app = Router::new().route("/hook", post(answer)).with_state(Arc::new(state));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, requests }
    }

    async fn request(&mut self) -> (HeaderMap, Bytes) {
        tokio::time::timeout(DEADLINE, self.requests.recv()).await.expect("no request came").unwrap()
    }
}

struct SinkState {
    answers: Mutex<Answers>,
    requests: UnboundedSender<(HeaderMap, Bytes)>,
}

async fn answer(State(state): State<Arc<SinkState>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    state.requests.send((headers, body)).unwrap();
    let (status, headers) = state.answers.lock().unwrap().pop_front().unwrap_or((StatusCode::NO_CONTENT, &[]));
    let mut answered = HeaderMap::new();
    for (name, value) in headers {
        answered.insert(*name, value.parse().unwrap());
    }
    (status, answered)
}

/// A delivery with its world.
struct World {
    store: Arc<Store>,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
    targets: Vec<WebhookTarget>,
    plan: RetryPlan,
}

impl World {
    fn new(addresses: &[SocketAddr], delays: &[Duration]) -> Self {
        Self {
            store: Arc::new(Store::in_memory().unwrap()),
            counters: Arc::default(),
            wake: Arc::default(),
            targets: addresses.iter().map(|a| WebhookTarget::parse(&format!("http://{a}/hook")).unwrap()).collect(),
            plan: RetryPlan { delays: delays.to_vec(), jitter: 0.0, ..RetryPlan::default() },
        }
    }

    fn enqueue(&self, id: &str, body: &str) {
        let targets: Vec<&str> = self.targets.iter().map(|target| target.url().as_str()).collect();
        self.store.write(|t| outbox::enqueue(t, id, body, &targets, ArrivalTime(1))).unwrap();
        self.wake.notify_waiters();
    }

    fn start(&self) -> (CancellationToken, JoinHandle<Result<(), JoinError>>) {
        let secret = Secret::parse(SECRET).unwrap();
        let (store, targets) = (self.store.clone(), self.targets.clone());
        let (plan, counters, wake) = (self.plan.clone(), self.counters.clone(), self.wake.clone());
        let delivery = Delivery::new(store, targets, Some(&secret), plan, counters, wake).unwrap();
        let shutdown = CancellationToken::new();
        (shutdown.clone(), tokio::spawn(delivery.run(shutdown)))
    }

    /// Waits until the counters of delivered, failed and pending messages say this.
    async fn until(&self, delivered: u64, failed: u64, pending: u64) {
        let c = &self.counters;
        let read = || (c.webhooks_delivered.get(), c.webhooks_failed.get(), c.webhooks_pending.get());
        let reached = tokio::time::timeout(DEADLINE, async {
            while read() != (delivered, failed, pending) {
                tokio::task::yield_now().await;
            }
        });
        assert!(reached.await.is_ok(), "counters stay at {:?}", read());
    }
}

fn id(headers: &HeaderMap) -> &str {
    headers[HEADER_WEBHOOK_ID].to_str().unwrap()
}

fn verify(headers: &HeaderMap, body: &[u8]) {
    Webhook::new(SECRET).unwrap().verify(body, headers).unwrap();
}

#[tokio::test]
async fn messages_arrive_signed() {
    let mut sink = Sink::start(Answers::new()).await;
    let world = World::new(&[sink.address], &[]);
    world.enqueue("msg_before", r#"{"type":"loop.opened"}"#);
    world.start();
    let (headers, body) = sink.request().await;
    assert_eq!((id(&headers), &body[..]), ("msg_before", &br#"{"type":"loop.opened"}"#[..]));
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    verify(&headers, &body);
    assert!(Webhook::new(SECRET).unwrap().verify(b"{}", &headers).is_err());
    world.until(1, 0, 0).await;
    world.enqueue("msg_later", "{}");
    assert_eq!(id(&sink.request().await.0), "msg_later");
    world.until(2, 0, 0).await;
}

#[tokio::test]
async fn a_failed_message_comes_again_under_the_same_id() {
    let mut sink = Sink::start(Answers::from([
        (StatusCode::INTERNAL_SERVER_ERROR, &[][..]),
        (StatusCode::FOUND, &[("location", "/elsewhere")][..]),
    ]))
    .await;
    let world = World::new(&[sink.address], &[Duration::ZERO, Duration::from_millis(1)]);
    world.enqueue("msg_1", "{}");
    world.start();
    for _ in 0..3 {
        let (headers, body) = sink.request().await;
        assert_eq!(id(&headers), "msg_1");
        verify(&headers, &body);
    }
    world.until(1, 0, 0).await;
}

#[tokio::test]
async fn the_last_attempt_ends_it() {
    let mut sink = Sink::start(Answers::from([(StatusCode::BAD_REQUEST, &[][..]); 2])).await;
    let world = World::new(&[sink.address], &[Duration::ZERO]);
    world.enqueue("msg_1", "{}");
    world.start();
    world.until(0, 1, 0).await;
    assert_eq!((id(&sink.request().await.0), id(&sink.request().await.0)), ("msg_1", "msg_1"));
    world.enqueue("msg_2", "{}");
    assert_eq!(id(&sink.request().await.0), "msg_2");
}

#[tokio::test]
async fn a_target_that_is_down_holds_up_nobody_and_is_tried_again() {
    let down = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut up = Sink::start(Answers::new()).await;
    let world = World::new(&[down, up.address], &[Duration::from_millis(20); 500]);
    world.enqueue("msg_1", "{}");
    world.start();
    assert_eq!(id(&up.request().await.0), "msg_1");
    world.until(1, 0, 1).await;
    let mut back = Sink::at(down, Answers::new()).await;
    assert_eq!(id(&back.request().await.0), "msg_1");
    world.until(2, 0, 0).await;
}

#[tokio::test]
async fn a_restart_goes_on_with_the_outbox() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = Sink::start(Answers::from([(StatusCode::SERVICE_UNAVAILABLE, &[][..])])).await;
    let mut world = World::new(&[sink.address], &[Duration::from_secs(3600)]);
    world.store = Arc::new(Store::open(folder.path()).unwrap());
    world.enqueue("msg_1", "{}");
    let (shutdown, task) = world.start();
    assert_eq!(id(&sink.request().await.0), "msg_1");
    let attempted =
        || world.store.read(|c| outbox::next(c, world.targets[0].url().as_str())).unwrap().unwrap().attempts;
    let noted = tokio::time::timeout(DEADLINE, async {
        while attempted() == 0 {
            tokio::task::yield_now().await;
        }
    });
    noted.await.expect("the attempt is never noted");
    shutdown.cancel();
    tokio::time::timeout(DEADLINE, task).await.expect("delivery does not stop").unwrap().unwrap();
    drop(world.store);

    // The clock of the second run is past the delay.
    world.store = Arc::new(Store::open(folder.path()).unwrap());
    world.plan.now = || SystemTime::now() + Duration::from_secs(3700);
    world.start();
    assert_eq!(id(&sink.request().await.0), "msg_1");
    world.until(1, 0, 0).await;
}

#[tokio::test]
async fn a_gone_target_gets_nothing_more() {
    let mut sink = Sink::start(Answers::from([(StatusCode::GONE, &[][..])])).await;
    let world = World::new(&[sink.address], &[Duration::ZERO; 9]);
    world.enqueue("msg_1", "{}");
    world.enqueue("msg_2", "{}");
    world.start();
    sink.request().await;
    world.until(0, 2, 0).await;
    world.enqueue("msg_3", "{}");
    world.until(0, 3, 0).await;
    assert!(sink.requests.try_recv().is_err());
}

#[tokio::test]
async fn former_targets_are_given_up() {
    let mut world = World::new(&[SocketAddr::from(([127, 0, 0, 1], 9))], &[Duration::from_secs(3600)]);
    world.enqueue("msg_1", "{}");
    world.targets.clear();
    world.start();
    world.until(0, 1, 0).await;
}

#[tokio::test]
async fn targets_may_ask_for_time() {
    let asked = &[("retry-after", "120")][..];
    let mut sink = Sink::start(Answers::from([(StatusCode::TOO_MANY_REQUESTS, asked)])).await;
    let world = World::new(&[sink.address], &[Duration::ZERO]);
    world.enqueue("msg_1", "{}");
    let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    world.start();
    sink.request().await;
    let url = world.targets[0].url().as_str();
    let waits = tokio::time::timeout(DEADLINE, async {
        loop {
            let message = world.store.read(|c| outbox::next(c, url)).unwrap().unwrap();
            if message.attempts == 1 {
                return message.next_attempt_at;
            }
            tokio::task::yield_now().await;
        }
    });
    let until = waits.await.expect("the attempt is never noted");
    assert!(u128::from(until.0) >= before.as_nanos() + Duration::from_secs(120).as_nanos());
}

#[test]
fn the_default_plan_starts_quickly_and_lasts_most_of_a_day() {
    let plan = RetryPlan::default();
    assert_eq!(plan.delays[0], Duration::from_secs(1));
    let total: Duration = plan.delays.iter().sum();
    assert!(total > Duration::from_secs(17 * 3600) && total < Duration::from_secs(24 * 3600));
    assert!(plan.delays.is_sorted());
}

#[tokio::test]
async fn a_delivery_that_panics_says_so() {
    let sink = Sink::start(Answers::new()).await;
    let mut world = World::new(&[sink.address], &[]);
    world.plan.now = || panic!("for the test");
    world.enqueue("msg_1", "{}");
    let (_shutdown, running) = world.start();
    let ended = tokio::time::timeout(DEADLINE, running).await.expect("it did not end").unwrap();
    assert!(ended.is_err_and(|error| error.is_panic()));
}
