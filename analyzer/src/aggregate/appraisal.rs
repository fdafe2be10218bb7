//! What people need to judge a loop, beyond its statistics: its cost, whether somebody intends it, what was deployed
//! just before it began, and whether its platform would stop it.

use std::time::Duration;

use crate::{
    aggregate::Aggregate,
    detect::guard::{self, Stop},
    facts::FunctionRule,
    intended::{self, Intended},
    price::{LoopCost, PriceTable},
    snapshot::{Assessment, EdgeKind, Loop, LoopLevel, LoopState, NodeId, Severity, VersionChange},
    span::ArrivalTime,
};

/// A version that was first seen this long before the first lap may be what let the loop loose.
const JUST_BEFORE: Duration = Duration::from_secs(3_600);

/// An alarm that costs this much in the next 24 hours is worth waking somebody, in the currency of the prices.
const PAGE_COST: f64 = 10.0;

/// So is one that takes this part of the instances that may run.
const PAGE_SHARE: f64 = 0.2;

impl Aggregate {
    /// Takes in prices and what is known of functions beyond their spans; replaces what was known.
    pub fn set_facts(&mut self, prices: PriceTable, rules: Vec<FunctionRule>) {
        self.prices = prices;
        self.rules = rules;
        self.priced.forget();
        for series in self.functions.values_mut() {
            series.learn_facts(&self.rules);
        }
    }

    /// Takes in all declared loops; replaces those declared before.
    pub fn declare(&mut self, declared: Vec<Intended>) {
        self.declared = declared;
    }

    /// Adds all that is here to a loop that is otherwise described. The declaration comes last: it has the last word
    /// on the severity.
    pub(super) fn appraise(&self, found: &mut Loop, now: ArrivalTime) {
        // A lap of operations may be a part of one run, so that neither prices nor guards know of it.
        let is_of_runs = found.level == LoopLevel::Function;
        if found.state != LoopState::Latent {
            // Without prices there is nothing to say.
            found.cost = (is_of_runs && !self.prices.platforms.is_empty()).then(|| self.loop_cost(found));
            if found.assessment == Assessment::Alarm && found.cost.as_ref().is_some_and(is_dear) {
                found.severity = Severity::Critical;
            }
            found.changes = self.changes(found);
        }
        found.platform_guard = is_of_runs.then(|| guard::guard(&self.stops(&found.path))).flatten();
        if let Some(state) = intended::find(&self.declared, found, now) {
            state.apply(found);
        }
    }

    /// Versions that replaced others shortly before the first lap, the latest first.
    fn changes(&self, found: &Loop) -> Vec<VersionChange> {
        let earliest = found.first_seen.0.saturating_sub(u64::try_from(JUST_BEFORE.as_nanos()).unwrap_or(u64::MAX));
        let mut changes = Vec::new();
        for (id, name) in found.functions.iter().zip(&found.names) {
            let Some(series) = self.functions.get(id) else { continue };
            for pair in series.versions().windows(2) {
                let [(before, _), (version, at)] = pair else { continue };
                if (earliest..=found.first_seen.0).contains(&at.0) {
                    changes.push(VersionChange {
                        function: *id,
                        name: name.clone(),
                        from: before.clone(),
                        to: version.clone(),
                        at: *at,
                    });
                }
            }
        }
        changes.sort_by_key(|change| (std::cmp::Reverse(change.at), change.function));
        changes
    }

    /// The nodes of a lap as the guard of a platform sees them.
    fn stops<'a>(&'a self, path: &[NodeId]) -> Vec<Stop<'a>> {
        let next = |place: usize| path[(place + 1) % path.len()];
        path.iter()
            .enumerate()
            .map(|(place, id)| match (self.functions.get(id), self.resources.get(id)) {
                (Some(series), _) => {
                    let calls = self.edges.contains_key(&crate::record::EdgeKey {
                        source: *id,
                        target: next(place),
                        kind: EdgeKind::Call,
                    });
                    Stop::Function { id: *id, platform: series.platform(), calls_next: calls }
                }
                (None, Some((resource, _))) => Stop::Resource { id: *id, system: &resource.system },
                (None, None) => Stop::Function { id: *id, platform: "", calls_next: false },
            })
            .collect()
    }
}

/// True when an alarm is worth waking somebody for what it costs or takes.
fn is_dear(cost: &LoopCost) -> bool {
    cost.next_24h >= PAGE_COST || cost.concurrency_share >= PAGE_SHARE
}

