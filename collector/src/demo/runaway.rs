//! What goes wrong: two loops that never end by themselves.

use std::{sync::Arc, time::Duration};

use opentelemetry::trace::SpanContext;
use tokio::task::JoinSet;

use super::{
    conventions::{new_id, process, put_object, query, send},
    function::{Cause, work},
    functions::Functions,
    story::{self, NEW_POSTS, UPLOADS},
};

/// Time between a stored object and the run that it causes; with the run itself a lap takes some 300 ms.
const EVENT_MS: u64 = 150;

/// Most runs of the fan-out loop at the same time: a cloud would go on doubling, this machine must not.
const MAX_LIVE_RUNS: usize = 16;

/// A thumbnail function writes into the bucket that triggers it: each run causes the next, in a trace of its own.
pub(super) async fn bucket_loop(f: Arc<Functions>, loop_after: Duration) {
    tokio::time::sleep(loop_after).await;
    let mut key = format!("{}.jpg", new_id());
    let mut stored = story::upload_one(&f, &key).await;
    loop {
        work(EVENT_MS).await;
        let run = story::thumbnail(&f, &key, Cause::Event(stored)).await;
        // Keys stay short, as they would with a function that replaces the name.
        key = format!("small-{}.jpg", new_id());
        stored = run.does(put_object(UPLOADS, &key), 35).await;
    }
}

/// A function publishes two messages to the topic that triggers it: runs double with each lap, up to a bound.
pub(super) async fn fan_out_loop(f: Arc<Functions>, loop_after: Duration) {
    tokio::time::sleep(loop_after).await;
    let mut runs = JoinSet::new();
    runs.spawn(repost(f.clone(), new_id(), Cause::Outside));
    while let Some(ended) = runs.join_next().await {
        for (message_id, sent) in ended.unwrap_or_default() {
            if runs.len() < MAX_LIVE_RUNS {
                runs.spawn(repost(f.clone(), message_id, Cause::Event(sent)));
            }
        }
    }
}

/// Handles a post and posts twice about it.
async fn repost(f: Arc<Functions>, message_id: String, cause: Cause) -> Vec<(String, SpanContext)> {
    work(EVENT_MS).await;
    let run = f.notify_followers.start(process(NEW_POSTS, &message_id), cause).await;
    run.does(query("followers"), 120).await;
    let mut sent = Vec::new();
    for _ in 0..2 {
        let id = new_id();
        let context = run.does(send(NEW_POSTS, &id), 12).await;
        sent.push((id, context));
    }
    sent
}
