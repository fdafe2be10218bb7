//! What the typed settings mean, or a sentence that says how to put them right.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use loopscope_analyzer::intended::Intended;

use super::{
    Config, ConfigError, DataDir, Demo, Mode, Secret, WebhookTarget, limits,
    typed::{Command, Settings},
};
use crate::{
    intended::{file, registry::MAX_DECLARED},
    price,
};

/// Most shards that may be asked for.
const MAX_SHARDS: usize = 64;

/// Most shards that are started unasked; the one linker could not follow more.
const MAX_DEFAULT_SHARDS: usize = 8;

/// Most webhook targets; each costs a task and a row for each alert.
const MAX_WEBHOOKS: usize = 32;

/// Least room for the journal: some segments must fit.
const MIN_DISK_BYTES: u64 = 16 << 20;

/// Shortest retention: the engine needs the lateness window when it starts again.
const MIN_RETENTION: Duration = Duration::from_secs(10 * 60);

/// Longest delay that may be injected: exporters give up after ten seconds.
const MAX_COMMIT_DELAY: Duration = Duration::from_secs(10);

/// Checks every setting.
pub(super) fn check(
    command: Command,
    settings: Settings,
    variables: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let insecure = settings.insecure.unwrap_or_default();
    let mode = mode(&command)?;
    Ok(Config {
        limits: limits::limits(&settings)?,
        engine: limits::engine(&settings)?,
        data_dir: data_dir(settings.data_dir, &mode, variables)?,
        mode,
        otlp_grpc: address("otlp_grpc", settings.otlp_grpc, insecure)?,
        otlp_http: address("otlp_http", settings.otlp_http, insecure)?,
        ui: address("ui", settings.ui, insecure)?,
        public_url: settings.public_url.map(public_url).transpose()?,
        webhooks: webhooks(settings.webhook.unwrap_or_default())?,
        webhook_secret: settings
            .webhook_secret
            .map(|text| Secret::parse(&text).map_err(|error| wrong("webhook_secret", error)))
            .transpose()?,
        retention: retention(settings.retention)?,
        max_disk_bytes: max_disk(settings.max_disk)?,
        shards: shards(settings.shards)?,
        intended: settings.intended.map(|path| intended(&path)).transpose()?.unwrap_or_default(),
        prices: match settings.prices {
            Some(path) => price::load(&path),
            None => price::built_in(),
        }
        .map_err(|reason| wrong("prices", reason))?,
        functions: price::rules(&settings.functions).map_err(|reason| wrong("functions", reason))?,
        insecure,
        fault_commit_delay: commit_delay(settings.fault_commit_delay.as_deref())?,
        ephemeral: settings.ephemeral.unwrap_or_default(),
    })
}

fn commit_delay(text: Option<&str>) -> Result<Duration, ConfigError> {
    let delay = duration("fault_commit_delay", text.unwrap_or_default())?;
    if delay > MAX_COMMIT_DELAY {
        return Err(wrong("fault_commit_delay", "allow up to 10s"));
    }
    Ok(delay)
}

pub(super) fn wrong(setting: &'static str, reason: impl ToString) -> ConfigError {
    ConfigError::Value { setting, reason: reason.to_string() }
}

fn mode(command: &Command) -> Result<Mode, ConfigError> {
    let demo = match command {
        Command::Serve(_) => return Ok(Mode::Serve),
        Command::Check(check) => return Ok(Mode::Check(check.clone().into())),
        Command::Generate(options) => return Ok(Mode::Generate(options.clone())),
        Command::Demo(demo) => demo,
    };
    let loop_after = duration("loop_after", &demo.loop_after)?;
    Ok(Mode::Demo(Demo { scenario: demo.scenario, loop_after }))
}

fn data_dir(asked: Option<PathBuf>, mode: &Mode, variables: &BTreeMap<String, String>) -> Result<DataDir, ConfigError> {
    let folder = |name: &str| variables.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match asked {
        Some(path) if path.as_os_str().is_empty() => Err(wrong("data_dir", "it is empty; name a folder")),
        Some(path) => Ok(DataDir::Folder(path)),
        None if *mode != Mode::Serve => Ok(DataDir::Temporary),
        None => folder("XDG_DATA_HOME")
            .or_else(|| folder("HOME").map(|home| home.join(".local").join("share")))
            .or_else(|| folder("LOCALAPPDATA"))
            .map(|data| DataDir::Folder(data.join("loopscope")))
            .ok_or_else(|| wrong("data_dir", "no home folder is known; name a folder with --data-dir")),
    }
}

