//! Prices and facts about functions as people write them: the table that is built in, a file that replaces it, and the
//! `[functions]` table of the configuration.
//!
//! What is made of them is decided in the analyzer; this turns text into its values, or says what is wrong.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use loopscope_analyzer::{
    facts::{Architecture, FunctionRule},
    price::{CallPrice, ContainerPrices, ContainerSize, PlatformPrice, PriceTable},
    snapshot::EdgeKind,
};
use serde::{Deserialize, Serialize};

/// The prices that hold unless a file says otherwise.
const BUILT_IN: &str = include_str!("price/prices.toml");

/// Most entries of a price file, and most patterns of the `[functions]` table: each is tried for each function.
const MAX_ENTRIES: usize = 1_000;

/// A file of prices.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    currency: String,
    #[serde(default, rename = "platform")]
    platforms: Vec<PlatformEntry>,
    #[serde(default, rename = "call")]
    calls: Vec<CallEntry>,
    containers: Option<ContainerEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContainerEntry {
    name: String,
    per_vcpu_hour: f64,
    per_gb_hour: f64,
    #[serde(default)]
    load_balancer_per_hour: f64,
    utilisation: f64,
    min_tasks: u32,
    #[serde(rename = "size")]
    sizes: Vec<SizeEntry>,
    as_of: String,
    /// Where the prices were read; for people.
    #[serde(default)]
    #[expect(dead_code, reason = "the file is for people too, and unknown keys are refused")]
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SizeEntry {
    vcpu: f64,
    gb: f64,
    concurrency: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformEntry {
    platforms: Vec<String>,
    architecture: Option<String>,
    #[serde(default)]
    per_gb_second: f64,
    #[serde(default)]
    per_second: f64,
    #[serde(default)]
    per_request: f64,
    #[serde(default)]
    minimum_ms: f64,
    #[serde(default)]
    rounding_ms: f64,
    #[serde(default)]
    memory_step_mb: u32,
    #[serde(default)]
    charges_used_memory: bool,
    #[serde(default)]
    charges_init: bool,
    #[serde(default = "yes")]
    charges_waiting: bool,
    #[serde(default)]
    vcpu_mb: u32,
    as_of: String,
    /// Where the price was read; for people.
    #[serde(default)]
    #[expect(dead_code, reason = "the file is for people too, and unknown keys are refused")]
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallEntry {
    systems: Vec<String>,
    kind: String,
    per_call: f64,
    as_of: String,
    /// Where the price was read; for people.
    #[serde(default)]
    #[expect(dead_code, reason = "the file is for people too, and unknown keys are refused")]
    source: String,
}

/// What the configuration says of all functions whose names have a pattern.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FunctionSetting {
    /// Configured memory, MiB.
    pub memory_mb: Option<u32>,
    /// The processor: `x86_64` or `arm64`.
    pub architecture: Option<String>,
    /// Longest time a run may take, such as `30s`.
    pub time_out: Option<String>,
    /// Instances that may run at the same time.
    pub concurrency: Option<u32>,
    /// Who is asked about them.
    pub owner: Option<String>,
    /// The applications they belong to.
    pub apps: Option<Vec<String>>,
}

/// The prices that are built in.
///
/// # Errors
/// Never, as a test proves; the text that is built in is read as any other.
pub fn built_in() -> Result<PriceTable, String> {
    read(Figment::from(Toml::string(BUILT_IN)))
}

/// The prices of a file.
///
/// # Errors
/// A sentence that says what cannot be read or makes no sense.
pub fn load(path: &Path) -> Result<PriceTable, String> {
    read(Figment::from(Toml::file_exact(path))).map_err(|reason| format!("{}: {reason}", path.display()))
}

/// What the `[functions]` table means, by pattern.
///
/// # Errors
/// A sentence that names the pattern and what is wrong.
pub fn rules(settings: &BTreeMap<String, FunctionSetting>) -> Result<Vec<FunctionRule>, String> {
    if settings.len() > MAX_ENTRIES {
        return Err(format!("there are {} patterns; at most {MAX_ENTRIES} are allowed", settings.len()));
    }
    settings.iter().map(|(pattern, setting)| rule(pattern, setting)).collect()
}

fn read(figment: Figment) -> Result<PriceTable, String> {
    let file: PriceFile = figment.extract().map_err(|error| {
        let place = error.path.join(".");
        let reason = error.kind.to_string();
        if place.is_empty() { reason } else { format!("{place}: {reason}") }
    })?;
    if file.platforms.len() + file.calls.len() > MAX_ENTRIES {
        return Err(format!("it has more than {MAX_ENTRIES} entries"));
    }
    Ok(PriceTable {
        currency: file.currency.into(),
        platforms: file.platforms.into_iter().map(platform).collect::<Result<_, _>>()?,
        calls: file.calls.into_iter().map(call).collect::<Result<_, _>>()?,
        containers: file.containers.map(containers).transpose()?,
    })
}

fn platform(entry: PlatformEntry) -> Result<PlatformPrice, String> {
    let name = entry.platforms.join(", ");
    let numbers = [entry.per_gb_second, entry.per_second, entry.per_request, entry.minimum_ms, entry.rounding_ms];
    if numbers.iter().any(|number| !is_amount(*number)) {
        return Err(format!("platform {name:?}: prices and times are numbers that are not below zero"));
    }
    Ok(PlatformPrice {
        platforms: texts(entry.platforms),
        architecture: entry.architecture.as_deref().map(architecture).transpose()?,
        per_gb_second: entry.per_gb_second,
        per_second: entry.per_second,
        per_request: entry.per_request,
        minimum_ms: entry.minimum_ms,
        rounding_ms: entry.rounding_ms,
        memory_step_mb: entry.memory_step_mb,
        charges_used_memory: entry.charges_used_memory,
        charges_init: entry.charges_init,
        charges_waiting: entry.charges_waiting,
        vcpu_mb: entry.vcpu_mb,
        as_of: day(entry.as_of)?,
    })
}

fn call(entry: CallEntry) -> Result<CallPrice, String> {
    let name = entry.systems.join(", ");
    if !is_amount(entry.per_call) {
        return Err(format!("call {name:?}: per_call is a number that is not below zero"));
    }
    let kind = [EdgeKind::Publish, EdgeKind::Write, EdgeKind::Read].into_iter().find(|kind| kind.word() == entry.kind);
    let kind = kind.ok_or_else(|| format!("call {name:?}: kind is {:?}; write publish, write or read", entry.kind))?;
    Ok(CallPrice { systems: texts(entry.systems), kind, per_call: entry.per_call, as_of: day(entry.as_of)? })
}

fn containers(entry: ContainerEntry) -> Result<ContainerPrices, String> {
    let wrong = |reason: &str| Err(format!("containers {:?}: {reason}", entry.name));
    let prices = [entry.per_vcpu_hour, entry.per_gb_hour, entry.load_balancer_per_hour];
    if prices.iter().any(|number| !is_amount(*number)) {
        return wrong("prices are numbers that are not below zero");
    }
    if !(entry.utilisation > 0.0 && entry.utilisation <= 1.0) {
        return wrong("utilisation is the part of a task that is used, over 0 and at most 1, such as 0.6");
    }
    if entry.sizes.is_empty() || entry.sizes.len() > MAX_ENTRIES {
        return wrong(&format!("there are 1 to {MAX_ENTRIES} sizes, each a [[containers.size]]"));
    }
    let is_size = |size: &SizeEntry| is_amount(size.vcpu) && size.vcpu > 0.0 && is_amount(size.gb) && size.gb > 0.0;
    if entry.min_tasks == 0 || !entry.sizes.iter().all(|size| is_size(size) && size.concurrency > 0) {
        return wrong("min_tasks, and vcpu, gb and concurrency of each size, are numbers above zero");
    }
    let size = |size: SizeEntry| ContainerSize { vcpu: size.vcpu, gb: size.gb, concurrency: size.concurrency };
    Ok(ContainerPrices {
        name: entry.name.into(),
        per_vcpu_hour: entry.per_vcpu_hour,
        per_gb_hour: entry.per_gb_hour,
        load_balancer_per_hour: entry.load_balancer_per_hour,
        utilisation: entry.utilisation,
        min_tasks: entry.min_tasks,
        sizes: entry.sizes.into_iter().map(size).collect(),
        as_of: day(entry.as_of)?,
    })
}

fn rule(pattern: &str, setting: &FunctionSetting) -> Result<FunctionRule, String> {
    let wrong = |reason: String| format!("{pattern:?}: {reason}");
    if setting.memory_mb == Some(0) || setting.concurrency == Some(0) {
        return Err(wrong("memory_mb and concurrency are numbers above zero".into()));
    }
    let time_out = setting.time_out.as_deref().map(humantime::parse_duration).transpose();
    let time_out = time_out.map_err(|error| wrong(format!("time_out: {error}; write it like 30s or 15m")))?;
    if time_out.is_some_and(|time| time.as_millis() == 0) {
        return Err(wrong("time_out must be at least 1ms; leave it out when there is none".into()));
    }
    Ok(FunctionRule {
        pattern: pattern.into(),
        memory_mb: setting.memory_mb,
        architecture: setting.architecture.as_deref().map(architecture).transpose().map_err(wrong)?,
        time_out_ms: time_out.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        concurrency: setting.concurrency,
        owner: setting.owner.as_deref().map(Arc::from),
        apps: setting.apps.clone().map(texts),
    })
}

fn architecture(word: &str) -> Result<Architecture, String> {
    match word {
        "x86_64" | "amd64" => Ok(Architecture::X86),
        "arm64" | "aarch64" => Ok(Architecture::Arm),
        _ => Err(format!("architecture is {word:?}; write x86_64 or arm64")),
    }
}

/// A day like 2025-06-01.
fn day(text: String) -> Result<Arc<str>, String> {
    let shape: String = text.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    if shape == "0000-00-00" {
        Ok(text.into())
    } else {
        Err(format!("as_of is {text:?}; write the day on which the price was true, such as 2025-06-01"))
    }
}

fn yes() -> bool {
    true
}

fn is_amount(number: f64) -> bool {
    number.is_finite() && number >= 0.0
}

fn texts(words: Vec<String>) -> Vec<Arc<str>> {
    words.into_iter().map(Arc::from).collect()
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::facts::FunctionFacts;

    use super::*;

    fn parse(text: &str) -> Result<PriceTable, String> {
        read(Figment::from(Toml::string(text)))
    }

    #[test]
    fn the_prices_that_are_built_in_are_sound() {
        let table = built_in().unwrap();
        assert_eq!(&*table.currency, "USD");
        for platform in ["aws_lambda", "gcp_cloud_run", "azure_functions", "cloudflare_workers"] {
            assert!(table.knows(platform), "{platform}");
            let cost = table.cost_per_invocation(platform, &FunctionFacts::default(), 100.0, &[]);
            assert!((1e-7..1e-5).contains(&cost), "{platform} {cost}");
        }
        for (system, kind, per_call) in [
            ("aws.s3", EdgeKind::Write, 5e-6),
            ("aws.dynamodb", EdgeKind::Read, 1.25e-7),
            ("aws_sqs", EdgeKind::Publish, 1.2e-6),
            ("aws.sns", EdgeKind::Publish, 5e-7),
            ("gcp_pubsub", EdgeKind::Publish, 7.3e-8),
            ("gcp.firestore", EdgeKind::Read, 6e-7),
            ("servicebus", EdgeKind::Publish, 1.6e-6),
            ("kafka", EdgeKind::Publish, 0.0),
        ] {
            assert!((table.per_call(system, kind) - per_call).abs() < 1e-12, "{system}");
        }
        let containers = table.containers.unwrap();
        assert!(containers.sizes.is_sorted_by_key(|size| size.gb) && containers.sizes.len() > 3);
        assert!((containers.per_task_hour(containers.sizes[0]) - 0.012_342_5).abs() < 1e-9);
    }

    #[test]
    fn what_cannot_be_a_price_is_named() {
        let containers = |said: &str| {
            let sizes = "[[containers.size]]\nvcpu=1\ngb=2\nconcurrency=8";
            let prices = "name='x'\nper_vcpu_hour=1\nper_gb_hour=1\nas_of='2025-01-01'";
            format!("currency='USD'\n[containers]\n{prices}\n{said}\n{sizes}")
        };
        assert!(parse(&containers("utilisation=0.6\nmin_tasks=2")).is_ok());
        for (text, words) in [
            (
                "currency = 'USD'\n[[call]]\nsystems=['s3']\nkind='use'\nper_call=1\nas_of='2025-01-01'",
                "publish, write or read",
            ),
            ("currency = 'USD'\n[[call]]\nsystems=['s3']\nkind='read'\nper_call=-1\nas_of='2025-01-01'", "below zero"),
            ("currency = 'USD'\n[[call]]\nsystems=['s3']\nkind='read'\nper_call=1\nas_of='soon'", "2025-06-01"),
            ("currency = 'USD'\n[[platform]]\nplatforms=['x']\narchitecture='mips'\nas_of='2025-01-01'", "arm64"),
            (&containers("utilisation=0\nmin_tasks=2"), "such as 0.6"),
            (&containers("utilisation=0.6\nmin_tasks=0"), "above zero"),
            ("currency = 'USD'\nprices = 1", "prices"),
            ("", "currency"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(load(Path::new("/nowhere/prices.toml")).unwrap_err().contains("/nowhere/prices.toml"));
    }

    #[test]
    fn facts_about_functions_are_rules() {
        let setting = FunctionSetting {
            memory_mb: Some(1_024),
            architecture: Some("arm64".into()),
            time_out: Some("30s".into()),
            owner: Some("media".into()),
            ..FunctionSetting::default()
        };
        let found = rules(&BTreeMap::from([("img-*".to_owned(), setting.clone())])).unwrap();
        let facts = FunctionFacts::of("img-resize", &found);
        assert_eq!((facts.memory_mb, facts.architecture, facts.time_out_ms), (1_024, Architecture::Arm, Some(30_000)));
        assert_eq!((&*facts.owner, facts.is_assumed), ("media", false));
        for wrong in [
            FunctionSetting { memory_mb: Some(0), ..setting.clone() },
            FunctionSetting { architecture: Some("mips".into()), ..setting.clone() },
            FunctionSetting { time_out: Some("0s".into()), ..setting.clone() },
            FunctionSetting { time_out: Some("long".into()), ..setting },
        ] {
            assert!(rules(&BTreeMap::from([("img-*".to_owned(), wrong)])).unwrap_err().contains("img-*"));
        }
    }
}
