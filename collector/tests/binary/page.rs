//! The page in a real browser: what is posted is seen, can be clicked, and stays where it is.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::{
    DEADLINE,
    browser::{Browser, Picture},
    otlp::{Story, post_well},
    server::{Server, Stop},
    wait_until,
    webhook::{Receiver, SECRET},
};

/// A chain that goes round by itself, two functions that go round together, and an everyday call.
const LOOPS: &str = "upload ~uploads~> thumbnail ~uploads~> thumbnail ~uploads~> thumbnail
                     ping -> pong -> ping -> pong -> ping
                     front -> orders -> stock";

/// The page with its door for tests, once it shows as many nodes as there are.
#[track_caller]
fn open(browser: &Browser, server: &Server, nodes: usize) {
    browser.goto(&format!("http://{}/map?testing=1", server.ui));
    browser.until("window.__loopscope && window.__loopscope.ready()");
    browser.until(&format!("window.__loopscope.nodes().length === {nodes}"));
}

/// Waits until the map rests: what has just come may still find its place, and the first picture follows it.
#[track_caller]
fn settle(browser: &Browser) {
    let mut before = (Value::Null, Instant::now());
    wait_until("a map that rests", DEADLINE, || {
        let now = browser.ask("JSON.stringify(window.__loopscope.nodes().map(it => [it.id, it.x, it.y]))");
        if now != before.0 {
            before = (now, Instant::now());
        }
        (before.1.elapsed() > Duration::from_secs(4)).then_some(())
    });
}

#[track_caller]
fn nodes(browser: &Browser) -> Vec<Value> {
    serde_json::from_value(browser.ask("window.__loopscope.nodes()")).unwrap()
}

/// Colour of the stage where nothing is: the most frequent one.
fn background(picture: &Picture, nodes: &[Value]) -> [u8; 3] {
    let mut colours = std::collections::BTreeMap::<[u8; 3], usize>::new();
    for node in nodes {
        let (x, y) = (node["x"].as_f64().unwrap(), node["y"].as_f64().unwrap());
        for dx in -60..60 {
            *colours.entry(picture.at((x + f64::from(dx)).max(0.0), (y - 45.0).max(0.0))).or_default() += 1;
        }
    }
    colours.into_iter().max_by_key(|(_, count)| *count).map(|(colour, _)| colour).unwrap()
}

#[test]
fn what_is_posted_is_drawn_and_can_be_followed_to_its_trace() {
    let Some(browser) = Browser::open() else { return };
    let receiver = Receiver::open();
    let server = Server::start(&["--webhook", &receiver.url(), "--webhook-secret", SECRET]);
    post_well(server.otlp_http, &Story::parse(LOOPS).request());
    post_well(server.otlp_http, &Story::parse(&format!("echo{}", " ~> echo".repeat(20))).request());
    let thumbnail = server.loop_of(&["thumbnail"], 2);
    server.loop_of(&["ping", "pong"], 2);
    server.caught_up();
    let graph = server.get_json("/api/v1/graph");
    let count = graph["functions"].as_array().unwrap().len() + graph["resources"].as_array().unwrap().len();
    assert_eq!(count, 9);
    open(&browser, &server, count);
    settle(&browser);

    // Every node, every loop and every edge is there as pixels, and no node covers another.
    let nodes = nodes(&browser);
    let picture = browser.picture();
    let background = background(&picture, &nodes);
    for node in &nodes {
        let painted = picture.painted(node, node["r"].as_f64().unwrap(), background);
        assert!(painted > 0.5, "{node} is not drawn: {painted}");
    }
    for (at, one) in nodes.iter().enumerate() {
        for other in &nodes[at + 1..] {
            let distance = (one["x"].as_f64().unwrap() - other["x"].as_f64().unwrap())
                .hypot(one["y"].as_f64().unwrap() - other["y"].as_f64().unwrap());
            let room = one["r"].as_f64().unwrap() + other["r"].as_f64().unwrap();
            assert!(distance > room, "{one} covers {other}");
        }
    }
    let loops: Vec<Value> = serde_json::from_value(browser.ask("window.__loopscope.loops()")).unwrap();
    assert_eq!(loops.len(), 3, "a self-loop, one through a queue, and one of two: {loops:?}");
    for found in &loops {
        assert!(picture.painted(found, 14.0, background) > 0.15, "{found} is not drawn");
    }
    for edge in browser.ask("window.__loopscope.edges()").as_array().unwrap() {
        assert!(picture.painted(edge, 6.0, background) > 0.05, "{edge} is not drawn");
    }

    // From a node to its numbers, to a trace.
    let node = nodes.iter().find(|node| node["name"] == "orders").unwrap();
    browser.click_at(node);
    browser.until("document.querySelector('[data-testid=inspector]')?.innerText.includes('orders')");
    browser.click("[data-testid=exemplars] [data-testid=trace-link]");
    browser.until("document.querySelectorAll('[data-testid=span-row]').length === 5");
    assert!(browser.ask("location.pathname").as_str().unwrap().starts_with("/traces/"));

    // The same as a table, and the loop with its story.
    browser.goto(&format!("http://{}/map?view=table", server.ui));
    browser.until("document.querySelectorAll('[data-testid=function-row]').length === 8");
    let edges = graph["edges"].as_array().unwrap().len();
    browser.until(&format!("document.querySelectorAll('[data-testid=edge-row]').length === {edges}"));
    browser.goto(&format!("http://{}/loops", server.ui));
    browser.click(&format!("[data-testid=loop-row][data-id='{}'] a", thumbnail["id"].as_str().unwrap()));
    browser.until("document.querySelector('[data-testid=loop-meaning]')?.innerText.includes('thumbnail')");
    receiver.message("loop.opened", &["echo"], DEADLINE);
}

