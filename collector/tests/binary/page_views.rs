//! The views of functions, costs, patterns, changes and hotspots in a real browser, next to what the API tells.

use serde_json::json;

use super::support::{
    browser::Browser,
    http,
    otlp::{Story, post_well},
    server::Server,
};

const SETTINGS: &str = "[functions.'*']\nmemory_mb = 1024\n[functions.'shop']\ntime_out = '2s'\nowner = 'sales'\n";

/// Forty runs of `shop` with twelve reads in a row and a call of `bank`, some cold and one that times out; and a pipeline
/// of three beside them.
fn story() -> Story {
    let mut story = Story::default();
    for number in 0..40 {
        let run = story.shop(number);
        story.call(&run, "bank");
        let first = story.start("take");
        let second = story.message(&first, "cut", Some("raw"));
        story.message(&second, "store", Some("cooked"));
    }
    story
}

/// Waits until the text of an element has some words in it.
#[track_caller]
fn says(browser: &Browser, selector: &str, words: &str) {
    browser.until(&format!("document.querySelector({selector:?})?.innerText.includes({words:?})"));
}

/// The selector of the row of a function.
fn row(name: &str, id: &str) -> String {
    format!("[data-testid={name}][data-id='{id}']")
}

#[test]
fn what_the_api_tells_is_shown_and_a_range_goes_from_page_to_page() {
    let Some(browser) = Browser::open() else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("loopscope.toml");
    std::fs::write(&settings, SETTINGS).unwrap();
    let server = Server::start(&["--config", settings.to_str().unwrap()]);
    let page = |path: &str| browser.goto(&format!("http://{}{path}", server.ui));
    page("/functions");
    says(&browser, "[data-testid=nothing]", "No function ran in this time");
    post_well(server.otlp_http, &story().request());
    server.caught_up();
    let id = server.until("runs are settled", "/api/v1/functions", |list| {
        let shop = list["functions"].as_array()?.iter().find(|it| it["name"] == "shop")?;
        let is_settled = shop["risks"].as_array()?.contains(&json!("chatty_state"));
        is_settled.then(|| shop["id"].as_str().unwrap().to_owned())
    });

    // Functions: one line each, and everything of one.
    page("/functions?from=-15m");
    says(&browser, &row("risk-row", &id), "time-outs, cold starts, chatty state");
    says(&browser, &row("risk-row", &id), "25 %");
    browser.click(&format!("{} a", row("risk-row", &id)));
    browser.until(&format!("location.pathname === '/functions/{id}' && location.search === '?from=-15m'"));
    says(&browser, "[data-testid=cold-starts]", "25 % of the runs were cold");
    says(&browser, "[data-testid=time-out]", "1 run timed out");
    says(&browser, "[data-testid=state]", "it asks ten times or more in a row");
    says(&browser, "[data-testid=memory]", "Nothing tells how much memory its runs use");
    says(&browser, "[data-testid=facts]", "1,024 MiB (configured)");
    says(&browser, "[data-testid=store-row]", "orders");
    browser.until("[...document.querySelectorAll('[data-testid=profile-edge-row]')].some(it => it.innerText.includes('shop → bank'))");
    page("/functions/00000000000000000000000000000000");
    says(&browser, "[role=alert]", "No function has this id");

    // Costs, by everything, with a verdict and with what is assumed.
    page("/cost?from=-15m");
    let report = server.get_json("/api/v1/cost?from=-15m");
    let functions = report["functions"].as_array().unwrap().len();
    browser.until(&format!("document.querySelectorAll('[data-testid=cost-row]').length === {functions}"));
    says(&browser, &row("fit-card", &id), "chatty state");
    says(&browser, &row("fit-card", &id), "A month as a function");
    says(&browser, "[data-testid=owner-row][data-id=sales]", "sales");
    says(&browser, "[data-testid=pipeline-cost-row]", "take → cut → store");
    says(&browser, "[data-testid=trigger-row]", "asked from outside");
    says(&browser, "[data-testid=assumptions]", "Free tiers, discounts");

    // Patterns; the range goes along.
    browser.click(".rail a[href='/patterns?from=-15m']");
    server.until("the pipeline", "/api/v1/patterns?from=-15m", |report| {
        report["pipelines"].as_array().filter(|list| !list.is_empty()).map(|_| ())
    });
    page("/patterns?from=-15m");
    says(&browser, "[data-testid=pipeline] h2", "take → cut → store");
    says(&browser, "[data-testid=pipeline] .slowest", "▲ slowest");
    says(&browser, "[data-testid=event-handler]", "started by messages");
    says(&browser, &row("kind-row", &id), "FaaS-like");

    // Nothing has changed yet, and hotspots are told live and of a range.
    page("/changes");
    says(&browser, "[data-testid=nothing]", "Nothing changed in this time");
    page("/hotspots");
    browser.until("document.querySelectorAll('[data-testid=hotspot-row]').length > 0");
    says(&browser, "[data-testid=what-if]", "faster here buys");
    browser.click("[data-testid=range-choice] a[href='/hotspots?from=-1h']");
    says(&browser, "[data-testid=basis]", "Ranked by");
    says(&browser, "[data-testid=range]", "UTC");
    browser.until("[...document.querySelectorAll('[data-testid=root-row]')].some(it => it.innerText.includes('shop'))");

    // A wrong range is refused in the words of the server.
    page("/cost?from=yesterday");
    says(&browser, "[role=alert]", "From must be 2026");
}

