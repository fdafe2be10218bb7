//! Where the reader is, as a value and as a URL.
//!
//! Every view that somebody may want to send to somebody else stands in the URL; defaults are left out and unknown
//! parameters are ignored. `url/range.rs` has the range of time that several pages share. This module knows nothing of the browser: `app.rs` reads and writes the address bar.

mod range;

use std::fmt::Write as _;

pub use range::{ALL, Range};

/// A place in the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The call graph, as a picture or as tables.
    Map(MapQuery),
    /// All loops.
    Loops,
    /// One loop, by id.
    Loop(String),
    /// What takes the time.
    Hotspots(Range),
    /// What is wrong with functions.
    Functions(Range),
    /// Everything known of one function.
    Function {
        /// Its id.
        id: String,
        /// The time that is looked at.
        range: Range,
    },
    /// What is slower or fails more often than it did.
    Changes(Range),
    /// What the system is made of.
    Patterns(Range),
    /// What functions cost.
    Cost(Range),
    /// Where traces are looked up.
    Traces,
    /// One trace.
    Trace {
        /// 32 hexadecimal digits.
        trace_id: String,
        /// The span whose details are open.
        span: Option<String>,
    },
    /// What was sent to the webhooks.
    Alerts,
    /// How to send spans.
    Connect,
    /// A path that leads nowhere.
    Unknown(String),
}

/// What the map shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MapQuery {
    /// What the inspector describes.
    pub selection: Option<Selection>,
    /// Id of the loop that is lit.
    pub loop_id: Option<String>,
    /// Picture or tables.
    pub view: MapView,
}

/// The two forms of the map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapView {
    /// The picture.
    #[default]
    Graph,
    /// The same as tables.
    Table,
}

/// A node or an edge of the map.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selection {
    /// A function or a resource, by id.
    Node(String),
    /// All edges from one node to another.
    Edge {
        /// Id of the node where it starts.
        source: String,
        /// Id of the node where it ends.
        target: String,
    },
}

impl Route {
    /// Reads a path with its query, such as `/map?sel=1f&view=table`.
    pub fn parse(url: &str) -> Self {
        let url = url.split('#').next().unwrap_or_default();
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [] | ["map"] => Self::Map(MapQuery::parse(query)),
            ["loops"] => Self::Loops,
            ["loops", id] => Self::Loop((*id).to_owned()),
            ["hotspots"] => Self::Hotspots(Range::parse(query)),
            ["functions"] => Self::Functions(Range::parse(query)),
            ["functions", id] => Self::Function { id: (*id).to_owned(), range: Range::parse(query) },
            ["changes"] => Self::Changes(Range::parse(query)),
            ["patterns"] => Self::Patterns(Range::parse(query)),
            ["cost"] => Self::Cost(Range::parse(query)),
            ["traces"] => Self::Traces,
            ["traces", id] => Self::Trace { trace_id: (*id).to_owned(), span: parameter(query, "span") },
            ["alerts"] => Self::Alerts,
            ["connect"] => Self::Connect,
            _ => Self::Unknown(path.to_owned()),
        }
    }

    /// Writes the path with its query.
    pub fn href(&self) -> String {
        match self {
            Self::Map(query) => query.href(),
            Self::Loops => "/loops".into(),
            Self::Loop(id) => format!("/loops/{}", encode(id)),
            Self::Hotspots(range) => range.after("/hotspots"),
            Self::Functions(range) => range.after("/functions"),
            Self::Function { id, range } => range.after(&format!("/functions/{}", encode(id))),
            Self::Changes(range) => range.after("/changes"),
            Self::Patterns(range) => range.after("/patterns"),
            Self::Cost(range) => range.after("/cost"),
            Self::Traces => "/traces".into(),
            Self::Trace { trace_id, span: None } => format!("/traces/{}", encode(trace_id)),
            Self::Trace { trace_id, span: Some(span) } => {
                format!("/traces/{}?span={}", encode(trace_id), encode(span))
            }
            Self::Alerts => "/alerts".into(),
            Self::Connect => "/connect".into(),
            Self::Unknown(path) => path.clone(),
        }
    }

    /// The trace with no span opened.
    pub fn trace(trace_id: impl Into<String>) -> Self {
        Self::Trace { trace_id: trace_id.into(), span: None }
    }

    /// The map with one node selected.
    pub fn node(id: impl Into<String>) -> Self {
        Self::Map(MapQuery { selection: Some(Selection::Node(id.into())), ..MapQuery::default() })
    }

    /// The map with the edges between two nodes selected.
    pub fn edge(source: impl Into<String>, target: impl Into<String>) -> Self {
        let selection = Selection::Edge { source: source.into(), target: target.into() };
        Self::Map(MapQuery { selection: Some(selection), ..MapQuery::default() })
    }

    /// The same place with the map as tables.
    pub fn as_table(self) -> Self {
        match self {
            Self::Map(query) => Self::Map(MapQuery { view: MapView::Table, ..query }),
            other => other,
        }
    }

    /// The map with one loop lit.
    pub fn loop_on_map(id: impl Into<String>) -> Self {
        Self::Map(MapQuery { loop_id: Some(id.into()), ..MapQuery::default() })
    }

    /// The range of time of a page that has one.
    pub fn range(&self) -> Option<&Range> {
        match self {
            Self::Hotspots(range) | Self::Functions(range) | Self::Changes(range) => Some(range),
            Self::Patterns(range) | Self::Cost(range) | Self::Function { range, .. } => Some(range),
            _ => None,
        }
    }

    /// The same page about another range of time.
    pub fn at(self, range: Range) -> Self {
        match self {
            Self::Hotspots(_) => Self::Hotspots(range),
            Self::Functions(_) => Self::Functions(range),
            Self::Function { id, .. } => Self::Function { id, range },
            Self::Changes(_) => Self::Changes(range),
            Self::Patterns(_) => Self::Patterns(range),
            Self::Cost(_) => Self::Cost(range),
            other => other,
        }
    }

    /// Whether the place belongs to the same entry of the navigation.
    pub fn same_section(&self, other: &Self) -> bool {
        self.section() == other.section()
    }

    fn section(&self) -> &'static str {
        match self {
            Self::Map(_) => "map",
            Self::Loops | Self::Loop(_) => "loops",
            Self::Hotspots(_) => "hotspots",
            Self::Functions(_) | Self::Function { .. } => "functions",
            Self::Changes(_) => "changes",
            Self::Patterns(_) => "patterns",
            Self::Cost(_) => "cost",
            Self::Traces | Self::Trace { .. } => "traces",
            Self::Alerts => "alerts",
            Self::Connect => "connect",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl MapQuery {
    fn parse(query: &str) -> Self {
        let view = if parameter(query, "view").as_deref() == Some("table") { MapView::Table } else { MapView::Graph };
        let selection = raw_parameter(query, "sel").and_then(Selection::parse);
        Self { selection, loop_id: parameter(query, "loop"), view }
    }

    fn href(&self) -> String {
        let mut url = String::from("/map");
        let mut separator = '?';
        let mut add = |name: &str, value: String| {
            url.push(separator);
            url.push_str(name);
            url.push('=');
            url.push_str(&value);
            separator = '&';
        };
        if let Some(selection) = &self.selection {
            add("sel", selection.text());
        }
        if let Some(id) = &self.loop_id {
            add("loop", encode(id));
        }
        if self.view == MapView::Table {
            add("view", "table".into());
        }
        url
    }
}

impl Selection {
    /// The tilde parts the ends of an edge; one inside an id is escaped.
    fn text(&self) -> String {
        match self {
            Self::Node(id) => encode(id),
            Self::Edge { source, target } => format!("{}~{}", encode(source), encode(target)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_once('~') {
            Some((source, target)) => Some(Self::Edge { source: decode(source), target: decode(target) }),
            None if text.is_empty() => None,
            None => Some(Self::Node(decode(text))),
        }
    }
}

/// The value of a query parameter; an empty one counts as absent.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    raw_parameter(query, name).map(decode)
}

fn raw_parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value)
}

