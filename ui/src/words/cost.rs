//! What functions cost, and whether they belong in functions.

use loopscope_proto::v1::{BreakEven, ContainerAssumptions, ContainerSize, FitVerdict};

use super::money::money;
use crate::format;

/// An amount to two digits, however small: prices of single runs are millionths.
pub fn fine_money(amount: f64, currency: &str) -> String {
    if !amount.is_finite() || amount <= 0.0 || amount >= 0.0995 {
        return money(amount, currency);
    }
    if amount < 1e-7 {
        return format!("<{}", money(1.0, currency).replace("1.00", "0.0000001"));
    }
    // Two digits that count; what follows them says nothing.
    let places = (1.0 - amount.log10().floor()).max(2.0) as usize;
    let digits = format!("{amount:.places$}");
    money(1.0, currency).replace("1.00", digits.trim_end_matches('0'))
}

/// The name of a verdict.
pub fn fit(word: &str) -> &'static str {
    match word {
        "fits" => "fits",
        "long_running" => "long-running",
        "memory_heavy" => "memory-heavy",
        "sustained_traffic" => "sustained traffic",
        "chatty_state" => "chatty state",
        _ => "something else",
    }
}

/// A verdict with its reasons: the words, how sure they are, and what would change it.
pub fn verdict(it: &FitVerdict) -> String {
    let change = if it.would_change.is_empty() {
        String::new()
    } else {
        format!(" What would change it: {}.", it.would_change.trim_end_matches('.'))
    };
    format!("{} Confidence {}.{change}", sentence(&it.words), format::percent(it.confidence))
}

/// A function beside containers, in plain words.
pub fn break_even(it: Option<&BreakEven>, currency: &str) -> String {
    let Some(it) = it else {
        return "No size of container is known that holds it.".to_owned();
    };
    let size = it.size.as_ref().map(container).unwrap_or_default();
    let tasks = format!("{} of {size}", format::counted(it.tasks.ceil().max(0.0) as u64, "task", "tasks"));
    let months = format!(
        "A month as a function: {}; in containers ({tasks}): {}",
        money(it.function_per_month, currency),
        money(it.containers_per_month, currency)
    );
    let ratio = match it.ratio {
        Some(ratio) if ratio < 1.0 => format!(", which is {} of it", format::percent(ratio)),
        Some(ratio) => format!(", {} as much", format::times(ratio)),
        None => String::new(),
    };
    let from = match it.rate_per_second {
        Some(rate) => format!(" From {} on, if the load is even, containers cost less.", format::rate(rate)),
        None => " At no load containers cost less.".to_owned(),
    };
    format!("{months}{ratio}.{from}")
}

/// What is assumed of containers.
pub fn containers(it: &ContainerAssumptions, currency: &str) -> String {
    format!(
        "{}, prices of {}: {} for a processor and {} for a GiB an hour, {} for the load balancer; tasks are filled to {}, at \
         least {} run.",
        it.name,
        it.as_of,
        fine_money(it.per_vcpu_hour, currency),
        fine_money(it.per_gb_hour, currency),
        fine_money(it.load_balancer_per_hour, currency),
        format::percent(it.utilisation),
        it.min_tasks
    )
}

/// A size of a task.
pub fn container(it: &ContainerSize) -> String {
    format!("{} vCPU and {} GiB", it.vcpu, it.gb)
}

/// What a trigger is.
pub fn trigger_kind(word: &str) -> &str {
    match word {
        "request" => "asked from outside",
        "unknown" => "beginning not seen",
        "store" => "a store that is not named",
        kind => kind,
    }
}

/// With a capital at its begin and a full stop at its end.
fn sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.trim().ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_keep_two_digits() {
        let cases = [
            (0.0, "$0"),
            (0.5, "$0.50"),
            (0.0312, "$0.031"),
            (0.000_004_16, "$0.0000042"),
            (1e-9, "<$0.0000001"),
            (12.345, "$12.35"),
        ];
        for (amount, text) in cases {
            assert_eq!(fine_money(amount, "USD"), text, "{amount}");
        }
        assert_eq!(fine_money(0.031, "CHF"), "0.031 CHF");
    }

    #[test]
    fn a_function_stands_beside_its_containers() {
        let size = Some(ContainerSize { vcpu: 0.25, gb: 0.5, concurrency: 8 });
        let it = BreakEven {
            size,
            tasks: 2.0,
            function_per_month: 100.0,
            containers_per_month: 31.0,
            ratio: Some(0.31),
            rate_per_second: Some(4.0),
            ..BreakEven::default()
        };
        assert_eq!(
            break_even(Some(&it), "USD"),
            "A month as a function: $100.00; in containers (2 tasks of 0.25 vCPU and 0.5 GiB): $31.00, which is 31 % of it. \
             From 4/s on, if the load is even, containers cost less."
        );
        assert!(
            break_even(Some(&BreakEven { ratio: Some(12.0), rate_per_second: None, ..it }), "USD")
                .contains("12× as much. At no load")
        );
        assert!(break_even(None, "USD").starts_with("No size"));
    }

    #[test]
    fn a_verdict_is_a_sentence_with_what_would_change_it() {
        let it = FitVerdict {
            fit: "fits".into(),
            words: "short runs and uneven load".into(),
            confidence: 0.8,
            would_change: "a load above 4 runs a second".into(),
            ..FitVerdict::default()
        };
        assert_eq!(
            verdict(&it),
            "Short runs and uneven load. Confidence 80 %. What would change it: a load above 4 runs a second."
        );
    }
}
