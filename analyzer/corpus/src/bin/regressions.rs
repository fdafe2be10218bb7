//! How often series that do not change are said to, and how soon those that do are found:
//! `cargo run --release -p loopscope-corpus --bin regressions -- [SEED [DAYS]]`.

use loopscope_corpus::regressions::{Weather, delays, end_to_end, false_alarms};

const SERIES: usize = 10_000;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let mut number = |otherwise: u32| match numbers.next() {
        None => otherwise,
        Some(Ok(number)) => number,
        Some(Err(error)) => {
            eprintln!("regressions: seed and days must be whole numbers: {error}");
            std::process::exit(2)
        }
    };
    let (seed, days) = (u64::from(number(1)), number(1));
    let weathers = [
        ("a day of baseline", Weather { baseline_minutes: 1_425.0, waves: 0.0 }),
        ("half an hour of baseline", Weather { baseline_minutes: 30.0, waves: 0.0 }),
        ("waves of 3 %", Weather { baseline_minutes: 1_425.0, waves: 0.03 }),
    ];
    println!("{SERIES} series, {days} days, seed {seed}: alarms a day before they are confirmed");
    for (name, weather) in weathers {
        let found = false_alarms(seed, SERIES, days, weather);
        let a_day = |count: u32| f64::from(count) / f64::from(days);
        println!(
            "  {name:<26} regressions {:.2}, improvements {:.2}",
            a_day(found.regressions),
            a_day(found.improvements)
        );
    }
    println!("windows until a shift is found, median and 90th percentile");
    for factor in [1.1, 1.2, 1.5, 3.0] {
        for rate in [20.0, 100.0, 1_000.0] {
            let found = delays(seed, factor, rate, SERIES, weathers[0].1);
            println!("  x{factor} at {rate:>4}/min: {:>4} {:>4}, found {:.2}", found.median, found.p90, found.found);
        }
    }
    let whole = end_to_end(seed, 100);
    println!(
        "end to end, 100 functions, {} series, a day: {} false changes, {} of {} found after {} min",
        whole.series, whole.false_changes, whole.found, whole.injected, whole.median_delay
    );
}
