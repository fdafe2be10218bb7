//! What was typed: defaults < TOML file < `LOOPSCOPE_*` variables < flags, merged and not yet understood.
//!
//! Each setting is a field of [`Settings`], once; its flag, its key in the file, its variable and its line in
//! `--help` follow from the field, its default from [`Settings::defaults`]. Keys that do not exist are refused by
//! name. What the values mean is decided in `meant.rs`.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format as _, Serialized, Toml},
    value::{Dict, Map, Value},
};
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::{check, generate, price::FunctionSetting};

/// Variables that set something begin with this.
const PREFIX: &str = "LOOPSCOPE_";

/// The variable that names the configuration file.
const CONFIG_VARIABLE: &str = "LOOPSCOPE_CONFIG";

/// Variables with our prefix that the build and the tests read, not the program.
const FOREIGN_VARIABLES: [&str; 7] = [
    "LOOPSCOPE_SKIP_UI",
    "LOOPSCOPE_TRACES",
    "LOOPSCOPE_SCHEMATHESIS",
    "LOOPSCOPE_REQUIRE_BROWSER",
    "LOOPSCOPE_REQUIRE_STRACE",
    "LOOPSCOPE_REQUIRE_SCHEMATHESIS",
    "LOOPSCOPE_REQUIRE_EXPORTERS",
];

/// Finds the loops that serverless functions fall into, while they are still cheap.
///
/// Point the OTLP exporters of your functions at it and open the page in a browser. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "loopscope", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Source,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Receive OTLP, find loops, show them (the default).
    Serve(Source),
    /// The same, with a small function system that exports to it and falls into a loop.
    Demo(DemoCommand),
    /// Look for loops in files of spans, and end: 0 when there is none, 1 when there is one, 2 when nothing can be read.
    Check(CheckCommand),
    /// Write labelled spans of functions that run away, as OTLP JSON lines, and end.
    Generate(generate::Options),
}

/// What the check takes. It reads no settings: nothing around it can change its verdict.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CheckCommand {
    /// OTLP traces as JSON, JSON lines or protobuf, with gzip or zstd around or not; folders of such files; - for
    /// standard input.
    #[arg(required_unless_present = "baseline", value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// How the report is written.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: check::Format,
    /// Laps of one chain that are tolerated of every loop.
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_depth: u32,
    /// A TOML file of intended loops, each with a bound of its own.
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// OTLP traces from before, in the same forms: the hotspots are then what became slower against them. When all files
    /// stand behind this flag, the last of them is the one that is checked.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    baseline: Vec<PathBuf>,
}

impl From<CheckCommand> for check::Options {
    fn from(CheckCommand { mut paths, format, max_depth, allow, mut baseline }: CheckCommand) -> Self {
        // `--baseline before.json after.json` reads as if the last were meant; a list of files takes it in.
        if paths.is_empty() && baseline.len() > 1 {
            paths.extend(baseline.pop());
        }
        Self { paths, format, max_depth, allow, baseline }
    }
}

/// What the demo takes.
#[derive(Debug, clap::Args)]
pub(super) struct DemoCommand {
    /// Which loop the functions fall into.
    #[arg(long, value_name = "NAME", default_value = "bucket-loop")]
    pub(super) scenario: Scenario,
    /// How long after the start they fall into it.
    #[arg(long, value_name = "TIME", default_value = "20s")]
    pub(super) loop_after: String,
    #[command(flatten)]
    source: Source,
}

/// Which loop the demo lets loose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// A thumbnail function writes to the bucket that triggers it.
    #[default]
    BucketLoop,
    /// A function publishes two messages to the topic that triggers it.
    FanOutLoop,
}

/// Settings of the command line and the file that holds the others.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// A TOML file with settings; its keys are the names of the flags with underscores
    /// [env: LOOPSCOPE_CONFIG].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// Every setting, as it was typed.