/// Escapes everything but letters, digits, `-`, `_` and `.`.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Takes escapes back; a broken one stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[at] == b'%');
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_root_is_the_map() {
        assert_eq!(Route::parse("/"), Route::Map(MapQuery::default()));
        assert_eq!(Route::Map(MapQuery::default()).href(), "/map");
    }

    #[test]
    fn a_full_map_url_reads_back() {
        let route = Route::parse("/map?sel=a1~b2&view=table&loop=c3&unknown=1#x");
        let selection = Some(Selection::Edge { source: "a1".into(), target: "b2".into() });
        let expected = MapQuery { selection, loop_id: Some("c3".into()), view: MapView::Table };
        assert_eq!(route, Route::Map(expected));
        assert_eq!(route.href(), "/map?sel=a1~b2&loop=c3&view=table");
    }

    #[test]
    fn strange_paths_and_escapes_do_no_harm() {
        assert_eq!(Route::parse("/no/such/page"), Route::Unknown("/no/such/page".into()));
        assert_eq!(Route::parse("/map?sel=%zz%4"), Route::node("%zz%4"));
        assert_eq!(Route::parse("/map?sel=&loop="), Route::Map(MapQuery::default()));
    }

    fn id() -> impl Strategy<Value = String> {
        ".{1,12}"
    }

    fn range() -> impl Strategy<Value = Range> {
        let time = || proptest::option::of(id());
        (time(), time()).prop_map(|(from, to)| Range { from, to })
    }

    fn route() -> impl Strategy<Value = Route> {
        let selection = prop_oneof![
            id().prop_map(Selection::Node),
            (id(), id()).prop_map(|(source, target)| Selection::Edge { source, target }),
        ];
        let view = prop_oneof![Just(MapView::Graph), Just(MapView::Table)];
        let map = (proptest::option::of(selection), proptest::option::of(id()), view)
            .prop_map(|(selection, loop_id, view)| Route::Map(MapQuery { selection, loop_id, view }));
        prop_oneof![
            map,
            Just(Route::Loops),
            id().prop_map(Route::Loop),
            range().prop_map(Route::Hotspots),
            range().prop_map(Route::Functions),
            (id(), range()).prop_map(|(id, range)| Route::Function { id, range }),
            range().prop_map(Route::Changes),
            range().prop_map(Route::Patterns),
            range().prop_map(Route::Cost),
            Just(Route::Traces),
            (id(), proptest::option::of(id())).prop_map(|(trace_id, span)| Route::Trace { trace_id, span }),
            Just(Route::Alerts),
            Just(Route::Connect),
        ]
    }

    proptest! {
        #[test]
        fn every_route_survives_its_url(route in route()) {
            prop_assert_eq!(Route::parse(&route.href()), route);
        }

        #[test]
        fn another_range_changes_nothing_else(route in route(), range in range()) {
            let moved = route.clone().at(range.clone());
            prop_assert!(moved.same_section(&route));
            prop_assert_eq!(moved.range().is_some(), route.range().is_some());
            prop_assert!(moved.range().is_none_or(|it| *it == range));
        }

        #[test]
        fn no_url_makes_it_stumble(url in ".{0,60}") {
            let _ = Route::parse(&url);
        }
    }
}
