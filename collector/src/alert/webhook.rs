//! Delivers the messages of the outbox, as Standard Webhooks says.
//!
//! Each target has a task of its own, so that a slow one holds up nobody else. What waits stands in the store: a
//! restart goes on where it was, and a message that was sent but not yet noted goes out once more under the same
//! `webhook-id`. Targets come from flags and files and are trusted.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use loopscope_analyzer::span::ArrivalTime;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect,
};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};
use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{nanos, unix_nanos_at},
    config::{Secret, WebhookTarget},
    counters::Counters,
    store::{
        Store, StoreError,
        outbox::{self, Pending},
    },
};

/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest time that a target may ask for with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A waiting task looks at the clock at least this often, because clocks are set and machines sleep.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a task waits when the store cannot be read.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// When attempts are made.
#[derive(Clone, Debug)]
pub struct RetryPlan {
    /// Time before the second attempt, the third and so on; after the last one a message is given up.
    pub delays: Vec<Duration>,
    /// Part of the delay that is added at random, so that targets are not hit by all at once: 0 to 1.
    pub jitter: f64,
    /// The clock.
    pub now: fn() -> SystemTime,
}

impl Default for RetryPlan {
    /// The first attempts are quick, because an alert is news; the last is made after some eighteen hours.
    fn default() -> Self {
        let delays = [1, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600].map(Duration::from_secs).to_vec();
        Self { delays, jitter: 0.1, now: SystemTime::now }
    }
}

/// Why delivery cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// There is no HTTP client, for example because the system has no certificates.
    #[error("webhooks cannot be sent: {0}")]
    Client(#[from] reqwest::Error),
    /// The secret cannot sign.
    #[error("webhooks cannot be signed: {0}")]
    Secret(#[from] standardwebhooks::WebhookError),
}

/// The delivery of all targets.
pub struct Delivery {
    targets: Vec<WebhookTarget>,
    shared: Arc<Shared>,
}

/// What the tasks of all targets share.
struct Shared {
    client: Client,
    signer: Option<Webhook>,
    plan: RetryPlan,
    store: Arc<Store>,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
}

/// What became of one attempt.
enum Outcome {
    Delivered,
    /// The target wants no messages any more.
    Gone,
    Failed {
        reason: String,
        retry_after: Option<Duration>,
    },
}

/// When a task has to look again.
enum Next {
    AtOnce,
    After(Duration),
    /// The target is gone.
    Never,
}

impl Delivery {
    /// Prepares delivery to these targets.
    ///
    /// `wake` tells that messages may be waiting: see [`crate::alert::Alerts::open`].
    ///
    /// # Errors
    /// When there can be no HTTP client or no signature.
    pub fn new(
        store: Arc<Store>,
        targets: Vec<WebhookTarget>,
        secret: Option<&Secret>,
        plan: RetryPlan,
        counters: Arc<Counters>,
        wake: Arc<Notify>,
    ) -> Result<Self, DeliveryError> {
        let needs_tls = targets.iter().any(|target| target.url().scheme() == "https");
        let client = client(needs_tls)?;
        let signer = secret.map(Secret::signer).transpose()?;
        Ok(Self { targets, shared: Arc::new(Shared { client, signer, plan, store, counters, wake }) })
    }

    /// Delivers until `shutdown`. An attempt that is under way then is made again after the next start.
    ///
    /// # Errors
    /// When the delivery to a target has panicked: alerts would wait there unseen. That to the others ends too.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), JoinError> {
        let configured = self.targets.iter().map(|target| target.url().to_string()).collect();
        if let Err(error) = self.shared.give_up_others(configured).await {
            tracing::error!(%error, "messages for former webhook targets stay in the outbox");
        }
        let mut tasks = JoinSet::new();
        for target in self.targets {
            let shared = self.shared.clone();
            let shutdown = shutdown.clone();
            tasks.spawn(async move { shutdown.run_until_cancelled(shared.serve(target)).await });
        }
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        Ok(())
    }
}

impl Shared {
    /// Delivers to one target for ever.
    async fn serve(&self, target: WebhookTarget) {
        let mut is_gone = false;
        loop {
            // Listening starts before the look into the outbox, so that no message slips between the two.
            let mut woken = std::pin::pin!(self.wake.notified());
            woken.as_mut().enable();
            let worked = if is_gone { self.give_up(&target).await } else { self.work(&target).await };
            let pause = match worked {
                Ok(Next::AtOnce) => continue,
                Ok(Next::After(pause)) => pause,
                Ok(Next::Never) => {
                    is_gone = true;
                    continue;
                }
                Err(error) => {
                    tracing::error!(target_origin = target.origin(), %error, "the outbox cannot be used");
                    STORE_PAUSE
                }
            };
            // Waking early is harmless: the outbox says what is due.
            let _ = tokio::time::timeout(pause.min(LONGEST_WAIT), woken).await;
        }
    }

    /// Makes the next attempt if one is due.
    async fn work(&self, target: &WebhookTarget) -> Result<Next, StoreError> {
        let url = target.url().to_string();
        let Some(message) = self.in_store(move |store| store.read(|c| outbox::next(c, &url))).await? else {
            return Ok(Next::After(LONGEST_WAIT));
        };
        let early = message.next_attempt_at.0.saturating_sub(self.now().0);
        if early > 0 {
            return Ok(Next::After(Duration::from_nanos(early)));
        }
        match self.attempt(target, &message).await {
            Outcome::Delivered => self.note_delivered(target, message).await?,
            Outcome::Failed { reason, retry_after } => self.note_failed(target, message, reason, retry_after).await?,
            Outcome::Gone => return Ok(Next::Never),
        }
        Ok(Next::AtOnce)
    }

