//! Brings a part of the document to look as plain data says, and touches only what differs: focus, scroll positions and
//! selected text stay where they are.

use std::cell::RefCell;
use std::rc::Rc;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::Event;

use super::{Element, Listener, Node};

const SVG: &str = "http://www.w3.org/2000/svg";

/// Shows what `build` makes, and again whenever a signal changes that it reads.
pub fn live(build: impl Fn() -> Vec<Element> + 'static) -> AnyView {
    live_of(Box::new(build))
}

/// Not generic, so that the module holds it once.
fn live_of(build: Box<dyn Fn() -> Vec<Element>>) -> AnyView {
    let host = NodeRef::<leptos::html::Div>::new();
    let mut shown = Vec::new();
    Effect::new(move |_: Option<()>| {
        let Some(host) = host.get() else { return };
        let wanted = build().into_iter().map(Node::Element).collect();
        patch(&host, &mut shown, wanted, false);
    });
    // As a closure: where one page takes the place of another, Leptos makes the element of a closure anew, while it would
    // keep a bare one with all that the page before has put into it.
    (move || view! { <div class="live" node_ref=host></div> }).into_any()
}

/// What stands in the document.
struct Shown {
    node: web_sys::Node,
    /// Empty for texts, whose text is the key.
    tag: &'static str,
    key: String,
    attributes: Vec<(&'static str, String)>,
    listeners: Vec<Heard>,
    children: Vec<Shown>,
}

/// A listener that can be exchanged without touching the document.
struct Heard {
    name: &'static str,
    now: Rc<RefCell<Listener>>,
    /// The browser calls it while the element is there.
    closure: Closure<dyn FnMut(Event)>,
}

fn patch(parent: &web_sys::Node, shown: &mut Vec<Shown>, wanted: Vec<Node>, svg: bool) {
    let count = wanted.len();
    for (at, wanted) in wanted.into_iter().enumerate() {
        match wanted {
            Node::Text(text) => patch_text(parent, shown, at, text),
            Node::Element(element) => patch_element(parent, shown, at, element, svg),
        }
    }
    for gone in shown.drain(count..) {
        let _ = parent.remove_child(&gone.node);
    }
}

fn patch_text(parent: &web_sys::Node, shown: &mut Vec<Shown>, at: usize, text: String) {
    match shown.get_mut(at) {
        Some(old) if old.tag.is_empty() => {
            if old.key != text {
                old.node.set_text_content(Some(&text));
                old.key = text;
            }
        }
        _ => {
            let node = document().create_text_node(&text).unchecked_into();
            let (attributes, listeners, children) = (Vec::new(), Vec::new(), Vec::new());
            insert(parent, shown, at, Shown { node, tag: "", key: text, attributes, listeners, children });
        }
    }
}

fn patch_element(parent: &web_sys::Node, shown: &mut Vec<Shown>, at: usize, wanted: Element, svg: bool) {
    let svg = svg || wanted.tag == "svg";
    let fits = |old: &Shown| old.tag == wanted.tag && old.key == wanted.key;
    let found = match shown.get(at) {
        Some(old) if fits(old) => Some(at),
        // Only those with a key are looked for elsewhere: the others are told apart by their place.
        _ if wanted.key.is_empty() => None,
        _ => shown.iter().skip(at).position(fits).map(|ahead| at + ahead),
    };
    match found {
        Some(place) if place == at => {}
        Some(place) => {
            let moved = shown.remove(place);
            insert(parent, shown, at, moved);
        }
        None => {
            let namespace = if svg { Some(SVG) } else { Some("http://www.w3.org/1999/xhtml") };
            let Ok(node) = document().create_element_ns(namespace, wanted.tag) else { return };
            let (attributes, listeners, children) = (Vec::new(), Vec::new(), Vec::new());
            let made = Shown {
                node: node.unchecked_into(),
                tag: wanted.tag,
                key: wanted.key.clone(),
                attributes,
                listeners,
                children,
            };
            insert(parent, shown, at, made);
        }
    }
    let Some(now) = shown.get_mut(at) else { return };
    patch_attributes(now, wanted.attributes);
    patch_listeners(now, wanted.listeners);
    let Shown { node, children, .. } = now;
    patch(node, children, wanted.children, svg);
}

fn insert(parent: &web_sys::Node, shown: &mut Vec<Shown>, at: usize, new: Shown) {
    let before = shown.get(at).map(|it| &it.node);
    let _ = parent.insert_before(&new.node, before);
    shown.insert(at, new);
}

fn patch_attributes(now: &mut Shown, wanted: Vec<(&'static str, String)>) {
    if now.attributes == wanted {
        return;
    }
    let element: &web_sys::Element = now.node.unchecked_ref();
    for (name, _) in now.attributes.iter().filter(|(name, _)| wanted.iter().all(|(other, _)| name != other)) {
        let _ = element.remove_attribute(name);
    }
    for (name, value) in wanted.iter().filter(|pair| !now.attributes.contains(pair)) {
        if *name == "style" {
            element.unchecked_ref::<web_sys::HtmlElement>().style().set_css_text(value);
        } else {
            let _ = element.set_attribute(name, value);
        }
    }
    now.attributes = wanted;
}

fn patch_listeners(now: &mut Shown, wanted: Vec<(&'static str, Listener)>) {
    // An element keeps its kind of listeners in practice; were it otherwise, all are made anew.
    let same = now.listeners.iter().map(|it| it.name).eq(wanted.iter().map(|it| it.0));
    if same {
        for (old, (_, listener)) in now.listeners.iter().zip(wanted) {
            *old.now.borrow_mut() = listener;
        }
        return;
    }
    for old in now.listeners.drain(..) {
        let _ = now.node.remove_event_listener_with_callback(old.name, old.closure.as_ref().unchecked_ref());
    }
    for (name, listener) in wanted {
        let heard = Rc::new(RefCell::new(listener));
        let current = Rc::clone(&heard);
        let closure = Closure::<dyn FnMut(Event)>::new(move |event: Event| {
            let listener = Rc::clone(&current.borrow());
            listener(&event);
        });
        let _ = now.node.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        now.listeners.push(Heard { name, now: heard, closure });
    }
}
