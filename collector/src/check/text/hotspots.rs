//! What the report for people says of hotspots.

use std::io::{self, Write};

use loopscope_analyzer::snapshot::{Basis, Hotspot, HotspotCause, NodeId, RootOperation, Snapshot};

use super::{count, milliseconds, named};

/// Hotspots that are listed.
const HOTSPOTS: usize = 5;

/// Cliff's delta from which on a place is told to be slower; below is what people call no difference (Romano et al. 2006).
const SLOWER: f64 = 0.147;

/// Writes where the time goes, or what became slower.
pub(super) fn write(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let spots = &snapshot.hotspots;
    if spots.list.is_empty() {
        return Ok(());
    }
    if spots.basis == Basis::Baseline {
        return write_slower(snapshot, out);
    }
    let basis = match spots.basis {
        Basis::CriticalPath => "by their part of the slowest traces",
        Basis::Sums | Basis::Baseline => "by the time of all calls",
    };
    writeln!(out, "\nHotspots, {basis}")?;
    for spot in spots.list.iter().filter(|spot| spot.share > 0.0).take(HOTSPOTS) {
        let place = place(snapshot, spot);
        match &spot.tail {
            None => writeln!(
                out,
                "  {:>2}. {place}: {:.0} % of the time of all roots, p95 {}, {}",
                spot.rank,
                spot.share * 100.0,
                milliseconds(spot.p95_ms),
                count(spot.samples, "time"),
            )?,
            Some(tail) => {
                writeln!(
                    out,
                    "  {:>2}. {place}: {:.0} % of the slowest traces, p95 {}, {}",
                    spot.rank,
                    tail.share * 100.0,
                    milliseconds(spot.p95_ms),
                    confident(spot),
                )?;
                writeln!(
                    out,
                    "      10 % faster here buys {} at p95 of {}, 50 % faster {}",
                    milliseconds(tail.saves_10_ms),
                    root(snapshot, &tail.root),
                    milliseconds(tail.saves_50_ms),
                )?;
            }
        }
    }
    Ok(())
}

fn write_slower(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let is_slower = |spot: &&Hotspot| {
        spot.change.is_some_and(|change| change.delta >= SLOWER && change.shift_ms > 0.0 || more(spot))
    };
    let slower: Vec<&Hotspot> = snapshot.hotspots.list.iter().filter(is_slower).collect();
    if slower.is_empty() {
        return writeln!(out, "\nNothing is slower than in the baseline");
    }
    writeln!(out, "\nSlower than in the baseline, the largest and clearest change first")?;
    for spot in slower.into_iter().take(HOTSPOTS) {
        let (change, before_ms) = (spot.change, spot.baseline_p95_ms.unwrap_or_default());
        let (shift_ms, calls) = change.map_or((0.0, 0), |change| (change.shift_ms, change.baseline_samples));
        writeln!(
            out,
            "  {:>2}. {}: {} more a call, p95 {} after {}, {} after {calls}, confidence {:.0} %",
            spot.rank,
            place(snapshot, spot),
            milliseconds(shift_ms),
            milliseconds(spot.p95_ms),
            milliseconds(before_ms),
            count(spot.samples, "time"),
            spot.confidence * 100.0,
        )?;
    }
    Ok(())
}

/// True where calls became more, rather than slower.
fn more(spot: &Hotspot) -> bool {
    spot.cause == HotspotCause::NPlusOne
}

fn confident(spot: &Hotspot) -> String {
    format!("{}, confidence {:.0} %", count(spot.samples, "trace"), spot.confidence * 100.0)
}

fn place(snapshot: &Snapshot, spot: &Hotspot) -> String {
    let cause = match spot.cause {
        HotspotCause::Own => "its own work",
        HotspotCause::Gap => "gap between caller and callee",
        HotspotCause::Resource => "waiting for a resource",
        HotspotCause::ColdStart => "cold starts",
        HotspotCause::Queue => "waiting in a queue",
        HotspotCause::NPlusOne => "many calls in a row",
        HotspotCause::Retries => "retries",
    };
    match spot.edge {
        Some((source, target)) => format!("{} -> {}, {cause}", name(snapshot, source), name(snapshot, target)),
        None => format!("{}, {cause}", named(&spot.name)),
    }
}

fn root(snapshot: &Snapshot, root: &RootOperation) -> String {
    let until = root.until.map(|until| format!(" until {}", name(snapshot, until))).unwrap_or_default();
    format!("{} of {}{until}", named(&root.operation), name(snapshot, root.function))
}

fn name(snapshot: &Snapshot, id: NodeId) -> String {
    let function = snapshot.functions.iter().find(|node| node.id == id).map(|node| named(&node.name));
    let resource = || snapshot.resources.iter().find(|node| node.id == id).map(|node| named(&node.name));
    function.or_else(resource).map_or_else(|| id.to_string(), str::to_owned)
}
