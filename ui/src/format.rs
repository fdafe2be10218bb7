//! Numbers and times as people read them: the one place for units.
//!
//! All functions are pure; "now" is an argument.

/// A moment, in milliseconds since 1970.
pub type UnixMillis = f64;

/// A duration given in milliseconds: `0.4 ms`, `84 ms`, `1.25 s`, `3 m 12 s`, `2 h 5 m`.
pub fn duration(ms: f64) -> String {
    if !ms.is_finite() || ms < 0.0 {
        return "–".into();
    }
    match ms {
        0.0 => "0 ms".into(),
        ms if ms < 0.95 => format!("{:.0} µs", (ms * 1000.0).max(1.0)),
        ms if ms < 9.95 => format!("{} ms", trimmed(ms, 1)),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 9_995.0 => format!("{} s", trimmed(ms / 1000.0, 2)),
        ms if ms < 59_950.0 => format!("{} s", trimmed(ms / 1000.0, 1)),
        ms => long_duration((ms / 1000.0).round() as u64),
    }
}

/// A duration, or a dash when there is none.
pub fn duration_or_dash(ms: Option<f64>) -> String {
    ms.map_or_else(|| "–".into(), duration)
}

/// A count, with a thin grouping below a million and a unit above: `12,340`, `1.2 M`.
pub fn count(n: u64) -> String {
    match n {
        0..=999_999 => grouped(n),
        1_000_000..=999_949_999 => format!("{} M", trimmed(n as f64 / 1e6, 1)),
        _ => format!("{} G", trimmed(n as f64 / 1e9, 1)),
    }
}

/// A rate given a second: `212/s`, `3.1/s`, `40/min`, `2/h`; small rates change the unit rather than the digits.
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second <= 0.0 {
        return "idle".into();
    }
    match per_second {
        r if r >= 9_950.0 => format!("{}k/s", trimmed(r / 1000.0, 1)),
        r if r >= 9.95 => format!("{r:.0}/s"),
        r if r >= 0.95 => format!("{}/s", trimmed(r, 1)),
        r if r >= 0.95 / 60.0 => format!("{:.0}/min", r * 60.0),
        r => format!("{}/h", trimmed(r * 3600.0, 1)),
    }
}

/// A rate given a minute: `40/min`, `0.5/min`.
pub fn per_minute(rate: f64) -> String {
    match rate {
        r if !r.is_finite() || r <= 0.0 => "0/min".into(),
        r if r >= 9.95 => format!("{}/min", grouped(r.round() as u64)),
        r => format!("{}/min", trimmed(r, 1)),
    }
}

/// A share from 0 to 1: `0 %`, `0.4 %`, `31 %`.
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value {
        v if !v.is_finite() || v <= 0.0 => "0 %".into(),
        v if v < 0.1 => "<0.1 %".into(),
        v if v < 9.95 => format!("{} %", trimmed(v, 1)),
        v => format!("{v:.0} %"),
    }
}

/// A ratio to something usual: `3.4×`.
pub fn times(ratio: f64) -> String {
    if ratio >= 99.5 { format!("{ratio:.0}×") } else { format!("{}×", trimmed(ratio, 1)) }
}

/// Bytes: `512 B`, `1.4 MB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", trimmed(value, if value < 9.95 { 1 } else { 0 }), UNITS[unit])
}

