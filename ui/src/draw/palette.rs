//! The colours of one theme, read from the style sheet, so that there is one list of them.

/// The colours of one theme.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Palette {
    /// The ground.
    pub canvas: String,
    /// Bodies of nodes and plates of text.
    pub surface: String,
    /// Plates above the ground.
    pub raised: String,
    /// Text.
    pub text: String,
    /// Quiet text.
    pub muted: String,
    /// Rims of what has no tone.
    pub border: String,
    /// Edges.
    pub edge: String,
    /// Faster than usual.
    pub fast: String,
    /// As usual.
    pub norm: String,
    /// Slower than usual.
    pub slow: String,
    /// Much slower than usual.
    pub crit: String,
    /// Errors.
    pub err: String,
    /// Loops.
    pub lap: String,
    /// Cold starts.
    pub cold: String,
    /// What is selected.
    pub focus: String,
    /// Signs on filled bodies.
    pub ink: String,
}

impl Palette {
    /// Reads the colours of the theme that is on.
    pub fn read() -> Self {
        let window = leptos::prelude::window();
        let root = leptos::prelude::document().document_element();
        let style = root.and_then(|root| window.get_computed_style(&root).ok().flatten());
        let token = |name: &str| {
            let value = style.as_ref().and_then(|style| style.get_property_value(name).ok());
            value.map(|value| value.trim().to_owned()).unwrap_or_default()
        };
        Self {
            canvas: token("--canvas"),
            surface: token("--surface"),
            raised: token("--raised"),
            text: token("--text"),
            muted: token("--muted"),
            border: token("--border"),
            edge: token("--edge"),
            fast: token("--fast"),
            norm: token("--norm"),
            slow: token("--slow"),
            crit: token("--crit"),
            err: token("--err"),
            lap: token("--loop"),
            cold: token("--cold"),
            focus: token("--focus"),
            ink: token("--ink"),
        }
    }
}
