//! What all pages share: the model in a signal, the address, the theme, the clock, whether time stands still.
//!
//! The plain state is in `model.rs`, the network in `client.rs`; this module ties them to signals once.

use leptos::prelude::*;
use loopscope_proto::v1::LiveEvent;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::JsValue;
use web_sys::{Event, MouseEvent};

use crate::client::{Link, Live};
use crate::geometry::Camera;
use crate::model::{Applied, Model};
use crate::scene::Scene;
use crate::url::{MapQuery, Range, Route};

/// Data older than this is shown as stale.
pub const STALE_AFTER_MS: f64 = 10_000.0;

/// Where the choice of a theme is kept.
const THEME_KEY: &str = "loopscope-theme";

/// The state that all pages share. Copies share it.
#[derive(Clone, Copy)]
pub struct App {
    /// What the live stream told, or what it had told when the reader paused.
    pub model: RwSignal<Model>,
    /// The shapes of the map.
    pub scene: Memo<Scene>,
    /// The state of the live stream.
    pub link: RwSignal<Link>,
    /// When the last event came, in milliseconds since 1970.
    pub heard: RwSignal<f64>,
    /// The time in milliseconds since 1970; moves each second.
    pub now: RwSignal<f64>,
    /// Whether the picture stands still.
    pub paused: RwSignal<bool>,
    /// Events that came while the picture stands still.
    pub waiting: RwSignal<u32>,
    /// Where the reader is.
    pub route: RwSignal<Route>,
    /// Whether the theme is dark.
    pub dark: RwSignal<bool>,
    /// Whether the help is open.
    pub help: RwSignal<bool>,
    /// Whether the search has been called for; a number, so that calling twice is noticed.
    pub search_calls: RwSignal<u32>,
    /// Where somebody asked the map to look: the id of a node and a number, so that asking twice is noticed.
    pub look_at: RwSignal<(u32, Option<String>)>,
    /// The part of the map that is seen; absent until there was something to see. It outlives visits to other pages.
    pub camera: RwSignal<Option<Camera>>,
    /// Whether tests may ask for coordinates.
    pub testing: bool,
    behind: StoredValue<Option<Model>>,
    is_ready: Memo<bool>,
    range: StoredValue<Range>,
}

impl App {
    /// Makes the state and connects it to the server, the address bar and the clock.
    pub fn start() -> Self {
        let model = RwSignal::new(Model::default());
        let app = Self {
            model,
            scene: Memo::new(move |_| model.with(Scene::build)),
            link: RwSignal::new(Link::Connecting),
            heard: RwSignal::new(js_sys::Date::now()),
            now: RwSignal::new(js_sys::Date::now()),
            paused: RwSignal::new(false),
            waiting: RwSignal::new(0),
            route: RwSignal::new(Route::parse(&location())),
            dark: RwSignal::new(dark_at_first()),
            help: RwSignal::new(false),
            search_calls: RwSignal::new(0),
            look_at: RwSignal::new((0, None)),
            camera: RwSignal::new(None),
            testing: location().split(['?', '&', '#']).any(|part| part == "testing=1"),
            behind: StoredValue::new(None),
            is_ready: Memo::new(move |_| model.with(|model| model.ready)),
            range: StoredValue::new(Range::default()),
        };
        app.keep_range();
        app.follow_address();
        app.follow_theme();
        let live = Live::open(move |event| app.hear(event), move |link| app.link.set(link));
        let tick = move || {
            let now = js_sys::Date::now();
            app.now.set(now);
            live.watch(now);
        };
        set_interval(tick, std::time::Duration::from_secs(1));
        app
    }

    /// The state that `start` made.
    pub fn get() -> Self {
        expect_context()
    }

    fn hear(self, event: LiveEvent) -> Applied {
        let mut behind = None;
        self.behind.update_value(|model| behind = model.as_mut().map(|model| model.apply(event.clone())));
        let applied = match behind {
            Some(applied) => {
                self.waiting.update(|n| *n += 1);
                applied
            }
            None => self
                .model
                .try_maybe_update(|model| {
                    let applied = model.apply(event);
                    (applied == Applied::Yes, applied)
                })
                .unwrap_or(Applied::Gap),
        };
        if applied == Applied::Yes {
            self.heard.set(js_sys::Date::now());
        }
        applied
    }

    /// Lets the picture stand still, or catches up.
    pub fn toggle_pause(self) {
        let pausing = !self.paused.get_untracked();
        if pausing {
            self.behind.set_value(Some(self.model.get_untracked()));
        } else {
            let mut newest = None;
            self.behind.update_value(|model| newest = model.take());
            if let Some(newest) = newest {
                self.model.set(newest);
            }
        }
        self.waiting.set(0);
        self.paused.set(pausing);
    }