#[derive(Clone, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// Where journal and state are kept; the demo uses a temporary folder unless told otherwise.
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data_dir: Option<PathBuf>,
    /// Where OTLP over gRPC is received.
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_grpc: Option<String>,
    /// Where OTLP over HTTP is received.
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_http: Option<String>,
    /// Largest OTLP request, plain and after it is inflated.
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_request: Option<String>,
    /// Bytes of all OTLP requests on their way into the journal; above it, exporters are asked to come again.
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_in_flight: Option<String>,
    /// Open connections of each OTLP door; more wait until one ends.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_connections: Option<usize>,
    /// Requests that one HTTP/2 connection may have open.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_streams: Option<usize>,
    /// Spans, log records or data points of one request; what comes after them is rejected.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_items: Option<usize>,
    /// Attributes of a span, a resource or a log record that the engine reads.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_attributes: Option<usize>,
    /// Links of a span that the engine follows.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_links: Option<usize>,
    /// Length of the name of a span that the engine reads.
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_name: Option<String>,
    /// Length of the text of an attribute that the engine reads.
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_max_text: Option<String>,
    /// How long an exporter may take for its first byte and for the headers of a request.
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_header_timeout: Option<String>,
    /// How long an exporter may take for the body of a request.
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_body_timeout: Option<String>,
    /// How long a connection over HTTP/1.1 may be silent between two requests.
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_idle_timeout: Option<String>,
    /// Pages that may send from a browser, such as https://*.example.com; may be given several times, in the variable
    /// separated by commas.
    #[arg(long, value_name = "ORIGIN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otlp_cors_origin: Option<Vec<String>>,
    /// Where the page and the API are served.
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ui: Option<String>,
    /// Where people reach the page, for the links in alerts.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) public_url: Option<String>,
    /// Who is told of alerts; may be given several times, in the variable separated by commas.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook: Option<Vec<String>>,
    /// Signs the alerts as Standard Webhooks says: whsec_ and base64, or any text of at least 24 bytes. Other users
    /// of the machine can read flags, so prefer the variable.
    #[arg(long, value_name = "SECRET")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) webhook_secret: Option<String>,
    /// How long received data is kept, such as 90m, 72h or 7days.
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retention: Option<String>,
    /// How much room received data may take on disk, such as 500MB or 10GiB; the oldest goes first.
    #[arg(long, value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_disk: Option<String>,
    /// Functions and resources on the map; beyond, those quiet longest are counted as one other.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_functions: Option<usize>,
    /// Spans of one trace that are measured one by one, to tell where its time went.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_trace_spans: Option<usize>,
    /// Threads that take spans apart.
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shards: Option<usize>,
    /// A TOML file with loops that are intended, each with a bound.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) intended: Option<PathBuf>,
    /// A TOML file with prices in place of those that are built in.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prices: Option<PathBuf>,
    /// What is known of functions beyond their spans, by patterns on their names; only in the file.
    #[arg(skip)]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) functions: BTreeMap<String, FunctionSetting>,
    /// Allow addresses that other machines can reach, although nobody is asked for a password.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) insecure: Option<bool>,
    /// Inject a fault: each write to the journal takes this much longer, to see what exporters do then.
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault_commit_delay: Option<String>,
    /// Keep received data only until the program ends: faster, because nothing waits for the disk.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ephemeral: Option<bool>,
}

impl Settings {
    /// What holds when nobody says anything else.
    pub(super) fn defaults() -> Self {
        Self {
            otlp_grpc: Some("127.0.0.1:4317".to_owned()),
            otlp_http: Some("127.0.0.1:4318".to_owned()),
            otlp_max_request: Some("64MiB".to_owned()),
            otlp_max_in_flight: Some("256MiB".to_owned()),
            otlp_max_connections: Some(4096),
            otlp_max_streams: Some(256),
            otlp_max_items: Some(1 << 18),
            otlp_max_attributes: Some(1024),
            otlp_max_links: Some(128),
            otlp_max_name: Some("1KiB".to_owned()),
            otlp_max_text: Some("4KiB".to_owned()),
            otlp_header_timeout: Some("10s".to_owned()),
            otlp_body_timeout: Some("30s".to_owned()),
            otlp_idle_timeout: Some("75s".to_owned()),
            ui: Some("127.0.0.1:4319".to_owned()),
            retention: Some("72h".to_owned()),
            max_disk: Some("10GiB".to_owned()),
            max_functions: Some(10_000),
            max_trace_spans: Some(2_000),
            fault_commit_delay: Some("0s".to_owned()),
            insecure: Some(false),
            ephemeral: Some(false),
            ..Self::default()
        }
    }
}

