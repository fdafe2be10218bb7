//! Bytes as OTLP requests in JSON: `LOOPSCOPE_SKIP_UI=1 cargo +nightly fuzz run json fuzz/corpus/json
//! fuzz/seeds/json` in `collector/`.

#![no_main]

#[path = "../decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| decoders::json(bytes));
