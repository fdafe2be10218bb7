//! What a loop costs, in the currency of the prices.

use loopscope_proto::v1::LoopCost;

use crate::format;

/// An amount: `$0.06`, `$12,340`, `3.20 CHF`; what is too small to be read is `<$0.01`.
pub fn money(amount: f64, currency: &str) -> String {
    let with = |number: String| match currency {
        "USD" => format!("${number}"),
        "EUR" => format!("€{number}"),
        "GBP" => format!("£{number}"),
        "" => number,
        other => format!("{number} {other}"),
    };
    match amount {
        n if !n.is_finite() || n <= 0.0 => with("0".into()),
        n if n < 0.01 => format!("<{}", with("0.01".into())),
        n if n < 999.995 => with(format!("{n:.2}")),
        n => with(format::count(n.round() as u64)),
    }
}

/// What the next day costs, or a dash where nothing is known.
pub fn next_day(cost: Option<&LoopCost>) -> String {
    cost.map_or_else(|| "–".into(), |cost| money(cost.next_24h, &cost.currency))
}

/// How much of what may run it takes, and until when it takes all; `None` when it takes next to nothing and stays so.
pub fn concurrency(cost: &LoopCost) -> Option<String> {
    const NOTABLE: f64 = 0.005;
    let share = format::percent(cost.concurrency_share);
    match cost.seconds_to_saturation {
        Some(seconds) if seconds <= 0.0 => Some("It takes all instances that may run.".into()),
        Some(seconds) => {
            let time = format::duration(seconds * 1000.0);
            Some(format!("It takes {share} of the instances that may run, and all of them in {time} if it goes on."))
        }
        None if cost.concurrency_share < NOTABLE => None,
        None => Some(format!("It takes {share} of the instances that may run.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_at_a_glance() {
        let cases = [
            (0.0, "$0"),
            (f64::NAN, "$0"),
            (0.000_3, "<$0.01"),
            (0.064, "$0.06"),
            (12.5, "$12.50"),
            (999.999, "$1,000"),
            (12_340.4, "$12,340"),
        ];
        for (amount, text) in cases {
            assert_eq!(money(amount, "USD"), text);
        }
        assert_eq!(money(3.2, "CHF"), "3.20 CHF");
        assert_eq!(money(3.2, "EUR"), "€3.20");
    }

    #[test]
    fn saturation_is_told_before_it_happens() {
        let cost = LoopCost { concurrency_share: 0.12, seconds_to_saturation: Some(68.0), ..LoopCost::default() };
        let text = concurrency(&cost).unwrap_or_default();
        assert!(text.contains("12 %") && text.contains("all of them in 1 m 8 s"), "{text}");
        assert_eq!(concurrency(&LoopCost { concurrency_share: 0.000_1, ..LoopCost::default() }), None);
        let full = LoopCost { concurrency_share: 1.0, seconds_to_saturation: Some(0.0), ..LoopCost::default() };
        assert!(concurrency(&full).is_some_and(|text| text.contains("all instances")));
    }
}