/// Says in words what holds for the settings whose default is found out at the start.
fn default_in_words(key: &str) -> Option<&'static str> {
    Some(match key {
        "data_dir" => "$XDG_DATA_HOME/loopscope, or ~/.local/share/loopscope",
        "otlp_cors_origin" => "no page",
        "intended" => "none but those of the API",
        "prices" => "those that are built in",
        "public_url" => "the address of the page",
        "webhook" => "nobody",
        "webhook_secret" => "none: alerts are not signed",
        "shards" => "one for each core, at most 8",
        _ => return None,
    })
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redacted = Self {
            webhook_secret: self.webhook_secret.as_ref().map(|_| "redacted".to_owned()),
            webhook: self.webhook.as_ref().map(|urls| vec!["redacted".to_owned(); urls.len()]),
            ..self.clone()
        };
        f.write_str(&serde_json::to_string(&redacted).map_err(|_| fmt::Error)?)
    }
}

/// Reads everything and merges it.
pub(super) fn read(
    args: impl IntoIterator<Item = OsString>,
    variables: &BTreeMap<String, String>,
) -> Result<(Command, Settings), ConfigError> {
    let cli = Cli::from_arg_matches(&documented().try_get_matches_from(args)?)?;
    let command = cli.command.unwrap_or(Command::Serve(cli.serve));
    let source = match &command {
        Command::Serve(source) => source,
        Command::Demo(demo) => &demo.source,
        Command::Check(_) | Command::Generate(_) => return Ok((command, Settings::defaults())),
    };
    let named = variables.get(CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut figment = Figment::from(Serialized::defaults(Settings::defaults()));
    if let Some(file) = source.config.clone().or(named) {
        figment = figment.merge(Toml::file_exact(file));
    }
    let settings = figment
        .merge(Variables(variables))
        .merge(Serialized::defaults(&source.settings))
        .extract()
        .map_err(unreadable)?;
    Ok((command, settings))
}

/// Says which key of which layer cannot be read, in the spelling of that layer.
fn unreadable(error: figment::Error) -> ConfigError {
    let reason = error.kind.to_string();
    let key = error.path.join(".");
    let (key, place) = match error.metadata {
        Some(Metadata { source: Some(source), .. }) => (key, source.to_string()),
        Some(metadata) => {
            (metadata.interpolate(&error.profile.unwrap_or_default(), &error.path), metadata.name.into_owned())
        }
        None => (key, "the configuration".to_owned()),
    };
    let at = if key.is_empty() { place } else { format!("{key} in {place}") };
    ConfigError::Unreadable { at, reason: reason.trim().to_owned() }
}

/// The command line with the default and the variable at each setting.
fn documented() -> clap::Command {
    let defaults = serde_json::to_value(Settings::defaults()).unwrap_or_default();
    document(Cli::command(), &defaults)
}

fn document(command: clap::Command, defaults: &serde_json::Value) -> clap::Command {
    command
        .mut_args(|arg| {
            let key = arg.get_id().to_string();
            let default = match defaults.get(&key) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => match default_in_words(&key) {
                    Some(words) => words.to_owned(),
                    None => return arg,
                },
            };
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let help = format!("{help} [default: {default}] [env: {PREFIX}{}]", key.to_uppercase());
            arg.help(help).long_help(None::<&str>)
        })
        .mut_subcommands(|sub| document(sub, defaults))
}

/// The variables as a layer of figment.
struct Variables<'a>(&'a BTreeMap<String, String>);

impl Provider for Variables<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment variables")
            .interpolater(|_, keys| format!("{PREFIX}{}", keys.join("_").to_uppercase()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for (name, text) in self.0 {
            // An empty variable is one that is not set, as everywhere in OpenTelemetry.
            let Some(key) = name.strip_prefix(PREFIX).filter(|_| !text.is_empty()) else { continue };
            if name == CONFIG_VARIABLE || FOREIGN_VARIABLES.contains(&name.as_str()) || is_from_kubernetes(name) {
                continue;
            }
            let key = key.to_lowercase();
            let value = value_of(&key, text);
            dict.insert(key, value);
        }
        Ok(Profile::Default.collect(dict))
    }
}

/// Kubernetes tells every pod of each service by variables such as `LOOPSCOPE_UI_SERVICE_HOST` and
/// `LOOPSCOPE_PORT_4317_TCP`, so a service that is named after the program must not stop it.
fn is_from_kubernetes(name: &str) -> bool {
    name.contains("_SERVICE_") || name.contains("_PORT_") || name.ends_with("_PORT")
}

