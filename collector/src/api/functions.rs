//! `GET /api/v1/functions` and `GET /api/v1/functions/{id}`: what is known of functions, over some time.
//!
//! What is measured comes from the windows, and is judged when it is asked for; the graph and the loops are those of
//! now.

use std::cmp::Reverse;

use loopscope_analyzer::{measured::Measured, profile::Profiler, snapshot::NodeId, windows::Range};
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
    let node = find(&view, &wanted.id)?.clone();
    let (measured, range) = range::measured(&shared, &RangeQuery { from: wanted.from, to: wanted.to }).await?;
    let message = move || profile(&view, &node, &measured, range);
    // A function may have many edges, and the graph more.
    off_thread(&shared, message).await
}

/// All that is known of a function.
fn profile(view: &View, node: &v1::Function, measured: &Measured, range: Range) -> v1::FunctionProfile {
    let mut message = match NodeId::from_hex(&node.id).and_then(|id| Some((id, view.backgrounds.get(&id)?))) {
        Some((id, background)) => convert::function_profile(&Profiler::new(measured).profile(id, background), |id| {
            convert::node_name(&view.graph, &id.to_string())
        }),
        None => v1::FunctionProfile::default(),
    };
    message.range = Some(convert::range(range, measured.seconds));
    add_surroundings(&mut message, view, node);
    message
}

/// The function of this id, whichever of its ids it is.
fn find<'a>(view: &'a View, id: &str) -> Result<&'a v1::Function, ApiError> {
    let is_it = |node: &&v1::Function| {
        node.id.eq_ignore_ascii_case(id) || node.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(id))
    };
    let unknown = || ApiError::not_found(format!("no function {id:?} is known; /api/v1/graph lists their ids"));
    view.graph.functions.iter().find(is_it).ok_or_else(unknown)
}

fn add_surroundings(message: &mut v1::FunctionProfile, view: &View, node: &v1::Function) {
    let is_near = |edge: &&v1::Edge| edge.source == node.id || edge.target == node.id;
    let mut edges: Vec<v1::Edge> = view.graph.edges.iter().filter(is_near).cloned().collect();
    edges.sort_by_key(|edge| Reverse(edge.calls));
    message.edges_elided = edges.len().saturating_sub(AROUND) as u64;
    edges.truncate(AROUND);
    message.edges = edges;
    let is_part = |found: &&v1::Loop| found.function_ids.contains(&node.id);
    message.loops = view.loops.iter().filter(is_part).take(AROUND).map(convert::loop_summary).collect();
    message.function = Some(node.clone());
}

/// What is wrong with each function, those with most of it first.
fn risks(view: &View, measured: &Measured) -> Vec<v1::FunctionRisks> {
    let profiler = Profiler::new(measured);
    let line = |node: &v1::Function| {
        let id = NodeId::from_hex(&node.id)?;
        Some(convert::function_risks(&profiler.profile(id, view.backgrounds.get(&id)?), node))
    };
    let mut lines: Vec<v1::FunctionRisks> = view.graph.functions.iter().filter_map(line).collect();
    lines.sort_by(|a, b| {
        let by_risks = b.risks.len().cmp(&a.risks.len());
        by_risks.then_with(|| b.runs.total_cmp(&a.runs)).then_with(|| a.id.cmp(&b.id))
    });
    lines
}