#[cfg(test)]
mod tests {
    use crate::{
        attribute::{Attributes, Value},
        config::Config,
        engine::Engine,
        fixture::{START, Story},
        identity::Resource,
        intended::{Breach, Intended, Judgement, Target},
        snapshot::{Loop, Reason, Severity},
        span::ArrivalTime,
    };

    fn declared(max_depth: u32, expires: u64) -> Intended {
        Intended {
            id: "one".into(),
            target: Target::Functions(vec!["b".into(), "a".into()]),
            operations: Vec::new(),
            environment: None,
            max_depth: Some(max_depth),
            max_rate_per_minute: None,
            owner: "media".into(),
            reason: "".into(),
            expires: Some(ArrivalTime(expires)),
        }
    }

    fn found(laps: usize, declared: Vec<Intended>) -> Loop {
        let mut engine = Engine::new(&Config::recommended(), 1);
        engine.aggregate_mut().declare(declared);
        engine.ingest(START, Story::parse(&format!("a{}", " ~> b ~> a".repeat(laps))).spans);
        engine.tick(START);
        engine.snapshot(START).loops.remove(0)
    }

    #[test]
    fn a_declaration_silences_inside_its_bound_only() {
        assert!(found(30, Vec::new()).severity > Severity::Info);
        let within = found(30, vec![declared(30, u64::MAX)]);
        assert_eq!((within.severity, within.intended.unwrap().judgement), (Severity::Info, Judgement::Within));
        let broken = found(30, vec![declared(29, u64::MAX)]);
        let breach = Judgement::Broken(Breach::Depth { found: 30, bound: 29 });
        assert_eq!(broken.intended.unwrap().judgement, breach);
        assert!(broken.severity >= Severity::Warning && broken.reasons.contains(&Reason::BrokenBound));
        let small = found(3, vec![declared(2, u64::MAX)]);
        assert_eq!((small.severity, small.reasons), (Severity::Warning, vec![Reason::BrokenBound]));
    }

    #[test]
    fn an_alarm_that_costs_much_is_critical_and_what_is_no_alarm_is_not() {
        let found = |laps: usize, per_request: f64| {
            let mut engine = Engine::new(&Config::recommended(), 1);
            let mut prices = crate::price::tests::table();
            prices.platforms.iter_mut().for_each(|price| price.per_request = per_request);
            engine.aggregate_mut().set_facts(prices, Vec::new());
            engine.ingest(START, Story::parse(&format!("a{}", " ~> a".repeat(laps))).spans);
            engine.tick(START);
            engine.snapshot(START).loops.remove(0).severity
        };
        assert_eq!(
            [found(3, 1.0), found(70, 0.0), found(70, 1.0)],
            [Severity::Info, Severity::Warning, Severity::Critical]
        );
    }

    #[test]
    fn a_declaration_that_has_expired_is_shown_and_silences_nothing() {
        let expired = found(30, vec![declared(30, START.0)]);
        assert!(expired.severity > Severity::Info);
        assert_eq!(expired.intended.unwrap().judgement, Judgement::Expired);
    }

    #[test]
    fn a_version_that_came_just_before_the_first_lap_is_a_change() {
        let resource = |version: &str| {
            let mut attributes = Attributes::default();
            attributes.insert("service.name", Value::Text("f".into()));
            attributes.insert("faas.version", Value::Text(version.into()));
            Resource::new(attributes)
        };
        let hour = 3_600 * 1_000_000_000;
        for (before, expected) in [(hour / 2, vec![("1", "2")]), (2 * hour, Vec::new())] {
            let mut engine = Engine::new(&Config::recommended(), 1);
            for (at, version) in [(before + hour, "1"), (before, "2")] {
                let mut story = Story::parse("f");
                let span = story.last();
                (span.trace_id.0[0], span.resource) = (1, resource(version));
                span.start.0 -= at;
                span.end.0 -= at;
                span.span_id.0[0] = version.as_bytes()[0];
                engine.ingest(ArrivalTime(START.0 - at), story.spans);
            }
            let mut spans = Story::parse(&format!("f{}", " ~> f".repeat(5))).spans;
            spans.iter_mut().for_each(|span| span.resource = resource("2"));
            engine.ingest(START, spans);
            engine.tick(START);
            let found = engine.snapshot(START).loops.remove(0);
            let changes: Vec<(&str, &str)> = found.changes.iter().map(|change| (&*change.from, &*change.to)).collect();
            assert_eq!(changes, expected, "{before}");
        }
    }
}
