//! What facts of runs add up to for one function, and what its failed spans say of limits.
//!
//! Most functions have none of it, so it stands apart from the counters of a function and is made when something comes.
//! It knows no limits and draws no conclusions: see `detect/time_out.rs`, `detect/memory.rs` and `detect/throttle.rs`.

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    facts::FactRecord,
    sketch::DDSketch,
    span::EventTime,
    state::state,
    window::{merge, sketch},
};

/// Instances of a function whose memory is followed at the same time: those with the smallest hashes, which are a sample
/// by chance, and the same one in whatever order they run and are put together.
const INSTANCES: usize = 16;

/// Runs of one instance whose memory is kept; when there are more, every second goes, so that the kept ones stay evenly
/// spaced over all of its runs.
const RUNS: usize = 64;

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// What was observed of the runs of a function, beyond its spans' times.
#[derive(Clone, Default)]
pub(crate) struct Observed {
    /// Times to start an instance, milliseconds.
    pub(crate) init: Option<Box<DDSketch>>,
    /// Durations of the runs that failed, milliseconds.
    pub(crate) failed: Option<Box<DDSketch>>,
    /// Most memory that a run has used, MiB.
    pub(crate) used_memory_mb: Option<Box<DDSketch>>,
    /// Time that was charged, milliseconds, and the runs that it was charged for.
    pub(crate) billed_ms: f64,
    pub(crate) billed_runs: u64,
    /// Runs that spans say were ended because they took too long, and those that other telemetry says so of. One run
    /// may be among both.
    pub(crate) span_time_outs: f64,
    pub(crate) told_time_outs: u64,
    /// Runs that did not begin because too many were running, as telemetry of the function says.
    pub(crate) told_throttles: u64,
    /// Runs that failed as logs or the platform say, without naming a span of theirs.
    pub(crate) told_failures: u64,
    /// Calls by this function that were refused because there were too many.
    pub(crate) refused_calls: f64,
    /// Used memory by instance.
    pub(crate) instances: Vec<InstanceMemory>,
    /// Instances that are not followed any more, because there were too many.
    pub(crate) instances_dropped: u64,
}

/// Used memory of one instance, over its runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InstanceMemory {
    /// Hash of its name.
    instance: u64,
    /// Its last run.
    last: EventTime,
    /// Runs so far.
    pub(crate) runs: u32,
    /// Of so many runs one is kept.
    stride: u32,
    /// Number of the run and MiB.
    pub(crate) used: Vec<(u32, f32)>,
}

impl Observed {
    /// Takes in what is said of a run.
    pub(crate) fn learn(&mut self, fact: &FactRecord) {
        if let Some(init_ms) = fact.init_ms.filter(|ms| is_amount(*ms)) {
            self.start(init_ms);
        }
        if let Some(billed_ms) = fact.billed_ms.filter(|ms| is_amount(*ms)) {
            self.billed_ms += billed_ms;
            self.billed_runs += 1;
        }
        self.told_time_outs += u64::from(fact.timed_out);
        self.told_throttles += u64::from(fact.throttled);
        self.told_failures += u64::from(fact.failed);
        if let Some(bytes) = fact.used_memory_bytes {
            let used_mb = bytes as f64 / MIB;
            self.used_memory_mb.get_or_insert_with(|| Box::new(sketch())).add(used_mb);
            let hash = fact.instance.as_ref().map(|instance| xxh3_64(instance.as_bytes()));
            if let Some(instance) = hash.and_then(|hash| self.instance(hash, fact.at)) {
                instance.add(used_mb as f32);
            }
        }
    }

    /// An instance was started in this time.
    pub(crate) fn start(&mut self, init_ms: f64) {
        self.init.get_or_insert_with(|| Box::new(sketch())).add(init_ms);
    }

    /// Instances that were started, as far as their time is known.
    pub(crate) fn starts(&self) -> usize {
        self.init.as_ref().map_or(0, |init| init.count())
    }

    /// Adds what was observed elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        merge_into(&mut self.init, other.init.as_deref());
        merge_into(&mut self.failed, other.failed.as_deref());
        merge_into(&mut self.used_memory_mb, other.used_memory_mb.as_deref());
        self.billed_ms += other.billed_ms;
        self.billed_runs += other.billed_runs;
        self.span_time_outs += other.span_time_outs;
        self.told_time_outs += other.told_time_outs;
        self.told_throttles += other.told_throttles;
        self.told_failures += other.told_failures;
        self.refused_calls += other.refused_calls;
        self.instances_dropped += other.instances_dropped;
        for later in &other.instances {
            if let Some(instance) = self.instance(later.instance, later.last) {
                instance.append(later);
            }
        }
    }

    /// What is known of an instance; `None` for one that is not followed. The oldest would be the wrong ones to let go:
    /// where more instances take turns than there is room for, none would be seen twice.
    fn instance(&mut self, instance: u64, at: EventTime) -> Option<&mut InstanceMemory> {
        if !self.instances.iter().any(|known| known.instance == instance) {
            if self.instances.len() >= INSTANCES {
                self.instances_dropped += 1;
                let largest = (0..self.instances.len()).max_by_key(|place| self.instances[*place].instance)?;
                if self.instances[largest].instance < instance {
                    return None;
                }
                self.instances.swap_remove(largest);
            }
            self.instances.push(InstanceMemory { instance, last: at, runs: 0, stride: 1, used: Vec::new() });
        }
        let found = self.instances.iter_mut().find(|known| known.instance == instance)?;
        found.last = found.last.max(at);
        Some(found)
    }
}