fn address(setting: &'static str, text: Option<String>, insecure: bool) -> Result<SocketAddr, ConfigError> {
    let text = text.unwrap_or_default();
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        None => SocketAddr::from_str(&text).ok(),
    };
    match address {
        None => Err(wrong(setting, format!("{text:?} is not an address; write IP:PORT, such as 127.0.0.1:4317"))),
        Some(address) if !insecure && !address.ip().to_canonical().is_loopback() => {
            Err(ConfigError::Exposed { setting, address })
        }
        Some(address) => Ok(address),
    }
}

fn public_url(text: String) -> Result<String, ConfigError> {
    WebhookTarget::parse(&text)
        .map(|_| text.trim_end_matches('/').to_owned())
        .map_err(|reason| wrong("public_url", format!("{text:?} is not a web address: {reason}")))
}

fn webhooks(urls: Vec<String>) -> Result<Vec<WebhookTarget>, ConfigError> {
    let mut targets: Vec<WebhookTarget> = Vec::new();
    for (number, url) in (1..).zip(&urls) {
        // The URL may hold a token, so the message names its place and not its text.
        let target = WebhookTarget::parse(url)
            .map_err(|reason| wrong("webhook", format!("URL number {number} cannot be used: {reason}")))?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    if targets.len() > MAX_WEBHOOKS {
        return Err(wrong("webhook", format!("there are {}; at most {MAX_WEBHOOKS} are allowed", targets.len())));
    }
    Ok(targets)
}

fn intended(path: &Path) -> Result<Vec<Intended>, ConfigError> {
    let entries = file::read(path).map_err(|error| wrong("intended", error))?;
    if entries.len() > MAX_DECLARED {
        return Err(wrong(
            "intended",
            format!("{} loops are declared; at most {MAX_DECLARED} are held", entries.len()),
        ));
    }
    Ok(entries)
}

pub(super) fn duration(setting: &'static str, text: &str) -> Result<Duration, ConfigError> {
    humantime::parse_duration(text)
        .map_err(|error| wrong(setting, format!("{text:?} is not a time ({error}); write it like 20s, 90m or 72h")))
}

fn retention(text: Option<String>) -> Result<Duration, ConfigError> {
    let retention = duration("retention", &text.unwrap_or_default())?;
    if retention < MIN_RETENTION {
        let least = humantime::format_duration(MIN_RETENTION);
        return Err(wrong("retention", format!("it is too short; keep data for at least {least}")));
    }
    Ok(retention)
}

pub(super) fn size(setting: &'static str, text: &str) -> Result<u64, ConfigError> {
    let read = text.parse::<bytesize::ByteSize>().map(|size| size.as_u64());
    read.map_err(|error| wrong(setting, format!("{text:?} is not a size ({error}); write it like 500MB or 10GiB")))
}

fn max_disk(text: Option<String>) -> Result<u64, ConfigError> {
    let bytes = size("max_disk", &text.unwrap_or_default())?;
    if bytes < MIN_DISK_BYTES {
        let least = bytesize::ByteSize(MIN_DISK_BYTES);
        return Err(wrong("max_disk", format!("it is too small; allow at least {least}")));
    }
    Ok(bytes)
}

fn shards(asked: Option<usize>) -> Result<NonZeroUsize, ConfigError> {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_DEFAULT_SHARDS);
    NonZeroUsize::new(asked.unwrap_or_else(cores))
        .filter(|shards| shards.get() <= MAX_SHARDS)
        .ok_or_else(|| wrong("shards", format!("write a number from 1 to {MAX_SHARDS}")))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::Scenario;

    fn load(args: &[&str]) -> Result<Config, ConfigError> {
        let variables = BTreeMap::from([("HOME".to_owned(), "/home/ada".to_owned())]);
        Config::load(std::iter::once("loopscope").chain(args.iter().copied()).map(OsString::from), &variables)
    }

    #[track_caller]
    fn refused(args: &[&str], words: &[&str]) {
        let error = load(args).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} is missing in {error:?}");
        }
    }

    #[test]
    fn defaults_mean_loopback_and_a_folder_of_ones_own() {
        let config = load(&[]).unwrap();
        assert_eq!(config, load(&["serve"]).unwrap());
        assert_eq!(config.mode, Mode::Serve);
        assert_eq!(config.data_dir, DataDir::Folder("/home/ada/.local/share/loopscope".into()));
        assert_eq!(
            [config.otlp_grpc, config.otlp_http, config.ui].map(|address| address.to_string()),
            ["127.0.0.1:4317", "127.0.0.1:4318", "127.0.0.1:4319"]
        );
        assert_eq!(config.retention, Duration::from_secs(72 * 3600));
        assert_eq!(config.max_disk_bytes, 10 << 30);
        assert!(config.webhooks.is_empty() && !config.insecure && !config.ephemeral);
    }

    #[test]
    fn the_platform_folder_follows_the_variable() {
        let variables = BTreeMap::from([("XDG_DATA_HOME".to_owned(), "/data".to_owned())]);
        let config = Config::load([OsString::from("loopscope")], &variables).unwrap();
        assert_eq!(config.data_dir, DataDir::Folder("/data/loopscope".into()));
        let error = Config::load([OsString::from("loopscope")], &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("--data-dir"), "{error}");
    }

    #[test]
    fn the_demo_uses_a_temporary_folder() {
        let config = load(&["demo", "--scenario", "fan-out-loop", "--loop-after", "5s"]).unwrap();
        assert_eq!(config.data_dir, DataDir::Temporary);
        let demo = Demo { scenario: Scenario::FanOutLoop, loop_after: Duration::from_secs(5) };
        assert_eq!(config.mode, Mode::Demo(demo));
        let config = load(&["demo", "--data-dir", "/tmp/x"]).unwrap();
        assert_eq!(config.data_dir, DataDir::Folder("/tmp/x".into()));
        refused(&["demo", "--loop-after", "soon"], &["loop_after", "20s"]);
        refused(&["demo", "--scenario", "other"], &["bucket-loop", "fan-out-loop"]);
    }

    #[test]
    fn addresses_that_others_can_reach_need_a_word() {
        refused(&["--ui", "0.0.0.0:4319"], &["ui", "0.0.0.0:4319", "--insecure"]);
        refused(&["--otlp-grpc", "[::]:4317"], &["otlp_grpc", "--insecure"]);
        assert!(load(&["--ui", "0.0.0.0:4319", "--insecure"]).unwrap().insecure);
        assert!(load(&["--ui", "0.0.0.0:4319", "--insecure=false"]).is_err());
        assert!(load(&["--ui", "[::1]:0", "--otlp-http", "[::ffff:127.0.0.1]:0"]).is_ok());
        assert_eq!(load(&["--ui", "localhost:80"]).unwrap().ui.to_string(), "127.0.0.1:80");
        refused(&["--ui", "4319"], &["ui", "127.0.0.1:4317"]);
    }

    #[test]
    fn values_that_make_no_sense_are_named() {
        refused(&["--retention", "three days"], &["retention", "72h"]);
        refused(&["--retention", "1s"], &["retention", "10m"]);
        refused(&["--max-disk", "plenty"], &["max_disk", "10GiB"]);
        refused(&["--max-disk", "1kB"], &["max_disk", "16"]);
        refused(&["--shards", "0"], &["shards", "64"]);
        refused(&["--shards", "65"], &["shards", "64"]);
        refused(&["--webhook", "http://ok/", "--webhook", "token"], &["webhook", "2"]);
        refused(&["--webhook-secret", "short"], &["webhook_secret", "24"]);
        refused(&["--public-url", "loopscope.example.com"], &["public_url"]);
    }

    #[test]
    fn targets_are_parsed_once_each() {
        let config = load(&["--webhook", "http://a/x", "--webhook", "http://a/x", "--webhook", "https://b"]).unwrap();
        assert_eq!(config.webhooks.len(), 2);
        let config = load(&["--public-url", "https://loops.example.com/"]).unwrap();
        assert_eq!(config.public_url.as_deref(), Some("https://loops.example.com"));
    }
}
