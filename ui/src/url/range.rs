//! The range of time that a page is about.

use super::{encode, parameter};

/// Where a range begins and ends, as the API takes it: RFC 3339, `now`, or back from now as `-1h`. Absent means what
/// the page usually shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Range {
    /// Where it begins.
    pub from: Option<String>,
    /// Where it ends; now without one.
    pub to: Option<String>,
}

/// As far back as windows are kept.
pub const ALL: &str = "-90d";

impl Range {
    /// So far back from now.
    pub fn last(from: &str) -> Self {
        Self { from: Some(from.to_owned()), to: None }
    }

    /// Reads it from a query.
    pub fn parse(query: &str) -> Self {
        Self { from: parameter(query, "from"), to: parameter(query, "to") }
    }

    /// Puts it behind a path.
    pub fn after(&self, path: &str) -> String {
        let pairs = [("from", &self.from), ("to", &self.to)];
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let mut url = path.to_owned();
        for (name, value) in pairs {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(name);
            url.push('=');
            url.push_str(&encode(value));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_stands_in_the_query_and_its_absence_does_not() {
        assert_eq!(Range::default().after("/cost"), "/cost");
        assert_eq!(Range::last("-15m").after("/cost"), "/cost?from=-15m");
        let both = Range { from: Some("2026-11-23T02:50:00Z".into()), to: Some("now".into()) };
        assert_eq!(both.after("/cost?limit=5"), "/cost?limit=5&from=2026-11-23T02%3A50%3A00Z&to=now");
        assert_eq!(Range::parse("limit=5&from=2026-11-23T02%3A50%3A00Z&to=now"), both);
        assert_eq!(Range::parse("from=&x=1"), Range::default());
    }
}
