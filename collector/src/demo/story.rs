//! Everyday life: a few requests a second, pipelines, a decorator, and recursion that ends.
//!
//! Each part plays one kind of request after the other, with what it causes, so that nothing can pile up.

use std::{future::Future, sync::Arc, time::Duration};

use super::{
    Part,
    conventions::{
        Channel, get_object, http, invoke, invoked, new_id, object_created, process, put_item, put_object, query,
        request, send, timer,
    },
    function::{Cause, Running, work},
    functions::Functions,
};

/// Carries new members to the mailer.
const WELCOME_MAILS: Channel = Channel::Queue("welcome-mails");
/// Carries greeted members to the lists.
const SUBSCRIPTIONS: Channel = Channel::Topic("subscriptions");
/// Carries everything that is counted.
const ANALYTICS_EVENTS: Channel = Channel::Queue("analytics-events");
/// Carries new posts.
pub(super) const NEW_POSTS: Channel = Channel::Topic("new-posts");
/// Carries what followers are told.
const NOTIFICATIONS: Channel = Channel::Queue("notifications");

/// Where files arrive.
pub(super) const UPLOADS: &str = "uploads";
/// Where small pictures belong.
const THUMBNAILS: &str = "thumbnails";

/// Pages of the long list.
const PAGES: u32 = 5;

/// One request in this many goes wrong.
const ERROR_RATE: usize = 30;

/// Time between a message and the run that it causes.
const DELIVERY_MS: u64 = 60;

/// All parts of everyday life.
pub(super) fn parts(functions: &Arc<Functions>) -> Vec<Part> {
    vec![
        every(Duration::from_millis(1_500), functions, |f| async move { sign_up(&f).await }),
        every(Duration::from_millis(500), functions, |f| async move { orders(&f).await }),
        every(Duration::from_millis(1_200), functions, |f| async move { login(&f).await }),
        every(Duration::from_millis(2_500), functions, |f| async move { upload(&f).await }),
        every(Duration::from_millis(3_500), functions, |f| async move { post(&f).await }),
        every(Duration::from_secs(8), functions, |f| async move { report(&f).await }),
    ]
}

