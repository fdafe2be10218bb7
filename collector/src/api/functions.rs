//! `GET /api/v1/functions` and `GET /api/v1/functions/{id}`: what is known of functions, over some time.
//!
//! What is measured comes from the windows, and is judged when it is asked for; the graph and the loops are those of
//! now. Functions that ran then and are not in the graph any more are told as far as windows know them.

use std::{borrow::Cow, cmp::Reverse, collections::HashSet};

use loopscope_analyzer::{
    measured::Measured,
    profile::Profiler,
    snapshot::{Background, NodeId},
    windows::Range,
};
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, off_thread},
    range::{self, RangeQuery},
};
use crate::{convert, view::View};

/// Functions of one list.
const LISTED: usize = 1_000;

/// Edges of one function, and loops.
const AROUND: usize = 200;

pub(super) async fn list(shared: Shared, wanted: v1::ListFunctionsRequest) -> Result<v1::FunctionList, ApiError> {
    let (measured, range) = range::measured(&shared, &RangeQuery { from: wanted.from, to: wanted.to }).await?;
    let range = convert::range(range, measured.seconds);
    let view = shared.view();
    // There may be many, so they are judged where others wait for the disk.
    let mut functions = off_thread(&shared, move || risks(&view, &measured)).await?;
    let functions_elided = functions.len().saturating_sub(LISTED) as u64;
    functions.truncate(LISTED);
    Ok(v1::FunctionList { range: Some(range), functions, functions_elided })
}

pub(super) async fn get(shared: Shared, wanted: v1::GetFunctionRequest) -> Result<v1::FunctionProfile, ApiError> {
    let view = shared.view();
    let (measured, range) = range::measured(&shared, &RangeQuery { from: wanted.from, to: wanted.to }).await?;
    // A function may have many edges, and the graph more.
    off_thread(&shared, move || profile(&view, &wanted.id, &measured, range)).await?
}

/// All that is known of the function of this id, whichever of its ids it is.
fn profile(view: &View, id: &str, measured: &Measured, range: Range) -> Result<v1::FunctionProfile, ApiError> {
    let is_it = |node: &&v1::Function| {
        node.id.eq_ignore_ascii_case(id) || node.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(id))
    };
    let on_map = view.graph.functions.iter().find(is_it);
    let past = || NodeId::from_hex(id).and_then(|id| measured.function(id)).map(|it| convert::past_function(it));
    let Some(node) = on_map.cloned().or_else(past) else {
        return Err(ApiError::not_found(format!("no function {id:?} is known; /api/v1/graph lists their ids")));
    };
    let mut message = NodeId::from_hex(&node.id).map_or_else(v1::FunctionProfile::default, |id| {
        let profile = Profiler::new(measured).profile(id, &background(view, id));
        convert::function_profile(&profile, |id| convert::node_name(&view.graph, &id.to_string()))
    });
    message.range = Some(convert::range(range, measured.seconds));
    message.is_past = on_map.is_none();
    add_surroundings(&mut message, view, node);
    Ok(message)
}

/// What is known of a function beside what was measured: nothing of one that is not on the map any more.
fn background(view: &View, id: NodeId) -> Cow<'_, Background> {
    view.backgrounds.get(&id).map_or_else(|| Cow::Owned(Background::default()), Cow::Borrowed)
}

fn add_surroundings(message: &mut v1::FunctionProfile, view: &View, node: v1::Function) {
    let is_near = |edge: &&v1::Edge| edge.source == node.id || edge.target == node.id;
    let mut edges: Vec<v1::Edge> = view.graph.edges.iter().filter(is_near).cloned().collect();
    edges.sort_by_key(|edge| Reverse(edge.calls));
    message.edges_elided = edges.len().saturating_sub(AROUND) as u64;
    edges.truncate(AROUND);
    message.edges = edges;
    let is_part = |found: &&v1::Loop| found.function_ids.contains(&node.id);
    message.loops = view.loops.iter().filter(is_part).take(AROUND).map(convert::loop_summary).collect();
    message.function = Some(node);
}

/// What is wrong with each function that is on the map or ran in the time, those with most of it first.
fn risks(view: &View, measured: &Measured) -> Vec<v1::FunctionRisks> {
    let profiler = Profiler::new(measured);
    let line = |node: &v1::Function| {
        let id = NodeId::from_hex(&node.id)?;
        Some(convert::function_risks(&profiler.profile(id, &background(view, id)), node))
    };
    let on_map: HashSet<&str> = view.graph.functions.iter().map(|node| node.id.as_str()).collect();
    let ran = measured.functions().map(|function| convert::past_function(function));
    let past = ran.filter(|node| !on_map.contains(node.id.as_str()));
    let past = past.filter_map(|node| Some(v1::FunctionRisks { is_past: true, ..line(&node)? }));
    let mut lines: Vec<v1::FunctionRisks> = view.graph.functions.iter().filter_map(line).chain(past).collect();
    lines.sort_by(|a, b| {
        let by_risks = b.risks.len().cmp(&a.risks.len());
        by_risks.then_with(|| b.runs.total_cmp(&a.runs)).then_with(|| a.id.cmp(&b.id))
    });
    lines
}
