//! Compiles the page to WebAssembly with a second cargo and writes it as a table of bytes.
//!
//! The order of the work stands in [`pack_page`]. When the page is not wanted (see [`skipped`]) a page of one sentence
//! takes its place, so that checks and editors stay quick.

use std::collections::hash_map::DefaultHasher;
use std::error::Error;
use std::fmt::Write as _;
use std::hash::Hasher;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One file on its way into the table.
struct File {
    path: String,
    content_type: &'static str,
    immutable: bool,
    bytes: Vec<u8>,
}

fn main() {
    watch_inputs();
    let files = if skipped() { Ok(vec![stub()]) } else { pack_page() };
    if let Err(error) = files.and_then(|files| write_table(&files)) {
        println!("cargo::error=cannot build the page: {error}");
        println!("cargo::error=(set LOOPSCOPE_SKIP_UI=1 to build without it)");
    }
}

fn watch_inputs() {
    let inputs = ["../src", "../web", "../Cargo.toml", "../../proto/src", "../../proto/Cargo.toml"];
    for input in inputs.into_iter().chain(["../../Cargo.toml", "../../Cargo.lock", "build.rs"]) {
        println!("cargo::rerun-if-changed={input}");
    }
    for name in ["LOOPSCOPE_SKIP_UI", "RUSTC_WORKSPACE_WRAPPER", "RA_RUSTC_WRAPPER"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
}

/// True when somebody asked for no page, and under clippy and rust-analyzer, which announce themselves by a wrapper and
/// never run the program.
fn skipped() -> bool {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    set("LOOPSCOPE_SKIP_UI") || set("RUSTC_WORKSPACE_WRAPPER") || set("RA_RUSTC_WRAPPER")
}

fn stub() -> File {
    let text = "<!doctype html><html lang=\"en\"><title>Loopscope</title>\
                <p>This build of Loopscope has no page: it was compiled with LOOPSCOPE_SKIP_UI=1. \
                The API is at /api/v1/status.</p></html>";
    File { path: "index.html".into(), content_type: "text/html; charset=utf-8", immutable: false, bytes: text.into() }
}

fn pack_page() -> Result<Vec<File>> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
    ensure_target()?;
    let wasm = compile()?;
    let (script, module) = bind(&wasm)?;

    let module = hashed("loopscope", "wasm", "application/wasm", module);
    let script = hashed("loopscope", "js", "text/javascript; charset=utf-8", script);
    let style = hashed("style", "css", "text/css; charset=utf-8", fs::read(web.join("style.css"))?);
    let icon = hashed("icon", "svg", "image/svg+xml", fs::read(web.join("icon.svg"))?);
    let names = [("SCRIPT", &script), ("MODULE", &module), ("STYLE", &style), ("ICON", &icon)];
    let boot = fill(&fs::read_to_string(web.join("boot.js"))?, &names)?;
    let boot = hashed("boot", "js", "text/javascript; charset=utf-8", boot.into_bytes());
    let names = [("SCRIPT", &script), ("MODULE", &module), ("STYLE", &style), ("ICON", &icon), ("BOOT", &boot)];
    let index = fill(&fs::read_to_string(web.join("index.html"))?, &names)?;
    let index = File { bytes: index.into_bytes(), ..stub() };
    Ok(vec![index, boot, icon, script, module, style])
}

/// Adds the compilation target through rustup when it is missing, or says how to add it.
fn ensure_target() -> Result<()> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let library = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let library = PathBuf::from(String::from_utf8(library.stdout)?.trim());
    if library.is_dir() {
        return Ok(());
    }
    // A backtrace of rustup would bury the one line that helps.
    let added = Command::new("rustup").args(["target", "add", TARGET]).env_remove("RUST_BACKTRACE").status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the compiler has no {TARGET} target; run: rustup target add {TARGET}").into()),
    }
}

/// Compiles `ui/` and returns the path of the WebAssembly file.
fn compile() -> Result<PathBuf> {
    let profile = if env::var("PROFILE")? == "release" { "wasm-release" } else { "wasm-dev" };
    let target_dir = target_dir()?.join("ui-wasm");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.current_dir(workspace).args(["build", "--locked", "--package", "loopscope-ui", "--lib"]);
    cargo.args(["--target", TARGET, "--profile", profile, "--target-dir"]).arg(&target_dir);
    clean_environment(&mut cargo);
    // What this process writes to stdout is read by the outer cargo as instructions.
    let output = cargo.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    if !output.status.success() {
        show_errors(&String::from_utf8_lossy(&output.stderr));
        return Err("the page does not compile; cargo check -p loopscope-ui says the same with colours".into());
    }
    Ok(target_dir.join(TARGET).join(profile).join("loopscope_ui.wasm"))
}