impl InstanceMemory {
    fn add(&mut self, used_mb: f32) {
        self.keep(self.runs, used_mb);
        self.runs = self.runs.saturating_add(1);
    }

    /// Adds the runs that came after.
    fn append(&mut self, later: &Self) {
        while self.stride < later.stride {
            self.thin();
        }
        for (run, used_mb) in &later.used {
            self.keep(self.runs.saturating_add(*run), *used_mb);
        }
        self.runs = self.runs.saturating_add(later.runs);
    }

    fn keep(&mut self, run: u32, used_mb: f32) {
        let is_due = self.used.last().is_none_or(|(last, _)| run >= last.saturating_add(self.stride));
        if !is_due {
            return;
        }
        if self.used.len() >= RUNS {
            self.thin();
        }
        self.used.push((run, used_mb));
    }

    fn thin(&mut self) {
        let mut is_kept = false;
        self.used.retain(|_| {
            is_kept = !is_kept;
            is_kept
        });
        self.stride = self.stride.saturating_mul(2);
    }
}

/// Adds a sketch to one that may not be there yet.
pub(crate) fn merge_into(known: &mut Option<Box<DDSketch>>, more: Option<&DDSketch>) {
    if let Some(more) = more {
        merge(known.get_or_insert_with(|| Box::new(sketch())), more);
    }
}

fn is_amount(number: f64) -> bool {
    number.is_finite() && number >= 0.0
}

state!(Observed {
    init,
    failed,
    used_memory_mb,
    billed_ms,
    billed_runs,
    span_time_outs,
    told_time_outs,
    told_throttles,
    told_failures,
    refused_calls,
    instances,
    instances_dropped
});
state!(InstanceMemory { instance, last, runs, stride, used });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture::resource, state};

    fn fact(instance: &str, at: u64, used_mb: u64) -> FactRecord {
        FactRecord {
            instance: Some(instance.into()),
            used_memory_bytes: Some(used_mb << 20),
            ..FactRecord::about(resource("f").function().clone(), EventTime(at))
        }
    }

    #[test]
    fn what_is_kept_of_an_instance_is_spread_over_its_runs() {
        let mut observed = Observed::default();
        (0..1_000).for_each(|run| observed.learn(&fact("i", run, 100 + run)));
        let instance = &observed.instances[0];
        assert_eq!(instance.runs, 1_000);
        assert!((RUNS / 2..=RUNS).contains(&instance.used.len()), "{}", instance.used.len());
        assert!(instance.used.iter().all(|(run, used)| *used == 100.0 + *run as f32), "{:?}", instance.used);
        assert!(instance.used.last().unwrap().0 > 950);
    }

    #[test]
    fn windows_of_an_instance_go_on_where_the_one_before_ended() {
        let mut all = Observed::default();
        for window in 0..10 {
            let mut part = Observed::default();
            (0..7).for_each(|run| part.learn(&fact("i", window * 7 + run, window * 7 + run)));
            all.merge(&part);
        }
        assert_eq!(all.instances[0].runs, 70);
        assert!(all.instances[0].used.iter().all(|(run, used)| *used == *run as f32), "{:?}", all.instances[0]);
    }

    #[test]
    fn of_many_instances_that_take_turns_some_are_followed_through() {
        let (mut observed, mut parts) = (Observed::default(), Observed::default());
        for run in 0..30 {
            let mut part = Observed::default();
            for instance in 0..INSTANCES as u64 * 4 {
                observed.learn(&fact(&format!("i{instance}"), run, 100 + run));
                part.learn(&fact(&format!("i{instance}"), run, 100 + run));
            }
            parts.merge(&part);
        }
        assert_eq!(observed.instances.len(), INSTANCES);
        assert!(observed.instances.iter().all(|it| it.runs == 30), "{:?}", observed.instances);
        let followed = |observed: &Observed| {
            let mut all: Vec<_> = observed.instances.iter().map(|it| (it.instance, it.runs)).collect();
            all.sort_unstable();
            all
        };
        assert_eq!(followed(&observed), followed(&parts));
        assert!(observed.instances_dropped > 0);
    }

    #[test]
    fn it_is_saved_whole() {
        let mut observed = Observed::default();
        observed.learn(&FactRecord { init_ms: Some(12.0), timed_out: true, ..fact("i", 1, 5) });
        let again: Observed = state::value_of(&state::bytes_of(&observed)).unwrap();
        assert_eq!((again.starts(), again.told_time_outs, &again.instances), (1, 1, &observed.instances));
    }
}