#[test]
fn nothing_moves_when_functions_come_and_after_a_restart() {
    let Some(browser) = Browser::open() else { return };
    let server = Server::start(&[]);
    post_well(server.otlp_http, &Story::parse(LOOPS).request());
    server.loop_of(&["thumbnail"], 2);
    server.caught_up();
    open(&browser, &server, 8);
    settle(&browser);
    let before = nodes(&browser);
    let camera = browser.ask("window.__loopscope.camera()");

    let newcomers: Vec<String> = (0..20).map(|number| format!("front -> new-{number}")).collect();
    post_well(server.otlp_http, &Story::parse(&newcomers.join("\n")).request());
    browser.until("window.__loopscope.nodes().length === 28");
    assert_eq!(browser.ask("window.__loopscope.camera()"), camera, "the camera has moved");
    let places = |list: &[Value]| -> std::collections::BTreeMap<String, String> {
        list.iter().map(|node| (node["name"].to_string(), format!("{} {}", node["x"], node["y"]))).collect()
    };
    let after = places(&nodes(&browser));
    for (name, place) in places(&before) {
        assert_eq!(after[&name], place, "{name} has moved");
    }
    settle(&browser);

    let map = |server: &Server| -> std::collections::BTreeMap<String, String> {
        let graph = server.get_json("/api/v1/graph");
        let all = [&graph["functions"], &graph["resources"]].map(|list| list.as_array().unwrap().clone()).concat();
        all.iter().map(|node| (node["id"].to_string(), format!("{} {}", node["x"], node["y"]))).collect()
    };
    let places_before = map(&server);
    let server = server.restart(Stop::AtOnce, &[]);
    server.caught_up();
    open(&browser, &server, 28);
    assert_eq!(map(&server), places_before);
}

#[test]
fn an_empty_page_says_what_to_do_and_fills_by_itself() {
    let Some(browser) = Browser::open() else { return };
    let mut server = Server::start(&[]);
    browser.goto(&format!("http://{}/?testing=1", server.ui));
    browser.until("!!document.querySelector('[data-testid=empty]')");
    let help = browser.texts("[data-testid=empty]").join("\n");
    assert!(help.contains(&server.otlp_http.port().to_string()), "the snippet names the door: {help}");
    post_well(server.otlp_http, &Story::parse("front -> orders").request());
    browser.until("window.__loopscope.nodes().length === 2");
    browser.until("document.querySelector('[data-testid=freshness]').dataset.state === 'live'");

    let theme = browser.ask("document.documentElement.dataset.theme");
    browser.click("[data-testid=theme]");
    assert_ne!(browser.ask("document.documentElement.dataset.theme"), theme);

    // A page that is cut off says so.
    server.stop(Stop::AtOnce);
    browser.until("document.querySelector('[data-testid=freshness]').dataset.state !== 'live'");
}