/// The value of a variable; what should be a number or a truth and is none stays text, and figment names it.
fn value_of(key: &str, text: &str) -> Value {
    match key {
        "webhook" | "otlp_cors_origin" => {
            text.split(',').map(str::trim).filter(|url| !url.is_empty()).collect::<Vec<_>>().into()
        }
        "shards"
        | "otlp_max_connections"
        | "otlp_max_streams"
        | "otlp_max_items"
        | "otlp_max_attributes"
        | "otlp_max_links"
        | "max_functions"
        | "max_trace_spans" => text.parse::<usize>().map_or_else(|_| text.into(), Value::from),
        "insecure" | "ephemeral" => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(args: &[&str], variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        read(std::iter::once("loopscope").chain(args.iter().copied()).map(OsString::from), &variables)
            .map(|(_, settings)| settings)
    }

    #[test]
    fn each_layer_wins_over_the_one_below() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("loopscope.toml");
        std::fs::write(&file, "retention = '1h'\nmax_disk = '1GiB'\nshards = 3\nwebhook = ['http://file/']").unwrap();
        let file = file.to_str().unwrap();
        let settings = read_with(
            &["--config", file, "--max-disk", "3GiB"],
            &[("LOOPSCOPE_MAX_DISK", "2GiB"), ("LOOPSCOPE_SHARDS", "5"), ("LOOPSCOPE_UI", "")],
        )
        .unwrap();
        assert_eq!(settings.otlp_grpc.as_deref(), Some("127.0.0.1:4317"));
        assert_eq!(settings.ui.as_deref(), Some("127.0.0.1:4319"));
        assert_eq!(settings.retention.as_deref(), Some("1h"));
        assert_eq!(settings.shards, Some(5));
        assert_eq!(settings.max_disk.as_deref(), Some("3GiB"));
        assert_eq!(settings.webhook, Some(vec!["http://file/".to_owned()]));
        let by_variable = read_with(&[], &[("LOOPSCOPE_CONFIG", file)]).unwrap();
        assert_eq!(by_variable.retention.as_deref(), Some("1h"));
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = read_with(&[], &[("LOOPSCOPE_RETENTOIN", "1h")]).unwrap_err().to_string();
        assert!(error.contains("retentoin"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("loopscope.toml");
        std::fs::write(&file, "max_disc = '1GiB'").unwrap();
        let error = read_with(&["--config", file.to_str().unwrap()], &[]).unwrap_err().to_string();
        assert!(error.contains("max_disc") && error.contains("loopscope.toml"), "{error}");
        let error = read_with(&["--retentoin", "1h"], &[]).unwrap_err().to_string();
        assert!(error.contains("--retentoin"), "{error}");
    }

    #[test]
    fn a_missing_file_and_a_wrong_type_are_errors() {
        assert!(read_with(&["--config", "/nowhere/loopscope.toml"], &[]).is_err());
        let error = read_with(&[], &[("LOOPSCOPE_SHARDS", "many")]).unwrap_err().to_string();
        assert!(error.contains("LOOPSCOPE_SHARDS"), "{error}");
    }

    #[test]
    fn variables_of_the_build_and_of_kubernetes_set_nothing() {
        let settings = read_with(
            &[],
            &[("LOOPSCOPE_SKIP_UI", "1"), ("LOOPSCOPE_PORT_4317_TCP", "tcp://x"), ("LOOPSCOPE_UI_SERVICE_HOST", "x")],
        );
        assert!(settings.is_ok());
    }

    #[test]
    fn help_documents_every_setting_with_its_default() {
        for command in [None, Some("serve"), Some("demo")] {
            let help = read_with(&command.into_iter().chain(["--help"]).collect::<Vec<_>>(), &[]).unwrap_err();
            // Where the lines break depends on the terminal.
            let help = help.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            for arg in Settings::augment_args_for_test().get_arguments() {
                let Some(long) = arg.get_long() else { continue };
                let variable = format!("[env: {PREFIX}{}]", arg.get_id().as_str().to_uppercase());
                let at = help.find(&format!("--{long} ")).or_else(|| help.find(&format!("--{long}["))).expect(long);
                let entry = &help[at..];
                let end = entry.find("[env: ").expect(long);
                assert!(entry[..end].contains("[default: "), "{long} has no default in {command:?}");
                assert!(entry[end..].starts_with(&variable), "{long} has no variable in {command:?}");
            }
        }
    }

    #[test]
    fn debug_redacts() {
        let settings =
            read_with(&["--webhook", "http://h/token", "--webhook-secret", "correct horse battery staple"], &[])
                .unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("horse") && !shown.contains("token"), "{shown}");
    }

    impl Settings {
        fn augment_args_for_test() -> clap::Command {
            <Self as clap::Args>::augment_args(clap::Command::new("settings"))
        }
    }
}