/// Passes the errors on through the outer cargo, which shows nothing else of a build script that ended properly.
fn show_errors(text: &str) {
    const MAX_LINES: usize = 80;
    let errors = text.lines().skip_while(|line| !line.starts_with("error"));
    for line in errors.take(MAX_LINES) {
        println!("cargo::error={line}");
    }
}

/// The directory that holds the outer build: the second cargo gets its own one inside, because it would wait for ever
/// for the lock of this one.
fn target_dir() -> Result<PathBuf> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // <target>/<profile>/build/<package>/out
    out.ancestors().nth(4).map(Path::to_path_buf).ok_or_else(|| "OUT_DIR is not inside a target directory".into())
}

/// Hides from the second cargo what the first one says to build scripts: flags for the host's linker would break the
/// link of the page, and a clippy wrapper would lint it in the middle of a build.
fn clean_environment(cargo: &mut Command) {
    const KEPT: [&str; 7] =
        ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    const HIDDEN: [&str; 12] = [
        "RUSTC",
        "RUSTDOC",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "TARGET",
        "HOST",
        "OUT_DIR",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
        "NUM_JOBS",
        "LLVM_PROFILE_FILE",
    ];
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo = text.starts_with("CARGO_") && !KEPT.iter().any(|kept| text.starts_with(kept));
        if of_cargo || text.starts_with("DEP_") || HIDDEN.contains(&text.as_ref()) {
            cargo.env_remove(&name);
        }
    }
    // Set here it overrules the flags of a configuration file too. The flag makes Leptos erase the types of views, which
    // makes the module smaller.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "--cfg=erase_components");
}

/// Makes the script that loads the WebAssembly file; returns both.
fn bind(wasm: &Path) -> Result<(Vec<u8>, Vec<u8>)> {
    let out = PathBuf::from(env::var("OUT_DIR")?).join("bindgen");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).web(true).map_err(|error| error.to_string())?;
    bindgen.typescript(false).remove_name_section(true).remove_producers_section(true);
    bindgen.generate(&out).map_err(|error| format!("{error:#}"))?;
    if out.join("snippets").exists() {
        return Err("a dependency of the page brings JavaScript of its own, which this script does not pack".into());
    }
    Ok((fs::read(out.join("loopscope_ui.js"))?, fs::read(out.join("loopscope_ui_bg.wasm"))?))
}

/// Gives the file a name that changes with its content, so that browsers may keep it for ever.
fn hashed(stem: &str, extension: &str, content_type: &'static str, bytes: Vec<u8>) -> File {
    let mut hasher = DefaultHasher::new();
    hasher.write(&bytes);
    let path = format!("{stem}-{:016x}.{extension}", hasher.finish());
    File { path, content_type, immutable: true, bytes }
}

/// Puts the hashed names in the place of `{{NAME}}`.
fn fill(template: &str, names: &[(&str, &File)]) -> Result<String> {
    let mut text = template.to_owned();
    for (name, file) in names {
        text = text.replace(&format!("{{{{{name}}}}}"), &format!("/{}", file.path));
    }
    if text.contains("{{") { Err("a file of ui/web has a {{NAME}} that nothing fills".into()) } else { Ok(text) }
}

fn write_table(files: &[File]) -> Result<()> {
    let out = PathBuf::from(env::var("OUT_DIR")?).join("page");
    // Files of earlier builds have other names and would pile up.
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    let mut table = String::from("&[\n");
    for file in files {
        let plain = out.join(&file.path);
        let (gzip, brotli) = (out.join(format!("{}.gz", file.path)), out.join(format!("{}.br", file.path)));
        fs::write(&plain, &file.bytes)?;
        fs::write(&gzip, gzipped(&file.bytes)?)?;
        fs::write(&brotli, brotlied(&file.bytes)?)?;
        write!(table, "    Asset {{ path: {:?}, content_type: {:?}, ", file.path, file.content_type)?;
        write!(table, "immutable: {}, plain: include_bytes!({plain:?}), ", file.immutable)?;
        writeln!(table, "gzip: include_bytes!({gzip:?}), brotli: include_bytes!({brotli:?}) }},")?;
    }
    table.push_str("]\n");
    Ok(fs::write(out.join("../assets.rs"), table)?)
}

/// The best level takes seconds, which only a release is worth.
fn thorough() -> bool {
    env::var("PROFILE").is_ok_and(|profile| profile == "release")
}

fn gzipped(bytes: &[u8]) -> Result<Vec<u8>> {
    let level = if thorough() { flate2::Compression::best() } else { flate2::Compression::fast() };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn brotlied(bytes: &[u8]) -> Result<Vec<u8>> {
    let quality = if thorough() { 11 } else { 2 };
    let params = brotli::enc::BrotliEncoderParams { quality, ..Default::default() };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &params)?;
    Ok(compressed)
}