/// Plays again and again, with about this much time between the end and the next start.
fn every<F>(rest: Duration, functions: &Arc<Functions>, play: impl Fn(Arc<Functions>) -> F + Send + 'static) -> Part
where
    F: Future<Output = ()> + Send,
{
    let functions = functions.clone();
    Box::pin(async move {
        loop {
            play(functions.clone()).await;
            tokio::time::sleep(rest.mul_f64(0.6 + 0.8 * fastrand::f64())).await;
        }
    })
}

/// A pipeline over queues and a topic: sign up -> welcome mail -> lists -> analytics.
async fn sign_up(f: &Functions) {
    let mut run = f.sign_up.start(http("POST", "/sign-up"), Cause::Outside).await;
    run.does(put_item("members"), 20).await;
    let id = new_id();
    let sent = run.does(send(WELCOME_MAILS, &id), 12).await;
    run.answer(201);
    drop(run);

    work(DELIVERY_MS).await;
    let run = f.send_welcome_mail.start(process(WELCOME_MAILS, &id), Cause::Event(sent)).await;
    run.does(request("POST", "mail.example.com", "/v1/messages"), 90).await;
    let id = new_id();
    let sent = run.does(send(SUBSCRIPTIONS, &id), 12).await;
    drop(run);

    work(DELIVERY_MS).await;
    let run = f.subscribe.start(process(SUBSCRIPTIONS, &id), Cause::Event(sent)).await;
    run.does(put_item("subscribers"), 18).await;
    let id = new_id();
    let sent = run.does(send(ANALYTICS_EVENTS, &id), 10).await;
    drop(run);

    work(DELIVERY_MS).await;
    let run = f.track_events.start(process(ANALYTICS_EVENTS, &id), Cause::Event(sent)).await;
    work(15).await;
    run.does(put_item("events"), 25).await;
}

/// A decorator: who asks is looked up before the request goes on to the slow store.
async fn orders(f: &Functions) {
    let mut run = f.authorize_request.start(http("GET", "/orders"), Cause::Outside).await;
    run.does(query("sessions"), 8).await;
    let mut call = run.begin(request("GET", "orders.internal.example.com", "/orders"));
    work(4).await;

    let mut behind = f.orders_api.start(http("GET", "/orders"), Cause::Call(call.context())).await;
    behind.does(query("orders"), 180).await;
    work(10).await;
    let status = if fastrand::usize(..ERROR_RATE) == 0 { 503 } else { 200 };
    behind.answer(status);
    drop(behind);

    work(4).await;
    call.answer(status);
    drop(call);
    run.answer(status);
}

/// A call of a function by its name, which often starts cold.
async fn login(f: &Functions) {
    let mut run = f.login.start(http("POST", "/login"), Cause::Outside).await;
    run.does(query("members"), 12).await;
    let call = run.begin(invoke("one-time-password"));
    work(5).await;

    let behind = f.one_time_password.start(invoked("one-time-password"), Cause::Call(call.context())).await;
    behind.does(put_item("codes"), 15).await;
    behind.does(request("POST", "sms.example.com", "/v2/send"), 60).await;
    drop(behind);

    drop(call);
    run.answer(200);
}

/// An event handler: a file in a bucket causes a small picture in another.
async fn upload(f: &Functions) {
    let key = format!("{}.jpg", new_id());
    let stored = upload_one(f, &key).await;
    work(DELIVERY_MS).await;
    let run = thumbnail(f, &key, Cause::Event(stored)).await;
    run.does(put_object(THUMBNAILS, &key), 35).await;
}

/// Takes a file in, and returns what its storing causes.
pub(super) async fn upload_one(f: &Functions, key: &str) -> opentelemetry::trace::SpanContext {
    let mut run = f.upload_file.start(http("PUT", "/files/{name}"), Cause::Outside).await;
    let stored = run.does(put_object(UPLOADS, key), 40).await;
    run.answer(201);
    stored
}

/// Makes a file small, up to the point where the result is stored.
pub(super) async fn thumbnail(f: &Functions, key: &str, cause: Cause) -> Running {
    let run = f.thumbnail.start(object_created(UPLOADS, key), cause).await;
    run.does(get_object(UPLOADS, key), 25).await;
    work(70).await;
    run
}

/// A fan-out that ends: one post tells two followers.
async fn post(f: &Functions) {
    let mut run = f.upload_file.start(http("POST", "/posts"), Cause::Outside).await;
    let id = new_id();
    let sent = run.does(send(NEW_POSTS, &id), 10).await;
    run.answer(201);
    drop(run);

    work(DELIVERY_MS).await;
    let run = f.notify_followers.start(process(NEW_POSTS, &id), Cause::Event(sent)).await;
    run.does(query("followers"), 20).await;
    for _ in 0..2 {
        run.does(send(NOTIFICATIONS, &new_id()), 10).await;
    }
}

/// Recursion that ends: a function calls itself for the next page, and there are [`PAGES`].
async fn report(f: &Functions) {
    let mut open = Vec::new();
    let mut cause = Cause::Outside;
    for page in 1..=PAGES {
        let entry = if page == 1 { timer("list-pages", "rate(8 seconds)") } else { invoked("list-pages") };
        let run = f.list_pages.start(entry, cause).await;
        run.does(query("catalogue"), 40).await;
        if page == PAGES {
            break;
        }
        let call = run.begin(invoke("list-pages"));
        cause = Cause::Call(call.context());
        open.push((run, call));
        work(10).await;
    }
    // The answers come back the way the calls went.
    while let Some((run, call)) = open.pop() {
        drop(call);
        work(5).await;
        drop(run);
    }
}
