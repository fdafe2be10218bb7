//! The page as bytes: what `build.rs` compiled from `ui/`, ready to be sent.
//!
//! This crate knows nothing of servers; the collector decides which of the three encodings a browser gets and with
//! which headers. A build with `LOOPSCOPE_SKIP_UI=1` holds one sentence in the place of the page.

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
pub const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> &'static str {
        let asset = ASSETS.iter().find(|asset| asset.path == path).expect("the file is there");
        std::str::from_utf8(asset.plain).expect("the file is text")
    }

    fn index() -> &'static str {
        text("index.html")
    }

    #[test]
    fn every_hashed_file_is_named_by_the_index_or_by_the_loader() {
        let hashed: Vec<_> = ASSETS.iter().filter(|asset| asset.immutable).collect();
        if hashed.is_empty() {
            assert!(index().contains("LOOPSCOPE_SKIP_UI"), "a page without files must say why");
            return;
        }
        let loader = hashed.iter().find(|asset| asset.path.starts_with("boot-")).expect("there is a loader");
        for asset in &hashed {
            let name = format!("\"/{}\"", asset.path);
            let loads = asset.path.ends_with(".wasm") && text(loader.path).contains(&name);
            assert!(loads || index().contains(&name), "nothing names {}", asset.path);
        }
    }

    #[test]
    fn no_file_is_empty_and_compression_pays() {
        for asset in ASSETS {
            assert!(!asset.plain.is_empty() && !asset.gzip.is_empty() && !asset.brotli.is_empty(), "{}", asset.path);
            if asset.plain.len() > 4096 {
                assert!(asset.brotli.len() < asset.plain.len() && asset.gzip.len() < asset.plain.len());
            }
        }
    }

    /// What travels to every browser is bounded: `cargo test --release -p loopscope-ui-bundle`. A build for debugging is
    /// larger, and the page of one sentence has no module.
    #[test]
    fn the_module_keeps_its_budget() {
        const RAW_BYTES: usize = 1_200_000;
        const BROTLI_BYTES: usize = 350_000;
        let module = ASSETS.iter().find(|asset| asset.path.ends_with(".wasm")).filter(|_| !cfg!(debug_assertions));
        let Some(module) = module else { return };
        let (raw, brotli) = (module.plain.len(), module.brotli.len());
        assert!(raw <= RAW_BYTES && brotli <= BROTLI_BYTES, "{raw} bytes, {brotli} with brotli");
    }

    #[test]
    fn nothing_inline_that_a_strict_content_policy_would_refuse() {
        assert!(!index().contains("style=\"") && !index().contains("onload="));
        assert!(!index().contains("<script>") && !index().contains("<style>"));
        assert!(!index().contains("://"), "the page asks no other server");
    }
}
