//! The page as bytes.

/// One file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Path below the root of the site, without a leading slash: `index.html`, `loopscope-3f2a.js`.
    pub path: &'static str,
    /// Value of the content-type header.
    pub content_type: &'static str,
    /// True when the path holds a hash of the content, so that browsers may keep it for ever.
    pub immutable: bool,
    /// The bytes as they are.
    pub plain: &'static [u8],
    /// The bytes compressed with gzip.
    pub gzip: &'static [u8],
    /// The bytes compressed with brotli.
    pub brotli: &'static [u8],
}

/// Every file of the page; `index.html` is among them.
pub const ASSETS: &[Asset] = &[];
