//! What a page shows, as plain data: elements with their attributes, texts and listeners.
//!
//! A view that is written as a function from messages to [`Node`]s needs no code of its own in the module beyond that
//! function, where each typed view of Leptos brings hundreds of bytes for every element, and it is tested natively.
//! `html/patch.rs` brings the document to look like it. Knows nothing of pages.

pub mod patch;

use std::rc::Rc;

use web_sys::Event;

/// What is called when something happens to an element.
pub type Listener = Rc<dyn Fn(&Event)>;

/// An element or a text.
#[derive(Clone)]
pub enum Node {
    /// A text.
    Text(String),
    /// An element.
    Element(Element),
}

/// An element with all that is in it.
#[derive(Clone)]
pub struct Element {
    tag: &'static str,
    key: String,
    attributes: Vec<(&'static str, String)>,
    listeners: Vec<(&'static str, Listener)>,
    children: Vec<Node>,
}

/// An element with a class, which may be empty.
pub fn el(tag: &'static str, class: &str) -> Element {
    let element =
        Element { tag, key: String::new(), attributes: Vec::new(), listeners: Vec::new(), children: Vec::new() };
    if class.is_empty() { element } else { element.attr("class", class) }
}

/// A link.
pub fn link(href: String, text: &str) -> Element {
    el("a", "").with("href", href).text(text)
}

impl Element {
    /// Sets an attribute. What `style` says is set property by property, as a strict content policy wants it.
    #[must_use]
    pub fn attr(self, name: &'static str, value: &str) -> Self {
        self.with(name, value.to_owned())
    }

    /// Sets an attribute to a value that was made for it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.attributes.push((name, value));
        self
    }

    /// The name by which tests find it.
    #[must_use]
    pub fn test(self, name: &str) -> Self {
        self.attr("data-testid", name)
    }

    /// Tells it apart from its siblings, so that it stays the same element when they come, go or change places.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        key.clone_into(&mut self.key);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.children.push(Node::Text(text.to_owned()));
        self
    }

    /// Adds an element.
    #[must_use]
    pub fn child(mut self, child: Element) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// Adds elements.
    #[must_use]
    pub fn all(mut self, children: Vec<Element>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    /// Adds a listener.
    #[must_use]
    pub fn on(mut self, name: &'static str, listener: Listener) -> Self {
        self.listeners.push((name, listener));
        self
    }

    /// The text in it, with a space between the texts of elements, for tests.
    #[cfg(test)]
    pub(crate) fn words(&self) -> String {
        let words = self.children.iter().map(|child| match child {
            Node::Text(text) => text.trim().to_owned(),
            Node::Element(element) => element.words(),
        });
        words.filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// All the text of elements, for tests.
#[cfg(test)]
pub(crate) fn words(elements: &[Element]) -> String {
    elements.iter().map(Element::words).collect::<Vec<_>>().join("\n")
}