#[test]
fn a_table_is_sorted_and_pages_are_reached_by_keys() {
    let Some(browser) = Browser::open() else { return };
    let server = Server::start(&[]);
    post_well(server.otlp_http, &Story::parse("front -> orders -> stock").request());
    server.caught_up();
    server.until("the functions", "/api/v1/functions", |list| (list["functions"].as_array()?.len() == 3).then_some(()));
    browser.goto(&format!("http://{}/map", server.ui));
    browser.until("document.querySelector('[data-testid=freshness]')?.dataset.state === 'live'");
    for (key, path) in [("f", "/functions"), ("e", "/changes"), ("p", "/patterns"), ("o", "/cost"), ("f", "/functions")]
    {
        browser.ask(&format!(
            "(() => {{ for (const key of ['g', '{key}']) window.dispatchEvent(new KeyboardEvent('keydown', {{key}})); \
             return true; }})()"
        ));
        browser.until(&format!("location.pathname === '{path}'"));
    }
    let names =
        "[...document.querySelectorAll('[data-testid=risk-row] th')].map(it => it.innerText.split(' ')[0]).join()";
    browser.until(&format!("{names}.split(',').length === 3"));
    browser.click("thead th button");
    browser.until(&format!("{names} === 'front,orders,stock'"));
    browser.click("thead th button");
    browser.until(&format!("{names} === 'stock,orders,front'"));
    browser.until("document.querySelector('thead th').getAttribute('aria-sort') === 'descending'");
}

#[test]
fn log_records_stand_with_the_span_that_wrote_them() {
    let server = Server::start(&[]);
    let mut story = Story::default();
    let run = story.start("shop");
    let (trace, span) = (run.trace(), run.span());
    post_well(server.otlp_http, &story.request());
    let record = json!({
        "traceId": trace, "spanId": span, "severityNumber": 17, "body": {"stringValue": "out of stock"},
        "timeUnixNano": "1700000000000000000"
    });
    let elsewhere = json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "body": {"stringValue": "elsewhere"}});
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record, elsewhere]}]}]});
    let answer =
        http::send(server.otlp_http, "POST", "/v1/logs", &[http::JSON], request.to_string().as_bytes()).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    let path = format!("/api/v1/traces/{trace}");
    let found = server.get_json(&path);
    let log = &found["logs"][0];
    assert_eq!(
        (&log["span_id"], &log["severity"], &log["body"]),
        (&json!(span), &json!("ERROR"), &json!("out of stock"))
    );
    assert_eq!(found["logs_total"], json!(1));
    let Some(browser) = Browser::open() else { return };
    browser.goto(&format!("http://{}/traces/{trace}?span={span}", server.ui));
    says(&browser, "[data-testid=span-details]", "out of stock");
    says(&browser, "[data-testid=span-details]", "ERROR");
}