/// How long ago: `just now`, `14 s ago`, `3 m ago`, `2 h ago`, `5 d ago`.
pub fn ago(then: UnixMillis, now: UnixMillis) -> String {
    let seconds = ((now - then) / 1000.0).max(0.0) as u64;
    match seconds {
        0..=1 => "just now".into(),
        2..=59 => format!("{seconds} s ago"),
        60..=3_599 => format!("{} m ago", seconds / 60),
        3_600..=86_399 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// The age of the data as the freshness pill shows it, in whole seconds: `2 s`, `1 m 4 s`.
pub fn age(ms: f64) -> String {
    let seconds = (ms / 1000.0).max(0.0) as u64;
    if seconds < 60 { format!("{seconds} s") } else { long_duration(seconds) }
}

/// A time of the schema in milliseconds since 1970.
pub fn millis(time: Option<&prost_types::Timestamp>) -> Option<UnixMillis> {
    time.map(|time| time.seconds as f64 * 1000.0 + f64::from(time.nanos) / 1e6)
}

/// A time as `2026-11-23 02:58:41 UTC`.
pub fn moment(time: Option<&prost_types::Timestamp>) -> String {
    let Some(time) = time else { return "–".into() };
    let whole = prost_types::Timestamp { seconds: time.seconds, nanos: 0 }.to_string();
    whole.replace('T', " ").replace('Z', " UTC")
}

/// The time of the day of a time, for rows that follow each other closely: `02:58:41.137`.
pub fn clock(time: Option<&prost_types::Timestamp>) -> String {
    let Some(time) = time else { return "–".into() };
    let whole = prost_types::Timestamp { seconds: time.seconds, nanos: 0 }.to_string();
    let of_day = whole.split_once('T').map(|(_, rest)| rest.trim_end_matches('Z')).unwrap_or_default();
    format!("{of_day}.{:03}", time.nanos.clamp(0, 999_999_999) / 1_000_000)
}

/// A day as `2026-11-23`.
pub fn day(time: Option<&prost_types::Timestamp>) -> String {
    moment(time).split(' ').next().unwrap_or_default().to_owned()
}

/// A singular or plural noun after its number: `1 lap`, `12 laps`.
pub fn counted(n: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", count(n), if n == 1 { singular } else { plural })
}

/// Shortens in the middle and keeps the last part, which tells names with one prefix apart.
pub fn middle_ellipsis(text: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(text) {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    // Two thirds of what is kept go to the end.
    for kept in (2..letters.len()).rev() {
        let head = kept / 3;
        let shortened: String =
            letters[..head].iter().chain(&['…']).chain(&letters[letters.len() - (kept - head)..]).collect();
        if fits(&shortened) {
            return shortened;
        }
    }
    "…".into()
}

fn long_duration(seconds: u64) -> String {
    match seconds {
        0..=3_599 if seconds.is_multiple_of(60) => format!("{} m", seconds / 60),
        0..=3_599 => format!("{} m {} s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{} h {} m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_change_their_unit() {
        let cases = [
            (0.0, "0 ms"),
            (0.04, "40 µs"),
            (1.0, "1 ms"),
            (8.25, "8.2 ms"),
            (84.4, "84 ms"),
            (999.6, "1 s"),
            (1250.0, "1.25 s"),
            (30_500.0, "30.5 s"),
            (59_999.0, "1 m"),
            (192_000.0, "3 m 12 s"),
            (7_500_000.0, "2 h 5 m"),
            (f64::NAN, "–"),
        ];
        for (ms, text) in cases {
            assert_eq!(duration(ms), text, "{ms}");
        }
    }

    #[test]
    fn rates_and_counts_are_short() {
        assert_eq!(rate(212.4), "212/s");
        assert_eq!(rate(3.12), "3.1/s");
        assert_eq!(rate(0.5), "30/min");
        assert_eq!(rate(0.001), "3.6/h");
        assert_eq!(rate(0.0), "idle");
        assert_eq!(count(12_340), "12,340");
        assert_eq!(count(1_250_000), "1.2 M");
        assert_eq!(per_minute(40.2), "40/min");
        assert_eq!(percent(0.031), "3.1 %");
        assert_eq!(percent(0.31), "31 %");
        assert_eq!(bytes(1_430_000), "1.4 MB");
        assert_eq!(counted(1, "lap", "laps"), "1 lap");
    }

    #[test]
    fn times_are_relative_or_exact() {
        assert_eq!(ago(0.0, 14_200.0), "14 s ago");
        assert_eq!(ago(5_000.0, 0.0), "just now");
        assert_eq!(age(64_000.0), "1 m 4 s");
        let time = prost_types::Timestamp { seconds: 1_795_402_721, nanos: 5 };
        assert_eq!(moment(Some(&time)), "2026-11-23 02:58:41 UTC");
        assert_eq!(moment(None), "–");
        let late = prost_types::Timestamp { nanos: 137_900_000, ..time };
        assert_eq!((clock(Some(&late)).as_str(), day(Some(&late)).as_str()), ("02:58:41.137", "2026-11-23"));
    }

    #[test]
    fn long_names_keep_their_last_part() {
        let short = middle_ellipsis("media-production-eu-west-1-resize", |text| text.chars().count() <= 14);
        assert_eq!(short, "medi…-1-resize");
        assert_eq!(middle_ellipsis("resize", |_| true), "resize");
    }

    proptest! {
        #[test]
        fn shortened_names_fit(name in ".{1,40}", width in 1_usize..30) {
            let short = middle_ellipsis(&name, |text| text.chars().count() <= width);
            prop_assert!(short.chars().count() <= width);
        }

        #[test]
        fn no_number_breaks_a_formatter(value in proptest::num::f64::ANY) {
            for text in [duration(value), rate(value), per_minute(value), percent(value)] {
                prop_assert!(!text.is_empty() && text.len() < 400);
            }
        }
    }
}
