//! A headless Chromium that is driven as a person would: by what it shows, where it shows it, and clicks.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread,
};

use fantoccini::{Client, ClientBuilder, Locator, actions::MouseActions, wd::Capabilities};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{DEADLINE, wait_until};

/// Forbids to skip the tests of the page, so that a machine that should have a browser cannot pass without one.
const REQUIRED: &str = "LOOPSCOPE_REQUIRE_BROWSER";

/// How often a driver is started before the test gives up.
const DRIVER_STARTS: u32 = 5;

/// Size of the window, in CSS pixels.
const WINDOW: (u32, u32) = (1440, 900);

/// A browser with one window.
pub(crate) struct Browser {
    runtime: Runtime,
    client: Client,
    driver: Child,
    _profile: TempDir,
}

/// What the window shows, as pixels.
pub(crate) struct Picture {
    width: usize,
    bytes: Vec<u8>,
    channels: usize,
}

impl Browser {
    /// Opens a window; `None`, with a line that says why, where there is no browser.
    pub(crate) fn open() -> Option<Self> {
        let installed = |command| Command::new(command).arg("--version").stdout(Stdio::null()).status().is_ok();
        if !(installed("chromedriver") && installed("chromium")) {
            assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and chromium or chromedriver is missing");
            eprintln!("skipped: chromium and chromedriver are not both installed, so there is no page to look at");
            return None;
        }
        let (driver, port) = (0..DRIVER_STARTS).find_map(|_| start_driver()).expect("chromedriver says its port");
        let profile = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(connect(&port, &profile));
        Some(Self { runtime, client, driver, _profile: profile })
    }

    /// Goes to an address.
    #[track_caller]
    pub(crate) fn goto(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).unwrap();
    }

    /// Evaluates an expression in the page.
    #[track_caller]
    pub(crate) fn ask(&self, expression: &str) -> Value {
        let script = format!("return ({expression});");
        self.runtime.block_on(self.client.execute(&script, Vec::new())).unwrap()
    }

    /// Waits until an expression is neither null nor false.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) -> Value {
        wait_until(expression, DEADLINE, || {
            let answer = self.ask(expression);
            (!answer.is_null() && answer != json!(false)).then_some(answer)
        })
    }

    /// Texts of all elements that a CSS selector finds.
    #[track_caller]
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let texts = self.ask(&format!("[...document.querySelectorAll({selector:?})].map(it => it.innerText)"));
        serde_json::from_value(texts).unwrap()
    }

    /// Clicks the first element that a CSS selector finds, once it is there.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        self.until(&format!("!!document.querySelector({selector:?})"));
        self.runtime.block_on(async {
            self.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
        });
    }

    /// Clicks a place in the window.
    #[track_caller]
    pub(crate) fn click_at(&self, place: &Value) {
        use fantoccini::actions::{InputSource as _, MOUSE_BUTTON_LEFT, PointerAction};
        let (x, y) = (place["x"].as_f64().unwrap(), place["y"].as_f64().unwrap());
        let actions = MouseActions::new("mouse".into())
            .then(PointerAction::MoveTo { duration: None, x: x.round(), y: y.round() })
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.runtime.block_on(self.client.perform_actions(actions)).unwrap();
    }

    /// What the window shows.
    #[track_caller]
    pub(crate) fn picture(&self) -> Picture {
        let bytes = self.runtime.block_on(self.client.screenshot()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(frame.bit_depth, png::BitDepth::Eight);
        Picture { width: frame.width as usize, bytes: pixels, channels: frame.color_type.samples() }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The window goes before its driver; when the test has failed, both may be gone already.
        let _ = self.runtime.block_on(self.client.clone().close());
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Picture {
    /// Colour of a pixel.
    pub(crate) fn at(&self, x: f64, y: f64) -> [u8; 3] {
        let at = (y.round() as usize * self.width + x.round() as usize) * self.channels;
        assert!(x >= 0.0 && x < self.width as f64 && at < self.bytes.len(), "({x}, {y}) is outside of the window");
        [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2]]
    }

    /// Part of the pixels around a place that differ from a colour.
    pub(crate) fn painted(&self, place: &Value, radius: f64, background: [u8; 3]) -> f64 {
        let (x, y) = (place["x"].as_f64().unwrap(), place["y"].as_f64().unwrap());
        let steps = (-8..=8).map(|step| f64::from(step) / 8.0 * radius);
        let places: Vec<(f64, f64)> =
            steps.clone().flat_map(|dx| steps.clone().map(move |dy| (x + dx, y + dy))).collect();
        let painted = places.iter().filter(|(x, y)| self.at(*x, *y) != background).count();
        painted as f64 / places.len() as f64
    }
}

/// A driver and its port; `None` when it ended before it said one.
///
/// A driver looks for a free port for IPv4 and then wants the same one for IPv6: it ends when another process has that
/// one, which happens on a machine where many tests listen.
fn start_driver() -> Option<(Child, String)> {
    let mut driver =
        Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        Some(port.trim_end_matches('.').to_owned())
    });
    let Some(port) = port else {
        driver.wait().unwrap();
        return None;
    };
    // A driver whose output nobody reads stops at a full pipe.
    thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

async fn connect(port: &str, profile: &TempDir) -> Client {
    let folder = format!("--user-data-dir={}", profile.path().display());
    let size = format!("--window-size={},{}", WINDOW.0, WINDOW.1);
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--force-device-scale-factor=1",
        "--force-prefers-reduced-motion",
        &size,
        &folder,
    ];
    let mut capabilities = Capabilities::new();
    capabilities.insert("goog:chromeOptions".into(), json!({"args": flags}));
    capabilities.insert("goog:loggingPrefs".into(), json!({"browser": "ALL"}));
    ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
        .capabilities(capabilities)
        .connect(&format!("http://127.0.0.1:{port}"))
        .await
        .expect("chromedriver opens a window")
}
