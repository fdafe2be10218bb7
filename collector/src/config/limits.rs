//! What the doors let in and what the engine holds, as it was set.

use std::time::Duration;

use loopscope_analyzer::config::Config as EngineConfig;

use super::{
    ConfigError,
    meant::{duration, size, wrong},
    typed::Settings,
};
use crate::{
    doors::{Limits, Origin},
    otlp::limits::ItemLimits,
};

/// Bounds of what may be set: the smallest request has room for a span, the largest fits gRPC's length of 32 bits.
const REQUEST_BYTES: (u64, u64) = (1 << 10, 1 << 31);

/// Most connections, and most requests on one of them.
const MAX_CONNECTIONS: usize = 1 << 20;
const MAX_STREAMS: usize = 1 << 16;

/// Most items of a request: decoded, they take 100 times the memory of a request without names.
const MAX_ITEMS: usize = 1 << 20;

/// Most attributes and most links of an item.
const MAX_ATTRIBUTES: usize = 1 << 16;
const MAX_LINKS: usize = 1 << 12;

/// Shortest and longest of what is read of a name and of a text: ARNs have up to 2 KiB.
const NAME_BYTES: (u64, u64) = (64, 64 << 10);
const TEXT_BYTES: (u64, u64) = (256, 1 << 20);

/// Fewest and most functions: a loop must have room, and the map is drawn.
const FUNCTIONS: (usize, usize) = (10, 100_000);

/// Most spans of a trace that is measured span by span.
const MAX_TRACE_SPANS: usize = 100_000;

/// Shortest and longest time-outs.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(3600));

/// Most origins; each is compared with that of every request from a browser.
const MAX_ORIGINS: usize = 64;

/// The limits of both doors.
pub(super) fn limits(settings: &Settings) -> Result<Limits, ConfigError> {
    let request_bytes = bytes("otlp_max_request", settings.otlp_max_request.as_deref(), REQUEST_BYTES)?;
    let in_flight = (request_bytes as u64, u64::MAX >> 1);
    let streams = number("otlp_max_streams", settings.otlp_max_streams, MAX_STREAMS)?;
    Ok(Limits {
        request_bytes,
        items: items(settings)?,
        in_flight_bytes: bytes("otlp_max_in_flight", settings.otlp_max_in_flight.as_deref(), in_flight)?,
        connections: number("otlp_max_connections", settings.otlp_max_connections, MAX_CONNECTIONS)?,
        streams: u32::try_from(streams).map_err(|error| wrong("otlp_max_streams", error))?,
        header_timeout: timeout("otlp_header_timeout", settings.otlp_header_timeout.as_deref())?,
        body_timeout: timeout("otlp_body_timeout", settings.otlp_body_timeout.as_deref())?,
        idle_timeout: timeout("otlp_idle_timeout", settings.otlp_idle_timeout.as_deref())?,
        origins: origins(settings.otlp_cors_origin.as_deref().unwrap_or_default())?.into(),
    })
}

fn items(settings: &Settings) -> Result<ItemLimits, ConfigError> {
    Ok(ItemLimits {
        items: number("otlp_max_items", settings.otlp_max_items, MAX_ITEMS)? as u64,
        attributes: number("otlp_max_attributes", settings.otlp_max_attributes, MAX_ATTRIBUTES)?,
        links: number("otlp_max_links", settings.otlp_max_links, MAX_LINKS)?,
        name_bytes: bytes("otlp_max_name", settings.otlp_max_name.as_deref(), NAME_BYTES)?,
        text_bytes: bytes("otlp_max_text", settings.otlp_max_text.as_deref(), TEXT_BYTES)?,
    })
}

/// The bounds of the engine.
pub(super) fn engine(settings: &Settings) -> Result<EngineConfig, ConfigError> {
    let (least, most) = FUNCTIONS;
    let functions = settings.max_functions.filter(|number| (least..=most).contains(number));
    Ok(EngineConfig {
        function_capacity: functions
            .ok_or_else(|| wrong("max_functions", format!("write a number from {least} to {most}")))?,
        spans_per_trace: number("max_trace_spans", settings.max_trace_spans, MAX_TRACE_SPANS)?,
        links_per_span: items(settings)?.links,
        ..EngineConfig::recommended()
    })
}

fn bytes(setting: &'static str, text: Option<&str>, (least, most): (u64, u64)) -> Result<usize, ConfigError> {
    let bytes = size(setting, text.unwrap_or_default())?;
    if !(least..=most).contains(&bytes) {
        let [least, most] = [least, most].map(bytesize::ByteSize);
        return Err(wrong(setting, format!("allow from {least} to {most}")));
    }
    usize::try_from(bytes).map_err(|error| wrong(setting, error))
}