    /// Age of the newest event in milliseconds.
    pub fn age_ms(self) -> f64 {
        (self.now.get() - self.heard.get()).max(0.0)
    }

    /// Whether the data is too old to be trusted as the present.
    pub fn stale(self) -> bool {
        self.age_ms() > STALE_AFTER_MS
    }

    /// Goes to another place; Back returns.
    pub fn go(self, route: Route) {
        if self.route.with_untracked(|here| *here == route) {
            return;
        }
        if let Ok(history) = window().history() {
            let _ = history.push_state_with_url(&JsValue::NULL, "", Some(&route.href()));
        }
        let section_changes = self.route.with_untracked(|here| !here.same_section(&route));
        self.route.set(route);
        if section_changes {
            // Readers of the screen learn of the new page by its heading.
            request_animation_frame(|| focus("h1"));
        }
    }

    /// The range of time of the page, or of the last one that had one: it goes with the reader.
    pub fn range(self) -> Range {
        self.route.with(|route| route.range().cloned()).unwrap_or_else(|| self.range.get_value())
    }

    /// Whether nodes can be named; their names change too seldom to follow each change of the model.
    pub fn named(self) -> bool {
        self.is_ready.get()
    }

    /// The name of a node, once nodes can be named.
    pub fn name_of(self, id: &str, ready: bool) -> String {
        if ready { self.model.with_untracked(|model| model.node_name(id).to_owned()) } else { id.to_owned() }
    }

    /// The query of the map, or its defaults on other pages.
    pub fn map_query(self) -> MapQuery {
        self.route.with(|route| match route {
            Route::Map(query) => query.clone(),
            _ => MapQuery::default(),
        })
    }

    /// Changes the query of the map.
    pub fn change_map(self, change: impl FnOnce(&mut MapQuery)) {
        let mut query = untrack(move || self.map_query());
        change(&mut query);
        self.go(Route::Map(query));
    }

    /// Moves the map so that a node is in its middle.
    pub fn look_at(self, node: Option<String>) {
        self.look_at.update(|(calls, at)| {
            *calls += 1;
            *at = node;
        });
    }

    fn keep_range(self) {
        Effect::new(move |_| {
            if let Some(range) = self.route.with(|route| route.range().cloned()) {
                self.range.set_value(range);
            }
        });
    }

    fn follow_address(self) {
        let route = self.route;
        let back = window_event_listener_untyped("popstate", move |_| route.set(Route::parse(&location())));
        // One listener serves every link of the page.
        let click = Closure::<dyn FnMut(MouseEvent)>::new(move |event: MouseEvent| self.follow_link(&event));
        let _ = document().add_event_listener_with_callback("click", click.as_ref().unchecked_ref());
        // Both live as long as the page.
        click.forget();
        std::mem::forget(back);
    }

    fn follow_link(self, event: &MouseEvent) {
        let plain = event.button() == 0 && !event.ctrl_key() && !event.meta_key() && !event.shift_key();
        if !plain || event.default_prevented() {
            return;
        }
        let element = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
        let link = element.and_then(|it| it.closest("a[href]").ok().flatten());
        let href = link.and_then(|it| it.get_attribute("href")).unwrap_or_default();
        if href.starts_with('/') && !href.starts_with("/api/") {
            event.prevent_default();
            self.go(Route::parse(&href));
        }
    }

    fn follow_theme(self) {
        Effect::new(move |before: Option<bool>| {
            let dark = self.dark.get();
            if let Some(root) = document().document_element() {
                let _ = root.set_attribute("data-theme", if dark { "dark" } else { "light" });
            }
            // Only a choice is kept, not what the system happened to prefer.
            if let (Some(_), Some(storage)) = (before, storage()) {
                let _ = storage.set_item(THEME_KEY, if dark { "dark" } else { "light" });
            }
            dark
        });
    }
}

/// Puts the focus on the first element that fits.
pub fn focus(selector: &str) {
    let element = document().query_selector(selector).ok().flatten();
    if let Some(element) = element.and_then(|it| it.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = element.focus();
    }
}

/// Whether the reader is writing, so that letters are not commands.
pub fn is_typing(event: &Event) -> bool {
    let element = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
    element.is_some_and(|it| matches!(it.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"))
}

/// Whether a media query holds now.
pub fn media(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|it| it.matches())
}

fn location() -> String {
    let location = window().location();
    location.pathname().unwrap_or_default() + &location.search().unwrap_or_default()
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

fn dark_at_first() -> bool {
    match storage().and_then(|it| it.get_item(THEME_KEY).ok().flatten()).as_deref() {
        Some("dark") => true,
        Some("light") => false,
        _ => !media("(prefers-color-scheme: light)"),
    }
}
