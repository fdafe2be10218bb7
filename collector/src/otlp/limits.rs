//! How much is taken of one request, and of one item in it. What lies beyond stays in the journal, or is rejected with a
//! reason; `docs/configuration.md` says which.

/// Bounds of what is taken of a request.
///
/// The journal holds requests as they came, and how many of their items were accepted; so a request that was taken in
/// under one bound is read in the same way under another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemLimits {
    /// Spans, log records or data points of one request; what comes after them is rejected with a reason. The default
    /// is far above what SDKs and gateways send in one request (512 to 8,192), and keeps the decoded spans of the
    /// largest request near 100 MiB.
    pub items: u64,
    /// Attributes of one span, resource or log record that are read. SDKs stop at 128.
    pub attributes: usize,
    /// Links of one span that are followed. SDKs stop at 128.
    pub links: usize,
    /// Bytes of the name of a span that are read; it is cut at the border of a character.
    pub name_bytes: usize,
    /// Bytes of the text of an attribute that are read; it is cut at the border of a character.
    pub text_bytes: usize,
}

impl ItemLimits {
    /// The same for a request of which so many items were accepted, or of which all are taken.
    #[must_use]
    pub fn of(self, items: u64) -> Self {
        Self { items, ..self }
    }
}

impl Default for ItemLimits {
    fn default() -> Self {
        Self { items: 1 << 18, attributes: 1024, links: 128, name_bytes: 1024, text_bytes: 4096 }
    }
}