fn number(setting: &'static str, asked: Option<usize>, most: usize) -> Result<usize, ConfigError> {
    asked
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| wrong(setting, format!("write a number from 1 to {most}")))
}

fn timeout(setting: &'static str, text: Option<&str>) -> Result<Duration, ConfigError> {
    let (least, most) = TIMEOUTS;
    let timeout = duration(setting, text.unwrap_or_default())?;
    if (least..=most).contains(&timeout) {
        return Ok(timeout);
    }
    let [least, most] = [least, most].map(humantime::format_duration);
    Err(wrong(setting, format!("allow from {least} to {most}")))
}

fn origins(texts: &[String]) -> Result<Vec<Origin>, ConfigError> {
    if texts.len() > MAX_ORIGINS {
        return Err(wrong("otlp_cors_origin", format!("there are {}; at most {MAX_ORIGINS} are allowed", texts.len())));
    }
    texts.iter().map(|text| Origin::parse(text).map_err(|reason| wrong("otlp_cors_origin", reason))).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, ffi::OsString};

    use super::*;
    use crate::config::Config;

    fn config(args: &[&str]) -> Result<Config, ConfigError> {
        let variables = BTreeMap::from([("HOME".to_owned(), "/home/ada".to_owned())]);
        let args = std::iter::once("loopscope").chain(args.iter().copied()).map(OsString::from);
        Config::load(args, &variables)
    }

    fn load(args: &[&str]) -> Result<Limits, ConfigError> {
        config(args).map(|config| config.limits)
    }

    fn load_engine(args: &[&str]) -> EngineConfig {
        config(args).unwrap().engine
    }

    #[test]
    fn unset_limits_are_those_of_the_doors() {
        assert_eq!(load(&[]).unwrap(), Limits::default());
        assert_eq!(load_engine(&[]), EngineConfig::recommended());
    }

    #[test]
    fn limits_are_read_in_the_units_of_people() {
        let limits = load(&[
            "--otlp-max-request=1MiB",
            "--otlp-max-in-flight=4MiB",
            "--otlp-max-connections=7",
            "--otlp-max-streams=8",
            "--otlp-max-items=10",
            "--otlp-max-attributes=11",
            "--otlp-max-links=12",
            "--otlp-max-name=64B",
            "--otlp-max-text=1KiB",
            "--otlp-header-timeout=1s",
            "--otlp-body-timeout=500ms",
            "--otlp-idle-timeout=2m",
            "--otlp-cors-origin=https://a",
            "--otlp-cors-origin=https://b",
        ])
        .unwrap();
        assert_eq!((limits.request_bytes, limits.in_flight_bytes), (1 << 20, 4 << 20));
        assert_eq!((limits.connections, limits.streams, limits.origins.len()), (7, 8, 2));
        let items = ItemLimits { items: 10, attributes: 11, links: 12, name_bytes: 64, text_bytes: 1024 };
        assert_eq!(limits.items, items);
        let engine = load_engine(&["--max-functions=30", "--max-trace-spans=40", "--otlp-max-links=12"]);
        assert_eq!((engine.function_capacity, engine.spans_per_trace, engine.links_per_span), (30, 40, 12));
        let times = [limits.header_timeout, limits.body_timeout, limits.idle_timeout];
        assert_eq!(times, [1000, 500, 120_000].map(Duration::from_millis));
    }

    #[test]
    fn limits_that_make_no_sense_are_named() {
        for (args, words) in [
            (&["--otlp-max-request", "1"][..], ["otlp_max_request", "1.0 KiB"]),
            (&["--otlp-max-in-flight", "1MiB"], ["otlp_max_in_flight", "64.0 MiB"]),
            (&["--otlp-max-connections", "0"], ["otlp_max_connections", "from 1"]),
            (&["--otlp-max-streams", "1000000"], ["otlp_max_streams", "65536"]),
            (&["--otlp-max-items", "0"], ["otlp_max_items", "1048576"]),
            (&["--otlp-max-name", "1B"], ["otlp_max_name", "64 B"]),
            (&["--max-functions", "1"], ["max_functions", "from 10"]),
            (&["--max-trace-spans", "0"], ["max_trace_spans", "from 1"]),
            (&["--otlp-body-timeout", "0s"], ["otlp_body_timeout", "10ms"]),
            (&["--otlp-cors-origin", "example.com"], ["otlp_cors_origin", "https://shop.example.com"]),
        ] {
            let error = load(args).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{word:?} is missing in {error:?}");
            }
        }
    }
}