    async fn attempt(&self, target: &WebhookTarget, message: &Pending) -> Outcome {
        let seconds = (self.plan.now)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = self
            .client
            .post(target.url().clone())
            .header(CONTENT_TYPE, "application/json")
            .header(HEADER_WEBHOOK_ID, &message.message_id)
            .header(HEADER_WEBHOOK_TIMESTAMP, seconds);
        if let Some(signer) = &self.signer {
            let signed = signer.sign(&message.message_id, seconds.cast_signed(), message.body.as_bytes());
            match signed {
                Ok(signature) => request = request.header(HEADER_WEBHOOK_SIGNATURE, signature),
                Err(error) => return Outcome::Failed { reason: error.to_string(), retry_after: None },
            }
        }
        match request.body(message.body.clone()).send().await {
            Ok(response) if response.status().is_success() => Outcome::Delivered,
            Ok(response) if response.status() == StatusCode::GONE => Outcome::Gone,
            Ok(response) => Outcome::Failed {
                reason: format!("answered {}", response.status()),
                retry_after: retry_after(&response, (self.plan.now)()),
            },
            // The URL may hold a token, so it stays out of logs and store.
            Err(error) => Outcome::Failed { reason: chain(&error.without_url()), retry_after: None },
        }
    }

    async fn note_delivered(&self, target: &WebhookTarget, message: Pending) -> Result<(), StoreError> {
        self.in_store(move |store| store.write(|t| outbox::delivered(t, message.sequence))).await?;
        self.counters.webhooks_delivered.add(1);
        tracing::info!(target_origin = target.origin(), message_id = message.message_id, "webhook delivered");
        self.count_pending().await
    }

    async fn note_failed(
        &self,
        target: &WebhookTarget,
        message: Pending,
        reason: String,
        retry_after: Option<Duration>,
    ) -> Result<(), StoreError> {
        let delay = self.delay(message.attempts, retry_after);
        let id = message.message_id;
        tracing::warn!(target_origin = target.origin(), message_id = id, reason, ?delay, "webhook failed");
        let next = delay.map(|delay| ArrivalTime(self.now().0.saturating_add(nanos(delay))));
        self.in_store(move |store| {
            store.write(|t| match next {
                Some(next) => outbox::retry(t, message.sequence, next, &reason),
                None => outbox::failed(t, message.sequence, &reason),
            })
        })
        .await?;
        if next.is_none() {
            self.counters.webhooks_failed.add(1);
        }
        self.count_pending().await
    }

    /// Gives up what waits for a target that wants no messages any more; only a restart asks it again.
    async fn give_up(&self, target: &WebhookTarget) -> Result<Next, StoreError> {
        let url = target.url().to_string();
        let reason = "the target answered 410 Gone: it wants no more messages";
        let rows = self.in_store(move |store| store.write(|t| outbox::give_up_target(t, &url, reason))).await?;
        if rows > 0 {
            self.counters.webhooks_failed.add(rows);
            tracing::warn!(target_origin = target.origin(), rows, "webhook target is gone; its messages are given up");
        }
        self.count_pending().await?;
        Ok(Next::After(LONGEST_WAIT))
    }

    /// Time to the next attempt after this many and one more have failed; `None` when there is none.
    fn delay(&self, attempts: u32, retry_after: Option<Duration>) -> Option<Duration> {
        let planned = self.plan.delays.get(usize::try_from(attempts).ok()?)?;
        let planned = planned.mul_f64(1.0 + self.plan.jitter.clamp(0.0, 1.0) * fastrand::f64());
        Some(retry_after.map_or(planned, |asked| planned.max(asked.min(MAX_RETRY_AFTER))))
    }

    /// Gives up what waits for targets that are no longer configured.
    async fn give_up_others(&self, configured: Vec<String>) -> Result<(), StoreError> {
        let rows = self
            .in_store(move |store| {
                store.write(|transaction| {
                    let mut rows = 0;
                    for target in outbox::waiting_targets(transaction)? {
                        if !configured.contains(&target) {
                            rows += outbox::give_up_target(transaction, &target, "the target is no longer configured")?;
                        }
                    }
                    Ok(rows)
                })
            })
            .await?;
        self.counters.webhooks_failed.add(rows);
        self.count_pending().await
    }

    async fn count_pending(&self) -> Result<(), StoreError> {
        let pending = self.in_store(|store| store.read(outbox::count_pending)).await?;
        self.counters.webhooks_pending.set(pending);
        Ok(())
    }

    /// SQLite blocks, so it works on a thread of its own.
    async fn in_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        match tokio::task::spawn_blocking(move || work(&store)).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down and so is this task.
            Err(_) => std::future::pending().await,
        }
    }

    fn now(&self) -> ArrivalTime {
        ArrivalTime(unix_nanos_at((self.plan.now)()))
    }
}

/// A machine without certificates can still reach targets that need none.
fn client(needs_tls: bool) -> reqwest::Result<Client> {
    crate::tls::install_provider();
    let builder = || {
        Client::builder()
            .timeout(ATTEMPT_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("loopscope/", env!("CARGO_PKG_VERSION")))
    };
    match builder().build() {
        Err(_) if !needs_tls => builder().tls_certs_only([]).build(),
        built => built,
    }
}

/// What the target asks for, as seconds or as a date.
fn retry_after(response: &Response, now: SystemTime) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()),
    }
}

/// The error with its causes: the outermost alone says only that something went wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
