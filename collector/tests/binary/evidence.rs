//! A loop comes with what people need to act: its laps one by one, and where to cut it.

use serde_json::json;

use super::support::{
    http,
    otlp::{Story, post_well},
    server::{Server, Stop},
};

#[test]
fn a_chain_is_unrolled_lap_by_lap_over_its_traces() {
    let server = Server::start(&[]);
    let story = Story::parse(&format!("upload ~files~> resize{}", " ~done~> publish ~files~> resize".repeat(45)));
    post_well(server.otlp_http, &story.request());
    let found = server.loop_of(&["publish", "resize"], 45);
    let id = found["id"].as_str().unwrap();
    let laps = server.get_json(&format!("/api/v1/loops/{id}/laps"));
    // Each invocation is a trace of its own, and an answer reads 64 of them.
    assert_eq!(
        (&laps["function"], &laps["ended_by"], &laps["laps_elided"]),
        (&"resize".into(), &"bound".into(), &0.into())
    );
    let shown = laps["laps"].as_array().unwrap();
    assert_eq!(shown.len(), 32, "{laps}");
    let last = &shown[31];
    assert_eq!((&last["lap"], &last["changes"]), (&31.into(), &json!([])));
    let names: Vec<&str> =
        last["stops"].as_array().unwrap().iter().map(|it| it["function"].as_str().unwrap()).collect();
    assert_eq!(names, ["publish", "resize"]);
    assert!(last["lap_ms"].as_f64().unwrap() > 0.0);
    assert!(found["exemplar_trace_ids"].as_array().unwrap().contains(&last["trace_id"]));

    let unknown = http::send(server.ui, "GET", "/api/v1/loops/ab/laps", &[], b"").unwrap();
    assert_eq!(unknown.status, 404);
}

#[test]
fn a_chain_is_unrolled_over_causes_that_no_trace_names_also_after_a_restart() {
    let server = Server::start(&[]);
    let mut story = Story::default();
    let mut run = story.start("upload");
    for _ in 0..12 {
        run = story.message(&run, "resize", Some("files"));
        run = story.unlinked(&run, "publish", "done");
    }
    post_well(server.otlp_http, &story.request());
    let check = |server: &Server| {
        let found = server.loop_of(&["publish", "resize"], 11);
        let laps = server.get_json(&format!("/api/v1/loops/{}/laps", found["id"].as_str().unwrap()));
        assert_eq!((&laps["function"], &laps["ended_by"]), (&"publish".into(), &"".into()), "{laps}");
        let shown = laps["laps"].as_array().unwrap();
        assert_eq!((shown.len(), &shown[11]["span_id"]), (12, &run.span().into()), "{laps}");
        for lap in &shown[1..] {
            let stops: Vec<_> = lap["stops"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| (it["function"].clone(), it["joined"].clone()))
                .collect();
            assert_eq!(stops, [("resize".into(), false.into()), ("publish".into(), true.into())]);
        }
    };
    check(&server);
    let server = server.restart(Stop::Kindly, &[]);
    server.caught_up();
    check(&server);
}

#[test]
fn a_loop_within_one_trace_is_unrolled_to_its_beginning_and_its_middle_left_out() {
    let server = Server::start(&[]);
    post_well(server.otlp_http, &Story::parse(&format!("start -> walk{}", " -> walk".repeat(60))).request());
    let id = server.loop_of(&["walk"], 60)["id"].as_str().unwrap().to_owned();
    let laps = server.get_json(&format!("/api/v1/loops/{id}/laps"));
    assert_eq!((&laps["ended_by"], &laps["laps_elided"]), (&"".into(), &21.into()));
    let numbers: Vec<u64> = laps["laps"].as_array().unwrap().iter().map(|lap| lap["lap"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..20).chain(41..=60).collect::<Vec<_>>());
}

#[test]
fn a_loop_says_where_to_cut_it() {
    let server = Server::start(&[]);
    post_well(server.otlp_http, &Story::parse(&format!("mail{}", " ~jobs~> mail".repeat(5))).request());
    let found = server.loop_of(&["mail"], 5);
    let cut = &found["cut"];
    assert_eq!((&cut["source"], &cut["target"]), (&found["path"][1], &found["path"][0]), "{found}");
    assert!(cut["why"].as_str().unwrap().contains("jobs"), "{cut}");
    assert!(!cut["commands"].as_array().unwrap().is_empty());
}
