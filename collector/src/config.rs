//! What people may set, and what it means.
//!
//! Two steps: `config/typed.rs` collects what was typed (defaults, then a TOML file, then `LOOPSCOPE_*` variables,
//! then flags), `config/meant.rs` turns it into a [`Config`] that the rest of the collector can trust;
//! `config/limits.rs` does so for the limits of the doors. Nothing here
//! opens a file but the configuration file and those that it names to be read, and nothing here opens a port: a bad
//! configuration ends the program before that. The environment comes in as a map, so that tests can make one up.

mod limits;
mod meant;
mod secret;
mod typed;

use std::{collections::BTreeMap, ffi::OsString, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use loopscope_analyzer::{config::Config as EngineConfig, facts::FunctionRule, intended::Intended, price::PriceTable};
use reqwest::Url;

use crate::{check, doors::Limits, generate};

pub use crate::config::{
    secret::{Secret, SecretError},
    typed::Scenario,
};

/// Everything that was set, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Serve, or serve and play the demo.
    pub mode: Mode,
    /// Where journal and state are kept.
    pub data_dir: DataDir,
    /// Address of the OTLP/gRPC door.
    pub otlp_grpc: SocketAddr,
    /// Address of the OTLP/HTTP door.
    pub otlp_http: SocketAddr,
    /// What both doors let in.
    pub limits: Limits,
    /// What the engine holds.
    pub engine: EngineConfig,
    /// Address of the page and the API.
    pub ui: SocketAddr,
    /// Where people reach the page, when that is not the address it is bound to; without a slash at the end.
    pub public_url: Option<String>,
    /// Who is told of alerts.
    pub webhooks: Vec<WebhookTarget>,
    /// Signs the messages; without it they go unsigned.
    pub webhook_secret: Option<Secret>,
    /// How long the journal keeps batches.
    pub retention: Duration,
    /// How many bytes the journal may take on disk.
    pub max_disk_bytes: u64,
    /// Threads that take spans apart.
    pub shards: NonZeroUsize,
    /// Loops that a file declares as intended.
    pub intended: Vec<Intended>,
    /// What running and using resources costs.
    pub prices: PriceTable,
    /// What is known of functions beyond their spans.
    pub functions: Vec<FunctionRule>,
    /// True when addresses that other machines can reach are wanted.
    pub insecure: bool,
    /// How much longer each write to the journal takes than it must.
    pub fault_commit_delay: Duration,
    /// True when batches are acknowledged before they are durable, and gone when the program ends.
    pub ephemeral: bool,
}

/// What the program does.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// Receive, analyse, show.
    Serve,
    /// The same, with a small function system that exports to it.
    Demo(Demo),
    /// Look for loops in files, and end.
    Check(check::Options),
    /// Write labelled spans, and end.
    Generate(generate::Options),
}

/// What the demo plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demo {
    /// Which loop is let loose.
    pub scenario: Scenario,
    /// How long after the start.
    pub loop_after: Duration,
}

/// Where journal and state are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataDir {
    /// In this folder, which is made when it is missing.
    Folder(PathBuf),
    /// In a folder that lives as long as the process.
    Temporary,
}

/// The URL of somebody who is told of alerts.
///
/// Path and query often hold a token, so `Debug` shows scheme and host only.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookTarget(Url);

impl WebhookTarget {
    /// Reads an absolute http or https URL.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            scheme => Err(format!("its scheme is {scheme}, not http or https")),
        }
    }

    /// The whole URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port: what may stand in a log.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

impl std::fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WebhookTarget({}/…)", self.origin())
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line asks for help or the version, or cannot be read. Print it with [`clap::Error::exit`].
    #[error(transparent)]
    CommandLine(#[from] clap::Error),
    /// A file or a variable holds something that cannot be read, or a key that does not exist.
    #[error("{at}: {reason}")]
    Unreadable {
        /// The file, or the key or variable and where it stands.
        at: String,
        /// What is wrong.
        reason: String,
    },
    /// A value cannot be understood.
    #[error("{setting}: {reason}")]
    Value {
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong and how to put it right.
        reason: String,
    },
    /// An address that other machines can reach was asked for, and nothing protects it.
    #[error(
        "{setting}: {address} can be reached from other machines, and Loopscope asks nobody for a password; \
         use a loopback address such as 127.0.0.1, or add --insecure if the network is yours alone"
    )]
    Exposed {
        /// Name of the setting.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
    },
}

/// The environment of this process; variables that are not Unicode are left out, because they set nothing here.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl Config {
    /// Reads the command line, the file that it names, and the variables.
    ///
    /// `args` starts with the name of the program; `variables` is the environment.
    ///
    /// # Errors
    /// When something cannot be read or makes no sense. Asking for help is an error too: see
    /// [`ConfigError::CommandLine`].
    pub fn load(
        args: impl IntoIterator<Item = OsString>,
        variables: &BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let (command, settings) = typed::read(args, variables)?;
        meant::check(command, settings, variables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_hide_their_tokens() {
        let target = WebhookTarget::parse("https://user:hunter2@hooks.example.com/services/T0/B0/token").unwrap();
        assert_eq!(format!("{target:?}"), "WebhookTarget(https://hooks.example.com/…)");
        assert!(WebhookTarget::parse("ftp://example.com").unwrap_err().contains("ftp"));
        assert!(WebhookTarget::parse("example.com/hook").is_err());
    }
}
